//! The page of a comparison and its plots. The page is Markdown that reads the same in a terminal, in the
//! source of a text and on a code host. A plot has one line a candidate over the scenarios, by the medians;
//! what no valid run gives is a cross beside the lines.

use std::fmt;

use loadgen::chart::{Axis, Chart, Line};

use crate::bound::Judged;
use crate::comparison::{Comparison, Plot, Scenario, Section};
use crate::figure::Figure;
use crate::run::{digits, with_unit};

/// With more candidates than this a table has a row for each, not a column.
const COLUMNS_MAX: usize = 4;

/// The whole page.
pub(crate) fn page(comparison: &Comparison) -> String {
    let command = &comparison.command;
    let (program, arguments) = command.split_once(' ').unwrap_or((command, ""));
    let times = match comparison.repeats {
        1 => "once".to_owned(),
        repeats => format!("{repeats} times, interleaved"),
    };
    let mut text = format!(
        "# {}\n\n{}\n\nEach was measured {times}, on {} (load average before: {:.1}). Server and load generator share the processors. It took {:.0} s.\n\nTo repeat it: `cargo run --release -p benches --bin {program} -- {arguments}`\n",
        comparison.title,
        comparison.about,
        comparison.host.in_words(),
        comparison.host.load_average,
        comparison.took_seconds,
    );
    if comparison.was_cut {
        text += "\n**The time was over before all was measured**: figures are of fewer runs than asked for.\n";
    }
    if !comparison.bounds.is_empty() {
        text += "\n## Bounds\n\nThe median over the repeats decides; each ratio (x) and difference is of one repeat.\n\n";
        text += &bounds(&comparison.bounds);
    }
    for section in &comparison.sections {
        let Section { title, about, .. } = section;
        text += &format!("\n## {title}\n\n{about}\n\n{}", table(comparison, section));
        text += &plots(comparison, title);
    }
    text += &plots(comparison, "");
    text += &problems(comparison);
    for remark in &comparison.remarks {
        text += &format!("\n## {}\n\n{}\n", remark.title, remark.text.trim_end());
    }
    text
}

fn plots(comparison: &Comparison, section: &str) -> String {
    let is_here = |plot: &&Plot| plot.section == section;
    let shown = comparison
        .plots
        .iter()
        .filter(is_here)
        .map(|plot| format!("\n![{}]({})\n", plot.title, plot.file));
    shown.collect()
}

/// The table of bounds.
pub(crate) fn bounds(bounds: &[Judged]) -> String {
    let mut table = Table::new(["load", "bound", "median", "min to max", "wanted", ""]);
    for one in bounds {
        let mut shown = ["not measured".into(), String::new()];
        if let Some(it) = one.measured {
            let range = format!("{} to {}", digits(it.min), digits(it.max));
            shown = [with_unit(it.median, &one.unit), range];
        }
        let verdict = match (one.met, &*one.wanted) {
            (_, "") => "",
            (true, _) => "met",
            (false, _) => "**MISSED**",
        };
        let [median, range] = &shown;
        table.row([
            &*one.scenario,
            &one.name,
            median,
            range,
            &one.wanted,
            verdict,
        ]);
    }
    table.to_string()
}

/// All figures of a section: medians, and their range where there is room for it.
pub(crate) fn table(comparison: &Comparison, section: &Section) -> Table {
    match &section.scenarios[..] {
        [one] if one.candidates.len() <= COLUMNS_MAX => columns(comparison, section, one),
        _ => rows(comparison, section),
    }
}

/// A column for each candidate.
fn columns(comparison: &Comparison, section: &Section, scenario: &Scenario) -> Table {
    let mut table = Table::named("median (min to max)", &scenario.candidates);
    for figure in &section.figures {
        let cell = |candidate: &String| match comparison.row(scenario, candidate, figure) {
            None => "-".to_owned(),
            Some(row) => {
                let [min, max] = [row.spread.min, row.spread.max].map(digits);
                format!("{} ({min} to {max})", row.median())
            }
        };
        table.named_row(figure.label(), scenario.candidates.iter().map(cell));
    }
    let valid = |candidate: &String| valid_runs(comparison, scenario, candidate);
    table.named_row("valid runs", scenario.candidates.iter().map(valid));
    table
}

/// A row for each candidate of each scenario.
fn rows(comparison: &Comparison, section: &Section) -> Table {
    // The name of the only scenario is the section's.
    let skipped = usize::from(section.scenarios.len() == 1);
    let mut head = vec!["load".to_owned(), String::new()].split_off(skipped);
    head.extend(section.figures.iter().map(Figure::label));
    head.push("valid runs".into());
    let mut table = Table::new(head);
    for scenario in &section.scenarios {
        for candidate in &scenario.candidates {
            let mut row = vec![scenario.name.clone(), candidate.clone()].split_off(skipped);
            let median = |figure| median(comparison, scenario, candidate, figure);
            row.extend(section.figures.iter().map(median));
            row.push(valid_runs(comparison, scenario, candidate));
            table.row(row);
        }
    }
    table
}

/// One figure of many scenarios: a row for each scenario, a column for each candidate.
pub(crate) fn by_scenario(comparison: &Comparison, figure: &Figure) -> Table {
    let sections = comparison.sections.iter();
    let sections = sections.filter(|one| one.figures.contains(figure));
    let scenarios: Vec<&Scenario> = sections.flat_map(|section| &section.scenarios).collect();
    let candidates = candidates_of(&scenarios);
    let mut table = Table::named(&figure.label(), &candidates);
    for scenario in scenarios {
        let median = |who: &&str| median(comparison, scenario, who, figure);
        table.named_row(&*scenario.name, candidates.iter().map(median));
    }
    table
}

/// Who was measured in any of `scenarios`, each once.
fn candidates_of<'a>(scenarios: &[&'a Scenario]) -> Vec<&'a str> {
    let mut candidates: Vec<&str> = Vec::new();
    for candidate in scenarios.iter().flat_map(|scenario| &scenario.candidates) {
        if !candidates.contains(&&**candidate) {
            candidates.push(candidate);
        }
    }
    candidates
}

fn median(comparison: &Comparison, scenario: &Scenario, who: &str, figure: &Figure) -> String {
    let row = comparison.row(scenario, who, figure);
    row.map_or_else(|| "-".to_owned(), |row| row.median())
}

fn valid_runs(comparison: &Comparison, scenario: &Scenario, candidate: &str) -> String {
    let runs = comparison.runs_of(scenario, candidate);
    let valid = runs.iter().filter(|run| run.is_valid()).count();
    match (valid, runs.len()) {
        (_, 0) => "not measured".into(),
        (0, all) => format!("**0 of {all}**"),
        (valid, all) => format!("{valid} of {all}"),
    }
}

fn problems(comparison: &Comparison) -> String {
    let mut text = String::new();
    for run in &comparison.runs {
        let (scenario, candidate, repeat) = (&run.scenario, &run.candidate, run.repeat + 1);
        let failures = run.failure.iter().map(|why| ("not measured", why.clone()));
        let problems = run.problems.join("; ");
        let problems = Some(("INVALID", problems)).filter(|(_, why)| !why.is_empty());
        let warnings = run.warnings.iter().map(|why| ("warning", why.clone()));
        for (what, why) in failures.chain(problems).chain(warnings) {
            text += &format!("- {scenario}, {candidate}, repeat {repeat}: {what}: {why}\n");
        }
    }
    if text.is_empty() {
        return text;
    }
    format!("\n## Invalid runs and warnings\n\n{text}")
}

/// The plot as a file of its own.
pub(crate) fn svg(comparison: &Comparison, plot: &Plot) -> String {
    let sections = comparison.sections.iter();
    let sections = sections.filter(|one| plot.section.is_empty() || plot.section == one.title);
    let scenarios: Vec<&Scenario> = sections.flat_map(|section| &section.scenarios).collect();
    let candidates = candidates_of(&scenarios);
    let points = |candidate: &str, figure: &Figure, valid: bool| -> Vec<(f64, f64)> {
        let point = |scenario: &&Scenario| {
            let row = comparison.row(scenario, candidate, figure)?;
            (row.is_valid == valid).then_some((scenario.x?, row.spread.median))
        };
        scenarios.iter().filter_map(point).collect()
    };
    let line = |name: &str, points| Line {
        name: lasting(name),
        points,
    };
    let of_candidate = |name: &&str| line(name, points(name, &plot.figure, true));
    let mut lines: Vec<Line> = candidates.iter().map(of_candidate).collect();
    if let (Some((figure, name)), Some(first)) = (&plot.floor, candidates.first()) {
        lines.push(line(name, points(first, figure, true)));
    }
    let invalid = |name| points(name, &plot.figure, false);
    let invalid: Vec<(f64, f64)> = candidates.iter().copied().flat_map(invalid).collect();
    let on_lines = lines.iter().flat_map(|line| &line.points);
    let ys: Vec<f64> = on_lines.chain(&invalid).map(|(_, y)| *y).collect();
    let xs = scenarios.iter().filter_map(|scenario| scenario.x);
    let chart = Chart {
        title: plot.title.clone(),
        x: match plot.is_linear {
            true => Axis::amount(xs.fold(0.0, f64::max), lasting(&plot.x_label)),
            false => Axis::logarithmic(xs, lasting(&plot.x_label)),
        },
        y: Axis::logarithmic(ys.into_iter(), lasting(&plot.figure.unit)),
        lines,
        invalid,
        marked: true,
    };
    chart.standalone()
}

/// The chart takes names that last as long as the program; there are a handful.
fn lasting(name: &str) -> &'static str {
    name.to_owned().leak()
}

/// Rows under one head.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<T: Into<String>>(head: impl IntoIterator<Item = T>) -> Self {
        let rows = vec![head.into_iter().map(Into::into).collect()];
        Self { rows }
    }

    /// Appends a row, of as many cells as the head has.
    pub(crate) fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// A table whose columns have these names, and whose rows have names too.
    pub(crate) fn named<T: ToString>(corner: &str, names: &[T]) -> Self {
        let names = names.iter().map(ToString::to_string);
        Self::new([corner.to_owned()].into_iter().chain(names))
    }

    /// Appends a row of a name and its cells.
    pub(crate) fn named_row(
        &mut self,
        name: impl Into<String>,
        cells: impl Iterator<Item = String>,
    ) {
        self.row([name.into()].into_iter().chain(cells));
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0).max(3)
    }

    /// Whether a column holds figures, which are aligned by their ends.
    fn is_of_figures(&self, column: usize) -> bool {
        let mut cells = self.rows[1..].iter().map(|row| &row[column]);
        column > 0 && cells.all(|cell| cell.is_empty() || cell == "-" || is_figure(cell))
    }
}

fn is_figure(cell: &str) -> bool {
    let digits = cell.trim_start_matches(['<', '>', '=', '-', ' ']);
    digits.starts_with(|letter: char| letter.is_ascii_digit()) && cell.chars().count() < 40
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rows.len() < 2 {
            return Ok(());
        }
        let columns = (0..self.rows[0].len()).map(|at| (self.width(at), self.is_of_figures(at)));
        let columns: Vec<(usize, bool)> = columns.collect();
        for (at, row) in self.rows.iter().enumerate() {
            for (cell, &(width, right)) in row.iter().zip(&columns) {
                match right {
                    true => write!(f, "| {cell:>width$} ")?,
                    false => write!(f, "| {cell:<width$} ")?,
                }
            }
            writeln!(f, "|")?;
            if at == 0 {
                for &(width, right) in &columns {
                    let end = if right { ":" } else { "-" };
                    write!(f, "| {}{end} ", "-".repeat(width - 1))?;
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::{FLOOR, P99};
    use crate::study::tests::comparison;

    #[test]
    fn the_page_has_all_figures_bounds_and_problems() {
        let comparison = comparison(|run| {
            if run.candidate == "theirs" {
                run.problems.push("the machine was busy".into());
                run.counts = Some(run.repeat == 0);
            }
        });
        let text = page(&comparison);
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [
            "# An example",
            "| load | delivery p99, ours / theirs | 0.250x | 0.250 to 0.250 | <= 0.500x | met |",
            "| 11.0 (10.0 to 12.0) |",
            "40.0 INVALID (40.0 to 40.0) |",
            "| **0 of 2**",
            "- load, theirs, repeat 1: INVALID: the machine was busy",
        ] {
            assert!(text.contains(part), "{part}\n---\n{text}");
        }
        assert!(!text.contains("time was over"));
    }

    #[test]
    fn what_is_invalid_is_in_the_plot_and_in_no_line() {
        let comparison = comparison(|run| {
            run.set(&FLOOR, 20.0);
            if run.candidate == "theirs" {
                run.problems.push("the machine was busy".into());
            }
        });
        let plot = Plot {
            file: "p99.svg".into(),
            title: "p99 by rate".into(),
            section: "load".into(),
            x_label: "messages/s".into(),
            is_linear: false,
            figure: P99,
            floor: Some((FLOOR, "F".into())),
        };
        let svg = svg(&comparison, &plot);
        assert!(svg.contains("INVALID: 50 at 10"), "{svg}");
        assert!(svg.contains("ours: 11 at 10<"), "{svg}");
        assert!(!svg.contains("theirs: 50"), "{svg}");
        assert!(svg.contains("F: 20 at 10"), "{svg}");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_figures_end_together() {
        let mut table = Table::new(["", "median", "verdict"]);
        assert_eq!(table.to_string(), "", "a table of nothing");
        table.row(["a long name", "1.5", "met"]);
        table.row(["short", "1000.5", ""]);
        let expected = [
            "|             | median | verdict |\n",
            "| ----------- | -----: | ------- |\n",
            "| a long name |    1.5 | met     |\n",
            "| short       | 1000.5 |         |\n",
        ];
        assert_eq!(table.to_string(), expected.concat());
    }
}
