//! One measured run: its figures, and whether they may be believed.

use std::collections::BTreeMap;

use record::Report;
use serde::{Deserialize, Serialize};

use crate::figure::{
    COMPLETION_P50, COMPLETION_P99, COMPLETION_P999, CONNECT, CPU, CPU_PER_DELIVERY, CUT,
    DELIVERED, DELIVERIES_PER_SEGMENT, DELIVERY_RATE, DRAIN, FAULTS, Figure, HIGHEST_RATE, LOST,
    NS_PER_SEGMENT, P50, P99, P999, RATE, RSS, USER_NS_PER_DELIVERY, USER_SHARE,
};
use crate::spread::digits;

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
            self.set(&HIGHEST_RATE, found.rate.unwrap_or(0.0));
            return;
        }
        let (delivery, completion) = (&report.latency_ms.delivery, &report.latency_ms.completion);
        let server = &report.server;
        let share = |part: Option<f64>, of: Option<f64>| Some(part? / of?);
        let faults = report.faults() + report.unsent + report.echoed;
        let rss = server.rss_peak_bytes.map(|bytes| bytes as f64 / MIB);
        let lost = 100.0 * report.lost as f64 / report.expected as f64;
        let user_share = share(server.cpu_user_seconds, server.cpu_seconds);
        let is_known = server
            .cpu_seconds
            .is_some_and(|seconds| seconds >= CPU_SECONDS_MIN);
        let cpu_per_delivery = report.cpu_us_per_delivery().filter(|_| is_known);
        let generator = &report.generator;
        let reads = generator.reads as f64;
        let own_cpu = generator.consumption.cpu_seconds;
        for (figure, value) in [
            (P50, delivery.p50),
            (P99, delivery.p99),
            (P999, delivery.p999),
            (COMPLETION_P50, completion.p50),
            (COMPLETION_P99, completion.p99),
            (COMPLETION_P999, completion.p999),
            (RATE, Some(report.rate_achieved)),
            (DELIVERED, Some(report.delivered as f64)),
            (DELIVERY_RATE, Some(report.deliveries_per_second / 1e6)),
            (LOST, Some(lost)),
            (FAULTS, Some(faults as f64)),
            (CUT, Some(report.disconnects.count() as f64)),
            (DRAIN, Some(report.drain_seconds)),
            (CONNECT, Some(report.connect_seconds)),
            (CPU_PER_DELIVERY, cpu_per_delivery),
            (USER_SHARE, user_share),
            (CPU, server.cpu_cores),
            (RSS, rss),
            (USER_NS_PER_DELIVERY, generator.user_ns_per_delivery),
            (NS_PER_SEGMENT, own_cpu.map(|seconds| seconds * 1e9 / reads)),
            (
                DELIVERIES_PER_SEGMENT,
                Some(report.delivered as f64 / reads),
            ),
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

    /// The run in one line, by the first of `figures` that it has.
    pub(crate) fn line(&self, figures: &[Figure]) -> String {
        let shown = |figure: &Figure| {
            let value = with_unit(self.get(figure)?, &figure.unit);
            Some(format!("{} {value}", figure.name))
        };
        let shown: Vec<String> = figures.iter().filter_map(shown).take(4).collect();
        let told = match &self.failure {
            Some(failure) => format!("not measured: {failure}"),
            None if self.is_valid() => shown.join(", "),
            None => shown.join(", ") + ", INVALID",
        };
        format!("{}, {}: {told}", self.scenario, self.candidate)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_no_figure() {
        let mut run = Run::new(0, "a load", "someone");
        run.set(&P99, 10.0);
        run.set(&P50, 0.0);
        run.set_ratio(&RATE, &P99, &P50);
        assert_eq!(
            run.line(&[P99, RATE]),
            "a load, someone: delivery p99 10.0 ms"
        );
        run.problems.push("the machine was busy".into());
        assert!(!run.is_valid() && !run.counts());
    }
}
