//! One measured run: its figures, and whether they may be believed; and the spread of many.

use std::collections::BTreeMap;

use record::Report;
use serde::{Deserialize, Serialize};

use crate::figure::{self, Figure, P99};

/// Bytes of a MiB.
pub(crate) const MIB: f64 = 1_048_576.0;

/// The kernel counts a process' CPU time in steps of 10 ms: less than this in all says nothing about a
/// delivery.
const CPU_SECONDS_MIN: f64 = 0.05;

/// What one candidate did in one scenario of one repeat.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// From 0.
    pub(crate) repeat: u32,
    pub(crate) scenario: String,
    pub(crate) candidate: String,
    /// By [`Figure::id`].
    pub(crate) figures: BTreeMap<String, f64>,
    /// Why the figures may not be believed; empty for a valid run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) problems: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<String>,
    /// Why nothing could be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<String>,
    /// Whether ratios and bounds leave the run out although it is valid, or take it although it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) counts: Option<bool>,
}

impl Run {
    #[cfg(test)]
    pub(crate) fn new(repeat: u32, scenario: &str, candidate: &str) -> Self {
        Self {
            repeat,
            scenario: scenario.to_owned(),
            candidate: candidate.to_owned(),
            ..Self::default()
        }
    }

    /// Sets a figure, unless its value is not known or no number.
    pub(crate) fn set(&mut self, figure: &Figure, value: impl Into<Option<f64>>) {
        if let Some(value) = value.into().filter(|value: &f64| value.is_finite()) {
            self.figures.insert(figure.id.to_string(), value);
        }
    }

    pub(crate) fn unset(&mut self, figure: &Figure) {
        self.figures.remove(&*figure.id);
    }

    pub(crate) fn get(&self, figure: &Figure) -> Option<f64> {
        self.figures.get(&*figure.id).copied()
    }

    /// Sets `ratio` to `figure` by `by`, where both are known.
    pub(crate) fn set_ratio(&mut self, ratio: &Figure, figure: &Figure, by: &Figure) {
        let value = self.get(figure).zip(self.get(by));
        self.set(ratio, value.map(|(value, by)| value / by));
    }

    /// Takes the figures and the verdict of the load generator's report.
    pub(crate) fn take_report(&mut self, report: &Report) {
        let found = report.steps.as_ref().and_then(|steps| steps.found.as_ref());
        if let Some(found) = found {
            // A search ends with a step that breaks what it demands.
            self.set(&figure::HIGHEST_RATE, found.rate.unwrap_or(0.0));
            return;
        }
        let (delivery, completion) = (&report.latency_ms.delivery, &report.latency_ms.completion);
        let server = &report.server;
        let share = |part: Option<f64>, of: Option<f64>| Some(part? / of?);
        let faults = report.faults() + report.unsent + report.echoed;
        let rss = server.rss_peak_bytes.map(|bytes| bytes as f64 / MIB);
        let lost = 100.0 * report.lost as f64 / report.expected as f64;
        let user_share = share(server.cpu_user_seconds, server.cpu_seconds);
        let is_enough = |_: &f64| server.cpu_seconds.is_some_and(|it| it >= CPU_SECONDS_MIN);
        let cpu_per_delivery = report.cpu_us_per_delivery().filter(is_enough);
        let (generator, delivered) = (&report.generator, report.delivered as f64);
        let reads = generator.reads as f64;
        let own_cpu = generator.consumption.cpu_seconds;
        for (figure, value) in [
            (figure::P50, delivery.p50),
            (P99, delivery.p99),
            (figure::P999, delivery.p999),
            (figure::COMPLETION_P50, completion.p50),
            (figure::COMPLETION_P99, completion.p99),
            (figure::COMPLETION_P999, completion.p999),
            (figure::RATE, Some(report.rate_achieved)),
            (figure::DELIVERED, Some(delivered)),
            (
                figure::DELIVERY_RATE,
                Some(report.deliveries_per_second / 1e6),
            ),
            (figure::LOST, Some(lost)),
            (figure::FAULTS, Some(faults as f64)),
            (figure::CUT, Some(report.disconnects.count() as f64)),
            (figure::DRAIN, Some(report.drain_seconds)),
            (figure::CONNECT, Some(report.connect_seconds)),
            (figure::CPU_PER_DELIVERY, cpu_per_delivery),
            (figure::USER_SHARE, user_share),
            (figure::CPU, server.cpu_cores),
            (figure::RSS, rss),
            (figure::USER_NS_PER_DELIVERY, generator.user_ns_per_delivery),
            (
                figure::NS_PER_SEGMENT,
                own_cpu.map(|seconds| seconds * 1e9 / reads),
            ),
            (figure::DELIVERIES_PER_SEGMENT, Some(delivered / reads)),
        ] {
            self.set(&figure, value);
        }
        if !report.valid {
            self.problems.clone_from(&report.problems);
        }
    }

    /// Whether the figures may be believed.
    pub(crate) fn is_valid(&self) -> bool {
        self.problems.is_empty() && self.failure.is_none()
    }

    /// Whether figures, ratios and bounds are of this run, too.
    pub(crate) fn counts(&self) -> bool {
        self.counts.unwrap_or_else(|| self.is_valid())
    }

    /// The run in one line.
    pub(crate) fn line(&self) -> String {
        let told = match (&self.failure, self.get(&P99)) {
            (Some(why), _) => format!("not measured: {why}"),
            (None, Some(p99)) => format!("{} {}", P99.name, with_unit(p99, &P99.unit)),
            (None, None) => "measured".into(),
        };
        let mark = self.problems.first().map_or("", |_| ", INVALID");
        format!("{}, {}: {told}{mark}", self.scenario, self.candidate)
    }
}

/// `value` with its unit: `12.3 ms`, `0.523x`, `7`.
pub(crate) fn with_unit(value: f64, unit: &str) -> String {
    let digits = digits(value);
    match unit {
        "" | "x" | "/s" => digits + unit,
        unit => format!("{digits} {unit}"),
    }
}

/// Minimum, median and maximum.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// The spread of `values`, in any order; `None` without a value.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let (below, above) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        let median = f64::midpoint(below, above);
        Some(Self { min, median, max })
    }
}

/// `value` with three significant digits: `1234`, `12.3`, `1.23`, `0.123`.
pub(crate) fn digits(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::{P50, RATE};

    #[test]
    fn what_is_no_number_is_no_figure() {
        let mut run = Run::new(0, "a load", "someone");
        run.set(&P99, 10.0);
        run.set(&P50, 0.0);
        run.set_ratio(&RATE, &P99, &P50);
        assert_eq!(run.get(&RATE), None);
        assert_eq!(run.line(), "a load, someone: delivery p99 10.0 ms");
        run.problems.push("the machine was busy".into());
        assert!(!run.is_valid() && !run.counts());
    }

    #[test]
    fn the_median_is_a_value_or_between_two() {
        let of = |values: &[f64]| {
            let it = Spread::of(values.iter().copied()).unwrap();
            [it.min, it.median, it.max]
        };
        assert_eq!(of(&[5.0, 1.0, 4.0, 2.0, 3.0]), [1.0, 3.0, 5.0]);
        assert_eq!(of(&[1.0, 2.0, 3.0, 4.0]), [1.0, 2.5, 4.0]);
        assert_eq!(of(&[7.0]), [7.0; 3]);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn three_digits_are_shown() {
        let shown = [1234.5, 12.345, 1.2345, 0.12345, 0.0].map(digits);
        assert_eq!(shown, ["1234", "12.3", "1.23", "0.123", "0"]);
    }
}
