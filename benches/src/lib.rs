//! What the limit of the kernel is, and how far from it the code is.
//!
//! [`Floor`] measures what a bare `send(2)` to each of N loopback sockets costs while another
//! process reads: no server that sends to each of N clients can be faster. Everything else is
//! reported as a ratio to it, from the same run. [`Spread`] says how far repeats lie apart.
//!
//! A program that measures a floor begins its `main` with [`reader::run_if_asked`], since the
//! reading is done by a second process of the same program.

#![forbid(unsafe_code)]

pub mod citation;
mod clock;
mod digits;
mod doubt;
mod error;
pub mod floor;
mod host;
mod outcome;
mod output;
pub mod process;
pub mod reader;
pub mod report;
mod rotation;
mod spread;
mod table;

pub use digits::digits;
pub use doubt::Doubt;
pub use error::Error;
pub use floor::{Floor, Measurement, Pass, Plan, Repeat};
pub use host::{Host, raise_descriptors};
pub use outcome::{MISSED, outcome};
pub use output::Output;
pub use report::Report;
pub use rotation::rotated;
pub use spread::Spread;
pub use table::Table;
