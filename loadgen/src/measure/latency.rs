//! Latencies: histograms that keep every sample to three significant digits, from a nanosecond up.
//!
//! No sample is clamped or dropped in silence. A time before its own beginning, and one that a
//! histogram has no room for, are counted instead, and the verdict speaks of them.

use hdrhistogram::Histogram;
use record::{Percentiles, Unrecorded};

use super::buckets::Buckets;
use super::ledger::Completion;
use crate::host::clock::SECOND_NS;
use crate::wire::stamp::Stamp;

/// All that is measured about the messages of a run; the warm-up's are left out.
#[derive(Debug)]
pub(crate) struct Latencies {
    /// Each delivery, from the time its message was intended to be sent.
    pub(crate) delivery: Recorder,
    /// Each delivery, from the time its message was sent.
    pub(crate) delivery_from_send: Recorder,
    /// Each message, from its intended time until its first receiver had it.
    pub(crate) completion_first: Recorder,
    /// The same, until half of its receivers had it.
    pub(crate) completion_median: Recorder,
    /// The same, until all of its receivers had it.
    pub(crate) completion: Recorder,
    /// Each message, from its intended time until the kernel had taken all of it.
    pub(crate) send_lag: Recorder,
}

impl Latencies {
    pub(crate) fn new() -> Self {
        Self {
            delivery: Recorder::new(),
            delivery_from_send: Recorder::new(),
            completion_first: Recorder::new(),
            completion_median: Recorder::new(),
            completion: Recorder::new(),
            send_lag: Recorder::new(),
        }
    }

    /// Records one delivery. Hot: once per delivery.
    pub(crate) fn delivered(&mut self, stamp: &Stamp, now_ns: u64) {
        self.delivery.record(stamp.intended_ns, now_ns);
        self.delivery_from_send.record(stamp.sent_ns, now_ns);
    }

    /// Records that everybody has a message.
    pub(crate) fn completed(&mut self, intended_ns: u64, completion: Completion) {
        self.completion_first
            .record(intended_ns, completion.first_ns);
        self.completion_median
            .record(intended_ns, completion.median_ns);
        self.completion.record(intended_ns, completion.last_ns);
    }

    /// Adds those of another thread.
    pub(crate) fn add(&mut self, other: &Self) {
        self.delivery.add(&other.delivery);
        self.delivery_from_send.add(&other.delivery_from_send);
        self.completion_first.add(&other.completion_first);
        self.completion_median.add(&other.completion_median);
        self.completion.add(&other.completion);
        self.send_lag.add(&other.send_lag);
    }

    /// Samples that no histogram could take.
    pub(crate) fn unrecorded(&self) -> Unrecorded {
        let recorders = [
            &self.delivery,
            &self.delivery_from_send,
            &self.completion_first,
            &self.completion_median,
            &self.completion,
            &self.send_lag,
        ];
        Unrecorded {
            negative: recorders.iter().map(|one| one.unrecorded.negative).sum(),
            out_of_range: recorders
                .iter()
                .map(|one| one.unrecorded.out_of_range)
                .sum(),
        }
    }
}

/// One histogram of nanoseconds.
#[derive(Debug)]
pub(crate) struct Recorder {
    buckets: Buckets,
    /// What there is no bucket for, and what other recorders had.
    histogram: Histogram<u64>,
    unrecorded: Unrecorded,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        let mut histogram = Histogram::new_with_bounds(1, 3_600 * SECOND_NS, 3)
            .expect("bounds and digits are constants that a histogram accepts");
        // Room for an hour is there from the start; a longer time makes more.
        histogram.auto(true);
        Self {
            buckets: Buckets::new(),
            histogram,
            unrecorded: Unrecorded::default(),
        }
    }

    /// Records the time from `from_ns` to `to_ns`. Hot: twice per delivery.
    pub(crate) fn record(&mut self, from_ns: u64, to_ns: u64) {
        match to_ns.checked_sub(from_ns) {
            Some(ns) if self.buckets.record(ns) || self.histogram.record(ns).is_ok() => {}
            Some(_) => self.unrecorded.out_of_range += 1,
            None => self.unrecorded.negative += 1,
        }
    }

    /// Adds the samples of `other`.
    pub(crate) fn add(&mut self, other: &Self) {
        self.histogram
            .add(other.histogram())
            .expect("a histogram that resizes itself takes every value");
        self.unrecorded.negative += other.unrecorded.negative;
        self.unrecorded.out_of_range += other.unrecorded.out_of_range;
    }

    /// All that was recorded, in nanoseconds.
    pub(crate) fn histogram(&self) -> Histogram<u64> {
        let mut histogram = self.histogram.clone();
        self.buckets.add_to(&mut histogram);
        histogram
    }

    pub(crate) fn percentiles(&self) -> Percentiles {
        percentiles(&self.histogram())
    }
}

/// What a reader wants to know of a histogram of nanoseconds.
pub(crate) fn percentiles(histogram: &Histogram<u64>) -> Percentiles {
    if histogram.is_empty() {
        return Percentiles::default();
    }
    let at = |quantile| Some(milliseconds(histogram.value_at_quantile(quantile)));
    Percentiles {
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: Some(milliseconds(histogram.max())),
        mean: Some(histogram.mean() / 1e6),
        count: histogram.len(),
    }
}

fn milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::clock::MILLISECOND_NS;

    #[test]
    fn percentiles_are_exact_to_three_digits() {
        let mut recorder = Recorder::new();
        for milliseconds in 1..=1000 {
            recorder.record(0, milliseconds * MILLISECOND_NS);
        }
        let percentiles = recorder.percentiles();
        for (found, wanted) in [
            (percentiles.p50, 500.0),
            (percentiles.p90, 900.0),
            (percentiles.p99, 990.0),
            (percentiles.p999, 999.0),
            (percentiles.max, 1000.0),
            (percentiles.mean, 500.5),
        ] {
            assert!((found.unwrap() / wanted - 1.0).abs() < 0.001);
        }
        assert_eq!(percentiles.count, 1000);
    }

    #[test]
    fn a_time_beyond_an_hour_is_kept() {
        let mut recorder = Recorder::new();
        let day_ns = 24 * 3600 * SECOND_NS;
        recorder.record(0, day_ns);
        let found = recorder.percentiles().max.unwrap();
        assert!((found / (day_ns as f64 / 1e6) - 1.0).abs() < 0.001);
        assert_eq!(recorder.unrecorded, Unrecorded::default());
    }

    #[test]
    fn a_negative_time_is_counted_and_not_recorded() {
        let mut recorder = Recorder::new();
        recorder.record(2, 1);
        assert_eq!(recorder.unrecorded.negative, 1);
        assert_eq!(recorder.percentiles(), Percentiles::default());
    }
}
