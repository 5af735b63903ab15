//! The histograms of a run, each latency under the name that it has in every file.
//!
//! They are what percentiles are computed from, and what can be added to those of other runs;
//! percentiles cannot.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use record::LatencyTable;

use super::latency::{Kind, Latencies, empty_histogram, percentiles};

/// A histogram of nanoseconds for each kind of latency.
#[derive(Debug, Clone)]
pub(crate) struct Histograms(BTreeMap<Kind, Histogram<u64>>);

impl Histograms {
    /// One without a sample for each kind.
    pub(crate) fn empty() -> Self {
        Self(Kind::ALL.map(|kind| (kind, empty_histogram())).into())
    }

    /// Those of a run.
    pub(crate) fn of(latencies: &Latencies) -> Self {
        let histogram = |kind: Kind| (kind, latencies.of(kind).histogram());
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
#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::clock::SECOND_NS;

    #[test]
    fn names_are_read_back() {
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert_eq!("x".parse::<Kind>(), Err(()));
    }

    #[test]
    fn adding_keeps_every_sample_even_beyond_an_hour() {
        let (mut sum, mut other) = (Histograms::empty(), empty_histogram());
        other.record(7_200 * SECOND_NS).unwrap();
        other.record(5).unwrap();
        sum.add(Kind::Delivery, &other);
        sum.add(Kind::Delivery, &other);
        assert_eq!(sum.get(Kind::Delivery).len(), 4);
        assert_eq!(sum.table().delivery.count, 4);
        assert_eq!(sum.table().completion.count, 0);
    }
}
