//! The board: all that the lanes of a run and the thread that leads them share.
//!
//! A lane puts its counts on it once a turn, under a lock of its own that hardly anybody else wants.
//! What is looked at from outside, the histograms, is copied only when it is asked for.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};

use hdrhistogram::Histogram;
use mio::Waker;

use crate::completion::Gathering;
use crate::departures::Departures;
use crate::ledger::Balance;
use crate::observation::{Gathered, Traffic};
use crate::phases::Phase;

/// What the lanes of one run share.
#[derive(Debug)]
pub(super) struct Board {
    phase: AtomicUsize,
    load_ns: AtomicU64,
    over: AtomicBool,
    gathering: Mutex<Gathering>,
    places: Vec<Place>,
    leader: Thread,
}

/// Where one lane writes.
#[derive(Debug)]
struct Place {
    counts: Mutex<Counts>,
    asked: AtomicBool,
    sight: Mutex<Option<Sight>>,
    waker: Arc<Waker>,
}

/// What one lane has counted.
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

/// What one lane shows when it is asked.
#[derive(Debug)]
pub(super) struct Sight {
    pub(super) delivery: Histogram<u64>,
    pub(super) send_lag: Histogram<u64>,
    pub(super) turns: Histogram<u64>,
    pub(super) delivered: u64,
    pub(super) departures: Departures,
}

impl Board {
    /// For lanes that are woken by `wakers`, led by this thread.
    pub(super) fn new(wakers: Vec<Arc<Waker>>) -> Self {
        Self {
            phase: AtomicUsize::new(Phase::Connect as usize),
            load_ns: AtomicU64::new(0),
            over: AtomicBool::new(false),
            gathering: Mutex::new(Gathering::new(wakers.len())),
            places: wakers.into_iter().map(Place::new).collect(),
            leader: thread::current(),
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

    /// Whether the lanes are to end.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Lets the lanes go on to `phase`.
    pub(super) fn enter(&self, phase: Phase, load_ns: u64) {
        self.load_ns.store(load_ns, Ordering::Release);
        self.phase.store(phase as usize, Ordering::Release);
        self.wake();
    }

    /// Ends the lanes.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.wake();
    }

    /// Lets every lane have a turn.
    pub(super) fn wake(&self) {
        for place in &self.places {
            // An eventfd that cannot be written to is one that is full of wake-ups.
            let _ = place.waker.wake();
        }
    }

    /// A lane's clients all have a message.
    pub(super) fn gather(&self, gathered: Gathered) {
        let Gathered { stamp, times } = gathered;
        let mut gathering = lock(&self.gathering);
        gathering.hand_over(stamp.number, stamp.intended_ns, times);
    }

    /// Where completions are put together.
    pub(super) fn gathering(&self) -> MutexGuard<'_, Gathering> {
        lock(&self.gathering)
    }

    /// Lane `number` has come so far.
    pub(super) fn tell(&self, number: u32, counts: Counts) {
        *lock(&self.place(number).counts) = counts;
    }

    /// What each lane has counted.
    pub(super) fn counts(&self) -> impl Iterator<Item = Counts> {
        self.places.iter().map(|place| *lock(&place.counts))
    }

    /// How many clients have joined.
    pub(super) fn joined(&self) -> u32 {
        self.counts().map(|counts| counts.joined).sum()
    }

    /// Asks every lane for a sight.
    pub(super) fn ask(&self) {
        for place in &self.places {
            place.asked.store(true, Ordering::Release);
        }
        self.wake();
    }

    /// Lane `number` shows what it is asked for, if it is.
    pub(super) fn show(&self, number: u32, sight: impl FnOnce() -> Sight) {
        let place = self.place(number);
        if place.asked.swap(false, Ordering::AcqRel) {
            *lock(&place.sight) = Some(sight());
            self.leader.unpark();
        }
    }

    fn place(&self, number: u32) -> &Place {
        &self.places[number as usize]
    }

    /// Whether all lanes have shown what they were asked for.
    pub(super) fn is_shown(&self) -> bool {
        self.places.iter().all(|place| lock(&place.sight).is_some())
    }

    /// What the lanes have shown.
    pub(super) fn sights(&self) -> impl Iterator<Item = Sight> {
        self.places
            .iter()
            .filter_map(|place| lock(&place.sight).take())
    }
}

impl Place {
    fn new(waker: Arc<Waker>) -> Self {
        Self {
            counts: Mutex::new(Counts::default()),
            asked: AtomicBool::new(false),
            sight: Mutex::new(None),
            waker,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
