//! The event loop's own lag: how long its turns take, and how much of the time it works.
//!
//! A socket that becomes readable just after a turn began is read in the next one, so a turn's length
//! is what the generator itself may add to a latency.

use hdrhistogram::Histogram;
use record::Percentiles;

use super::latency::Recorder;
use crate::host::procfs::Scheduled;

/// The turns of the measured time.
#[derive(Debug)]
pub(crate) struct Turns {
    lengths: Recorder,
    worked_ns: u64,
    reads: u64,
    /// What the kernel said of this thread at the beginning of the measured time, and at its end.
    scheduled: [Option<Scheduled>; 2],
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self {
            lengths: Recorder::new(),
            worked_ns: 0,
            reads: 0,
            scheduled: [None; 2],
        }
    }

    /// The measured time begins, on this thread.
    pub(crate) fn begin(&mut self) {
        self.scheduled[0] = Scheduled::of_this_thread();
    }

    /// The measured time ends, on this thread.
    pub(crate) fn end(&mut self) {
        self.scheduled[1] = Scheduled::of_this_thread();
    }

    /// So many reads brought bytes.
    pub(crate) fn read(&mut self, reads: u64) {
        self.reads += reads;
    }

    /// Reads that brought bytes.
    pub(crate) fn reads(&self) -> u64 {
        self.reads
    }

    /// How long the thread ran, and how long it waited for a processor; `None` where the kernel does
    /// not say.
    pub(crate) fn scheduled(&self) -> Option<Scheduled> {
        let [before, after] = self.scheduled;
        Some(after?.since(before?))
    }

    /// A turn's work has been done.
    pub(crate) fn turned(&mut self, woken_ns: u64, done_ns: u64) {
        self.lengths.record(woken_ns, done_ns);
        self.worked_ns += done_ns - woken_ns;
    }

    /// How long the turns took, all of them.
    pub(crate) fn histogram(&self) -> Histogram<u64> {
        self.lengths.histogram()
    }

    /// How long the turns took.
    pub(crate) fn lengths(&self) -> Percentiles {
        self.lengths.percentiles()
    }

    /// How long the turns of several loops took, all together.
    pub(crate) fn lengths_of(loops: &[Self]) -> Percentiles {
        let mut lengths = Recorder::new();
        for turns in loops {
            lengths.add(&turns.lengths);
        }
        lengths.percentiles()
    }

    /// The share of `seconds` in which the loop did not wait. The last turn may end after them.
    pub(crate) fn busy_share(&self, seconds: f64) -> f64 {
        (self.worked_ns as f64 / 1e9 / seconds).min(1.0)
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
