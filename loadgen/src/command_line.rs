//! The command line: what can be asked for, and how values are written.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::misbehaviour::MisbehaviourFlags;
use crate::plan::{Arrival, Senders, Sizes};
use crate::run_flags::RunFlags;
use crate::server_view::Site;
use crate::wire::{Protocol, Topic};

/// Measures a TCP broadcast server under an open-loop load and proves every delivery.
///
/// Every client is a TCP connection of its own that receives all others' messages. With --protocol
/// redis, nats or mqtt clients only receive: they subscribe to --topic, --publishers further
/// connections send, and messages x clients deliveries are expected. Messages are sent by the clock,
/// whatever the server does, and latencies count from the time each message was meant to be sent. Exit status: 0 the measurement is valid, 1 it could not be made, 2 wrong
/// usage, 3 it was made and is INVALID, with the reasons, 4 it is valid and breaks an --slo.
#[derive(Debug, Parser)]
#[command(name = "loadgen", version, max_term_width = 100)]
pub(crate) struct CommandLine {
    /// The server to measure, as HOST:PORT
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9989")]
    pub(crate) addr: String,

    /// What the server speaks: uringcast's own protocol, or that of a broker
    #[arg(long, value_enum, value_name = "PROTOCOL", default_value_t)]
    pub(crate) protocol: Protocol,

    /// What clients of a broker subscribe to: a Redis channel, a NATS subject, an MQTT topic
    #[arg(long, value_name = "NAME", default_value = "uringcast.loadgen")]
    pub(crate) topic: Topic,

    /// With a broker: so many connections send, beside the clients, and receive nothing [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) publishers: Option<u32>,

    /// Start a private server of this same build on a free port, measure it, and end it
    #[arg(long, conflicts_with_all = ["addr", "server_pid"])]
    pub(crate) spawn_server: bool,

    /// Pass an argument to the server that --spawn-server starts, as in --server-arg=--driver=epoll
    #[arg(
        long,
        value_name = "ARG",
        requires = "spawn_server",
        allow_hyphen_values = true
    )]
    pub(crate) server_arg: Vec<String>,

    /// Process id of a server on this host whose CPU time and memory are to be reported
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..=i64::from(i32::MAX)))]
    pub(crate) server_pid: Option<u32>,

    /// Read the server's own metrics (its --metrics-listen) before, during and after the run, put them
    /// beside what the clients saw, and say whether the two agree. Without URL: those of the server
    /// that --spawn-server starts
    #[arg(long, value_name = "URL", num_args = 0..=1, value_parser = Site::parse)]
    #[expect(clippy::option_option, reason = "not asked for, asked for, and where")]
    pub(crate) server_metrics: Option<Option<Site>>,

    /// How many clients connect; each receives the messages of all others, or with a broker all
    /// messages
    #[arg(long, value_name = "N", default_value_t = 5000)]
    pub(crate) clients: u32,

    /// Messages a second in total, over all clients; each is delivered to all others
    #[arg(long, value_name = "R", default_value_t = 100.0)]
    pub(crate) rate: f64,

    /// Messages a second of each sender, instead of a total
    #[arg(long, value_name = "R", conflicts_with = "rate")]
    pub(crate) rate_per_client: Option<f64>,

    /// How many of the clients send: a number or `all`
    #[arg(long, value_name = "N|all", default_value = "all")]
    pub(crate) senders: Senders,

    /// Spacing of the messages: `fixed` intervals, or a `poisson` process of the same mean
    #[arg(long, value_enum, default_value_t = Arrival::Fixed)]
    pub(crate) arrival: Arrival,

    /// How long to measure
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) duration: Duration,

    /// How long to send before the measurement begins; checked, but not measured
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    pub(crate) warmup: Duration,

    /// How long to wait, after the last message, for what is still owed
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) drain_timeout: Duration,

    /// Length of a message in bytes, or a range to draw it from
    #[arg(long, value_name = "N|MIN..MAX", default_value = "64")]
    pub(crate) size: Sizes,

    /// Threads that share the clients; one suffices until its loop is busy nearly all of the time
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) threads: u32,

    /// Connect at most this many clients a second (otherwise as fast as the server takes them)
    #[arg(long, value_name = "R")]
    pub(crate) connect_rate: Option<f64>,

    /// Give up when no further client could join for this long
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = duration)]
    pub(crate) connect_timeout: Duration,

    /// Connect from this address; repeatable, for more clients than one address has ports
    #[arg(long, value_name = "IP")]
    pub(crate) source_ip: Vec<IpAddr>,

    /// Seed of everything that is drawn by chance: authors, sizes, Poisson gaps
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    #[command(flatten)]
    pub(crate) runs: RunFlags,

    /// Accept a load that looks like a mistake
    #[arg(long)]
    pub(crate) force: bool,

    /// Write the result as JSON to a file, or to standard output with `-` (the summary then goes
    /// to standard error)
    #[arg(long, value_name = "FILE|-")]
    pub(crate) json: Option<PathBuf>,

    /// Write run.json, report.html, report.md, summary.txt, latencies, the time series and the plots into
    /// this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    /// Show no progress
    #[arg(long, short)]
    pub(crate) quiet: bool,

    #[command(flatten)]
    pub(crate) misbehaviour: MisbehaviourFlags,
}

impl CommandLine {
    /// What the server that --spawn-server starts is given.
    pub(crate) fn server_arguments(&self) -> Vec<String> {
        let metrics = matches!(self.server_metrics, Some(None));
        let metrics = metrics.then(|| "--metrics-listen=127.0.0.1:0".to_owned());
        metrics.into_iter().chain(self.server_arg.clone()).collect()
    }
}

/// Reads `10`, `10s`, `1.5s`, `500ms`, `2m`, `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("'{unit}' is no unit of time: use ms, s, m or h")),
    };
    number
        .parse::<f64>()
        .ok()
        .and_then(|number| Duration::try_from_secs_f64(number * seconds).ok())
        .filter(|duration| *duration <= Duration::from_secs(48 * 3600))
        .ok_or_else(|| "write a time of up to 48h, such as 10s or 500ms".into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn durations_are_read_with_their_unit() {
        for (text, milliseconds) in [
            ("10", 10_000),
            ("10s", 10_000),
            ("1.5s", 1_500),
            ("500ms", 500),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)));
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "s", "ten", "10 s", "-1s", "1d", "1.2.3s", "49h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_total_rate_and_a_rate_per_client_exclude_each_other() {
        let refused = CommandLine::try_parse_from(["loadgen", "--rate=1", "--rate-per-client=1"]);
        assert!(refused.is_err());
    }
}
