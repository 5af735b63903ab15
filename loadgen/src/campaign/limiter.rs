//! The limiter: what kept a run from holding, as far as its figures tell.

use serde::{Deserialize, Serialize};

use crate::report::Report;

/// A server that uses this much of a core may have no more: how many threads it has is not known.
const SERVER_CORES_BUSY: f64 = 0.9;

/// The generator's loop is at its limit when it works for this share of the time.
const GENERATOR_BUSY_SHARE: f64 = 0.9;

/// What limits a rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Limiter {
    /// Deliveries or clients were lost, or arrived otherwise than they should.
    Loss,
    /// The server had at least about one core's worth of work, this many cores.
    ServerCpu(f64),
    /// The load generator's loop worked nearly all of the time, this share of it.
    GeneratorCpu(f64),
    /// A condition was broken, in words.
    Slo(String),
    /// Nothing of these; the first problem, in words.
    Other(String),
    /// The load generator refused to try more.
    Refused,
}

/// All that kept this run from holding, the gravest first; nothing if it held.
pub(crate) fn of(report: &Report) -> Vec<Limiter> {
    let broken: Vec<_> = report.slo.iter().filter(|judged| !judged.held).collect();
    if report.valid && broken.is_empty() {
        return Vec::new();
    }
    let mut limiters = Vec::new();
    let faults = report.lost + report.duplicated + report.reordered + report.corrupt;
    if faults + report.departures.count() > 0 {
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
    limiters.extend(broken.iter().map(|judged| Limiter::Slo(judged.to_string())));
    if limiters.is_empty() {
        limiters.extend(report.problems.first().cloned().map(Limiter::Other));
    }
    limiters
}
