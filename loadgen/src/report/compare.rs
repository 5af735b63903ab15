//! Comparing two sets of runs: each figure's median on both sides, by how much B is above A, and what
//! may be said about that with so many repeats.

use std::fmt::{self, Write};
use std::path::Path;

use record::figures::counted;
use record::printable;

use crate::host::files;
use crate::report::folder::FolderError;

mod comparison;
mod forest;
mod html;
mod shift;
mod warnings;

use comparison::{Comparison, Line, Side};
pub(crate) use shift::median;

/// Compares the runs in `b` with those in `a`: the text for the terminal. With `html`, writes the page
/// too.
///
/// # Errors
/// If a side holds no run, or the page cannot be written.
pub(crate) fn run(a: &Path, b: &Path, html: Option<&Path>) -> Result<String, FolderError> {
    let comparison = Comparison::new(Side::read(a)?, Side::read(b)?);
    if let Some(path) = html {
        files::replace(path, html::render(&comparison).as_bytes())?;
    }
    Ok(text(&comparison))
}

/// A table, and what to know about it.
fn text(comparison: &Comparison) -> String {
    let mut text = String::new();
    write(&mut text, comparison).expect("a string takes all that is written");
    printable(&text)
}

fn write(out: &mut String, comparison: &Comparison) -> fmt::Result {
    write_side(out, "A", &comparison.a)?;
    write_side(out, "B", &comparison.b)?;
    writeln!(out)?;
    writeln!(
        out,
        "{:<36}{:>9}{:>9}{:>11}{:>21}",
        "medians of the runs",
        "A",
        "B",
        "A to B",
        comparison.interval_in_words()
    )?;
    for row in &comparison.rows {
        let line = Line::new(row);
        writeln!(
            out,
            "{:<36}{:>9}{:>9}{:>11}{:>21}  {}",
            line.name, line.a, line.b, line.change, line.interval, line.said
        )?;
    }
    writeln!(out)?;
    for warning in &comparison.warnings {
        writeln!(out, "note: {warning}")?;
    }
    Ok(())
}

fn write_side(out: &mut String, name: &str, side: &Side) -> fmt::Result {
    let runs = counted(side.reports.len() as u64, "run");
    writeln!(out, "{name}  {} ({runs})", side.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::measurement::tests::measurement;

    fn side(name: &str, p99s: &[f64]) -> Side {
        let report = |p99: &f64| {
            let mut report = measurement().report;
            report.latency_ms.delivery.p99 = Some(*p99);
            report
        };
        Side {
            name: name.to_owned(),
            reports: p99s.iter().map(report).collect(),
            histograms: measurement().histograms,
        }
    }

    fn said(comparison: &Comparison, figure: &str) -> &'static str {
        let row = comparison.rows.iter().find(|row| row.figure.name == figure);
        row.unwrap().in_words()
    }

    #[test]
    fn a_difference_is_named_and_chance_is_not() {
        let a = side("a", &[10.0, 10.1, 10.2, 10.3]);
        let b = side("b", &[12.0, 12.1, 12.2, 12.3]);
        let comparison = Comparison::new(a, b);
        assert_eq!(said(&comparison, "delivery p99, ms"), "B is worse");
        assert_eq!(said(&comparison, "delivery p50, ms"), "no difference shown");
        let text = text(&comparison);
        assert!(text.contains("97 % interval"), "{text}");
    }

    #[test]
    fn three_repeats_are_told_from_four() {
        let comparison = Comparison::new(side("a", &[5.0, 5.1, 5.2]), side("b", &[4.0, 4.1, 4.2]));
        assert_eq!(said(&comparison, "delivery p99, ms"), "B may be better");
        let text = text(&comparison);
        assert!(
            text.contains("90 % interval") && text.contains("4 and 4"),
            "{text}"
        );
    }

    #[test]
    fn one_run_a_side_says_nothing_about_chance() {
        let comparison = Comparison::new(side("a", &[5.0]), side("b", &[50.0]));
        assert_eq!(said(&comparison, "delivery p99, ms"), "not known");
        let text = text(&comparison);
        assert!(text.contains("says nothing about chance"), "{text}");
    }

    #[test]
    fn the_page_holds_the_same_figures_and_loads_nothing() {
        let comparison = Comparison::new(side("a", &[5.0, 5.2]), side("b<i>", &[6.0, 6.1]));
        let page = html::render(&comparison);
        assert!(
            !page.contains("<script") && !page.contains("b<i>"),
            "{page}"
        );
        assert_eq!(page.matches("<svg").count(), 3);
        for row in &comparison.rows {
            assert!(page.contains(row.figure.name), "{}", row.figure.name);
        }
    }
}
