//! The client as a process with pipes.

use std::fmt::Display;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, waitid};

use super::DEADLINE;

/// What a finished client left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A running client.
pub(crate) struct Client {
    child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    stdout: mpsc::Receiver<String>,
    stderr: mpsc::Receiver<String>,
}

/// The command with an environment that nothing leaks into.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
    command.env_clear().env("USER", "login").env("TZ", "UTC");
    command
}

/// A client of the server at `address`.
pub(crate) fn start(address: impl Display, arguments: &[&str]) -> Client {
    let mut command = command();
    command
        .args(["--addr", &address.to_string()])
        .args(arguments);
    spawn(command)
}

/// Runs `command` with pipes at all three ends.
pub(crate) fn spawn(mut command: Command) -> Client {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the client starts");
    Client {
        stdin: child.stdin.take(),
        stdout: lines(child.stdout.take().unwrap()),
        stderr: lines(child.stderr.take().unwrap()),
        child,
    }
}

/// Runs `command` with `input` to its end.
pub(crate) fn run(command: Command, input: &[u8]) -> Finished {
    let mut client = spawn(command);
    client.write(input);
    client.finish()
}

fn lines(stream: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        loop {
            let mut line = Vec::new();
            match stream.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => drop(sender.send(String::from_utf8_lossy(&line).into_owned())),
            }
        }
    });
    receiver
}

impl Client {
    /// Writes to its standard input, which may be closed already.
    pub(crate) fn write(&mut self, input: &[u8]) {
        if let Some(stdin) = &mut self.stdin {
            let _ = stdin.write_all(input);
        }
    }

    /// The next line of its standard output, without its end.
    pub(crate) fn line(&self) -> String {
        let line = self
            .stdout
            .recv_timeout(DEADLINE)
            .expect("a line on standard output");
        line.trim_end_matches('\n').to_owned()
    }

    /// The next line of its standard error, without its end.
    pub(crate) fn error_line(&self) -> String {
        let line = self
            .stderr
            .recv_timeout(DEADLINE)
            .expect("a line on standard error");
        line.trim_end_matches('\n').to_owned()
    }

    /// Ends its input and waits for its end.
    pub(crate) fn finish(mut self) -> Finished {
        drop(self.stdin.take());
        self.wait()
    }

    /// Waits for its end; its input stays open.
    pub(crate) fn wait(mut self) -> Finished {
        let status = wait(&mut self.child);
        Finished {
            code: status.code(),
            stdout: self.stdout.iter().collect(),
            stderr: self.stderr.iter().collect(),
        }
    }

    /// Stops it; returns when it has stopped.
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
        let stopped = WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(Pid::from_child(&self.child)), stopped).expect("it stops");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        signal_child(&self.child, signal);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn signal_child(child: &Child, signal: Signal) {
    rustix::process::kill_process(Pid::from_child(child), signal).expect("the client is alive");
}

/// Waits for the end of `child`, which is killed at the deadline.
pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).unwrap();
    let deadline = Timespec::try_from(DEADLINE).unwrap();
    let ended = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&deadline)).unwrap();
    if ended == 0 {
        let _ = child.kill();
        panic!("the client did not end");
    }
    child.wait().unwrap()
}
