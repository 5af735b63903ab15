//! The coordinator of a run: decides which phase it is in, by the clock and by what the workers have
//! counted, and shows it to the watcher.
//!
//! A phase that ends by the clock ends when every worker has seen to all that was due by then, so that
//! a worker that is late is not taken for one that has nothing to do.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use record::Disconnects;

use super::shared::{Counts, SharedState, Snapshot};
use super::worker::WorkerThread;
use crate::host::clock::{Clock, GAP_MAX, MILLISECOND_NS, SECOND_NS, nanoseconds};
use crate::measure::error::RunError;
use crate::measure::latency::empty_histogram;
use crate::measure::ledger::Balance;
use crate::measure::observation::Traffic;
use crate::measure::phases::{Facts, Phase, Phases};
use crate::measure::plan::Plan;
use crate::measure::watch::{Status, Times, Watch, Wish};

/// How often the run is looked at from outside.
const TICK_NS: u64 = 200 * MILLISECOND_NS;

/// How soon the end of a phase is noticed that does not end by the clock.
const NOTICE_NS: u64 = MILLISECOND_NS;

/// Leads the workers through one run.
pub(super) struct Coordinator<'a> {
    plan: &'a Plan,
    clock: Clock,
    target: SocketAddr,
    shared: &'a SharedState,
    phases: Phases,
    next_tick_ns: u64,
    /// When it last had a turn.
    turned_ns: u64,
    began_ns: u64,
    /// When a client last joined.
    joined_ns: u64,
    joined: u32,
    backlog_at_end: u64,
    /// When the measured time was over.
    measured_ns: Option<u64>,
    cut_short: bool,
    drained_ns: u64,
}

impl<'a> Coordinator<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        clock: Clock,
        target: SocketAddr,
        shared: &'a SharedState,
    ) -> Self {
        let began_ns = clock.now_ns();
        Self {
            plan,
            clock,
            target,
            shared,
            phases: Phases::new(plan),
            next_tick_ns: 0,
            turned_ns: began_ns,
            began_ns,
            joined_ns: began_ns,
            joined: 0,
            backlog_at_end: 0,
            measured_ns: None,
            cut_short: false,
            drained_ns: 0,
        }
    }

    /// Goes through all phases, or until a worker ends.
    ///
    /// # Errors
    /// When clients cannot join, and what `watch` ends the run with.
    pub(super) fn run(
        &mut self,
        workers: &[WorkerThread<'_>],
        watch: &mut impl Watch,
    ) -> Result<(), RunError> {
        let has_ended = || workers.iter().any(WorkerThread::is_finished);
        watch.entered(&self.status(&has_ended));
        while self.phases.now_in() != Phase::Done {
            if has_ended() {
                return Ok(());
            }
            self.excuse_gap();
            let totals = self.totals();
            self.look_at_joining(&totals, &has_ended)?;
            if self.advance(&totals) {
                watch.entered(&self.status(&has_ended));
                continue;
            }
            let now_ns = self.clock.now_ns();
            if now_ns >= self.next_tick_ns {
                self.next_tick_ns = now_ns + TICK_NS;
                let wish = watch.tick(&self.status(&has_ended))?;
                if wish == Wish::CutShort && self.phases.now_in() == Phase::Measure {
                    self.cut_short();
                    watch.entered(&self.status(&has_ended));
                }
            }
            self.sleep();
        }
        while !has_ended() && !watch.is_settled(self.totals().traffic) {
            thread::park_timeout(Duration::from_nanos(NOTICE_NS));
        }
        Ok(())
    }

    /// What the run took, when it is over.
    pub(super) fn times(&self) -> Times {
        let drain_ns = self
            .measured_ns
            .map_or(0, |measured_ns| self.drained_ns.saturating_sub(measured_ns));
        let planned_ns = nanoseconds(self.plan.measure.duration);
        let measured_ns = match (self.cut_short, self.measured_ns) {
            (true, Some(ended_ns)) => ended_ns - self.phases.load_ns() - self.phases.warmup_ns(),
            _ => planned_ns,
        };
        Times {
            completed: self.measured_ns.is_some(),
            cut_short: self.cut_short,
            measured_seconds: measured_ns.max(MILLISECOND_NS) as f64 / SECOND_NS as f64,
            backlog_at_end: self.backlog_at_end,
            connect_seconds: (self.joined_ns - self.began_ns) as f64 / SECOND_NS as f64,
            drain_seconds: drain_ns as f64 / SECOND_NS as f64,
        }
    }

    /// Prolongs what is waited for by the time in which this process did not run.
    fn excuse_gap(&mut self) {
        let now_ns = self.clock.now_ns();
        let before_ns = std::mem::replace(&mut self.turned_ns, now_ns);
        let gap_ns = (now_ns - before_ns).saturating_sub(nanoseconds(GAP_MAX));
        self.phases.excuse(gap_ns);
        self.joined_ns += gap_ns;
    }

    /// Ends the measured time now.
    fn cut_short(&mut self) {
        let now_ns = self.clock.now_ns();
        self.cut_short = true;
        self.phases.cut_short(now_ns);
        self.shared.enter(Phase::Drain, self.phases.load_ns());
        self.measured_ns = Some(now_ns);
        self.backlog_at_end = self.totals().owed();
    }

    fn sleep(&self) {
        let now_ns = self.clock.now_ns();
        let by_the_clock = match self.phases.now_in() {
            Phase::WarmUp | Phase::Measure => self.phases.ends_ns(),
            Phase::Connect | Phase::Drain | Phase::Mark | Phase::Done => None,
        };
        // A phase whose end has passed waits for the workers.
        let wake_ns = match by_the_clock {
            Some(ends_ns) if ends_ns > now_ns => ends_ns.min(self.next_tick_ns),
            _ => now_ns + NOTICE_NS,
        };
        thread::park_timeout(Duration::from_nanos(wake_ns.saturating_sub(now_ns)));
    }

    /// Gives up when none joins any more.
    fn look_at_joining(
        &mut self,
        totals: &Totals,
        has_ended: &impl Fn() -> bool,
    ) -> Result<(), RunError> {
        if self.phases.now_in() != Phase::Connect {
            return Ok(());
        }
        let now_ns = self.clock.now_ns();
        if totals.joined > self.joined {
            self.joined_ns = now_ns;
        }
        self.joined = totals.joined;
        let timeout_ns = nanoseconds(self.plan.connect_timeout);
        if !totals.is_paced && now_ns - self.joined_ns > timeout_ns {
            return Err(RunError::JoinTimeout {
                joined: self.joined,
                clients: self.plan.connections(),
                what: match self.plan.publishers {
                    0 => "clients",
                    _ => "clients and publishers",
                },
                waited: self.plan.connect_timeout,
                said: self.said(has_ended),
                target: self.target,
            });
        }
        Ok(())
    }

    /// Goes on to the next phase if it is time; says whether it was.
    fn advance(&mut self, totals: &Totals) -> bool {
        let now_ns = self.clock.now_ns();
        let phase = self.phases.now_in();
        let ended = |ends_ns| ends_ns <= now_ns && totals.looked_ns < ends_ns;
        if self.phases.ends_ns().is_some_and(ended) {
            self.shared.wake();
            return false;
        }
        if totals.phase != Some(phase) {
            return false;
        }
        let facts = Facts {
            present: u32::try_from(totals.balance.present).unwrap_or(u32::MAX),
            barrier_passed: totals.barrier_passed,
            all_named: totals.all_named,
            owed: totals.owed(),
        };
        let Some(next) = self.phases.advance(now_ns, facts) else {
            return false;
        };
        self.shared.enter(next, self.phases.load_ns());
        match next {
            Phase::WarmUp => {
                self.joined = self.plan.connections();
                self.joined_ns = now_ns;
            }
            Phase::Drain => {
                self.measured_ns = Some(now_ns);
                self.backlog_at_end = facts.owed;
            }
            Phase::Mark if facts.owed == 0 => self.drained_ns = totals.read_ns,
            Phase::Mark => self.drained_ns = now_ns,
            Phase::Connect | Phase::Measure | Phase::Done => {}
        }
        true
    }

    fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for counts in self.shared.counts() {
            totals.add(&counts);
        }
        totals
    }

    /// How the run is getting on.
    fn status(&self, has_ended: &impl Fn() -> bool) -> Status {
        let snapshots = self.snapshots(has_ended);
        let totals = self.totals();
        let mut status = Status {
            now_ns: self.clock.now_ns(),
            phase: self.phases.now_in(),
            phase_ends_ns: self.phases.ends_ns(),
            joined: totals.joined,
            delivered: 0,
            owed: totals.owed(),
            delivery: empty_histogram(),
            send_lag: empty_histogram(),
            turns: empty_histogram(),
        };
        for snapshot in snapshots {
            status.add(&snapshot);
        }
        status
    }

    /// What the server has said to the clients.
    fn said(&self, has_ended: &impl Fn() -> bool) -> String {
        let mut disconnects = Disconnects::default();
        for snapshot in self.snapshots(has_ended) {
            disconnects.add(&snapshot.disconnects);
        }
        disconnects.quoted()
    }

    /// What the workers show: all of them, unless one has ended.
    fn snapshots(&self, has_ended: &impl Fn() -> bool) -> Vec<Snapshot> {
        self.shared.request_snapshots();
        while !self.shared.is_answered() && !has_ended() {
            thread::park_timeout(Duration::from_nanos(TICK_NS));
        }
        self.shared.snapshots().collect()
    }
}

impl Status {
    fn add(&mut self, snapshot: &Snapshot) {
        let added = [
            self.delivery.add(&snapshot.delivery),
            self.send_lag.add(&snapshot.send_lag),
            self.turns.add(&snapshot.turns),
        ];
        assert!(
            added.iter().all(Result::is_ok),
            "a histogram that resizes itself takes every value"
        );
        self.delivered += snapshot.delivered;
    }
}

/// What all workers have counted together.
#[derive(Debug)]
struct Totals {
    looked_ns: u64,
    read_ns: u64,
    /// The earliest that any worker is in; none before all have begun.
    phase: Option<Phase>,
    joined: u32,
    is_paced: bool,
    all_named: bool,
    barrier_passed: bool,
    balance: Balance,
    waiting: u64,
    traffic: Traffic,
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            looked_ns: u64::MAX,
            read_ns: 0,
            phase: Some(Phase::Done),
            joined: 0,
            is_paced: false,
            all_named: true,
            barrier_passed: true,
            balance: Balance::default(),
            waiting: 0,
            traffic: Traffic::default(),
        }
    }
}

impl Totals {
    fn add(&mut self, counts: &Counts) {
        self.looked_ns = self.looked_ns.min(counts.looked_ns);
        self.read_ns = self.read_ns.max(counts.read_ns);
        // `None` comes before every phase.
        self.phase = self.phase.min(counts.phase);
        self.joined += counts.joined;
        self.is_paced |= counts.is_paced;
        self.all_named &= counts.all_named;
        self.barrier_passed &= counts.barrier_passed;
        self.balance.add(&counts.balance);
        self.waiting += counts.waiting;
        self.traffic.add(&counts.traffic);
    }

    /// What is still owed: deliveries to those present, and messages on their way to the kernel.
    fn owed(&self) -> u64 {
        self.balance.outstanding() + self.waiting
    }
}
