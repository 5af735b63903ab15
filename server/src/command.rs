//! The command channel: what other threads ask of a worker, and where it answers.
//!
//! A command waits in its worker's queue and the worker is woken; the worker carries it out in its next
//! turn and answers through a channel of that one command. For this a worker takes no lock and never waits.
//! What always holds: a command is answered, or its channel is closed because the worker has ended.

use std::collections::VecDeque;
use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use mio::Waker;

use crate::hub::{ConnectionInfo, ConnectionList, Ended, Hub, Limits, Snapshot};

/// What is asked of a worker.
#[derive(Debug)]
pub(crate) enum Command {
    /// Take other limits.
    SetLimits(Box<Limits>, Reply<()>),
    /// Say what was counted and measured.
    Snapshot(Reply<Figures>),
    /// Say who is there, and who left last.
    ListConnections(ConnectionList, Reply<Connections>),
    /// Say that you are not stuck.
    Ping(Reply<()>),
}

/// What one worker counted and measured.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Figures {
    pub(crate) snapshot: Snapshot,
    /// Of drivers that have a ring of their own.
    pub(crate) ring: Option<RingCounters>,
}

/// What happened in the ring of a driver that has one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RingCounters {
    /// An operation found the submission queue full.
    pub(crate) submissions_full: u64,
    /// The kernel had put completions aside, for the completion queue was full.
    pub(crate) completions_overflow: u64,
    /// A receive found no buffer.
    pub(crate) no_buffer: u64,
}

/// The first connections of one worker by some order, and the last that ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connections {
    pub(crate) first: Vec<ConnectionInfo>,
    pub(crate) ended: Vec<Ended>,
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.snapshot += other.snapshot;
        if let Some(ring) = other.ring {
            *self.ring.get_or_insert_default() += ring;
        }
    }
}

impl AddAssign for RingCounters {
    fn add_assign(&mut self, other: Self) {
        self.submissions_full += other.submissions_full;
        self.completions_overflow += other.completions_overflow;
        self.no_buffer += other.no_buffer;
    }
}

/// Where the answer to one command goes. Dropped without an answer, it closes the answer's channel.
#[derive(Debug)]
pub(crate) struct Reply<T> {
    answer: Option<Sender<T>>,
    /// Woken when the answer is there, or will never be.
    waker: Option<Arc<Waker>>,
}

impl<T> Reply<T> {
    /// A place for an answer, and where to find it. `waker` is woken when the answer is there, or will
    /// never be.
    pub(crate) fn new(waker: Option<Arc<Waker>>) -> (Self, Receiver<T>) {
        let (sender, answer) = channel();
        let reply = Self {
            answer: Some(sender),
            waker,
        };
        (reply, answer)
    }

    fn send(mut self, answer: T) {
        if let Some(sender) = self.answer.take() {
            // The asker may have given up.
            let _ = sender.send(answer);
        }
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        // Closed before anybody is woken to look.
        drop(self.answer.take());
        if let Some(waker) = &self.waker {
            // Fails only without a poll that could be woken.
            let _ = waker.wake();
        }
    }
}

/// Waits until each of `answers` has come, or its worker has ended; says whether all did `within` that
/// time. Time that this process did not run does not count: after a freeze, workers get their time.
pub(crate) fn all_answer(answers: &[Receiver<()>], within: Duration) -> bool {
    let mut answers = answers.iter();
    let mut waiting = answers.next();
    all_come(|| {
        while let Some(answer) = waiting {
            if answer.recv_timeout(within / SLICES) == Err(RecvTimeoutError::Timeout) {
                return false;
            }
            waiting = answers.next();
        }
        true
    })
}

/// Parts of a wait: a freeze of the process uses up one of them, however long it was.
const SLICES: u32 = 10;

/// Whether `slice`, which waits for a slice, says that all has come before the slices are used up,
/// however long each took.
fn all_come(slice: impl FnMut() -> bool) -> bool {
    let mut slices = std::iter::repeat_with(slice);
    slices.by_ref().take(SLICES as usize + 1).any(|all| all)
}

/// A worker's end of its command channel.
#[derive(Debug)]
pub(crate) struct Commands {
    queue: Receiver<Command>,
    /// Lists that are being put together, a part in each turn.
    lists: VecDeque<(ConnectionList, Reply<Connections>)>,
}

impl Commands {
    /// A command channel: its sending end and the worker's.
    pub(crate) fn channel() -> (Sender<Command>, Self) {
        let (sender, queue) = channel();
        let lists = VecDeque::new();
        (sender, Self { queue, lists })
    }

    /// Carries out what was asked; says whether something is left for the next turn, after everyone had
    /// theirs. To be called when the worker was woken, with its waker cleared.
    #[must_use]
    pub(crate) fn carry_out(
        &mut self,
        hub: &mut Hub,
        ring: Option<RingCounters>,
        now: Instant,
    ) -> bool {
        while let Ok(command) = self.queue.try_recv() {
            match command {
                Command::SetLimits(limits, reply) => {
                    hub.set_limits(&limits, now);
                    reply.send(());
                }
                Command::Snapshot(reply) => {
                    let snapshot = hub.snapshot();
                    reply.send(Figures { snapshot, ring });
                }
                Command::ListConnections(list, reply) => self.lists.push_back((list, reply)),
                Command::Ping(reply) => reply.send(()),
            }
        }
        if let Some((list, _)) = self.lists.front_mut()
            && hub.list_connections(list, now)
            && let Some((list, reply)) = self.lists.pop_front()
        {
            reply.send(Connections {
                first: list.into_infos(),
                ended: hub.last_ended().cloned().collect(),
            });
        }
        !self.lists.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::TryRecvError;

    use super::*;
    use crate::hub::{Log, Reading, SortBy};

    #[test]
    fn every_command_is_answered_and_none_after_the_worker_has_ended() {
        let now = Instant::now();
        let mut hub = Hub::new(Limits::default(), Log::new(1 << 20));
        hub.accept(([127, 0, 0, 1], 1).into(), now);
        let (sender, mut commands) = Commands::channel();
        let (reply, snapshot) = Reply::new(None);
        sender.send(Command::Snapshot(reply)).unwrap();
        let (reply, connections) = Reply::new(None);
        let list = ConnectionList::new(SortBy::Age, 7);
        sender.send(Command::ListConnections(list, reply)).unwrap();
        let (reply, pong) = Reply::new(None);
        sender.send(Command::Ping(reply)).unwrap();
        assert!(pong.try_recv().is_err(), "nothing is said before its turn");
        while commands.carry_out(&mut hub, Some(RingCounters::default()), now) {}
        let figures = snapshot.try_recv().unwrap();
        assert_eq!(figures.snapshot.counters.connections, 1);
        assert!(figures.ring.is_some());
        assert_eq!(connections.try_recv().unwrap().first.len(), 1);
        assert_eq!(pong.try_recv(), Ok(()));

        let (reply, unheard) = Reply::new(None);
        sender.send(Command::Ping(reply)).unwrap();
        drop(commands);
        let (reply, unsent) = Reply::new(None);
        assert!(sender.send(Command::Ping(reply)).is_err());
        for answer in [unheard, unsent] {
            assert_eq!(answer.try_recv(), Err(TryRecvError::Disconnected));
        }
    }

    #[test]
    fn a_freeze_takes_one_slice_of_the_patience_however_long_it_was() {
        // The second slice may have taken an hour: the answer after it counts.
        let mut slices = [false, false, true].into_iter();
        assert!(all_come(|| slices.next().unwrap()));
        let mut waited = 0;
        let never = || {
            waited += 1;
            false
        };
        assert!(!all_come(never));
        assert_eq!(waited, SLICES + 1);
    }

    #[test]
    fn limits_hold_once_they_are_answered() {
        let now = Instant::now();
        let mut hub = Hub::new(Limits::default(), Log::new(1 << 20));
        let (sender, mut commands) = Commands::channel();
        let strict = Limits {
            clients_max: Some(0),
            ..Limits::default()
        };
        let (reply, taken) = Reply::new(None);
        let command = Command::SetLimits(Box::new(strict), reply);
        sender.send(command).unwrap();
        assert!(!commands.carry_out(&mut hub, None, now));
        assert_eq!(taken.try_recv(), Ok(()));
        let id = hub.accept(([127, 0, 0, 1], 1).into(), now);
        assert_eq!(hub.receive(id, b"3", now), Reading::Continue);
        assert_eq!(hub.counters().closed[crate::hub::Reason::Full], 1);
    }
}
