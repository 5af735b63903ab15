//! The phases of a run, and when one follows the other.
//!
//! Connect until everybody has joined; warm up and measure by the clock, whatever the server does;
//! drain until nothing is owed; set a final mark behind everything; done. Pure: told the time and
//! the facts, it says what comes next.

use std::fmt;

use super::plan::Plan;
use crate::host::clock::{SECOND_NS, nanoseconds};

/// How long the final mark may take once all that was owed has come.
const MARK_TIMEOUT_NS: u64 = SECOND_NS;

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Clients connect and join.
    Connect,
    /// Messages are sent and checked, but not measured.
    WarmUp,
    /// Messages are sent and measured.
    Measure,
    /// Nothing is sent any more; what is owed is waited for.
    Drain,
    /// A last probe passes through the server behind everything else.
    Mark,
    /// Nothing more can come.
    Done,
}

impl Phase {
    /// In their order.
    pub(crate) const ALL: [Self; 6] = [
        Self::Connect,
        Self::WarmUp,
        Self::Measure,
        Self::Drain,
        Self::Mark,
        Self::Done,
    ];
}

/// What decides about the next phase.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// Clients that are connected, publishers aside.
    pub(crate) present: u32,
    /// Whether the barrier is passed by all clients that it waits for.
    pub(crate) barrier_passed: bool,
    /// Whether every client has connected and sent its name.
    pub(crate) all_named: bool,
    /// Deliveries owed to clients that are present, and messages that are still to be sent.
    pub(crate) owed: u64,
}

/// The coordinator of one run.
#[derive(Debug)]
pub(crate) struct Phases {
    phase: Phase,
    /// When the current phase began.
    began_ns: u64,
    /// When the load began.
    load_ns: u64,
    warmup_ns: u64,
    measure_ns: u64,
    drain_timeout_ns: u64,
    /// With fewer clients there is no broadcast, and nothing more to wait for.
    present_min: u32,
}

impl Phases {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            phase: Phase::Connect,
            began_ns: 0,
            load_ns: 0,
            warmup_ns: nanoseconds(plan.warmup.duration),
            measure_ns: nanoseconds(plan.measure.duration),
            drain_timeout_ns: nanoseconds(plan.drain_timeout),
            present_min: if plan.publishers > 0 { 1 } else { 2 },
        }
    }

    pub(crate) fn now_in(&self) -> Phase {
        self.phase
    }

    /// When the load began; the times of the schedule count from here.
    pub(crate) fn load_ns(&self) -> u64 {
        self.load_ns
    }

    /// Length of the warm-up.
    pub(crate) fn warmup_ns(&self) -> u64 {
        self.warmup_ns
    }

    /// When the current phase will end by the clock, if it does.
    pub(crate) fn ends_ns(&self) -> Option<u64> {
        match self.phase {
            Phase::Connect | Phase::Done => None,
            Phase::WarmUp => Some(self.load_ns + self.warmup_ns),
            Phase::Measure => Some(self.load_ns + self.warmup_ns + self.measure_ns),
            Phase::Drain => Some(self.began_ns + self.drain_timeout_ns),
            Phase::Mark => Some(self.began_ns + MARK_TIMEOUT_NS),
        }
    }

    /// Goes on to the next phase if it is time, and says which that is.
    pub(crate) fn advance(&mut self, now_ns: u64, facts: Facts) -> Option<Phase> {
        let timed_out = self.ends_ns().is_some_and(|ends_ns| ends_ns <= now_ns);
        let next = match self.phase {
            Phase::Connect if facts.all_named && facts.barrier_passed => Phase::WarmUp,
            Phase::Connect | Phase::Done => return None,
            _ if facts.present < self.present_min => Phase::Done,
            Phase::WarmUp if timed_out => Phase::Measure,
            Phase::Measure if timed_out => Phase::Drain,
            Phase::Drain if timed_out || facts.owed == 0 => Phase::Mark,
            Phase::Mark if timed_out || facts.barrier_passed => Phase::Done,
            Phase::WarmUp | Phase::Measure | Phase::Drain | Phase::Mark => return None,
        };
        if next == Phase::WarmUp {
            self.load_ns = now_ns;
        }
        self.phase = next;
        self.began_ns = now_ns;
        Some(next)
    }
}

impl Phases {
    /// The measured time ends before its end by the clock.
    pub(crate) fn cut_short(&mut self, now_ns: u64) {
        assert_eq!(self.phase, Phase::Measure, "only what is measured is cut");
        self.phase = Phase::Drain;
        self.began_ns = now_ns;
    }

    /// For so long this process did not run, which is nobody's fault: what is waited for gets that much
    /// longer.
    pub(crate) fn excuse(&mut self, gap_ns: u64) {
        self.began_ns += gap_ns;
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::WarmUp => "warm-up",
            Self::Measure => "measure",
            Self::Drain => "drain",
            Self::Mark => "final mark",
            Self::Done => "done",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::measure::plan::Span;

    const FACTS: Facts = Facts {
        present: 5,
        barrier_passed: false,
        all_named: true,
        owed: 9,
    };

    fn phases() -> Phases {
        Phases::new(&Plan {
            warmup: Span::of(Duration::from_secs(1)),
            measure: Span::of(Duration::from_secs(2)),
            drain_timeout: Duration::from_secs(3),
            ..Plan::default()
        })
    }

    fn passed() -> Facts {
        Facts {
            barrier_passed: true,
            ..FACTS
        }
    }

    #[test]
    fn a_run_goes_through_all_phases_in_order() {
        let mut phases = phases();
        let start_ns = 7 * SECOND_NS;
        assert_eq!(phases.advance(start_ns, FACTS), None);
        assert_eq!(phases.advance(start_ns, passed()), Some(Phase::WarmUp));
        assert_eq!(phases.advance(start_ns + SECOND_NS - 1, FACTS), None);
        let at = |seconds| start_ns + seconds * SECOND_NS;
        assert_eq!(phases.advance(at(1), FACTS), Some(Phase::Measure));
        assert_eq!(phases.advance(at(3), FACTS), Some(Phase::Drain));
        assert_eq!(phases.advance(at(4), FACTS), None);
        let nothing_owed = Facts { owed: 0, ..FACTS };
        assert_eq!(phases.advance(at(4), nothing_owed), Some(Phase::Mark));
        assert_eq!(phases.advance(at(4), passed()), Some(Phase::Done));
        assert_eq!(phases.advance(at(9), passed()), None);
    }

    #[test]
    fn nothing_is_waited_for_without_end() {
        let mut phases = phases();
        phases.advance(0, passed());
        phases.advance(SECOND_NS, FACTS);
        phases.advance(3 * SECOND_NS, FACTS);
        assert_eq!(phases.advance(6 * SECOND_NS, FACTS), Some(Phase::Mark));
        assert_eq!(phases.advance(7 * SECOND_NS, FACTS), Some(Phase::Done));
    }

    #[test]
    fn time_in_which_nobody_ran_is_not_waited_for() {
        let mut phases = phases();
        phases.advance(0, passed());
        phases.advance(SECOND_NS, FACTS);
        phases.advance(3 * SECOND_NS, FACTS);
        phases.excuse(10 * SECOND_NS);
        assert_eq!(phases.advance(15 * SECOND_NS, FACTS), None);
        assert_eq!(phases.advance(16 * SECOND_NS, FACTS), Some(Phase::Mark));
        phases.excuse(5 * SECOND_NS);
        assert_eq!(phases.advance(21 * SECOND_NS, FACTS), None);
        assert_eq!(phases.advance(22 * SECOND_NS, FACTS), Some(Phase::Done));
    }

    #[test]
    fn without_clients_a_run_is_over() {
        let mut phases = phases();
        phases.advance(0, passed());
        let alone = Facts {
            present: 1,
            ..FACTS
        };
        assert_eq!(phases.advance(1, alone), Some(Phase::Done));
    }
}
