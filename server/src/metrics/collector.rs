//! Collects from the workers what is shown, without waiting for one or holding one up.
//!
//! One collection serves all requests that came before it began, and of each kind at most one begins per
//! [`INTERVAL`]: so the cost does not depend on the number of requests. A worker that does not answer
//! within [`PATIENCE`] counts as unanswered, and is shown as it was heard last; it is not asked again
//! before it has answered.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use mio::Waker;

use super::connections::Query;
use crate::command::{Command, Connections, Figures};
use crate::control::Control;
use crate::hub::ConnectionList;

/// How long a worker may take to answer.
const PATIENCE: Duration = Duration::from_millis(250);

/// Least time between the beginnings of two collections of a kind.
const INTERVAL: Duration = Duration::from_millis(50);

/// All collections of the metrics thread.
#[derive(Debug)]
pub(super) struct Collector {
    control: Arc<Control>,
    /// Woken when an answer has come.
    waker: Arc<Waker>,
    figures: Collection<Figures>,
    connections: Collection<Connections>,
    /// What the last collection of connections asked for.
    query: Option<Query>,
}

/// The collection of a kind that is under way, or the last.
#[derive(Debug)]
struct Collection<T> {
    began: Option<Instant>,
    complete: bool,
    workers: Vec<Asked<T>>,
}

/// What is known of a worker.
#[derive(Debug)]
struct Asked<T> {
    /// Where its answer will be; `None` once it is here, or will never be.
    answer: Option<Receiver<T>>,
    last: Option<T>,
}

impl Collector {
    /// For the workers of `control`; `waker` wakes the thread that looks for what was collected.
    pub(super) fn new(control: Arc<Control>, waker: Arc<Waker>) -> Self {
        Self {
            figures: Collection::new(control.workers()),
            connections: Collection::new(control.workers()),
            query: None,
            control,
            waker,
        }
    }

    /// The figures of all workers, and how many of these did not answer in time. `None` until a
    /// collection is complete that began at `since` or later; one begins if need be.
    pub(super) fn figures(&mut self, since: Instant, now: Instant) -> Option<(Figures, usize)> {
        self.figures.hear(now);
        if self.figures.may_begin(since, now) {
            let (control, waker) = (&self.control, &self.waker);
            self.figures.begin(now, |worker| {
                control.ask(worker, Some(Arc::clone(waker)), Command::Snapshot)
            });
        }
        self.figures.is_complete_since(since).then(|| self.sum())
    }

    /// As [`Self::figures`], from a collection that began less than [`INTERVAL`] ago if there is one.
    pub(super) fn recent_figures(
        &mut self,
        asked_at: Instant,
        now: Instant,
    ) -> Option<(Figures, usize)> {
        let recent = asked_at.checked_sub(INTERVAL).unwrap_or(asked_at);
        self.figures(recent, now)
    }

    /// The connections that `query` asks for, of all workers, and those that ended last, the latest
    /// first. `None` as for [`Self::figures`].
    pub(super) fn connections(
        &mut self,
        query: Query,
        since: Instant,
        now: Instant,
    ) -> Option<Connections> {
        self.connections.hear(now);
        let is_asked = self.query.is_some_and(|asked| asked.covers(query));
        // What was collected for another query is as good as none.
        let wanted_since = if is_asked { since } else { now };
        if self.connections.may_begin(wanted_since, now) {
            // A worker that has ended has no connections.
            self.connections.forget();
            let (control, waker) = (&self.control, &self.waker);
            let asked = query.rounded();
            self.connections.begin(now, |worker| {
                let list = ConnectionList::new(asked.sort, usize::from(asked.limit));
                let command = |reply| Command::ListConnections(list, reply);
                control.ask(worker, Some(Arc::clone(waker)), command)
            });
            self.query = Some(asked);
        } else if !is_asked {
            return None;
        }
        let is_complete = self.connections.is_complete_since(since);
        is_complete.then(|| self.merge(query))
    }

    /// When waiting requests are to be looked at again, even if no answer comes.
    pub(super) fn due(&self) -> Option<Instant> {
        let due = [self.figures.due(), self.connections.due()];
        due.into_iter().flatten().min()
    }

    fn sum(&self) -> (Figures, usize) {
        let mut sum = Figures::default();
        for (index, worker) in self.figures.workers.iter().enumerate() {
            let mut figures = worker.last.unwrap_or_default();
            if let Some(last) = self.control.last(index) {
                figures.snapshot = *last;
            }
            sum += figures;
        }
        let workers = self.figures.workers.iter();
        let unanswered = workers.filter(|worker| worker.answer.is_some());
        (sum, unanswered.count())
    }

    fn merge(&self, Query { sort, limit }: Query) -> Connections {
        let mut all = Connections::default();
        let workers = self.connections.workers.iter();
        let answered = workers.filter(|worker| worker.answer.is_none());
        for worker in answered.filter_map(|worker| worker.last.as_ref()) {
            all.first.extend_from_slice(&worker.first);
            all.ended.extend_from_slice(&worker.ended);
        }
        all.first.sort_by_key(|info| Reverse(sort.rank(info)));
        all.first.truncate(usize::from(limit));
        all.ended.sort_by_key(|ended| Reverse(ended.at));
        all
    }
}

impl<T> Collection<T> {
    fn new(workers: usize) -> Self {
        let nothing = |_| Asked {
            answer: None,
            last: None,
        };
        Self {
            began: None,
            complete: true,
            workers: (0..workers).map(nothing).collect(),
        }
    }

    /// Takes the answers that have come.
    fn hear(&mut self, now: Instant) {
        for worker in &mut self.workers {
            match worker.answer.as_ref().map(Receiver::try_recv) {
                Some(Ok(answer)) => {
                    worker.last = Some(answer);
                    worker.answer = None;
                }
                Some(Err(TryRecvError::Disconnected)) => worker.answer = None,
                Some(Err(TryRecvError::Empty)) | None => {}
            }
        }
        let all_answered = self.workers.iter().all(|worker| worker.answer.is_none());
        let is_late = self.began.is_some_and(|began| now >= began + PATIENCE);
        self.complete |= all_answered || is_late;
    }

    /// Whether one is needed for a request that came at `since`, and allowed already.
    fn may_begin(&self, since: Instant, now: Instant) -> bool {
        let is_allowed = self.began.is_none_or(|began| now >= began + INTERVAL);
        self.complete && is_allowed && self.began.is_none_or(|began| began < since)
    }

    fn begin(&mut self, now: Instant, ask: impl Fn(usize) -> Receiver<T>) {
        self.began = Some(now);
        self.complete = false;
        for (index, worker) in self.workers.iter_mut().enumerate() {
            worker.answer.get_or_insert_with(|| ask(index));
        }
        // Those that have ended are not waited for.
        self.hear(now);
    }

    fn forget(&mut self) {
        self.workers
            .iter_mut()
            .for_each(|worker| worker.last = None);
    }

    fn is_complete_since(&self, since: Instant) -> bool {
        self.complete && self.began.is_some_and(|began| began >= since)
    }

    fn due(&self) -> Option<Instant> {
        let wait = if self.complete { INTERVAL } else { PATIENCE };
        self.began.map(|began| began + wait)
    }
}

#[cfg(test)]
mod tests {
    use mio::{Poll, Token};

    use super::*;
    use crate::command::Commands;
    use crate::hub::{Hub, Limits, Log, Snapshot, SortBy};

    struct World {
        collector: Collector,
        control: Arc<Control>,
        workers: Vec<(Commands, Hub)>,
        /// The waker is its.
        _poll: Poll,
    }

    const QUERY: Query = Query {
        sort: SortBy::Age,
        limit: 7,
    };

    impl World {
        /// A worker for each of `clients`, with that many clients.
        fn new(clients: &[u16], now: Instant) -> Self {
            let (control, commands) = Control::new(clients.len(), Duration::ZERO).unwrap();
            let control = Arc::new(control);
            let poll = Poll::new().unwrap();
            let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
            let hub = |&clients| {
                let mut hub = Hub::new(Limits::default(), Log::new(1 << 20));
                for port in 0..clients {
                    hub.accept(([127, 0, 0, 1], port).into(), now);
                }
                hub
            };
            let hubs = clients.iter().map(hub);
            Self {
                collector: Collector::new(Arc::clone(&control), waker),
                control,
                workers: commands.into_iter().zip(hubs).collect(),
                _poll: poll,
            }
        }

        /// All workers do what they were asked.
        fn work(&mut self, now: Instant) {
            for (commands, hub) in &mut self.workers {
                while commands.carry_out(hub, None, now) {}
            }
        }

        fn connections(&mut self, asked_at: Instant, now: Instant) -> Option<(u64, usize)> {
            let (figures, unanswered) = self.collector.figures(asked_at, now)?;
            Some((figures.snapshot.counters.connections, unanswered))
        }
    }

    #[test]
    fn answers_of_all_workers_are_put_together() {
        let now = Instant::now();
        let mut world = World::new(&[2000, 3000], now);
        assert_eq!(world.connections(now, now), None);
        assert!(world.collector.connections(QUERY, now, now).is_none());
        world.work(now);
        assert_eq!(world.connections(now, now), Some((5000, 0)));
        let list = world.collector.connections(QUERY, now, now).unwrap();
        assert_eq!(list.first.len(), 7);
    }

    #[test]
    fn one_collection_serves_all_who_asked_before_it_and_the_next_is_not_at_once() {
        let now = Instant::now();
        let mut world = World::new(&[3], now);
        assert_eq!(world.connections(now, now), None);
        world.work(now);
        for _ in 0..100 {
            assert_eq!(world.connections(now, now), Some((3, 0)));
        }
        // Who asks later is to see what happened until then, but not before it is time again.
        let (_, hub) = &mut world.workers[0];
        hub.accept(([127, 0, 0, 1], 9).into(), now);
        let later = now + Duration::from_millis(1);
        for _ in 0..100 {
            assert_eq!(world.connections(later, later), None);
        }
        world.work(later);
        assert_eq!(world.connections(later, later), None);
        assert_eq!(world.collector.due(), Some(now + INTERVAL));
        let in_time = now + INTERVAL;
        assert_eq!(world.connections(later, in_time), None);
        world.work(in_time);
        assert_eq!(world.connections(later, in_time), Some((4, 0)));
        // Health is content with what is not old.
        let (figures, _) = world.collector.recent_figures(in_time, in_time).unwrap();
        assert_eq!(figures.snapshot.counters.connections, 4);
    }

    #[test]
    fn a_worker_that_does_not_answer_is_not_waited_for_and_keeps_its_last_figures() {
        let now = Instant::now();
        let mut world = World::new(&[3], now);
        assert_eq!(world.connections(now, now), None);
        assert_eq!(world.collector.due(), Some(now + PATIENCE));
        let late = now + PATIENCE;
        assert_eq!(world.connections(now, late), Some((0, 1)));
        // The answer comes late, and is not forgotten.
        world.work(late);
        assert_eq!(world.connections(late, late), None);
        let later = late + PATIENCE;
        assert_eq!(world.connections(late, later), Some((3, 1)));
        // It was asked once.
        let (commands, hub) = &mut world.workers[0];
        let _ = commands.carry_out(hub, None, now);
        world.workers.clear();
        world.control.set_last(0, Snapshot::default());
        let end = later + PATIENCE;
        let ended = world.connections(end, end);
        assert_eq!(ended, Some((0, 0)), "who has ended is not asked");
    }

    #[test]
    fn a_list_serves_those_who_want_less_of_it_and_others_wait_for_their_own() {
        let now = Instant::now();
        let mut world = World::new(&[30], now);
        assert!(world.collector.connections(QUERY, now, now).is_none());
        world.work(now);
        let fewer = Query { limit: 2, ..QUERY };
        let list = world.collector.connections(fewer, now, now).unwrap();
        assert_eq!(list.first.len(), 2);
        let other = Query {
            sort: SortBy::Sent,
            ..QUERY
        };
        assert!(world.collector.connections(other, now, now).is_none());
        let later = now + INTERVAL;
        assert!(world.collector.connections(other, now, later).is_none());
        world.work(later);
        let list = world.collector.connections(other, now, later).unwrap();
        assert_eq!(list.first.len(), 7);
    }
}
