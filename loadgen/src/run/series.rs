//! The series: how a run went, second by second, from the beginning of the measured time until
//! everything had come.
//!
//! A second costs a subtraction of histograms and a look at /proc; a delivery costs nothing. The
//! engine looks up five times a second, so that a "second" lasts up to 1.2 of them: each says how
//! long it was, and its rates are by that length. The measured time ends one too.

use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2Serializer};
use record::Second;

use crate::host::clock::SECOND_NS;
use crate::host::procfs::{Usage, consumption};
use crate::measure::latency::percentiles;
use crate::measure::phases::Phase;
use crate::measure::watch::Status;
use crate::report::measurement::Interval;

/// All seconds of a run.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    /// When the measured time began.
    pub(crate) began_at: SystemTime,
    pub(crate) seconds: Vec<Second>,
    pub(crate) intervals: Vec<Interval>,
}

/// Collects a series.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    state: Option<State>,
}

#[derive(Debug)]
struct State {
    began_ns: u64,
    series: Series,
    before: Look,
}

/// What had come to be at some time.
#[derive(Debug)]
struct Look {
    at_ns: u64,
    phase: Phase,
    delivery: Histogram<u64>,
    turns: Histogram<u64>,
    messages: u64,
    owed: u64,
    server: Option<Usage>,
    generator: Option<Usage>,
}

impl Collector {
    /// Begins with the measured time, and ends a second when it is over. `usage` asks what the server
    /// and the generator have used.
    pub(crate) fn look(
        &mut self,
        status: &Status,
        usage: impl FnOnce() -> (Option<Usage>, Option<Usage>),
    ) {
        match &mut self.state {
            None if status.phase == Phase::Measure => {
                self.state = Some(State {
                    began_ns: status.now_ns,
                    series: Series {
                        began_at: SystemTime::now(),
                        seconds: Vec::new(),
                        intervals: Vec::new(),
                    },
                    before: Look::first(status, usage()),
                });
            }
            Some(state) if state.is_due(status) => state.end_second(Look::new(status, usage())),
            _ => {}
        }
    }

    /// The series, once the run is over; `None` if nothing was measured.
    pub(crate) fn finish(&mut self) -> Option<Series> {
        self.state.take().map(|state| state.series)
    }
}

impl State {
    fn is_due(&self, status: &Status) -> bool {
        let (before, now) = (self.before.phase, status.phase);
        let measured = before == Phase::Measure && now != Phase::Measure;
        let done = before != Phase::Done && now == Phase::Done;
        let second_ended = status.now_ns >= self.before.at_ns + SECOND_NS;
        measured || done || (second_ended && before != Phase::Done)
    }

    fn end_second(&mut self, after: Look) {
        let before = &self.before;
        let since_ns = |at_ns: u64| at_ns - self.began_ns;
        let (from_ns, to_ns) = (since_ns(before.at_ns), since_ns(after.at_ns));
        let seconds = (to_ns - from_ns) as f64 / 1e9;
        let delivery = difference(&after.delivery, &before.delivery);
        let latency = percentiles(&delivery);
        let server = consumption(before.server, after.server, seconds);
        let generator = consumption(before.generator, after.generator, seconds);
        self.series.seconds.push(Second {
            from_seconds: from_ns as f64 / 1e9,
            to_seconds: to_ns as f64 / 1e9,
            drain: before.phase != Phase::Measure,
            messages: after.messages - before.messages,
            deliveries: delivery.len(),
            deliveries_per_second: delivery.len() as f64 / seconds.max(1e-9),
            p50_ms: latency.p50,
            p99_ms: latency.p99,
            max_ms: latency.max,
            owed: after.owed,
            turn_max_ms: percentiles(&difference(&after.turns, &before.turns)).max,
            server_cpu_cores: server.cpu_cores,
            server_rss_bytes: after.server.and_then(|usage| usage.rss_bytes),
            server_descriptors: server.descriptors,
            server_voluntary_switches: server.voluntary_switches,
            server_involuntary_switches: server.involuntary_switches,
            generator_cpu_cores: generator.cpu_cores,
            generator_rss_bytes: after.generator.and_then(|usage| usage.rss_bytes),
            generator_descriptors: generator.descriptors,
            generator_voluntary_switches: generator.voluntary_switches,
            generator_involuntary_switches: generator.involuntary_switches,
        });
        self.series.intervals.push(Interval {
            began: Duration::from_nanos(from_ns),
            lasted: Duration::from_nanos(to_ns - from_ns),
            packed: pack(&delivery),
        });
        self.before = after;
    }
}

impl Look {
    /// At the beginning, whatever may already have come of it: all that is counted is of the measured
    /// time, and none of it is to be left out.
    fn first(status: &Status, usage: (Option<Usage>, Option<Usage>)) -> Self {
        let mut first = Self::new(status, usage);
        first.delivery.reset();
        first.turns.reset();
        first.messages = 0;
        first
    }

    fn new(status: &Status, (server, generator): (Option<Usage>, Option<Usage>)) -> Self {
        Self {
            at_ns: status.now_ns,
            phase: status.phase,
            delivery: status.delivery.clone(),
            turns: status.turns.clone(),
            messages: status.send_lag.len(),
            owed: status.owed,
            server,
            generator,
        }
    }
}

fn difference(after: &Histogram<u64>, before: &Histogram<u64>) -> Histogram<u64> {
    let mut difference = after.clone();
    difference
        .subtract(before)
        .expect("a histogram only grows, in counts and in range");
    difference
}

fn pack(histogram: &Histogram<u64>) -> Vec<u8> {
    let mut packed = Vec::new();
    V2Serializer::new()
        .serialize(histogram, &mut packed)
        .expect("memory takes all that is written, and a histogram of this size fits the format");
    packed
}
