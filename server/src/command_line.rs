//! The command line of the server.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use cli::duration;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::driver::{DriverChoice, NoRing, RingSizes, choose};
use crate::hub::{Coalesce, ControlCharacters, Limits, SlowPolicy};
use crate::listener::DeadPeers;
use crate::logging::LogFormat;
use crate::server::{self, Config, ServerError, UNBOUNDED};

/// The heading of the options that SIGHUP changes in a running server.
pub(crate) const RELOADABLE: &str = "Options that SIGHUP reloads";

/// Relay each message of a client to all other clients.
///
/// One port serves frames (a name, then messages), WebSocket, server-sent events and HTTP POST. Prints
/// `listening on ADDR (driver ...)` to standard error when ready.
///
/// Each option can also be set by a variable (URINGCAST_MAX_CLIENTS for --max-clients) or by a line
/// of the file that --config names (max-clients = 10). A flag overrides a variable, a variable
/// overrides the file.
#[derive(Debug, Parser)]
#[command(
    name = "server",
    version,
    max_term_width = 100,
    allow_negative_numbers = true,
    args_conflicts_with_subcommands = true,
    after_help = cli::help_sections(SECTIONS)
)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) task: Option<Task>,

    /// Read options from this TOML file; `server default-config` prints one
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Check the configuration and exit: status 0 if it is valid, 2 if not
    #[arg(long)]
    pub(crate) check_config: bool,

    /// Print every option with its value and where the value comes from, and exit
    #[arg(long)]
    pub(crate) print_config: bool,

    /// Listen on ADDR; port 0 picks a free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9989", value_parser = address)]
    listen: SocketAddr,

    /// Choose how bytes get into and out of the kernel
    #[arg(long, value_enum, default_value_t = DriverChoice::Auto)]
    driver: DriverChoice,

    /// Serve on N threads, each with its own connections; all share one order of messages
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,

    /// Pin each thread to a processor of its own
    #[arg(long)]
    pin: bool,

    /// Sandbox the process (landlock, seccomp): no writes, no exec, no outgoing connections
    #[arg(long)]
    pub(crate) confine: bool,

    /// Refuse new clients while N are connected; 0: no limit
    #[arg(long, help_heading = RELOADABLE, value_name = "N", default_value_t = 0)]
    max_clients: u32,

    /// Refuse new clients while N from the same IPv4 address or IPv6 /64 network are connected; 0: no
    /// limit
    #[arg(long, help_heading = RELOADABLE, value_name = "N", default_value_t = 0)]
    max_clients_per_ip: u32,

    /// Refuse a client whose name is in use, or looks like one that is
    #[arg(long, help_heading = RELOADABLE)]
    unique_names: bool,

    /// Read at most N messages a second from each client, after a burst of N. The rest waits in the
    /// client's connection and is not dropped; 0: no limit
    #[arg(long, help_heading = RELOADABLE, value_name = "N", default_value_t = 5000)]
    rate_per_client: u32,

    /// Read at most BYTES of messages a second from each client, after a burst of BYTES. The rest waits
    /// as for --rate-per-client; 0: no limit
    #[arg(long, help_heading = RELOADABLE, value_name = "BYTES", default_value_t = 33_554_432)]
    bytes_per_client: u32,

    /// Hold at most BYTES of input that has been read but not yet accepted as messages, over all clients.
    /// Past that, disconnect the client with the most; 0: no limit
    #[arg(long, help_heading = RELOADABLE, value_name = "BYTES", default_value_t = 33_554_432)]
    max_input_bytes: u64,

    /// Disconnect a client (or skip, see --slow-policy) that stays more than BYTES of the log behind for
    /// 100 ms, whether it reads or not; default: half of --log-bytes; 0: no limit
    #[arg(long, help_heading = RELOADABLE, value_name = "BYTES", alias = "max-backlog-bytes")]
    max_lag_bytes: Option<u64>,

    /// Disconnect a client (or skip, see --slow-policy) when a message has waited for it longer than TIME;
    /// 0s: no limit
    #[arg(long, help_heading = RELOADABLE, value_name = "TIME", default_value = "10s", value_parser = patience)]
    max_lag: Duration,

    /// Choose what happens to a client that is past --max-lag or --max-lag-bytes, or furthest behind when
    /// the log is full
    #[arg(long, help_heading = RELOADABLE, value_enum, default_value_t = SlowPolicy::Disconnect)]
    slow_policy: SlowPolicy,

    /// Send each new client the last N messages first (not with --announce-presence), and let WebSocket and
    /// event clients resume after any of them. At most half of the log is kept for this
    #[arg(long, value_name = "N", default_value_t = 0)]
    history: u32,

    /// Tell all clients who joins and leaves, and each new client who is there
    #[arg(long)]
    announce_presence: bool,

    /// Refuse names longer than BYTES
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    max_name_bytes: u32,

    /// Refuse messages longer than BYTES; 0: longer than a quarter of --log-bytes can hold
    #[arg(long, help_heading = RELOADABLE, value_name = "BYTES", default_value_t = 65_536)]
    max_message_bytes: u32,

    /// Accept messages of any bytes, not only UTF-8
    #[arg(long, help_heading = RELOADABLE)]
    binary: bool,

    /// Choose what happens to control characters in messages, except tab and newline. With --binary, all
    /// are relayed
    #[arg(long, help_heading = RELOADABLE, value_enum, default_value_t = ControlCharacters::Replace)]
    control_characters: ControlCharacters,

    /// Hold at most BYTES of messages that some client has not been sent yet. When the log is full, the
    /// clients furthest behind are disconnected (or skip, see --slow-policy), and authors wait for room; 0:
    /// no limit
    #[arg(long, value_name = "BYTES", default_value_t = 67_108_864)]
    log_bytes: u64,

    /// Wait at least TIME between two sends to the same client, so that each send carries more: `auto`
    /// (1.25 times as long as one round of sends to all clients takes), or a time such as 50ms, which saves
    /// CPU and adds latency. A client more than 128 KiB behind does not wait; 0s: never wait
    #[arg(long, help_heading = RELOADABLE, value_name = "auto|TIME", default_value = "auto", value_parser = coalesce)]
    coalesce: Coalesce,

    /// Close a new connection that has not given its name, or finished its HTTP request, within TIME; 0s:
    /// never
    #[arg(long, help_heading = RELOADABLE, value_name = "TIME", default_value = "10s", value_parser = patience)]
    handshake_timeout: Duration,

    /// Close a client that takes longer than TIME to send a frame, from its first byte to its last; 0s:
    /// never
    #[arg(long, help_heading = RELOADABLE, value_name = "TIME", default_value = "30s", value_parser = patience)]
    frame_timeout: Duration,

    /// Probe a client that has been silent for TIME (TCP keepalive), and close it after three probes
    /// without an answer; 0s: never
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = keepalive)]
    keepalive: Duration,

    /// Close a connection on which the peer's kernel has acknowledged nothing for TIME while data was
    /// in flight (TCP_USER_TIMEOUT); 0s: when the kernel gives up, after about 15 minutes
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = user_timeout)]
    user_timeout: Duration,

    /// Close a client that reads nothing for TIME while data waits for it; 0s: never
    #[arg(long, help_heading = RELOADABLE, value_name = "TIME", default_value = "30s", value_parser = patience)]
    write_deadline: Duration,

    /// Accept web pages of ORIGIN, such as https://chat.example, beside pages of the server's own host;
    /// repeatable; *: accept all
    #[arg(long, help_heading = RELOADABLE, value_name = "ORIGIN", value_parser = origin)]
    allow_origin: Vec<String>,

    /// Serve the chat page at `/`; off: answer 404 there
    #[arg(long, help_heading = RELOADABLE, value_name = "on|off", default_value = "on", value_parser = on_or_off)]
    page: Switch,

    /// Ping a WebSocket or event client that was sent nothing for TIME, so that proxies keep its connection
    /// open; 0s: never
    #[arg(long, help_heading = RELOADABLE, value_name = "TIME", default_value = "25s", value_parser = patience)]
    websocket_ping: Duration,

    /// Stop draining after TIME, and exit with status 1 if something was not delivered; 0s: no limit
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = patience)]
    drain_timeout: Duration,

    /// Serve metrics and a live page over HTTP on ADDR, such as 127.0.0.1:9990; port 0 picks a free
    /// port. Everyone who reaches it sees names and addresses of clients
    #[arg(long, value_name = "ADDR", value_parser = named_address)]
    metrics_listen: Option<NamedAddress>,

    /// Answer metrics requests for the host NAME, too; repeatable. IP addresses, localhost and the host in
    /// --metrics-listen are always answered; others are refused, which protects against DNS rebinding
    #[arg(long, value_name = "NAME")]
    metrics_allow_host: Vec<String>,

    /// Choose how log lines are written; under journald, each begins with its level
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,

    /// Log this level and the more severe: error, warn, info (joins and leaves), debug (messages), trace.
    /// Or filter by target, such as `warn,server::session=debug`
    #[arg(long, help_heading = RELOADABLE, value_name = "LEVEL", default_value = "info", value_parser = log_filter)]
    pub(crate) log: EnvFilter,
}

/// Whether something is on. No `bool`, which would be a flag without a value.
#[derive(Debug, Clone, Copy)]
struct Switch(bool);

/// What to do instead of serving.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Task {
    /// Print a configuration file with every option, its default and what it does
    DefaultConfig,
    #[command(flatten)]
    Describe(cli::Describe),
}

/// The end of `--help` and of the manual page.
pub(crate) const SECTIONS: &[cli::Section] = &[
    cli::Section {
        title: "Signals",
        entries: &[
            (
                "SIGTERM, SIGINT",
                "Deliver everything that was accepted, then exit; the second exits at once",
            ),
            (
                "SIGHUP",
                "Read the configuration again, and apply what can change in a running server",
            ),
        ],
    },
    cli::Section {
        title: "Exit status",
        entries: &[
            ("0", "Everything that was accepted was delivered"),
            ("1", "Something was not delivered, or the server cannot run"),
            ("2", "The configuration is wrong"),
        ],
    },
];

impl CommandLine {
    /// The server that the command line asks for.
    ///
    /// # Errors
    /// When the choice of the driver is left to us, and a limit is in the way of the right one.
    pub(crate) fn config(&self) -> Result<Config, NoRing> {
        let ring = RingSizes::default();
        Ok(Config {
            listen: self.listen,
            driver: choose(self.driver, ring)?,
            threads: usize::from(self.threads),
            pin: self.pin,
            dead_peers: DeadPeers {
                keepalive: self.keepalive,
                user_timeout: self.user_timeout,
            },
            limits: self.limits(),
            log_bytes_max: self.log_bytes_max(),
            drain_timeout: self.drain_timeout,
            ring,
            metrics_listen: self.metrics_listen.as_ref().map(|it| it.address),
            metrics_hosts: self.metrics_hosts(),
        })
    }

    /// Whether the values go together.
    ///
    /// # Errors
    /// When they do not.
    pub(crate) fn check(&self) -> Result<(), ServerError> {
        server::check_limits(&self.limits(), self.log_bytes_max())
    }

    /// What connections may do.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            clients_max: limit(self.max_clients),
            clients_per_address_max: limit(self.max_clients_per_ip),
            unique_names: self.unique_names,
            messages_per_second_max: limit(self.rate_per_client),
            bytes_per_second_max: limit(self.bytes_per_client),
            input_bytes_max: match usize::try_from(self.max_input_bytes) {
                Ok(0) | Err(_) => usize::MAX,
                Ok(bytes) => bytes,
            },
            lag_bytes_max: self.lag_bytes_max(),
            lag_max: self.max_lag,
            slow_policy: self.slow_policy,
            history_messages: self.history,
            announce_presence: self.announce_presence,
            name_bytes_max: self.max_name_bytes as usize,
            message_bytes_max: self.message_bytes_max(),
            coalesce: self.coalesce,
            handshake_timeout: self.handshake_timeout,
            frame_timeout: self.frame_timeout,
            write_deadline: self.write_deadline,
            binary: self.binary,
            control_characters: self.control_characters,
            websocket_ping: self.websocket_ping,
            page: self.page.0,
            origins: self.allow_origin.clone(),
            ..Limits::default()
        }
    }

    fn metrics_hosts(&self) -> Vec<String> {
        let listen = self.metrics_listen.iter().map(|it| it.host.clone());
        listen.chain(self.metrics_allow_host.clone()).collect()
    }

    /// Half of the log unless something else is said.
    fn lag_bytes_max(&self) -> Option<u64> {
        match self.max_lag_bytes {
            None => Some(self.log_bytes_max() as u64 / 2),
            Some(0) => None,
            Some(bytes) => Some(bytes),
        }
    }

    fn log_bytes_max(&self) -> usize {
        match usize::try_from(self.log_bytes) {
            Ok(0) | Err(_) => UNBOUNDED,
            Ok(bytes) => bytes,
        }
    }

    fn message_bytes_max(&self) -> usize {
        // The longest that a header can announce.
        const LONGEST: u64 = protocol::header::PAYLOAD_BYTES_MAX;
        match self.max_message_bytes {
            0 => {
                let quarter = self.log_bytes_max() / 4;
                let name_only = Limits {
                    name_bytes_max: self.max_name_bytes as usize,
                    message_bytes_max: 0,
                    ..Limits::default()
                };
                let room = quarter.saturating_sub(name_only.log_bytes_min());
                room.min(usize::try_from(LONGEST).unwrap_or(usize::MAX))
            }
            bytes => bytes as usize,
        }
    }
}

/// An address with the host as it was written.
#[derive(Debug, Clone)]
struct NamedAddress {
    host: String,
    address: SocketAddr,
}

fn named_address(text: &str) -> Result<NamedAddress, String> {
    let address = address(text)?;
    let host = text.rsplit_once(':').map_or(text, |(host, _)| host).into();
    Ok(NamedAddress { host, address })
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let found = text.to_socket_addrs().map_err(|error| {
        format!("{error}; write an address and a port, such as 127.0.0.1:9989 or [::]:9989")
    })?;
    found
        .into_iter()
        .next()
        .ok_or_else(|| "the name has no address".into())
}

/// 0 on the command line is no limit.
fn limit(most: u32) -> Option<u32> {
    (most > 0).then_some(most)
}

/// What browsers send as `Origin`, or `*`.
fn origin(text: &str) -> Result<String, String> {
    const REMEDY: &str = "write a scheme and a host, and a port if it has one, such as \
                          https://chat.example or http://10.0.0.1:8080";
    let host = text
        .strip_prefix("https://")
        .or(text.strip_prefix("http://"));
    let is_origin = host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#']));
    if text == "*" || is_origin {
        return Ok(text.to_ascii_lowercase());
    }
    Err(REMEDY.into())
}

fn on_or_off(text: &str) -> Result<Switch, String> {
    match text {
        "on" => Ok(Switch(true)),
        "off" => Ok(Switch(false)),
        _ => Err("write on or off".into()),
    }
}

/// The kernel takes whole seconds, up to `MAX_TCP_KEEPIDLE`.
fn keepalive(text: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_secs(32_767);
    let time = duration(text)?;
    if !time.is_zero() && time < Duration::from_secs(1) {
        return Err("less than 1s; write a longer time".into());
    }
    if time > LONGEST {
        return Err("longer than 9h 6min 7s; write a shorter time, or 0s".into());
    }
    Ok(time)
}

/// A filter of which nothing is ignored: a misspelt level would be taken for the name of a module, and
/// silence the log.
fn log_filter(text: &str) -> Result<EnvFilter, String> {
    const REMEDY: &str =
        "write error, warn, info, debug, trace or off, or MODULE=LEVEL behind commas";
    let bare = |part: &&str| !part.contains(['=', '[']);
    let mut levels = text.split(',').map(str::trim).filter(bare);
    let is_level = |part: &str| !part.is_empty() && part.parse::<LevelFilter>().is_ok();
    if let Some(part) = levels.find(|part| !is_level(part)) {
        return Err(format!("'{part}' is no level; {REMEDY}"));
    }
    let filter = EnvFilter::builder().parse(text);
    filter.map_err(|_| format!("it is no filter; {REMEDY}"))
}

/// The kernel takes it in milliseconds, as an `int`.
fn user_timeout(text: &str) -> Result<Duration, String> {
    let timeout = duration(text)?;
    match i32::try_from(timeout.as_millis()) {
        Ok(0) if !timeout.is_zero() => Err("less than 1ms; write a longer time".into()),
        Ok(_) => Ok(timeout),
        Err(_) => Err("longer than 24 days; write a shorter time, or 0s".into()),
    }
}

fn coalesce(text: &str) -> Result<Coalesce, String> {
    match text {
        "auto" => Ok(Coalesce::Auto),
        time => duration(time).map(Coalesce::Fixed),
    }
}

/// 0s is no limit.
fn patience(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Ok(Limits::FOREVER),
        patience => Ok(patience),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn defaults_are_those_of_the_limits() {
        let config = CommandLine::parse_from(["server", "--driver", "epoll"]).config();
        let config = config.unwrap();
        assert_eq!(config.limits, Limits::default());
        assert_eq!(config.dead_peers, DeadPeers::default());
    }

    #[test]
    fn the_manual_knows_the_flags_and_the_exit_status() {
        let manual = cli::Describe::Man.text(CommandLine::command(), "server", SECTIONS);
        for part in ["\\-\\-max\\-clients", "EXIT STATUS", "SIGHUP"] {
            assert!(manual.contains(part), "{part}");
        }
    }

    #[test]
    fn metrics_are_served_under_the_name_that_they_listen_on() {
        let command_line = CommandLine::parse_from([
            "server",
            "--metrics-listen=localhost:0",
            "--metrics-allow-host=a.example",
            "--metrics-allow-host=b.example",
        ]);
        let hosts = command_line.metrics_hosts();
        assert_eq!(hosts, ["localhost", "a.example", "b.example"]);
    }

    #[test]
    fn zero_is_no_limit() {
        let limits = |arguments: &[&str]| CommandLine::parse_from(arguments).limits();
        let limits = limits(&[
            "server",
            "--max-clients=0",
            "--handshake-timeout=0s",
            "--write-deadline=0s",
            "--frame-timeout=0s",
        ]);
        assert_eq!(limits.clients_max, None);
        let times = [
            limits.handshake_timeout,
            limits.write_deadline,
            limits.frame_timeout,
        ];
        assert_eq!(times, [Limits::FOREVER; 3]);
        let longest = |arguments: &[&str]| {
            let command_line = CommandLine::parse_from(arguments);
            assert!(command_line.check().is_ok());
            command_line.limits().message_bytes_max
        };
        let a_quarter = longest(&["server", "--max-message-bytes=0", "--log-bytes=1000000"]);
        assert!((249_000..250_000).contains(&a_quarter), "{a_quarter}");
        let any = longest(&["server", "--max-message-bytes=0", "--log-bytes=0"]);
        assert_eq!(any, 9_999_999_999);
    }

    #[test]
    fn a_filter_that_would_silence_the_log_by_mistake_is_refused() {
        for filter in [
            "warn",
            "WARN",
            "off",
            "warn,server=debug",
            "server[x]=trace,info",
            "3",
        ] {
            assert!(log_filter(filter).is_ok(), "{filter}");
        }
        for filter in ["inof", "", "warn,", "server", "warn,server=loud", "a=b=c"] {
            let refusal = log_filter(filter).unwrap_err();
            assert!(refusal.contains("write error, warn, info"), "{refusal}");
        }
    }

    #[test]
    fn refusals_say_what_to_write() {
        let refusal = |arguments: &[&str]| {
            CommandLine::try_parse_from(arguments)
                .unwrap_err()
                .to_string()
        };
        assert!(refusal(&["server", "--listen", "9989"]).contains("such as 127.0.0.1:9989"));
        assert!(refusal(&["server", "--drain-timeout", "soon"]).contains("such as 250ms"));
        assert!(refusal(&["server", "--threads", "0"]).contains("1..=1024"));
        assert!(refusal(&["server", "--coalesce", "99years"]).contains("write a shorter time"));
        assert!(refusal(&["server", "--threads", "-1"]).contains("1..=1024"));
        assert!(refusal(&["server", "--keepalive", "10h"]).contains("longer than 9h 6min 7s"));
        assert!(refusal(&["server", "--keepalive", "1ms"]).contains("less than 1s"));
        for origin in ["chat.example", "https://", "https://chat.example/", "null"] {
            let refusal = refusal(&["server", "--allow-origin", origin]);
            assert!(refusal.contains("such as https://chat.example"), "{origin}");
        }
        assert!(refusal(&["server", "--page", "yes"]).contains("write on or off"));
    }
}
