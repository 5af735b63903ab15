//! Candidates: the servers that are compared, and the settings each is given. Those are what its
//! manual offers for many receivers: nothing is stored, and no limit ends a receiver that is behind.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use benches::process;
use clap::ValueEnum;

/// Connections beside the clients': publishers, and who asks for settings.
const CONNECTIONS_OTHER: u32 = 1000;

/// A server that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Candidate {
    /// The server of this project
    Uringcast,
    /// redis-server, by PUBLISH and SUBSCRIBE
    Redis,
    /// nats-server, by core subjects
    Nats,
    /// mosquitto, by MQTT at QoS 0
    Mosquitto,
}

/// A setting's name and value, as the server's manual writes them.
pub(crate) type Setting = (&'static str, String);

impl Candidate {
    pub(crate) const ALL: [Self; 4] = [Self::Uringcast, Self::Redis, Self::Nats, Self::Mosquitto];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Uringcast => "uringcast",
            Self::Redis => "redis",
            Self::Nats => "nats",
            Self::Mosquitto => "mosquitto",
        }
    }

    /// What the load generator calls its protocol.
    pub(crate) const fn protocol(self) -> &'static str {
        match self {
            Self::Mosquitto => "mqtt",
            other => other.name(),
        }
    }

    /// Whether messages are sent by connections that do not receive.
    pub(crate) fn has_publishers(self) -> bool {
        self != Self::Uringcast
    }

    /// The program to look for in the path, with the argument that makes it tell its version; `None`
    /// for the one that is a part of this program.
    pub(crate) const fn program(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Uringcast => None,
            Self::Redis => Some(("redis-server", "--version")),
            Self::Nats => Some(("nats-server", "--version")),
            Self::Mosquitto => Some(("mosquitto", "-h")),
        }
    }

    /// What is set, beside addresses, folders and logs.
    pub(crate) fn settings(self, clients: u32) -> Vec<Setting> {
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
        let owned = |&(name, value): &(&'static str, &str)| (name, value.to_owned());
        settings.iter().map(owned).collect()
    }

    /// What else a reader should know of the settings.
    pub(crate) const fn remark(self) -> &'static str {
        match self {
            Self::Uringcast => "a part of the measuring program; all else as it is by default",
            Self::Redis => "TCP_NODELAY is always on; one thread serves all (io-threads is 1)",
            Self::Nats => "TCP_NODELAY is always on; a thread for each processor; no authorization",
            Self::Mosquitto => "the listener is on loopback; one thread serves all",
        }
    }

    /// The command that serves on `port` of 127.0.0.1, and on `monitoring_port` if it can tell
    /// about itself there, with `folder` for its own.
    pub(crate) fn command(
        self,
        settings: &[Setting],
        folder: &Path,
        port: u16,
        monitoring_port: u16,
    ) -> io::Result<Command> {
        let Some((program, _)) = self.program() else {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg(process::SERVER);
            command.args(["--listen", &format!("127.0.0.1:{port}"), "--log", "warn"]);
            command.args(settings.iter().flat_map(|(name, value)| [*name, value]));
            return Ok(command);
        };
        let program = process::find(program).ok_or(io::ErrorKind::NotFound)?;
        let mut command = Command::new(program);
        if self == Self::Redis {
            command.args(["--bind", "127.0.0.1", "--loglevel", "warning"]);
            command.args(["--port", &port.to_string()]);
            command.arg("--dir").arg(folder);
            for (name, value) in settings {
                command.arg(format!("--{name}")).arg(value);
            }
            return Ok(command);
        }
        let mut text = match self {
            Self::Nats => format!(
                "listen: \"127.0.0.1:{port}\"\nhttp: \"127.0.0.1:{monitoring_port}\"\nlogtime: false\n"
            ),
            _ => format!("listener {port} 127.0.0.1\nlog_dest none\n"),
        };
        let between = if self == Self::Nats { ": " } else { " " };
        for (name, value) in settings {
            text += &format!("{name}{between}{value}\n");
        }
        let file = folder.join("server.conf");
        fs::write(&file, text)?;
        command.arg("-c").arg(file);
        Ok(command)
    }

    /// Whether `log` is whole as far as the line that verifies it. Only this project's server is verified by
    /// such a line, and it takes connections a little before it writes it.
    pub(crate) fn has_said_ready(self, log: &str) -> bool {
        let lines = log.split_inclusive('\n');
        self != Self::Uringcast
            || lines
                .filter(|line| line.ends_with('\n'))
                .any(|line| line.contains("listening on "))
    }

    /// The first line in which it tells its version; `None` if it is not installed.
    pub(crate) fn version(self) -> Option<String> {
        let Some((program, argument)) = self.program() else {
            return Some(format!("uringcast {}", env!("CARGO_PKG_VERSION")));
        };
        let output = Command::new(process::find(program)?)
            .arg(argument)
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find(|line| !line.trim().is_empty())?;
        Some(line.trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ready_line_counts_when_it_is_whole() {
        let ready = |log| Candidate::Uringcast.has_said_ready(log);
        assert!(!ready(""));
        assert!(!ready("warning\nlistening on 127.0.0.1:1 (driver ur"));
        assert!(ready("warning\nlistening on 127.0.0.1:1 (driver uring)\n"));
        assert!(Candidate::Redis.has_said_ready(""));
    }
}
