//! The comparison: both sides, and what may be said of each figure.

use std::path::Path;

use record::Report;
use record::figures::milliseconds;

use super::shift::{self, Finding, Shift};
use super::warnings;
use crate::measure::histograms::Histograms;
use crate::measure::latency::Kind;
use crate::report::folder::{self, FolderError};

/// A figure that every report has, or may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) higher_is_better: bool,
    pub(super) of: fn(&Report) -> Option<f64>,
}

/// All of them, in the order in which they are shown.
pub(super) const FIGURES: [Figure; 11] = [
    lower("delivery p50, ms", |report| report.latency_ms.delivery.p50),
    lower("delivery p99, ms", |report| report.latency_ms.delivery.p99),
    lower("delivery p99.9, ms", |report| {
        report.latency_ms.delivery.p999
    }),
    lower("from the actual send p99, ms", |report| {
        report.latency_ms.delivery_from_send.p99
    }),
    lower("last receiver p50, ms", |report| {
        report.latency_ms.completion.p50
    }),
    lower("last receiver p99, ms", |report| {
        report.latency_ms.completion.p99
    }),
    lower("send lag p99, ms", |report| report.latency_ms.send_lag.p99),
    Figure {
        name: "deliveries/s",
        higher_is_better: true,
        of: |report| Some(report.deliveries_per_second),
    },
    lower("server CPU per delivery, us", server_cpu_us),
    lower("server memory peak, MiB", |report| {
        let bytes = report.server.rss_peak_bytes?;
        Some(bytes as f64 / 1_048_576.0)
    }),
    lower("generator user CPU per delivery, ns", |report| {
        report.generator.user_ns_per_delivery
    }),
];

/// One side: its repeats.
pub(super) struct Side {
    pub(super) name: String,
    pub(super) reports: Vec<Report>,
    /// The samples of all its runs.
    pub(super) histograms: Histograms,
}

/// A figure on both sides.
pub(super) struct Row {
    pub(super) figure: Figure,
    /// Medians of the runs.
    pub(super) a: f64,
    pub(super) b: f64,
    /// `None` where a figure is zero.
    pub(super) shift: Option<Shift>,
}

/// A row as it is shown.
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) a: String,
    pub(super) b: String,
    pub(super) change: String,
    pub(super) interval: String,
    pub(super) said: &'static str,
}

/// All that is to be said.
pub(super) struct Comparison {
    pub(super) a: Side,
    pub(super) b: Side,
    pub(super) rows: Vec<Row>,
    /// Why to be careful.
    pub(super) warnings: Vec<String>,
}

impl Side {
    pub(super) fn read(folder: &Path) -> Result<Self, FolderError> {
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
    pub(super) fn new(a: Side, b: Side) -> Self {
        let rows = FIGURES.into_iter();
        Self {
            rows: rows.filter_map(|figure| Row::new(figure, &a, &b)).collect(),
            warnings: warnings::all(&a.reports, &b.reports, FIGURES.len()),
            a,
            b,
        }
    }

    /// What the intervals hold, in words.
    pub(super) fn interval_in_words(&self) -> String {
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
    pub(super) fn new(figure: Figure, a: &Side, b: &Side) -> Option<Self> {
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
    pub(super) fn in_words(&self) -> &'static str {
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

impl Line {
    pub(super) fn new(row: &Row) -> Self {
        Self {
            name: row.figure.name,
            a: milliseconds(Some(row.a)),
            b: milliseconds(Some(row.b)),
            change: row
                .shift
                .map_or_else(|| "-".into(), |shift| change(shift.ratio)),
            interval: interval(row),
            said: row.in_words(),
        }
    }
}

/// A ratio as a change in percent.
pub(super) fn change(ratio: f64) -> String {
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

const fn lower(name: &'static str, of: fn(&Report) -> Option<f64>) -> Figure {
    Figure {
        name,
        higher_is_better: false,
        of,
    }
}

fn server_cpu_us(report: &Report) -> Option<f64> {
    let seconds = report.server.cpu_seconds?;
    (report.delivered > 0).then(|| seconds * 1e6 / report.delivered as f64)
}
