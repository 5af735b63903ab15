//! One measured run: its figures, and whether they may be believed.

use std::collections::BTreeMap;

use record::Report;
use serde::{Deserialize, Serialize};

use crate::figure::{self, Figure};
use crate::spread::digits;

/// Bytes of a MiB.
pub const MIB: f64 = 1_048_576.0;

/// What one candidate did in one scenario of one repeat.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// From 0.
    pub repeat: u32,
    /// The load.
    pub scenario: String,
    /// Who was measured.
    pub candidate: String,
    /// By [`Figure::id`].
    pub figures: BTreeMap<String, f64>,
    /// Why the figures may not be believed; empty for a valid run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// What to know when reading the figures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Why nothing could be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Whether ratios and bounds leave the run out although it is valid, or take it although it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<bool>,
}

impl Run {
    /// A run of which nothing is known yet.
    #[must_use]
    pub fn new(repeat: u32, scenario: &str, candidate: &str) -> Self {
        Self {
            repeat,
            scenario: scenario.to_owned(),
            candidate: candidate.to_owned(),
            ..Self::default()
        }
    }

    /// Sets a figure, unless its value is not known or no number.
    pub fn set(&mut self, figure: &Figure, value: impl Into<Option<f64>>) {
        if let Some(value) = value.into().filter(|value: &f64| value.is_finite()) {
            self.figures.insert(figure.id.to_string(), value);
        }
    }

    /// Removes a figure that says nothing about this run.
    pub fn unset(&mut self, figure: &Figure) {
        self.figures.remove(&*figure.id);
    }

    /// The figure's value, if the run has it.
    #[must_use]
    pub fn get(&self, figure: &Figure) -> Option<f64> {
        self.figures.get(&*figure.id).copied()
    }

    /// Sets `ratio` to `figure` by `by`, where both are known.
    pub fn set_ratio(&mut self, ratio: &Figure, figure: &Figure, by: &Figure) {
        let value = self.get(figure).zip(self.get(by));
        self.set(ratio, value.map(|(value, by)| value / by));
    }

    /// Takes the figures and the verdict of the load generator's report.
    pub fn take_report(&mut self, report: &Report) {
        let (delivery, completion) = (&report.latency_ms.delivery, &report.latency_ms.completion);
        let server = &report.server;
        let share = |part: u64, of: u64| (of > 0).then(|| 100.0 * part as f64 / of as f64);
        let user_share = server.cpu_user_seconds.zip(server.cpu_seconds);
        let figures = [
            (figure::P50, delivery.p50),
            (figure::P99, delivery.p99),
            (figure::P999, delivery.p999),
            (figure::COMPLETION_P50, completion.p50),
            (figure::COMPLETION_P99, completion.p99),
            (figure::COMPLETION_P999, completion.p999),
            (figure::RATE, Some(report.rate_achieved)),
            (figure::DELIVERED, Some(report.delivered as f64)),
            (
                figure::DELIVERY_RATE,
                Some(report.deliveries_per_second / 1e6),
            ),
            (figure::LOST, share(report.lost, report.expected)),
            (
                figure::FAULTS,
                Some((report.faults() + report.unsent + report.echoed) as f64),
            ),
            (figure::CUT, Some(report.disconnects.count() as f64)),
            (figure::DRAIN, Some(report.drain_seconds)),
            (figure::CONNECT, Some(report.connect_seconds)),
            (figure::CPU_PER_DELIVERY, report.cpu_us_per_delivery()),
            (figure::USER_SHARE, user_share.map(|(user, all)| user / all)),
            (figure::CPU, server.cpu_cores),
            (
                figure::RSS,
                server.rss_peak_bytes.map(|bytes| bytes as f64 / MIB),
            ),
        ];
        for (figure, value) in figures {
            self.set(&figure, value);
        }
        if !report.valid {
            self.problems.clone_from(&report.problems);
        }
    }

    /// Whether the figures may be believed.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.problems.is_empty() && self.failure.is_none()
    }

    /// Whether ratios and bounds are of this run, too.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.counts.unwrap_or_else(|| self.is_valid())
    }

    /// The run in one line, by those of `figures` that it has.
    #[must_use]
    pub fn line(&self, figures: &[Figure]) -> String {
        let Self {
            scenario,
            candidate,
            ..
        } = self;
        if let Some(failure) = &self.failure {
            return format!("{scenario}, {candidate}: not measured: {failure}");
        }
        let shown = |figure: &Figure| {
            let value = self.get(figure)?;
            Some(format!(
                "{} {}",
                figure.name,
                with_unit(value, &figure.unit)
            ))
        };
        let shown: Vec<String> = figures.iter().filter_map(shown).take(4).collect();
        let verdict = if self.is_valid() { "" } else { ", INVALID" };
        format!("{scenario}, {candidate}: {}{verdict}", shown.join(", "))
    }
}

/// `value` with its unit: `12.3 ms`, `0.523x`, `7`.
#[must_use]
pub fn with_unit(value: f64, unit: &str) -> String {
    let digits = digits(value);
    match unit {
        "" => digits,
        "x" | "/s" => digits + unit,
        unit => format!("{digits} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_no_figure() {
        let mut run = Run::new(0, "a load", "someone");
        run.set(&figure::P99, 10.0);
        run.set(&figure::FLOOR, 0.0);
        run.set_ratio(&figure::P99_BY_FLOOR, &figure::P99, &figure::FLOOR);
        assert_eq!(run.get(&figure::P99_BY_FLOOR), None);
        assert_eq!(
            run.line(&[figure::P99, figure::P99_BY_FLOOR]),
            "a load, someone: delivery p99 10.0 ms"
        );
        run.problems.push("the machine was busy".into());
        assert!(!run.is_valid() && !run.counts());
    }
}
