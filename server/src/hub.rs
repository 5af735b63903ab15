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
mod conveyor;
mod counters;
mod deadlines;
mod departure;
mod ended;
mod farewell;
mod histogram;
mod limits;
mod lists;
mod log;
mod pace;
mod presence;
mod reload;
mod session;
#[cfg(test)]
mod simulation;
mod slow;
mod snapshot;
mod span;
mod survey;
#[cfg(test)]
mod tests;
mod throttle;
mod transmit;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use protocol::{Decoder, NameError, frame, text};
use slab::Slab;
use tracing::{debug, info, warn};

use admission::Admission;
use conveyor::Conveyor;
use ended::LastEnded;
use lists::Lists;
use log::{Reader, Reservation};
use pace::Pace;
use presence::{Change, Presence};
use session::{Phase, Session, Subscriber};
use snapshot::Waited;
use span::Spans;
use throttle::Throttled;

pub use counters::{Counters, PerReason};
pub use departure::{Departure, Reason};
pub use ended::Ended;
pub use histogram::Histogram;
pub use limits::{Limits, SlowPolicy};
pub use log::Log;
pub use pace::Coalesce;
pub use snapshot::{Measures, Snapshot};
pub use survey::{Sight, SortBy, Survey};
pub use transmit::Transmit;

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

/// What a session has to wait for before its next message is taken.
#[derive(Debug, Clone, Copy)]
enum Wait {
    /// Its readers have passed some of the log, or caught up with it.
    Room,
    /// It said too much.
    Until(Instant),
}

/// The decisions of one server thread. See the module's text.
#[derive(Debug)]
pub struct Hub {
    limits: Limits,
    admission: Arc<Admission>,
    /// What was told of joins and leaves, if they are told.
    presence: Presence,
    sessions: Slab<Session>,
    next_generation: u32,
    /// Sessions in [`Phase::Joined`].
    subscribers: u64,
    log: Reader,
    spans: Spans,
    conveyor: Conveyor,
    pace: Pace,
    /// Sessions whose reading is paused, in the order in which they will go on.
    paused: Lists<1>,
    /// Sessions whose reading is paused until it is time again.
    throttled: Throttled,
    resumed: VecDeque<ConnectionId>,
    closes: VecDeque<Close>,
    /// No later than the earliest deadline of any session; `None` when there is none.
    next_sweep: Option<Instant>,
    /// Set while draining: when to give up.
    drain_until: Option<Instant>,
    /// Set while draining, once no hub accepts anything: whoever has all it is owed is told goodbye.
    says_goodbye: bool,
    /// The hubs of other threads have something to look at.
    others_to_wake: bool,
    counters: Counters,
    /// All but the fan-out, which the log's reader sees.
    measures: Measures,
    waited: Waited,
    last_ended: LastEnded,
}

impl Hub {
    /// A hub without connections. [`Self::beside`] makes those of other threads.
    ///
    /// # Panics
    /// When the log's bound is below [`Limits::log_bytes_min`].
    #[must_use]
    pub fn new(limits: Limits, log: Arc<Log>) -> Self {
        Self::sharing(limits, log, Arc::default(), Presence::new(Arc::default()))
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
            presence,
        )
    }

    fn sharing(
        limits: Limits,
        log: Arc<Log>,
        admission: Arc<Admission>,
        presence: Presence,
    ) -> Self {
        assert!(
            log.bytes_max() >= limits.log_bytes_min(),
            "the log holds {} bytes and needs {}",
            log.bytes_max(),
            limits.log_bytes_min()
        );
        Self {
            spans: Spans::new(limits.span_bytes_max),
            pace: Pace::new(limits.coalesce),
            admission,
            presence,
            sessions: Slab::new(),
            next_generation: 0,
            subscribers: 0,
            log: Reader::with(log, &limits),
            limits,
            conveyor: Conveyor::new(),
            paused: Lists::new(),
            throttled: Throttled::default(),
            resumed: VecDeque::new(),
            closes: VecDeque::new(),
            next_sweep: None,
            drain_until: None,
            says_goodbye: false,
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
        let entry = self.sessions.vacant_entry();
        let id = ConnectionId {
            slot: u32::try_from(entry.key()).expect("fewer than 2^32 connections"),
            generation: self.next_generation,
        };
        entry.insert(Session::new(id, peer, &self.limits, now));
        self.next_generation = self.next_generation.wrapping_add(1);
        self.counters.accepted += 1;
        self.counters.connections += 1;
        self.sweep_by(now + self.limits.handshake_timeout);
        if self.is_draining() {
            self.depart(id.slot, &Departure::Shutdown, now);
            return id;
        }
        match self.admission.admit(peer.ip(), &self.limits) {
            Ok(admitted) => self.sessions[id.slot as usize].admitted = Some(admitted),
            Err(refusal) => {
                warn!(%peer, reason = %refusal, "refused");
                self.depart(id.slot, &refusal, now);
            }
        }
        id
    }

    /// A peer connected for whom the driver has no descriptor to keep: counts it, and returns what to
    /// tell it before it is closed.
    #[must_use]
    pub fn refuse(&mut self) -> Bytes {
        self.counters.accepted += 1;
        self.counters.departed[Reason::NoDescriptor] += 1;
        Departure::NoDescriptor.notice()
    }

    /// Bytes came from a peer. All of them are taken.
    pub fn receive(&mut self, id: ConnectionId, bytes: &[u8], now: Instant) -> Reading {
        let draining = self.is_draining();
        let Some(session) = self.session_mut(id) else {
            return Reading::Continue;
        };
        match session.phase {
            Phase::Naming { .. } | Phase::Joined(_) if !draining => {}
            // Whoever is on the way out is not listened to; that its bytes are read
            // keeps the close from destroying what it was sent.
            _ => return Reading::Continue,
        }
        if let Some(held_back) = &mut session.input.held_back {
            // It was read before the driver heard of the pause.
            *held_back = [held_back, bytes].concat().into();
            return Reading::Pause;
        }
        let held_back = self.ingest(id.slot, bytes, None, now);
        let reading = match held_back {
            None => Reading::Continue,
            Some((held_back, wait)) => {
                let rest = Bytes::copy_from_slice(&bytes[bytes.len() - held_back..]);
                self.hold_back(id.slot, rest, wait);
                Reading::Pause
            }
        };
        self.use_room(now);
        self.watch_the_slow(now);
        reading
    }

    /// The driver released the connection: its slot is free.
    pub fn closed(&mut self, id: ConnectionId) {
        if let Some(session) = self.session_mut(id) {
            debug_assert!(matches!(session.phase, Phase::Released));
            self.sessions.remove(id.slot as usize);
            self.counters.connections -= 1;
            if self.sessions.is_empty() {
                self.sessions.shrink_to_fit();
            }
        }
    }

    /// The hub of another thread appended to the log or made room in it.
    pub fn wake(&mut self, now: Instant) {
        self.read_log();
        self.use_room(now);
        self.watch_the_slow(now);
    }

    /// Whether the other threads' hubs are to be woken; asking takes the wish back.
    pub fn takes_back_wake_of_others(&mut self) -> bool {
        std::mem::take(&mut self.others_to_wake)
    }

    /// The next connection that may be read from again.
    pub fn poll_resume(&mut self) -> Option<ConnectionId> {
        self.resumed.pop_front()
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

    /// Takes frames out of what a peer sent, as long as the log has room for what they may be;
    /// `room` is for the first. Returns how many bytes, at the end, are to be held back, and for what.
    fn ingest(
        &mut self,
        slot: u32,
        mut bytes: &[u8],
        room: Option<Reservation>,
        now: Instant,
    ) -> Option<(usize, Wait)> {
        let mut room = room.map(|room| Ok(Some(room)));
        let mut took_frames = false;
        let mut departure = None;
        let mut held_back = None;
        while !bytes.is_empty() {
            let room = match room.take().unwrap_or_else(|| self.room_for_next(slot, now)) {
                Ok(room) => room,
                Err(wait) => {
                    held_back = Some((bytes.len(), wait));
                    break;
                }
            };
            let took = self.take_frame(slot, &mut bytes, room, now);
            if let Ok(true) = took {
                took_frames = true;
                continue;
            }
            self.log.gave_room_back();
            departure = took.err();
            break;
        }
        self.read_log();
        self.note_unfinished(slot, took_frames, now);
        match departure {
            Some(_) if self.is_parting(slot) => None,
            Some(departure) => {
                self.depart(slot, &departure, now);
                None
            }
            None => held_back,
        }
    }

    /// What comes next has to wait: keeps `bytes` until then.
    fn hold_back(&mut self, slot: u32, bytes: Bytes, wait: Wait) {
        let input = &mut self.sessions[slot as usize].input;
        input.held_back = Some(bytes);
        match wait {
            Wait::Room => self.paused.push_back(0, slot),
            Wait::Until(until) => {
                input.throttle.until = Some(until);
                self.throttled.insert(until, slot);
                self.counters.throttled += 1;
            }
        }
    }

    /// Those who said too much and have waited for it queue for room.
    fn lift_throttles(&mut self, now: Instant) {
        while let Some(slot) = self.throttled.pop(now) {
            self.sessions[slot as usize].input.throttle.until = None;
            self.paused.push_back(0, slot);
        }
        self.use_room(now);
    }

    /// What the next frame of a session needs in the log: nothing for a name, else room for the
    /// longest message. Those who wait for room come first.
    fn room_for_next(&self, slot: u32, now: Instant) -> Result<Option<Reservation>, Wait> {
        let session = &self.sessions[slot as usize];
        if let Phase::Naming { .. } = session.phase {
            return Ok(None);
        }
        if let Some(until) = session.input.throttle.wait(&self.limits, now) {
            return Err(Wait::Until(until));
        }
        if self.paused.front(0).is_some() {
            return Err(Wait::Room);
        }
        match self.log.reserve(self.room_bytes(slot)) {
            Some(room) => Ok(Some(room)),
            None => Err(Wait::Room),
        }
    }

    /// Takes one frame; says whether there was a whole one.
    fn take_frame(
        &mut self,
        slot: u32,
        bytes: &mut &[u8],
        room: Option<Reservation>,
        now: Instant,
    ) -> Result<bool, Departure> {
        let session = &mut self.sessions[slot as usize];
        let payload = match session.input.decoder.next(bytes) {
            Ok(Some(payload)) => payload,
            Ok(None) => return Ok(false),
            Err(error) if room.is_none() => return Err(name_fault(error)),
            Err(error) => return Err(error.into()),
        };
        let Some(room) = room else {
            let name = text::name(payload, self.limits.name_bytes_max)?;
            if self.limits.unique_names
                && let Some(admitted) = &mut session.admitted
            {
                admitted.take_name(name)?;
            }
            session.name = name.into();
            self.join(slot, now);
            return Ok(true);
        };
        if !self.limits.binary {
            text::message(payload)?;
        }
        let frame = frame::broadcast(session.name.as_bytes(), payload);
        let came_as = protocol::HEADER_BYTES + payload.len();
        session.input.throttle.charge(&self.limits, came_as, now);
        debug!(name = %session.name, bytes = payload.len(), "message");
        self.log.append(room, frame, session.id, now);
        self.counters.messages += 1;
        self.others_to_wake = true;
        Ok(true)
    }

    /// A session that has its name becomes a subscriber: it is owed the history, if any is kept, and
    /// every message from then on.
    fn join(&mut self, slot: u32, now: Instant) {
        if self.limits.announce_presence {
            let change = Change::Joined(self.sessions[slot as usize].name.clone());
            self.announce(change, now, |hub, roster| {
                hub.sessions[slot as usize].torn = roster.list();
                hub.enter(slot);
            });
        } else {
            self.enter(slot);
        }
    }

    /// Gives a session its place in the log.
    fn enter(&mut self, slot: u32) {
        self.read_log();
        let session = &mut self.sessions[slot as usize];
        session.input.decoder = Decoder::new(self.limits.message_bytes_max);
        let cursor = self.log.enter();
        let history = self.log.head() - cursor;
        session.phase = Phase::Joined(Subscriber::new(cursor));
        info!(name = %session.name, peer = %session.peer, "joined");
        if history > 0 {
            self.counters.owed += history;
            self.conveyor.wait(slot);
        } else if !session.torn.is_empty() {
            // It is told who is there.
            self.conveyor.wait(slot);
        } else {
            self.conveyor.rest(slot);
        }
        self.subscribers += 1;
        self.counters.joined += 1;
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
            let author = message.author;
            if author.reader != self.log.index() {
                continue;
            }
            if let Some(session) = self.sessions.get_mut(author.connection.slot as usize)
                && session.id == author.connection
                && let Phase::Joined(subscriber) = &mut session.phase
            {
                subscriber.own_ahead += 1;
                self.counters.owed -= 1;
            }
        }
        self.conveyor.wake_all();
    }

    /// Remembers since when a frame is unfinished.
    fn note_unfinished(&mut self, slot: u32, took_frames: bool, now: Instant) {
        let input = &mut self.sessions[slot as usize].input;
        if !input.decoder.is_mid_frame() {
            input.unfinished_since = None;
        } else if took_frames || input.unfinished_since.is_none() {
            input.unfinished_since = Some(now);
            self.sweep_by(now + self.limits.frame_timeout);
        }
    }

    /// Goes on with the sessions whose reading was paused, in turn and a message each, as far as the
    /// log has room.
    fn use_room(&mut self, now: Instant) {
        loop {
            if self.log.takes_back_made_room() {
                if self.log.is_at_rest() {
                    self.spans.forget();
                }
                self.others_to_wake |= self.log.takes_back_wanted();
            }
            let Some(slot) = self.paused.front(0) else {
                return;
            };
            let Some(room) = self.log.reserve(self.room_bytes(slot)) else {
                return;
            };
            self.paused.remove(slot);
            self.go_on_reading(slot, room, now);
        }
    }

    /// Takes the next message out of what a session held back; when nothing is left, it may be read
    /// from again.
    fn go_on_reading(&mut self, slot: u32, room: Reservation, now: Instant) {
        let input = &mut self.sessions[slot as usize].input;
        let bytes = input.held_back.take().unwrap_or_default();
        // The time that we did not read is not the peer's fault.
        input.unfinished_since = None;
        match self.ingest(slot, &bytes, Some(room), now) {
            None if self.is_parting(slot) => {
                self.announce_leave(slot, now);
                self.release(slot);
            }
            None => self.resumed.push_back(self.sessions[slot as usize].id),
            Some((held_back, wait)) => {
                self.hold_back(slot, bytes.slice(bytes.len() - held_back..), wait);
            }
        }
    }

    fn is_parting(&self, slot: u32) -> bool {
        matches!(self.sessions[slot as usize].phase, Phase::Parting)
    }

    fn session_mut(&mut self, id: ConnectionId) -> Option<&mut Session> {
        self.sessions
            .get_mut(id.slot as usize)
            .filter(|session| session.id == id)
    }
}

/// A first frame over the limit is a name that is too long.
fn name_fault(error: protocol::DecodeError) -> Departure {
    match error {
        protocol::DecodeError::TooLong {
            payload_bytes,
            payload_bytes_max,
        } => Departure::Name(NameError::TooLong {
            name_bytes: usize::try_from(payload_bytes).unwrap_or(usize::MAX),
            name_bytes_max: payload_bytes_max,
        }),
        protocol::DecodeError::Header(error) => Departure::Header(error),
    }
}
