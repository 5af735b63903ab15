//! A server of this program, for clients that are not all the load generator's.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use benches::process::{self, Running};
use tempfile::TempDir;

const START_TIMEOUT: Duration = Duration::from_secs(10);
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// A running server, on a free port of the loopback; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Serving {
    // Before the folder, so that it has ended when that is removed.
    running: Running,
    pub(crate) addr: SocketAddr,
    _folder: TempDir,
}

impl Serving {
    /// Starts a server with these arguments beside its own.
    ///
    /// # Errors
    /// In one line: what kept it from serving, in its own words where it had any.
    pub(crate) fn start(arguments: &[String]) -> Result<Self, String> {
        let failed = |error: io::Error| format!("the server cannot be started: {error}");
        let folder = tempfile::tempdir().map_err(failed)?;
        let log = folder.path().join("log");
        let mut running = Running::start(
            Command::new(std::env::current_exe().map_err(failed)?)
                .arg(process::SERVER)
                .args(["--listen", "127.0.0.1:0", "--log", "warn"])
                .args(arguments)
                .stdout(Stdio::null())
                .stderr(File::create(&log).map_err(failed)?),
        )
        .map_err(failed)?;
        let addr = wait_until_it_serves(&mut running, &log)?;
        Ok(Self {
            running,
            addr,
            _folder: folder,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }
}

/// Waits until it says where it listens.
fn wait_until_it_serves(running: &mut Running, log: &Path) -> Result<SocketAddr, String> {
    let began = Instant::now();
    loop {
        // Looked at first: what it said before it ended is read after that.
        let ended = running.ended().ok().flatten();
        let said = fs::read_to_string(log).unwrap_or_default();
        if let Some(addr) = said.lines().find_map(listening_addr) {
            return Ok(addr);
        }
        if let Some(status) = ended {
            let last = said.lines().last().unwrap_or("nothing").trim();
            return Err(format!("the server ended with {status}; it said: {last}"));
        }
        if began.elapsed() > START_TIMEOUT {
            return Err(format!(
                "the server does not listen after {START_TIMEOUT:?}"
            ));
        }
        thread::sleep(LOOK_INTERVAL);
    }
}

/// The address in a whole line that has one; the end of what is read may be half of it.
fn listening_addr(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening on ")?;
    let (addr, _) = rest.split_once(' ')?;
    addr.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_an_address_is_none() {
        let addr = listening_addr("INFO listening on 127.0.0.1:4711 (uring)");
        assert_eq!(addr, Some(([127, 0, 0, 1], 4711).into()));
        assert_eq!(listening_addr("listening on 127.0.0.1:47"), None);
    }
}
