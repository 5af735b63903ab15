//! The host: its clock, its limits on sockets, what its processes use, and its files. Nothing here
//! knows of a run.

pub(crate) mod clock;
pub(crate) mod environment;
pub(crate) mod files;
mod limits;
pub(crate) mod procfs;
pub(crate) mod socket;

pub use environment::look;
pub use files::{Unwritable, check, check_folder, replace};
#[cfg(test)]
pub(crate) use limits::ports_usual;
pub use limits::{TooFewDescriptors, loopbacks, ports_each, raise_descriptors};
pub use procfs::{Process, Switches, Usage};

use std::io;

/// The system refused something that every run needs.
#[derive(Debug, thiserror::Error)]
#[error("the system refused to {what}: {error}")]
pub(crate) struct SystemError {
    what: &'static str,
    error: io::Error,
}

/// Attaches what was being done to an error of the system.
pub(crate) fn refused(what: &'static str) -> impl FnOnce(io::Error) -> SystemError {
    move |error| SystemError { what, error }
}
