//! Processes that a comparison starts: this program once more as server or load generator, or a
//! program of the path. Each is ended, by its id, when its owner is dropped, and nothing waits for
//! one without a limit.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use record::Report;

use crate::error::{Error, Result};
use crate::reader;

/// What a run may take beyond what it measures: connecting, warming up, draining, reporting.
pub(crate) const OVERHEAD_MAX: Duration = Duration::from_secs(120);

/// As the first argument, makes this program the load generator. Not for users.
pub(crate) const LOADGEN: &str = "__loadgen";

/// As the first argument, makes the load generator a server that ends when the process does whose id
/// follows.
pub(crate) const SERVE: &str = "__serve";

/// Exit statuses of a measurement that was made: valid, INVALID, an objective broken.
const MADE: [Option<i32>; 3] = [Some(0), Some(3), Some(4)];

/// How often it is looked whether a process has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Runs load generator, server or reader, if that is what this process was started for; the caller then
/// exits with what is returned.
pub(crate) fn run_if_asked() -> Option<ExitCode> {
    let mut arguments: Vec<_> = std::env::args_os().collect();
    match arguments.get(1)?.to_str()? {
        reader::READ => Some(reader::run(arguments.get(2)?)),
        LOADGEN => {
            arguments.remove(1);
            Some(loadgen::run(arguments))
        }
        // What the load generator starts this program for, such as its own server.
        own if own.starts_with("__") => Some(loadgen::run(arguments)),
        _ => None,
    }
}

/// Exit status: 0 all is as wanted, 1 it could not be made, 3 a bound is missed or a run is invalid.
pub(crate) fn exit_code(done: Result<bool>) -> ExitCode {
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(3),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the load generator with `arguments`, for `timeout` at most, and reads its report; or why it made no
/// measurement, in its own words where it had any.
pub(crate) fn measure(arguments: &[String], timeout: Duration) -> Result<Report> {
    let folder = tempfile::tempdir()?;
    let (json, said) = (folder.path().join("run.json"), folder.path().join("said"));
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(LOADGEN).args(arguments);
    command.arg("--json").arg(&json);
    command.stdout(Stdio::null()).stderr(File::create(&said)?);
    match Running::start(&mut command)?.wait(timeout)? {
        Some(status) if MADE.contains(&status.code()) => parse(&json),
        Some(status) => Err(Error::Run(format!("{status} ({})", complaint(&said)))),
        None => Err(Error::Run(format!("not over after {timeout:.0?}"))),
    }
}

fn parse(json: &Path) -> Result<Report> {
    let text = fs::read(json)?;
    let wrong = |error| Error::Run(format!("its report is not understood: {error}"));
    serde_json::from_slice(&text).map_err(wrong)
}

/// What a program complained of in its log.
pub(crate) fn complaint(said: &Path) -> String {
    let said = fs::read_to_string(said).unwrap_or_default();
    let error = said.lines().find(|line| line.starts_with("error"));
    let line = error.or(said.lines().last()).unwrap_or("nothing");
    line.trim().to_owned()
}

/// The bytes that a text of a file stands for, a character each.
pub(crate) fn bytes_of(text: &str) -> Vec<u8> {
    let byte = |letter| u8::try_from(letter).expect("a character up to U+00FF");
    text.chars().map(byte).collect()
}

/// The words of a command line.
pub(crate) fn words(flags: &str) -> Vec<String> {
    flags.split_ascii_whitespace().map(str::to_owned).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_does_not_end_is_not_waited_for_and_is_ended() {
        let mut running = Running::start(Command::new("sleep").arg("600")).unwrap();
        let proc = std::path::PathBuf::from(format!("/proc/{}", running.pid()));
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
        let error = parse(&said).unwrap_err().to_string();
        assert!(error.contains("report is not understood"), "{error}");
    }
}
