//! Sending: what a subscriber is given next, and what becomes of it.
//!
//! This is the hot path: it runs once for each send, and does no more than a few steps that do not
//! depend on the number of connections, with coalescing and without. `benches/benches/instructions.rs` guards it.

use std::time::Instant;

use bytes::{Buf, Bytes};

use super::closing::Reason;
use super::session::{Content, InFlight, Phase};
use super::{ConnectionId, Hub};

/// Bytes for a driver to send. It has one transmit of a connection at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// To whom.
    pub id: ConnectionId,
    /// Never empty.
    pub bytes: Bytes,
}

impl Hub {
    /// The next send that is due. A driver asks for some tens to hundreds, hands them to the
    /// kernel, sees what came in, and asks again.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        if self.log.is_lagging() {
            // There is enough to send: it gathers no better by waiting.
            self.send_queue.line_up_all();
        }
        if let Some(step) = self.send_queue.next_line_up()
            && step <= self.pace.step(now)
        {
            self.send_queue.line_up(self.pace.step(now));
        }
        while let Some(slot) = self.send_queue.next() {
            if self.is_put_off(slot, now) {
                continue;
            }
            let Some((bytes, content)) = self.next_content(slot, now) else {
                self.go_on(slot, now);
                // It passed its own messages, and may have been the last to.
                self.settle(now);
                continue;
            };
            let turn = self.turn(now);
            let session = &mut self.sessions[slot as usize];
            session.in_flight = Some(InFlight {
                bytes: bytes.clone(),
                since: turn.began,
                content,
            });
            let id = session.id;
            self.note_send(slot, turn);
            return Some(Transmit { id, bytes });
        }
        self.pace.exhausted();
        None
    }

    /// Whether [`Self::poll_transmit`] may have something.
    #[must_use]
    pub fn has_transmits(&self) -> bool {
        self.send_queue.has_waiting()
    }

    /// The kernel took the first `sent` bytes of the connection's transmit.
    ///
    /// # Panics
    /// When it took more than it was given.
    pub fn transmitted(&mut self, id: ConnectionId, sent: usize, now: Instant) {
        let Some(session) = self.session_mut(id) else {
            return;
        };
        let Some(in_flight) = session.in_flight.take() else {
            return;
        };
        assert!(sent <= in_flight.bytes.len(), "more sent than was given");
        session.sent_bytes += sent as u64;
        if sent > 0 {
            session.progress_at = Some(now);
        }
        let is_short = sent < in_flight.bytes.len();
        if is_short {
            session.short_since.get_or_insert(in_flight.since);
        } else if in_flight.content != Content::Partial {
            session.short_since = None;
        }
        self.counters.sends += 1;
        self.counters.short_sends += u64::from(is_short);
        match in_flight.content {
            Content::Batch { messages, end } => {
                self.sent_batch(id.slot, &in_flight, sent, (messages, end), now);
            }
            Content::Detached { messages } => {
                self.sent_detached(id.slot, &in_flight, sent, messages);
            }
            Content::Partial => self.sent_partial(id.slot, sent),
            Content::Reply => self.sent_reply(id.slot, &in_flight.bytes, sent),
            Content::Notice => self.sent_notice(id.slot, sent),
        }
        if sent > 0 {
            self.note_progress(id.slot);
        }
        self.go_on(id.slot, now);
        self.settle(now);
    }

    /// A peer took something: authors wait for it again if that brought it near the head.
    #[inline]
    fn note_progress(&mut self, slot: u32) {
        if let Phase::Joined(subscriber) = &mut self.sessions[slot as usize].phase
            && !subscriber.counts
        {
            let had_caught_up = subscriber.has_caught_up;
            subscriber.take_bytes(&mut self.log);
            self.newcomers -= u64::from(subscriber.has_caught_up && !had_caught_up);
        }
    }

    /// With coalescing: whether a subscriber that is next in line was sent to too short a while ago.
    /// The rest of a partial message is not held up.
    #[inline]
    fn is_put_off(&mut self, slot: u32, now: Instant) -> bool {
        let session = &self.sessions[slot as usize];
        let until = session.put_off_until();
        let is_put_off = until > 0
            && until > self.pace.step(now)
            && session.partial.is_empty()
            && !session.has_replies()
            && !self.is_draining()
            && !self.log.is_lagging()
            && !self.fills_a_batch(slot);
        if is_put_off {
            self.send_queue.put_off(slot, until);
            // From here on it waits for us.
            self.sessions[slot as usize].short_since = None;
        }
        is_put_off
    }

    /// Whether a subscriber is owed as much as one send carries: it gathers no better by waiting.
    fn fills_a_batch(&self, slot: u32) -> bool {
        match &self.sessions[slot as usize].phase {
            Phase::Joined(subscriber) => {
                let backlog_bytes = self.log.backlog_bytes(subscriber.cursor);
                backlog_bytes >= self.limits.batch_bytes_max as u64
            }
            _ => false,
        }
    }

    /// What to send to a connection that waits; `None` when it turns out to be owed nothing.
    #[inline]
    fn next_content(&mut self, slot: u32, now: Instant) -> Option<(Bytes, Content)> {
        let session = &mut self.sessions[slot as usize];
        debug_assert!(session.in_flight.is_none(), "one send at a time");
        let replies = session.replies.as_ref();
        let Phase::Joined(subscriber) = &mut session.phase else {
            return self.next_of_other_content(slot, now);
        };
        let cursor = subscriber.cursor;
        let has_replies = replies.is_some_and(|replies| replies.are_due(cursor));
        if has_replies || subscriber.missed > 0 || !session.partial.is_empty() {
            return self.next_of_other_content(slot, now);
        }
        let batch = if subscriber.own_ahead == 0 {
            self.batches.shared(&self.log, cursor, session.encoding)
        } else {
            let (encoding, own) = (session.encoding, session.id);
            self.batches.without_own(&self.log, cursor, encoding, own)
        };
        let Some(oldest) = batch.oldest else {
            subscriber.advance(&mut self.log, batch.end, 0, now);
            return None;
        };
        subscriber.put_off_until = self.pace.sends(self.subscribers, self.log.head(), now);
        let waited_us = self.waited.micros(oldest, now);
        self.measures.queue_to_wire.record(waited_us);
        let messages = u64::from(batch.messages);
        self.measures.messages_per_send.record(messages);
        let content = Content::Batch {
            messages: batch.messages,
            end: batch.end,
        };
        Some((batch.bytes, content))
    }

    /// As [`Self::next_content`], of what is no batch of messages.
    #[inline(never)]
    fn next_of_other_content(&mut self, slot: u32, now: Instant) -> Option<(Bytes, Content)> {
        let put_off_until = self.pace.sends(self.subscribers, self.log.head(), now);
        let session = &mut self.sessions[slot as usize];
        if !session.partial.is_empty() {
            if let Phase::Joined(subscriber) = &mut session.phase {
                subscriber.put_off_until = put_off_until;
            }
            return Some((session.partial.clone(), Content::Partial));
        }
        match &session.phase {
            Phase::Joined(_) | Phase::Naming { .. } | Phase::Requesting { .. } => {
                Some((self.next_reply(slot)?, Content::Reply))
            }
            Phase::Closing(closing) if !closing.notice.is_empty() => {
                Some((closing.notice.clone(), Content::Notice))
            }
            Phase::Closing(_)
            | Phase::Refused { .. }
            | Phase::Lingering { .. }
            | Phase::DrainingInput { .. }
            | Phase::Released => None,
        }
    }

    /// Accounts for a batch of which `sent` bytes went out.
    #[inline]
    fn sent_batch(
        &mut self,
        slot: u32,
        in_flight: &InFlight,
        sent: usize,
        (messages, end): (u32, u64),
        now: Instant,
    ) {
        let begun = self.sent_messages(slot, in_flight, sent, messages);
        let messages = u64::from(messages);
        let session = &mut self.sessions[slot as usize];
        match &mut session.phase {
            Phase::Joined(subscriber) => {
                let end = if begun == messages {
                    end
                } else {
                    subscriber.after(&self.log, session.id, begun)
                };
                subscriber.advance(&mut self.log, end, begun, now);
            }
            // It left the log while the batch was on its way; what did not go out is given up.
            Phase::Closing(closing) => {
                self.counters.discarded[closing.reason] += messages - begun;
            }
            Phase::Naming { .. }
            | Phase::Refused { .. }
            | Phase::Requesting { .. }
            | Phase::Lingering { .. }
            | Phase::DrainingInput { .. }
            | Phase::Released => {}
        }
    }

    /// Accounts for a batch that its receiver skipped while it was on its way.
    fn sent_detached(&mut self, slot: u32, in_flight: &InFlight, sent: usize, messages: u32) {
        let begun = self.sent_messages(slot, in_flight, sent, messages);
        let missed = u64::from(messages) - begun;
        match &mut self.sessions[slot as usize].phase {
            Phase::Joined(subscriber) => {
                subscriber.missed += missed;
                self.counters.discarded[Reason::Skipped] += missed;
            }
            Phase::Closing(closing) => self.counters.discarded[closing.reason] += missed,
            Phase::Naming { .. }
            | Phase::Refused { .. }
            | Phase::Requesting { .. }
            | Phase::Lingering { .. }
            | Phase::DrainingInput { .. }
            | Phase::Released => {}
        }
    }

    /// Counts what went out of `messages`, and keeps the rest of one that was partial; returns how many
    /// went out, whole or in part.
    #[inline]
    fn sent_messages(
        &mut self,
        slot: u32,
        in_flight: &InFlight,
        sent: usize,
        messages: u32,
    ) -> u64 {
        let session = &mut self.sessions[slot as usize];
        let mut whole = u64::from(messages);
        let mut begun = whole;
        if sent < in_flight.bytes.len() {
            (whole, session.partial) = in_flight.split_at(sent, session.encoding);
            session.partial_is_message = true;
            begun = whole + u64::from(!session.partial.is_empty());
        }
        session.sent_messages += whole;
        self.counters.count_delivered(session.encoding, whole);
        begun
    }

    /// Accounts for the rest of a partial frame.
    fn sent_partial(&mut self, slot: u32, sent: usize) {
        let session = &mut self.sessions[slot as usize];
        session.partial.advance(sent);
        if session.partial.is_empty() {
            session.partial = Bytes::new();
            let whole = u64::from(session.partial_is_message);
            session.sent_messages += whole;
            self.counters.count_delivered(session.encoding, whole);
        }
    }

    fn sent_notice(&mut self, slot: u32, sent: usize) {
        if let Phase::Closing(closing) = &mut self.sessions[slot as usize].phase {
            closing.notice.advance(sent);
        }
    }

    /// Puts a connection that has nothing on its way where it belongs.
    #[inline]
    fn go_on(&mut self, slot: u32, now: Instant) {
        let session = &mut self.sessions[slot as usize];
        match &session.phase {
            Phase::Joined(subscriber) => {
                let owed = subscriber.cursor < self.log.head() || subscriber.missed > 0;
                let replies = session.replies.is_some() && session.has_replies();
                if owed || !session.partial.is_empty() || replies {
                    self.send_queue.wait(slot);
                } else if self.says_goodbye {
                    self.close(slot, &super::CloseReason::Shutdown, now);
                } else {
                    session.short_since = None;
                    self.send_queue.rest(slot);
                }
            }
            Phase::Closing(closing) => {
                if session.partial.is_empty() && closing.notice.is_empty() {
                    self.linger(slot, now);
                } else {
                    self.send_queue.wait(slot);
                }
            }
            Phase::Naming { .. } | Phase::Requesting { .. } => {
                if !session.partial.is_empty() || session.has_replies() {
                    self.send_queue.wait(slot);
                }
            }
            Phase::Refused { .. }
            | Phase::Lingering { .. }
            | Phase::DrainingInput { .. }
            | Phase::Released => {}
        }
    }
}
