//! A comparison: who was measured under which loads, all runs, and what they come to. It is data.json,
//! and every page, table and plot is made of it.

use serde::{Deserialize, Serialize};

use crate::bound::Judged;
use crate::figure::Figure;
use crate::run::Run;
use crate::{Host, Spread};

/// All of a comparison; data.json.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Comparison {
    /// The heading of its page.
    pub title: String,
    /// The program and its arguments, as they are repeated.
    pub command: String,
    /// What was compared and how, for the page.
    pub about: String,
    /// Where it was measured.
    pub host: Host,
    /// How often each was measured.
    pub repeats: u32,
    /// From the first run to the last.
    pub took_seconds: f64,
    /// Whether the time was over before all was measured.
    pub was_cut: bool,
    /// Which runs have to be valid.
    pub validity: Validity,
    /// The loads, with the figures that are shown of them.
    pub sections: Vec<Section>,
    /// What is drawn.
    pub plots: Vec<Plot>,
    /// What had to hold.
    pub bounds: Vec<Judged>,
    /// Figures over the repeats.
    pub rows: Vec<Row>,
    /// Why figures may be off, and what else belongs on the page.
    pub remarks: Vec<Remark>,
    /// Everything that was measured.
    pub runs: Vec<Run>,
}

/// Which runs have to be valid for a comparison to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Validity {
    /// Each.
    EveryRun,
    /// At least one of each candidate in each scenario.
    EveryCase,
    /// Those that the bounds need.
    Bounds,
}

/// A part of the page: scenarios that are shown together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// Its heading.
    pub title: String,
    /// What to know when reading it.
    pub about: String,
    /// What is shown.
    pub figures: Vec<Figure>,
    /// The loads.
    pub scenarios: Vec<Scenario>,
}

/// A load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// Its name, unique in the comparison.
    pub name: String,
    /// Where it is on the horizontal axis of plots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<f64>,
    /// Who was measured under it.
    pub candidates: Vec<String>,
}

/// Lines of one figure over the scenarios that have an x; one line a candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plot {
    /// The name of its file.
    pub file: String,
    /// What it shows.
    pub title: String,
    /// The section whose scenarios it is of; all if empty.
    pub section: String,
    /// What the horizontal axis shows.
    pub x_label: String,
    /// Whether that axis begins at zero and is not logarithmic.
    #[serde(default)]
    pub is_linear: bool,
    /// What is drawn of each candidate.
    pub figure: Figure,
    /// A figure that is the same for all candidates, and what its line is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<(Figure, String)>,
}

/// A figure of one candidate in one scenario, over the repeats: over the valid runs, where there are any.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The scenario.
    pub scenario: String,
    /// The candidate.
    pub candidate: String,
    /// [`Figure::id`].
    pub figure: String,
    /// Over the repeats.
    pub spread: Spread,
    /// Whether a run that it is of is valid.
    pub is_valid: bool,
}

/// Markdown for the end of the page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Remark {
    /// Its heading.
    pub title: String,
    /// Its text.
    pub text: String,
}

impl Comparison {
    /// The row of a figure, if it was measured.
    #[must_use]
    pub fn row(&self, scenario: &str, candidate: &str, figure: &Figure) -> Option<&Row> {
        let mut rows = self.rows.iter();
        rows.find(|row| {
            (&*row.scenario, &*row.candidate, &*row.figure) == (scenario, candidate, &figure.id)
        })
    }

    /// The runs of one candidate in one scenario.
    pub fn runs_of<'a>(
        &'a self,
        scenario: &'a str,
        candidate: &'a str,
    ) -> impl Iterator<Item = &'a Run> {
        runs_of(&self.runs, scenario, candidate)
    }

    /// Whether all bounds are met, and the runs valid that have to be.
    #[must_use]
    pub fn is_as_wanted(&self) -> bool {
        let valid = match self.validity {
            Validity::EveryRun => self
                .runs
                .iter()
                .all(|run| run.is_valid() && run.warnings.is_empty()),
            Validity::EveryCase => self.cases().all(|(scenario, candidate)| {
                self.runs_of(&scenario.name, candidate).any(Run::is_valid)
            }),
            Validity::Bounds => true,
        };
        valid && self.bounds.iter().all(|bound| bound.met)
    }

    /// Every scenario with each of its candidates.
    pub fn cases(&self) -> impl Iterator<Item = (&Scenario, &str)> {
        let scenarios = self.sections.iter().flat_map(|section| &section.scenarios);
        scenarios.flat_map(|scenario| {
            let candidates = scenario.candidates.iter();
            candidates.map(move |candidate| (scenario, &**candidate))
        })
    }

    /// Renews the rows from the runs.
    #[must_use]
    pub fn with_rows(mut self) -> Self {
        let mut rows = Vec::new();
        for section in &self.sections {
            for scenario in &section.scenarios {
                for figure in &section.figures {
                    let candidates = scenario.candidates.iter();
                    rows.extend(candidates.filter_map(|candidate| {
                        Row::new(&scenario.name, candidate, figure, &self.runs)
                    }));
                }
            }
        }
        self.rows = rows;
        self
    }

    pub(crate) fn to_json(&self) -> String {
        let text = serde_json::to_string(self).expect("all keys are strings");
        // One run a line, so that a change is seen where it is.
        text.replace("{\"repeat\":", "\n{\"repeat\":") + "\n"
    }
}

impl Row {
    fn new(scenario: &str, candidate: &str, figure: &Figure, runs: &[Run]) -> Option<Self> {
        let all: Vec<&Run> = runs_of(runs, scenario, candidate).collect();
        // A floor is measured before the run, and does not depend on what became of that.
        let is_floor = figure.id.starts_with("floor_");
        let is_valid = is_floor || all.iter().any(|run| run.is_valid());
        let some_count = all.iter().any(|run| run.counts());
        let counted = all.into_iter().filter(|run| run.counts() || !some_count);
        Some(Self {
            scenario: scenario.to_owned(),
            candidate: candidate.to_owned(),
            figure: figure.id.to_string(),
            spread: Spread::of(counted.filter_map(|run| run.get(figure)))?,
            is_valid,
        })
    }
}

fn runs_of<'a>(
    runs: &'a [Run],
    scenario: &'a str,
    candidate: &'a str,
) -> impl Iterator<Item = &'a Run> {
    let is_meant = move |run: &&Run| run.scenario == scenario && run.candidate == candidate;
    runs.iter().filter(is_meant)
}
