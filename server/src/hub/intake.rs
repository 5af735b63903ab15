//! Intake: what peers say, taken event by event as the log has room for it.
//!
//! A peer's wire says what its bytes mean. Before a message is decoded, room for the longest is reserved;
//! where there is none, or its author said too much of late, the bytes are held back and the driver reads
//! nothing more from that peer. What always holds: what was read is taken or held back, never lost; those
//! who wait go on in turn (see [`super::fair_queue`]).

use std::borrow::Cow;
use std::time::Instant;

use bytes::Bytes;
use protocol::{MessageError, Position, frame, text};
use tracing::{debug, info};

use super::closing::CloseReason;
use super::log::Reservation;
use super::presence::Change;
use super::session::{Phase, Subscriber};
use super::snapshot::Wire;
use super::{ConnectionId, ControlCharacters, Disconnect, Hub, Limits, Reading, charge};
use crate::wire::{self, Encoding, End, Entry, Event};

/// What a session has to wait for before its next message is taken.
#[derive(Debug, Clone, Copy)]
enum Wait {
    /// Its readers have passed some of the log, or caught up with it.
    Room,
    /// It said too much.
    Until(Instant),
    /// It has to take answers first.
    Replies,
}

/// How a session ends by what it said.
struct Ending {
    why: CloseReason,
    /// The last that it is told; `None` for what its wire says to this reason.
    notice: Option<Bytes>,
}

impl From<CloseReason> for Ending {
    fn from(why: CloseReason) -> Self {
        Self { why, notice: None }
    }
}

impl Hub {
    /// Bytes came from a peer. All of them are taken.
    pub fn receive(&mut self, id: ConnectionId, bytes: &[u8], now: Instant) -> Reading {
        let draining = self.is_draining();
        let Some(session) = self.session_mut(id) else {
            return Reading::Continue;
        };
        match session.phase {
            Phase::Naming { .. } | Phase::Requesting { .. } | Phase::Joined(_) if !draining => {}
            Phase::Refused { .. } => {
                self.refuse_in_its_words(id.slot, bytes, now);
                self.count_input(id.slot);
                self.keep_input_budget(now);
                self.settle(now);
                return Reading::Continue;
            }
            // Whoever is on the way out is not listened to; that its bytes are read
            // keeps the close from destroying what it was sent.
            _ => return Reading::Continue,
        }
        if let Some(held_back) = &mut session.input.held_back {
            // It was read before the driver heard of the pause.
            *held_back = [held_back, bytes].concat().into();
            self.count_input(id.slot);
            self.keep_input_budget(now);
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
        self.count_input(id.slot);
        self.keep_input_budget(now);
        self.settle(now);
        reading
    }

    /// The next connection that may be read from again.
    pub fn poll_resume(&mut self) -> Option<ConnectionId> {
        self.resumed.pop_front()
    }

    /// Takes events out of what a peer sent, as long as the log has room for what they may be;
    /// `room` is for the first. Returns how many bytes, at the end, are to be held back, and for what.
    fn ingest(
        &mut self,
        slot: u32,
        mut bytes: &[u8],
        room: Option<Reservation>,
        now: Instant,
    ) -> Option<(usize, Wait)> {
        let mut room = room.map(|room| Ok(Some(room)));
        let mut took_events = false;
        let mut ending = None;
        let mut held_back = None;
        while !bytes.is_empty() {
            let mut room = match room.take().unwrap_or_else(|| self.room_for_next(slot, now)) {
                Ok(room) => room,
                Err(wait) => {
                    held_back = Some((bytes.len(), wait));
                    break;
                }
            };
            let took = self.take_event(slot, &mut bytes, &mut room, now);
            if room.take().is_some() {
                self.log.gave_room_back();
            }
            if let Ok(true) = took {
                let wire = &self.sessions[slot as usize].input.wire;
                took_events = took_events || !wire.is_between_fragments();
                if self.log.has_much_unread() {
                    // It may be far enough ahead by now.
                    self.read_log();
                }
                continue;
            }
            let wire = &self.sessions[slot as usize].input.wire;
            if took.is_ok() && wire.may_be_message() && self.log.lags_now() {
                // The rest of a message waits like one: what does not come at once is not little.
                held_back = Some((0, Wait::Room));
            }
            ending = took.err();
            break;
        }
        self.read_log();
        self.sessions[slot as usize].input.wire.release_event();
        self.note_unfinished(slot, took_events, now);
        match ending {
            Some(_) if self.is_draining_input(slot) => None,
            Some(Ending { why, notice }) => {
                match notice {
                    None => self.close(slot, &why, now),
                    Some(notice) => self.close_with(slot, &why, notice, now),
                }
                None
            }
            None => held_back,
        }
    }

    /// Takes one event; says whether there was a whole one. A message takes the room.
    fn take_event(
        &mut self,
        slot: u32,
        bytes: &mut &[u8],
        room: &mut Option<Reservation>,
        now: Instant,
    ) -> Result<bool, Ending> {
        let session = &mut self.sessions[slot as usize];
        match session.input.wire.next(bytes, &self.rules) {
            Ok(Some(Event::Message { text, id })) => {
                let message = relayed(text, &self.limits)?;
                let frame = frame::broadcast(session.name.as_bytes(), &message);
                let came_as = protocol::HEADER_BYTES + text.len();
                let wire = session.encoding.into();
                let number = self.append(slot, frame, room.take(), (came_as, wire), now);
                if let Some(id) = id {
                    let session = &mut self.sessions[slot as usize];
                    let replies = session.replies.get_or_insert_default();
                    replies.push_accepted(number, id);
                }
                Ok(true)
            }
            Ok(None) => Ok(false),
            Ok(Some(Event::Join { .. }))
                if matches!(session.phase, Phase::DrainingInput { .. }) =>
            {
                Err(CloseReason::Left.into())
            }
            Ok(Some(Event::Join { name, after, reply })) => {
                let name: Box<str> = name.into();
                let encoding = session.input.wire.encoding();
                // Who only listens, and gives no name, has none that others could want.
                let is_named = encoding != Encoding::Events || !name.is_empty();
                if self.limits.unique_names
                    && is_named
                    && let Some(admitted) = &mut session.admitted
                    && let Err(why) = admitted.take_name(&name)
                {
                    let notice = session.input.wire.closing(why.code(), &why.to_string());
                    let notice = Some([reply, notice].concat().into());
                    return Err(Ending { why, notice });
                }
                session.name = name;
                session.encoding = encoding;
                if !reply.is_empty() {
                    self.reply(slot, reply);
                }
                self.join(slot, after, now);
                Ok(true)
            }
            Ok(Some(Event::Post {
                name,
                text,
                keep_alive,
            })) => {
                if self.limits.unique_names && self.admission.is_taken(name) {
                    return Err(CloseReason::NameTaken.into());
                }
                let message = relayed(text, &self.limits)?;
                let frame = frame::broadcast(name.as_bytes(), &message);
                let came_as = protocol::HEADER_BYTES + text.len();
                if *session.name != *name {
                    session.name = name.into();
                }
                let number = self.append(slot, frame, room.take(), (came_as, Wire::Http), now);
                let position = self.log.position(number + 1);
                let answer = self.sessions[slot as usize].input.wire.posted(position);
                let end = if keep_alive { End::No } else { End::Served };
                self.answer(slot, answer, end, now)
            }
            Ok(Some(Event::Reply { bytes: reply, end })) => {
                if session.encoding == Encoding::WebSocket {
                    // Who says nothing but pings is not listened to more often than who speaks.
                    let said_as = protocol::HEADER_BYTES;
                    session.input.throttle.charge(&self.limits, said_as, now);
                }
                self.answer(slot, reply, end, now)
            }
            Ok(Some(Event::Left { reply })) => Err(Ending {
                why: CloseReason::Left,
                notice: Some(reply),
            }),
            Err(fault) => Err(CloseReason::from(fault).into()),
        }
    }

    /// Appends what a session said, which `came_as` so many bytes over a wire; returns its number.
    #[inline]
    fn append(
        &mut self,
        slot: u32,
        frame: Bytes,
        room: Option<Reservation>,
        (came_as, wire): (usize, Wire),
        now: Instant,
    ) -> u64 {
        let session = &mut self.sessions[slot as usize];
        let room = room.expect("room is reserved for what may be a message");
        let charged = charge(frame.len());
        self.paused.charge(&mut session.input.share, charged);
        session.input.throttle.charge(&self.limits, came_as, now);
        session
            .input
            .throttle
            .count_log_bytes(&self.limits, charged, now);
        debug!(target: "server::message", name = %session.name, bytes = came_as - protocol::HEADER_BYTES, "message");
        let author = (session.id, wire != Wire::Http);
        let number = self.log.append(room, frame, author, now);
        self.counters.messages += 1;
        self.counters.wires[wire].messages += 1;
        self.others_to_wake = true;
        number
    }

    /// Answers what a session asked for.
    fn answer(&mut self, slot: u32, reply: Bytes, end: End, now: Instant) -> Result<bool, Ending> {
        let why = match end {
            End::No => {
                self.answer_and_go_on(slot, reply, now);
                return Ok(true);
            }
            End::Served => CloseReason::Answered,
            End::Refused(status) => CloseReason::RequestRefused { status },
        };
        self.begin_requests(slot, now);
        Err(Ending {
            why,
            notice: Some(reply),
        })
    }

    fn answer_and_go_on(&mut self, slot: u32, reply: Bytes, now: Instant) {
        let session = &mut self.sessions[slot as usize];
        if !session.is_in_use() {
            return;
        }
        let before = session.encoding;
        session.encoding = session.input.wire.encoding();
        if session.encoding == Encoding::Frames {
            self.begin_requests(slot, now);
        }
        if reply.is_empty() {
            return;
        }
        let session = &mut self.sessions[slot as usize];
        let replies = session.replies.get_or_insert_default();
        if before == Encoding::WebSocket {
            replies.push_pong(reply);
        } else {
            replies.push(reply);
        }
        self.line_up_to_reply(slot);
    }

    /// A session has asked for something by HTTP that makes it no subscriber.
    fn begin_requests(&mut self, slot: u32, now: Instant) {
        let since = self.served(now);
        let phase = &mut self.sessions[slot as usize].phase;
        match phase {
            Phase::Requesting { since: last } => *last = since,
            Phase::Naming { .. } => {
                *phase = Phase::Requesting { since };
                self.counters.wires[Wire::Http].begin();
            }
            _ => return,
        }
        self.note_deadline(slot, now);
    }

    /// One for whom there is no place has shown which protocol it speaks, or not yet.
    fn refuse_in_its_words(&mut self, slot: u32, mut bytes: &[u8], now: Instant) {
        let session = &mut self.sessions[slot as usize];
        let event = session.input.wire.next(&mut bytes, &self.rules);
        let reply = match event {
            Ok(None) => {
                if session.input.wire.is_web() {
                    return;
                }
                Bytes::new()
            }
            Ok(Some(
                Event::Join { reply, .. }
                | Event::Reply {
                    bytes: reply,
                    end: End::No,
                },
            )) => reply,
            _ => Bytes::new(),
        };
        session.encoding = session.input.wire.encoding();
        let Phase::Refused { why, .. } = &session.phase else {
            unreachable!("only one that is refused is told so");
        };
        let why = why.clone();
        let notice = session.input.wire.closing(why.code(), &why.to_string());
        self.close_with(slot, &why, [reply, notice].concat().into(), now);
    }

    /// What the next event of a session needs in the log: room for the longest message, if it may be
    /// one. Those who wait for room come first.
    fn room_for_next(&self, slot: u32, now: Instant) -> Result<Option<Reservation>, Wait> {
        let session = &self.sessions[slot as usize];
        if let Some(replies) = &session.replies
            && replies.are_full()
        {
            return Err(Wait::Replies);
        }
        if !session.input.wire.may_be_message() {
            return Ok(None);
        }
        if let Some(until) = session.input.throttle.wait(&self.limits, now) {
            return Err(Wait::Until(until));
        }
        let room_bytes = self.room_bytes(slot);
        if self.paused.is_empty()
            && let Some(room) = self.log.reserve(room_bytes)
        {
            return Ok(Some(room));
        }
        // Those who flood wait for most of their readers; who says little does not wait with them.
        if self.log.lags_now()
            && session.input.throttle.is_light(&self.limits, now)
            && let Some(room) = self.log.reserve_ahead(room_bytes)
        {
            return Ok(Some(room));
        }
        Err(Wait::Room)
    }

    /// What comes next has to wait: keeps `bytes` until then.
    fn hold_back(&mut self, slot: u32, bytes: Bytes, wait: Wait) {
        let session = &mut self.sessions[slot as usize];
        let input = &mut session.input;
        input.held_back = Some(bytes);
        match wait {
            Wait::Replies => {
                let replies = session.replies.get_or_insert_default();
                replies.holds_input = true;
            }
            Wait::Room => self.paused.wait(slot, &mut input.share),
            Wait::Until(until) => {
                input.throttle.until = Some(until);
                self.throttled.insert(until, slot);
                self.counters.throttled += 1;
            }
        }
    }

    /// Goes on with the sessions whose reading was paused, in turn, as far as the log has room.
    pub(super) fn use_room(&mut self, now: Instant) {
        let mut may_drop = true;
        loop {
            if self.log.take_made_room() {
                if self.log.is_at_rest() {
                    self.batches.forget();
                }
                self.others_to_wake |= self.log.take_wanted();
            }
            let Some(slot) = self.paused.first() else {
                return;
            };
            let Some(room) = self.log.reserve(self.room_bytes(slot)) else {
                if std::mem::take(&mut may_drop) {
                    self.drop_the_hindmost(now);
                    continue;
                }
                return;
            };
            may_drop = true;
            let input = &mut self.sessions[slot as usize].input;
            self.paused.remove(slot, &mut input.share);
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
            None if self.is_draining_input(slot) => self.end_input(slot, now),
            None if self.sessions[slot as usize].has_ended => {
                self.lose(slot, Disconnect::EndOfStream, now);
            }
            None => self.resumed.push_back(self.sessions[slot as usize].id),
            Some((held_back, wait)) => {
                // What was taken is not kept for what was not.
                let rest = Bytes::copy_from_slice(&bytes[bytes.len() - held_back..]);
                let rest = match 2 * held_back > bytes.len() {
                    true => bytes.slice(bytes.len() - held_back..),
                    false => rest,
                };
                self.hold_back(slot, rest, wait);
            }
        }
        self.count_input(slot);
    }

    /// Those who said too much and have waited for it queue for room.
    pub(super) fn lift_throttles(&mut self, now: Instant) {
        while let Some(slot) = self.throttled.pop(now) {
            let input = &mut self.sessions[slot as usize].input;
            input.throttle.until = None;
            self.paused.wait(slot, &mut input.share);
        }
    }

    /// A session that has its name becomes a subscriber: it is owed what came after the position that it
    /// has, or the history, if any is kept, and every message from then on.
    fn join(&mut self, slot: u32, after: Option<Position>, now: Instant) {
        if self.limits.announce_presence {
            let change = Change::Joined(self.sessions[slot as usize].name.clone());
            self.announce(change, now, |hub, roster| {
                if hub.enter(slot, after, now) {
                    // It knows who was there, and is sent who came and went since.
                    return;
                }
                let encoding = hub.sessions[slot as usize].encoding;
                let entry = Entry::Presence(roster.list());
                let list = wire::encode(encoding, &entry, hub.log.position(hub.log.head()));
                hub.reply(slot, list);
            });
        } else {
            self.enter(slot, after, now);
        }
    }

    /// Gives a session its place in the log; says whether it goes on where it had got to.
    fn enter(&mut self, slot: u32, after: Option<Position>, now: Instant) -> bool {
        self.read_log();
        let session = &mut self.sessions[slot as usize];
        let from = after.and_then(|position| self.log.cursor_at(position));
        let subscriber = Subscriber::new(&mut self.log, from);
        let (cursor, encoding) = (subscriber.cursor, session.encoding);
        let history = self.log.head() - cursor;
        self.newcomers += u64::from(!subscriber.has_caught_up);
        if let Phase::Requesting { .. } = session.phase {
            self.counters.wires[Wire::Http].in_use -= 1;
        }
        session.phase = Phase::Joined(subscriber);
        info!(target: "server::session", name = %session.name, peer = %session.peer, "joined");
        let is_answered = session.replies.is_some() || !session.partial.is_empty();
        if is_answered {
            self.send_queue.remove(slot);
        }
        if session.in_flight.is_some() {
            // It goes on when it has the answer to its request, for which it has as long as for any send.
            self.note_deadline(slot, now);
        } else if history > 0 || is_answered {
            self.send_queue.wait(slot);
        } else {
            self.send_queue.rest(slot);
        }
        self.counters.owed += history;
        self.subscribers += 1;
        self.counters.joined += 1;
        self.counters.wires[encoding.into()].begin();
        if encoding != Encoding::Frames {
            self.greet(slot, cursor, from.is_some(), now);
        }
        from.is_some()
    }

    /// Tells a newcomer where it stands, in a wire that has words for it.
    fn greet(&mut self, slot: u32, cursor: u64, resumed: bool, now: Instant) {
        let session = &self.sessions[slot as usize];
        let position = self.log.position(cursor);
        let joined = wire::joined(session.encoding, &session.name, position, resumed);
        self.reply(slot, joined);
        self.schedule_ping(slot, now + self.limits.websocket_ping);
    }

    /// Remembers since when a frame is unfinished.
    fn note_unfinished(&mut self, slot: u32, took_events: bool, now: Instant) {
        let served = self.served(now);
        let input = &mut self.sessions[slot as usize].input;
        if !input.wire.is_unfinished() {
            input.unfinished_since = None;
        } else if took_events || input.unfinished_since.is_none() {
            input.unfinished_since = Some(served);
            self.note_deadline(slot, now);
        }
    }
}

/// What is relayed of a message that came.
fn relayed<'a>(payload: &'a [u8], limits: &Limits) -> Result<Cow<'a, [u8]>, CloseReason> {
    if limits.binary {
        return Ok(payload.into());
    }
    let message = text::message(payload)?;
    match limits.control_characters {
        ControlCharacters::Pass => Ok(payload.into()),
        ControlCharacters::Refuse => match text::control_character(message) {
            Some(character) => Err(MessageError::Control { character }.into()),
            None => Ok(payload.into()),
        },
        ControlCharacters::Replace => match text::without_control_characters(message) {
            Cow::Borrowed(message) => Ok(message.as_bytes().into()),
            // It has become longer, and room was reserved for the longest.
            Cow::Owned(message) if message.len() > limits.message_bytes_max => {
                Err(CloseReason::MessageTooLong {
                    payload_bytes: message.len() as u64,
                    payload_bytes_max: limits.message_bytes_max,
                })
            }
            Cow::Owned(message) => Ok(message.into_bytes().into()),
        },
    }
}
