//! Bounds: what a figure has to be, by itself or beside another candidate's in the same repeat. The
//! median over the repeats decides.

use serde::{Deserialize, Serialize};

use crate::figure::Figure;
use crate::run::{Run, Spread, digits, with_unit};

/// A figure of one candidate in one scenario, and what it has to be.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bound {
    #[serde(skip)]
    pub(crate) scenario: String,
    /// Of every candidate that is not always measured, if empty.
    #[serde(default)]
    pub(crate) candidate: String,
    /// Where the scenario is on the horizontal axis; everywhere if absent.
    #[serde(default)]
    pub(crate) at: Option<u32>,
    pub(crate) figure: Figure,
    #[serde(default)]
    pub(crate) against: Against,
    pub(crate) limit: Limit,
}

/// What a figure is compared with, in the same scenario of the same repeat.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Against {
    /// Nothing: the figure itself is judged.
    #[default]
    Nothing,
    /// The ratio to this candidate's.
    Ratio(String),
    /// How far it is beyond this candidate's.
    Beyond(String),
    /// The ratio to the best of all other candidates.
    BestPeer,
}

/// What a figure, or its ratio, has to be.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Limit {
    AtMost(f64),
    AtLeast(f64),
    Between(f64, f64),
    /// No repeat has any.
    Never,
    /// Whatever it is: it is shown only.
    Any,
}

/// A bound, and what was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Judged {
    pub(crate) scenario: String,
    pub(crate) candidate: String,
    /// What was judged, in words.
    pub(crate) name: String,
    /// Of the measured figure; `x` of a ratio.
    pub(crate) unit: String,
    /// What it has to be, in words.
    pub(crate) wanted: String,
    /// Absent when no repeat has what is needed; then the bound is not met.
    pub(crate) measured: Option<Spread>,
    pub(crate) met: bool,
}

impl Bound {
    /// Judges what was measured.
    pub(crate) fn judge(&self, runs: &[Run]) -> Judged {
        let unit = match self.against {
            Against::Ratio(_) | Against::BestPeer => "x",
            Against::Nothing | Against::Beyond(_) => &*self.figure.unit,
        };
        let is_own = |run: &&Run| run.scenario == self.scenario && run.candidate == self.candidate;
        let own = runs.iter().filter(is_own).filter(|run| run.counts());
        let values = own.filter_map(|run| self.value(run, runs));
        let measured = Spread::of(values.filter(|value| value.is_finite()));
        Judged {
            scenario: self.scenario.clone(),
            candidate: self.candidate.clone(),
            name: self.name(),
            unit: unit.to_owned(),
            wanted: self.limit.in_words(unit),
            measured,
            met: measured.is_some_and(|spread| self.limit.holds(spread)),
        }
    }

    fn value(&self, run: &Run, runs: &[Run]) -> Option<f64> {
        let at = |run: &Run| (run.repeat, run.scenario.clone());
        let is_other = |other: &&Run| at(other) == at(run) && other.candidate != run.candidate;
        let others = runs.iter().filter(is_other).filter(|run| run.counts());
        let theirs = |who: &String| {
            let theirs = others.clone().find(|other| other.candidate == *who)?;
            theirs.get(&self.figure)
        };
        let value = run.get(&self.figure)?;
        match &self.against {
            Against::Nothing => Some(value),
            Against::Ratio(by) => Some(value / theirs(by)?),
            Against::Beyond(by) => Some(value - theirs(by)?),
            Against::BestPeer => {
                let better = |one, other| {
                    if self.figure.is_better(other, one) {
                        other
                    } else {
                        one
                    }
                };
                let values = others.filter_map(|other| other.get(&self.figure));
                Some(value / values.reduce(better)?)
            }
        }
    }

    fn name(&self) -> String {
        let own = format!("{}, {}", self.figure.name, self.candidate);
        match &self.against {
            Against::Nothing => own,
            Against::Ratio(by) => format!("{own} / {by}"),
            Against::Beyond(by) => format!("{own} - {by}"),
            Against::BestPeer => format!("{own} / best peer"),
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
    use crate::figure::HIGHEST_RATE;

    fn runs<const N: usize>(values: [(u32, &str, f64); N]) -> [Run; N] {
        values.map(|(repeat, candidate, value)| {
            let mut run = Run::new(repeat, "load", candidate);
            run.set(&HIGHEST_RATE, value);
            run
        })
    }

    fn judge(against: Against, limit: Limit, runs: &[Run]) -> Judged {
        let bound = Bound {
            scenario: "load".into(),
            candidate: "ours".into(),
            at: None,
            figure: HIGHEST_RATE,
            against,
            limit,
        };
        bound.judge(runs)
    }

    #[test]
    fn candidates_are_compared_within_their_repeat() {
        let runs = runs([
            (0, "ours", 8.0),
            (0, "theirs", 10.0),
            (1, "theirs", 20.0),
            (1, "ours", 16.0),
        ]);
        let judged = judge(Against::Ratio("theirs".into()), Limit::AtMost(0.9), &runs);
        let measured = judged.measured.unwrap();
        assert_eq!((measured.min, measured.max), (0.8, 0.8));
        assert_eq!(judged.name, "highest rate, ours / theirs");
        assert!(judged.met && judged.wanted == "<= 0.900x", "{judged:?}");
        let judged = judge(Against::Beyond("theirs".into()), Limit::Any, &runs);
        let measured = judged.measured.unwrap();
        assert_eq!((measured.min, measured.max), (-4.0, -2.0));
    }

    #[test]
    fn the_median_decides_and_never_is_of_every_repeat() {
        let runs = runs([(0, "ours", 8.0), (1, "ours", 7.0), (2, "ours", 30.0)]);
        let met = |limit| judge(Against::Nothing, limit, &runs).met;
        assert!(met(Limit::AtMost(8.0)) && !met(Limit::AtMost(7.9)));
        assert!(met(Limit::AtLeast(8.0)) && !met(Limit::AtLeast(8.1)));
        assert!(met(Limit::Between(7.0, 9.0)) && !met(Limit::Between(9.0, 40.0)));
        assert!(!met(Limit::Never));
    }

    #[test]
    fn the_best_peer_that_counts_is_the_measure() {
        let judge = |runs: &[Run]| judge(Against::BestPeer, Limit::AtLeast(4.0), runs);
        let mut runs = runs([
            (0, "ours", 1000.0),
            (0, "a", 200.0),
            (0, "b", 250.0),
            (1, "a", 9000.0),
        ]);
        assert_eq!(judge(&runs).measured.unwrap().median, 4.0);
        runs[2].counts = Some(false);
        assert_eq!(judge(&runs).measured.unwrap().median, 5.0);
        runs[0].problems.push("busy".into());
        let judged = judge(&runs);
        assert!(judged.measured.is_none() && !judged.met);
        let alone = self::runs([(0, "ours", 1.0)]);
        assert!(!judge(&alone).met, "there is no peer");
    }
}
