//! A histogram of fixed buckets, four to each doubling.
//!
//! Recording is two shifts and an addition into an array: no allocation, no lock, and cheap enough for
//! every send, which is why it is not an HDR histogram (whose record checks bounds and may grow).
//! A value is known to a quarter of itself or better. Units are the user's: microseconds or a number.

use std::ops::AddAssign;
use std::time::Duration;

/// Counts of values, by size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BUCKETS],
    sum: u64,
}

/// Buckets of a histogram: values to 2^28 (268 s in microseconds), the last takes all above, too.
const BUCKETS: usize = 4 * 27;

impl Histogram {
    /// An empty histogram.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            counts: [0; BUCKETS],
            sum: 0,
        }
    }

    /// Counts `value`.
    #[inline]
    pub fn record(&mut self, value: u64) {
        self.counts[bucket(value)] += 1;
        self.sum += value;
    }

    /// How many values were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of all values.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// For each bucket, in rising order: the largest value it takes, and how many values are not
    /// above that. What is above the last belongs to it, too.
    pub fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut below = 0;
        self.counts.iter().enumerate().map(move |(index, count)| {
            below += count;
            (bound(index), below)
        })
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl AddAssign for Histogram {
    fn add_assign(&mut self, other: Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum += other.sum;
    }
}

/// A time in whole microseconds.
#[inline]
pub(super) fn micros(time: Duration) -> u64 {
    time.as_secs() * 1_000_000 + u64::from(time.subsec_micros())
}

/// Which bucket takes `value`: the first whose bound is not below it.
#[inline]
fn bucket(value: u64) -> usize {
    // Bounds are taken in, hence one less; what has fewer than three bits has a bucket of its own.
    let value = value.saturating_sub(1);
    let shift = 61_u32.saturating_sub((value | 1).leading_zeros());
    let index = 4 * u64::from(shift) + (value >> shift);
    usize::try_from(index).map_or(BUCKETS - 1, |index| index.min(BUCKETS - 1))
}

/// The largest value that bucket `index` takes.
fn bound(index: usize) -> u64 {
    let (octave, step) = (index / 4, index % 4);
    let next = step as u64 + 1;
    match octave.checked_sub(1) {
        None => next,
        Some(shift) => (4 + next) << shift,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_in_the_first_bucket_that_is_not_below_it() {
        let edges = (0..28).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1]);
        for value in (0..10_000).chain(edges) {
            let index = bucket(value);
            assert!(value <= bound(index), "{value} in {index}");
            assert!(
                index == 0 || value > bound(index - 1),
                "{value} not before {index}"
            );
        }
        assert_eq!(bound(BUCKETS - 1), 1 << 28);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn bounds_are_at_most_a_quarter_apart() {
        for index in 4..BUCKETS {
            assert!(4 * (bound(index) - bound(index - 1)) <= bound(index - 1));
        }
    }

    #[test]
    fn sums_and_counts_add_up() {
        let mut one = Histogram::new();
        one.record(micros(Duration::from_millis(3)));
        let mut other = Histogram::new();
        other.record(7);
        other += one;
        assert_eq!((other.count(), other.sum()), (2, 3007));
        assert_eq!(other.cumulative().last(), Some((1 << 28, 2)));
        assert_eq!(
            other.cumulative().find(|&(_, count)| count == 1),
            Some((7, 1))
        );
    }
}
