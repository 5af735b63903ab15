//! The result: all figures with their spread, the bounds, and what was invalid or not clean.

use benches::{Host, Spread, Table, digits};
use serde::Serialize;

use crate::bounds::{self, Judged};
use crate::case::{self, Case};
use crate::command_line::CommandLine;
use crate::figures::Figure;
use crate::run::Run;

/// The whole comparison.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    host: Host,
    clients: u32,
    repeats: u32,
    duration_seconds: f64,
    runs_total: usize,
    /// In which a healthy client did not get each message exactly once, in order.
    runs_not_clean: usize,
    /// Whose figures may not be believed.
    runs_invalid: usize,
    bounds: Vec<Judged>,
    figures: Vec<Row>,
    runs: Vec<Run>,
}

/// A figure of one case, over the repeats.
#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    case: Case,
    figure: Figure,
    spread: Spread,
    /// Of the repeats it was read off.
    invalid: usize,
    /// Repeats in which a healthy client did not get each message exactly once, in order.
    not_clean: usize,
}

impl Comparison {
    /// What `runs` come to.
    pub(crate) fn new(demand: &CommandLine, host: Host, runs: Vec<Run>) -> Self {
        let mut figures = Vec::new();
        for case in case::all(demand) {
            let rows = Figure::shown(case).iter();
            figures.extend(rows.filter_map(|&figure| Row::new(case, figure, &runs)));
        }
        Self {
            host,
            clients: demand.clients,
            repeats: demand.repeats,
            duration_seconds: demand.duration.as_secs_f64(),
            runs_total: runs.len(),
            runs_not_clean: runs.iter().filter(|run| !run.is_clean()).count(),
            runs_invalid: runs.iter().filter(|run| !run.is_valid()).count(),
            bounds: bounds::judge(&runs),
            figures,
            runs,
        }
    }

    /// Whether all runs are valid and clean, and all bounds met.
    pub(crate) fn is_as_wanted(&self) -> bool {
        self.runs_invalid + self.runs_not_clean == 0 && self.bounds.iter().all(|bound| bound.is_met)
    }

    /// The tables for a person.
    pub(crate) fn render(&self) -> String {
        let mut figures = Table::new(["", "min", "q1", "median", "q3", "max", ""]);
        for row in &self.figures {
            let Spread {
                min,
                q1,
                median,
                q3,
                max,
            } = row.spread;
            let values = [min, q1, median, q3, max].map(digits);
            figures.row([row.name()].into_iter().chain(values).chain([row.marks()]));
        }
        let mut bounds = Table::new(["bounds", "min", "median", "max", "at most", ""]);
        for bound in &self.bounds {
            let Spread {
                min, median, max, ..
            } = bound.measured;
            let values = [min, median, max, bound.at_most].map(digits);
            let verdict = verdict(bound).to_owned();
            let name = name(bound.case, bound.figure);
            bounds.row([name].into_iter().chain(values).chain([verdict]));
        }
        format!(
            "{}\n\n{figures}\n{bounds}{}",
            self.headline(),
            self.list_of_problems()
        )
    }

    /// The same as Markdown, each figure by its median.
    pub(crate) fn markdown(&self) -> String {
        let mut text = self.headline()
            + "\n\n| scenario | beside | figure | median | min to max | |\n| --- | --- | --- | ---: | ---: | --- |\n";
        for row in &self.figures {
            let Spread {
                min, median, max, ..
            } = row.spread;
            let [min, median, max] = [min, median, max].map(digits);
            let (scenario, who) = (row.case.scenario.name(), row.case.name());
            let (figure, marks) = (row.figure.name(), row.marks());
            text += &format!(
                "| {scenario} | {who} | {figure} | {median} | {min} to {max} | {marks} |\n"
            );
        }
        text += "\n| bound | median | at most | |\n| --- | ---: | ---: | --- |\n";
        for bound in &self.bounds {
            let [median, at_most] = [bound.measured.median, bound.at_most].map(digits);
            let name = name(bound.case, bound.figure);
            text += &format!("| {name} | {median} | {at_most} | {} |\n", verdict(bound));
        }
        text
    }

    fn headline(&self) -> String {
        let Host {
            kernel, cpu, cpus, ..
        } = &self.host;
        format!(
            "{} repeats of {} s each, --clients {}, on {cpus} x {cpu}, Linux {kernel}",
            self.repeats, self.duration_seconds, self.clients
        )
    }

    fn list_of_problems(&self) -> String {
        let mut text = String::new();
        for run in &self.runs {
            let (scenario, who) = (run.case.scenario.name(), run.case.name());
            let which = format!("{scenario} beside {who}, repeat {}", run.repeat + 1);
            if !run.is_clean() {
                text += &format!("NOT CLEAN: {which}: see its ledger in the JSON\n");
            }
            for problem in run.problems() {
                text += &format!("INVALID: {which}: {problem}\n");
            }
        }
        text
    }
}

impl Row {
    fn new(case: Case, figure: Figure, runs: &[Run]) -> Option<Self> {
        let of_case = || runs.iter().filter(|run| run.case == case);
        let values: Vec<f64> = of_case().filter_map(|run| figure.of(run, runs)).collect();
        (!values.is_empty()).then(|| Self {
            case,
            figure,
            spread: Spread::of(values),
            invalid: of_case().filter(|run| !run.is_valid()).count(),
            not_clean: of_case().filter(|run| !run.is_clean()).count(),
        })
    }

    fn name(&self) -> String {
        name(self.case, self.figure)
    }

    /// What a reader has to know of the runs behind it.
    fn marks(&self) -> String {
        let marks = [(self.invalid, "INVALID"), (self.not_clean, "NOT CLEAN")];
        let marks = marks.into_iter().filter(|(count, _)| *count > 0);
        let marks: Vec<_> = marks
            .map(|(count, mark)| format!("{count} {mark}"))
            .collect();
        marks.join(", ")
    }
}

fn name(case: Case, figure: Figure) -> String {
    format!("{:<8}{}", case.scenario.name(), figure.name_beside(case))
}

fn verdict(bound: &Judged) -> &'static str {
    if bound.is_met { "met" } else { "MISSED" }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::run::tests::run;

    fn comparison(spoil: impl Fn(&mut Run)) -> Comparison {
        let demand = CommandLine::parse_from(["hostile", "--scenarios", "stalled"]);
        let cases = case::all(&demand).into_iter();
        let mut runs: Vec<Run> = cases.map(|case| run(0, case, 10.0)).collect();
        spoil(&mut runs[1]);
        Comparison::new(&demand, Host::this(), runs)
    }

    #[test]
    fn an_invalid_run_is_marked_wherever_it_counts() {
        assert!(comparison(|_| {}).is_as_wanted());
        let comparison = comparison(|run| {
            run.report.figures.valid = false;
            run.report.figures.problems = vec!["the schedule slipped".into()];
        });
        assert!(!comparison.is_as_wanted());
        let (text, page) = (comparison.render(), comparison.markdown());
        assert!(text.contains("INVALID: stalled beside stalled, repeat 1: the schedule slipped"));
        assert!(
            page.contains("| stalled | stalled | p99, ms | 10.0 | 10.0 to 10.0 | 1 INVALID |"),
            "{page}"
        );
    }

    #[test]
    fn a_ledger_that_is_not_clean_is_marked() {
        let comparison = comparison(|run| run.report.duplicated = 1);
        assert!(!comparison.is_as_wanted());
        let text = comparison.render();
        assert!(
            text.contains("NOT CLEAN: stalled beside stalled, repeat 1"),
            "{text}"
        );
        assert!(text.contains("1 NOT CLEAN"), "{text}");
    }
}
