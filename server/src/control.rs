//! How the threads of a server reach each other: a stage that only goes forward, and for each
//! thread a bell (an eventfd) that its driver waits on beside its sockets.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};

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
}

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
    fn the_stage_never_goes_back() {
        let control = Control::new(1, Duration::ZERO).unwrap();
        assert_eq!(control.stage(), Stage::Serving);
        control.advance(Stage::Stopped);
        control.advance(Stage::Draining);
        assert_eq!(control.stage(), Stage::Stopped);
        assert!(rings(&control, 0));
    }
}
