//! An open-loop load generator that proves every delivery of a broadcast server.
//!
//! Thousands of clients connect over TCP and send by a schedule that waits for nothing
//! (`measure::schedule`). Every message carries a stamp (`wire::stamp`), every delivery is booked in a
//! ledger (`measure::ledger`), and every latency counts from the time its message was meant to be sent
//! (`measure::latency`). One epoll loop, or one on each of several threads, does it all
//! (`measure::engine`), shares nothing with the server but the wire format, and says in the end whether
//! its figures may be believed (`report::verdict`).
//!
//! Imports go one way: `run` -> `report`, `hostile`, `measure` -> `wire` -> `host`.

#![forbid(unsafe_code)]

#[doc(hidden)]
pub mod host;
mod hostile;
mod measure;
mod report;
mod run;
mod wire;

#[doc(hidden)]
pub use crate::host::environment::commit;
#[doc(hidden)]
pub use crate::measure::Deliveries;
pub use crate::report::chart;
pub use crate::run::run;
