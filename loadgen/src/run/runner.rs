//! The runner: carries out the runs of a campaign against one server, on connections that it keeps
//! warm from run to run.

use std::net::{IpAddr, SocketAddr};

use super::campaign;
use super::error::Error;
use super::monitor::Monitor;
use crate::hostile::{HostileClients, HostilePlan};
use crate::measure::engine::{Engine, Warm};
use crate::measure::error::RunError;
use crate::measure::plan::Plan;
use crate::report::measurement::{Measurement, Surroundings, add_server_view};

/// What all runs have in common.
#[derive(Debug)]
pub(crate) struct WarmRunner {
    pub(crate) target: SocketAddr,
    pub(crate) sources: Vec<IpAddr>,
    /// The hostile clients of every run, if there are any.
    pub(crate) hostile: Option<HostilePlan>,
    pub(crate) surroundings: Surroundings,
    pub(crate) monitor: Monitor,
    /// The connections that the last run left; none before the first, and after one that failed.
    pub(crate) warm: Option<Warm>,
}

impl campaign::Runner for WarmRunner {
    fn run(&mut self, plan: &Plan) -> Result<Measurement, Error> {
        let was_warm = self.warm.is_some();
        match self.run_once(plan) {
            // A server that the last run had overwhelmed may never answer on these connections.
            Err(Error::Run(RunError::JoinTimeout { .. })) if was_warm => self.run_once(plan),
            ended => ended,
        }
    }

    fn say(&self, text: &str) {
        self.monitor.remark(text);
    }
}

impl WarmRunner {
    fn run_once(&mut self, plan: &Plan) -> Result<Measurement, Error> {
        let warm = match self.warm.take() {
            Some(warm) => warm,
            None => Warm::new(plan, self.target, &self.sources)?,
        };
        let hostile = self.hostile.clone().map(|hostile| {
            let identity = plan.identity(0).of_strangers(rand::random());
            HostileClients::start(hostile, self.target, identity)
        });
        self.monitor.begin_run(hostile.transpose()?);
        let engine = Engine::new(plan, warm, rand::random());
        let (outcome, warm) = engine.run(&mut self.monitor)?;
        self.warm = Some(warm);
        let server_view = self.monitor.server_view(&outcome.observation);
        let hostile = self.monitor.hostile_outcomes();
        let surroundings = self.surroundings.clone();
        let watched = self.monitor.watched();
        let mut measurement = Measurement::new(plan, &outcome, watched, surroundings);
        measurement.report.hostile = hostile;
        add_server_view(&mut measurement.report, server_view);
        Ok(measurement)
    }
}
