//! How the threads of a server reach each other: a stage that only goes forward, and for each
//! thread a bell (an eventfd) that its driver waits on beside its sockets.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};

use crate::hub::Limits;

/// Where the server stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Accepts and serves.
    Serving,
    /// Accepts nothing more; everyone is sent what it is owed, then told and closed.
    Draining,
    /// Ends at once.
    Stopped,
}

/// Shared by all threads of one server.
#[derive(Debug)]
pub(crate) struct Control {
    stage: AtomicU8,
    /// Every thread serves.
    ready: AtomicBool,
    drain_timeout: Duration,
    /// How many threads accept nothing more.
    draining: AtomicUsize,
    bells: Vec<OwnedFd>,
    desks: Vec<Desk>,
}

/// What is told to one thread beside its bell, and what it answers.
#[derive(Debug, Default)]
struct Desk {
    /// There are new limits; looked at by each bell, so that no bell has to lock.
    has_limits: AtomicBool,
    limits: Mutex<Option<Limits>>,
    /// How many bells were heard and acted on.
    answers: AtomicU64,
    /// The thread has ended in good order, and answers no more.
    ended: AtomicBool,
}

/// How often an answer is looked for. Only a reload and the watchdog wait for one: looking costs them
/// little, and the threads, which answer at each bell, nothing.
const LOOK: Duration = Duration::from_millis(2);

impl Control {
    /// For a server of `threads` threads that gives up draining after `drain_timeout`.
    pub(crate) fn new(threads: usize, drain_timeout: Duration) -> io::Result<Self> {
        let bell = |_| eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        Ok(Self {
            stage: AtomicU8::new(Stage::Serving as u8),
            ready: AtomicBool::new(false),
            drain_timeout,
            draining: AtomicUsize::new(0),
            bells: (0..threads).map(bell).collect::<Result<_, _>>()?,
            desks: (0..threads).map(|_| Desk::default()).collect(),
        })
    }

    pub(crate) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Serving,
            1 => Stage::Draining,
            _ => Stage::Stopped,
        }
    }

    /// Whether every thread has begun to serve.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Every thread has begun to serve.
    pub(crate) fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    pub(crate) fn drain_timeout(&self) -> Duration {
        self.drain_timeout
    }

    /// Moves on to `stage`, unless the server is further already, and tells all threads.
    pub(crate) fn advance(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Ordering::Release);
        self.bells.iter().for_each(ring);
    }

    /// The calling thread accepts nothing more; each says so once. The last has all of them woken.
    pub(crate) fn drains(&self) {
        let before = self.draining.fetch_add(1, Ordering::AcqRel);
        if before + 1 == self.bells.len() {
            self.bells.iter().for_each(ring);
        }
    }

    /// Whether no thread accepts anything more, so that the log has its last message.
    pub(crate) fn all_drain(&self) -> bool {
        self.draining.load(Ordering::Acquire) == self.bells.len()
    }

    /// Gives all threads other limits.
    pub(crate) fn set_limits(&self, limits: &Limits) {
        for desk in &self.desks {
            *desk.lock() = Some(limits.clone());
            desk.has_limits.store(true, Ordering::Release);
        }
        self.bells.iter().for_each(ring);
    }

    /// New limits for `thread`; once.
    pub(crate) fn take_limits(&self, thread: usize) -> Option<Limits> {
        let desk = &self.desks[thread];
        if !desk.has_limits.swap(false, Ordering::AcqRel) {
            return None;
        }
        desk.lock().take()
    }

    /// Waits until all threads that serve have taken the last limits; says whether they did `within`
    /// that time.
    pub(crate) fn limits_are_taken(&self, within: Duration) -> bool {
        let taken = |desk: &Desk| !desk.has_limits.load(Ordering::Acquire);
        self.wait_for(within, |_, desk| taken(desk))
    }

    /// `thread` heard its bell, and did what was to be done.
    pub(crate) fn answered(&self, thread: usize) {
        self.desks[thread].answers.fetch_add(1, Ordering::Release);
    }

    /// `thread` ends in good order.
    pub(crate) fn ends(&self, thread: usize) {
        self.desks[thread].ended.store(true, Ordering::Release);
    }

    /// Rings for all threads; says whether each that has not ended answers `within` that time. A thread
    /// that hangs does not.
    pub(crate) fn all_answer(&self, within: Duration) -> bool {
        let answers = |desk: &Desk| desk.answers.load(Ordering::Acquire);
        let before: Vec<u64> = self.desks.iter().map(answers).collect();
        self.bells.iter().for_each(ring);
        self.wait_for(within, |thread, desk| answers(desk) != before[thread])
    }

    fn wait_for(&self, within: Duration, done: impl Fn(usize, &Desk) -> bool) -> bool {
        let give_up = Instant::now() + within;
        let ended = |desk: &Desk| desk.ended.load(Ordering::Acquire);
        loop {
            let mut desks = self.desks.iter().enumerate();
            if desks.all(|(thread, desk)| ended(desk) || done(thread, desk)) {
                return true;
            }
            if Instant::now() >= give_up {
                return false;
            }
            thread::sleep(LOOK);
        }
    }

    /// Has `thread` look around.
    pub(crate) fn ring(&self, thread: usize) {
        ring(&self.bells[thread]);
    }

    /// Tells all threads but `thread` that the log has something for them.
    pub(crate) fn ring_others(&self, thread: usize) {
        let others = self.bells.iter().enumerate();
        others
            .filter(|&(other, _)| other != thread)
            .for_each(|(_, bell)| ring(bell));
    }

    /// Becomes readable when `thread` is to look around; [`Self::hush`] takes that back.
    pub(crate) fn bell(&self, thread: usize) -> BorrowedFd<'_> {
        self.bells[thread].as_fd()
    }

    /// Silences the bell of `thread`. What rings after this call rings anew.
    pub(crate) fn hush(&self, thread: usize) {
        // Fails only when nobody rang: then it is silent already.
        let _ = rustix::io::read(&self.bells[thread], &mut [0; 8]);
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Option<Limits>> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ring(bell: &OwnedFd) {
    // Fails only when 2^64 rings were not heard: then it rings already.
    let _ = rustix::io::write(bell, &1u64.to_ne_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, poll};

    fn rings(control: &Control, thread: usize) -> bool {
        let bell = control.bell(thread);
        let mut fds = [PollFd::new(&bell, PollFlags::IN)];
        poll(&mut fds, Some(&rustix::time::Timespec::default())).unwrap() == 1
    }

    #[test]
    fn bells_ring_until_they_are_hushed() {
        let control = Control::new(2, Duration::ZERO).unwrap();
        assert!(!rings(&control, 0) && !rings(&control, 1));
        control.ring_others(0);
        control.ring_others(0);
        assert!(!rings(&control, 0) && rings(&control, 1));
        control.hush(1);
        assert!(!rings(&control, 1));
    }

    #[test]
    fn limits_are_taken_once_by_each_thread() {
        let control = Control::new(2, Duration::ZERO).unwrap();
        assert_eq!(control.take_limits(0), None);
        control.set_limits(&Limits::default());
        assert!(rings(&control, 0) && rings(&control, 1));
        assert_eq!(control.take_limits(0), Some(Limits::default()));
        assert_eq!(control.take_limits(0), None);
        assert!(!control.limits_are_taken(Duration::ZERO));
        control.ends(1);
        assert!(control.limits_are_taken(Duration::ZERO));
    }

    #[test]
    fn a_thread_that_hangs_does_not_answer() {
        let control = Control::new(2, Duration::ZERO).unwrap();
        assert!(!control.all_answer(Duration::ZERO));
        control.hush(1);
        control.ends(0);
        let alive = || {
            let bell = control.bell(1);
            let mut fds = [PollFd::new(&bell, PollFlags::IN)];
            poll(&mut fds, None).unwrap();
            control.answered(1);
        };
        thread::scope(|scope| {
            scope.spawn(alive);
            assert!(control.all_answer(Duration::from_secs(30)));
        });
    }

    #[test]
    fn the_stage_never_goes_back() {
        let control = Control::new(1, Duration::ZERO).unwrap();
        assert_eq!(control.stage(), Stage::Serving);
        control.advance(Stage::Stopped);
        control.advance(Stage::Draining);
        assert_eq!(control.stage(), Stage::Stopped);
        assert!(rings(&control, 0));
    }
}
