//! Processes that a comparison starts: this program once more as server or load generator, or a
//! program of the path. Each is ended, by its id, when its owner is dropped, and nothing waits for
//! one without a limit.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// As the first argument, makes this program the load generator. Not for users.
pub const LOADGEN: &str = "__loadgen";

/// As the first argument, makes this program the server. Not for users.
pub const SERVER: &str = "__server";

/// How often it is looked whether a process has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Runs load generator or server, if that is what this process was started for.
#[must_use]
pub fn run_if_asked() -> Option<ExitCode> {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let first = arguments.get(1)?.to_str()?.to_owned();
    match first.as_str() {
        LOADGEN => {
            arguments.remove(1);
            Some(loadgen::run(arguments))
        }
        SERVER => {
            arguments.remove(1);
            Some(server::run(arguments))
        }
        _ => None,
    }
}

/// Where a program of this name is: in the path, or where servers are kept.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// A running process that is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
}

impl Running {
    /// Starts `command`, which reads nothing.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let child = command.stdin(Stdio::null()).spawn()?;
        Ok(Self { child })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended; `None` if it still runs.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits until it ends by itself; `None` if it has not within `timeout`.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<Option<ExitStatus>> {
        let began = Instant::now();
        loop {
            let status = self.ended()?;
            if status.is_some() || began.elapsed() >= timeout {
                return Ok(status);
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended meanwhile.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_does_not_end_is_not_waited_for_and_is_ended() {
        let mut running = Running::start(Command::new("sleep").arg("600")).unwrap();
        let proc = PathBuf::from(format!("/proc/{}", running.pid()));
        assert!(running.wait(Duration::ZERO).unwrap().is_none());
        assert!(proc.exists());
        drop(running);
        assert!(!proc.exists());
    }

    #[test]
    fn programs_are_found_by_name() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-anywhere").is_none());
    }
}
