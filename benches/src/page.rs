//! The page of a comparison: Markdown that reads as well in a terminal. Its tables are those of
//! report.md, and of the texts that quote it.

use crate::bound::Judged;
use crate::comparison::{Comparison, Row, Section};
use crate::figure::Figure;
use crate::plot;
use crate::run::{Run, with_unit};
use crate::spread::digits;
use crate::table::Table;

/// With more candidates than this a table has a row for each, not a column.
const COLUMNS_MAX: usize = 4;

/// With more bounds than this a scenario has a table of its own.
const BOUNDS_TOGETHER_MAX: usize = 6;

/// The whole page.
#[must_use]
pub fn page(comparison: &Comparison) -> String {
    let Comparison {
        title,
        command,
        about,
        repeats,
        took_seconds,
        ..
    } = comparison;
    let host = &comparison.host;
    let (program, arguments) = command.split_once(' ').unwrap_or((command, ""));
    let times = if *repeats == 1 {
        "once"
    } else {
        "times, interleaved"
    };
    let count = if *repeats == 1 {
        String::new()
    } else {
        format!("{repeats} ")
    };
    let mut text = format!(
        "# {title}\n\n{about}\n\nEach was measured {count}{times}, on {} (load average before: {:.1}). Server and load generator share the processors. It took {took_seconds:.0} s.\n\nTo repeat it: `cargo run --release -p benches --bin {program} -- {arguments}`\n",
        host.in_words(),
        host.load_average,
    );
    if comparison.was_cut {
        text += "\n**The time was over before all was measured**: figures are of fewer runs than asked for.\n";
    }
    if !comparison.bounds.is_empty() {
        text += &format!(
            "\n## Bounds\n\nThe median over the repeats decides; each ratio (x) and difference is of one repeat.\n\n{}",
            bounds(&comparison.bounds)
        );
    }
    for section in &comparison.sections {
        text += &self::section(comparison, section);
    }
    for plot in comparison
        .plots
        .iter()
        .filter(|plot| plot.section.is_empty())
    {
        text += &format!("\n![{}]({})\n", plot.title, plot.file);
    }
    let problems = problems(&comparison.runs);
    if !problems.is_empty() {
        text += &format!("\n## Runs that are not valid, or in doubt\n\n{problems}");
    }
    for remark in &comparison.remarks {
        text += &format!("\n## {}\n\n{}\n", remark.title, remark.text.trim_end());
    }
    text
}

/// The tables of bounds.
#[must_use]
pub fn bounds(bounds: &[Judged]) -> String {
    let is_large = |one: &&Judged| bounds_of(bounds, &one.scenario).count() > BOUNDS_TOGETHER_MAX;
    let mut table = Table::new(["load", "bound", "median", "min to max", "wanted", ""]);
    for one in bounds.iter().filter(|one| !is_large(one)) {
        let [median, range] = measured(one);
        let verdict = verdict(one);
        table.row([
            &*one.scenario,
            &one.name,
            &median,
            &range,
            &one.wanted,
            verdict,
        ]);
    }
    let mut text = table.to_string();
    let mut large: Vec<&str> = bounds
        .iter()
        .filter(is_large)
        .map(|one| &*one.scenario)
        .collect();
    large.dedup();
    for scenario in large {
        let between = if text.is_empty() { "" } else { "\n" };
        let bounds: Vec<&Judged> = bounds_of(bounds, scenario).collect();
        text += &format!("{between}{}", grid(scenario, &bounds));
    }
    text
}

fn bounds_of<'a>(bounds: &'a [Judged], scenario: &'a str) -> impl Iterator<Item = &'a Judged> {
    bounds.iter().filter(move |one| one.scenario == scenario)
}

/// The bounds of one scenario: a row for each candidate.
fn grid(scenario: &str, bounds: &[&Judged]) -> Table {
    let head = |one: &Judged| format!("{}: median (max), wanted {}", one.measure, one.wanted);
    let mut heads: Vec<String> = bounds.iter().map(|one| head(one)).collect();
    let mut candidates: Vec<&str> = bounds.iter().map(|one| &*one.candidate).collect();
    heads.sort_unstable();
    heads.dedup();
    candidates.dedup();
    let first = [scenario.to_owned()].into_iter();
    let mut table = Table::new(first.chain(heads.iter().cloned()).chain([String::new()]));
    for candidate in candidates {
        let own = || bounds.iter().filter(|one| one.candidate == candidate);
        let cell = |wanted: &String| {
            let one = own().find(|one| head(one) == *wanted);
            let spread = one.and_then(|one| Some((one, one.measured?)));
            spread.map_or_else(
                || "-".into(),
                |(one, it)| format!("{} ({})", with_unit(it.median, &one.unit), digits(it.max)),
            )
        };
        let missed = own().find(|one| !one.met).map_or("met", |one| verdict(one));
        let cells = heads.iter().map(cell);
        table.row(
            [candidate.to_owned()]
                .into_iter()
                .chain(cells)
                .chain([missed.to_owned()]),
        );
    }
    table
}

fn measured(one: &Judged) -> [String; 2] {
    let Some(spread) = one.measured else {
        return ["not measured".into(), String::new()];
    };
    let range = format!("{} to {}", digits(spread.min), digits(spread.max));
    [with_unit(spread.median, &one.unit), range]
}

fn verdict(one: &Judged) -> &'static str {
    match (one.met, &*one.wanted) {
        (_, "") => "",
        (true, _) => "met",
        (false, _) => "**MISSED**",
    }
}

fn section(comparison: &Comparison, section: &Section) -> String {
    let mut text = format!("\n## {}\n\n{}\n\n", section.title, section.about);
    let table = table(comparison, section);
    text += &table.to_string();
    let plots = comparison.plots.iter();
    for plot in plots.filter(|plot| plot::is_of(plot, section)) {
        text += &format!("\n![{}]({})\n", plot.title, plot.file);
    }
    text
}

/// All figures of a section: medians, and their range where there is room for it.
#[must_use]
pub fn table(comparison: &Comparison, section: &Section) -> Table {
    match &section.scenarios[..] {
        [one] if one.candidates.len() <= COLUMNS_MAX => columns(comparison, section),
        _ => rows(comparison, section),
    }
}

/// A column for each candidate.
fn columns(comparison: &Comparison, section: &Section) -> Table {
    let scenario = &section.scenarios[0];
    let candidates = &scenario.candidates;
    let head = ["median (min to max)".to_owned()].into_iter();
    let mut table = Table::new(head.chain(candidates.iter().cloned()));
    for figure in &section.figures {
        let cells = candidates.iter().map(|candidate| {
            let row = comparison.row(&scenario.name, candidate, figure);
            row.map_or_else(
                || "-".into(),
                |row| {
                    let (min, max) = (row.spread.min, row.spread.max);
                    format!("{} ({} to {})", median(row), digits(min), digits(max))
                },
            )
        });
        table.row([figure.label()].into_iter().chain(cells));
    }
    let verdicts = candidates
        .iter()
        .map(|candidate| valid_runs(comparison, &scenario.name, candidate));
    table.row(["valid runs".to_owned()].into_iter().chain(verdicts));
    table
}

/// A row for each candidate of each scenario.
fn rows(comparison: &Comparison, section: &Section) -> Table {
    let has_one_scenario = section.scenarios.len() == 1;
    let head = if has_one_scenario {
        vec!["".to_owned()]
    } else {
        vec!["load".into(), String::new()]
    };
    let figures = section.figures.iter().map(Figure::label);
    let mut table = Table::new(head.into_iter().chain(figures).chain(["valid runs".into()]));
    for scenario in &section.scenarios {
        for candidate in &scenario.candidates {
            let names = if has_one_scenario {
                vec![candidate.clone()]
            } else {
                vec![scenario.name.clone(), candidate.clone()]
            };
            let cells = section.figures.iter().map(|figure| {
                let row = comparison.row(&scenario.name, candidate, figure);
                row.map_or_else(|| "-".into(), median)
            });
            let valid = valid_runs(comparison, &scenario.name, candidate);
            table.row(names.into_iter().chain(cells).chain([valid]));
        }
    }
    table
}

/// One figure of many scenarios: a row for each scenario, a column for each candidate.
#[must_use]
pub fn by_scenario(comparison: &Comparison, figure: &Figure) -> Table {
    let sections = comparison.sections.iter();
    let shown: Vec<_> = sections
        .flat_map(|section| &section.scenarios)
        .filter(|scenario| {
            comparison
                .rows
                .iter()
                .any(|row| (&*row.scenario, &*row.figure) == (&*scenario.name, &figure.id))
        })
        .collect();
    let mut candidates: Vec<&String> = Vec::new();
    for candidate in shown.iter().flat_map(|scenario| &scenario.candidates) {
        if !candidates.contains(&candidate) {
            candidates.push(candidate);
        }
    }
    let head = [figure.label()].into_iter();
    let mut table = Table::new(head.chain(candidates.iter().map(|&name| name.clone())));
    for scenario in shown {
        let cells = candidates.iter().map(|candidate| {
            let row = comparison.row(&scenario.name, candidate, figure);
            row.map_or_else(|| "-".into(), median)
        });
        table.row([scenario.name.clone()].into_iter().chain(cells));
    }
    table
}

/// The median, marked if no run of it is valid.
fn median(row: &Row) -> String {
    let mark = if row.is_valid { "" } else { " INVALID" };
    digits(row.spread.median) + mark
}

fn valid_runs(comparison: &Comparison, scenario: &str, candidate: &str) -> String {
    let runs: Vec<&Run> = comparison.runs_of(scenario, candidate).collect();
    let valid = runs.iter().filter(|run| run.is_valid()).count();
    match (valid, runs.len()) {
        (_, 0) => "not measured".into(),
        (0, all) => format!("**0 of {all}**"),
        (valid, all) => format!("{valid} of {all}"),
    }
}

fn problems(runs: &[Run]) -> String {
    let mut text = String::new();
    for run in runs {
        let which = format!(
            "{}, {}, repeat {}",
            run.scenario,
            run.candidate,
            run.repeat + 1
        );
        if let Some(failure) = &run.failure {
            text += &format!("- {which}: not measured: {failure}\n");
        }
        if !run.problems.is_empty() {
            text += &format!("- {which}: INVALID: {}\n", run.problems.join("; "));
        }
        for warning in &run.warnings {
            text += &format!("- {which}: warning: {warning}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::tests::{comparison, runs};

    #[test]
    fn the_page_has_all_figures_bounds_and_problems() {
        let mut spoilt = runs();
        for (at, run) in spoilt.iter_mut().enumerate() {
            if run.candidate == "theirs" {
                run.problems.push("the machine was busy".into());
                run.counts = Some(at == 1);
            }
        }
        let text = page(&comparison(spoilt));
        for part in [
            "# An example\n",
            "| load | delivery p99, ours / theirs | 0.250x | 0.250 to 0.250 | <= 0.500x | met |",
            "| median (min to max) |",
            "| 11.0 (10.0 to 12.0) |",
            "40.0 INVALID (40.0 to 40.0) |",
            "| **0 of 2** ",
            "- load, theirs, repeat 1: INVALID: the machine was busy\n",
        ] {
            let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(text.contains(part.trim()), "{part}\n---\n{text}");
        }
        assert!(!text.contains("time was over"));
    }

    #[test]
    fn many_bounds_of_one_load_are_a_row_for_each_candidate() {
        let comparison = comparison(runs());
        let bounds: Vec<Judged> = (0..8)
            .map(|at| Judged {
                candidate: format!("kind-{}", at / 2),
                measure: ["p50", "p99"][at % 2].into(),
                met: at != 3,
                ..comparison.bounds[0].clone()
            })
            .collect();
        let text = super::bounds(&bounds);
        assert_eq!(text.lines().count(), 6, "{text}");
        assert!(
            text.contains("p99: median (max), wanted <= 0.500x"),
            "{text}"
        );
        assert!(text.contains("0.225x (0.250)"), "{text}");
        assert_eq!(text.matches("MISSED").count(), 1, "{text}");
    }
}
