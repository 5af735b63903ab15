//! The course of the comparison: which load comes next for whom, and who is left out.
//!
//! Pure. A candidate that collapsed at a rate in the first repeat is not run at higher rates, and at
//! that rate only once more: it would take the time of all others and tell nothing new.

use serde::Serialize;

use crate::candidate::Candidate;
use crate::run::{Load, Run};

/// A candidate that collapsed is measured so often at that rate.
const RUNS_OF_COLLAPSED: u32 = 2;

/// Where a candidate collapsed first, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Collapse {
    pub(crate) candidate: Candidate,
    pub(crate) rate: u32,
    pub(crate) why: String,
}

/// Who is still run, and at what.
#[derive(Debug, Default)]
pub(crate) struct Course {
    collapses: Vec<Collapse>,
}

impl Course {
    /// Takes notice of what came of a run.
    pub(crate) fn note(&mut self, run: &Run) {
        let (Load::Rate(rate), Some(why)) = (run.load, run.collapse()) else {
            return;
        };
        if run.repeat == 0 && self.of(run.candidate).is_none() {
            self.collapses.push(Collapse {
                candidate: run.candidate,
                rate,
                why,
            });
        }
    }

    /// Whether a run is to be made.
    pub(crate) fn is_due(&self, repeat: u32, load: Load, candidate: Candidate) -> bool {
        match (load, self.of(candidate)) {
            (Load::FindMax, _) | (_, None) => true,
            (Load::Rate(rate), Some(at)) if rate == at.rate => repeat < RUNS_OF_COLLAPSED,
            (Load::Rate(rate), Some(at)) => rate < at.rate,
        }
    }

    pub(crate) fn into_collapses(self) -> Vec<Collapse> {
        self.collapses
    }

    fn of(&self, candidate: Candidate) -> Option<&Collapse> {
        let mut all = self.collapses.iter();
        all.find(|collapse| collapse.candidate == candidate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::tests::run;
    use Candidate::{Nats, Redis};

    #[test]
    fn who_collapses_in_the_first_repeat_is_spared_the_rest() {
        let mut course = Course::default();
        course.note(&run(0, Redis, Load::Rate(100), 20.0));
        course.note(&run(0, Redis, Load::Rate(500), 4000.0));
        let due = |repeat, rate| course.is_due(repeat, Load::Rate(rate), Redis);
        assert!(!due(0, 1000) && !due(4, 1000));
        assert!(due(1, 500) && !due(2, 500));
        assert!(due(4, 100));
        assert!(course.is_due(0, Load::FindMax, Redis));
        assert!(course.is_due(0, Load::Rate(1000), Nats));
        assert_eq!(course.into_collapses()[0].why, "p99 4000 ms");
    }

    #[test]
    fn a_collapse_in_a_later_repeat_spares_nothing() {
        let mut course = Course::default();
        course.note(&run(1, Redis, Load::Rate(500), 4000.0));
        assert!(course.is_due(2, Load::Rate(1000), Redis));
    }
}
