//! The hub: everything the server decides, without a socket or a clock.
//!
//! A driver tells it what happened ([`Hub::accept`], [`Hub::receive`], [`Hub::transmitted`],
//! [`Hub::disconnected`], [`Hub::handle_timeout`]) and asks what to do ([`Hub::poll_transmit`],
//! [`Hub::poll_close`], [`Hub::poll_resume`], [`Hub::poll_timeout`]). Time is an argument. A driver
//! gives every transmit back through [`Hub::transmitted`] or [`Hub::disconnected`], and every
//! [`Close::Release`] through [`Hub::closed`] once nothing of the connection is in use any more.
//!
//! What always holds: each subscriber is sent the messages of all others in the order of the
//! [`Log`], from its joining to its leaving, each exactly once and whole; at every step
//! `owed = delivered + pending + discarded`; an event for a connection that is gone does nothing.

mod admission;
mod batch;
mod closing;
mod deadlines;
mod fair_queue;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzz;
mod histogram;
mod input_budget;
mod intake;
mod limits;
mod lists;
mod log;
mod names;
mod pace;
mod presence;
mod reload;
mod replies;
mod send_queue;
mod session;
#[cfg(any(test, feature = "fuzzing"))]
#[allow(clippy::unwrap_used, reason = "a world that fails says where")]
mod simulation;
mod slow;
mod snapshot;
#[cfg(test)]
mod tests;
mod throttle;
mod transmit;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Add;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use slab::Slab;
use tracing::warn;

use admission::Admission;
use batch::Batches;
use deadlines::Deadlines;
use fair_queue::FairQueue;
use input_budget::InputBudget;
use log::Reader;
use pace::Pace;
use presence::Presence;
use replies::Pings;
use send_queue::SendQueue;
use session::{Phase, Session};
use slow::Lag;
use snapshot::{LastEnded, Waited};
use throttle::Throttled;

pub use closing::{CloseReason, Reason};
pub use histogram::Histogram;
pub use limits::{ControlCharacters, Limits, SlowPolicy};
pub use log::Log;
pub use pace::Coalesce;
pub use snapshot::{
    ConnectionInfo, ConnectionList, Counters, Ended, Measures, PerReason, PerWire, Snapshot,
    SortBy, Wire, WireCounters,
};
pub use transmit::Transmit;

use crate::wire::Rules;

/// Names a connection of one hub. Slots are used again, generations only after 2^32 connections,
/// so an identifier that outlived its connection names nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId {
    /// Index of the connection in the slab.
    pub slot: u32,
    /// How many connections the hub had accepted before this one (modulo 2^32).
    pub generation: u32,
}

/// What a driver does with its end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// Nothing more will be sent: close the sending side, go on reading.
    ShutdownWrite(ConnectionId),
    /// Give up the connection, then call [`Hub::closed`].
    Release(ConnectionId),
}

/// How a connection ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disconnect {
    /// The peer closed its sending side.
    EndOfStream,
    /// Reading or writing failed.
    Error(String),
}

/// Whether the driver goes on reading from a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Reading {
    /// Read on.
    Continue,
    /// Read nothing more from it until [`Hub::poll_resume`] names it: the log has no room, or it says
    /// too much.
    Pause,
}

/// The decisions of one server thread. See the module's text.
///
/// Time never goes back: `now` of each call is not before that of the call before. In each turn a driver
/// first reports what the kernel says (bytes that came before anything else, so that nobody is judged
/// for what it has already done), then calls [`Self::handle_timeout`], and then polls: transmits
/// until it has enough, closes and resumes until there are none, and last [`Self::poll_timeout`] for
/// how long it may sleep. An event may make any of them due, so none is asked before the events.
#[derive(Debug)]
pub struct Hub {
    limits: Limits,
    /// What of them the wires keep.
    rules: Rules,
    admission: Arc<Admission>,
    input_budget: InputBudget,
    /// What was told of joins and leaves, if they are told.
    presence: Presence,
    sessions: Slab<Session>,
    next_generation: u32,
    /// Sessions in [`Phase::Joined`].
    subscribers: u64,
    /// Those of them that have yet to catch up for the first time.
    newcomers: u64,
    lag: Lag,
    log: Reader,
    batches: Batches,
    send_queue: SendQueue,
    pace: Pace,
    /// Sessions whose reading is paused until there is room, in the order in which they will go on.
    paused: FairQueue,
    /// Sessions whose reading is paused until it is time again.
    throttled: Throttled,
    pings: Pings,
    resumed: VecDeque<ConnectionId>,
    closes: VecDeque<Close>,
    deadlines: Deadlines,
    /// When all subscribers are looked at, as one may be slow.
    next_look: Option<Instant>,
    /// Nothing more is accepted.
    drains: bool,
    /// While draining, until then: when to give up.
    give_up_at: Option<ServedTime>,
    /// While draining, until then: when those who take nothing are waited for no longer.
    hurry_at: Option<ServedTime>,
    /// Set while draining, once no hub accepts anything: whoever has all it is owed is told goodbye.
    says_goodbye: bool,
    /// Messages came since the slow were last watched.
    log_grew: bool,
    /// The hubs of other threads have something to look at.
    others_to_wake: bool,
    counters: Counters,
    /// All but the fan-out, which the log's reader sees.
    measures: Measures,
    waited: Waited,
    last_ended: LastEnded,
}

/// What a frame of `frame_bytes` takes of the bound of the log: itself, and what it costs to keep it.
#[must_use]
pub const fn charge(frame_bytes: usize) -> usize {
    /// The message, its place in the lists of its readers, and what `Bytes` and `Arc` add.
    const KEEPING_BYTES: usize = 160;
    frame_bytes + KEEPING_BYTES
}

/// A time on a clock that stands still while the event loop does not run: nanoseconds since the first
/// connection of the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ServedTime(u64);

impl Add<Duration> for ServedTime {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0.saturating_add(nanos(time)))
    }
}

/// 584 years at most.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Hub {
    /// A hub without connections. [`Self::beside`] makes those of other threads.
    ///
    /// # Panics
    /// When the log's bound is below [`Limits::log_bytes_min`].
    #[must_use]
    pub fn new(limits: Limits, log: Arc<Log>) -> Self {
        Self::sharing(
            limits,
            log,
            Arc::default(),
            InputBudget::default(),
            Presence::new(Arc::default()),
        )
    }

    /// A hub without connections for another thread: over the same log, and under the same limits,
    /// which hold for both together.
    #[must_use]
    pub fn beside(&self) -> Self {
        let log = Arc::clone(self.log.log());
        let presence = Presence::new(self.presence.roster());
        Self::sharing(
            self.limits.clone(),
            log,
            Arc::clone(&self.admission),
            self.input_budget.clone(),
            presence,
        )
    }

    fn sharing(
        limits: Limits,
        log: Arc<Log>,
        admission: Arc<Admission>,
        input_budget: InputBudget,
        presence: Presence,
    ) -> Self {
        assert!(
            log.bytes_max() >= limits.log_bytes_min(),
            "the log holds {} bytes and needs {}",
            log.bytes_max(),
            limits.log_bytes_min()
        );
        Self {
            batches: Batches::new(limits.batch_bytes_max),
            pace: Pace::new(limits.coalesce),
            admission,
            input_budget,
            presence,
            sessions: Slab::new(),
            next_generation: 0,
            subscribers: 0,
            newcomers: 0,
            lag: Lag::default(),
            log: Reader::with(log, &limits),
            rules: limits.rules(),
            limits,
            send_queue: SendQueue::new(),
            paused: FairQueue::default(),
            throttled: Throttled::default(),
            pings: Pings::default(),
            resumed: VecDeque::new(),
            closes: VecDeque::new(),
            deadlines: Deadlines::default(),
            next_look: None,
            drains: false,
            give_up_at: None,
            hurry_at: None,
            says_goodbye: false,
            log_grew: false,
            others_to_wake: false,
            counters: Counters::default(),
            measures: Measures::default(),
            waited: Waited::default(),
            last_ended: LastEnded::default(),
        }
    }

    /// A peer connected.
    ///
    /// # Panics
    /// With 2^32 connections at once.
    pub fn accept(&mut self, peer: SocketAddr, now: Instant) -> ConnectionId {
        self.deadlines.begin(now);
        let served = self.served(now);
        // An IPv4 peer of a listener on [::] is shown, and counted, as what it is.
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let entry = self.sessions.vacant_entry();
        let id = ConnectionId {
            slot: u32::try_from(entry.key()).expect("fewer than 2^32 connections"),
            generation: self.next_generation,
        };
        entry.insert(Session::new(
            id,
            peer,
            self.input_budget.share(),
            (now, served),
        ));
        self.next_generation = self.next_generation.wrapping_add(1);
        self.counters.accepted += 1;
        self.counters.connections += 1;
        let admitted = match self.is_draining() {
            true => Err(CloseReason::Shutdown),
            false => self.admission.admit(peer.ip(), &self.limits),
        };
        let session = &mut self.sessions[id.slot as usize];
        match admitted {
            Ok(admitted) => session.admitted = Some(admitted),
            Err(why) => {
                warn!(target: "server::session", %peer, reason = %why, "refused");
                session.phase = Phase::Refused { since: served, why };
            }
        }
        self.note_deadline(id.slot, now);
        id
    }

    /// A peer connected for whom the driver has no descriptor to keep: counts it, and returns what to
    /// tell it before it is closed.
    #[must_use]
    pub fn refuse(&mut self) -> Bytes {
        self.counters.accepted += 1;
        self.counters.closed[Reason::NoDescriptor] += 1;
        CloseReason::NoDescriptor.notice()
    }

    /// Whether the connection has given its name; one that is gone has, too.
    #[must_use]
    pub fn has_joined(&self, id: ConnectionId) -> bool {
        let session = self.sessions.get(id.slot as usize);
        let is_new = |phase: &Phase| matches!(phase, Phase::Naming { .. } | Phase::Refused { .. });
        session.is_none_or(|session| session.id != id || !is_new(&session.phase))
    }

    /// The driver released the connection: its slot is free.
    pub fn closed(&mut self, id: ConnectionId) {
        let Some(session) = self.session_mut(id) else {
            return;
        };
        match &mut session.phase {
            // What it said has still to be taken.
            Phase::DrainingInput { is_closed, .. } => {
                let was_closed = std::mem::replace(is_closed, true);
                self.counters.connections -= u64::from(!was_closed);
            }
            Phase::Released => {
                self.counters.connections -= 1;
                self.forget(id.slot);
            }
            _ => debug_assert!(false, "only what was released is closed"),
        }
    }

    /// Nothing is left of a session: its slot is free.
    fn forget(&mut self, slot: u32) {
        self.sessions.remove(slot as usize);
        if self.sessions.is_empty() {
            self.sessions.shrink_to_fit();
        }
    }

    /// The hub of another thread appended to the log or made room in it.
    pub fn wake(&mut self, now: Instant) {
        self.read_log();
        if self.log.is_wanted() {
            self.drop_the_hindmost(now);
        }
        self.keep_input_budget(now);
        self.settle(now);
    }

    /// Whether the other threads' hubs are to be woken; asking takes the wish back.
    pub fn take_wake_of_others(&mut self) -> bool {
        std::mem::take(&mut self.others_to_wake)
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The log this hub reads.
    #[must_use]
    pub fn log(&self) -> &Arc<Log> {
        self.log.log()
    }

    /// Takes over what was appended to the log, by this hub or another.
    fn read_log(&mut self) {
        let from = self.log.head();
        self.log.read();
        let new = self.log.head() - from;
        if new == 0 || self.subscribers == 0 {
            return;
        }
        self.counters.owed += new * self.subscribers;
        for message in self.log.from(from) {
            let Some(author) = self.log.subscriber(message) else {
                continue;
            };
            if let Some(session) = self.sessions.get_mut(author.slot as usize)
                && session.id == author
                && let Phase::Joined(subscriber) = &mut session.phase
            {
                subscriber.own_ahead += 1;
                self.counters.owed -= 1;
            }
        }
        self.log_grew = true;
        self.send_queue.wake_all();
    }

    /// What every event ends with: the room that it made goes to the authors who wait for it, and who has
    /// become slow is noticed.
    #[inline]
    fn settle(&mut self, now: Instant) {
        if self.log_grew || self.log.made_room() || !self.paused.is_empty() {
            self.settle_all(now);
        }
    }

    #[inline(never)]
    fn settle_all(&mut self, now: Instant) {
        loop {
            if std::mem::take(&mut self.log_grew) {
                self.watch_lag(now);
            }
            if self.log.made_room() || !self.paused.is_empty() {
                self.use_room(now);
            }
            if !self.log_grew {
                return;
            }
        }
    }

    fn is_draining_input(&self, slot: u32) -> bool {
        matches!(
            self.sessions[slot as usize].phase,
            Phase::DrainingInput { .. }
        )
    }

    fn session_mut(&mut self, id: ConnectionId) -> Option<&mut Session> {
        self.sessions
            .get_mut(id.slot as usize)
            .filter(|session| session.id == id)
    }
}
