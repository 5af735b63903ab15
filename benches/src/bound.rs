//! Bounds: what a figure has to be, by itself or beside another candidate's in the same repeat. The
//! median over the repeats decides.

use serde::{Deserialize, Serialize};

use crate::figure::Figure;
use crate::run::{Run, with_unit};
use crate::spread::{Spread, digits};

/// A figure of one candidate in one scenario, and what it has to be.
#[derive(Debug, Clone)]
pub struct Bound {
    /// The scenario.
    pub scenario: String,
    /// The candidate.
    pub candidate: String,
    /// What is judged.
    pub figure: Figure,
    /// What it is compared with.
    pub against: Against,
    /// What it has to be.
    pub limit: Limit,
}

/// What a figure is compared with, in the same scenario of the same repeat.
#[derive(Debug, Clone, PartialEq)]
pub enum Against {
    /// Nothing: the figure itself is judged.
    Nothing,
    /// The ratio to this candidate's.
    Ratio(String),
    /// How far it is beyond this candidate's.
    Beyond(String),
    /// The ratio to the best of all other candidates.
    BestPeer,
}

/// What a figure, or its ratio, has to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// The median is at most this.
    AtMost(f64),
    /// The median is at least this.
    AtLeast(f64),
    /// The median is between these.
    Between(f64, f64),
    /// No repeat has any.
    Never,
    /// Whatever it is: it is shown only.
    Any,
}

/// A bound, and what was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The scenario.
    pub scenario: String,
    /// The candidate.
    pub candidate: String,
    /// What was judged, in words.
    pub name: String,
    /// The same without the candidate's name.
    pub measure: String,
    /// Of the measured figure; `x` of a ratio.
    pub unit: String,
    /// What it has to be, in words.
    pub wanted: String,
    /// Over the repeats; absent when no repeat has what is needed.
    pub measured: Option<Spread>,
    /// A bound that was not measured is not met.
    pub met: bool,
}

impl Bound {
    /// A bound on the figure itself.
    #[must_use]
    pub fn new(scenario: &str, candidate: &str, figure: Figure, limit: Limit) -> Self {
        Self {
            scenario: scenario.to_owned(),
            candidate: candidate.to_owned(),
            figure,
            against: Against::Nothing,
            limit,
        }
    }

    /// The same compared with another candidate.
    #[must_use]
    pub fn against(self, against: Against) -> Self {
        Self { against, ..self }
    }

    /// Judges what was measured.
    #[must_use]
    pub fn judge(&self, runs: &[Run]) -> Judged {
        let own = |run: &&Run| {
            run.scenario == self.scenario && run.candidate == self.candidate && run.counts()
        };
        let values = runs.iter().filter(own);
        let values = values.filter_map(|run| self.value(run, runs));
        let measured = Spread::of(values.filter(|value| value.is_finite()));
        Judged {
            scenario: self.scenario.clone(),
            candidate: self.candidate.clone(),
            name: self.name(&format!(", {}", self.candidate)),
            measure: self.name(""),
            unit: self.unit().to_owned(),
            wanted: self.limit.in_words(self.unit()),
            measured,
            met: measured.is_some_and(|spread| self.limit.holds(spread)),
        }
    }

    fn value(&self, run: &Run, runs: &[Run]) -> Option<f64> {
        let value = run.get(&self.figure)?;
        let of = |candidate: &str| {
            let mut others = self.others(run, runs);
            others.find_map(|(who, value)| (who == candidate).then_some(value))
        };
        match &self.against {
            Against::Nothing => Some(value),
            Against::Ratio(candidate) => Some(value / of(candidate)?),
            Against::Beyond(candidate) => Some(value - of(candidate)?),
            Against::BestPeer => {
                let others = self.others(run, runs).map(|(_, value)| value);
                let better = |one, other| self.figure.is_better(one, other);
                let best = others.reduce(|one, other| if better(other, one) { other } else { one });
                Some(value / best?)
            }
        }
    }

    /// The other candidates' values in the scenario and repeat of `run`.
    fn others<'a>(&'a self, run: &'a Run, runs: &'a [Run]) -> impl Iterator<Item = (&'a str, f64)> {
        let beside = runs.iter().filter(move |other| {
            (other.repeat, &other.scenario) == (run.repeat, &run.scenario)
                && other.candidate != run.candidate
                && other.counts()
        });
        beside.filter_map(|other| Some((&*other.candidate, other.get(&self.figure)?)))
    }

    fn unit(&self) -> &str {
        match self.against {
            Against::Ratio(_) | Against::BestPeer => "x",
            Against::Nothing | Against::Beyond(_) => &self.figure.unit,
        }
    }

    fn name(&self, candidate: &str) -> String {
        let figure = &self.figure.name;
        match &self.against {
            Against::Nothing => format!("{figure}{candidate}"),
            Against::Ratio(by) => format!("{figure}{candidate} / {by}"),
            Against::Beyond(by) => format!("{figure}{candidate} - {by}"),
            Against::BestPeer => format!("{figure}{candidate} / best peer"),
        }
    }
}

impl Limit {
    fn holds(self, spread: Spread) -> bool {
        match self {
            Self::AtMost(most) => spread.median <= most,
            Self::AtLeast(least) => spread.median >= least,
            Self::Between(least, most) => (least..=most).contains(&spread.median),
            Self::Never => spread.max <= 0.0,
            Self::Any => true,
        }
    }

    fn in_words(self, unit: &str) -> String {
        match self {
            Self::AtMost(most) => format!("<= {}", with_unit(most, unit)),
            Self::AtLeast(least) => format!(">= {}", with_unit(least, unit)),
            Self::Between(least, most) => {
                format!("{} to {}", digits(least), with_unit(most, unit))
            }
            Self::Never => "0 in every repeat".into(),
            Self::Any => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::{HIGHEST_RATE, P99};

    fn run(repeat: u32, candidate: &str, figure: &Figure, value: f64) -> Run {
        let mut run = Run::new(repeat, "load", candidate);
        run.set(figure, value);
        run
    }

    fn bound(against: Against, limit: Limit) -> Bound {
        Bound::new("load", "ours", P99, limit).against(against)
    }

    #[test]
    fn candidates_are_compared_within_their_repeat() {
        let runs = [
            run(0, "ours", &P99, 8.0),
            run(0, "theirs", &P99, 10.0),
            run(1, "theirs", &P99, 20.0),
            run(1, "ours", &P99, 16.0),
        ];
        let ratio = bound(Against::Ratio("theirs".into()), Limit::AtMost(0.9));
        let judged = ratio.judge(&runs);
        let measured = judged.measured.unwrap();
        assert_eq!((measured.min, measured.max), (0.8, 0.8));
        assert_eq!(judged.name, "delivery p99, ours / theirs");
        assert_eq!(judged.wanted, "<= 0.900x");
        assert!(judged.met);
        let beyond = bound(Against::Beyond("theirs".into()), Limit::AtMost(0.0));
        let measured = beyond.judge(&runs).measured.unwrap();
        assert_eq!((measured.min, measured.max), (-4.0, -2.0));
    }

    #[test]
    fn the_median_decides_and_never_is_of_every_repeat() {
        let runs = [8.0, 7.0, 30.0].map(|p99| run(0, "ours", &P99, p99));
        let met = |limit| bound(Against::Nothing, limit).judge(&runs).met;
        assert!(met(Limit::AtMost(8.0)) && !met(Limit::AtMost(7.9)));
        assert!(met(Limit::AtLeast(8.0)) && !met(Limit::AtLeast(8.1)));
        assert!(met(Limit::Between(7.0, 9.0)) && !met(Limit::Between(9.0, 40.0)));
        assert!(!met(Limit::Never));
    }

    #[test]
    fn the_best_peer_of_the_same_repeat_is_the_measure() {
        let rate = &HIGHEST_RATE;
        let mut runs = vec![
            run(0, "ours", rate, 1000.0),
            run(0, "a", rate, 200.0),
            run(0, "b", rate, 250.0),
            run(1, "a", rate, 9000.0),
        ];
        let bound = Bound::new("load", "ours", HIGHEST_RATE, Limit::AtLeast(4.0));
        let bound = bound.against(Against::BestPeer);
        assert_eq!(bound.judge(&runs).measured.unwrap().median, 4.0);
        runs[2].counts = Some(false);
        assert_eq!(bound.judge(&runs).measured.unwrap().median, 5.0);
        runs[0].problems.push("busy".into());
        assert_eq!(bound.judge(&runs).measured, None);
    }

    #[test]
    fn what_was_not_measured_is_not_met() {
        let ratio = bound(Against::BestPeer, Limit::AtMost(1.0));
        let judged = ratio.judge(&[run(0, "ours", &P99, 1.0)]);
        assert!(judged.measured.is_none() && !judged.met);
    }
}
