//! A candidate's server: started on a free port with a folder of its own, verified, and ended with its value.
//! Ours is this program once more; others are found in the path, and asked for their settings, as a server
//! that was misunderstood is not to be quoted.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tempfile::TempDir;

use crate::declared::Candidate;
use crate::process::{self, Running, words};

/// A server. In texts, `{port}`, `{monitoring}`, `{folder}`, `{config}`, `{connections}`, `{this}` (this program)
/// and `{benches}` (the folder of this crate) are replaced.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Program {
    command: String,
    /// The command that tells its version.
    #[serde(default)]
    version: String,
    /// The lines of its configuration: where it listens and what it logs.
    #[serde(default)]
    config: Vec<String>,
    /// The lines that readers should know: what its manual offers for many receivers.
    #[serde(default)]
    pub(crate) settings: Vec<String>,
    /// A part of the line in which it says that it serves; without, it is connected to.
    #[serde(default)]
    ready: String,
    ask: Option<Ask>,
}

/// How a running server tells its settings. Texts are bytes, a character each.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    /// At its second port, not where it serves.
    #[serde(default)]
    monitoring: bool,
    /// What it is sent; it closes the connection after its answer.
    send: String,
    /// All of this is in the answer,
    expect: Vec<String>,
    /// and nothing of this.
    #[serde(default)]
    refuse: Vec<String>,
    /// What that says, in words.
    confirmed: String,
}

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

impl Program {
    /// This program once more, as the server; it ends when this process does.
    fn ours(candidate: &Candidate) -> Self {
        let (serve, parent) = (process::SERVE, std::process::id());
        let server = &candidate.server;
        Self {
            command: format!(
                "{{this}} {serve} {parent} --listen 127.0.0.1:{{port}} --log warn {server}"
            ),
            version: String::new(),
            config: Vec::new(),
            settings: Vec::new(),
            ready: format!("listening on 127.0.0.1:{{port}} ({}", candidate.ready),
            ask: None,
        }
    }
}

impl Candidate {
    /// The first line in which it tells its version; `None` if it is not installed.
    pub(crate) fn version(&self) -> Option<String> {
        let Some(program) = &self.program else {
            return Some(format!("uringcast {}", env!("CARGO_PKG_VERSION")));
        };
        let output = command(&program.version).ok()?.output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find(|line| !line.trim().is_empty())?;
        Some(line.trim().to_owned())
    }

    /// Its settings, for a reader.
    pub(crate) fn settings(&self, clients: u32) -> Vec<String> {
        match &self.program {
            None => vec![self.server.trim().to_owned()],
            Some(program) => {
                let connections = (clients + CONNECTIONS_OTHER).to_string();
                let settings = program.settings.iter();
                settings
                    .map(|it| it.replace("{connections}", &connections))
                    .collect()
            }
        }
    }
}

impl Serving {
    /// Starts a server for `clients` clients and verifies its settings; or why it is not to be quoted.
    pub(crate) fn start(candidate: &Candidate, clients: u32) -> Result<Self, String> {
        let program = candidate.program.clone();
        let program = program.unwrap_or_else(|| Program::ours(candidate));
        let mut result = Err(String::new());
        for _ in 0..ATTEMPTS {
            result = Self::try_start(&program, clients);
            if result.is_ok() {
                break;
            }
        }
        result
    }

    fn try_start(program: &Program, clients: u32) -> Result<Self, String> {
        let failed = |error: io::Error| format!("it cannot be started: {error}");
        let folder = tempfile::tempdir().map_err(failed)?;
        let [port, monitoring] = free_ports().map_err(failed)?;
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
        fs::write(&config, lines).map_err(failed)?;
        let said = File::create(&log).map_err(failed)?;
        let mut command = command(&replaced(&program.command)).map_err(failed)?;
        command
            .stdout(said.try_clone().map_err(failed)?)
            .stderr(said);
        let mut running = Running::start(&mut command).map_err(failed)?;
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let ready_line = wait_until_it_serves(&mut running, &program.ready, at(port), &log)?;
        let verified = match &program.ask {
            None => ready_line,
            Some(ask) => {
                ask.verify(at(if ask.monitoring { monitoring } else { port }), replaced)?
            }
        };
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
        let server = format!(
            "--quiet --addr {} --server-pid {} ",
            self.addr(),
            self.pid()
        );
        words(&(server + &load))
    }
}

impl Ask {
    fn verify(
        &self,
        addr: SocketAddr,
        replaced: impl Fn(&str) -> String,
    ) -> Result<String, String> {
        let answer = self.answer(addr);
        let answer = answer.map_err(|error| format!("it does not tell its settings: {error}"))?;
        let has = |text: &String| answer.contains(&replaced(text));
        if let Some(missing) = self.expect.iter().find(|text| !has(text)) {
            let missing = replaced(missing);
            return Err(format!(
                "{missing:?} is missing in what it says of itself: {answer:?}"
            ));
        }
        match self.refuse.iter().find(|text| has(text)) {
            Some(wrong) => Err(format!("it says {wrong:?} of itself")),
            None => Ok(self.confirmed.clone()),
        }
    }

    /// All that it says until it closes the connection.
    fn answer(&self, addr: SocketAddr) -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&addr, ANSWER_TIMEOUT)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.write_all(&bytes_of(&self.send))?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer.into_iter().map(char::from).collect())
    }
}

/// The bytes that a text of a file stands for, a character each.
pub(crate) fn bytes_of(text: &str) -> Vec<u8> {
    let bytes = text
        .chars()
        .map(|it| u8::try_from(it).expect("a character up to U+00FF"));
    bytes.collect()
}

/// The command of a line, whose program is in the path, or where servers are kept.
fn command(line: &str) -> io::Result<Command> {
    let mut words = line.split_ascii_whitespace();
    let program = match words.next() {
        Some("{this}") => std::env::current_exe()?,
        program => program.and_then(find).ok_or(io::ErrorKind::NotFound)?,
    };
    let mut command = Command::new(program);
    command.args(words);
    Ok(command)
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let kept = ["/usr/sbin".into(), "/usr/local/sbin".into()];
    let mut files = std::env::split_paths(&path)
        .chain(kept)
        .map(|folder| folder.join(program));
    files.find(|file| file.is_file())
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
    addr: SocketAddr,
    log: &Path,
) -> Result<String, String> {
    let ready = ready.replace("{port}", &addr.port().to_string());
    let began = Instant::now();
    loop {
        let said = fs::read_to_string(log).unwrap_or_default();
        match said.lines().find(|line| line.contains(&ready)) {
            Some(line) if !ready.is_empty() => return Ok(format!("it says: {}", line.trim())),
            _ if ready.is_empty() && TcpStream::connect(addr).is_ok() => {
                return Ok("it cannot be asked".into());
            }
            _ => {}
        }
        if let Ok(Some(status)) = running.wait(LOOK_INTERVAL) {
            let said = process::complaint(log);
            return Err(format!("it ended with {status}; it said: {said}"));
        }
        if began.elapsed() > START_TIMEOUT {
            let said = process::complaint(log);
            return Err(format!(
                "it is not ready after {START_TIMEOUT:?}; it said: {said}"
            ));
        }
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
        let is_installed = |candidate: &Candidate| {
            let is_installed = candidate.version().is_some();
            if !is_installed {
                testing::skip(format!("{} is not installed", candidate.name));
            }
            is_installed
        };
        peers.filter(is_installed).collect()
    }

    #[test]
    fn every_installed_peer_starts_with_its_settings_and_says_so() {
        for candidate in installed() {
            let serving = Serving::start(&candidate, 100);
            let serving = serving.unwrap_or_else(|why| panic!("{}: {why}", candidate.name));
            assert!(!serving.verified.is_empty());
        }
    }

    #[test]
    fn a_peer_that_says_something_else_or_does_not_start_is_not_quoted() {
        for mut candidate in installed() {
            let program = candidate.program.as_mut().unwrap();
            let expected = program.ask.as_ref().unwrap().expect.len();
            for at in 0..expected {
                let mut program = program.clone();
                program.ask.as_mut().unwrap().expect[at] = "another value".into();
                let why = Serving::try_start(&program, 100).unwrap_err();
                assert!(why.contains("is missing"), "{why}");
            }
            program.settings.push("no_such_option at all".into());
            let why = Serving::try_start(program, 100).unwrap_err();
            assert!(why.contains("it ended with"), "{}: {why}", candidate.name);
        }
    }

    #[test]
    fn a_server_with_another_driver_is_not_quoted() {
        let ours = |server: &str, then: &str| {
            let candidate = Candidate {
                server: server.into(),
                ready: "driver uring".into(),
                ..Candidate::default()
            };
            let mut program = Program::ours(&candidate);
            program.command = "sh {config}".into();
            let line = format!("listening on 127.0.0.1:{{port}} (driver {server}, 1 thread)");
            program.settings = vec![format!("echo '{line}'"), then.into()];
            Serving::try_start(&program, 1)
        };
        assert!(ours("uring", "sleep 600").is_ok());
        let why = ours("epoll", "exit 1").unwrap_err();
        assert!(
            why.contains("it said: listening") && why.contains("driver epoll"),
            "{why}"
        );
    }

    #[test]
    fn programs_are_found_by_name() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-anywhere").is_none());
    }
}
