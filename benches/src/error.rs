//! Why a measurement could not be made. Each is one line that says what to do about it.

use std::io;

use loadgen::host::{TooFewDescriptors, Unwritable};
use thiserror::Error;

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Ends a measurement without a figure.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// The limit on open files is too low, and cannot be raised.
    #[error(
        "{sockets} sockets need {} descriptors, and the limit is {}: raise it as root with `ulimit -n {}`, or lower --clients to {}",
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
    #[error("the system refused what every measurement needs: {0}")]
    Io(#[from] io::Error),
}
