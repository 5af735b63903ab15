//! Why a measurement could not be made. Each is one line that says what to do about it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use thiserror::Error;

use super::server_view::NoMetrics;
use crate::host::SystemError;
use crate::host::files::Unwritable;
use crate::measure::error::RunError;
use crate::measure::plan::Refusal;
use crate::report::folder::FolderError;

/// The exit status after Ctrl-C or SIGTERM, as of a shell's command that SIGINT ended.
pub(crate) const INTERRUPTED: u8 = 130;

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
    #[error("cannot read the password in {path}: {error}; give a file with it in the first line", path = path.display())]
    Password { path: PathBuf, error: io::Error },
    #[error("no process has the id {0}: give --server-pid the id of the running server")]
    NoProcess(u32),
    #[error("the spawned server did not start: {0}")]
    ServerStart(String),
    #[error(transparent)]
    NoMetrics(#[from] NoMetrics),
    #[error("--server-metrics needs a URL, as in http://127.0.0.1:9990/metrics, or --spawn-server")]
    NoMetricsUrl,
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Unwritable(#[from] Unwritable),
    #[error("{0}")]
    Print(String),
    #[error(transparent)]
    System(#[from] SystemError),
    #[error(transparent)]
    Run(#[from] RunError),
}

impl Error {
    /// 2 if the command line asks for something impossible, [`INTERRUPTED`] after a signal, else 1.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Run(RunError::Interrupted) => ExitCode::from(INTERRUPTED),
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
