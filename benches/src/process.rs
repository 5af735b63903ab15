//! Processes that a comparison starts: this program once more as server or load generator, or a
//! program of the path. Each is ended, by its id, when its owner is dropped, and nothing waits for
//! one without a limit.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use record::Report;

use crate::error::{Error, Result};
use crate::reader;

/// As the first argument, makes this program the load generator. Not for users.
pub(crate) const LOADGEN: &str = "__loadgen";

/// As the first argument, makes the load generator a server that ends when the process does whose id
/// follows.
const SERVE: &str = "__serve";

/// Exit statuses of a measurement that was made: valid, INVALID, an objective broken.
const MADE: [Option<i32>; 3] = [Some(0), Some(3), Some(4)];

/// How often it is looked whether a process has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// What a run may take beyond what it measures: connecting, warming up, draining, reporting.
pub(crate) const OVERHEAD_MAX: Duration = Duration::from_secs(120);

/// Runs load generator, server or reader, if that is what this process was started for; the caller then
/// exits with what is returned.
pub(crate) fn run_if_asked() -> Option<ExitCode> {
    let mut arguments: Vec<_> = std::env::args_os().collect();
    match arguments.get(1)?.to_str()? {
        reader::READ => Some(reader::run(&arguments[2..])),
        LOADGEN => {
            arguments.remove(1);
            Some(loadgen::run(arguments))
        }
        // What the load generator starts this program for, such as its own server.
        own if own.starts_with("__") => Some(loadgen::run(arguments)),
        _ => None,
    }
}

/// Runs the load generator with `arguments`, for `timeout` at most, and reads its report.
///
/// # Errors
/// In one line: what kept it from making a measurement, in its own words where it had any.
pub(crate) fn measure(
    arguments: &[String],
    timeout: Duration,
) -> std::result::Result<Report, String> {
    let failed = |error: io::Error| format!("the load generator cannot be run: {error}");
    let folder = tempfile::tempdir().map_err(failed)?;
    let (json, said) = (folder.path().join("run.json"), folder.path().join("said"));
    let mut command = Command::new(std::env::current_exe().map_err(failed)?);
    command
        .arg(LOADGEN)
        .args(arguments)
        .arg("--json")
        .arg(&json);
    command
        .stdout(Stdio::null())
        .stderr(File::create(&said).map_err(failed)?);
    let mut running = Running::start(&mut command).map_err(failed)?;
    match running.wait(timeout).map_err(failed)? {
        None => Err(format!("not over after {:.0} s", timeout.as_secs_f64())),
        Some(status) if MADE.contains(&status.code()) => parse(&json),
        Some(status) => Err(format!("{status} ({})", complaint(&said))),
    }
}

/// The same for a program that ends where a run cannot be made.
pub(crate) fn must_measure(arguments: &[String], timeout: Duration) -> Result<Report> {
    let failed = |why| Error::Run(format!("loadgen {}: {why}", arguments.join(" ")));
    measure(arguments, timeout).map_err(failed)
}

fn parse(json: &Path) -> std::result::Result<Report, String> {
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

/// The words of a command line.
pub(crate) fn words(flags: &str) -> Vec<String> {
    flags.split_ascii_whitespace().map(str::to_owned).collect()
}

/// Where a program of this name is: in the path, or where servers are kept.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let mut files = folders.map(|folder| folder.join(program));
    files.find(|file| file.is_file())
}

/// A running process that is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Running(Child);

impl Running {
    /// Starts `command`, which reads nothing.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        command.stdin(Stdio::null()).spawn().map(Self)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Waits until it ends by itself; `None` if it has not within `timeout`.
    pub(crate) fn wait(&mut self, timeout: Duration) -> io::Result<Option<ExitStatus>> {
        let began = Instant::now();
        loop {
            let status = self.0.try_wait()?;
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
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server of this program on a free port. It is ended when this is dropped, and ends by itself when
/// this process does.
#[derive(Debug)]
pub(crate) struct Server {
    running: Running,
    pub(crate) addr: SocketAddr,
    /// The line in which it said so.
    pub(crate) ready_line: String,
}

impl Server {
    /// Starts a server with `arguments`, and waits until it listens.
    pub(crate) fn start(arguments: &[String]) -> Result<Self> {
        let failed = Error::system("start the server");
        let mut command = Command::new(std::env::current_exe().map_err(&failed)?);
        command.args([SERVE, &std::process::id().to_string()]);
        command
            .args(["--listen", "127.0.0.1:0", "--log", "warn"])
            .args(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut running = Running::start(&mut command).map_err(&failed)?;
        let said = running
            .0
            .stderr
            .take()
            .expect("its standard error is a pipe");
        let mut said = BufReader::new(said);
        let (addr, ready_line) = wait_until_listening(&mut said).map_err(Error::Run)?;
        // What it says later is read, so that it never has to wait for a reader.
        thread::spawn(move || io::copy(&mut said, &mut io::sink()));
        Ok(Self {
            running,
            addr,
            ready_line,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// What a load generator is told of it.
    pub(crate) fn flags(&self) -> [String; 2] {
        [
            format!("--addr={}", self.addr),
            format!("--server-pid={}", self.pid()),
        ]
    }
}

/// The address that a server says it listens on. One that cannot listen ends, and so do its words.
fn wait_until_listening(
    said: &mut impl BufRead,
) -> std::result::Result<(SocketAddr, String), String> {
    let mut last = String::new();
    for line in said.lines() {
        let line = line.map_err(|error| format!("the server cannot be heard: {error}"))?;
        let rest = line.split_once("listening on ").map(|(_, rest)| rest);
        let addr = rest.and_then(|rest| rest.split(' ').next()?.parse().ok());
        if let Some(addr) = addr {
            return Ok((addr, line));
        }
        last = line;
    }
    Err(format!("the server ended without listening ({last})"))
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
        let mut said = &b"WARN hot\nlistening on 127.0.0.1:4711 (driver epoll)\nmore\n"[..];
        let (addr, line) = wait_until_listening(&mut said).unwrap();
        assert_eq!(
            (addr.port(), &*line),
            (4711, "listening on 127.0.0.1:4711 (driver epoll)")
        );
        let error = wait_until_listening(&mut &b"error: no ring\n"[..]).unwrap_err();
        assert!(error.contains("error: no ring"), "{error}");
    }

    #[test]
    fn programs_are_found_by_name() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-anywhere").is_none());
    }
}
