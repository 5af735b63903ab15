//! Comparisons of the server with itself, with other servers, and with the limit of the kernel.
//!
//! A program declares who is compared (candidates), under which loads (scenarios), which [`figure`]s
//! are read off, and which [`Bound`]s have to hold; a [`Study`] measures it, interleaved and
//! repeated, and the [`Comparison`] that results is data.json, from which every table, page and plot
//! is made. [`Floor`] measures what a bare `send(2)` to each of N loopback sockets costs: no server
//! that sends to each of N clients can be faster.
//!
//! The server, the load generator and the readers are processes of the measuring program itself, so
//! that nothing that is measured can be an old build: each `main` begins with
//! [`process::run_if_asked`].

#![forbid(unsafe_code)]

mod bound;
mod clock;
pub mod comparison;
mod error;
pub mod figure;
pub mod floor;
mod host;
pub mod output;
pub mod page;
pub mod plot;
pub mod process;
pub mod reader;
mod run;
mod spread;
mod study;
mod table;

pub use bound::{Against, Bound, Judged, Limit};
pub use comparison::{Comparison, Plot, Remark, Scenario, Section, Validity};
pub use error::Error;
pub use figure::Figure;
pub use floor::{Floor, Plan};
pub use host::{Host, raise_descriptors};
pub use output::Output;
pub use run::{MIB, Run, with_unit};
pub use spread::{Spread, digits};
pub use study::{Study, Turn, main};
pub use table::Table;
