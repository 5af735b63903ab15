//! Why a run ended without a measurement. Each is one line that says what to do about it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;

use crate::host::SystemError;

/// Ends a run without a measurement.
#[derive(Debug, Error)]
pub(crate) enum RunError {
    #[error("{target} refused the connection: start the server there, or use --spawn-server")]
    ConnectionRefused { target: SocketAddr },
    #[error(
        "no free source port or address is left towards {target} ({error}): wait a minute for old connections to expire, or give more addresses with --source-ip"
    )]
    NoSource {
        target: SocketAddr,
        error: io::Error,
    },
    #[error("client {client} cannot connect to {target}: {error}")]
    Connect {
        client: u32,
        target: SocketAddr,
        error: io::Error,
    },
    #[error(
        "{joined} of {clients} {what} have joined, and no other could for {waited:?}: the server at {target} does not take more, or does not relay messages{said}; lower --clients or raise --connect-timeout"
    )]
    JoinTimeout {
        joined: u32,
        clients: u32,
        /// Clients, or clients and publishers.
        what: &'static str,
        waited: Duration,
        target: SocketAddr,
        /// What the server said, if it did.
        said: String,
    },
    #[error("the server at {target} refused a client: \"{said}\"; {remedy}")]
    Refused {
        target: SocketAddr,
        said: String,
        remedy: &'static str,
    },
    #[error(
        "the server at {target} disconnected a client while {joined} of {clients} had joined ({how}): see its log, or lower --clients"
    )]
    LeftEarly {
        target: SocketAddr,
        joined: u32,
        clients: u32,
        how: String,
    },
    #[error("the server ended before the load began: see its log")]
    ServerEnded,
    #[error("interrupted by a signal before the measurement was complete")]
    Interrupted,
    #[error(transparent)]
    System(#[from] SystemError),
}
