//! The steps of a campaign, as the report lists them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::limiter::{self, Limiter};
use super::spread::Spread;
use crate::latency::Percentiles;
use crate::report::Report;
use crate::search::Search;
use crate::slo::Judged;

/// What a campaign is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    Repeat,
    Sweep,
    FindMax,
}

/// All runs of a campaign, in the order they were made in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Steps {
    pub(crate) goal: Goal,
    pub(crate) steps: Vec<Step>,
    /// Of repeats: how far they lie apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) spread: Vec<Spread>,
    /// Of a search: what it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) found: Option<Found>,
    /// Why there are no more of them, if more were to follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ended_by: Option<String>,
}

/// The figures of one run that a table of several has room for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) rate_requested: f64,
    pub(crate) rate_achieved: f64,
    pub(crate) deliveries_per_second: f64,
    pub(crate) seed: u64,
    /// Valid, and every condition of --slo held.
    pub(crate) held: bool,
    pub(crate) valid: bool,
    pub(crate) problems: Vec<String>,
    pub(crate) slo: Vec<Judged>,
    pub(crate) lost: u64,
    pub(crate) backlog_at_end: u64,
    /// In milliseconds.
    pub(crate) delivery: Percentiles,
    pub(crate) completion: Percentiles,
    pub(crate) server_cpu_cores: Option<f64>,
    pub(crate) generator_cpu_cores: Option<f64>,
    pub(crate) generator_busy_share: f64,
    /// What kept it from holding.
    pub(crate) limiters: Vec<Limiter>,
}

/// What a search came to, with its neighbours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Found {
    /// The highest rate that held; `None` if none did.
    pub(crate) rate: Option<f64>,
    /// The highest rate below it that was tried and held.
    pub(crate) neighbour_below: Option<f64>,
    /// The lowest rate that did not hold.
    pub(crate) neighbour_above: Option<f64>,
    /// What kept the neighbour above from holding, the gravest first.
    pub(crate) limiters: Vec<Limiter>,
}

impl Step {
    pub(super) fn of(report: &Report) -> Self {
        Self {
            rate_requested: report.rate_requested,
            rate_achieved: report.rate_achieved,
            deliveries_per_second: report.deliveries_per_second,
            seed: report.seed,
            held: report.valid && report.slo.iter().all(|judged| judged.held),
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
}

impl Steps {
    /// The place of the fastest step that held.
    pub(super) fn fastest_held(&self) -> Option<usize> {
        let held = self.steps.iter().enumerate().filter(|(_, step)| step.held);
        held.max_by(|(_, a), (_, b)| a.rate_requested.total_cmp(&b.rate_requested))
            .map(|(at, _)| at)
    }

    /// The place of the slowest step.
    pub(super) fn slowest(&self) -> Option<usize> {
        let steps = self.steps.iter().enumerate();
        steps
            .min_by(|(_, a), (_, b)| a.rate_requested.total_cmp(&b.rate_requested))
            .map(|(at, _)| at)
    }

    /// The problems of all steps, each with the number of its step.
    pub(super) fn problems(&self) -> Vec<String> {
        let of = self.steps.len();
        (1..)
            .zip(&self.steps)
            .flat_map(|(number, step): (usize, &Step)| {
                let numbered = move |problem| format!("run {number} of {of}: {problem}");
                step.problems.iter().map(numbered)
            })
            .collect()
    }

    /// Each condition as it was in the worst step: broken if it was broken in any.
    pub(super) fn worst_slo(&self) -> Vec<Judged> {
        let conditions = self.steps.first().map_or(0, |step| step.slo.len());
        (0..conditions)
            .filter_map(|at| {
                let judged = || self.steps.iter().filter_map(|step| step.slo.get(at));
                judged().find(|one| !one.held).or(judged().next()).cloned()
            })
            .collect()
    }
}

impl Found {
    pub(super) fn of(search: &Search, steps: &[Step]) -> Self {
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
        Self {
            rate,
            neighbour_below: below,
            neighbour_above: above,
            limiters,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Repeat => "repeats",
            Self::Sweep => "sweep",
            Self::FindMax => "search for the highest rate",
        })
    }
}
