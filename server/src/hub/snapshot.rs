//! What a hub shows of itself: what it counted and measured, who is connected, who ended of late.
//!
//! At every step: owed = delivered + pending + the sum of discarded. Counting is a few instructions in
//! fields of the hub's own thread: no lock, nothing shared. A list of connections looks at a bounded
//! number of them at a time, so that it never holds up a round.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::net::SocketAddr;
use std::ops::{AddAssign, Index, IndexMut};
use std::time::{Duration, Instant};

use super::closing::{CloseReason, Reason};
use super::histogram::{Histogram, micros};
use super::session::{Phase, Session};
use super::{ConnectionId, Hub};
use crate::wire::Encoding;

/// What a hub measures as it goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Measures {
    /// Microseconds from accepting a message until the last cursor passed it: it was sent to the last
    /// who was owed it, or that one has gone. Each message counts once, at the hub whose subscribers
    /// were last; one that found nobody joined does not count.
    pub fan_out: Histogram,
    /// For each send of messages: microseconds that the oldest had waited since it was accepted.
    pub queue_to_wire: Histogram,
    /// For each send of messages: how many it carries.
    pub messages_per_send: Histogram,
}

impl AddAssign for Measures {
    fn add_assign(&mut self, other: Self) {
        self.fan_out += other.fan_out;
        self.queue_to_wire += other.queue_to_wire;
        self.messages_per_send += other.messages_per_send;
    }
}

/// How long something waited. Most sends of a turn ask the same again, and are told without a
/// calculation.
#[derive(Debug, Default)]
pub(super) struct Waited(Option<(Instant, Instant, u64)>);

impl Waited {
    /// Whole microseconds from `since` to `now`.
    #[inline]
    pub(super) fn micros(&mut self, since: Instant, now: Instant) -> u64 {
        match self.0 {
            Some((from, to, waited)) if from == since && to == now => waited,
            _ => {
                let waited = micros(now.saturating_duration_since(since));
                self.0 = Some((since, now, waited));
                waited
            }
        }
    }
}

/// The figures of a hub at one instant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Totals since the start.
    pub counters: Counters,
    /// Connections that have given a name and are not on their way out.
    pub subscribers: u64,
    /// Bytes of messages between the hindmost cursor and the head of the log; a newcomer counts when it
    /// has read its history.
    pub backlog_bytes_max: u64,
    /// Times and sizes since the start.
    pub measures: Measures,
}

impl AddAssign for Snapshot {
    fn add_assign(&mut self, other: Self) {
        self.counters += other.counters;
        self.subscribers += other.subscribers;
        self.backlog_bytes_max = self.backlog_bytes_max.max(other.backlog_bytes_max);
        self.measures += other.measures;
    }
}

impl Hub {
    /// The figures at this instant: a copy of fixed size, whatever is connected or kept.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            counters: self.counters,
            subscribers: self.subscribers,
            backlog_bytes_max: self.log.backlog_bytes_max(),
            measures: Measures {
                fan_out: *self.log.fan_out(),
                ..self.measures
            },
        }
    }
}

/// Totals since the start, and the present number of connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections that gave a name.
    pub joined: u64,
    /// Connections that are there now, whatever their state.
    pub connections: u64,
    /// Messages accepted from this hub's connections.
    pub messages: u64,
    /// How often a client was not read from for a while since it said too much.
    pub throttled: u64,
    /// Deliveries that accepted messages made due to this hub's connections.
    pub owed: u64,
    /// Deliveries that were handed to the kernel whole.
    pub delivered: u64,
    /// Sends that the kernel took only in part.
    pub short_sends: u64,
    /// Sends that completed.
    pub sends: u64,
    /// Deliveries that were given up since the receiver went, by reason.
    pub discarded: PerReason,
    /// Connections that ended, by reason.
    pub closed: PerReason,
    /// The part of each wire.
    pub wires: PerWire,
}

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wire {
    /// Frames.
    Frames,
    /// WebSocket.
    WebSocket,
    /// Server-sent events, to listen only.
    Events,
    /// Requests of HTTP: to publish, and for what is no subscriber.
    Http,
}

impl Wire {
    /// All wires, in the order of their index in [`PerWire`].
    pub const ALL: [Self; 4] = [Self::Frames, Self::WebSocket, Self::Events, Self::Http];

    /// The name in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Frames => "frames",
            Self::WebSocket => "websocket",
            Self::Events => "events",
            Self::Http => "http",
        }
    }
}

impl From<Encoding> for Wire {
    fn from(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Frames => Self::Frames,
            Encoding::WebSocket => Self::WebSocket,
            Encoding::Events => Self::Events,
        }
    }
}

/// What was counted of one wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WireCounters {
    /// Connections that are in use now: of subscribers, or of those whose requests are answered.
    pub in_use: u64,
    /// Connections that came into use.
    pub began: u64,
    /// Messages accepted.
    pub messages: u64,
    /// Deliveries that were handed to the kernel whole.
    pub delivered: u64,
}

/// The counters of each [`Wire`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PerWire([WireCounters; Wire::ALL.len()]);

impl WireCounters {
    /// A connection came into use.
    pub(super) fn begin(&mut self) {
        self.began += 1;
        self.in_use += 1;
    }
}

impl Index<Wire> for PerWire {
    type Output = WireCounters;

    fn index(&self, wire: Wire) -> &WireCounters {
        &self.0[wire as usize]
    }
}

impl IndexMut<Wire> for PerWire {
    fn index_mut(&mut self, wire: Wire) -> &mut WireCounters {
        &mut self.0[wire as usize]
    }
}

/// One count for each [`Reason`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PerReason([u64; Reason::ALL.len()]);

impl PerReason {
    /// The sum over all reasons.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl Index<Reason> for PerReason {
    type Output = u64;

    fn index(&self, reason: Reason) -> &u64 {
        &self.0[reason as usize]
    }
}

impl IndexMut<Reason> for PerReason {
    fn index_mut(&mut self, reason: Reason) -> &mut u64 {
        &mut self.0[reason as usize]
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.joined += other.joined;
        self.connections += other.connections;
        self.messages += other.messages;
        self.throttled += other.throttled;
        self.owed += other.owed;
        self.delivered += other.delivered;
        self.short_sends += other.short_sends;
        self.sends += other.sends;
        for reason in Reason::ALL {
            self.discarded[reason] += other.discarded[reason];
            self.closed[reason] += other.closed[reason];
        }
        for wire in Wire::ALL {
            let (sum, more) = (&mut self.wires[wire], other.wires[wire]);
            sum.in_use += more.in_use;
            sum.began += more.began;
            sum.messages += more.messages;
            sum.delivered += more.delivered;
        }
    }
}

impl Counters {
    /// So many were handed to the kernel whole. Hot: once per send.
    #[inline]
    pub(super) fn count_delivered(&mut self, encoding: Encoding, messages: u64) {
        self.delivered += messages;
        self.wires.0[encoding as usize].delivered += messages;
    }

    /// Deliveries that are owed and neither made nor given up.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.owed - self.delivered - self.discarded.total()
    }
}

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
    /// `naming`, `refused`, `requesting`, `joined`, `closing`, `lingering`, `draining_input` or `released`.
    pub state: &'static str,
    /// What it speaks, as far as it is known: frames at first.
    pub wire: Wire,
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
    /// What it speaks, as far as it is known.
    fn wire(&self) -> Wire {
        match self.phase {
            Phase::Requesting { .. } => Wire::Http,
            _ => self.encoding.into(),
        }
    }

    /// What a list sees, but for the name.
    fn info(&self, hub: &Hub, now: Instant) -> ConnectionInfo {
        let (state, backlog_bytes) = match &self.phase {
            Phase::Naming { .. } => ("naming", 0),
            Phase::Refused { .. } => ("refused", 0),
            Phase::Requesting { .. } => ("requesting", 0),
            Phase::Joined(subscriber) => ("joined", hub.log.backlog_bytes(subscriber.cursor)),
            Phase::Closing(_) => ("closing", 0),
            Phase::Lingering { .. } => ("lingering", 0),
            Phase::DrainingInput { .. } => ("draining_input", 0),
            Phase::Released => ("released", 0),
        };
        ConnectionInfo {
            id: self.id,
            name: Box::default(),
            peer: self.peer,
            state,
            wire: self.wire(),
            age: now.saturating_duration_since(self.accepted_at),
            backlog_messages: self.pending(hub.log.head()),
            backlog_bytes,
            sent_messages: self.sent_messages,
            sent_bytes: self.sent_bytes,
            last_progress: self.progress_at.map(|at| now.saturating_duration_since(at)),
        }
    }
}

/// A connection that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Empty when it gave none.
    pub name: Box<str>,
    /// Where it came from.
    pub peer: SocketAddr,
    /// The kind of its end.
    pub reason: Reason,
    /// Why, with the numbers that explain it.
    pub why: String,
    /// How long it was there.
    pub lasted: Duration,
    /// Messages it was sent whole, until then.
    pub sent_messages: u64,
    /// When.
    pub at: Instant,
}

/// The last connections that ended, the latest at the end.
#[derive(Debug, Default)]
pub(super) struct LastEnded(VecDeque<Ended>);

impl LastEnded {
    /// How many are remembered.
    const MAX: usize = 32;

    pub(super) fn remember(&mut self, session: &Session, why: &CloseReason, now: Instant) {
        if self.0.len() == Self::MAX {
            self.0.pop_front();
        }
        self.0.push_back(Ended {
            name: session.name.clone(),
            peer: session.peer,
            reason: why.kind(),
            why: why.to_string(),
            lasted: now.saturating_duration_since(session.accepted_at),
            sent_messages: session.sent_messages,
            at: now,
        });
    }
}

impl Hub {
    /// The last connections that ended, the latest first.
    pub fn last_ended(&self) -> impl Iterator<Item = &Ended> {
        self.last_ended.0.iter().rev()
    }
}

#[cfg(test)]
mod tests {
    use protocol::frame;

    use super::super::tests::{deliver_all, join};
    use super::super::{Disconnect, Limits, Log};
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_message_has_fanned_out_when_the_last_who_was_owed_it_has_it() {
        let now = Instant::now();
        let mut hub = Hub::new(Limits::default(), Log::new(1 << 20));
        let author = join(&mut hub, "author", now);
        let near = join(&mut hub, "near", now);
        let far = join(&mut hub, "far", now);
        let _ = hub.receive(author, &frame::encode(b"hi"), now);
        let mut sends = Vec::new();
        while let Some(transmit) = hub.poll_transmit(now + 2 * MS) {
            sends.push(transmit);
        }
        for (id, at) in [(near, now + 3 * MS), (far, now + 5 * MS)] {
            assert_eq!(hub.snapshot().measures.fan_out.count(), 0);
            let bytes = sends.iter().find(|send| send.id == id).unwrap().bytes.len();
            hub.transmitted(id, bytes, at);
        }
        let measures = hub.snapshot().measures;
        assert_eq!(
            (measures.fan_out.count(), measures.fan_out.sum()),
            (1, 5000)
        );
        let waited = measures.queue_to_wire;
        assert_eq!((waited.count(), waited.sum()), (2, 4000), "2 ms each");
        let carried = measures.messages_per_send;
        assert_eq!((carried.count(), carried.sum()), (2, 2));
    }

    #[test]
    fn with_several_hubs_the_last_to_pass_a_message_counts_it_once() {
        let now = Instant::now();
        let log = Log::new(1 << 20);
        let mut hubs = [0, 1, 2].map(|_| Hub::new(Limits::default(), log.clone()));
        let author = join(&mut hubs[0], "author", now);
        join(&mut hubs[1], "listener", now);
        let _ = hubs[0].receive(author, &frame::encode(b"hi"), now);
        for (index, after) in [(0, MS), (1, 7 * MS), (2, 20 * MS)] {
            hubs[index].wake(now + after);
            deliver_all(&mut hubs[index], now + after);
        }
        let mut all = Snapshot::default();
        hubs.iter().for_each(|hub| all += hub.snapshot());
        let fan_out = all.measures.fan_out;
        // The third hub had nobody to pass it, however late it looked.
        assert_eq!((fan_out.count(), fan_out.sum()), (1, 7000));
        assert_eq!(all.subscribers, 2);
    }

    #[test]
    fn what_is_kept_as_history_has_fanned_out_all_the_same_and_only_once() {
        let now = Instant::now();
        let limits = Limits {
            history_messages: 10,
            ..Limits::default()
        };
        let mut hub = Hub::new(limits, Log::new(1 << 20));
        let author = join(&mut hub, "author", now);
        join(&mut hub, "listener", now);
        let _ = hub.receive(author, &frame::encode(b"hi"), now);
        deliver_all(&mut hub, now + 3 * MS);
        assert_eq!(hub.snapshot().measures.fan_out.sum(), 3000);
        join(&mut hub, "late", now + 50 * MS);
        deliver_all(&mut hub, now + 60 * MS);
        let fan_out = hub.snapshot().measures.fan_out;
        assert_eq!((fan_out.count(), fan_out.sum()), (1, 3000));
    }

    #[test]
    fn the_greatest_backlog_is_what_the_hindmost_is_owed() {
        let now = Instant::now();
        let mut hub = Hub::new(Limits::default(), Log::new(1 << 20));
        let author = join(&mut hub, "author", now);
        join(&mut hub, "listener", now);
        assert_eq!(hub.snapshot().backlog_bytes_max, 0);
        let _ = hub.receive(author, &frame::encode(b"hi"), now);
        let bytes = frame::broadcast(b"author", b"hi").len() as u64;
        assert_eq!(hub.snapshot().backlog_bytes_max, bytes);
        deliver_all(&mut hub, now);
        assert_eq!(hub.snapshot().backlog_bytes_max, 0);
    }

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

    #[test]
    fn the_latest_are_remembered_with_their_reasons() {
        let now = Instant::now();
        let mut hub = Hub::new(Limits::default(), Log::new(1 << 20));
        for number in 0..LastEnded::MAX + 5 {
            let id = join(&mut hub, &format!("peer{number}"), now);
            hub.disconnected(id, Disconnect::EndOfStream, now + Duration::from_secs(2));
        }
        let ended: Vec<&Ended> = hub.last_ended().collect();
        assert_eq!(ended.len(), LastEnded::MAX);
        assert_eq!(&*ended[0].name, format!("peer{}", LastEnded::MAX + 4));
        assert_eq!(
            (ended[0].reason, ended[0].why.as_str()),
            (Reason::Left, "the peer left")
        );
        assert_eq!(ended[0].lasted, Duration::from_secs(2));
    }
}
