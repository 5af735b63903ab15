//! Buckets: counts of times by size, in the very buckets of an HdrHistogram of three digits.
//!
//! A record is two shifts and an addition. What a histogram keeps beside its counts (the smallest, the
//! largest, the sum of all counts) is found when one is made of them.

use hdrhistogram::Histogram;

/// A value is kept to so many bits, which is what three digits take.
const SIGNIFICANT_BITS: u32 = 11;

/// Buckets of the values that share their highest bit.
const EACH: usize = 1 << (SIGNIFICANT_BITS - 1);

/// Values have up to so many bits: 73 minutes of nanoseconds.
const VALUE_BITS: u32 = 42;

/// How often a value of each size came.
#[derive(Debug)]
pub(crate) struct Buckets {
    counts: Vec<u64>,
}

impl Buckets {
    /// All of them empty.
    pub(crate) fn new() -> Self {
        let sizes = (VALUE_BITS - SIGNIFICANT_BITS) as usize + 2;
        Self {
            counts: vec![0; sizes * EACH],
        }
    }

    /// Counts a value; says whether there is a bucket for it. Hot: twice per delivery.
    #[inline]
    pub(crate) fn record(&mut self, value: u64) -> bool {
        let count = self.counts.get_mut(index_of(value));
        let Some(count) = count else {
            return false;
        };
        *count += 1;
        true
    }

    /// Adds all that was counted to a histogram of three digits.
    ///
    /// # Panics
    /// If it has fewer digits, or no room and does not resize itself.
    pub(crate) fn add_to(&self, histogram: &mut Histogram<u64>) {
        let filled = self.counts.iter().enumerate();
        for (index, &count) in filled.filter(|&(_, &count)| count > 0) {
            histogram
                .record_n(lowest_of(index), count)
                .expect("a histogram that resizes itself takes every value");
        }
    }
}

/// The bucket of a value. Of larger values more of the low bits are left out.
fn index_of(value: u64) -> usize {
    let bits = u64::BITS - value.leading_zeros();
    let left_out = bits.saturating_sub(SIGNIFICANT_BITS);
    left_out as usize * EACH + usize::try_from(value >> left_out).unwrap_or(usize::MAX)
}

/// The smallest value of a bucket.
fn lowest_of(index: usize) -> u64 {
    let left_out = (index / EACH).saturating_sub(1);
    ((index - left_out * EACH) as u64) << left_out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn histogram() -> Histogram<u64> {
        let mut histogram = Histogram::new_with_bounds(1, 1 << VALUE_BITS, 3).unwrap();
        histogram.auto(true);
        histogram
    }

    proptest! {
        #[test]
        fn a_histogram_of_the_buckets_is_that_of_the_values(
            values in proptest::collection::vec((0_u64..1 << VALUE_BITS, 0..VALUE_BITS), 0..200),
        ) {
            let (mut buckets, mut wanted) = (Buckets::new(), histogram());
            for (value, shift) in values {
                // Small ones come as often as large ones.
                let value = value >> shift;
                prop_assert!(buckets.record(value));
                wanted.record(value).unwrap();
            }
            let mut found = histogram();
            buckets.add_to(&mut found);
            prop_assert_eq!((found.min(), found.max()), (wanted.min(), wanted.max()));
            prop_assert_eq!(found.mean().to_bits(), wanted.mean().to_bits());
            prop_assert_eq!(found, wanted);
        }
    }

    #[test]
    fn values_that_are_larger_than_all_buckets_are_left_to_the_caller() {
        let mut buckets = Buckets::new();
        assert!(buckets.record((1 << VALUE_BITS) - 1));
        assert!(!buckets.record(1 << VALUE_BITS));
        assert!(!buckets.record(u64::MAX));
    }
}
