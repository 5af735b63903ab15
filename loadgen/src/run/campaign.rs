//! A campaign: several runs from one command. Repeats of one rate, a sweep over several, or the
//! search for the highest that holds.
//!
//! A run that cannot be made ends the campaign; what was measured before it is reported all the same.
//!
//! One of its runs is reported in full: of repeats the one with the median p99, else the fastest
//! that held. All are listed beside it.

use record::{Goal, Steps};

use super::args::RunArgs;
use super::error::Error;
use super::search::Search;
use super::slo::Slo;
use super::sweep::Sweep;
use crate::measure::error::RunError;
use crate::measure::plan::Plan;
use crate::report::measurement::Measurement;

mod steps;

/// Carries out one run of a plan.
pub(crate) trait Runner {
    /// # Errors
    /// Whatever makes a measurement impossible.
    fn run(&mut self, plan: &Plan) -> Result<Measurement, Error>;
    /// Tells a person what came of it.
    fn say(&self, text: &str);
}

/// What a campaign came to.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The run to be reported.
    pub(crate) measurement: Measurement,
    /// What ended the campaign before its time, if anything did.
    pub(crate) failure: Option<Error>,
}

/// Carries out what the flags ask for.
///
/// # Errors
/// Whatever made the first run impossible.
pub(crate) fn carry_out(
    plan: &Plan,
    flags: &RunArgs,
    runner: &mut impl Runner,
) -> Result<Finished, Error> {
    let mut campaign = Campaign {
        slos: &flags.slo,
        runner,
        measurements: Vec::new(),
        failure: None,
    };
    if let Some(sweep) = &flags.sweep {
        campaign.sweep(plan, sweep)
    } else if flags.find_max {
        campaign.find_max(plan)
    } else if flags.repeat > 1 {
        campaign.repeat(plan, flags.repeat)
    } else {
        campaign.run(plan).map(|measurement| Finished {
            measurement,
            failure: None,
        })
    }
}

struct Campaign<'a, R> {
    slos: &'a [Slo],
    runner: &'a mut R,
    measurements: Vec<Measurement>,
    failure: Option<Error>,
}

impl<R: Runner> Campaign<'_, R> {
    /// One run, judged.
    fn run(&mut self, plan: &Plan) -> Result<Measurement, Error> {
        let mut measurement = self.runner.run(plan)?;
        let report = &mut measurement.report;
        if !self.slos.is_empty() {
            let figures = serde_json::to_value(&*report).unwrap_or_default();
            report.slo = self
                .slos
                .iter()
                .flat_map(|slo| slo.judge(&figures))
                .collect();
        }
        Ok(measurement)
    }

    /// One run among others; whether it held. `None` if it could not be made and those before it are
    /// all there will be.
    fn step(&mut self, plan: &Plan) -> Result<Option<bool>, Error> {
        let measurement = match self.run(plan) {
            // It is no step like the others.
            Ok(cut) if cut.report.cut_short && !self.measurements.is_empty() => {
                self.failure = Some(RunError::Interrupted.into());
                return Ok(None);
            }
            Ok(measurement) => measurement,
            Err(error) if self.measurements.is_empty() => return Err(error),
            Err(error) => {
                self.failure = Some(error);
                return Ok(None);
            }
        };
        let step = steps::step(&measurement.report);
        self.runner.say(&step.to_string());
        let is_last = measurement.report.cut_short;
        self.measurements.push(measurement);
        if is_last {
            self.failure = Some(RunError::Interrupted.into());
            return Ok(None);
        }
        Ok(Some(step.held))
    }

    fn repeat(mut self, plan: &Plan, times: u32) -> Result<Finished, Error> {
        for repeat in 0..times {
            let plan = plan.with_seed(plan.seed.wrapping_add(repeat.into()));
            if self.step(&plan)?.is_none() {
                break;
            }
        }
        let mut order: Vec<usize> = (0..self.measurements.len()).collect();
        let p99 = |at: &usize| self.measurements[*at].report.latency_ms.delivery.p99;
        order.sort_by(|a, b| p99(a).unwrap_or(0.0).total_cmp(&p99(b).unwrap_or(0.0)));
        let chosen = order[order.len() / 2];
        let mut steps = self.steps(Goal::Repeat);
        steps.spread = steps::spread(
            self.measurements
                .iter()
                .map(|measurement| &measurement.report),
        );
        let mut measurement = self.measurements[chosen].clone();
        measurement.runs = self.measurements;
        // A fault in any of the repeats is a fault of the whole.
        let report = &mut measurement.report;
        report.problems = steps::problems(&steps);
        report.valid = report.problems.is_empty();
        report.slo = steps::worst_slo(&steps);
        report.steps = Some(steps);
        Ok(Finished {
            measurement,
            failure: self.failure,
        })
    }

    fn sweep(mut self, plan: &Plan, sweep: &Sweep) -> Result<Finished, Error> {
        let plans = sweep.rates.iter().map(|&rate| plan.at_rate(rate));
        let plans: Vec<Plan> = plans.collect::<Result<_, _>>()?;
        for plan in &plans {
            if self.step(plan)?.is_none() {
                break;
            }
        }
        let steps = self.steps(Goal::Sweep);
        Ok(self.report_fastest(steps))
    }

    fn find_max(mut self, plan: &Plan) -> Result<Finished, Error> {
        let mut search = Search::new(plan.rate);
        while let Some(rate) = search.next() {
            let held = match plan.at_rate(rate) {
                Ok(plan) => match self.step(&plan)? {
                    Some(held) => held,
                    None => break,
                },
                // The first rate is what the user asked for. A later one that is refused is beyond
                // what the generator can do.
                Err(refusal) if self.measurements.is_empty() => return Err(refusal.into()),
                Err(refusal) => {
                    self.runner.say(&format!("not tried: {refusal}"));
                    false
                }
            };
            search.record(rate, held);
        }
        let mut steps = self.steps(Goal::FindMax);
        steps.found = Some(steps::found(&search, &steps.steps));
        Ok(self.report_fastest(steps))
    }

    fn steps(&self, goal: Goal) -> Steps {
        Steps {
            goal,
            steps: self
                .measurements
                .iter()
                .map(|measurement| steps::step(&measurement.report))
                .collect(),
            spread: Vec::new(),
            found: None,
            ended_by: self.failure.as_ref().map(ToString::to_string),
        }
    }

    /// The fastest run that held. If none did, the slowest valid one, or the slowest.
    fn report_fastest(mut self, steps: Steps) -> Finished {
        let fastest = steps::fastest_held(&steps)
            .or(steps::slowest(&steps))
            .unwrap_or(0);
        let mut measurement = self.measurements.swap_remove(fastest);
        measurement.report.steps = Some(steps);
        Finished {
            measurement,
            failure: self.failure,
        }
    }
}
