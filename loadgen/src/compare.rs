//! Comparing two sets of runs: each figure's median on both sides, by how much B is above A, and what
//! may be said about that with so many repeats.

use std::fs;
use std::path::Path;

use crate::error::Error;
use crate::folder;
use crate::histograms::{Histograms, Kind};
use crate::report::Report;

mod doubts;
mod figures;
mod forest;
mod html;
mod shift;
mod text;

use figures::Figure;
use shift::{Finding, Shift};

/// One side: its repeats.
struct Side {
    name: String,
    reports: Vec<Report>,
    /// The samples of all its runs.
    histograms: Histograms,
}

/// A figure on both sides.
struct Row {
    figure: Figure,
    /// Medians of the runs.
    a: f64,
    b: f64,
    /// `None` where a figure is zero.
    shift: Option<Shift>,
}

/// All that is to be said.
struct Comparison {
    a: Side,
    b: Side,
    rows: Vec<Row>,
    /// Why to be careful.
    doubts: Vec<String>,
}

/// Compares the runs in `b` with those in `a`: the text for the terminal. With `html`, writes the page
/// too.
///
/// # Errors
/// If a side holds no run, or the page cannot be written.
pub(crate) fn run(a: &Path, b: &Path, html: Option<&Path>) -> Result<String, Error> {
    let comparison = Comparison::new(Side::read(a)?, Side::read(b)?);
    if let Some(path) = html {
        fs::write(path, html::render(&comparison)).map_err(|error| Error::Output {
            path: path.to_owned(),
            error,
        })?;
    }
    Ok(text::render(&comparison))
}

impl Side {
    fn read(folder: &Path) -> Result<Self, Error> {
        let (mut reports, mut histograms) = (Vec::new(), Histograms::empty());
        for run in folder::runs(folder)? {
            let record = folder::read(&run)?;
            for kind in Kind::ALL {
                histograms.add(kind, record.histograms.get(kind));
            }
            reports.push(record.report);
        }
        Ok(Self {
            name: folder.display().to_string(),
            reports,
            histograms,
        })
    }

    fn figures(&self, figure: Figure) -> Vec<f64> {
        let mut figures: Vec<_> = self.reports.iter().filter_map(figure.of).collect();
        figures.sort_by(f64::total_cmp);
        figures
    }
}

impl Comparison {
    fn new(a: Side, b: Side) -> Self {
        let rows = figures::ALL.into_iter();
        Self {
            rows: rows.filter_map(|figure| Row::new(figure, &a, &b)).collect(),
            doubts: doubts::all(&a, &b),
            a,
            b,
        }
    }

    /// What the intervals hold, in words.
    fn interval_in_words(&self) -> String {
        let interval = self
            .rows
            .iter()
            .find_map(|row| row.shift.and_then(|shift| shift.interval));
        match interval {
            Some(interval) => format!("{:.0} % interval", interval.confidence * 100.0),
            None => "no interval".to_owned(),
        }
    }
}

impl Row {
    /// `None` where a side does not know the figure.
    fn new(figure: Figure, a: &Side, b: &Side) -> Option<Self> {
        let (of_a, of_b) = (a.figures(figure), b.figures(figure));
        if of_a.is_empty() || of_b.is_empty() {
            return None;
        }
        Some(Self {
            figure,
            a: shift::median(&of_a),
            b: shift::median(&of_b),
            shift: Shift::of(&of_a, &of_b),
        })
    }

    fn finding(&self) -> Finding {
        self.shift.map_or(Finding::Unknown, |shift| shift.finding())
    }

    /// What may be said.
    fn in_words(&self) -> &'static str {
        let is_higher = self.shift.is_some_and(|shift| shift.ratio > 1.0);
        let is_better = is_higher == self.figure.higher_is_better;
        match self.finding() {
            Finding::Differs if is_better => "B is better",
            Finding::Differs => "B is worse",
            Finding::MayDiffer if is_better => "B may be better",
            Finding::MayDiffer => "B may be worse",
            Finding::NotShown => "no difference shown",
            Finding::Unknown => "not known",
        }
    }
}

/// A ratio as a change in percent.
fn change(ratio: f64) -> String {
    format!("{:+.1} %", (ratio - 1.0) * 100.0)
}

/// An interval as changes in percent; empty without one.
fn interval(row: &Row) -> String {
    let interval = row.shift.and_then(|shift| shift.interval);
    interval.map_or_else(String::new, |interval| {
        let percent = |ratio: f64| (ratio - 1.0) * 100.0;
        format!(
            "{:+.1} .. {:+.1} %",
            percent(interval.low),
            percent(interval.high)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::record;

    fn side(name: &str, p99s: &[f64]) -> Side {
        let report = |p99: &f64| {
            let mut report = record().report;
            report.latency_ms.delivery.p99 = Some(*p99);
            report
        };
        Side {
            name: name.to_owned(),
            reports: p99s.iter().map(report).collect(),
            histograms: record().histograms,
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
        let text = text::render(&comparison);
        assert!(text.contains("97 % interval"), "{text}");
    }

    #[test]
    fn three_repeats_are_told_from_four() {
        let comparison = Comparison::new(side("a", &[5.0, 5.1, 5.2]), side("b", &[4.0, 4.1, 4.2]));
        assert_eq!(said(&comparison, "delivery p99, ms"), "B may be better");
        let text = text::render(&comparison);
        assert!(
            text.contains("90 % interval") && text.contains("4 and 4"),
            "{text}"
        );
    }

    #[test]
    fn one_run_a_side_says_nothing_about_chance() {
        let comparison = Comparison::new(side("a", &[5.0]), side("b", &[50.0]));
        assert_eq!(said(&comparison, "delivery p99, ms"), "not known");
        let text = text::render(&comparison);
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
