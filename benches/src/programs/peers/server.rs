//! The servers that are compared, the settings each is given, and how it is started: on a free port, in a
//! folder of its own, verified, and ended with its value. The settings are what its manual offers for many
//! receivers: nothing is stored, and no limit ends a receiver that is behind.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use tempfile::TempDir;

use super::verification::{self, Setting};
use crate::process::{self, Running, Server};

/// A server that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Candidate {
    /// The server of this project
    Uringcast,
    /// redis-server, by PUBLISH and SUBSCRIBE
    Redis,
    /// nats-server, by core subjects
    Nats,
    /// mosquitto, by MQTT at QoS 0
    Mosquitto,
}

/// A running server.
#[derive(Debug)]
pub(super) struct Serving {
    // Before the folder, so that it has ended when that is removed.
    server: Started,
    /// What it said of its settings.
    pub(super) verified: String,
    _folder: Option<TempDir>,
}

#[derive(Debug)]
enum Started {
    Ours(Server),
    Broker(Running, SocketAddr),
}

/// Connections beside the clients': publishers, and one that asks for settings.
const CONNECTIONS_OTHER: u32 = 1000;

/// How often a server may end at once before that is a failure: a port that was free may be taken.
const ATTEMPTS: u32 = 3;

const START_TIMEOUT: Duration = Duration::from_secs(10);
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

impl Candidate {
    /// What the load generator calls its protocol.
    pub(super) const fn protocol(self) -> &'static str {
        match self {
            Self::Uringcast => "uringcast",
            Self::Redis => "redis",
            Self::Nats => "nats",
            Self::Mosquitto => "mqtt",
        }
    }

    /// The program to look for in the path, with the argument that makes it tell its version; ours is a
    /// part of this program.
    const fn program(self) -> (&'static str, &'static str) {
        match self {
            Self::Uringcast => ("", ""),
            Self::Redis => ("redis-server", "--version"),
            Self::Nats => ("nats-server", "--version"),
            Self::Mosquitto => ("mosquitto", "-h"),
        }
    }

    /// What is set, beside addresses, folders and logs.
    pub(super) fn settings(self, clients: u32) -> Vec<Setting> {
        let connections = (clients + CONNECTIONS_OTHER).to_string();
        let settings: &[(&'static str, &str)] = match self {
            Self::Uringcast => &[("--driver", "uring")],
            Self::Redis => &[
                ("save", ""),
                ("appendonly", "no"),
                ("client-output-buffer-limit", "pubsub 0 0 0"),
                ("maxclients", &connections),
                ("tcp-backlog", "4096"),
            ],
            Self::Nats => &[
                ("max_connections", &connections),
                ("max_pending", "1073741824"),
                ("write_deadline", "\"60s\""),
            ],
            Self::Mosquitto => &[
                ("allow_anonymous", "true"),
                ("max_connections", "-1"),
                ("max_queued_messages", "0"),
                ("max_queued_bytes", "0"),
                ("set_tcp_nodelay", "true"),
                ("persistence", "false"),
                ("sys_interval", "0"),
            ],
        };
        let settings = settings.iter();
        settings
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect()
    }

    /// What else a reader should know of the settings.
    pub(super) const fn remark(self) -> &'static str {
        match self {
            Self::Uringcast => "a part of the measuring program; all else as it is by default",
            Self::Redis => "TCP_NODELAY is always on; one thread serves all (io-threads is 1)",
            Self::Nats => "TCP_NODELAY is always on; a thread for each processor; no authorization",
            Self::Mosquitto => "the listener is on loopback; one thread serves all",
        }
    }

    /// The command of a broker that serves on the first of `ports` of 127.0.0.1, and on the second if it
    /// can tell about itself there, with `folder` for its own.
    fn command(self, settings: &[Setting], folder: &Path, ports: [u16; 2]) -> io::Result<Command> {
        let program = process::find(self.program().0).ok_or(io::ErrorKind::NotFound)?;
        let mut command = Command::new(program);
        let [port, monitoring] = ports;
        if self == Self::Redis {
            command.args(["--bind", "127.0.0.1", "--loglevel", "warning"]);
            command
                .args(["--port", &port.to_string()])
                .arg("--dir")
                .arg(folder);
            for (name, value) in settings {
                command.arg(format!("--{name}")).arg(value);
            }
            return Ok(command);
        }
        let (mut text, between) = match self {
            Self::Nats => {
                let addr =
                    format!("listen: \"127.0.0.1:{port}\"\nhttp: \"127.0.0.1:{monitoring}\"\n");
                (addr + "logtime: false\n", ": ")
            }
            _ => (format!("listener {port} 127.0.0.1\nlog_dest none\n"), " "),
        };
        for (name, value) in settings {
            text += &format!("{name}{between}{value}\n");
        }
        let file = folder.join("server.conf");
        fs::write(&file, text)?;
        command.arg("-c").arg(file);
        Ok(command)
    }

    /// The first line in which it tells its version; `None` if it is not installed.
    pub(super) fn version(self) -> Option<String> {
        let (program, argument) = self.program();
        if self == Self::Uringcast {
            return Some(format!("uringcast {}", env!("CARGO_PKG_VERSION")));
        }
        let output = Command::new(process::find(program)?)
            .arg(argument)
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find(|line| !line.trim().is_empty())?;
        Some(line.trim().to_owned())
    }
}

impl Serving {
    /// Starts a server and verifies its settings; or why it is not to be quoted.
    pub(super) fn start(candidate: Candidate, settings: &[Setting]) -> Result<Self, String> {
        if candidate == Candidate::Uringcast {
            let words = settings
                .iter()
                .flat_map(|(name, value)| [(*name).to_owned(), value.clone()]);
            let server = Server::start(&words.collect::<Vec<_>>());
            let server = server.map_err(|error| error.to_string())?;
            return Ok(Self {
                verified: verification::ready_line(&server.ready_line)?,
                server: Started::Ours(server),
                _folder: None,
            });
        }
        let mut result = Err(String::new());
        for _ in 0..ATTEMPTS {
            result = Self::try_start(candidate, settings);
            if result.is_ok() {
                break;
            }
        }
        result
    }

    fn try_start(candidate: Candidate, settings: &[Setting]) -> Result<Self, String> {
        let failed = |error: io::Error| format!("it cannot be started: {error}");
        let folder = tempfile::tempdir().map_err(failed)?;
        let ports = free_ports().map_err(failed)?;
        let log = folder.path().join("log");
        let to_log = File::create(&log).map_err(failed)?;
        let mut command = candidate
            .command(settings, folder.path(), ports)
            .map_err(failed)?;
        command
            .stdout(to_log.try_clone().map_err(failed)?)
            .stderr(to_log);
        let mut running = Running::start(&mut command).map_err(failed)?;
        let [addr, monitoring] = ports.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        wait_until_it_serves(&mut running, addr, &log)?;
        let verified = match candidate {
            Candidate::Redis => verification::redis(settings, addr)?,
            Candidate::Nats => verification::nats(settings, monitoring)?,
            _ => verification::mosquitto(addr)?,
        };
        Ok(Self {
            server: Started::Broker(running, addr),
            verified,
            _folder: Some(folder),
        })
    }

    /// What a load generator is told of it.
    pub(super) fn flags(&self) -> Vec<String> {
        match &self.server {
            Started::Ours(server) => server.flags().to_vec(),
            Started::Broker(running, addr) => {
                process::words(&format!("--addr {addr} --server-pid {}", running.pid()))
            }
        }
    }
}

/// Two ports that nobody listens on now.
fn free_ports() -> io::Result<[u16; 2]> {
    let one = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok([one.local_addr()?.port(), other.local_addr()?.port()])
}

/// Waits until it takes connections.
fn wait_until_it_serves(running: &mut Running, addr: SocketAddr, log: &Path) -> Result<(), String> {
    let began = Instant::now();
    while TcpStream::connect(addr).is_err() {
        if let Ok(Some(status)) = running.wait(LOOK_INTERVAL) {
            let said = fs::read_to_string(log).unwrap_or_default();
            let last = said.lines().last().unwrap_or("nothing").trim();
            return Err(format!("it ended with {status}; it said: {last}"));
        }
        if began.elapsed() > START_TIMEOUT {
            return Err(format!("it is not ready after {START_TIMEOUT:?}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Brokers that are installed; the others are told.
    fn installed(candidates: &[Candidate]) -> Vec<Candidate> {
        let is_installed = |candidate: &Candidate| {
            let is_installed = candidate.version().is_some();
            if !is_installed {
                println!("skipped: {candidate:?} is not installed");
            }
            is_installed
        };
        candidates.iter().copied().filter(is_installed).collect()
    }

    #[test]
    fn every_installed_broker_starts_with_its_settings_and_says_so() {
        for candidate in installed(&Candidate::value_variants()[1..]) {
            let serving = Serving::start(candidate, &candidate.settings(100));
            let serving = serving.unwrap_or_else(|why| panic!("{candidate:?}: {why}"));
            assert!(!serving.verified.is_empty());
        }
    }

    #[test]
    fn an_option_that_a_server_does_not_know_is_told_in_its_words() {
        for candidate in installed(&[Candidate::Mosquitto]) {
            let why = Serving::start(candidate, &[("no_such_option", "1".into())]).unwrap_err();
            assert!(why.contains("it ended with"), "{why}");
        }
    }
}
