//! The options of a run, and the plan that they come to.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args as ClapArgs;
use record::{Arrival, Protocol, Sizes};

use super::error::Error;
use super::server_view::MetricsUrl;
use super::slo::Slo;
use super::sweep::Sweep;
use crate::hostile::HostileArgs;
use crate::measure::plan::{Plan, Refusal, Span};
use crate::wire::codec::Topic;
use crate::wire::dialect::{Dialect, RequestPath, Template};
use crate::wire::identity::Login;

/// No client comes back sooner.
const CUT_EVERY_MIN: Duration = Duration::from_millis(10);

/// The longest time that an option takes.
const TIME_MAX: Duration = Duration::from_secs(48 * 3600);

/// What can be asked of a run.
#[derive(Debug, Clone, ClapArgs)]
pub(super) struct Args {
    /// Measure the server at HOST:PORT
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9989")]
    pub(super) addr: String,

    /// Speak this protocol: the frames, WebSocket or events of uringcast, or that of a broker
    #[arg(long, value_enum, value_name = "PROTOCOL", default_value_t)]
    pub(super) protocol: Protocol,

    /// Subscribe the clients of a broker to NAME: a Redis channel, a NATS subject, an MQTT topic
    #[arg(long, value_name = "NAME", default_value = "uringcast.loadgen")]
    pub(super) topic: Topic,

    /// Send from N connections to a broker or a server of events, beside the clients; they receive
    /// nothing [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) publishers: Option<u32>,

    /// Log in to a broker as NAME
    #[arg(long, value_name = "NAME", requires = "password_file")]
    pub(super) username: Option<String>,

    /// Log in to a broker with the password in the first line of FILE. Without --username it is a NATS
    /// token, or Redis' default password
    #[arg(long, value_name = "FILE")]
    pub(super) password_file: Option<PathBuf>,

    /// Request PATH of a WebSocket server that is not uringcast [default: /]
    #[arg(long, value_name = "PATH")]
    ws_path: Option<RequestPath>,

    /// Send TEXT as each client's first message to a WebSocket server that is not uringcast; %i stands for
    /// the client's number
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    ws_join: Option<Template>,

    /// Send messages of this form to a WebSocket server that is not uringcast: %s stands for the stamp,
    /// which may come back anywhere in a message; %i for the client's number; %% for a % [default: %s]
    #[arg(long, value_name = "TEMPLATE", allow_hyphen_values = true)]
    ws_message: Option<Template>,

    /// Expect each client to get its own messages back
    #[arg(long)]
    own_copies: bool,

    /// Reset the WebSocket connection of each client every TIME, one client after the other, and resume it
    /// where it was. Each client must still get every message, once and in order. Give the server a
    /// --history that holds what is sent during a reconnect
    #[arg(long, value_name = "TIME", value_parser = cli::duration_within(CUT_EVERY_MIN..=TIME_MAX), conflicts_with = "own_copies")]
    cut_every: Option<Duration>,

    /// Start a private server of this same build on a free port, measure it, and end it
    #[arg(long, conflicts_with_all = ["addr", "server_pid"])]
    pub(super) spawn_server: bool,

    /// Pass ARG to the server that --spawn-server starts, as in --server-arg=--driver=epoll; repeatable
    #[arg(
        long,
        value_name = "ARG",
        requires = "spawn_server",
        allow_hyphen_values = true
    )]
    pub(super) server_arg: Vec<String>,

    /// Report CPU time and memory of process PID, a server on this host
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..=i64::from(i32::MAX)))]
    pub(super) server_pid: Option<u32>,

    /// Compare the server's metrics at URL (its --metrics-listen) with what the clients counted. Without
    /// URL: those of the server that --spawn-server starts
    #[arg(long, value_name = "URL", num_args = 0..=1, value_parser = MetricsUrl::parse)]
    #[expect(clippy::option_option, reason = "not asked for, asked for, and where")]
    pub(super) server_metrics: Option<Option<MetricsUrl>>,

    /// Connect N clients; each receives the messages of all others, or all messages where --publishers send
    #[arg(long, value_name = "N", default_value_t = 5000)]
    pub(super) clients: u32,

    /// Send R messages a second in total, over all clients
    #[arg(long, value_name = "R", default_value_t = 100.0)]
    pub(super) rate: f64,

    /// Send R messages a second from each sender, instead of a total
    #[arg(long, value_name = "R", conflicts_with = "rate")]
    pub(super) rate_per_client: Option<f64>,

    /// Send from N of the clients, or from `all`
    #[arg(long, value_name = "N|all", default_value = "all")]
    pub(super) senders: Senders,

    /// Space the messages at `fixed` intervals, or as a `poisson` process of the same mean
    #[arg(long, value_enum, default_value_t = Arrival::Fixed)]
    pub(super) arrival: Arrival,

    /// Measure for TIME
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time())]
    pub(super) duration: Duration,

    /// Send for TIME before the measurement; these messages are checked, but not measured
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = time())]
    pub(super) warmup: Duration,

    /// Wait up to TIME after the last message for deliveries that are still owed
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time())]
    pub(super) drain_timeout: Duration,

    /// Send messages of N bytes, at least 56 (the stamp), or of a length drawn from a range
    #[arg(long, value_name = "N|MIN..MAX", default_value = "64", value_parser = sizes)]
    pub(super) size: Sizes,

    /// Share the clients among N threads. One is enough until the summary says that its loop is busy nearly
    /// all of the time
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) threads: u32,

    /// Connect at most R clients a second [default: as fast as the server accepts them]
    #[arg(long, value_name = "R")]
    pub(super) connect_rate: Option<f64>,

    /// Give up when no client has joined for TIME
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = time())]
    pub(super) connect_timeout: Duration,

    /// Connect from address IP; repeatable, for more clients than one address has ports
    #[arg(long, value_name = "IP")]
    pub(super) source_ip: Vec<IpAddr>,

    /// Draw authors, sizes and Poisson gaps from seed N
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,

    #[command(flatten)]
    pub(super) runs: RunArgs,

    /// Run a load that is refused because it looks like a mistake
    #[arg(long)]
    pub(super) force: bool,

    /// Write the result as JSON to FILE, or to standard output with `-` (the summary then goes to
    /// standard error)
    #[arg(long, value_name = "FILE|-")]
    pub(super) json: Option<PathBuf>,

    /// Write run.json, report.html, report.md, summary.txt, the histograms, the time series and the plots
    /// to folder DIR
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,

    /// Show no progress
    #[arg(long, short)]
    pub(super) quiet: bool,

    #[command(flatten)]
    pub(super) hostile: HostileArgs,
}

/// How often and how fast to measure, and what counts as good.
#[derive(Debug, Clone, ClapArgs)]
pub(super) struct RunArgs {
    /// Exit with status 4 unless all CONDITIONS hold, as in 'delivery.p99<100ms,lost==0'. Names are those
    /// of run.json; repeatable
    #[arg(long, value_name = "CONDITIONS")]
    pub(super) slo: Vec<Slo>,

    /// Measure N times on the same connections, each time with another seed, and report the spread
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) repeat: u32,

    /// Measure several rates on the same connections, one after the other; a range stands for its round
    /// numbers (1, 2 and 5 of each decade), as in 10,20,50,100..1000
    #[arg(long, value_name = "RATES", conflicts_with_all = ["repeat", "find_max", "rate", "rate_per_client"])]
    pub(super) sweep: Option<Sweep>,

    /// Search for the highest rate at which the measurement is valid and every --slo holds, beginning
    /// with --rate
    #[arg(long, conflicts_with = "repeat")]
    pub(super) find_max: bool,
}

/// Which clients send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Senders {
    /// Every client.
    All,
    /// This many, spread evenly over the clients.
    Some(u32),
}

impl Args {
    /// The arguments of the server that --spawn-server starts.
    pub(super) fn server_arguments(&self) -> Vec<String> {
        let metrics = matches!(self.server_metrics, Some(None));
        let metrics = metrics.then(|| "--metrics-listen=127.0.0.1:0".to_owned());
        metrics.into_iter().chain(self.server_arg.clone()).collect()
    }

    /// The login that they name.
    ///
    /// # Errors
    /// If the password cannot be read.
    pub(super) fn login(&self) -> Result<Option<Login>, Error> {
        let Some(path) = &self.password_file else {
            return Ok(None);
        };
        let text = fs::read_to_string(path).map_err(|error| Error::Password {
            path: path.clone(),
            error,
        })?;
        Ok(Some(Login {
            username: self.username.clone(),
            password: text.lines().next().unwrap_or_default().to_owned(),
        }))
    }

    /// The plan that they come to, without a login.
    ///
    /// # Errors
    /// Names the option, its value and the limit.
    pub(super) fn plan(&self) -> Result<Plan, Refusal> {
        if let Some(sign) = self.sign_of_another_server() {
            if self.spawn_server {
                return Err(Refusal::ForeignSpawn(sign));
            }
            if self.server_metrics.is_some() {
                return Err(Refusal::ForeignMetrics(sign));
            }
        }
        if self.password_file.is_some() && !self.protocol.is_broker() {
            return Err(Refusal::NoLogin(self.protocol));
        }
        if self.hostile.speak_http() && self.protocol.is_broker() {
            return Err(Refusal::NoHttp(self.protocol));
        }
        if self.own_copies && self.protocol.has_publishers() {
            return Err(Refusal::NoOwnCopies(self.protocol));
        }
        if self.cut_every.is_some() {
            let other = self.dialect_flag().map(str::to_owned);
            let protocol = (self.protocol != Protocol::WebSocket)
                .then(|| format!("--protocol {}", self.protocol));
            if let Some(sign) = other.or(protocol) {
                return Err(Refusal::NoResuming(sign));
            }
        }
        let publishers = self.publishers()?;
        let senders = self.senders(publishers)?;
        let rate = self.total_rate(senders)?;
        let plan = Plan {
            protocol: self.protocol,
            topic: self.topic.clone(),
            login: None,
            host: self.addr.clone(),
            dialect: self.dialect()?,
            own_copies: self.own_copies,
            cut_every: self.cut_every,
            clients: self.clients,
            senders,
            publishers,
            threads: self.threads,
            rate,
            arrival: self.arrival,
            sizes: self.size,
            seed: self.seed,
            warmup: Span::of(self.warmup),
            measure: Span::of(self.duration),
            drain_timeout: self.drain_timeout,
            connect_timeout: self.connect_timeout,
            connect_rate: self.connect_rate,
            force: self.force,
        };
        plan.checked(match self.rate_per_client {
            None => format!("--rate {rate} in total"),
            Some(each) => {
                format!("--rate-per-client {each} of {senders} senders, {rate} messages a second,")
            }
        })
    }

    /// The option that says that the server is not uringcast, if there is one.
    fn sign_of_another_server(&self) -> Option<&'static str> {
        match self.protocol {
            Protocol::Redis => Some("--protocol redis"),
            Protocol::Nats => Some("--protocol nats"),
            Protocol::Mqtt => Some("--protocol mqtt"),
            _ if self.own_copies => Some("--own-copies"),
            _ => self.dialect_flag(),
        }
    }

    fn dialect_flag(&self) -> Option<&'static str> {
        let given = [
            ("--ws-path", self.ws_path.is_some()),
            ("--ws-join", self.ws_join.is_some()),
            ("--ws-message", self.ws_message.is_some()),
        ];
        given
            .into_iter()
            .find_map(|(flag, given)| given.then_some(flag))
    }

    fn dialect(&self) -> Result<Option<Dialect>, Refusal> {
        let Some(flag) = self.dialect_flag() else {
            return Ok(None);
        };
        if self.protocol != Protocol::WebSocket {
            let protocol = self.protocol;
            return Err(Refusal::NoWebSocket { flag, protocol });
        }
        let message = self.ws_message.clone().unwrap_or(Template::bare());
        if !message.has_stamp() {
            return Err(Refusal::NoStamp);
        }
        if self.ws_join.as_ref().is_some_and(Template::has_stamp) {
            return Err(Refusal::StampInJoin);
        }
        Ok(Some(Dialect {
            path: self.ws_path.clone().unwrap_or_default(),
            join: self.ws_join.clone(),
            message,
        }))
    }

    fn publishers(&self) -> Result<u32, Refusal> {
        match self.publishers {
            None => Ok(u32::from(self.protocol.has_publishers())),
            Some(_) if !self.protocol.has_publishers() => Err(Refusal::NoPublishers(self.protocol)),
            Some(publishers) => Ok(publishers),
        }
    }

    fn senders(&self, publishers: u32) -> Result<u32, Refusal> {
        let clients = self.clients;
        match self.senders {
            Senders::All if publishers > 0 => Ok(publishers),
            Senders::Some(_) if publishers > 0 => Err(Refusal::ClientsDoNotSend(self.protocol)),
            Senders::All => Ok(clients),
            Senders::Some(senders) if (1..=clients).contains(&senders) => Ok(senders),
            Senders::Some(senders) => Err(Refusal::BadSenders { senders, clients }),
        }
    }

    /// Messages a second over all senders.
    fn total_rate(&self, senders: u32) -> Result<f64, Refusal> {
        let (flag, value, factor) = match self.rate_per_client {
            Some(each) => ("rate-per-client", each, f64::from(senders)),
            None => ("rate", self.rate, 1.0),
        };
        for (flag, value) in [(flag, Some(value)), ("connect-rate", self.connect_rate)] {
            if let Some(value) = value
                && !(value.is_finite() && value > 0.0)
            {
                return Err(Refusal::BadRate { flag, value });
            }
        }
        Ok(value * factor)
    }
}

fn time() -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    cli::duration_within(Duration::ZERO..=TIME_MAX)
}

fn sizes(text: &str) -> Result<Sizes, String> {
    let (min, max) = text.split_once("..").unwrap_or((text, text));
    match (min.parse(), max.parse()) {
        (Ok(min), Ok(max)) if min <= max => Ok(Sizes { min, max }),
        _ => Err("give a number of bytes such as 64, or a range such as 64..1024".into()),
    }
}

impl FromStr for Senders {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            number => number
                .parse()
                .map(Self::Some)
                .map_err(|_| "give a number of clients or 'all'".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: Args,
    }

    fn plan(options: &str) -> Result<Plan, Refusal> {
        let words = ["loadgen"].into_iter().chain(options.split_whitespace());
        Program::try_parse_from(words).unwrap().args.plan()
    }

    fn refusal(options: &str) -> String {
        plan(options).unwrap_err().to_string()
    }

    #[test]
    fn without_options_it_is_the_default_plan() {
        let wanted = Plan::default().checked(String::new()).unwrap();
        assert_eq!(format!("{:?}", plan("").unwrap()), format!("{wanted:?}"));
    }

    #[test]
    fn the_main_job_is_five_hundred_thousand_deliveries_a_second() {
        let plan = plan("--clients 5000 --rate 100").unwrap();
        assert_eq!(plan.measure.messages, 1000);
        assert_eq!(plan.warmup.messages, 200);
        assert!((plan.deliveries_per_second() - 499_900.0).abs() < 1e-6);
    }

    #[test]
    fn a_rate_per_client_is_multiplied_by_the_senders() {
        let plan = plan("--clients 50 --rate-per-client 2 --senders 10").unwrap();
        assert!((plan.rate - 20.0).abs() < 1e-9);
    }

    #[test]
    fn refusals_name_the_flag_and_the_limit() {
        assert!(refusal("--clients 1").contains("--clients 1 is too few"));
        assert!(refusal("--rate 0").contains("--rate 0 is not a rate"));
        assert!(refusal("--rate NaN").contains("--rate NaN is not a rate"));
        assert!(refusal("--connect-rate 0").contains("--connect-rate 0"));
        assert!(refusal("--senders 0").contains("--senders 0"));
        assert!(refusal("--clients 5 --senders 6").contains("--senders 6"));
        assert!(refusal("--threads 0").contains("--threads 0 is not between 1 and "));
        assert!(refusal("--clients 5 --threads 3").contains("not between 1 and 2"));
        assert!(refusal("--size 55").contains("takes 56 bytes"));
        assert!(refusal("--size 56..99999999").contains("too long"));
        assert!(refusal("--rate 0.01 --duration 1s").contains("not one message"));
        assert!(refusal("--clients 5000 --rate 100 --duration 24h").contains("limit of 1024 MiB"));
        assert!(refusal("--clients 9 --rate 1e300 --force").contains("ledger"));
    }

    #[test]
    fn with_a_broker_publishers_send_and_every_client_receives() {
        let one = plan("--protocol nats --clients 200 --rate 50").unwrap();
        assert_eq!(
            (one.senders, one.publishers, one.connections()),
            (1, 1, 201)
        );
        assert!((one.deliveries_per_second() - 10_000.0).abs() < 1e-6);
        let four = "--protocol redis --clients 9 --publishers 4 --rate-per-client 2";
        assert!((plan(four).unwrap().rate - 8.0).abs() < 1e-9);
        assert!(refusal("--protocol mqtt --senders 2").contains("give --publishers"));
        assert!(refusal("--publishers 2").contains("give --senders"));
        let measured = refusal("--protocol nats --server-metrics http://127.0.0.1:1/metrics");
        assert!(measured.starts_with("--server-metrics"), "{measured}");
        let spawned = refusal("--protocol mqtt --spawn-server");
        assert!(spawned.contains("mqtt is for another server"), "{spawned}");
        let threads = refusal("--protocol redis --threads 2");
        assert!(threads.starts_with("--threads shares"), "{threads}");
    }

    #[test]
    fn threads_share_all_clients_evenly() {
        let plan = plan("--clients 11 --threads 3 --rate 10").unwrap();
        let shares: Vec<_> = plan.shares().collect();
        assert_eq!(shares, [0..3, 3..7, 7..11]);
    }

    #[test]
    fn a_likely_mistake_needs_force() {
        let flags = "--clients 5000 --rate 5000 --duration 1s --warmup 0s";
        assert!(refusal(flags).contains("--force"));
        let each = refusal("--clients 5000 --rate-per-client 1");
        assert!(each.starts_with("--rate-per-client 1 of 5000 senders, 5000 messages a second,"));
        assert!(each.contains("24995000 deliveries a second"), "{each}");
        assert!(plan(&format!("{flags} --force")).is_ok());
    }

    #[test]
    fn another_rate_is_checked_like_the_first() {
        let plan = plan("--clients 5000 --rate 100").unwrap();
        assert_eq!(plan.at_rate(200.0).unwrap().measure.messages, 2000);
        assert!(matches!(plan.at_rate(5e3), Err(Refusal::Absurd { .. })));
        assert_eq!(plan.with_seed(7).seed, 7);
    }

    #[test]
    fn sizes_are_read_as_a_number_or_a_range() {
        assert_eq!(sizes("64"), Ok(Sizes { min: 64, max: 64 }));
        assert_eq!(sizes("64..128"), Ok(Sizes { min: 64, max: 128 }));
        for text in ["", "..", "64..", "128..64", "x"] {
            assert!(sizes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_total_rate_and_a_rate_per_client_exclude_each_other() {
        assert!(Program::try_parse_from(["loadgen", "--rate=1", "--rate-per-client=1"]).is_err());
    }

    #[test]
    fn times_are_bounded() {
        for words in [["loadgen", "--warmup=49h"], ["loadgen", "--duration=ten"]] {
            assert!(Program::try_parse_from(words).is_err(), "{words:?}");
        }
    }
}
