//! The engine: carries out one run on one or several lanes, and gives back the connections, still
//! warm, for a run that is to follow on them.
//!
//! A lane is a thread with an epoll loop and its share of the clients. This thread decides when a
//! phase is over, by the clock and by what the lanes put on the board, and shows the run to whoever
//! watches it. It is asleep nearly all of the time.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::thread::{self, Scope};

use hdrhistogram::Histogram;

use crate::clock::Clock;
use crate::error::Error;
use crate::observation::{Observation, Traffic};
use crate::phases::Phase;
use crate::plan::Plan;
use crate::turns::Turns;

mod board;
mod course;
mod lane;

use board::Board;
use course::Course;
pub(crate) use course::Times;
use lane::{Ended, Lane, LaneThread, WarmLane};

/// Looks at a run from outside, and may end it.
pub(crate) trait Watch {
    /// A phase has begun.
    fn entered(&mut self, status: &Status);
    /// Time has passed.
    fn tick(&mut self, status: &Status) -> Result<(), Error>;
    /// The run is over: whether what may still come need not be waited for.
    fn is_settled(&mut self, traffic: Traffic) -> bool;
}

/// How a run is getting on.
#[derive(Debug)]
pub(crate) struct Status {
    pub(crate) now_ns: u64,
    pub(crate) phase: Phase,
    /// When the phase ends by the clock, if it does.
    pub(crate) phase_ends_ns: Option<u64>,
    /// How many clients have joined.
    pub(crate) joined: u32,
    /// Deliveries so far, the warm-up's included.
    pub(crate) delivered: u64,
    /// What is still owed to those present, or has yet to be sent.
    pub(crate) owed: u64,
    /// Measured deliveries so far, from the intended time.
    pub(crate) delivery: Histogram<u64>,
    /// Of measured messages so far.
    pub(crate) send_lag: Histogram<u64>,
    /// Turns of all lanes so far.
    pub(crate) turns: Histogram<u64>,
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) observation: Observation,
    /// Of each lane.
    pub(crate) turns: Vec<Turns>,
    pub(crate) times: Times,
}

/// What outlives a run: the clients' connections and what serves them.
#[derive(Debug)]
pub(crate) struct Warm {
    clock: Clock,
    target: SocketAddr,
    lanes: Vec<WarmLane>,
}

impl Warm {
    /// The clients of `plan`, none of which has been started yet; they are to connect to `target`
    /// from `sources`.
    ///
    /// # Errors
    /// When the system refuses an epoll instance or a timer.
    pub(crate) fn new(plan: &Plan, target: SocketAddr, sources: &[IpAddr]) -> Result<Self, Error> {
        let clock = Clock::start();
        let lane = |clients: Range<u32>| {
            let share = clients.len() as f64 / f64::from(plan.clients);
            let connect_rate = plan.connect_rate.map(|rate| rate * share);
            WarmLane::new(clock, clients, target, sources.to_vec(), connect_rate)
        };
        Ok(Self {
            clock,
            target,
            lanes: plan.shares().map(lane).collect::<Result<_, _>>()?,
        })
    }
}

/// Carries out one run.
pub(crate) struct Engine<'a> {
    plan: &'a Plan,
    clock: Clock,
    target: SocketAddr,
    lanes: Vec<WarmLane>,
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
            lanes: warm.lanes,
            run,
        }
    }

    /// Runs all phases.
    ///
    /// # Errors
    /// Whatever makes a measurement impossible, and what `watch` ends the run with.
    pub(crate) fn run(self, watch: &mut impl Watch) -> Result<(Outcome, Warm), Error> {
        let (plan, clock, target) = (self.plan, self.clock, self.target);
        let board = Board::new(self.lanes.iter().map(WarmLane::waker).collect());
        let (times, lanes) = thread::scope(|scope| {
            let threads = self.start(scope, &board);
            let mut course = Course::new(plan, clock, target, &board);
            let done = match &threads {
                Ok(threads) => course.run(threads, watch),
                Err(_) => Ok(()),
            };
            board.end();
            let lanes = threads?.into_iter().map(joined).collect::<Vec<_>>();
            // What ended a lane says more than that it has ended.
            let lanes = lanes.into_iter().collect::<Result<Vec<_>, _>>()?;
            done.map(|()| (course.times(), lanes))
        })?;
        let mut observations = Vec::new();
        let mut turns = Vec::new();
        let mut warm = Vec::new();
        for lane in lanes {
            observations.push(lane.observation);
            turns.push(lane.turns);
            warm.push(lane.warm);
        }
        let outcome = Outcome {
            observation: Observation::join(observations, &board.gathering()),
            turns,
            times,
        };
        let warm = Warm {
            clock,
            target,
            lanes: warm,
        };
        Ok((outcome, warm))
    }

    /// Starts a thread for each lane.
    fn start<'scope, 'env>(
        self,
        scope: &'scope Scope<'scope, 'env>,
        board: &'env Board,
    ) -> Result<Vec<LaneThread<'scope>>, Error>
    where
        'a: 'env,
    {
        let may_replace = self.lanes.iter().any(WarmLane::is_warm);
        let (plan, run) = (self.plan, self.run);
        let mut threads = Vec::new();
        for (share, warm) in (0..).zip(plan.shares()).zip(self.lanes) {
            let work = move || Lane::new(plan, board, share, warm, run, may_replace).run();
            let thread = thread::Builder::new().name(format!("lane-{}", threads.len()));
            let started = thread.spawn_scoped(scope, work);
            threads.push(started.map_err(Error::system("start a thread"))?);
        }
        Ok(threads)
    }
}

fn joined(thread: LaneThread<'_>) -> Result<Ended, Error> {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
