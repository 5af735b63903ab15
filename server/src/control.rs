//! How the threads of a server reach each other: a stage that only goes forward, and for each worker a
//! waker (an eventfd) that its driver waits on beside its sockets, with the worker's command channel
//! behind it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mio::Waker;
use rustix::event::{EventfdFlags, eventfd};

use crate::command::{Command, Commands, Reply, all_answer};
use crate::hub::{Limits, Snapshot};

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
    /// Every worker serves.
    ready: AtomicBool,
    drain_timeout: Duration,
    /// How many workers accept nothing more.
    draining: AtomicUsize,
    workers: Vec<Remote>,
}

/// How the others reach one worker.
#[derive(Debug)]
struct Remote {
    waker: OwnedFd,
    commands: Sender<Command>,
    /// What it counted, once it has ended in good order.
    last: OnceLock<Snapshot>,
}

impl Control {
    /// For a server of `threads` workers that gives up draining after `drain_timeout`; with the workers'
    /// ends of their command channels.
    pub(crate) fn new(
        threads: usize,
        drain_timeout: Duration,
    ) -> io::Result<(Self, Vec<Commands>)> {
        let mut workers = Vec::with_capacity(threads);
        let mut ends = Vec::with_capacity(threads);
        for _ in 0..threads {
            let (commands, end) = Commands::channel();
            workers.push(Remote {
                waker: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
                commands,
                last: OnceLock::new(),
            });
            ends.push(end);
        }
        let control = Self {
            stage: AtomicU8::new(Stage::Serving as u8),
            ready: AtomicBool::new(false),
            drain_timeout,
            draining: AtomicUsize::new(0),
            workers,
        };
        Ok((control, ends))
    }

    /// For one worker that drains for ever, for tests of drivers.
    #[cfg(test)]
    pub(crate) fn of_one() -> (Arc<Self>, Commands) {
        let (control, commands) = Self::new(1, Limits::FOREVER).expect("the kernel has an eventfd");
        let mut commands = commands.into_iter();
        (
            Arc::new(control),
            commands.next().expect("one worker has one"),
        )
    }

    pub(crate) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Serving,
            1 => Stage::Draining,
            _ => Stage::Stopped,
        }
    }

    /// Whether every worker has begun to serve.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Every worker has begun to serve.
    pub(crate) fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    pub(crate) fn drain_timeout(&self) -> Duration {
        self.drain_timeout
    }

    /// How many workers there are.
    pub(crate) fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Moves on to `stage`, unless the server is further already, and tells all workers.
    pub(crate) fn advance(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Ordering::Release);
        self.wake_all();
    }

    /// The calling worker accepts nothing more; each says so once. The last has all of them woken.
    pub(crate) fn drains(&self) {
        let before = self.draining.fetch_add(1, Ordering::AcqRel);
        if before + 1 == self.workers.len() {
            self.wake_all();
        }
    }

    /// Whether no worker accepts anything more, so that the log has its last message.
    pub(crate) fn all_drain(&self) -> bool {
        self.draining.load(Ordering::Acquire) == self.workers.len()
    }

    /// Sends a command to `worker`; returns where its answer will be. `waker` is woken when the answer is
    /// there, or will never be.
    pub(crate) fn ask<T>(
        &self,
        worker: usize,
        waker: Option<Arc<Waker>>,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Receiver<T> {
        let (reply, answer) = Reply::new(waker);
        // A worker that has ended takes none: the answer is closed.
        if self.workers[worker].commands.send(command(reply)).is_ok() {
            self.wake(worker);
        }
        answer
    }

    /// Gives all workers other limits; says whether all that serve took them `within` that time. The
    /// others take them once they answer again.
    pub(crate) fn set_limits(&self, limits: &Limits, within: Duration) -> bool {
        self.ask_all(within, |reply| {
            Command::SetLimits(Box::new(limits.clone()), reply)
        })
    }

    /// Whether each worker that has not ended answers `within` that time. One that is stuck does not.
    pub(crate) fn is_alive(&self, within: Duration) -> bool {
        self.ask_all(within, Command::Ping)
    }

    fn ask_all(&self, within: Duration, command: impl Fn(Reply<()>) -> Command) -> bool {
        let ask = |worker| self.ask(worker, None, &command);
        let answers: Vec<_> = (0..self.workers.len()).map(ask).collect();
        all_answer(&answers, within)
    }

    /// `worker` has ended in good order, and counted this.
    pub(crate) fn set_last(&self, worker: usize, last: Snapshot) {
        // Each ends once.
        let _ = self.workers[worker].last.set(last);
    }

    /// What `worker` counted, once it has ended in good order.
    pub(crate) fn last(&self, worker: usize) -> Option<&Snapshot> {
        self.workers[worker].last.get()
    }

    /// Has `worker` look around.
    pub(crate) fn wake(&self, worker: usize) {
        self.workers[worker].wake();
    }

    fn wake_all(&self) {
        self.workers.iter().for_each(Remote::wake);
    }

    /// Tells all workers but `worker` that the log has something for them.
    pub(crate) fn wake_others(&self, worker: usize) {
        let others = self.workers.iter().enumerate();
        others
            .filter(|&(other, _)| other != worker)
            .for_each(|(_, other)| other.wake());
    }

    /// Becomes readable when `worker` is to look around; [`Self::clear`] takes that back.
    pub(crate) fn waker(&self, worker: usize) -> BorrowedFd<'_> {
        self.workers[worker].waker.as_fd()
    }

    /// Clears the waker of `worker`. Who wakes it after this call wakes it anew.
    pub(crate) fn clear(&self, worker: usize) {
        // Fails only if it is clear already.
        let _ = rustix::io::read(&self.workers[worker].waker, &mut [0; 8]);
    }
}

impl Remote {
    fn wake(&self) {
        // Fails only after 2^64 wakes without a clear: then it is awake already.
        let _ = rustix::io::write(&self.waker, &1u64.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Instant;

    use super::*;
    use crate::hub::{Hub, Log};
    use rustix::event::{PollFd, PollFlags, poll};

    fn is_awake(control: &Control, worker: usize) -> bool {
        let waker = control.waker(worker);
        let mut fds = [PollFd::new(&waker, PollFlags::IN)];
        poll(&mut fds, Some(&rustix::time::Timespec::default())).unwrap() == 1
    }

    /// Carries out one wake of `worker`.
    fn work(control: &Control, worker: usize, commands: &mut Commands) {
        let waker = control.waker(worker);
        poll(&mut [PollFd::new(&waker, PollFlags::IN)], None).unwrap();
        control.clear(worker);
        let mut hub = Hub::new(Limits::default(), Log::new(1 << 20));
        assert!(!commands.carry_out(&mut hub, None, Instant::now()));
    }

    #[test]
    fn a_worker_is_awake_until_its_waker_is_cleared() {
        let (control, _commands) = Control::new(2, Duration::ZERO).unwrap();
        assert!(!is_awake(&control, 0) && !is_awake(&control, 1));
        control.wake_others(0);
        control.wake_others(0);
        assert!(!is_awake(&control, 0) && is_awake(&control, 1));
        control.clear(1);
        assert!(!is_awake(&control, 1));
    }

    #[test]
    fn limits_are_taken_by_each_worker_that_serves() {
        let (control, mut commands) = Control::new(2, Duration::ZERO).unwrap();
        let give = || control.set_limits(&Limits::default(), Duration::from_secs(30));
        thread::scope(|scope| {
            let given = scope.spawn(give);
            for (worker, commands) in commands.iter_mut().enumerate() {
                work(&control, worker, commands);
            }
            assert!(given.join().unwrap());
        });
        assert!(!control.set_limits(&Limits::default(), Duration::ZERO));
        commands.clear();
        assert!(give(), "who has ended is not waited for");
    }

    #[test]
    fn a_worker_that_is_stuck_does_not_answer() {
        let (control, mut commands) = Control::new(2, Duration::ZERO).unwrap();
        assert!(!control.is_alive(Duration::ZERO));
        control.clear(1);
        // The first ends, with a command that it did not carry out.
        let mut stuck = commands.pop().unwrap();
        drop(commands);
        thread::scope(|scope| {
            scope.spawn(|| work(&control, 1, &mut stuck));
            assert!(control.is_alive(Duration::from_secs(30)));
        });
    }

    #[test]
    fn the_stage_never_goes_back() {
        let (control, _commands) = Control::new(1, Duration::ZERO).unwrap();
        assert_eq!(control.stage(), Stage::Serving);
        control.advance(Stage::Stopped);
        control.advance(Stage::Draining);
        assert_eq!(control.stage(), Stage::Stopped);
        assert!(is_awake(&control, 0));
    }
}
