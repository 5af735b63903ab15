//! The event loop's own lag: how long its turns take, and how much of the time it works.
//!
//! A socket that becomes readable just after a turn began is read in the next one, so a turn's length
//! is what the generator itself may add to a latency.

use hdrhistogram::Histogram;

use crate::latency::{Percentiles, Recorder};

/// The turns of the measured time.
#[derive(Debug)]
pub(crate) struct Turns {
    lengths: Recorder,
    worked_ns: u64,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self {
            lengths: Recorder::new(),
            worked_ns: 0,
        }
    }

    /// A turn's work has been done.
    pub(crate) fn turned(&mut self, woken_ns: u64, done_ns: u64) {
        self.lengths.record(woken_ns, done_ns);
        self.worked_ns += done_ns - woken_ns;
    }

    /// How long the turns took, all of them.
    pub(crate) fn histogram(&self) -> &Histogram<u64> {
        self.lengths.histogram()
    }

    /// How long the turns took.
    pub(crate) fn lengths(&self) -> Percentiles {
        self.lengths.percentiles()
    }

    /// The share of `seconds` in which the loop did not wait.
    pub(crate) fn busy_share(&self, seconds: f64) -> f64 {
        self.worked_ns as f64 / 1e9 / seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_work_is_of_the_time_given() {
        let mut turns = Turns::new();
        turns.turned(100, 100 + 250_000_000);
        turns.turned(900_000_000, 1_150_000_000);
        assert!((turns.busy_share(2.0) - 0.25).abs() < 1e-9);
        assert_eq!(turns.lengths().count, 2);
    }
}
