//! A comparison: who was measured under which loads, all runs, and what they come to. It is data.json,
//! and every page, table and plot is made of it.

use serde::{Deserialize, Serialize};

use crate::bound::Judged;
use crate::figure::Figure;
use crate::host::Host;
use crate::run::{Run, Spread, digits};

/// All of a comparison; data.json.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Comparison {
    pub(crate) title: String,
    /// The program and its arguments.
    pub(crate) command: String,
    /// What was compared and how.
    pub(crate) about: String,
    /// Of this build, if it is known.
    #[serde(default)]
    pub(crate) commit: Option<String>,
    pub(crate) host: Host,
    pub(crate) repeats: u32,
    pub(crate) took_seconds: f64,
    /// Whether the time was over before all was measured.
    pub(crate) was_cut: bool,
    pub(crate) validity: Validity,
    pub(crate) sections: Vec<Section>,
    pub(crate) plots: Vec<Plot>,
    pub(crate) bounds: Vec<Judged>,
    pub(crate) remarks: Vec<Remark>,
    pub(crate) runs: Vec<Run>,
}

/// Which runs have to be valid for a comparison to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Validity {
    #[default]
    EveryRun,
    /// At least one of each candidate in each scenario.
    EveryCase,
    /// Those that the bounds need.
    Bounds,
}

/// A part of the page: scenarios that are shown together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Section {
    pub(crate) title: String,
    /// What to know when reading it.
    pub(crate) about: String,
    pub(crate) figures: Vec<Figure>,
    pub(crate) scenarios: Vec<Scenario>,
}

/// A load, by a name that is unique in the comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    /// Where it is on the horizontal axis of plots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) x: Option<f64>,
    pub(crate) candidates: Vec<String>,
}

/// Lines of one figure over the scenarios that have an x; one line a candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plot {
    pub(crate) file: String,
    pub(crate) title: String,
    /// The section whose scenarios it is of; all if empty.
    pub(crate) section: String,
    pub(crate) x_label: String,
    /// Whether the horizontal axis begins at zero and is not logarithmic.
    #[serde(default)]
    pub(crate) is_linear: bool,
    pub(crate) figure: Figure,
    /// A figure that is the same for all candidates, and what its line is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) floor: Option<(Figure, String)>,
}

/// A figure of one candidate in one scenario, over the runs that count, or over all if none does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Row {
    pub(crate) spread: Spread,
    /// Whether a run is valid.
    pub(crate) is_valid: bool,
}

impl Row {
    /// The median, marked if no run of it is valid.
    pub(crate) fn median(&self) -> String {
        let mark = if self.is_valid { "" } else { " INVALID" };
        digits(self.spread.median) + mark
    }
}

/// Markdown for the end of the page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Remark {
    pub(crate) title: String,
    pub(crate) text: String,
}

impl Comparison {
    /// The row of a figure, if it was measured.
    pub(crate) fn row(&self, scenario: &Scenario, who: &str, figure: &Figure) -> Option<Row> {
        let all = self.runs_of(scenario, who);
        let some_count = all.iter().any(|run| run.counts());
        // A floor is measured before the run, and does not depend on what became of that.
        let is_floor = figure.id.starts_with("floor_");
        let counted = all.iter().filter(|run| run.counts() || !some_count);
        Some(Row {
            spread: Spread::of(counted.filter_map(|run| run.get(figure)))?,
            is_valid: is_floor || all.iter().any(|run| run.is_valid()),
        })
    }

    /// The runs of one candidate in one scenario.
    pub(crate) fn runs_of(&self, scenario: &Scenario, who: &str) -> Vec<&Run> {
        let is_meant = |run: &&Run| run.scenario == scenario.name && run.candidate == who;
        self.runs.iter().filter(is_meant).collect()
    }

    /// Whether all bounds are met, and the runs valid that have to be.
    pub(crate) fn is_as_wanted(&self) -> bool {
        let valid = match self.validity {
            Validity::EveryRun => {
                let is_sound = |run: &Run| run.is_valid() && run.warnings.is_empty();
                self.runs.iter().all(is_sound)
            }
            Validity::EveryCase => self.told().all(|(scenario, candidate, _)| {
                let runs = self.runs_of(scenario, candidate);
                runs.iter().any(|run| run.is_valid())
            }),
            Validity::Bounds => true,
        };
        valid && self.bounds.iter().all(|bound| bound.met)
    }

    /// Every figure that is told of each candidate in each scenario.
    pub(crate) fn told(&self) -> impl Iterator<Item = (&Scenario, &String, &Figure)> {
        let mut told = Vec::new();
        for section in &self.sections {
            for scenario in &section.scenarios {
                for figure in &section.figures {
                    let candidates = scenario.candidates.iter();
                    told.extend(candidates.map(|who| (scenario, who, figure)));
                }
            }
        }
        told.into_iter()
    }

    /// Adds Markdown to the end of the page, if there is any.
    pub(crate) fn remark(&mut self, title: &str, text: String) {
        if !text.is_empty() {
            let title = title.to_owned();
            self.remarks.push(Remark { title, text });
        }
    }

    pub(crate) fn to_json(&self) -> String {
        let text = serde_json::to_string(self).expect("all keys are strings");
        // One run a line, so that a change is seen where it is.
        text.replace("{\"repeat\":", "\n{\"repeat\":") + "\n"
    }
}
