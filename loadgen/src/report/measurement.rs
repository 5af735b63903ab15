//! A measurement: all that is kept of one run. Its report, the record that other programs read, and the
//! histograms that no report can hold.

use std::time::{Duration, SystemTime};

use record::{
    Account, Consumption, Environment, Generator, GeneratorThread, Report, SCHEMA_VERSION, Second,
    ServerView,
};
use serde_json::Value;

use super::verdict::{self, Evidence};
use crate::measure::histograms::Histograms;
use crate::measure::plan::Plan;
use crate::measure::turns::Turns;
use crate::measure::watch::Outcome;
use crate::wire::codec::where_to_look;

/// What a folder holds.
#[derive(Debug, Clone)]
pub(crate) struct Measurement {
    pub(crate) report: Report,
    pub(crate) histograms: Histograms,
    /// The delivery latencies by the second; empty if they are known as a whole only.
    pub(crate) intervals: Vec<Interval>,
    /// When the measured time began.
    pub(crate) began_at: SystemTime,
    /// The runs of which this is one, itself among them; empty if it was the only one.
    pub(crate) runs: Vec<Measurement>,
}

/// The delivery latencies of one second, packed.
#[derive(Debug, Clone)]
pub(crate) struct Interval {
    pub(crate) began: Duration,
    pub(crate) lasted: Duration,
    /// In the encoding of `HdrHistogram`, version 2.
    pub(crate) packed: Vec<u8>,
}

/// Where a run took place.
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
    /// When the measured time began.
    pub(crate) began_at: SystemTime,
    pub(crate) series: Vec<Second>,
    pub(crate) intervals: Vec<Interval>,
}

impl Measurement {
    /// Of a run that is over.
    pub(crate) fn new(
        plan: &Plan,
        outcome: &Outcome,
        mut watched: Watched,
        surroundings: Surroundings,
    ) -> Self {
        Self {
            histograms: Histograms::of(&outcome.observation.latencies),
            intervals: std::mem::take(&mut watched.intervals),
            began_at: watched.began_at,
            runs: Vec::new(),
            report: report(plan, outcome, watched, surroundings),
        }
    }
}

/// Draws up the report of a run, its verdict included.
fn report(plan: &Plan, outcome: &Outcome, watched: Watched, surroundings: Surroundings) -> Report {
    let observation = &outcome.observation;
    let audit = observation.ledger.audit();
    let measured = audit.measured;
    let times = &outcome.times;
    let seconds = times.measured_seconds;
    let messages = if times.cut_short {
        measured.sent + measured.unsent
    } else {
        plan.measure.messages.into()
    };
    let order = observation.ledger.order();
    let latencies = Histograms::of(&observation.latencies).table();
    let disconnects = observation.disconnects.clone();
    let mut how = disconnects.in_words();
    if disconnects.notices.is_empty()
        && let Some(place) = where_to_look(plan.protocol)
    {
        how = format!("{how}; {place}");
    }
    let generator = generator_of(outcome, watched.generator, measured, seconds);
    let rate_achieved = observation.sent_on_time as f64 / seconds;
    let evidence = Evidence {
        audit,
        corrupt: observation.corrupt,
        foreign: observation.foreign,
        clients: plan.clients.into(),
        publishers: plan.publishers.into(),
        receivers: plan.receivers().into(),
        keeps_one_order: !plan.protocol.is_broker() && plan.dialect.is_none(),
        order,
        disconnected: disconnects.count(),
        publishers_disconnected: observation.publishers_disconnected,
        disconnects_in_words: &how,
        completed: times.completed,
        cut_short: times.cut_short.then_some((seconds, plan.measure.duration)),
        server_ended: watched.server_ended,
        cuts: observation.cuts,
        rate_requested: plan.rate,
        rate_achieved,
        messages,
        delivery: latencies.delivery,
        completion: latencies.completion,
        send_lag: latencies.send_lag,
        unrecorded: observation.latencies.unrecorded(),
        threads: &generator.threads,
        backlog_at_end: times.backlog_at_end,
    };
    let problems = in_words(&verdict::problems(&evidence));
    Report {
        schema_version: SCHEMA_VERSION,
        valid: problems.is_empty(),
        problems,
        notes: in_words(&verdict::notes(&evidence)),
        addr: surroundings.addr,
        command: surroundings.command,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cut_short: times.cut_short,
        started_at: humantime::format_rfc3339_millis(watched.began_at).to_string(),
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
        connect_seconds: times.connect_seconds,
        drain_seconds: times.drain_seconds,
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
        disordered: order.disordered,
        corrupt: observation.corrupt,
        echoed: measured.echoed,
        unsent: measured.unsent,
        foreign: observation.foreign,
        backlog_at_end: times.backlog_at_end,
        warmup: audit.warmup,
        latency_ms: latencies,
        unrecorded: observation.latencies.unrecorded(),
        disconnects,
        cuts: plan.cut_every.map(|_| observation.cuts),
        server: watched.server,
        generator,
        series: watched.series,
        environment: surroundings.environment,
        slo: Vec::new(),
        steps: None,
        hostile: None,
        server_view: None,
    }
}

/// Puts the server's own view beside the clients', and says if the two do not agree.
pub(crate) fn add_server_view(report: &mut Report, view: Option<ServerView>) {
    if let Some(view) = view.as_ref().filter(|view| !view.agrees) {
        let disagreement = view.sentences().join("; ");
        report.notes.push(match report.disconnects.count() {
            0 => format!("the server's counters and the clients' differ: {disagreement}"),
            disconnected => format!(
                "{disconnected} clients were disconnected, which may have lost what the server had \
                 handed over: {disagreement}"
            ),
        });
    }
    report.server_view = view;
}

/// The figure that run.json has at a place such as `latency_ms.delivery.p99`.
pub(crate) fn figure<'a>(figures: &'a Value, place: &str) -> Option<&'a Value> {
    figures.pointer(&format!("/{}", place.replace('.', "/")))
}

fn generator_of(
    outcome: &Outcome,
    consumption: Consumption,
    measured: Account,
    seconds: f64,
) -> Generator {
    let user_ns_per_delivery = consumption
        .cpu_user_seconds
        // Less than a tick of the kernel's accounting is not known, rather than nothing.
        .filter(|&user_seconds| user_seconds > 0.0 && measured.delivered > 0)
        .map(|user_seconds| user_seconds * 1e9 / measured.delivered as f64);
    let threads: Vec<_> = outcome
        .turns
        .iter()
        .map(|turns| thread_of(turns, seconds))
        .collect();
    Generator {
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

fn thread_of(turns: &Turns, seconds: f64) -> GeneratorThread {
    let scheduled = turns.scheduled();
    // What is counted begins and ends with a turn, which may be late.
    let known_ns = scheduled.map_or(0, |scheduled| scheduled.ran_ns + scheduled.waited_ns);
    let seconds = seconds.max(known_ns as f64 / 1e9);
    let share = |ns: u64| ns as f64 / 1e9 / seconds;
    GeneratorThread {
        busy_share: turns.busy_share(seconds),
        ran_share: scheduled.map(|scheduled| share(scheduled.ran_ns)),
        waited_share: scheduled.map(|scheduled| share(scheduled.waited_ns)),
        turn_ms: turns.lengths(),
    }
}

fn in_words(findings: &[impl ToString]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::{Serializer, V2Serializer};

    use super::*;
    use crate::measure::latency::Kind;

    /// A measurement as runs leave them, with two seconds of made-up latencies.
    pub(crate) fn measurement() -> Measurement {
        let mut report: Report =
            serde_json::from_str(include_str!("../../tests/data/run.json")).unwrap();
        let (mut histograms, mut intervals) = (Histograms::empty(), Vec::new());
        for second in 0..2 {
            let samples = histogram((1..=500).map(|at| at * 40_000 * (second + 1)));
            histograms.add(Kind::Delivery, &samples);
            intervals.push(Interval {
                began: Duration::from_secs(second),
                lasted: Duration::from_secs(1),
                packed: packed(&samples),
            });
        }
        for (kind, nanoseconds) in [
            (Kind::DeliveryFromSend, 30_000),
            (Kind::CompletionFirst, 90_000),
            (Kind::CompletionMedian, 400_000),
            (Kind::Completion, 900_000),
            (Kind::SendLag, 2_000),
        ] {
            histograms.add(kind, &histogram((1..=300).map(|at| at * nanoseconds)));
        }
        report.latency_ms = histograms.table();
        Measurement {
            report,
            histograms,
            intervals,
            runs: Vec::new(),
            began_at: humantime::parse_rfc3339("2026-11-24T06:00:00Z").unwrap(),
        }
    }

    fn histogram(samples: impl Iterator<Item = u64>) -> Histogram<u64> {
        let mut histogram = Histogram::new(3).unwrap();
        samples.for_each(|sample| histogram.record(sample).unwrap());
        histogram
    }

    fn packed(histogram: &Histogram<u64>) -> Vec<u8> {
        let mut packed = Vec::new();
        V2Serializer::new()
            .serialize(histogram, &mut packed)
            .unwrap();
        packed
    }
}
