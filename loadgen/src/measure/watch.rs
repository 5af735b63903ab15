//! What is seen of a run from outside while it is under way, and what it came to in the end.

use hdrhistogram::Histogram;

use super::error::RunError;
use super::observation::{Observation, Traffic};
use super::phases::Phase;
use super::turns::Turns;

/// Looks at a run from outside, and may end it.
pub(crate) trait Watch {
    /// A phase has begun.
    fn entered(&mut self, status: &Status);
    /// Time has passed; says whether to go on.
    fn tick(&mut self, status: &Status) -> Result<Wish, RunError>;
    /// The run is over: whether what may still come need not be waited for.
    fn is_settled(&mut self, traffic: Traffic) -> bool;
}

/// What whoever watches wants of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    GoOn,
    /// Measure no longer, wait for what is owed, and report what was measured.
    CutShort,
}

/// How a run is getting on.
#[derive(Debug)]
pub(crate) struct Status {
    pub(crate) now_ns: u64,
    pub(crate) phase: Phase,
    /// When the phase ends by the clock, if it does.
    pub(crate) phase_ends_ns: Option<u64>,
    /// How many clients have joined.
    pub(crate) joined: u32,
    /// Deliveries so far, the warm-up's included.
    pub(crate) delivered: u64,
    /// What is still owed to those present, or has yet to be sent.
    pub(crate) owed: u64,
    /// Measured deliveries so far, from the intended time.
    pub(crate) delivery: Histogram<u64>,
    /// Of measured messages so far.
    pub(crate) send_lag: Histogram<u64>,
    /// Turns of all workers so far.
    pub(crate) turns: Histogram<u64>,
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) observation: Observation,
    /// Of each worker.
    pub(crate) turns: Vec<Turns>,
    pub(crate) times: Times,
}

/// How long the parts of a run took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// Whether clients were there until the measured time was over.
    pub(crate) completed: bool,
    /// Whether the measured time was ended before its end by the clock.
    pub(crate) cut_short: bool,
    pub(crate) measured_seconds: f64,
    /// Deliveries still owed when the measured time was over.
    pub(crate) backlog_at_end: u64,
    /// From the first connection to the last client's joining.
    pub(crate) connect_seconds: f64,
    /// From the end of the measured time to the last delivery, or until patience ended.
    pub(crate) drain_seconds: f64,
}
