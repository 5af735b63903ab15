//! The record of a run, as `loadgen --json` prints it and `loadgen --out` keeps it in run.json.
//!
//! The load generator writes it, comparisons read it. This crate holds the types, the texts that
//! describe them, and nothing else: no I/O, no clock. The names of the fields are a contract, which
//! `results/schema.md` describes: scripts read them. A field may be added; one that changes its
//! meaning raises [`SCHEMA_VERSION`].

#![forbid(unsafe_code)]

mod disconnects;
mod environment;
pub mod figures;
mod hostile;
mod load;
mod measured;
mod printable;
mod process;
mod server_view;
mod steps;

use serde::{Deserialize, Serialize};

pub use disconnects::{Disconnects, Notices};
pub use environment::{Environment, Limits, Program};
pub use hostile::{HostileKind, HostileOutcome, HostileOutcomes};
pub use load::{Arrival, Protocol, Sizes};
pub use measured::{Account, Cuts, LatencyTable, Percentiles, Unrecorded};
pub use printable::printable;
pub use process::{Consumption, Generator, GeneratorThread, Second};
pub use server_view::{Quantiles, ServerSecond, ServerView};
pub use steps::{Found, Goal, Judged, Limiter, Spread, Step, Steps};

/// Which meaning the fields have.
pub const SCHEMA_VERSION: u32 = 1;

/// All figures of one run. "Measured" leaves the warm-up out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`] of the program that wrote it.
    pub schema_version: u32,
    /// Whether the figures may be believed.
    pub valid: bool,
    /// Why not.
    pub problems: Vec<String>,
    /// What to know when reading the figures.
    pub notes: Vec<String>,
    /// The server, as it was given, or the one that was started.
    pub addr: String,
    /// The command that was run.
    pub command: Vec<String>,
    /// Of the load generator.
    pub version: String,
    /// When the measured time began, RFC 3339, UTC.
    #[serde(default)]
    pub started_at: String,
    /// Whether a signal ended the measured time before its end; `duration_seconds` is what was measured.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cut_short: bool,
    /// The folders that this is the sum of; empty for a single run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merged_from: Vec<String>,

    /// What the server was spoken to in.
    #[serde(default)]
    pub protocol: Protocol,
    /// Connections that receive.
    pub clients: u32,
    /// How many connections send: clients, or the publishers if there are any.
    pub senders: u32,
    /// Connections beside the clients' that send and do not receive.
    #[serde(default)]
    pub publishers: u32,
    /// Messages a second over all senders.
    pub rate_requested: f64,
    /// Those that were sent on time, by the length of the measured time.
    pub rate_achieved: f64,
    /// How the messages were spaced in time.
    pub arrival: Arrival,
    /// Lengths of messages.
    pub size_bytes: Sizes,
    /// Of all that was drawn by chance.
    pub seed: u64,
    /// Length of the warm-up.
    pub warmup_seconds: f64,
    /// Length of the measured time.
    pub duration_seconds: f64,
    /// From the first connection until all had joined.
    pub connect_seconds: f64,
    /// From the end of the measured time until all had come, or the drain timeout was over.
    pub drain_seconds: f64,

    /// The requested rate times the receivers of each message.
    pub deliveries_per_second_requested: f64,
    /// Measured messages' deliveries, by the length of the measured time.
    pub deliveries_per_second: f64,
    /// Messages that were sent in the measured time.
    pub messages: u64,
    /// Deliveries that were to come.
    pub expected: u64,
    /// Those that came.
    pub delivered: u64,
    /// Expected and not delivered: the sum of the next two.
    pub lost: u64,
    /// Lost while author and receiver were connected.
    pub lost_while_connected: u64,
    /// Lost because author or receiver was disconnected.
    pub lost_to_disconnects: u64,
    /// Deliveries of what the receiver already had.
    pub duplicated: u64,
    /// Deliveries ahead of the same author's previous message.
    pub reordered: u64,
    /// Sampled receivers whose order of messages differs from that of the others.
    #[serde(default)]
    pub disordered: u64,
    /// Deliveries that are not as they were sent, the warm-up's included, since what is corrupt
    /// cannot say to which it belongs.
    pub corrupt: u64,
    /// Deliveries to the author of the message.
    pub echoed: u64,
    /// Messages that were due and could not be sent.
    pub unsent: u64,
    /// Messages of others who use the same server.
    pub foreign: u64,
    /// Deliveries owed when the measured time was over.
    pub backlog_at_end: u64,
    /// The ledger of the warm-up.
    pub warmup: Account,

    /// All latencies, in milliseconds.
    pub latency_ms: LatencyTable,
    /// Latencies that no histogram could take.
    pub unrecorded: Unrecorded,
    /// Clients that were disconnected, and what the server said.
    #[serde(rename = "departures")]
    pub disconnects: Disconnects,
    /// Connections that were cut on purpose, if any were to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cuts: Option<Cuts>,
    /// What the server's process used in the measured time.
    pub server: Consumption,
    /// What the load generator used in the measured time.
    pub generator: Generator,
    /// How the run went, second by second.
    #[serde(default)]
    pub series: Vec<Second>,
    /// The machine, its kernel and the programs.
    #[serde(default)]
    pub environment: Environment,
    /// How each condition of --slo was judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slo: Vec<Judged>,
    /// The runs of which this is one, if there were several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Steps>,
    /// What became of the hostile clients, by kind.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        rename = "misbehaviour"
    )]
    pub hostile: Option<HostileOutcomes>,
    /// The server's own view, from its metrics, if that was asked for and could be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_view: Option<ServerView>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Report {
    /// Whether the figures may be believed and every condition of --slo held.
    #[must_use]
    pub fn held(&self) -> bool {
        self.valid && self.slo.iter().all(|judged| judged.held)
    }

    /// Whether each message came to each client exactly once, in order and as it was sent.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.faults() + self.unsent + self.echoed + self.disconnects.count() == 0
    }

    /// Deliveries that did not come, or came twice, out of order or damaged.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.lost + self.duplicated + self.reordered + self.corrupt
    }

    /// CPU time of the server by the deliveries of the measured time, in microseconds. What came
    /// after the measured time does not count, since its CPU time does not either.
    #[must_use]
    pub fn cpu_us_per_delivery(&self) -> Option<f64> {
        let in_time = self.expected.saturating_sub(self.backlog_at_end);
        let seconds = self.server.cpu_seconds?;
        (in_time > 0).then(|| seconds * 1e6 / in_time as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `text` is once it was read and written again.
    fn rewritten(text: &str) -> serde_json::Value {
        let report: Report = serde_json::from_str(text).unwrap();
        serde_json::to_value(report).unwrap()
    }

    #[test]
    fn a_record_is_read_and_written_without_a_change() {
        let once = rewritten(include_str!("../../loadgen/tests/data/run.json"));
        assert_eq!(rewritten(&once.to_string()), once);
        for name in ["departures", "latency_ms", "generator", "environment"] {
            assert!(once.get(name).is_some(), "{name}");
        }
        assert!(once["departures"].get("torn").is_some());
        assert!(once["generator"].get("cpu_seconds").is_some());
    }
}
