//! Replies: what is said to one peer alone, beside messages: answers to requests, what a newcomer is told,
//! that its own message has its place, pings and pongs.
//!
//! They go out between two messages, before the next. `accepted` waits until the peer has been sent all
//! messages before its own, so that whoever resumes behind the last position that it was told misses
//! nothing, and gets nothing twice. What always holds: what a peer makes us keep is bounded. A pong takes the place of the one
//! before, and of one that asks or speaks and does not take the answers nothing more is read.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::log::Reader;
use super::session::Phase;
use super::{Hub, Limits};
use crate::wire::{self, Encoding};

/// With so many bytes of answers that did not go out, a peer is not read from.
const READY_BYTES_MAX: usize = 4 * 1024;

/// With so many messages of its own that it has yet to be told of, neither.
const ACCEPTED_MAX: usize = 4096;

/// Of what was accepted, so much is told at a time.
const ACCEPTED_AT_ONCE: usize = 256;

/// What is said to one peer alone.
#[derive(Debug, Default)]
pub(super) struct Replies {
    /// What goes out next.
    ready: Bytes,
    pong: Bytes,
    /// Its own messages that it is to be told of, by their number in the log, with the number that it gave.
    accepted: VecDeque<(u64, u64)>,
    /// What it sent is held back until some of `ready` went out.
    pub(super) holds_input: bool,
    /// When it is to be looked at whether it needs a ping.
    ping_at: Option<Instant>,
}

/// Subscribers that are sent pings, by when they are looked at.
#[derive(Debug, Default)]
pub(super) struct Pings(BTreeSet<(Instant, u32)>);

impl Replies {
    /// Whether something is to be said to a peer whose cursor stands here.
    #[inline]
    pub(super) fn are_due(&self, cursor: u64) -> bool {
        let accepted = self.accepted.front();
        !self.ready.is_empty()
            || !self.pong.is_empty()
            || accepted.is_some_and(|&(number, _)| number < cursor)
    }

    /// Whether the peer is not read from until it has taken some of it.
    pub(super) fn are_full(&self) -> bool {
        self.ready.len() >= READY_BYTES_MAX || self.accepted.len() >= ACCEPTED_MAX
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        self.ready = if self.ready.is_empty() {
            bytes
        } else {
            [&self.ready[..], &bytes].concat().into()
        };
    }

    /// Says `bytes` instead of what was said so before and did not go out.
    pub(super) fn push_pong(&mut self, bytes: Bytes) {
        self.pong = bytes;
    }

    /// Its message has this number in the log, and it gave it `id`.
    pub(super) fn push_accepted(&mut self, number: u64, id: u64) {
        self.accepted.push_back((number, id));
    }

    /// All that does not depend on messages.
    pub(super) fn take_ready(&mut self) -> Bytes {
        let pong = std::mem::take(&mut self.pong);
        self.push(pong);
        std::mem::take(&mut self.ready)
    }

    /// Which of its messages were accepted, as far as it has what is before them. Of those that lie before
    /// others that it was sent, it is told the place behind these: whoever goes on behind the last position
    /// that it was told is sent nothing twice.
    fn take_accepted(&mut self, log: &Reader, cursor: u64, encoding: Encoding) -> Bytes {
        let mut sent_to = None;
        let mut bytes = BytesMut::new();
        for _ in 0..ACCEPTED_AT_ONCE {
            let Some((number, id)) = self.accepted.pop_front_if(|&mut (it, _)| it < cursor) else {
                break;
            };
            let sent_to = *sent_to.get_or_insert_with(|| self.sent_to(cursor));
            let position = log.position(sent_to.max(number + 1));
            bytes.extend_from_slice(&wire::accepted(encoding, id, position));
        }
        bytes.freeze()
    }

    /// The place before those of its accepted messages that no other follows before `cursor`.
    fn sent_to(&self, cursor: u64) -> u64 {
        let due = self.accepted.iter().rev().map(|&(number, _)| number);
        due.skip_while(|&number| number >= cursor)
            .fold(
                cursor,
                |place, number| {
                    if number + 1 == place { number } else { place }
                },
            )
    }

    fn are_none(&self) -> bool {
        self.ready.is_empty()
            && self.pong.is_empty()
            && self.accepted.is_empty()
            && self.ping_at.is_none()
            && !self.holds_input
    }
}

impl Hub {
    /// Says `bytes` to one peer, before the next message.
    pub(super) fn reply(&mut self, slot: u32, bytes: Bytes) {
        let session = &mut self.sessions[slot as usize];
        session.replies.get_or_insert_default().push(bytes);
        self.line_up_to_reply(slot);
    }

    /// There may be something to say to a peer: it waits in line if nothing is on its way to it.
    pub(super) fn line_up_to_reply(&mut self, slot: u32) {
        let session = &self.sessions[slot as usize];
        if session.is_in_use() && session.in_flight.is_none() && session.has_replies() {
            self.send_queue.remove(slot);
            self.send_queue.wait(slot);
        }
    }

    /// What is to be said now to a peer that is not on its way out, beside messages.
    pub(super) fn next_reply(&mut self, slot: u32) -> Option<Bytes> {
        let session = &mut self.sessions[slot as usize];
        let encoding = session.encoding;
        if let Some(replies) = &mut session.replies {
            let ready = replies.take_ready();
            if !ready.is_empty() {
                return Some(ready);
            }
        }
        let Phase::Joined(subscriber) = &mut session.phase else {
            return None;
        };
        let cursor = subscriber.cursor;
        if subscriber.missed > 0 {
            let missed = std::mem::take(&mut subscriber.missed);
            return Some(wire::missed(encoding, missed, self.log.position(cursor)));
        }
        let replies = session.replies.as_mut()?;
        let accepted = replies.take_accepted(&self.log, cursor, encoding);
        (!accepted.is_empty()).then_some(accepted)
    }

    /// The kernel took `sent` bytes of a reply; the rest of it goes out before anything else.
    pub(super) fn sent_reply(&mut self, slot: u32, reply: &Bytes, sent: usize) {
        let session = &mut self.sessions[slot as usize];
        session.partial = reply.slice(sent..);
        session.partial_is_message = false;
        let Some(replies) = &mut session.replies else {
            return;
        };
        let goes_on = !replies.are_full() && std::mem::take(&mut replies.holds_input);
        if goes_on && session.input.held_back.is_some() {
            self.paused.wait(slot, &mut session.input.share);
        }
        if replies.are_none() {
            session.replies = None;
        }
    }

    /// Sends pings to those who were sent nothing for as long as the limits say.
    pub(super) fn send_pings(&mut self, now: Instant) {
        while let Some(&(at, slot)) = self.pings.0.first()
            && at <= now
        {
            let session = &mut self.sessions[slot as usize];
            let busy_at = session.progress_at.unwrap_or(session.accepted_at);
            let due = busy_at + self.limits.websocket_ping;
            if due > now {
                self.schedule_ping(slot, due);
                continue;
            }
            if session.in_flight.is_none() {
                let ping = wire::ping(session.encoding);
                self.reply(slot, ping);
            }
            self.schedule_ping(slot, now + self.limits.websocket_ping);
        }
    }

    /// Has a subscriber looked at when it may need a ping.
    pub(super) fn schedule_ping(&mut self, slot: u32, at: Instant) {
        self.cancel_ping(slot);
        if self.limits.websocket_ping < Limits::FOREVER {
            self.pings.0.insert((at, slot));
            let session = &mut self.sessions[slot as usize];
            session.replies.get_or_insert_default().ping_at = Some(at);
        }
    }

    /// A subscriber needs no ping any more.
    pub(super) fn cancel_ping(&mut self, slot: u32) {
        let session = &mut self.sessions[slot as usize];
        if let Some(replies) = &mut session.replies
            && let Some(at) = replies.ping_at.take()
        {
            self.pings.0.remove(&(at, slot));
        }
    }

    /// As the limits say from now on.
    pub(super) fn schedule_all_pings(&mut self, now: Instant) {
        let needs_ping = |(_, it): (usize, &super::Session)| {
            let is_joined = matches!(it.phase, Phase::Joined(_));
            (is_joined && it.encoding != Encoding::Frames).then_some(it.id.slot)
        };
        let slots: Vec<u32> = self.sessions.iter().filter_map(needs_ping).collect();
        for slot in slots {
            self.schedule_ping(slot, now + self.limits.websocket_ping);
        }
    }
}

impl Pings {
    /// When somebody is looked at next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.first().map(|&(at, _)| at)
    }
}
