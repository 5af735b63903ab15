//! A look at a hub's connections: the first few by some order, and where each stands.
//!
//! Nothing is kept for it but what a session knows anyway, and nothing runs unless somebody asks. A
//! list looks at a bounded number of connections at a time, so that it never holds up a round.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::session::{Phase, Session};
use super::{ConnectionId, Hub};

/// What comes first in a [`ConnectionList`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortBy {
    /// Who has the most bytes to catch up with.
    Backlog,
    /// Who has been there longest.
    Age,
    /// Who was sent the most messages.
    Sent,
    /// Who has taken nothing for the longest time.
    Stalled,
}

/// One connection, as a list saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Which connection of its hub.
    pub id: ConnectionId,
    /// Empty before it has given one.
    pub name: Box<str>,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// `naming`, `joined`, `closing`, `lingering`, `draining_input` or `released`.
    pub state: &'static str,
    /// Since it was accepted.
    pub age: Duration,
    /// Messages it is owed.
    pub backlog_messages: u64,
    /// Bytes of the log from its cursor to the head; its own messages among them count.
    pub backlog_bytes: u64,
    /// Messages it was sent whole.
    pub sent_messages: u64,
    /// Bytes the kernel took for it.
    pub sent_bytes: u64,
    /// Since the kernel last took a byte for it; `None` when it never did.
    pub last_progress: Option<Duration>,
}

/// A look at all connections of a hub that keeps the first few, a part of them at a time.
#[derive(Debug)]
pub struct ConnectionList {
    sort: SortBy,
    limit: usize,
    next_slot: usize,
    first: BinaryHeap<Reverse<Ranked>>,
}

/// A connection by its rank; of two of the same rank the later slot is the lesser.
#[derive(Debug, PartialEq, Eq)]
struct Ranked {
    rank: u64,
    info: ConnectionInfo,
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |it: &Self| (it.rank, Reverse(it.info.id.slot));
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl SortBy {
    /// The greater, the further in front.
    #[must_use]
    pub fn rank(self, info: &ConnectionInfo) -> u64 {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        match self {
            Self::Backlog => info.backlog_bytes,
            Self::Age => nanos(info.age),
            Self::Sent => info.sent_messages,
            Self::Stalled => nanos(info.last_progress.unwrap_or(info.age)),
        }
    }
}

impl ConnectionList {
    /// Will find the first `limit`.
    #[must_use]
    pub fn new(sort: SortBy, limit: usize) -> Self {
        Self {
            sort,
            limit,
            next_slot: 0,
            first: BinaryHeap::new(),
        }
    }

    /// What was found, the first in front.
    #[must_use]
    pub fn into_infos(self) -> Vec<ConnectionInfo> {
        let sorted = self.first.into_sorted_vec();
        sorted.into_iter().map(|Reverse(it)| it.info).collect()
    }

    fn see(&mut self, session: &Session, hub: &Hub, now: Instant) {
        let mut info = session.info(hub, now);
        let rank = self.sort.rank(&info);
        let full = self.first.len() == self.limit;
        if full && self.first.peek().is_none_or(|last| rank <= last.0.rank) {
            return;
        }
        if full {
            self.first.pop();
        }
        info.name.clone_from(&session.name);
        self.first.push(Reverse(Ranked { rank, info }));
    }
}

/// Connections that one step of a list looks at: well below a tenth of a millisecond's work.
const LIST_STEP: usize = 1024;

impl Hub {
    /// Goes on with a list; says whether it is complete. Connections that come or go meanwhile may
    /// be seen or not.
    pub fn list_connections(&self, list: &mut ConnectionList, now: Instant) -> bool {
        let slots = self.sessions.capacity();
        let end = slots.min(list.next_slot + LIST_STEP);
        for slot in list.next_slot..end {
            if let Some(session) = self.sessions.get(slot) {
                list.see(session, self, now);
            }
        }
        list.next_slot = end;
        end == slots
    }
}

impl Session {
    /// What a list sees, but for the name.
    fn info(&self, hub: &Hub, now: Instant) -> ConnectionInfo {
        let (state, backlog_bytes) = match &self.phase {
            Phase::Naming { .. } => ("naming", 0),
            Phase::Joined(subscriber) => ("joined", hub.log.backlog_bytes(subscriber.cursor)),
            Phase::Closing(_) => ("closing", 0),
            Phase::Lingering { .. } => ("lingering", 0),
            Phase::DrainingInput => ("draining_input", 0),
            Phase::Released => ("released", 0),
        };
        ConnectionInfo {
            id: self.id,
            name: Box::default(),
            peer: self.peer,
            state,
            age: now.saturating_duration_since(self.accepted_at),
            backlog_messages: self.pending(hub.log.head()),
            backlog_bytes,
            sent_messages: self.sent_messages,
            sent_bytes: self.sent_bytes,
            last_progress: self.progress_at.map(|at| now.saturating_duration_since(at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::frame;

    use super::super::tests::{deliver_all, join};
    use super::super::{Limits, Log};
    use super::*;

    fn first(hub: &Hub, sort: SortBy, limit: usize, now: Instant) -> Vec<ConnectionInfo> {
        let mut list = ConnectionList::new(sort, limit);
        while !hub.list_connections(&mut list, now) {}
        list.into_infos()
    }

    fn names(infos: &[ConnectionInfo]) -> Vec<&str> {
        infos.iter().map(|info| &*info.name).collect()
    }

    #[test]
    fn who_has_most_to_catch_up_with_comes_first() {
        let now = Instant::now();
        let mut hub = Hub::new(Limits::default(), Log::new(1 << 20));
        let author = join(&mut hub, "author", now);
        let stuck = join(&mut hub, "stuck", now);
        let _ = hub.receive(author, &frame::encode(b"one"), now);
        let held = hub.poll_transmit(now).unwrap();
        assert_eq!(held.id, stuck);
        join(&mut hub, "late", now);
        let _ = hub.receive(author, &frame::encode(b"two"), now);

        let infos = first(&hub, SortBy::Backlog, 2, now);
        assert_eq!(names(&infos), ["stuck", "author"]);
        let both = 2 * frame::broadcast(b"author", b"one").len() as u64;
        assert_eq!(infos[0].backlog_bytes, both);
        assert_eq!(infos[1].backlog_bytes, both / 2, "its own counts");
        assert_eq!(
            (infos[0].backlog_messages, infos[1].backlog_messages),
            (2, 0)
        );
        assert_eq!(infos[0].last_progress, None);

        hub.transmitted(stuck, held.bytes.len(), now);
        deliver_all(&mut hub, now);
        let later = now + Duration::from_secs(3);
        let infos = first(&hub, SortBy::Sent, 2, later);
        assert_eq!(names(&infos), ["stuck", "late"]);
        assert_eq!((infos[0].sent_messages, infos[1].sent_messages), (2, 1));
        assert_eq!(infos[0].sent_bytes, both);
        assert_eq!(infos[0].last_progress, Some(Duration::from_secs(3)));
        assert_eq!(infos[0].backlog_bytes, 0);
    }

    #[test]
    fn many_connections_are_looked_at_a_part_at_a_time() {
        let now = Instant::now();
        let mut hub = Hub::new(Limits::default(), Log::new(1 << 20));
        for number in 0..3 * LIST_STEP as u64 {
            join(
                &mut hub,
                &number.to_string(),
                now + Duration::from_millis(number),
            );
        }
        let mut list = ConnectionList::new(SortBy::Age, 3);
        let later = now + Duration::from_secs(60);
        assert!(!hub.list_connections(&mut list, later) && !hub.list_connections(&mut list, later));
        while !hub.list_connections(&mut list, later) {}
        assert_eq!(names(&list.into_infos()), ["0", "1", "2"]);
        assert!(first(&hub, SortBy::Stalled, 0, later).is_empty());
    }
}
