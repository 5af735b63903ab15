//! Processes that a comparison starts: this program once more as server or load generator, or a
//! program of the path. Each is ended, by its id, when its owner is dropped, and nothing waits for
//! one without a limit.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use record::Report;

use crate::Error;

/// As the first argument, makes this program the load generator. Not for users.
pub const LOADGEN: &str = "__loadgen";

/// As the first argument, makes this program the server. Not for users.
pub const SERVER: &str = "__server";

/// As the first argument, makes the load generator a server that ends when the process does whose id
/// follows.
const SERVE: &str = "__serve";

/// Exit statuses of a measurement that was made: valid, INVALID, an objective broken.
const MADE: [i32; 3] = [0, 3, 4];

/// How often it is looked whether a process has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Runs load generator, server or reader, if that is what this process was started for; the caller then
/// exits with what is returned.
#[must_use]
pub fn run_if_asked() -> Option<ExitCode> {
    if let Some(status) = crate::reader::run_if_asked() {
        return Some(status);
    }
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
        // What the load generator starts this program for, such as its own server.
        own if own.starts_with("__") => Some(loadgen::run(arguments)),
        _ => None,
    }
}

/// What a run may take beyond what it measures: connecting, warming up, draining, reporting.
pub const OVERHEAD_MAX: Duration = Duration::from_secs(120);

/// Runs the load generator with `arguments`, for `timeout` at most, and reads its report.
///
/// # Errors
/// In one line: what kept it from making a measurement, in its own words where it had any.
pub fn measure(arguments: &[String], timeout: Duration) -> Result<Report, String> {
    let failed = |error: io::Error| format!("the load generator cannot be run: {error}");
    let folder = tempfile::tempdir().map_err(failed)?;
    let (json, said) = (folder.path().join("run.json"), folder.path().join("said"));
    let mut running = Running::start(
        Command::new(std::env::current_exe().map_err(failed)?)
            .arg(LOADGEN)
            .args(arguments)
            .arg("--json")
            .arg(&json)
            .stdout(Stdio::null())
            .stderr(File::create(&said).map_err(failed)?),
    )
    .map_err(failed)?;
    match running.wait(timeout).map_err(failed)? {
        None => Err(format!("not over after {:.0} s", timeout.as_secs_f64())),
        Some(status) if status.code().is_some_and(|code| MADE.contains(&code)) => parse(&json),
        Some(status) => Err(format!("{status} ({})", complaint(&said))),
    }
}

/// The same for a program that ends where a run cannot be made.
///
/// # Errors
/// [`Error::Run`], with the command.
pub fn must_measure(arguments: &[String], timeout: Duration) -> Result<Report, Error> {
    let failed = |why| Error::Run(format!("loadgen {}: {why}", arguments.join(" ")));
    measure(arguments, timeout).map_err(failed)
}

fn parse(json: &Path) -> Result<Report, String> {
    let text = fs::read(json).map_err(|error| format!("it wrote no report: {error}"))?;
    serde_json::from_slice(&text).map_err(|error| format!("its report is not understood: {error}"))
}

/// What the load generator complained of.
fn complaint(said: &Path) -> String {
    let said = fs::read_to_string(said).unwrap_or_default();
    let error = said.lines().find(|line| line.starts_with("error"));
    let line = error.or(said.lines().last()).unwrap_or("nothing");
    line.trim().to_owned()
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

/// A server of this program on a free port. It is ended when this is dropped, and ends by itself when
/// this process does.
#[derive(Debug)]
pub struct Server {
    running: Running,
    addr: SocketAddr,
}

impl Server {
    /// Starts a server with `arguments`, and waits until it listens.
    ///
    /// # Errors
    /// [`Error::Run`]: why it does not, in its own words where it had any.
    pub fn start(arguments: &[String]) -> Result<Self, Error> {
        Self::try_start(arguments).map_err(Error::Run)
    }

    fn try_start(arguments: &[String]) -> Result<Self, String> {
        let failed = |error: io::Error| format!("the server cannot be started: {error}");
        let mut running = Running::start(
            Command::new(std::env::current_exe().map_err(failed)?)
                .args([SERVE, &std::process::id().to_string()])
                .args(["--listen", "127.0.0.1:0", "--log", "warn"])
                .args(arguments)
                .stdout(Stdio::null())
                .stderr(Stdio::piped()),
        )
        .map_err(failed)?;
        let said = running.child.stderr.take().ok_or("it has no words")?;
        let mut said = BufReader::new(said);
        let addr = wait_until_listening(&mut said)?;
        // What it says later is read, so that it never has to wait for a reader.
        thread::spawn(move || io::copy(&mut said, &mut io::sink()));
        Ok(Self { running, addr })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }
}

/// The address that a server says it listens on. One that cannot listen ends, and so do its words.
fn wait_until_listening(said: &mut impl BufRead) -> Result<SocketAddr, String> {
    let mut last = String::new();
    for line in said.lines() {
        let line = line.map_err(|error| format!("the server cannot be heard: {error}"))?;
        if let Some(addr) = listening_addr(&line) {
            return Ok(addr);
        }
        last = line;
    }
    Err(format!("the server ended without listening ({last})"))
}

fn listening_addr(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening on ")?;
    rest.split_ascii_whitespace().next()?.parse().ok()
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
    fn a_complaint_is_the_line_that_says_error() {
        let folder = tempfile::tempdir().unwrap();
        let said = folder.path().join("said");
        assert_eq!(complaint(&said), "nothing");
        fs::write(&said, "starting\nerror: no server \nbye\n").unwrap();
        assert_eq!(complaint(&said), "error: no server");
        let error = parse(&said).unwrap_err();
        assert!(error.contains("report is not understood"), "{error}");
    }

    #[test]
    fn a_server_is_known_to_listen_when_it_says_so() {
        let mut said =
            &b"WARN hot\nlistening on 127.0.0.1:4711 (driver epoll, 1 thread)\nmore\n"[..];
        let addr = wait_until_listening(&mut said).unwrap();
        assert_eq!(addr.to_string(), "127.0.0.1:4711");
        let error = wait_until_listening(&mut &b"error: no ring\n"[..]).unwrap_err();
        assert!(error.to_string().contains("error: no ring"), "{error}");
    }

    #[test]
    fn programs_are_found_by_name() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-anywhere").is_none());
    }
}
