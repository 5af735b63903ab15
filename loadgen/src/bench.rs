//! The bench: carries out the runs of a campaign against one server, on connections that it keeps
//! warm from run to run.

use std::net::{IpAddr, SocketAddr};

use crate::campaign;
use crate::engine::{Engine, Warm};
use crate::error::Error;
use crate::misbehaviour::{Cast, Crowd};
use crate::monitor::Monitor;
use crate::plan::Plan;
use crate::record::Record;
use crate::report::Surroundings;

/// What all runs have in common.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) target: SocketAddr,
    pub(crate) sources: Vec<IpAddr>,
    /// Who misbehaves in every run, if anybody does.
    pub(crate) cast: Option<Cast>,
    pub(crate) surroundings: Surroundings,
    pub(crate) monitor: Monitor,
    /// The connections that the last run left; none before the first, and after one that failed.
    pub(crate) warm: Option<Warm>,
}

impl campaign::Bench for Bench {
    fn run(&mut self, plan: &Plan) -> Result<Record, Error> {
        let was_warm = self.warm.is_some();
        match self.run_once(plan) {
            // A server that the last run had overwhelmed may never answer on these connections.
            Err(Error::JoinTimeout { .. }) if was_warm => self.run_once(plan),
            ended => ended,
        }
    }

    fn say(&self, text: &str) {
        self.monitor.remark(text);
    }
}

impl Bench {
    fn run_once(&mut self, plan: &Plan) -> Result<Record, Error> {
        let warm = match self.warm.take() {
            Some(warm) => warm,
            None => self.connect(plan)?,
        };
        let crowd = self
            .cast
            .clone()
            .map(|cast| Crowd::start(cast, self.target, plan));
        self.monitor.begin_run(crowd.transpose()?);
        let engine = Engine::new(plan, warm, rand::random());
        let (outcome, warm) = engine.run(&mut self.monitor)?;
        self.warm = Some(warm);
        let server_view = self.monitor.server_view(&outcome.observation);
        let fates = self.monitor.fates();
        let surroundings = self.surroundings.clone();
        let mut record = Record::new(plan, &outcome, &mut self.monitor, surroundings);
        record.report.misbehaviour = fates;
        record.report.add_server_view(server_view);
        Ok(record)
    }

    fn connect(&self, plan: &Plan) -> Result<Warm, Error> {
        Warm::new(plan, self.target, &self.sources)
    }
}
