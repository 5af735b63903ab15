//! Bounds: what the healthy may feel, each judged by the median over the repeats.

use benches::Spread;
use clap::ValueEnum;
use serde::Serialize;

use crate::broken::Broken;
use crate::case::{Case, Hostile, LOG_BYTES, Scenario};
use crate::figures::Figure;
use crate::run::Run;

/// A figure beside hostile clients, and the most that it may be.
#[derive(Debug, Clone, Copy)]
struct Bound {
    case: Case,
    figure: Figure,
    at_most: f64,
}

/// A bound, and what was measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Judged {
    #[serde(flatten)]
    pub(crate) case: Case,
    pub(crate) figure: Figure,
    /// Who is hostile, and which figure, in words.
    pub(crate) name: String,
    pub(crate) at_most: f64,
    /// Over the repeats.
    pub(crate) measured: Spread,
    pub(crate) is_met: bool,
}

/// Latencies beside hostile clients of any kind, by those without them.
const RATIO_MAX: f64 = 2.0;

/// The same at the main load, beside a tenth as many that never read.
const STALLED_RATIO_MAX: f64 = 1.3;

/// What the server may take beside its log, in MiB.
const RSS_BESIDE_LOG_MIB: f64 = 32.0;

/// What the polite may wait beside a flooder, in milliseconds.
const FLOOD_P99_MAX_MS: f64 = 1000.0;

/// Judges what was measured.
pub(crate) fn judge(runs: &[Run]) -> Vec<Judged> {
    all().iter().filter_map(|bound| bound.judge(runs)).collect()
}

fn all() -> Vec<Bound> {
    let bound = |scenario, hostile, figure, at_most| Bound {
        case: Case {
            scenario,
            hostile: Some(hostile),
        },
        figure,
        at_most,
    };
    let ratios = |scenario, hostile| {
        let figures = [Figure::P50Ratio, Figure::P99Ratio];
        figures.map(|figure| bound(scenario, hostile, figure, RATIO_MAX))
    };
    let of_stalled = |figure, at_most| bound(Scenario::Stalled, Hostile::Stalled, figure, at_most);
    let of_flood = |figure, at_most| bound(Scenario::Flood, Hostile::Flooder, figure, at_most);
    let rss_max = LOG_BYTES as f64 / f64::from(1 << 20) + RSS_BESIDE_LOG_MIB;
    let kinds = Hostile::KINDS.into_iter();
    let broken = Broken::value_variants().iter().copied();
    let mut all: Vec<Bound> = kinds
        .flat_map(|kind| ratios(Scenario::Kinds, kind))
        .chain(broken.flat_map(|kind| ratios(Scenario::Broken, Hostile::Broken(kind))))
        .collect();
    all.extend([
        of_stalled(Figure::P99Ratio, STALLED_RATIO_MAX),
        of_stalled(Figure::RssMib, rss_max),
        of_flood(Figure::P99, FLOOD_P99_MAX_MS),
        of_flood(Figure::RssMib, rss_max),
        of_flood(Figure::Evicted, 0.0),
    ]);
    all
}

impl Bound {
    /// `None` when what it speaks of was not measured.
    fn judge(&self, runs: &[Run]) -> Option<Judged> {
        let of_case = runs.iter().filter(|run| run.case == self.case);
        let values: Vec<f64> = of_case
            .filter_map(|run| self.figure.of(run, runs))
            .collect();
        if values.is_empty() {
            return None;
        }
        let measured = Spread::of(values);
        Some(Judged {
            case: self.case,
            figure: self.figure,
            name: self.figure.name_beside(self.case),
            at_most: self.at_most,
            measured,
            is_met: measured.median <= self.at_most,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::tests::run;

    #[test]
    fn the_median_of_the_repeats_decides() {
        let with = Case {
            scenario: Scenario::Stalled,
            hostile: Some(Hostile::Stalled),
        };
        let runs = |p99s: [f64; 3]| -> Vec<Run> {
            let pair = |(repeat, p99)| [run(repeat, with.without(), 10.0), run(repeat, with, p99)];
            (0..).zip(p99s).flat_map(pair).collect()
        };
        let judged = judge(&runs([90.0, 12.0, 13.0]));
        assert_eq!(judged.len(), 2, "{judged:?}");
        assert!(judged[0].is_met && judged[1].is_met, "{judged:?}");
        let judged = judge(&runs([90.0, 12.0, 14.0]));
        assert_eq!(judged[0].measured.median, 1.4);
        assert!(!judged[0].is_met, "{judged:?}");
    }
}
