//! The steps of a campaign, as the report lists them.

use record::{Found, Judged, Limiter, Report, Step, Steps};

use super::limiter;
use crate::run::search::Search;

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
        limiters: limiter::of(report),
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
