//! Buckets: counts of times by size, in the very buckets of an HdrHistogram of three digits.
//!
//! A record is two shifts and an addition. What a histogram keeps beside its counts (the smallest, the
//! largest, the sum of all counts) is found when one is made of them.
//!
//! Latencies spread over thousands of buckets, and each is counted in two of these tables. So that both
//! stay in a core's cache beside thousands of sockets, a count is 16 bits; whenever it has come full
//! circle, that is counted elsewhere.

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
    /// The low bits of each count.
    counts: Vec<u16>,
    /// How often these have come full circle.
    circles: Vec<u64>,
}

impl Buckets {
    /// All of them empty.
    pub(crate) fn new() -> Self {
        let sizes = (VALUE_BITS - SIGNIFICANT_BITS) as usize + 2;
        Self {
            counts: vec![0; sizes * EACH],
            circles: vec![0; sizes * EACH],
        }
    }

    /// Counts a value; says whether there is a bucket for it. Hot: twice per delivery.
    #[inline]
    pub(crate) fn record(&mut self, value: u64) -> bool {
        let index = index_of(value);
        let Some(count) = self.counts.get_mut(index) else {
            return false;
        };
        *count = count.wrapping_add(1);
        if *count == 0 {
            self.circles[index] += 1;
        }
        true
    }

    /// Adds all that was counted to a histogram of three digits.
    ///
    /// # Panics
    /// If it has fewer digits, or no room and does not resize itself.
    pub(crate) fn add_to(&self, histogram: &mut Histogram<u64>) {
        let counts = self.counts.iter().zip(&self.circles);
        let counts = counts.map(|(&low, circles)| (circles << u16::BITS) + u64::from(low));
        for (index, count) in counts.enumerate().filter(|&(_, count)| count > 0) {
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
    fn counts_go_on_when_their_low_bits_have_come_full_circle() {
        let circle = u64::from(u16::MAX) + 1;
        let mut buckets = Buckets::new();
        for times in [circle - 1, 1, circle + 1] {
            for _ in 0..times {
                assert!(buckets.record(5_000_000));
            }
            assert!(buckets.record(7));
        }
        let mut found = histogram();
        buckets.add_to(&mut found);
        assert_eq!(found.count_at(5_000_000), 2 * circle + 1);
        assert_eq!(found.len(), 2 * circle + 4);
    }

    #[test]
    fn values_that_are_larger_than_all_buckets_are_left_to_the_caller() {
        let mut buckets = Buckets::new();
        assert!(buckets.record((1 << VALUE_BITS) - 1));
        assert!(!buckets.record(1 << VALUE_BITS));
        assert!(!buckets.record(u64::MAX));
    }
}
