//! Why a measurement could not be made. Each is one line that says what to do about it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use thiserror::Error;

use crate::folder::FolderError;
use crate::plan::Refusal;
use crate::server_view::NoMetrics;

/// Ends the program without a verdict.
#[derive(Debug, Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(
        "cannot find {addr}: {error}; give a host that resolves and a port, as in 127.0.0.1:9989"
    )]
    Resolve { addr: String, error: io::Error },
    #[error(
        "{clients} clients need {needed} descriptors, and the limit is {limit}: raise it as root with `ulimit -n {needed}`{}",
        fewer(*possible)
    )]
    Descriptors {
        clients: u32,
        needed: u64,
        limit: u64,
        possible: u64,
    },
    #[error(
        "{clients} clients need more source ports than the {ports} of each of {sources} source addresses: give {needed} with --source-ip, or widen net.ipv4.ip_local_port_range"
    )]
    Ports {
        clients: u32,
        ports: u32,
        sources: usize,
        needed: usize,
    },
    #[error("--source-ip {source_ip} cannot reach {target}: both must be IPv4 or both IPv6")]
    Family {
        source_ip: IpAddr,
        target: SocketAddr,
    },
    #[error("no process has the id {0}: give --server-pid the id of the running server")]
    NoProcess(u32),
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
        "{joined} of {clients} clients have joined, and no other could for {waited:?}: the server at {target} does not take more, or does not relay messages{said}; lower --clients or raise --connect-timeout"
    )]
    JoinTimeout {
        joined: u32,
        clients: u32,
        waited: Duration,
        target: SocketAddr,
        /// What the server said, if it did.
        said: String,
    },
    #[error(
        "the server at {target} let go of a client while {joined} of {clients} had joined ({how}): see what it logs, or lower --clients"
    )]
    LeftEarly {
        target: SocketAddr,
        joined: u32,
        clients: u32,
        how: String,
    },
    #[error("the spawned server did not start: {0}")]
    ServerStart(String),
    #[error(transparent)]
    NoMetrics(#[from] NoMetrics),
    #[error("--server-metrics needs a URL, as in http://127.0.0.1:9990/metrics, or --spawn-server")]
    NoMetricsUrl,
    #[error("the server ended before the load began: see what it logs")]
    ServerEnded,
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error("cannot write {path}: {error}; choose a place that can be written", path = path.display())]
    Output { path: PathBuf, error: io::Error },
    #[error("interrupted before the measurement was complete")]
    Interrupted,
    #[error("the system refused to {what}: {error}")]
    System {
        what: &'static str,
        error: io::Error,
    },
}

impl Error {
    /// Attaches what was being done to an error of the system.
    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::System { what, error }
    }

    /// 2 if the command line asks for something impossible, else 1.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Refused(_)
            | Self::Family { .. }
            | Self::NoMetricsUrl
            | Self::Folder(FolderError::Twice { .. } | FolderError::InPlaceOfRun { .. }) => {
                ExitCode::from(2)
            }
            _ => ExitCode::from(1),
        }
    }
}

/// The other remedy, where it is one: a broadcast takes two clients.
fn fewer(possible: u64) -> String {
    match possible {
        0 | 1 => String::new(),
        _ => format!(", or lower --clients to {possible}"),
    }
}
