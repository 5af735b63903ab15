//! Why a measurement could not be made. Each is one line that says what to do about it.

use std::io;
use std::path::Path;
use std::time::Duration;

use thiserror::Error;

/// Ends a measurement without a figure.
#[derive(Debug, Error)]
pub enum Error {
    /// The limit on open files is too low and cannot be raised.
    #[error(
        "{sockets} sockets need {needed} descriptors, and the limit is {limit}: raise it as root with `ulimit -n {needed}`, or lower --sockets or --clients to {possible}"
    )]
    Descriptors {
        /// Sockets that were asked for.
        sockets: u32,
        /// Descriptors that each of the two processes needs.
        needed: u64,
        /// The hard limit.
        limit: u64,
        /// Sockets that the limit allows.
        possible: u64,
    },
    /// A reader could not connect, since no source port was left.
    #[error(
        "no free source port is left after {connected} of {sockets} sockets ({error}): wait a minute for old connections to expire, widen net.ipv4.ip_local_port_range, or lower --sockets"
    )]
    Ports {
        /// Sockets that were connected by then.
        connected: u32,
        /// Sockets that were asked for.
        sockets: u32,
        /// What the kernel said.
        error: String,
    },
    /// The reading process failed or ended.
    #[error("the reading process failed: {0}")]
    Reader(String),
    /// The reading process was silent for too long.
    #[error(
        "the reading process said nothing for {waited:?}: see what else keeps this machine busy"
    )]
    ReaderSilent {
        /// For how long.
        waited: Duration,
    },
    /// The kernel did not take a whole frame although the socket was empty.
    #[error(
        "the kernel took {sent} of {bytes} bytes from an empty socket: lower --bytes, or raise net.ipv4.tcp_wmem"
    )]
    ShortSend {
        /// Bytes it took.
        sent: usize,
        /// Bytes it was given.
        bytes: usize,
    },
    /// A run of the server or the load generator failed; says which and why.
    #[error("{0}")]
    Run(String),
    /// A result could not be written.
    #[error("cannot write {path}: {error}")]
    Write {
        /// The file.
        path: String,
        /// What the system said.
        error: io::Error,
    },
    /// The system refused something that it always grants.
    #[error("cannot {what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

impl Error {
    /// For `map_err`: the system would not do `what`.
    pub fn system<E: Into<io::Error>>(what: &'static str) -> impl Fn(E) -> Self {
        move |error| Self::System {
            what,
            error: error.into(),
        }
    }

    /// For `map_err`: `path` could not be written.
    pub(crate) fn write(path: &Path) -> impl Fn(io::Error) -> Self {
        move |error| Self::Write {
            path: path.display().to_string(),
            error,
        }
    }
}
