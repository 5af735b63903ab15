//! The result: all figures with their spread, the bounds, and what was invalid.

use benches::{Host, Spread, Table};
use serde::Serialize;

use crate::bounds::{self, Judged};
use crate::command_line::{CommandLine, Driver};
use crate::figures::Figure;
use crate::markdown;
use crate::run::Run;
use crate::scenario::{Scenario, Setting};

/// The whole comparison.
#[derive(Debug, Serialize)]
pub(crate) struct Result {
    host: Host,
    repeats: u32,
    duration: String,
    bounds: Vec<Judged>,
    figures: Vec<Row>,
    runs: Vec<Run>,
}

/// A figure of one driver in one scenario, over the repeats.
#[derive(Debug, Serialize)]
struct Row {
    scenario: Scenario,
    figure: Figure,
    driver: Driver,
    setting: Setting,
    spread: Spread,
}

impl Result {
    /// What `runs` come to.
    pub(crate) fn new(demand: &CommandLine, host: Host, runs: Vec<Run>) -> Self {
        let mut figures = Vec::new();
        for &scenario in &demand.scenarios {
            for &figure in Figure::shown(scenario) {
                for &setting in scenario.settings() {
                    for &driver in &demand.drivers {
                        figures.extend(Row::new(scenario, figure, driver, setting, &runs));
                    }
                }
            }
        }
        Self {
            host,
            repeats: demand.repeats,
            duration: demand.duration.clone(),
            bounds: bounds::ALL
                .iter()
                .filter_map(|bound| bound.judge(&runs))
                .collect(),
            figures,
            runs,
        }
    }

    /// Whether all runs are valid and beyond doubt, and all bounds met.
    pub(crate) fn is_as_wanted(&self) -> bool {
        let sound = |run: &Run| run.is_valid() && run.doubt().is_none();
        self.runs.iter().all(sound) && self.bounds.iter().all(|bound| bound.is_met)
    }

    /// The tables for a person.
    pub(crate) fn render(&self) -> String {
        let Host {
            kernel, cpu, cpus, ..
        } = &self.host;
        format!(
            "{} repeats of {} each, on {cpus} x {cpu}, Linux {kernel}\n\n{}\n{}{}",
            self.repeats,
            self.duration,
            self.table_of_figures(),
            self.table_of_bounds(),
            self.list_of_problems(),
        ) + "\n"
            + &self.markdown()
    }

    /// Tables of the scenarios that vary a setting, for the guide.
    pub(crate) fn markdown(&self) -> String {
        let tables = markdown::VARIED
            .map(|(scenario, option)| markdown::table(scenario, option, &self.runs));
        let tables: Vec<String> = tables.into_iter().flatten().collect();
        tables.join("\n")
    }

    fn table_of_figures(&self) -> Table {
        let mut table = Table::new(["", "min", "q1", "median", "q3", "max"]);
        for row in &self.figures {
            let (scenario, figure) = (row.scenario.name(), row.figure.name());
            let (driver, value) = (row.driver.name(), row.setting.value());
            let name = format!("{scenario:<8} {figure}: {driver} {value}");
            table.row_of(name.trim_end(), row.spread, 3);
        }
        table
    }

    fn table_of_bounds(&self) -> Table {
        let mut table = Table::new(["bounds", "min", "median", "max", "at most", ""]);
        for bound in &self.bounds {
            let Spread {
                min, median, max, ..
            } = bound.measured;
            let name = format!("{:<8} {}", bound.scenario.name(), bound.name);
            let figures = [min, median, max, bound.at_most].map(|figure| format!("{figure:.3}"));
            let verdict = if bound.is_met { "met" } else { "MISSED" };
            table.row(
                [name]
                    .into_iter()
                    .chain(figures)
                    .chain([verdict.to_owned()]),
            );
        }
        table
    }

    fn list_of_problems(&self) -> String {
        let mut text = String::new();
        for run in &self.runs {
            let (scenario, driver) = (run.scenario.name(), run.driver.name());
            let which = format!("{scenario} on {driver}, repeat {}", run.repeat + 1);
            for problem in run.problems() {
                text += &format!("INVALID: {which}: {problem}\n");
            }
            if let Some(doubt) = run.doubt() {
                text += &format!("doubt: {which}: {doubt}\n");
            }
        }
        text
    }
}

impl Row {
    fn new(
        scenario: Scenario,
        figure: Figure,
        driver: Driver,
        setting: Setting,
        runs: &[Run],
    ) -> Option<Self> {
        let values: Vec<f64> = runs
            .iter()
            .filter(|run| (run.scenario, run.driver, run.setting) == (scenario, driver, setting))
            .filter_map(|run| figure.of(run))
            .collect();
        (!values.is_empty()).then(|| Self {
            scenario,
            figure,
            driver,
            setting,
            spread: Spread::of(values),
        })
    }
}
