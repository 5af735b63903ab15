//! The histograms of a run, each latency under the name that it has in every file.
//!
//! They are what percentiles are computed from, and what can be added to those of other runs;
//! percentiles cannot.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use hdrhistogram::Histogram;
use record::LatencyTable;

use super::latency::{Latencies, percentiles};
use crate::host::clock::SECOND_NS;

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

/// A histogram of nanoseconds for each kind of latency.
#[derive(Debug, Clone)]
pub(crate) struct Histograms(BTreeMap<Kind, Histogram<u64>>);

impl Histograms {
    /// One without a sample for each kind.
    pub(crate) fn empty() -> Self {
        Self(Kind::ALL.map(|kind| (kind, empty())).into())
    }

    /// Those of a run.
    pub(crate) fn of(latencies: &Latencies) -> Self {
        let recorder = |kind| match kind {
            Kind::Delivery => &latencies.delivery,
            Kind::DeliveryFromSend => &latencies.delivery_from_send,
            Kind::CompletionFirst => &latencies.completion_first,
            Kind::CompletionMedian => &latencies.completion_median,
            Kind::Completion => &latencies.completion,
            Kind::SendLag => &latencies.send_lag,
        };
        let histogram = |kind: Kind| (kind, recorder(kind).histogram());
        Self(Kind::ALL.map(histogram).into())
    }

    pub(crate) fn get(&self, kind: Kind) -> &Histogram<u64> {
        &self.0[&kind]
    }

    /// Adds the samples of `other`.
    pub(crate) fn add(&mut self, kind: Kind, other: &Histogram<u64>) {
        if let Some(histogram) = self.0.get_mut(&kind) {
            histogram
                .add(other)
                .expect("a histogram that resizes itself takes every value");
        }
    }

    /// The percentiles of all kinds.
    pub(crate) fn table(&self) -> LatencyTable {
        let of = |kind| percentiles(self.get(kind));
        LatencyTable {
            delivery: of(Kind::Delivery),
            delivery_from_send: of(Kind::DeliveryFromSend),
            completion: of(Kind::Completion),
            completion_median: of(Kind::CompletionMedian),
            completion_first: of(Kind::CompletionFirst),
            send_lag: of(Kind::SendLag),
        }
    }
}

fn empty() -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1, 60 * SECOND_NS, 3)
        .expect("bounds and digits are constants that a histogram accepts");
    histogram.auto(true);
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert_eq!("x".parse::<Kind>(), Err(()));
    }

    #[test]
    fn adding_keeps_every_sample_even_beyond_an_hour() {
        let (mut sum, mut other) = (Histograms::empty(), empty());
        other.record(7_200 * SECOND_NS).unwrap();
        other.record(5).unwrap();
        sum.add(Kind::Delivery, &other);
        sum.add(Kind::Delivery, &other);
        assert_eq!(sum.get(Kind::Delivery).len(), 4);
        assert_eq!(sum.table().delivery.count, 4);
        assert_eq!(sum.table().completion.count, 0);
    }
}
