//! Intake: what peers say, taken frame by frame as the log has room for it.
//!
//! The first frame of a peer is its name, every later one a message. Before a message is decoded, room
//! for the longest is reserved; where there is none, or its author said too much of late, the bytes are
//! held back and the driver reads nothing more from that peer. What always holds: what was read is
//! taken or held back, never lost; those who wait go on in turn (see [`super::fair_queue`]).

use std::borrow::Cow;
use std::time::Instant;

use bytes::Bytes;
use protocol::{Decoder, MessageError, NameError, frame, text};
use tracing::{debug, info};

use super::closing::CloseReason;
use super::log::Reservation;
use super::presence::Change;
use super::session::{Phase, Subscriber};
use super::{ConnectionId, ControlCharacters, Hub, Limits, Reading, charge};

/// What a session has to wait for before its next message is taken.
#[derive(Debug, Clone, Copy)]
enum Wait {
    /// Its readers have passed some of the log, or caught up with it.
    Room,
    /// It said too much.
    Until(Instant),
}

impl Hub {
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
        let mut why = None;
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
                if self.log.has_much_unread() {
                    // It may be far enough ahead by now.
                    self.read_log();
                }
                continue;
            }
            self.log.gave_room_back();
            why = took.err();
            break;
        }
        self.read_log();
        self.note_unfinished(slot, took_frames, now);
        match why {
            Some(_) if self.is_draining_input(slot) => None,
            Some(why) => {
                self.close(slot, &why, now);
                None
            }
            None => held_back,
        }
    }

    /// Takes one frame; says whether there was a whole one.
    fn take_frame(
        &mut self,
        slot: u32,
        bytes: &mut &[u8],
        room: Option<Reservation>,
        now: Instant,
    ) -> Result<bool, CloseReason> {
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
        let message = relayed(payload, &self.limits)?;
        let frame = frame::broadcast(session.name.as_bytes(), &message);
        let came_as = protocol::HEADER_BYTES + payload.len();
        let charged = charge(frame.len());
        self.paused.charge(&mut session.input.share, charged);
        session.input.throttle.charge(&self.limits, came_as, now);
        debug!(target: "server::message", name = %session.name, bytes = payload.len(), "message");
        self.log.append(room, frame, session.id, now);
        self.counters.messages += 1;
        self.others_to_wake = true;
        Ok(true)
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
        if !self.paused.is_empty() {
            return Err(Wait::Room);
        }
        match self.log.reserve(self.room_bytes(slot)) {
            Some(room) => Ok(Some(room)),
            None => Err(Wait::Room),
        }
    }

    /// What comes next has to wait: keeps `bytes` until then.
    fn hold_back(&mut self, slot: u32, bytes: Bytes, wait: Wait) {
        let input = &mut self.sessions[slot as usize].input;
        input.held_back = Some(bytes);
        match wait {
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

    /// A session that has its name becomes a subscriber: it is owed the history, if any is kept, and
    /// every message from then on.
    fn join(&mut self, slot: u32, now: Instant) {
        if self.limits.announce_presence {
            let change = Change::Joined(self.sessions[slot as usize].name.clone());
            self.announce(change, now, |hub, roster| {
                hub.sessions[slot as usize].partial = roster.list();
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
        let subscriber = Subscriber::new(&mut self.log);
        let history = self.log.head() - subscriber.cursor;
        self.newcomers += u64::from(!subscriber.has_caught_up);
        session.phase = Phase::Joined(subscriber);
        info!(target: "server::session", name = %session.name, peer = %session.peer, "joined");
        if history > 0 {
            self.counters.owed += history;
            self.send_queue.wait(slot);
        } else if !session.partial.is_empty() {
            // It is told who is there.
            self.send_queue.wait(slot);
        } else {
            self.send_queue.rest(slot);
        }
        self.subscribers += 1;
        self.counters.joined += 1;
    }

    /// Remembers since when a frame is unfinished.
    fn note_unfinished(&mut self, slot: u32, took_frames: bool, now: Instant) {
        let served = self.served(now);
        let input = &mut self.sessions[slot as usize].input;
        if !input.decoder.is_mid_frame() {
            input.unfinished_since = None;
        } else if took_frames || input.unfinished_since.is_none() {
            input.unfinished_since = Some(served);
            self.note_deadline(slot, now);
        }
    }
}

/// A first frame over the limit is a name that is too long.
fn name_fault(error: protocol::DecodeError) -> CloseReason {
    match error {
        protocol::DecodeError::TooLong {
            payload_bytes,
            payload_bytes_max,
        } => CloseReason::Name(NameError::TooLong {
            name_bytes: usize::try_from(payload_bytes).unwrap_or(usize::MAX),
            name_bytes_max: payload_bytes_max,
        }),
        protocol::DecodeError::Header(error) => CloseReason::Header(error),
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
