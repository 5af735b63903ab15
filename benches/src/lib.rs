//! Comparisons of the server with itself, with other servers, and with the limit of the kernel.
//!
//! A program (`programs/`) declares who is compared (candidates), under which loads (scenarios), which
//! `figure`s are read off, and which `bound`s have to hold. A `study` measures it, interleaved and
//! repeated. The `comparison` that results is data.json, from which every table, page and plot is made.
//!
//! The server, the load generator and the readers are processes of the measuring program itself, so
//! that nothing that is measured can be an old build.

#![forbid(unsafe_code)]

mod bound;
mod comparison;
mod error;
mod figure;
mod floor;
mod host;
mod output;
mod page;
mod plot;
mod process;
pub mod programs;
mod reader;
mod run;
mod spread;
mod study;
mod table;

pub use floor::{Floor, Plan};
