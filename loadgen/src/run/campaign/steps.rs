//! The steps of a campaign, as the report lists them.

use record::{Found, Judged, Limiter, Report, Spread, Step, Steps};
use serde_json::Value;

use crate::report::compare::median;
use crate::report::measurement::figure;
use crate::run::search::Search;

/// A server that uses this much of a core may have no more: how many threads it has is not known.
const SERVER_CORES_BUSY: f64 = 0.9;

/// The generator's loop is at its limit when it works for this share of the time.
const GENERATOR_BUSY_SHARE: f64 = 0.9;

/// The figures whose spread is told, by the names they have in the JSON.
const FIGURES: [&str; 13] = [
    "latency_ms.delivery.p50",
    "latency_ms.delivery.p99",
    "latency_ms.delivery.p999",
    "latency_ms.delivery.max",
    "latency_ms.completion.p50",
    "latency_ms.completion.p99",
    "latency_ms.send_lag.p99",
    "rate_achieved",
    "deliveries_per_second",
    "drain_seconds",
    "server.cpu_cores",
    "generator.cpu_cores",
    "server.rss_peak_bytes",
];

/// The figures of one run.
pub(super) fn step(report: &Report) -> Step {
    Step {
        rate_requested: report.rate_requested,
        rate_achieved: report.rate_achieved,
        deliveries_per_second: report.deliveries_per_second,
        seed: report.seed,
        held: report.held(),
        valid: report.valid,
        problems: report.problems.clone(),
        slo: report.slo.clone(),
        lost: report.lost,
        backlog_at_end: report.backlog_at_end,
        delivery: report.latency_ms.delivery,
        completion: report.latency_ms.completion,
        server_cpu_cores: report.server.cpu_cores,
        generator_cpu_cores: report.generator.consumption.cpu_cores,
        generator_busy_share: report.generator.busy_share,
        limiters: limiters(report),
    }
}

/// The place of the fastest step that held.
pub(super) fn fastest_held(steps: &Steps) -> Option<usize> {
    let held = steps.steps.iter().enumerate().filter(|(_, step)| step.held);
    held.max_by(|(_, a), (_, b)| a.rate_requested.total_cmp(&b.rate_requested))
        .map(|(at, _)| at)
}

/// The place of the slowest valid step, or of the slowest if none is valid: what is not to be believed
/// says less than a broken objective.
pub(super) fn slowest(steps: &Steps) -> Option<usize> {
    let slowness = |step: &Step| (!step.valid, step.rate_requested);
    let steps = steps.steps.iter().enumerate();
    steps
        .min_by(|(_, a), (_, b)| {
            let (a, b) = (slowness(a), slowness(b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        })
        .map(|(at, _)| at)
}

/// The problems of all steps, each with the number of its step.
pub(super) fn problems(steps: &Steps) -> Vec<String> {
    let of = steps.steps.len();
    (1..)
        .zip(&steps.steps)
        .flat_map(|(number, step): (usize, &Step)| {
            let numbered = move |problem| format!("run {number} of {of}: {problem}");
            step.problems.iter().map(numbered)
        })
        .collect()
}

/// Each condition as it was in the worst step: broken if it was broken in any.
pub(super) fn worst_slo(steps: &Steps) -> Vec<Judged> {
    let conditions = steps.steps.first().map_or(0, |step| step.slo.len());
    (0..conditions)
        .filter_map(|at| {
            let judged = || steps.steps.iter().filter_map(|step| step.slo.get(at));
            judged().find(|one| !one.held).or(judged().next()).cloned()
        })
        .collect()
}

/// The result of a search.
pub(super) fn found(search: &Search, steps: &[Step]) -> Found {
    let rate = search.held();
    let below = steps
        .iter()
        .filter(|step| step.held && rate.is_some_and(|rate| step.rate_requested < rate))
        .map(|step| step.rate_requested)
        .max_by(f64::total_cmp);
    let above = search.failed();
    let at_neighbour = |step: &&Step| {
        !step.held && above.is_some_and(|above| above.total_cmp(&step.rate_requested).is_eq())
    };
    let limiters = steps.iter().find(at_neighbour).map_or_else(
        || above.map(|_| Limiter::Refused).into_iter().collect(),
        |step| step.limiters.clone(),
    );
    Found {
        rate,
        neighbour_below: below,
        neighbour_above: above,
        limiters,
    }
}

/// All that kept this run from holding, the gravest first; nothing if it held.
fn limiters(report: &Report) -> Vec<Limiter> {
    if report.held() {
        return Vec::new();
    }
    let broken = report.slo.iter().filter(|judged| !judged.held);
    let mut limiters = Vec::new();
    if report.faults() + report.disconnects.count() > 0 {
        limiters.push(Limiter::Loss);
    }
    if let Some(cores) = report.server.cpu_cores
        && cores >= SERVER_CORES_BUSY
    {
        limiters.push(Limiter::ServerCpu(cores));
    }
    if report.generator.busy_share >= GENERATOR_BUSY_SHARE {
        limiters.push(Limiter::GeneratorCpu(report.generator.busy_share));
    }
    limiters.extend(broken.map(|judged| Limiter::Slo(judged.to_string())));
    if limiters.is_empty() {
        limiters.extend(report.problems.first().cloned().map(Limiter::Other));
    }
    limiters
}

/// The spread of every figure that at least one of the runs has.
pub(super) fn spread<'a>(reports: impl Iterator<Item = &'a Report>) -> Vec<Spread> {
    let runs: Vec<Value> = reports
        .filter_map(|report| serde_json::to_value(report).ok())
        .collect();
    FIGURES
        .iter()
        .filter_map(|figure| spread_of(figure, &runs))
        .collect()
}

fn spread_of(place: &str, runs: &[Value]) -> Option<Spread> {
    let values = runs.iter().filter_map(|run| figure(run, place)?.as_f64());
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    Some(Spread {
        figure: place.to_owned(),
        min: *values.first()?,
        max: *values.last()?,
        median: median(&values),
        runs: values.len(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_median_lies_between_the_extremes() {
        let runs = [3.0, 1.0, 8.0, 2.0].map(|rate| json!({ "rate_achieved": rate }));
        let odd = spread_of("rate_achieved", &runs[..3]).unwrap();
        assert_eq!((odd.min, odd.median, odd.max, odd.runs), (1.0, 3.0, 8.0, 3));
        assert_eq!(spread_of("rate_achieved", &runs).unwrap().median, 2.5);
    }

    #[test]
    fn runs_that_do_not_know_a_figure_are_left_out() {
        let runs = [json!({"server": {"cpu_cores": null}}), json!({})];
        assert_eq!(spread_of("server.cpu_cores", &runs), None);
    }
}
