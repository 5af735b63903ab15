//! The result: each curve's points with what their runs come to; data.json.

use std::time::Duration;

use benches::{Host, Spread};
use serde::Serialize;

use crate::command_line::{CommandLine, Extent};
use crate::curve::{Curve, Point};
use crate::run::Run;

/// A point of one curve, over the repeats.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) curve: Curve,
    /// Which of the curve's lines it is on.
    pub(crate) line: &'static str,
    /// Where it stands on the curve.
    pub(crate) x: f64,
    #[serde(flatten)]
    pub(crate) point: Point,
    pub(crate) runs: usize,
    pub(crate) valid_runs: usize,
    /// Each of these over the valid runs; over all where none is valid. `None` where it could not be
    /// measured.
    pub(crate) p50_ms: Option<Spread>,
    pub(crate) p99_ms: Option<Spread>,
    pub(crate) cpu_us_per_delivery: Option<Spread>,
    /// F.
    pub(crate) floor_ms: Option<Spread>,
    pub(crate) floor_cpu_us_per_send: Option<Spread>,
    /// Of figures of the same repeat.
    pub(crate) p99_by_floor: Option<Spread>,
    pub(crate) cpu_by_floor: Option<Spread>,
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Scaling {
    pub(crate) command: String,
    pub(crate) host: Host,
    pub(crate) extent: Extent,
    pub(crate) repeats: u32,
    pub(crate) duration_seconds: f64,
    pub(crate) took_seconds: f64,
    /// Whether the time was over before all was measured.
    pub(crate) was_cut: bool,
    pub(crate) rows: Vec<Row>,
    pub(crate) runs: Vec<Run>,
}

impl Row {
    fn new(curve: Curve, point: Point, runs: &[Run]) -> Self {
        let all: Vec<&Run> = runs.iter().filter(|run| run.point == point).collect();
        let valid: Vec<&Run> = all.iter().copied().filter(|run| run.is_valid()).collect();
        let counted = if valid.is_empty() { &all } else { &valid };
        let spread = |figure: &dyn Fn(&Run) -> Option<f64>| {
            let values: Vec<f64> = counted.iter().filter_map(|run| figure(run)).collect();
            (!values.is_empty()).then(|| Spread::of(values))
        };
        Self {
            curve,
            line: curve.line(&point),
            x: curve.x(&point),
            point,
            runs: all.len(),
            valid_runs: valid.len(),
            p50_ms: spread(&Run::p50_ms),
            p99_ms: spread(&Run::p99_ms),
            cpu_us_per_delivery: spread(&Run::cpu_us_per_delivery),
            floor_ms: spread(&|run| Some(run.floor?.pass_ms)),
            floor_cpu_us_per_send: spread(&|run| Some(run.floor?.cpu_us_per_send)),
            p99_by_floor: spread(&|run| Some(run.p99_ms()? / run.floor?.pass_ms)),
            cpu_by_floor: spread(&|run| {
                Some(run.cpu_us_per_delivery()? / run.floor?.cpu_us_per_send)
            }),
        }
    }

    /// Whether a run of it is to be believed.
    pub(crate) const fn is_valid(&self) -> bool {
        self.valid_runs > 0
    }
}

impl Scaling {
    /// What `runs` come to.
    pub(crate) fn new(
        demand: &CommandLine,
        host: Host,
        runs: Vec<Run>,
        took: Duration,
        was_cut: bool,
    ) -> Self {
        let extent = demand.extent();
        let row = |&curve: &Curve| {
            let points = curve.points(&extent).into_iter();
            points.map(move |point| (curve, point))
        };
        let rows = demand.curves.iter().flat_map(row);
        Self {
            command: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
            host,
            repeats: demand.repeats(),
            duration_seconds: demand.duration().as_secs_f64(),
            took_seconds: took.as_secs_f64(),
            was_cut,
            rows: rows
                .map(|(curve, point)| Row::new(curve, point, &runs))
                .collect(),
            extent,
            runs,
        }
    }

    /// The curves that were measured, each once.
    pub(crate) fn curves(&self) -> Vec<Curve> {
        let mut curves: Vec<Curve> = self.rows.iter().map(|row| row.curve).collect();
        curves.dedup();
        curves
    }

    pub(crate) fn rows_of(&self, curve: Curve) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.curve == curve)
    }

    /// Whether every point has a run to be believed.
    pub(crate) fn is_valid(&self) -> bool {
        self.rows.iter().all(Row::is_valid)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use clap::Parser;

    use super::*;
    use crate::run::tests::run;

    /// The curve over the rates 10 and 1000, of two repeats: one run of 10 is invalid, all of 1000 are.
    pub(crate) fn scaling() -> Scaling {
        let demand = CommandLine::parse_from([
            "curves", "--out", "x", "--curves", "rate", "--rates", "10,1000",
        ]);
        let points = Curve::Rate.points(&demand.extent());
        let mut runs = vec![
            run(0, points[0], 50.0, 0.9),
            run(0, points[1], 300.0, 0.1),
            run(1, points[0], 70.0, 1.1),
            run(1, points[1], 400.0, 0.1),
        ];
        for at in [1, 2, 3] {
            let report = runs[at].report.as_mut().unwrap();
            report.valid = false;
            report.problems.push("the machine was busy".into());
        }
        Scaling::new(&demand, Host::this(), runs, Duration::from_secs(9), false)
    }

    #[test]
    fn figures_are_of_valid_runs_where_there_are_any() {
        let scaling = scaling();
        let [few, many] = &scaling.rows[..] else {
            panic!("two points: {:?}", scaling.rows);
        };
        assert_eq!((few.runs, few.valid_runs), (2, 1));
        assert_eq!(few.p99_ms.unwrap().median, 50.0);
        assert_eq!(few.p99_by_floor.unwrap().median, 1.25);
        assert!((few.cpu_by_floor.unwrap().median - 9.0 / 8.0).abs() < 1e-9);
        assert!(few.is_valid() && !many.is_valid() && !scaling.is_valid());
        assert_eq!(many.p99_ms.unwrap().median, 350.0);
    }
}
