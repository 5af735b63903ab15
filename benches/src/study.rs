//! Carrying out a comparison. Machines drift: what is compared is measured one right after the other,
//! in an order that rotates from repeat to repeat. Repeats are outermost, so that every case is
//! measured early and late, and time that runs out costs repeats, not cases.

use std::time::{Duration, Instant};

use crate::bound::Bound;
use crate::comparison::Comparison;
use crate::error::Result;
use crate::run::Run;

/// A comparison that is to be made.
#[derive(Debug)]
pub(crate) struct Study<C> {
    /// Without its runs.
    pub(crate) comparison: Comparison,
    pub(crate) bounds: Vec<Bound>,
    /// No case begins later than this.
    pub(crate) time_limit: Duration,
    /// The cases, in groups that are measured together.
    pub(crate) groups: Vec<Vec<C>>,
}

impl<C: Clone> Study<C> {
    /// Measures all cases. `measure` is given the repeat, from 0, and what is left of the time; it gives the
    /// runs of a case, none if it is left out.
    pub(crate) fn carry_out(
        self,
        mut measure: impl FnMut(u32, Duration, &C) -> Result<Vec<Run>>,
    ) -> Result<Comparison> {
        let (began, mut it) = (Instant::now(), self.comparison);
        for repeat in 0..it.repeats {
            for case in self.groups.iter().flat_map(|group| rotated(group, repeat)) {
                let left = self.time_limit.saturating_sub(began.elapsed());
                if left.is_zero() {
                    it.was_cut = true;
                    break;
                }
                for run in measure(repeat, left, &case)? {
                    eprintln!("repeat {} of {}: {}", repeat + 1, it.repeats, run.line());
                    it.runs.push(run);
                }
            }
        }
        it.took_seconds = began.elapsed().as_secs_f64();
        let bounds = self.bounds.iter();
        it.bounds = bounds.map(|bound| bound.judge(&it.runs)).collect();
        Ok(it)
    }
}

/// `cases` in the order of a repeat: each comes first in turn.
fn rotated<C: Clone>(cases: &[C], repeat: u32) -> Vec<C> {
    let mut cases = cases.to_vec();
    let count = cases.len().max(1);
    cases.rotate_left(repeat as usize % count);
    cases
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::comparison::{Scenario, Section, Validity};
    use crate::figure::{CPU, P99};

    /// Two candidates in one scenario of two repeats.
    fn study() -> Study<&'static str> {
        let scenario = Scenario {
            name: "load".into(),
            x: Some(10.0),
            candidates: vec!["ours".into(), "theirs".into()],
        };
        let section = Section {
            title: "load".into(),
            figures: vec![P99, CPU],
            scenarios: vec![scenario],
            ..Section::default()
        };
        let bound = "candidate = 'ours'\nfigure = 'p99_ms'\nagainst = { ratio = 'theirs' }\nlimit = { at_most = 0.5 }";
        let mut bound: Bound = toml::from_str(bound).unwrap();
        bound.scenario = "load".into();
        Study {
            comparison: Comparison {
                title: "An example".into(),
                repeats: 2,
                sections: vec![section],
                ..Comparison::default()
            },
            bounds: vec![bound],
            time_limit: Duration::MAX,
            groups: vec![vec!["ours", "theirs"]],
        }
    }

    /// Runs of both, at 10 and 12, and at 40 and 60 ms; `spoil` is called for each.
    pub(crate) fn comparison(spoil: impl Fn(&mut Run)) -> Comparison {
        let measured = study().carry_out(|repeat, _, who| {
            let mut run = Run::new(repeat, "load", who);
            let p99 = match *who {
                "ours" => 10 + 2 * repeat,
                _ => 40 + 20 * repeat,
            };
            run.set(&P99, f64::from(p99));
            spoil(&mut run);
            Ok(vec![run])
        });
        measured.unwrap()
    }

    #[test]
    fn every_case_of_every_repeat_is_measured_in_turn_until_the_time_is_over() {
        let order = |time_limit| {
            let mut order = Vec::new();
            let study = Study {
                time_limit,
                ..study()
            };
            let measured = study.carry_out(|repeat, _, who| {
                order.push((repeat, *who));
                Ok(vec![Run::new(repeat, "load", who)])
            });
            let measured = measured.unwrap();
            assert_eq!(measured.runs.len(), order.len());
            (order, measured.was_cut)
        };
        let all = vec![(0, "ours"), (0, "theirs"), (1, "theirs"), (1, "ours")];
        assert_eq!(order(Duration::MAX), (all, false));
        assert_eq!(order(Duration::ZERO), (Vec::new(), true));
        let orders: Vec<_> = (0..4).map(|repeat| rotated(&[1, 2, 3], repeat)).collect();
        assert_eq!(orders, [[1, 2, 3], [2, 3, 1], [3, 1, 2], [1, 2, 3]]);
    }

    #[test]
    fn an_invalid_run_is_in_no_figure_where_there_is_a_valid_one() {
        assert!(comparison(|_| {}).is_as_wanted());
        let mut spoilt = comparison(|run| {
            if run.get(&P99) == Some(12.0) {
                run.problems.push("the machine was busy".into());
            }
        });
        let load = &spoilt.sections[0].scenarios[0];
        let row = spoilt.row(load, "ours", &P99).unwrap();
        assert_eq!((row.spread.max, row.is_valid), (10.0, true));
        assert!(!spoilt.is_as_wanted(), "every run has to be valid");
        spoilt.validity = Validity::EveryCase;
        assert!(spoilt.is_as_wanted());
        spoilt.bounds[0].met = false;
        assert!(!spoilt.is_as_wanted());
    }
}
