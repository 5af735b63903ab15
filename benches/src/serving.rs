//! A candidate's server: started on a free port with a folder of its own, verified, and ended with its value.
//! Ours is this program once more; others are found in the path, and asked for their settings, as a server
//! that was misunderstood is not to be quoted.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::declared::{Candidate, Program};
use crate::error::{Error, Result};
use crate::process::{self, Running, bytes_of, words};

/// A running server.
#[derive(Debug)]
pub(crate) struct Serving {
    // Before the folder, so that it has ended when that is removed.
    running: Running,
    port: u16,
    monitoring: u16,
    /// What it said of its settings.
    pub(crate) verified: String,
    _folder: TempDir,
}

/// Connections beside the clients': publishers, and one that asks for settings.
const CONNECTIONS_OTHER: u32 = 1000;

/// How often a server may end at once before that is a failure: a port that was free may be taken.
const ATTEMPTS: u32 = 3;

const START_TIMEOUT: Duration = Duration::from_secs(10);
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

impl Candidate {
    /// Its server; ours is this program once more, which ends when this process does.
    fn server(&self) -> Program {
        let (serve, parent, server) = (process::SERVE, std::process::id(), &self.server);
        let listen = "--listen 127.0.0.1:{port} --log warn";
        let ours = || Program {
            command: format!("{{this}} {serve} {parent} {listen} {server}"),
            settings: vec![server.trim().to_owned()],
            ready: format!("listening on 127.0.0.1:{{port}} ({}", self.ready),
            ..Program::default()
        };
        self.program.clone().unwrap_or_else(ours)
    }

    /// The first line in which it tells its version; `None` if it is not installed.
    pub(crate) fn version(&self) -> Option<String> {
        let Some(program) = &self.program else {
            return Some(format!("uringcast {}", env!("CARGO_PKG_VERSION")));
        };
        let version = program
            .version
            .replace("{benches}", env!("CARGO_MANIFEST_DIR"));
        let output = command(&version).ok()?.output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find(|line| !line.trim().is_empty())?;
        Some(line.trim().to_owned())
    }

    /// Its settings, for a reader.
    pub(crate) fn settings(&self, clients: u32) -> String {
        let connections = (clients + CONNECTIONS_OTHER).to_string();
        let settings = self.server().settings.into_iter();
        let settings =
            settings.map(|it| format!("`{}`", it.replace("{connections}", &connections)));
        settings.collect::<Vec<_>>().join(", ")
    }
}

impl Serving {
    /// Starts a server for `clients` clients and verifies its settings; or why it is not to be quoted.
    pub(crate) fn start(candidate: &Candidate, clients: u32) -> Result<Self> {
        let program = candidate.server();
        let mut attempts = (0..ATTEMPTS).map(|_| Self::try_start(&program, clients));
        let started = attempts.find(Result::is_ok);
        started.unwrap_or_else(|| Self::try_start(&program, clients))
    }

    fn try_start(program: &Program, clients: u32) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let [port, monitoring] = free_ports()?;
        let (config, log) = (folder.path().join("config"), folder.path().join("log"));
        let replaced = |text: &str| {
            text.replace("{port}", &port.to_string())
                .replace("{monitoring}", &monitoring.to_string())
                .replace("{folder}", &folder.path().to_string_lossy())
                .replace("{config}", &config.to_string_lossy())
                .replace("{connections}", &(clients + CONNECTIONS_OTHER).to_string())
                .replace("{benches}", env!("CARGO_MANIFEST_DIR"))
        };
        let lines = program.config.iter().chain(&program.settings);
        let lines: String = lines.map(|line| replaced(line) + "\n").collect();
        fs::write(&config, lines)?;
        let said = File::create(&log)?;
        let mut command = command(&replaced(&program.command))?;
        let mut running = Running::start(command.stdout(said.try_clone()?).stderr(said))?;
        let ready = replaced(&program.ready);
        let mut verified = wait_until_it_serves(&mut running, &ready, port, &log)?;
        if !program.ask.is_empty() {
            let at = [port, monitoring][usize::from(program.is_asked_at_monitoring)];
            let answer = program.answer(at)?;
            let mut expected = program.expect.iter().map(|text| replaced(text));
            if let Some(missing) = expected.find(|text| !answer.contains(text)) {
                let why = format!("{missing:?} is missing in what it says of itself: {answer:?}");
                return Err(Error::Run(why));
            }
            verified.clone_from(&program.confirmed);
        }
        Ok(Self {
            running,
            port,
            monitoring,
            verified,
            _folder: folder,
        })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// What the load generator is told: `load`, and of this server.
    pub(crate) fn flags(&self, load: &str) -> Vec<String> {
        let load = load.replace("{monitoring}", &self.monitoring.to_string());
        let (addr, pid) = (self.addr(), self.pid());
        words(&format!("--quiet --addr {addr} --server-pid {pid} {load}"))
    }
}

impl Program {
    /// All that it says of its settings until it closes the connection.
    fn answer(&self, port: u16) -> io::Result<String> {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&addr, ANSWER_TIMEOUT)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.write_all(&bytes_of(&self.ask))?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer.into_iter().map(char::from).collect())
    }
}

/// The command of a line, whose program is in the path, or where servers are kept.
fn command(line: &str) -> io::Result<Command> {
    let mut words = line.split_ascii_whitespace();
    let mut command = match words.next() {
        Some("{this}") => Command::new(std::env::current_exe()?),
        program => Command::new(program.unwrap_or_default()),
    };
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", path + ":/usr/sbin:/usr/local/sbin");
    command.args(words);
    Ok(command)
}

/// Two ports that nobody listens on now.
fn free_ports() -> io::Result<[u16; 2]> {
    let one = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok([one.local_addr()?.port(), other.local_addr()?.port()])
}

/// Waits until it says that it serves, and returns that line; or until it takes connections, if it says
/// nothing.
fn wait_until_it_serves(
    running: &mut Running,
    ready: &str,
    port: u16,
    log: &Path,
) -> Result<String> {
    let began = Instant::now();
    loop {
        let said = fs::read_to_string(log).unwrap_or_default();
        if ready.is_empty() && TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok("it cannot be asked".into());
        }
        let mut lines = said.lines().filter(|_| !ready.is_empty());
        if let Some(line) = lines.find(|line| line.contains(ready)) {
            return Ok(format!("it says: {}", line.trim()));
        }
        let how = match running.wait(LOOK_INTERVAL) {
            Ok(Some(status)) => format!("it ended with {status}"),
            _ if began.elapsed() < START_TIMEOUT => continue,
            _ => format!("it is not ready after {START_TIMEOUT:?}"),
        };
        let said = process::complaint(log);
        return Err(Error::Run(format!("{how}; it said: {said}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declared::Declared;

    /// The peers that are installed.
    fn installed() -> Vec<Candidate> {
        let peers = Declared::of("peers").candidates.into_iter();
        let peers = peers.filter(|candidate| candidate.program.is_some());
        let (installed, others): (_, Vec<Candidate>) =
            peers.partition(|candidate| candidate.version().is_some());
        for Candidate { name, .. } in others {
            testing::skip(format!("{name} is not installed"));
        }
        installed
    }

    #[test]
    fn every_installed_peer_starts_with_its_settings_and_says_so() {
        for candidate in installed() {
            let serving = Serving::start(&candidate, 100);
            let serving = serving.unwrap_or_else(|why| panic!("{}: {why}", candidate.name));
            assert!(!serving.verified.is_empty());
        }
    }

    /// Why a server with this program is not quoted.
    fn refused(program: &Program) -> String {
        Serving::try_start(program, 100).unwrap_err().to_string()
    }

    #[test]
    fn a_peer_that_says_something_else_or_does_not_start_is_not_quoted() {
        for candidate in installed() {
            let program = candidate.server();
            for at in 0..program.expect.len() {
                let mut program = program.clone();
                program.expect[at] = "another value".into();
                let why = refused(&program);
                assert!(why.contains("is missing"), "{why}");
            }
            let mut program = program;
            program.settings.push("no_such_option at all".into());
            let why = refused(&program);
            assert!(why.contains("it ended with"), "{why}");
        }
    }

    #[test]
    fn a_server_with_another_driver_is_not_quoted() {
        let listening = "listening on 127.0.0.1:{port} (driver";
        let ready = format!("{listening} uring");
        let ours = |driver: &str, then: &str| Program {
            command: "sh {config}".into(),
            config: vec![format!("echo '{listening} {driver})'"), then.into()],
            ready: ready.clone(),
            ..Program::default()
        };
        let candidate = Candidate {
            ready: "driver uring".into(),
            ..Candidate::default()
        };
        assert_eq!(candidate.server().ready, ready);
        assert!(Serving::try_start(&ours("uring", "sleep 600"), 1).is_ok());
        let why = refused(&ours("epoll", "exit 1"));
        assert!(why.contains("it said: listening"), "{why}");
    }
}
