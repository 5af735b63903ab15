//! The engine: carries out one run on one or several workers, and gives back the connections, still
//! warm, for a run that is to follow on them.
//!
//! A worker is a thread with an epoll loop and its share of the clients. This thread decides when a
//! phase is over, by the clock and by what the workers have counted, and shows the run to the watcher. It is
//! asleep nearly all of the time.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::thread::{self, Scope};

use super::error::RunError;
use super::observation::Observation;
use super::plan::Plan;
use super::watch::{Outcome, Watch};
use crate::host::clock::Clock;
use crate::host::refused;

mod coordinator;
mod shared;
mod worker;

use coordinator::Coordinator;
use shared::SharedState;
use worker::{Ended, WarmWorker, Worker, WorkerThread};

/// What outlives a run: the clients' connections and what serves them.
#[derive(Debug)]
pub(crate) struct Warm {
    clock: Clock,
    target: SocketAddr,
    workers: Vec<WarmWorker>,
}

impl Warm {
    /// The clients of `plan`, none of which has been started yet; they are to connect to `target`
    /// from `sources`.
    ///
    /// # Errors
    /// When the system refuses an epoll instance or a timer.
    pub(crate) fn new(
        plan: &Plan,
        target: SocketAddr,
        sources: &[IpAddr],
    ) -> Result<Self, RunError> {
        let clock = Clock::start();
        let worker = |clients: Range<u32>| {
            let share = clients.len() as f64 / f64::from(plan.clients);
            let connect_rate = plan.connect_rate.map(|rate| rate * share);
            WarmWorker::new(clock, clients, target, sources.to_vec(), connect_rate)
        };
        Ok(Self {
            clock,
            target,
            workers: plan.shares().map(worker).collect::<Result<_, _>>()?,
        })
    }
}

/// Carries out one run.
pub(crate) struct Engine<'a> {
    plan: &'a Plan,
    clock: Clock,
    target: SocketAddr,
    workers: Vec<WarmWorker>,
    /// Tells this run's messages from those of other runs.
    run: u32,
}

impl<'a> Engine<'a> {
    /// An engine for `plan`, on connections that earlier runs may have used. `run` tells its
    /// messages from those of other runs.
    pub(crate) fn new(plan: &'a Plan, warm: Warm, run: u32) -> Self {
        Self {
            plan,
            clock: warm.clock,
            target: warm.target,
            workers: warm.workers,
            run,
        }
    }

    /// Runs all phases.
    ///
    /// # Errors
    /// Whatever makes a measurement impossible, and what `watch` ends the run with.
    pub(crate) fn run(self, watch: &mut impl Watch) -> Result<(Outcome, Warm), RunError> {
        let (plan, clock, target) = (self.plan, self.clock, self.target);
        let shared = SharedState::new(self.workers.iter().map(WarmWorker::waker).collect());
        let (times, workers) = thread::scope(|scope| {
            let threads = self.start(scope, &shared);
            let mut coordinator = Coordinator::new(plan, clock, target, &shared);
            let done = match &threads {
                Ok(threads) => coordinator.run(threads, watch),
                Err(_) => Ok(()),
            };
            shared.end();
            let workers = threads?.into_iter().map(joined).collect::<Vec<_>>();
            // What ended a worker says more than that it has ended.
            let workers = workers.into_iter().collect::<Result<Vec<_>, _>>()?;
            done.map(|()| (coordinator.times(), workers))
        })?;
        let mut observations = Vec::new();
        let mut turns = Vec::new();
        let mut warm = Vec::new();
        for worker in workers {
            observations.push(worker.observation);
            turns.push(worker.turns);
            warm.push(worker.warm);
        }
        let outcome = Outcome {
            observation: Observation::join(observations, &shared.gathering()),
            turns,
            times,
        };
        let warm = Warm {
            clock,
            target,
            workers: warm,
        };
        Ok((outcome, warm))
    }

    /// Starts a thread for each worker.
    fn start<'scope, 'env>(
        self,
        scope: &'scope Scope<'scope, 'env>,
        shared: &'env SharedState,
    ) -> Result<Vec<WorkerThread<'scope>>, RunError>
    where
        'a: 'env,
    {
        let may_replace = self.workers.iter().any(WarmWorker::is_warm);
        let (plan, run) = (self.plan, self.run);
        let mut threads = Vec::new();
        for (share, warm) in (0..).zip(plan.shares()).zip(self.workers) {
            let work = move || Worker::new(plan, shared, share, warm, run, may_replace).run();
            let thread = thread::Builder::new().name(format!("worker-{}", threads.len()));
            let started = thread.spawn_scoped(scope, work);
            threads.push(started.map_err(refused("start a thread"))?);
        }
        Ok(threads)
    }
}

fn joined(thread: WorkerThread<'_>) -> Result<Ended, RunError> {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
