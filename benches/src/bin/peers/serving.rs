//! A candidate that serves: on a free port, in a folder of its own, verified, and ended with this value.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use benches::process::Running;
use tempfile::TempDir;

use crate::candidate::{Candidate, Setting};
use crate::verification::{Site, verify};

/// How often a server may end at once before that is a failure: a port that was free may be taken.
const ATTEMPTS: u32 = 3;

const START_TIMEOUT: Duration = Duration::from_secs(10);
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// A running server.
#[derive(Debug)]
pub(crate) struct Serving {
    // Before the folder, so that it has ended when that is removed.
    running: Running,
    addr: SocketAddr,
    verified: String,
    _folder: TempDir,
}

impl Serving {
    /// Starts a server and verifies its settings; or why it is not to be quoted.
    pub(crate) fn start(candidate: Candidate, settings: &[Setting]) -> Result<Self, String> {
        let mut result = Err(String::new());
        for _ in 0..ATTEMPTS {
            result = Self::try_start(candidate, settings);
            if result.is_ok() {
                break;
            }
        }
        result
    }

    fn try_start(candidate: Candidate, settings: &[Setting]) -> Result<Self, String> {
        let failed = |error: io::Error| format!("it cannot be started: {error}");
        let folder = tempfile::tempdir().map_err(failed)?;
        let [port, monitoring_port] = free_ports().map_err(failed)?;
        let log = folder.path().join("log");
        let to_log = File::create(&log).map_err(failed)?;
        let mut command = candidate
            .command(settings, folder.path(), port, monitoring_port)
            .map_err(failed)?;
        command
            .stdout(to_log.try_clone().map_err(failed)?)
            .stderr(Stdio::from(to_log));
        let mut running = Running::start(&mut command).map_err(failed)?;
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let said = wait_until_it_serves(candidate, &mut running, addr, &log)?;
        let site = Site {
            addr,
            monitoring: SocketAddr::from((Ipv4Addr::LOCALHOST, monitoring_port)),
            log: &said,
        };
        let verified = verify(candidate, settings, site)?;
        Ok(Self {
            running,
            addr,
            verified,
            _folder: folder,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it said of its settings.
    pub(crate) fn verified(&self) -> &str {
        &self.verified
    }
}

/// Two ports that nobody listens on now.
fn free_ports() -> io::Result<[u16; 2]> {
    let one = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok([one.local_addr()?.port(), other.local_addr()?.port()])
}

/// Waits until it takes connections, and has said so if it is one that says more than that; what it
/// has said.
fn wait_until_it_serves(
    candidate: Candidate,
    running: &mut Running,
    addr: SocketAddr,
    log: &Path,
) -> Result<String, String> {
    let began = Instant::now();
    loop {
        let said = fs::read_to_string(log).unwrap_or_default();
        if candidate.has_said_ready(&said) && TcpStream::connect(addr).is_ok() {
            return Ok(said);
        }
        if let Ok(Some(status)) = running.ended() {
            let said = fs::read_to_string(log).unwrap_or_default();
            let last = said.lines().last().unwrap_or("nothing").trim();
            return Err(format!("it ended with {status}; it said: {last}"));
        }
        if began.elapsed() > START_TIMEOUT {
            return Err(format!("it is not ready after {START_TIMEOUT:?}"));
        }
        thread::sleep(LOOK_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_installed_peer_starts_with_its_settings_and_says_so() {
        for candidate in Candidate::ALL {
            if candidate == Candidate::Uringcast {
                continue; // A part of the program, which a test is not.
            }
            if candidate.version().is_none() {
                testing::skip(format!("{} is not installed", candidate.name()));
                continue;
            }
            let serving = Serving::start(candidate, &candidate.settings(100));
            let serving = serving.unwrap_or_else(|why| panic!("{}: {why}", candidate.name()));
            assert!(!serving.verified().is_empty());
        }
    }

    #[test]
    fn an_option_that_a_server_does_not_know_is_told_in_its_words() {
        let candidate = Candidate::Mosquitto;
        if candidate.version().is_none() {
            testing::skip(format!("{} is not installed", candidate.name()));
            return;
        }
        let why = Serving::start(candidate, &[("no_such_option", "1".into())]).unwrap_err();
        assert!(why.contains("it ended with"), "{why}");
    }
}
