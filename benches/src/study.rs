//! Carrying out a comparison. Machines drift: what is compared is measured one right after the other,
//! in an order that rotates from repeat to repeat. Repeats are outermost, so that every case is
//! measured early and late, and time that runs out costs repeats, not cases.

use std::time::{Duration, Instant};

use crate::bound::Bound;
use crate::comparison::{Comparison, Plot, Section, Validity};
use crate::error::Result;
use crate::figure::Figure;
use crate::host::Host;
use crate::output::Output;
use crate::run::Run;

/// Repeats that lie further apart than this are no steady figure.
const RELATIVE_RANGE_MAX: f64 = 0.25;

/// A comparison that is to be made.
#[derive(Debug, Clone)]
pub(crate) struct Study {
    pub(crate) program: String,
    pub(crate) title: String,
    /// What is compared and how, for the page.
    pub(crate) about: String,
    pub(crate) repeats: u32,
    /// No case begins later than this.
    pub(crate) time_limit: Duration,
    pub(crate) validity: Validity,
    pub(crate) sections: Vec<Section>,
    pub(crate) plots: Vec<Plot>,
    pub(crate) bounds: Vec<Bound>,
    /// Figures whose repeats are to lie close together; a warning says where they do not.
    pub(crate) steady: Vec<Figure>,
}

/// When a case is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// From 0.
    pub(crate) repeat: u32,
    /// What is left of the time.
    pub(crate) left: Duration,
}

impl Study {
    /// A study of nothing: what it does not say is added by the program.
    pub(crate) fn new(program: &str, title: &str, about: String) -> Self {
        Self {
            program: program.to_owned(),
            title: title.to_owned(),
            about,
            repeats: 1,
            time_limit: Duration::MAX,
            validity: Validity::EveryRun,
            sections: Vec::new(),
            plots: Vec::new(),
            bounds: Vec::new(),
            steady: Vec::new(),
        }
    }

    /// Measures all `groups` of cases, rotated within each group; `measure` gives the runs of a case,
    /// none if it is left out.
    pub(crate) fn carry_out<C: Clone>(
        self,
        output: &Output,
        groups: &[Vec<C>],
        mut measure: impl FnMut(Turn, &C) -> Result<Vec<Run>>,
    ) -> Result<Comparison> {
        output.check()?;
        let (began, host) = (Instant::now(), Host::this());
        let (mut runs, mut was_cut) = (Vec::new(), false);
        for repeat in 0..self.repeats {
            for case in groups.iter().flat_map(|group| rotated(group, repeat)) {
                let left = self.time_limit.saturating_sub(began.elapsed());
                if left.is_zero() {
                    was_cut = true;
                    break;
                }
                for run in measure(Turn { repeat, left }, &case)? {
                    let line = run.line(self.figures_of(&run.scenario));
                    eprintln!("repeat {} of {}: {line}", repeat + 1, self.repeats);
                    runs.push(run);
                }
            }
        }
        Ok(self.result(host, runs, began.elapsed(), was_cut))
    }

    /// What `runs` come to.
    pub(crate) fn result(
        self,
        host: Host,
        runs: Vec<Run>,
        took: Duration,
        was_cut: bool,
    ) -> Comparison {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let command = format!("{} {}", self.program, words.join(" "));
        let mut comparison = Comparison {
            title: self.title,
            command: command.trim().to_owned(),
            about: self.about,
            host,
            repeats: self.repeats,
            took_seconds: took.as_secs_f64(),
            was_cut,
            validity: self.validity,
            bounds: self.bounds.iter().map(|bound| bound.judge(&runs)).collect(),
            sections: self.sections,
            plots: self.plots,
            rows: Vec::new(),
            remarks: Vec::new(),
            runs,
        };
        comparison.make_rows();
        let warnings = warnings(&comparison, &self.steady);
        comparison.remark("Warnings", warnings);
        comparison
    }

    fn figures_of(&self, scenario: &str) -> &[Figure] {
        let has = |section: &&Section| section.scenarios.iter().any(|one| one.name == scenario);
        let section = self.sections.iter().find(has);
        section.map_or(&[], |section| &section.figures)
    }
}

/// `cases` in the order of a repeat: each comes first in turn.
fn rotated<C: Clone>(cases: &[C], repeat: u32) -> Vec<C> {
    let mut cases = cases.to_vec();
    let count = cases.len().max(1);
    cases.rotate_left(repeat as usize % count);
    cases
}

/// Figures whose repeats lie far apart.
fn warnings(comparison: &Comparison, steady: &[Figure]) -> String {
    let mut text = String::new();
    for (scenario, candidate, figure) in comparison.told() {
        let row = comparison.row(&scenario.name, candidate, figure);
        let range = row.map_or(0.0, |row| row.spread.relative_range());
        if steady.contains(figure) && range > RELATIVE_RANGE_MAX {
            text += &format!(
                "- {}, {candidate}: {} differs by {:.0} % between repeats: measure on a quieter machine, or with more repeats\n",
                scenario.name,
                figure.name,
                range * 100.0
            );
        }
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::bound::{Against, Limit};
    use crate::comparison::Scenario;
    use crate::figure::{CPU, P99};

    /// Two candidates in one scenario of two repeats.
    fn study() -> Study {
        let candidates = vec!["ours".into(), "theirs".into()];
        let section = Section {
            title: "load".into(),
            about: "Some load.".into(),
            figures: vec![P99, CPU],
            scenarios: vec![Scenario {
                name: "load".into(),
                x: Some(10.0),
                candidates,
            }],
        };
        let bound = Bound {
            scenario: "load".into(),
            candidate: "ours".into(),
            at: None,
            figure: P99,
            against: Against::Ratio("theirs".into()),
            limit: Limit::AtMost(0.5),
        };
        Study {
            repeats: 2,
            sections: vec![section],
            bounds: vec![bound],
            steady: vec![P99],
            ..Study::new("example", "An example", "Two candidates.".into())
        }
    }

    /// Runs of both, at 10 and 12, and at 40 and 60 ms; `spoil` is called for each.
    pub(crate) fn comparison(spoil: impl Fn(&mut Run)) -> Comparison {
        let runs = [
            (0, "ours", 10.0),
            (0, "theirs", 40.0),
            (1, "theirs", 60.0),
            (1, "ours", 12.0),
        ];
        let run = |(repeat, candidate, p99)| {
            let mut run = Run::new(repeat, "load", candidate);
            run.set(&P99, p99);
            spoil(&mut run);
            run
        };
        let runs = runs.map(run).to_vec();
        study().result(Host::this(), runs, Duration::from_secs(9), false)
    }

    #[test]
    fn every_case_of_every_repeat_is_measured_in_turn_until_the_time_is_over() {
        let order = |time_limit| {
            let study = Study {
                time_limit,
                ..study()
            };
            let mut order = Vec::new();
            let groups = [vec!["ours", "theirs"]];
            let measured = study.carry_out(&Output::default(), &groups, |turn, who| {
                order.push((turn.repeat, *who));
                Ok(vec![Run::new(turn.repeat, "load", who)])
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
        let row = spoilt.row("load", "ours", &P99).unwrap();
        assert_eq!((row.spread.max, row.is_valid), (10.0, true));
        assert!(!spoilt.is_as_wanted(), "every run has to be valid");
        spoilt.validity = Validity::EveryCase;
        assert!(spoilt.is_as_wanted());
        spoilt.bounds[0].met = false;
        assert!(!spoilt.is_as_wanted());
    }

    #[test]
    fn figures_that_move_between_repeats_are_a_warning() {
        let text = &comparison(|_| {}).remarks[0].text;
        assert!(
            text.contains("theirs: delivery p99 differs by 40 % between"),
            "{text}"
        );
        assert!(!text.contains("ours:"), "{text}");
    }
}
