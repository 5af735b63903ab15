//! Measuring: a schedule is carried out by an engine of event loops, every delivery is booked in a
//! ledger, and every latency counts from the time its message was meant to be sent.
//!
//! It speaks through `wire`, and knows no report and no command line.

mod barrier;
mod buckets;
mod completion;
mod connect;
mod connection;
mod deliveries;
pub(crate) mod engine;
pub(crate) mod error;
pub(crate) mod histograms;
pub(crate) mod latency;
pub(crate) mod ledger;
pub(crate) mod observation;
pub(crate) mod phases;
pub(crate) mod plan;
mod schedule;
pub(crate) mod turns;
pub(crate) mod watch;

pub use deliveries::Deliveries;
