//! The limiter: what kept a run from holding, as far as its figures tell.

use record::{Limiter, Report};

/// A server that uses this much of a core may have no more: how many threads it has is not known.
const SERVER_CORES_BUSY: f64 = 0.9;

/// The generator's loop is at its limit when it works for this share of the time.
const GENERATOR_BUSY_SHARE: f64 = 0.9;

/// All that kept this run from holding, the gravest first; nothing if it held.
pub(crate) fn of(report: &Report) -> Vec<Limiter> {
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
