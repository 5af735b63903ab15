//! The state that the workers of a run share with the coordinator.
//!
//! A worker puts its counts here once a turn, under a lock of its own that hardly anybody else wants.
//! What is looked at from outside, the histograms, is copied only when it is asked for.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};

use hdrhistogram::Histogram;
use mio::Waker;
use record::Disconnects;

use crate::measure::completion::Gathering;
use crate::measure::ledger::Balance;
use crate::measure::observation::{Gathered, Traffic};
use crate::measure::phases::Phase;

/// What the workers of one run share.
#[derive(Debug)]
pub(super) struct SharedState {
    phase: AtomicUsize,
    load_ns: AtomicU64,
    over: AtomicBool,
    gathering: Mutex<Gathering>,
    slots: Vec<Slot>,
    coordinator: Thread,
}

/// Where one worker writes.
#[derive(Debug)]
struct Slot {
    counts: Mutex<Counts>,
    requested: AtomicBool,
    snapshot: Mutex<Option<Snapshot>>,
    waker: Arc<Waker>,
}

/// What one worker has counted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    /// All that was due until then has been seen to.
    pub(super) looked_ns: u64,
    /// When something was last read.
    pub(super) read_ns: u64,
    /// The phase that the rest is about; none before the first turn.
    pub(super) phase: Option<Phase>,
    /// Clients that have joined.
    pub(super) joined: u32,
    /// Whether it is only a matter of time until further clients are started.
    pub(super) is_paced: bool,
    pub(super) all_named: bool,
    pub(super) barrier_passed: bool,
    pub(super) balance: Balance,
    /// Messages that are due and not yet with the kernel.
    pub(super) waiting: u64,
    pub(super) traffic: Traffic,
}

/// What one worker shows when it is asked.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) delivery: Histogram<u64>,
    pub(super) send_lag: Histogram<u64>,
    pub(super) turns: Histogram<u64>,
    pub(super) delivered: u64,
    pub(super) disconnects: Disconnects,
}

impl SharedState {
    /// For workers that are woken by `wakers`, coordinated by this thread.
    pub(super) fn new(wakers: Vec<Arc<Waker>>) -> Self {
        Self {
            phase: AtomicUsize::new(Phase::Connect as usize),
            load_ns: AtomicU64::new(0),
            over: AtomicBool::new(false),
            gathering: Mutex::new(Gathering::new(wakers.len())),
            slots: wakers.into_iter().map(Slot::new).collect(),
            coordinator: thread::current(),
        }
    }

    /// Which phase the run is in.
    pub(super) fn phase(&self) -> Phase {
        Phase::ALL[self.phase.load(Ordering::Acquire)]
    }

    /// When the load began, from which the times of the schedule count.
    pub(super) fn load_ns(&self) -> u64 {
        self.load_ns.load(Ordering::Acquire)
    }

    /// Whether the workers are to end.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Lets the workers go on to `phase`.
    pub(super) fn enter(&self, phase: Phase, load_ns: u64) {
        self.load_ns.store(load_ns, Ordering::Release);
        self.phase.store(phase as usize, Ordering::Release);
        self.wake();
    }

    /// Ends the workers.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.wake();
    }

    /// Lets every worker have a turn.
    pub(super) fn wake(&self) {
        for slot in &self.slots {
            // An eventfd that cannot be written to is one that is full of wake-ups.
            let _ = slot.waker.wake();
        }
    }

    /// A worker's clients all have a message.
    pub(super) fn gather(&self, gathered: Gathered) {
        let Gathered { stamp, times } = gathered;
        let mut gathering = lock(&self.gathering);
        gathering.hand_over(stamp.number, stamp.intended_ns, times);
    }

    /// Where completions are put together.
    pub(super) fn gathering(&self) -> MutexGuard<'_, Gathering> {
        lock(&self.gathering)
    }

    /// Worker `number` has come so far.
    pub(super) fn publish(&self, number: u32, counts: Counts) {
        *lock(&self.slot(number).counts) = counts;
    }

    /// What each worker has counted.
    pub(super) fn counts(&self) -> impl Iterator<Item = Counts> {
        self.slots.iter().map(|slot| *lock(&slot.counts))
    }

    /// How many clients have joined.
    pub(super) fn joined(&self) -> u32 {
        self.counts().map(|counts| counts.joined).sum()
    }

    /// Asks every worker for a snapshot.
    pub(super) fn request_snapshots(&self) {
        for slot in &self.slots {
            slot.requested.store(true, Ordering::Release);
        }
        self.wake();
    }

    /// Worker `number` shows what it is requested for, if it is.
    pub(super) fn answer_request(&self, number: u32, snapshot: impl FnOnce() -> Snapshot) {
        let slot = self.slot(number);
        if slot.requested.swap(false, Ordering::AcqRel) {
            *lock(&slot.snapshot) = Some(snapshot());
            self.coordinator.unpark();
        }
    }

    fn slot(&self, number: u32) -> &Slot {
        &self.slots[number as usize]
    }

    /// Whether all workers have answered.
    pub(super) fn is_answered(&self) -> bool {
        self.slots.iter().all(|slot| lock(&slot.snapshot).is_some())
    }

    /// What the workers have shown.
    pub(super) fn snapshots(&self) -> impl Iterator<Item = Snapshot> {
        self.slots
            .iter()
            .filter_map(|slot| lock(&slot.snapshot).take())
    }
}

impl Slot {
    fn new(waker: Arc<Waker>) -> Self {
        Self {
            counts: Mutex::new(Counts::default()),
            requested: AtomicBool::new(false),
            snapshot: Mutex::new(None),
            waker,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
