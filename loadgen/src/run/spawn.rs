//! A private server: this program once more, as a child that runs the server's library.
//!
//! It listens on a free port, says which on standard error, and ends with the run, however that
//! ends: by SIGTERM when this value is dropped, by SIGKILL if it does not obey, and through the
//! kernel should this process die first (`PR_SET_PDEATHSIG`, see prctl(2)).

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};

use super::error::Error;
use crate::host::clock::{GAP_MAX, Waiting};
use crate::host::refused;

/// As the first argument, makes this program the server. Not for users.
pub(crate) const SERVE: &str = "__serve";

const START_TIMEOUT: Duration = Duration::from_secs(20);
const END_TIMEOUT: Duration = Duration::from_secs(5);
const LOG_LINES_MAX: usize = 20;

/// What a server says when it is ready: its address, the line that says so, and where its metrics are.
type Ready = (SocketAddr, String, Option<String>);

/// A running server that ends when this is dropped.
#[derive(Debug)]
pub(crate) struct SpawnedServer {
    child: Child,
    addr: SocketAddr,
    /// The line that said so.
    ready_line: String,
    /// Where it serves metrics, if it said so.
    metrics_url: Option<String>,
    /// What it said last.
    log: Arc<Mutex<VecDeque<String>>>,
}

impl SpawnedServer {
    /// Starts a server with `arguments` and waits until it listens.
    ///
    /// # Errors
    /// When it does not get as far as that, with what it said.
    pub(crate) fn start(arguments: &[String]) -> Result<Self, Error> {
        let mut child = command(arguments)
            .and_then(|mut command| command.spawn())
            .map_err(refused("start this program once more"))?;
        let log = Arc::new(Mutex::new(VecDeque::new()));
        let (found, listening) = channel();
        if let Some(stderr) = child.stderr.take() {
            let log = Arc::clone(&log);
            thread::spawn(move || follow(stderr, &log, &found));
        }
        let mut server = Self {
            child,
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            ready_line: String::new(),
            metrics_url: None,
            log,
        };
        let ready = server.wait_until_listening(&listening)?;
        (server.addr, server.ready_line, server.metrics_url) = ready;
        Ok(server)
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The line in which it said that it listens, and how.
    pub(crate) fn ready_line(&self) -> &str {
        &self.ready_line
    }

    /// Where it serves metrics, if it was told to.
    pub(crate) fn metrics_url(&self) -> Option<&str> {
        self.metrics_url.as_deref()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The last lines it said.
    pub(crate) fn log(&self) -> Vec<String> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter().cloned().collect()
    }

    fn wait_until_listening(&mut self, listening: &Receiver<Ready>) -> Result<Ready, Error> {
        let mut waiting = Waiting::since(Instant::now());
        loop {
            match listening.recv_timeout(GAP_MAX / 2) {
                Ok(ready) => return Ok(ready),
                Err(RecvTimeoutError::Timeout) if waiting.until(Instant::now()) < START_TIMEOUT => {
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(Error::ServerStart(format!(
                        "it did not say `listening on ADDR` within {START_TIMEOUT:?}{}",
                        self.last_words()
                    )));
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        // Its standard error is closed, so it has ended or is about to.
        let how = match self.wait_for_end(END_TIMEOUT) {
            Some(status) => format!("it ended with {status}"),
            None => "it closed its standard error".to_owned(),
        };
        Err(Error::ServerStart(format!("{how}{}", self.last_words())))
    }

    /// What it said about an error, or else what it said last.
    fn last_words(&self) -> String {
        let log = self.log();
        let error = log.iter().find(|line| line.starts_with("error"));
        match error.or(log.last()) {
            Some(line) => format!("; it said: {line}"),
            None => String::new(),
        }
    }

    fn wait_for_end(&mut self, timeout: Duration) -> Option<std::process::ExitStatus> {
        let mut waiting = Waiting::since(Instant::now());
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if waiting.until(Instant::now()) < timeout => {
                    thread::sleep(Duration::from_millis(5));
                }
                Ok(None) | Err(_) => return None,
            }
        }
    }
}

impl Drop for SpawnedServer {
    fn drop(&mut self) {
        if let Ok(Some(_)) = self.child.try_wait() {
            return;
        }
        // An error means that it has ended meanwhile.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        if self.wait_for_end(END_TIMEOUT).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Runs the server in this process, as the child of the load generator whose id comes first.
pub(crate) fn serve(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let parent = arguments
        .next()
        .and_then(|pid| pid.to_str()?.parse().ok())
        .and_then(Pid::from_raw);
    let tied = set_parent_process_death_signal(Some(Signal::KILL));
    // A parent that died before the signal was set up is noticed here.
    if tied.is_err() || parent.is_none() || getppid() != parent {
        eprintln!("{SERVE} is for the load generator itself");
        return ExitCode::FAILURE;
    }
    server::run([OsString::from("server")].into_iter().chain(arguments))
}

fn command(arguments: &[String]) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args([SERVE, &std::process::id().to_string()])
        .args(["--listen", "127.0.0.1:0"])
        .args(quiet_unless_asked(arguments))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    Ok(command)
}

/// A line for each of thousands of joins would cost what is to be measured.
fn quiet_unless_asked(arguments: &[String]) -> &'static [&'static str] {
    let asked = |argument: &String| argument == "--log" || argument.starts_with("--log=");
    if arguments.iter().any(asked) {
        &[]
    } else {
        &["--log", "warn"]
    }
}

/// Reads what the server says until it ends, so that it never has to wait for a reader.
fn follow(stderr: impl Read, log: &Mutex<VecDeque<String>>, found: &Sender<Ready>) {
    let mut metrics_url = None;
    for line in BufReader::new(stderr).split(b'\n') {
        let Ok(line) = line else { return };
        let line = String::from_utf8_lossy(&line).into_owned();
        if let Some((_, url)) = line.split_once("metrics on ") {
            metrics_url = Some(url.trim().to_owned());
        }
        if let Some(addr) = listening_addr(&line) {
            // Nobody waits any more for the address of a server that says it twice.
            let _ = found.send((addr, line.clone(), metrics_url.clone()));
        }
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.len() == LOG_LINES_MAX {
            log.pop_front();
        }
        log.push_back(line);
    }
}

fn listening_addr(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening on ")?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_the_ready_line() {
        let addr = |line| listening_addr(line).map(|addr| addr.to_string());
        assert_eq!(
            addr("listening on 127.0.0.1:4711 (driver uring, 1 thread)"),
            Some("127.0.0.1:4711".into())
        );
        assert_eq!(addr("INFO listening on [::1]:9"), Some("[::1]:9".into()));
        assert_eq!(addr("not listening on anything"), None);
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let said: String = (0..50).map(|line| format!("line {line}\n")).collect();
        let log = Mutex::new(VecDeque::new());
        let (found, _listening) = channel();
        follow(said.as_bytes(), &log, &found);
        let log = log.into_inner().unwrap();
        assert_eq!(log.len(), LOG_LINES_MAX);
        assert_eq!(log.back().unwrap(), "line 49");
    }
}
