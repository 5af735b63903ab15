//! The command line of the server.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::configuration::RELOADABLE;
use crate::driver::{DriverChoice, NoRing, RingSizes, choose};
use crate::hub::{Coalesce, Limits, SlowPolicy};
use crate::listener::DeadPeers;
use crate::logging::LogFormat;
use crate::server::{self, Config, ServerError};
use crate::subcommands::Task;

/// Relays each message of a client to all other clients.
///
/// Prints `listening on ADDR (driver ...)` on standard error when it is ready. SIGTERM or SIGINT
/// ends it in good order: everything accepted is delivered first. A second signal ends it at once.
/// SIGHUP reads the configuration again.
///
/// Every option can also be given by a variable (URINGCAST_MAX_CLIENTS for --max-clients) or a line
/// of the file that --config names (max-clients = 10). A flag goes before a variable, a variable
/// before the file.
///
/// Exit status: 0 everything accepted was delivered, 1 not so or the server cannot run, 2 the
/// configuration is wrong.
#[derive(Debug, Parser)]
#[command(
    name = "server",
    version,
    max_term_width = 100,
    allow_negative_numbers = true,
    args_conflicts_with_subcommands = true
)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) task: Option<Task>,

    /// Read options from this TOML file; `server default-config` prints one
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Check the configuration, and end: status 0 when it is right, 2 when not
    #[arg(long)]
    pub(crate) check_config: bool,

    /// Print every option with its value and where that comes from, and end
    #[arg(long)]
    pub(crate) print_config: bool,

    /// Where to listen; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9989", value_parser = address)]
    listen: SocketAddr,

    /// How bytes get into and out of the kernel
    #[arg(long, value_enum, default_value_t = DriverChoice::Auto)]
    driver: DriverChoice,

    /// Threads, each with its own ring and connections; all share one order of messages
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,

    /// Keep each thread on a processor of its own
    #[arg(long)]
    pin: bool,

    /// Give up what serving never needs: to write files, to start programs, to reach out, to gain
    /// privileges (landlock and seccomp)
    #[arg(long)]
    pub(crate) confine: bool,

    /// Most clients at once; 0: any number
    #[arg(long, help_heading = RELOADABLE, value_name = "N", default_value_t = 0)]
    max_clients: u32,

    /// Most clients at once from one IPv4 address or IPv6 /64 network; 0: any number
    #[arg(long, help_heading = RELOADABLE, value_name = "N", default_value_t = 0)]
    max_clients_per_ip: u32,

    /// Refuse a client whose name somebody has who is there
    #[arg(long, help_heading = RELOADABLE)]
    unique_names: bool,

    /// Most messages a second that are taken from one client, after a burst of as many; more wait in
    /// its kernel, none is dropped; 0: any number
    #[arg(long, help_heading = RELOADABLE, value_name = "N", default_value_t = 0)]
    rate_per_client: u32,

    /// Most bytes of messages a second that are taken from one client, after a burst of as many;
    /// 0: any number
    #[arg(long, help_heading = RELOADABLE, value_name = "BYTES", default_value_t = 0)]
    bytes_per_client: u32,

    /// Most bytes of messages that a client may be behind which has taken nothing for a second;
    /// 0: any number
    #[arg(long, help_heading = RELOADABLE, value_name = "BYTES", default_value_t = 0)]
    max_backlog_bytes: u64,

    /// What becomes of a client that is too far behind, or takes next to nothing while a full log
    /// makes everyone wait
    #[arg(long, help_heading = RELOADABLE, value_enum, default_value_t = SlowPolicy::Disconnect)]
    slow_policy: SlowPolicy,

    /// How many of the last messages a newcomer is sent first, as far as half of the log holds them
    #[arg(long, value_name = "N", default_value_t = 0)]
    history: u32,

    /// Tell everyone who joins and leaves, and a newcomer who is there; not with --history
    #[arg(long)]
    announce_presence: bool,

    /// Longest name of a client, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    max_name_bytes: u32,

    /// Longest message, in bytes; 0: whatever a quarter of --log-bytes has room for
    #[arg(long, help_heading = RELOADABLE, value_name = "BYTES", default_value_t = 65_536)]
    max_message_bytes: u32,

    /// Messages may be any bytes, not only UTF-8
    #[arg(long, help_heading = RELOADABLE)]
    binary: bool,

    /// Most bytes of messages held for those who have not been sent them; when it is reached,
    /// reading waits; 0: any number
    #[arg(long, value_name = "BYTES", default_value_t = 67_108_864)]
    log_bytes: u64,

    /// Least time between two sends of messages to the same client: `auto` (a quarter more than a
    /// round of all clients takes), or a time such as 50ms, which trades latency for CPU; 0s: none.
    /// Whoever is more than 128 KiB behind is not left to wait
    #[arg(long, help_heading = RELOADABLE, value_name = "auto|TIME", default_value = "auto", value_parser = coalesce)]
    coalesce: Coalesce,

    /// How long a new connection may take to give its name; 0s: any time
    #[arg(long, help_heading = RELOADABLE, value_name = "TIME", default_value = "10s", value_parser = patience)]
    handshake_timeout: Duration,

    /// How long a frame may take from its first byte to its last; 0s: any time
    #[arg(long, help_heading = RELOADABLE, value_name = "TIME", default_value = "30s", value_parser = patience)]
    frame_timeout: Duration,

    /// How long a connection may be silent before the kernel asks whether its peer is still there;
    /// three questions without an answer end it; 0s: never ask
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = keepalive)]
    keepalive: Duration,

    /// How long what was sent may stay unacknowledged by the peer's kernel; 0s: as long as ours tries
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = user_timeout)]
    user_timeout: Duration,

    /// How long a receiver may take nothing of what it is sent; 0s: any time
    #[arg(long, help_heading = RELOADABLE, value_name = "TIME", default_value = "30s", value_parser = patience)]
    write_deadline: Duration,

    /// How long draining may take before what is left is given up; 0s: any time
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = patience)]
    drain_timeout: Duration,

    /// Where to serve metrics and a page about the server over HTTP, such as 127.0.0.1:9990; port 0
    /// picks a free one. Whoever reaches it sees names and addresses
    #[arg(long, value_name = "ADDR", value_parser = named_address)]
    metrics_listen: Option<NamedAddress>,

    /// Answer requests for metrics that ask for this host name, beside IP addresses, localhost and the
    /// name in --metrics-listen; may be repeated. Refuse all other names, as a web page may have its own
    /// name lead here (DNS rebinding)
    #[arg(long, value_name = "NAME")]
    metrics_allow_host: Vec<String>,

    /// How lines of the log are written; where journald reads them, with the level in front
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,

    /// What to log: error, warn, info (joins and leaves), debug (messages), trace, or a filter such
    /// as `warn,server=debug`
    #[arg(long, help_heading = RELOADABLE, value_name = "LEVEL", default_value = "info", value_parser = log_filter)]
    pub(crate) log: EnvFilter,
}

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
            backlog_bytes_max: (self.max_backlog_bytes > 0).then_some(self.max_backlog_bytes),
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
            ..Limits::default()
        }
    }

    fn metrics_hosts(&self) -> Vec<String> {
        let listen = self.metrics_listen.iter().map(|it| it.host.clone());
        listen.chain(self.metrics_allow_host.clone()).collect()
    }

    fn log_bytes_max(&self) -> usize {
        match usize::try_from(self.log_bytes) {
            // More than any memory, and no sum of it overflows.
            Ok(0) | Err(_) => usize::MAX / 4,
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

fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| {
        format!("{error}; write a number and a unit, such as 250ms, 10s or 2min")
    })?;
    if duration > DURATION_MAX {
        return Err("longer than 365 days; write a shorter time".into());
    }
    Ok(duration)
}

/// 0 on the command line is no limit.
fn limit(most: u32) -> Option<u32> {
    (most > 0).then_some(most)
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

/// Far from what the clock can hold.
const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

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
    }
}
