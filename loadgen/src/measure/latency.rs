//! Latencies: histograms that keep every sample to three significant digits, from a nanosecond up.
//!
//! No sample is clamped or dropped in silence. A time before its own beginning, and one that a
//! histogram has no room for, are counted instead, and the verdict speaks of them.

use std::fmt;
use std::str::FromStr;

use hdrhistogram::Histogram;
use record::{Percentiles, Unrecorded};

use super::buckets::Buckets;
use super::ledger::Completion;
use crate::host::clock::SECOND_NS;
use crate::wire::stamp::Stamp;

/// The latencies that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Each delivery, from the intended time.
    Delivery,
    /// Each delivery, from the time of sending.
    DeliveryFromSend,
    /// Each message, until its first receiver had it.
    CompletionFirst,
    /// Each message, until half of its receivers had it.
    CompletionMedian,
    /// Each message, until all receivers had it.
    Completion,
    /// Each message, until the kernel had taken it.
    SendLag,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] = [
        Self::Delivery,
        Self::DeliveryFromSend,
        Self::CompletionFirst,
        Self::CompletionMedian,
        Self::Completion,
        Self::SendLag,
    ];

    /// The name in files.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::DeliveryFromSend => "delivery_from_send",
            Self::CompletionFirst => "completion_first",
            Self::CompletionMedian => "completion_median",
            Self::Completion => "completion",
            Self::SendLag => "send_lag",
        }
    }

    /// The name for people.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::DeliveryFromSend => "delivery from the actual send",
            Self::CompletionFirst => "broadcast, first receiver",
            Self::CompletionMedian => "broadcast, median receiver",
            Self::Completion => "broadcast, last receiver",
            Self::SendLag => "send lag",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let named = |kind: &Self| kind.name() == text;
        Self::ALL.into_iter().find(named).ok_or(())
    }
}

/// All that is measured about the messages of a run; the warm-up's are left out.
#[derive(Debug)]
pub(crate) struct Latencies([Recorder; Kind::ALL.len()]);

impl Latencies {
    pub(crate) fn new() -> Self {
        Self(Kind::ALL.map(|_| Recorder::new()))
    }

    pub(crate) fn of(&self, kind: Kind) -> &Recorder {
        &self.0[kind as usize]
    }

    /// Records a time of one kind. Hot: twice per delivery.
    pub(crate) fn record(&mut self, kind: Kind, from_ns: u64, to_ns: u64) {
        self.0[kind as usize].record(from_ns, to_ns);
    }

    /// Records one delivery. Hot: once per delivery.
    pub(crate) fn delivered(&mut self, stamp: &Stamp, now_ns: u64) {
        self.record(Kind::Delivery, stamp.intended_ns, now_ns);
        self.record(Kind::DeliveryFromSend, stamp.sent_ns, now_ns);
    }

    /// Records that everybody has a message.
    pub(crate) fn completed(&mut self, intended_ns: u64, completion: Completion) {
        self.record(Kind::CompletionFirst, intended_ns, completion.first_ns);
        self.record(Kind::CompletionMedian, intended_ns, completion.median_ns);
        self.record(Kind::Completion, intended_ns, completion.last_ns);
    }

    /// Adds those of another thread.
    pub(crate) fn add(&mut self, other: &Self) {
        for (ours, theirs) in self.0.iter_mut().zip(&other.0) {
            ours.add(theirs);
        }
    }

    /// Samples that no histogram could take.
    pub(crate) fn unrecorded(&self) -> Unrecorded {
        let all = || self.0.iter().map(|one| one.unrecorded);
        Unrecorded {
            negative: all().map(|one| one.negative).sum(),
            out_of_range: all().map(|one| one.out_of_range).sum(),
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
        Self {
            buckets: Buckets::new(),
            histogram: empty_histogram(),
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

/// A histogram of nanoseconds. There is room for an hour from the start; a longer time makes more.
pub(crate) fn empty_histogram() -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1, 3_600 * SECOND_NS, 3)
        .expect("bounds and digits are constants that a histogram accepts");
    histogram.auto(true);
    histogram
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
