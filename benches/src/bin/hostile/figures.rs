//! Figures: what is read off a run, by itself or by the run of the same repeat without hostile clients.

use serde::Serialize;

use crate::case::{Case, Scenario};
use crate::run::Run;

/// A number that one run gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Figure {
    /// Median latency of deliveries to healthy clients, in milliseconds.
    P50,
    /// The 99th percentile of it, in milliseconds.
    P99,
    /// p50 beside hostile clients, by that without them in the same repeat.
    P50Ratio,
    /// p99 beside hostile clients, by that without them in the same repeat.
    P99Ratio,
    /// Peak of the server's resident memory.
    RssMib,
    /// Healthy clients that the server let go of.
    Evicted,
    /// Messages a second that the server took from the flooder.
    FloodRate,
}

impl Figure {
    /// Those that are shown of a case.
    pub(crate) const fn shown(case: Case) -> &'static [Self] {
        match (case.scenario, case.hostile) {
            (Scenario::Kinds | Scenario::Broken, None) => &[Self::P50, Self::P99],
            (Scenario::Stalled, None) => &[Self::P50, Self::P99, Self::RssMib],
            (Scenario::Flood, None) => &[Self::P50, Self::P99, Self::RssMib],
            (Scenario::Kinds | Scenario::Broken, Some(_)) => {
                &[Self::P50, Self::P99, Self::P50Ratio, Self::P99Ratio]
            }
            (Scenario::Stalled, Some(_)) => &[
                Self::P50,
                Self::P99,
                Self::P50Ratio,
                Self::P99Ratio,
                Self::RssMib,
            ],
            (Scenario::Flood, Some(_)) => &[
                Self::P50,
                Self::P99,
                Self::RssMib,
                Self::Evicted,
                Self::FloodRate,
            ],
        }
    }

    /// The figure's name in tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50, ms",
            Self::P99 => "p99, ms",
            Self::P50Ratio => "p50 with / without",
            Self::P99Ratio => "p99 with / without",
            Self::RssMib => "RSS peak, MiB",
            Self::Evicted => "healthy clients let go of",
            Self::FloodRate => "the flooder's messages/s",
        }
    }

    /// The same, with who is hostile.
    pub(crate) fn name_beside(self, case: Case) -> String {
        format!("beside {}: {}", case.name(), self.name())
    }

    /// The figure of `run`, which is one of `runs`; `None` where they do not say.
    pub(crate) fn of(self, run: &Run, runs: &[Run]) -> Option<f64> {
        let report = &run.report;
        let delivery = &report.figures.latency_ms.delivery;
        match self {
            Self::P50 => delivery.p50,
            Self::P99 => delivery.p99,
            Self::P50Ratio => Self::P50.ratio(run, runs),
            Self::P99Ratio => Self::P99.ratio(run, runs),
            Self::RssMib => {
                let bytes = report.figures.server.rss_peak_bytes?;
                Some(bytes as f64 / f64::from(1 << 20))
            }
            Self::Evicted => Some(report.departures.count() as f64),
            Self::FloodRate => run.flood_rate,
        }
    }

    fn ratio(self, run: &Run, runs: &[Run]) -> Option<f64> {
        let without = (run.repeat, run.case.without());
        let without = runs.iter().find(|it| (it.repeat, it.case) == without)?;
        Some(self.of(run, runs)? / self.of(without, runs)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Hostile;
    use crate::run::tests::run;

    #[test]
    fn ratios_are_of_one_repeat() {
        let without = Case {
            scenario: Scenario::Kinds,
            hostile: None,
        };
        let with = Case {
            hostile: Some(Hostile::Herd),
            ..without
        };
        let runs = [
            run(0, with, 30.0),
            run(0, without, 10.0),
            run(1, without, 30.0),
            run(1, with, 45.0),
        ];
        let ratios = [&runs[0], &runs[3]].map(|run| Figure::P99Ratio.of(run, &runs));
        assert_eq!(ratios, [Some(3.0), Some(1.5)]);
        assert_eq!(Figure::P99Ratio.of(&runs[0], &runs[..1]), None);
    }
}
