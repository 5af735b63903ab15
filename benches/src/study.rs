//! Carrying out a comparison. Machines drift: what is compared is measured one right after the other,
//! in an order that rotates from repeat to repeat. Repeats are outermost, so that every case is
//! measured early and late, and time that runs out costs repeats, not cases.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use crate::bound::Bound;
use crate::comparison::{Comparison, Plot, Remark, Section, Validity};
use crate::figure::Figure;
use crate::output::Output;
use crate::run::Run;
use crate::{Error, Host, process};

/// Repeats that lie further apart than this are no steady figure.
const RELATIVE_RANGE_MAX: f64 = 0.25;

/// A comparison that is to be made.
#[derive(Debug, Clone)]
pub struct Study {
    /// The program that makes it.
    pub program: &'static str,
    /// The heading of its page.
    pub title: &'static str,
    /// What is compared and how, for the page.
    pub about: String,
    /// How often each case is measured.
    pub repeats: u32,
    /// No case begins later than this.
    pub time_limit: Duration,
    /// Which runs have to be valid.
    pub validity: Validity,
    /// The loads, with the figures that are shown of them.
    pub sections: Vec<Section>,
    /// What is drawn.
    pub plots: Vec<Plot>,
    /// What has to hold.
    pub bounds: Vec<Bound>,
    /// Figures whose repeats are to lie close together; a warning says where they do not.
    pub steady: Vec<Figure>,
}

/// When a case is measured.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// From 0.
    pub repeat: u32,
    /// What is left of the time.
    pub left: Duration,
}

impl Study {
    /// Measures all `groups` of cases, rotated within each group; `measure` gives the runs of a case,
    /// none if it is left out.
    ///
    /// # Errors
    /// When `measure` fails, or a result could not be written.
    pub fn carry_out<C: Clone>(
        self,
        output: &Output,
        groups: &[Vec<C>],
        mut measure: impl FnMut(Turn, &C) -> Result<Vec<Run>, Error>,
    ) -> Result<Comparison, Error> {
        output.check()?;
        let (began, host) = (Instant::now(), Host::this());
        let (mut runs, mut was_cut) = (Vec::new(), false);
        'all: for repeat in 0..self.repeats {
            for group in groups {
                for case in rotated(group, repeat) {
                    let left = self.time_limit.saturating_sub(began.elapsed());
                    if left.is_zero() {
                        was_cut = true;
                        break 'all;
                    }
                    let new = measure(Turn { repeat, left }, &case)?;
                    for run in &new {
                        let line = run.line(self.figures_of(&run.scenario));
                        eprintln!("repeat {} of {}: {line}", repeat + 1, self.repeats);
                    }
                    runs.extend(new);
                }
            }
        }
        Ok(self.result(host, runs, began.elapsed(), was_cut))
    }

    /// What `runs` come to.
    #[must_use]
    pub fn result(self, host: Host, runs: Vec<Run>, took: Duration, was_cut: bool) -> Comparison {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let mut comparison = Comparison {
            title: self.title.to_owned(),
            command: format!("{} {}", self.program, words.join(" "))
                .trim()
                .to_owned(),
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
        }
        .with_rows();
        let warnings = warnings(&comparison, &self.steady);
        if !warnings.is_empty() {
            comparison.remarks.push(Remark {
                title: "Warnings".into(),
                text: warnings.join("\n"),
            });
        }
        comparison
    }

    fn figures_of(&self, scenario: &str) -> &[Figure] {
        let has = |section: &&Section| section.scenarios.iter().any(|one| one.name == scenario);
        let section = self.sections.iter().find(has);
        section.map_or(&[], |section| &section.figures)
    }
}

/// The `main` of a comparison's program. Exit status: 0 all is as wanted, 1 it could not be made,
/// 2 wrong usage, 3 a bound is missed or a run is invalid.
pub fn main<A: Parser>(program: &str, compare: impl FnOnce(&A) -> Result<bool, Error>) -> ExitCode {
    if let Some(status) = process::run_if_asked() {
        return status;
    }
    let compared = match A::try_parse() {
        Ok(args) => compare(&args),
        Err(error) => return cli::refuse(&error, "error", program),
    };
    match compared {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(3),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
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
fn warnings(comparison: &Comparison, steady: &[Figure]) -> Vec<String> {
    let unsteady = |(scenario, candidate, figure): (&str, &str, &Figure)| {
        let range = comparison
            .row(scenario, candidate, figure)?
            .spread
            .relative_range();
        (range > RELATIVE_RANGE_MAX).then(|| {
            format!(
                "- {scenario}, {candidate}: {} differs by {:.0} % between repeats: measure on a quieter machine, or with more repeats",
                figure.name,
                range * 100.0
            )
        })
    };
    let of_case = |(scenario, candidate)| {
        steady
            .iter()
            .map(move |figure| (scenario, candidate, figure))
    };
    let cases = comparison
        .cases()
        .map(|(scenario, candidate)| (&*scenario.name, candidate));
    cases.flat_map(of_case).filter_map(unsteady).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::bound::{Against, Limit};
    use crate::comparison::Scenario;
    use crate::figure::{CPU, P99};

    /// Two candidates in one section of one scenario.
    pub(crate) fn study() -> Study {
        let bound = Bound::new("load", "ours", P99, Limit::AtMost(0.5));
        Study {
            program: "example",
            title: "An example",
            about: "Two candidates.".into(),
            repeats: 2,
            time_limit: Duration::MAX,
            validity: Validity::EveryRun,
            sections: vec![Section {
                title: "Load".into(),
                about: "Some load.".into(),
                figures: vec![P99, CPU],
                scenarios: vec![Scenario {
                    name: "load".into(),
                    x: Some(10.0),
                    candidates: vec!["ours".into(), "theirs".into()],
                }],
            }],
            plots: Vec::new(),
            bounds: vec![bound.against(Against::Ratio("theirs".into()))],
            steady: vec![P99],
        }
    }

    /// Runs of both in two repeats, at 10 and 40 ms.
    pub(crate) fn runs() -> Vec<Run> {
        let run = |repeat, candidate, p99| {
            let mut run = Run::new(repeat, "load", candidate);
            run.set(&P99, p99);
            run
        };
        vec![
            run(0, "ours", 10.0),
            run(0, "theirs", 40.0),
            run(1, "theirs", 60.0),
            run(1, "ours", 12.0),
        ]
    }

    pub(crate) fn comparison(runs: Vec<Run>) -> Comparison {
        study().result(Host::this(), runs, Duration::from_secs(9), false)
    }

    #[test]
    fn each_comes_first_in_turn_and_none_is_left_out() {
        let orders: Vec<_> = (0..4).map(|repeat| rotated(&[1, 2, 3], repeat)).collect();
        assert_eq!(orders, [[1, 2, 3], [2, 3, 1], [3, 1, 2], [1, 2, 3]]);
        assert!(rotated::<u8>(&[], 1).is_empty());
    }

    #[test]
    fn every_case_of_every_repeat_is_measured_until_the_time_is_over() {
        let count = |time_limit| {
            let study = Study {
                time_limit,
                ..study()
            };
            let mut order = Vec::new();
            let comparison = study.carry_out(
                &Output::default(),
                &[vec!["ours", "theirs"]],
                |turn, who| {
                    order.push((turn.repeat, *who));
                    Ok(vec![Run::new(turn.repeat, "load", who)])
                },
            );
            let comparison = comparison.unwrap();
            assert_eq!(comparison.runs.len(), order.len());
            (order, comparison.was_cut)
        };
        let all = vec![(0, "ours"), (0, "theirs"), (1, "theirs"), (1, "ours")];
        assert_eq!(count(Duration::MAX), (all, false));
        assert_eq!(count(Duration::ZERO), (Vec::new(), true));
    }

    #[test]
    fn an_invalid_run_is_in_no_figure_where_there_is_a_valid_one() {
        assert!(comparison(runs()).is_as_wanted());
        let mut spoilt = runs();
        spoilt[3].problems.push("the machine was busy".into());
        let comparison = comparison(spoilt);
        let row = comparison.row("load", "ours", &P99).unwrap();
        assert_eq!((row.spread.max, row.is_valid), (10.0, true));
        assert!(!comparison.is_as_wanted(), "every run has to be valid");
        let with = |validity| {
            let mut comparison = comparison.clone();
            comparison.validity = validity;
            comparison
        };
        assert!(with(Validity::EveryCase).is_as_wanted());
        let mut comparison = with(Validity::Bounds);
        assert!(comparison.is_as_wanted());
        comparison.bounds[0].met = false;
        assert!(!comparison.is_as_wanted());
    }

    #[test]
    fn figures_that_move_between_repeats_are_a_warning() {
        let comparison = comparison(runs());
        let text = &comparison.remarks[0].text;
        assert!(
            text.contains("theirs: delivery p99 differs by 40 % between"),
            "{text}"
        );
        assert!(!text.contains("ours:"), "{text}");
    }
}
