//! The page of a comparison: Markdown that reads as well in a terminal. Its tables are those of
//! report.md, and of the texts that quote it.

use crate::bound::Judged;
use crate::comparison::{Comparison, Row, Scenario, Section};
use crate::figure::Figure;
use crate::run::with_unit;
use crate::spread::digits;
use crate::table::Table;

/// With more candidates than this a table has a row for each, not a column.
const COLUMNS_MAX: usize = 4;

/// With more bounds than this a scenario has a table of its own.
const BOUNDS_TOGETHER_MAX: usize = 6;

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
        let about =
            "The median over the repeats decides; each ratio (x) and difference is of one repeat.";
        text += &format!("\n## Bounds\n\n{about}\n\n{}", bounds(&comparison.bounds));
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
    let plots = comparison
        .plots
        .iter()
        .filter(|plot| plot.section == section);
    plots
        .map(|plot| format!("\n![{}]({})\n", plot.title, plot.file))
        .collect()
}

/// The tables of bounds.
pub(crate) fn bounds(bounds: &[Judged]) -> String {
    let of = |scenario: &str| -> Vec<&Judged> {
        bounds
            .iter()
            .filter(|one| one.scenario == scenario)
            .collect()
    };
    let mut table = Table::new(["load", "bound", "median", "min to max", "wanted", ""]);
    let mut grids: Vec<(&str, Table)> = Vec::new();
    for one in bounds {
        let together = of(&one.scenario);
        if together.len() <= BOUNDS_TOGETHER_MAX {
            let [median, range] =
                one.measured
                    .map_or(["not measured".into(), String::new()], |it| {
                        let range = format!("{} to {}", digits(it.min), digits(it.max));
                        [with_unit(it.median, &one.unit), range]
                    });
            table.row([
                &*one.scenario,
                &one.name,
                &median,
                &range,
                &one.wanted,
                verdict(one),
            ]);
        } else if grids.iter().all(|(scenario, _)| *scenario != one.scenario) {
            grids.push((&one.scenario, grid(&one.scenario, &together)));
        }
    }
    let tables = [table]
        .into_iter()
        .chain(grids.into_iter().map(|(_, grid)| grid));
    let tables = tables
        .map(|table| table.to_string())
        .filter(|text| !text.is_empty());
    tables.collect::<Vec<_>>().join("\n")
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
        let mut cells = vec![candidate.to_owned()];
        for wanted in &heads {
            let one = own().find(|one| head(one) == *wanted);
            let shown = one.and_then(|one| Some((one, one.measured?)));
            cells.push(shown.map_or_else(
                || "-".into(),
                |(one, it)| format!("{} ({})", with_unit(it.median, &one.unit), digits(it.max)),
            ));
        }
        let missed = own().find(|one| !one.met);
        cells.push(missed.map_or("met", |one| verdict(one)).to_owned());
        table.row(cells);
    }
    table
}

fn verdict(one: &Judged) -> &'static str {
    match (one.met, &*one.wanted) {
        (_, "") => "",
        (true, _) => "met",
        (false, _) => "**MISSED**",
    }
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
    let candidates = || scenario.candidates.iter();
    let head = ["median (min to max)".to_owned()].into_iter();
    let mut table = Table::new(head.chain(candidates().cloned()));
    for figure in &section.figures {
        let cells = candidates().map(|candidate| {
            let row = comparison.row(&scenario.name, candidate, figure);
            let Some(row) = row else {
                return "-".to_owned();
            };
            let [min, max] = [row.spread.min, row.spread.max].map(digits);
            format!("{} ({min} to {max})", median(Some(row)))
        });
        table.row([figure.label()].into_iter().chain(cells));
    }
    let valid = candidates().map(|candidate| valid_runs(comparison, &scenario.name, candidate));
    table.row(["valid runs".to_owned()].into_iter().chain(valid));
    table
}

/// A row for each candidate of each scenario.
fn rows(comparison: &Comparison, section: &Section) -> Table {
    // The name of the only scenario is the section's.
    let skipped = usize::from(section.scenarios.len() == 1);
    let head = ["load".to_owned(), String::new()].into_iter().skip(skipped);
    let figures = section.figures.iter().map(Figure::label);
    let mut table = Table::new(head.chain(figures).chain(["valid runs".into()]));
    for scenario in &section.scenarios {
        for candidate in &scenario.candidates {
            let names = [scenario.name.clone(), candidate.clone()]
                .into_iter()
                .skip(skipped);
            let figures = section.figures.iter();
            let cells = figures.map(|it| median(comparison.row(&scenario.name, candidate, it)));
            let valid = valid_runs(comparison, &scenario.name, candidate);
            table.row(names.chain(cells).chain([valid]));
        }
    }
    table
}

/// One figure of many scenarios: a row for each scenario, a column for each candidate.
pub(crate) fn by_scenario(comparison: &Comparison, figure: &Figure) -> Table {
    let sections = comparison
        .sections
        .iter()
        .filter(|one| one.figures.contains(figure));
    let scenarios: Vec<&Scenario> = sections.flat_map(|section| &section.scenarios).collect();
    let candidates = candidates_of(&scenarios);
    let head = [figure.label()].into_iter();
    let mut table = Table::new(head.chain(candidates.iter().map(|&name| name.to_owned())));
    for scenario in scenarios {
        let row = |candidate: &&str| median(comparison.row(&scenario.name, candidate, figure));
        table.row(
            [scenario.name.clone()]
                .into_iter()
                .chain(candidates.iter().map(row)),
        );
    }
    table
}

/// Who was measured in any of `scenarios`, each once.
pub(crate) fn candidates_of<'a>(scenarios: &[&'a Scenario]) -> Vec<&'a str> {
    let mut candidates: Vec<&str> = Vec::new();
    for candidate in scenarios.iter().flat_map(|scenario| &scenario.candidates) {
        if !candidates.contains(&&**candidate) {
            candidates.push(candidate);
        }
    }
    candidates
}

/// The median, marked if no run of it is valid.
fn median(row: Option<&Row>) -> String {
    match row {
        None => "-".into(),
        Some(row) if row.is_valid => digits(row.spread.median),
        Some(row) => digits(row.spread.median) + " INVALID",
    }
}

fn valid_runs(comparison: &Comparison, scenario: &str, candidate: &str) -> String {
    let runs = comparison.runs_of(scenario, candidate);
    let valid = runs.iter().filter(|run| run.is_valid()).count();
    match (valid, runs.len()) {
        (_, 0) => "not measured".into(),
        (0, all) => format!("**0 of {all}**"),
        (valid, all) => format!("{valid} of {all}"),
    }
}

fn problems(comparison: &Comparison) -> String {
    let mut lines = Vec::new();
    for run in &comparison.runs {
        let (scenario, candidate) = (&run.scenario, &run.candidate);
        let mut tell = |what: &str, why: &str| {
            let repeat = run.repeat + 1;
            lines.push(format!(
                "- {scenario}, {candidate}, repeat {repeat}: {what}: {why}\n"
            ));
        };
        run.failure.iter().for_each(|why| tell("not measured", why));
        if !run.problems.is_empty() {
            tell("INVALID", &run.problems.join("; "));
        }
        run.warnings.iter().for_each(|why| tell("warning", why));
    }
    if lines.is_empty() {
        return String::new();
    }
    format!("\n## Invalid runs and warnings\n\n{}", lines.concat())
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn many_bounds_of_one_load_are_a_row_for_each_candidate() {
        let judged = comparison(|_| {}).bounds.remove(0);
        let bounds = (0..8).map(|at| Judged {
            candidate: format!("kind-{}", at / 2),
            measure: ["p50", "p99"][at % 2].into(),
            met: at != 3,
            ..judged.clone()
        });
        let text = super::bounds(&bounds.collect::<Vec<_>>());
        assert_eq!(text.lines().count(), 6, "{text}");
        assert!(
            text.contains("p99: median (max), wanted <= 0.500x"),
            "{text}"
        );
        assert!(text.contains("0.225x (0.250)"), "{text}");
        assert_eq!(text.matches("MISSED").count(), 1, "{text}");
    }
}
