//! A record: all that is kept of one run. Its report, and the histograms that no report can hold.

use std::time::SystemTime;

use crate::engine::Outcome;
use crate::histograms::Histograms;
use crate::monitor::Monitor;
use crate::plan::Plan;
use crate::report::{Report, Surroundings, Watched};
use crate::series::Interval;

/// What a folder holds.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) report: Report,
    pub(crate) histograms: Histograms,
    /// The delivery latencies by the second; empty if they are known as a whole only.
    pub(crate) intervals: Vec<Interval>,
    /// When the measured time began.
    pub(crate) began_at: SystemTime,
    /// The runs of which this is one, itself among them; empty if it was the only one.
    pub(crate) runs: Vec<Record>,
}

impl Record {
    /// Of a run that is over. The series is taken out of `monitor`.
    pub(crate) fn new(
        plan: &Plan,
        outcome: &Outcome,
        monitor: &mut Monitor,
        surroundings: Surroundings,
    ) -> Self {
        let (server, generator) = monitor.consumption();
        let series = monitor.series();
        let began_at = series
            .as_ref()
            .map_or_else(SystemTime::now, |series| series.began_at);
        let (seconds, intervals) = series
            .map(|series| (series.seconds, series.intervals))
            .unwrap_or_default();
        let watched = Watched {
            server,
            generator,
            server_ended: monitor.server_ended(),
            started_at: humantime::format_rfc3339_millis(began_at).to_string(),
            series: seconds,
        };
        Self {
            report: Report::new(plan, outcome, watched, surroundings),
            histograms: Histograms::of(&outcome.observation.latencies),
            intervals,
            began_at,
            runs: Vec::new(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::{Serializer, V2Serializer};

    use super::*;
    use crate::histograms::Kind;

    /// A record as runs leave them, with two seconds of made-up latencies.
    pub(crate) fn record() -> Record {
        let mut report: Report =
            serde_json::from_str(include_str!("../tests/data/run.json")).unwrap();
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
        Record {
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
