//! The server's program as a child process, which ends with this value.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};

use super::{DEADLINE, Setup};

const PROGRAM: &str = env!("CARGO_BIN_EXE_server");

/// A running server.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) address: SocketAddr,
    /// Where it serves metrics, if it was told to.
    pub(crate) metrics: Option<SocketAddr>,
    child: Child,
    /// What it writes on standard error, line by line, until it ends.
    lines: Receiver<String>,
}

impl Program {
    /// Starts the program on a free port of the loopback.
    pub(crate) fn start(setup: Setup, arguments: &[&str]) -> Self {
        Self::spawn(Command::new(PROGRAM), setup, arguments)
    }

    /// As [`Self::start`], with a limit on open files that the program cannot raise.
    pub(crate) fn start_with_descriptors(
        descriptors: u32,
        setup: Setup,
        arguments: &'static [&'static str],
    ) -> Self {
        let limited = move || {
            // Root may raise any limit; a process without this capability is root no more in that.
            // Fails for ordinary users, who have not got it.
            let _ = remove_capability_from_bounding_set(CapabilitySet::SYS_RESOURCE);
            let mut shell = Command::new("/bin/sh");
            let limit = format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"");
            shell.args(["-c", &limit, PROGRAM]);
            Self::spawn(shell, setup, arguments)
        };
        // The capability is lost to one thread only, and to the processes that it starts.
        thread::spawn(limited).join().unwrap()
    }

    fn spawn(mut command: Command, setup: Setup, arguments: &[&str]) -> Self {
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let mut child = command
            .args(["--driver", &setup.driver.to_string()])
            .args(["--threads", &setup.threads.to_string()])
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let lines = lines_of(child.stderr.take().expect("it is piped"));
        let mut program = Self {
            address: ([0, 0, 0, 0], 0).into(),
            metrics: None,
            child,
            lines,
        };
        if arguments.contains(&"--metrics-listen") {
            let line = program.line_with("metrics on http://");
            let url = line.trim_start_matches("metrics on http://");
            let address = url.trim_end_matches("/metrics").parse();
            program.metrics = Some(address.expect("an address"));
        }
        let ready = program.line_with("listening on ");
        let address = ready.split_whitespace().nth(2).expect("an address");
        program.address = address.parse().expect("an address");
        program
    }

    /// The next line that has `part` in it.
    pub(crate) fn line_with(&self, part: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(DEADLINE);
            let line = line.unwrap_or_else(|error| panic!("no {part:?} in what it says: {error}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Has it read its configuration again.
    pub(crate) fn reload(&self) {
        self.signal(Signal::HUP);
    }

    /// Keeps it from running, as if it were busy.
    pub(crate) fn hold(&self) {
        self.signal(Signal::STOP);
    }

    /// Ends what [`Self::hold`] began.
    pub(crate) fn let_go(&self) {
        self.signal(Signal::CONT);
    }

    /// The exit status, once it has ended by itself.
    pub(crate) fn exit_code(mut self) -> i32 {
        // Its end of the pipe is closed when it has ended.
        let silence = loop {
            if let Err(silence) = self.lines.recv_timeout(DEADLINE) {
                break silence;
            }
        };
        assert_eq!(silence, RecvTimeoutError::Disconnected, "it does not end");
        let status = self.child.wait().expect("the child is ours");
        let by_signal = || panic!("ended by signal {:?}", status.signal());
        status.code().unwrap_or_else(by_signal)
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.child.id());
        std::fs::read_dir(folder).expect("it runs").count()
    }

    /// A figure of its `status` file that is given in kB, in bytes.
    pub(crate) fn memory(&self, name: &str) -> u64 {
        let status = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(status).expect("it runs");
        let value = field(&status, name);
        let kib: u64 = value.trim_end_matches(" kB").parse().expect("kB");
        kib * 1024
    }

    /// The processors that each of its threads may run on, by the thread's name.
    pub(crate) fn processors_of_threads(&self) -> BTreeMap<String, String> {
        let statuses = self.statuses_of_threads();
        let allowed =
            |(name, status): (String, String)| (name, field(&status, "Cpus_allowed_list"));
        statuses.into_iter().map(allowed).collect()
    }

    /// What the kernel says of each of its threads, by the thread's name (proc_pid_status(5)).
    pub(crate) fn statuses_of_threads(&self) -> BTreeMap<String, String> {
        let folder = format!("/proc/{}/task", self.child.id());
        let threads = std::fs::read_dir(folder).expect("it runs");
        threads
            .filter_map(|thread| {
                // A thread may have ended since it was listed.
                let status = std::fs::read_to_string(thread.ok()?.path().join("status")).ok()?;
                Some((field(&status, "Name"), status))
            })
            .collect()
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the child is there");
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a `status` file of the kernel says of `name`.
fn field(status: &str, name: &str) -> String {
    let mut lines = status.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(found, _)| *found == name).expect("a field");
    value.trim().to_owned()
}

fn lines_of(stderr: ChildStderr) -> Receiver<String> {
    let (tell, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            // Whoever does not listen any more does not keep the program from writing.
            let _ = tell.send(line);
        }
    });
    lines
}
