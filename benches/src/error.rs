//! Why a measurement could not be made. Each is one line that says what to do about it.

use std::io;

use loadgen::host::{TooFewDescriptors, Unwritable};
use thiserror::Error;

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Ends a measurement without a figure.
#[derive(Debug, Error)]
pub enum Error {
    /// The limit on open files is too low and cannot be raised.
    #[error(
        "{sockets} sockets need {} descriptors, and the limit is {}: raise it as root with `ulimit -n {}`, or lower --sockets or --clients to {}",
        .limit.needed, .limit.limit, .limit.needed, .limit.possible
    )]
    Descriptors {
        sockets: u32,
        limit: TooFewDescriptors,
    },
    /// A server, a load generator or a reader failed; says which and why.
    #[error("{0}")]
    Run(String),
    #[error(transparent)]
    Write(#[from] Unwritable),
    /// The system refused something that it always grants.
    #[error("cannot {what}: {error}")]
    System {
        what: &'static str,
        error: io::Error,
    },
}

impl Error {
    /// For `map_err`: the system would not do `what`.
    pub(crate) fn system<E: Into<io::Error>>(what: &'static str) -> impl Fn(E) -> Self {
        move |error| Self::System {
            what,
            error: error.into(),
        }
    }
}
