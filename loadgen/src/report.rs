//! The report: all figures of one run, as `--json` and run.json hold them.
//!
//! The names of the fields are a contract: scripts read them. A field may be added; one that changes
//! its meaning raises [`SCHEMA_VERSION`].

use serde::{Deserialize, Serialize};

use crate::campaign::Steps;
use crate::departures::Departures;
use crate::engine::Outcome;
use crate::environment::Environment;
use crate::histograms::Histograms;
use crate::latency::{Percentiles, Unrecorded};
use crate::ledger::Account;
use crate::misbehaviour::Fates;
use crate::plan::{Arrival, Plan, Sizes};
use crate::procfs::Consumption;
use crate::series::Second;
use crate::server_view::ServerView;
use crate::slo::Judged;
use crate::turns::Turns;
use crate::verdict::{self, Evidence};
use crate::wire::Protocol;

/// Which meaning the fields have.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// All figures of one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) schema_version: u32,
    /// Whether the figures may be believed.
    pub(crate) valid: bool,
    /// Why not.
    pub(crate) problems: Vec<String>,
    /// What to know when reading the figures.
    pub(crate) notes: Vec<String>,
    pub(crate) addr: String,
    /// The command that was run.
    pub(crate) command: Vec<String>,
    pub(crate) version: String,
    /// When the measured time began, by the calendar, in UTC.
    #[serde(default)]
    pub(crate) started_at: String,
    /// The folders that this is the sum of; empty for a single run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) merged_from: Vec<String>,

    #[serde(default)]
    pub(crate) protocol: Protocol,
    pub(crate) clients: u32,
    pub(crate) senders: u32,
    /// Connections beside the clients' that send and do not receive.
    #[serde(default)]
    pub(crate) publishers: u32,
    /// Messages a second over all senders.
    pub(crate) rate_requested: f64,
    /// Those that were sent on time, by the length of the measured time.
    pub(crate) rate_achieved: f64,
    pub(crate) arrival: Arrival,
    pub(crate) size_bytes: Sizes,
    pub(crate) seed: u64,
    pub(crate) warmup_seconds: f64,
    pub(crate) duration_seconds: f64,
    pub(crate) connect_seconds: f64,
    pub(crate) drain_seconds: f64,

    /// What was asked for: the requested rate times the receivers of each message.
    pub(crate) deliveries_per_second_requested: f64,
    /// Measured messages' deliveries, by the length of the measured time.
    pub(crate) deliveries_per_second: f64,
    /// Messages that were sent in the measured time.
    pub(crate) messages: u64,
    pub(crate) expected: u64,
    pub(crate) delivered: u64,
    /// Expected and not delivered: the sum of the next two.
    pub(crate) lost: u64,
    pub(crate) lost_while_connected: u64,
    pub(crate) lost_to_disconnects: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    /// Of the warm-up too, since what is corrupt cannot say to which it belongs.
    pub(crate) corrupt: u64,
    /// Deliveries to the author of the message.
    pub(crate) echoed: u64,
    /// Messages that were due and could not be sent.
    pub(crate) unsent: u64,
    /// Messages of others who use the same server.
    pub(crate) foreign: u64,
    /// Deliveries owed when the measured time was over.
    pub(crate) backlog_at_end: u64,
    pub(crate) warmup: Account,

    pub(crate) latency_ms: LatencyTable,
    /// Latencies that no histogram could take.
    pub(crate) unrecorded: Unrecorded,
    /// Clients that were disconnected, and what the server said.
    pub(crate) departures: Departures,
    pub(crate) server: Consumption,
    pub(crate) generator: Generator,
    /// How the run went, second by second.
    #[serde(default)]
    pub(crate) series: Vec<Second>,
    #[serde(default)]
    pub(crate) environment: Environment,
    /// What became of each condition of --slo.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) slo: Vec<Judged>,
    /// The runs of which this is one, if there were several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) steps: Option<Steps>,
    /// What became of the clients that were to misbehave, by kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) misbehaviour: Option<Fates>,
    /// The server's own view, from its metrics, if that was asked for and could be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) server_view: Option<ServerView>,
}

/// All latencies, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LatencyTable {
    /// Each delivery, from the intended time.
    pub(crate) delivery: Percentiles,
    /// Each delivery, from the time of sending.
    pub(crate) delivery_from_send: Percentiles,
    /// Each message, from the intended time until its last receiver had it.
    pub(crate) completion: Percentiles,
    /// The same for the receiver in the middle.
    pub(crate) completion_median: Percentiles,
    /// The same for the first receiver.
    pub(crate) completion_first: Percentiles,
    /// Each message, from the intended time until the kernel had it.
    pub(crate) send_lag: Percentiles,
}

/// What the load generator itself used.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Generator {
    #[serde(flatten)]
    pub(crate) consumption: Consumption,
    /// User CPU of the measured time, by its deliveries.
    pub(crate) user_ns_per_delivery: Option<f64>,
    /// Reads that brought bytes, in the measured time: what came between two looks at a socket is one.
    #[serde(default)]
    pub(crate) reads: u64,
    /// Share of the measured time in which the event loop worked; of several, the busiest.
    pub(crate) busy_share: f64,
    /// How long the turns of the event loop took; of several, all turns together.
    pub(crate) turn_ms: Percentiles,
    /// Each thread's own.
    #[serde(default)]
    pub(crate) threads: Vec<GeneratorThread>,
}

/// What one thread of the load generator did in the measured time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct GeneratorThread {
    /// Share of the measured time in which its loop worked.
    pub(crate) busy_share: f64,
    /// Share of the measured time in which it ran on a processor; `None` where the kernel does not
    /// say.
    pub(crate) ran_share: Option<f64>,
    /// Share in which it was ready to run, and others had the processors.
    pub(crate) waited_share: Option<f64>,
    /// How long its turns took.
    pub(crate) turn_ms: Percentiles,
}

impl GeneratorThread {
    fn new(turns: &Turns, seconds: f64) -> Self {
        let scheduled = turns.scheduled();
        let share = |ns: u64| ns as f64 / 1e9 / seconds;
        Self {
            busy_share: turns.busy_share(seconds),
            ran_share: scheduled.map(|scheduled| share(scheduled.ran_ns)),
            waited_share: scheduled.map(|scheduled| share(scheduled.waited_ns)),
            turn_ms: turns.lengths(),
        }
    }
}

/// What the run's surroundings add to its outcome.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    pub(crate) addr: String,
    pub(crate) command: Vec<String>,
    pub(crate) environment: Environment,
}

/// What was seen of a run from outside.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) server: Consumption,
    pub(crate) generator: Consumption,
    pub(crate) server_ended: bool,
    pub(crate) started_at: String,
    pub(crate) series: Vec<Second>,
}

impl Report {
    /// Draws up the report of a run, its verdict included.
    pub(crate) fn new(
        plan: &Plan,
        outcome: &Outcome,
        watched: Watched,
        surroundings: Surroundings,
    ) -> Self {
        let observation = &outcome.observation;
        let audit = observation.ledger.audit();
        let measured = audit.measured;
        let seconds = plan.measure.duration.as_secs_f64();
        let latencies = Histograms::of(&observation.latencies).table();
        let departures = observation.departures.clone();
        let mut departures_in_words = departures.in_words();
        if departures.notices.is_empty()
            && let Some(place) = plan.protocol.where_to_look()
        {
            departures_in_words = format!("{departures_in_words}; {place}");
        }
        let generator = Generator::new(outcome, watched.generator, measured, seconds);
        let rate_achieved = observation.sent_on_time as f64 / seconds;
        let evidence = Evidence {
            audit,
            corrupt: observation.corrupt,
            foreign: observation.foreign,
            clients: plan.clients.into(),
            departed: departures.count(),
            departures_in_words: &departures_in_words,
            completed: outcome.times.completed,
            server_ended: watched.server_ended,
            rate_requested: plan.rate,
            rate_achieved,
            messages: plan.measure.messages.into(),
            delivery: latencies.delivery,
            completion: latencies.completion,
            send_lag: latencies.send_lag,
            unrecorded: observation.latencies.unrecorded(),
            threads: &generator.threads,
            backlog_at_end: outcome.times.backlog_at_end,
        };
        let problems = in_words(&verdict::problems(&evidence));
        Self {
            schema_version: SCHEMA_VERSION,
            valid: problems.is_empty(),
            problems,
            notes: in_words(&verdict::notes(&evidence)),
            addr: surroundings.addr,
            command: surroundings.command,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: watched.started_at,
            merged_from: Vec::new(),
            protocol: plan.protocol,
            clients: plan.clients,
            senders: plan.senders,
            publishers: plan.publishers,
            rate_requested: plan.rate,
            rate_achieved,
            arrival: plan.arrival,
            size_bytes: plan.sizes,
            seed: plan.seed,
            warmup_seconds: plan.warmup.duration.as_secs_f64(),
            duration_seconds: seconds,
            connect_seconds: outcome.times.connect_seconds,
            drain_seconds: outcome.times.drain_seconds,
            deliveries_per_second_requested: plan.deliveries_per_second(),
            deliveries_per_second: measured.delivered as f64 / seconds,
            messages: measured.sent,
            expected: measured.expected,
            delivered: measured.delivered,
            lost: measured.lost(),
            lost_while_connected: measured.lost_while_connected,
            lost_to_disconnects: measured.lost_to_disconnects,
            duplicated: measured.duplicated,
            reordered: measured.reordered,
            corrupt: observation.corrupt,
            echoed: measured.echoed,
            unsent: measured.unsent,
            foreign: observation.foreign,
            backlog_at_end: outcome.times.backlog_at_end,
            warmup: audit.warmup,
            latency_ms: latencies,
            unrecorded: observation.latencies.unrecorded(),
            departures,
            server: watched.server,
            generator,
            series: watched.series,
            environment: surroundings.environment,
            slo: Vec::new(),
            steps: None,
            misbehaviour: None,
            server_view: None,
        }
    }

    /// Puts the server's own view beside the clients', and says if the two do not agree.
    pub(crate) fn add_server_view(&mut self, view: Option<ServerView>) {
        if let Some(view) = view.as_ref().filter(|view| !view.agrees) {
            let disagreement = view.sentences().join("; ");
            self.notes.push(match self.departures.count() {
                0 => format!("the server's counters and the clients' differ: {disagreement}"),
                departed => format!(
                    "{departed} clients were disconnected, which may have lost what the server had \
                     handed over: {disagreement}"
                ),
            });
        }
        self.server_view = view;
    }
}

impl Generator {
    fn new(outcome: &Outcome, consumption: Consumption, measured: Account, seconds: f64) -> Self {
        let user_ns_per_delivery = consumption
            .cpu_user_seconds
            // Less than a tick of the kernel's accounting is not known, rather than nothing.
            .filter(|&user_seconds| user_seconds > 0.0 && measured.delivered > 0)
            .map(|user_seconds| user_seconds * 1e9 / measured.delivered as f64);
        let threads: Vec<_> = outcome
            .turns
            .iter()
            .map(|turns| GeneratorThread::new(turns, seconds))
            .collect();
        Self {
            consumption,
            user_ns_per_delivery,
            reads: outcome.turns.iter().map(Turns::reads).sum(),
            busy_share: threads
                .iter()
                .map(|thread| thread.busy_share)
                .fold(0.0, f64::max),
            turn_ms: Turns::lengths_of(&outcome.turns),
            threads,
        }
    }
}

fn in_words(findings: &[impl ToString]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}
