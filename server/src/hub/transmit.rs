//! Sending: what a subscriber is given next, and what becomes of it.
//!
//! This is the hot path: it runs once for each send, and does no more than a few steps that do not
//! depend on the number of connections. `benches/benches/hub.rs` guards it.

use std::time::Instant;

use bytes::{Buf, Bytes};

use super::departure::Reason;
use super::session::{Content, InFlight, Phase};
use super::slow::skip_notice;
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
            self.conveyor.line_up_all();
        }
        self.conveyor.line_up(now);
        while let Some(slot) = self.conveyor.next() {
            if self.is_put_off(slot, now) {
                continue;
            }
            let Some((bytes, content)) = self.next_content(slot, now) else {
                self.go_on(slot, now);
                // It passed its own messages, and may have been the last to.
                self.use_room(now);
                continue;
            };
            let session = &mut self.sessions[slot as usize];
            session.in_flight = Some(InFlight {
                bytes: bytes.clone(),
                since: now,
                content,
            });
            let id = session.id;
            let put_off_until = self.pace.sends(self.subscribers, self.log.head(), now);
            if let Phase::Joined(subscriber) = &mut session.phase {
                subscriber.put_off_until = put_off_until;
            }
            self.sweep_for_send(now);
            return Some(Transmit { id, bytes });
        }
        self.pace.exhausted();
        None
    }

    /// Whether [`Self::poll_transmit`] may have something.
    #[must_use]
    pub fn has_transmits(&self) -> bool {
        self.conveyor.has_waiting()
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
        self.counters.sends += 1;
        self.counters.short_sends += u64::from(sent < in_flight.bytes.len());
        if sent > 0
            && let Phase::Joined(subscriber) = &mut self.sessions[id.slot as usize].phase
        {
            subscriber.take_bytes(&mut self.log);
        }
        match in_flight.content {
            Content::Span { messages, end } => {
                self.sent_span(id.slot, &in_flight, sent, (messages, end), now);
            }
            Content::Detached { messages } => {
                self.sent_detached(id.slot, &in_flight, sent, messages);
            }
            Content::Torn => self.sent_torn(id.slot, sent),
            Content::SkipNotice => {
                let session = &mut self.sessions[id.slot as usize];
                session.torn = in_flight.bytes.slice(sent..);
                session.torn_is_message = false;
            }
            Content::Notice => self.sent_notice(id.slot, sent),
        }
        self.go_on(id.slot, now);
        self.use_room(now);
    }

    /// With coalescing: whether a subscriber that is next in line was sent to too short a while ago.
    /// The rest of a torn message is not held up.
    #[inline]
    fn is_put_off(&mut self, slot: u32, now: Instant) -> bool {
        let session = &self.sessions[slot as usize];
        match session.put_off_until() {
            Some(until)
                if until > now
                    && session.torn.is_empty()
                    && !self.is_draining()
                    && !self.log.is_lagging() =>
            {
                self.conveyor.put_off(slot, until);
                true
            }
            _ => false,
        }
    }

    /// What to send to a connection that waits; `None` when it turns out to be owed nothing.
    #[inline]
    fn next_content(&mut self, slot: u32, now: Instant) -> Option<(Bytes, Content)> {
        let session = &mut self.sessions[slot as usize];
        debug_assert!(session.in_flight.is_none(), "one send at a time");
        if !session.torn.is_empty() {
            return Some((session.torn.clone(), Content::Torn));
        }
        match &mut session.phase {
            Phase::Joined(subscriber) => {
                if subscriber.missed > 0 {
                    let missed = std::mem::take(&mut subscriber.missed);
                    return Some((skip_notice(missed), Content::SkipNotice));
                }
                let cursor = subscriber.cursor;
                let span = if subscriber.own_ahead == 0 {
                    self.spans.shared(&self.log, cursor)
                } else {
                    self.spans.without_own(&self.log, cursor, session.id)
                };
                let Some(oldest) = span.oldest else {
                    subscriber.advance(&mut self.log, span.end, 0, now);
                    return None;
                };
                let waited_us = self.waited.micros(oldest, now);
                self.measures.queue_to_wire.record(waited_us);
                let messages = u64::from(span.messages);
                self.measures.messages_per_send.record(messages);
                let content = Content::Span {
                    messages: span.messages,
                    end: span.end,
                };
                Some((span.bytes, content))
            }
            Phase::Farewell(farewell) if !farewell.notice.is_empty() => {
                Some((farewell.notice.clone(), Content::Notice))
            }
            Phase::Naming { .. }
            | Phase::Farewell(_)
            | Phase::Lingering { .. }
            | Phase::Parting
            | Phase::Released => None,
        }
    }

    /// Accounts for a span of which `sent` bytes went out.
    #[inline]
    fn sent_span(
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
            // It left the log while the span was on its way; what did not go out is given up.
            Phase::Farewell(farewell) => {
                self.counters.discarded[farewell.reason] += messages - begun;
            }
            Phase::Naming { .. } | Phase::Lingering { .. } | Phase::Parting | Phase::Released => {}
        }
    }

    /// Accounts for a span that its receiver skipped while it was on its way.
    fn sent_detached(&mut self, slot: u32, in_flight: &InFlight, sent: usize, messages: u32) {
        let begun = self.sent_messages(slot, in_flight, sent, messages);
        let missed = u64::from(messages) - begun;
        match &mut self.sessions[slot as usize].phase {
            Phase::Joined(subscriber) => {
                subscriber.missed += missed;
                self.counters.discarded[Reason::Skipped] += missed;
            }
            Phase::Farewell(farewell) => self.counters.discarded[farewell.reason] += missed,
            Phase::Naming { .. } | Phase::Lingering { .. } | Phase::Parting | Phase::Released => {}
        }
    }

    /// Counts what went out of `messages`, and keeps the rest of one that was torn; returns how many
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
            (whole, session.torn) = in_flight.tear(sent);
            session.torn_is_message = true;
            begun = whole + u64::from(!session.torn.is_empty());
        }
        session.sent_messages += whole;
        self.counters.delivered += whole;
        begun
    }

    /// Accounts for the rest of a torn frame.
    fn sent_torn(&mut self, slot: u32, sent: usize) {
        let session = &mut self.sessions[slot as usize];
        session.torn.advance(sent);
        if session.torn.is_empty() {
            session.torn = Bytes::new();
            let whole = u64::from(session.torn_is_message);
            session.sent_messages += whole;
            self.counters.delivered += whole;
        }
    }

    fn sent_notice(&mut self, slot: u32, sent: usize) {
        if let Phase::Farewell(farewell) = &mut self.sessions[slot as usize].phase {
            farewell.notice.advance(sent);
        }
    }

    /// Puts a connection that has nothing on its way where it belongs.
    #[inline]
    fn go_on(&mut self, slot: u32, now: Instant) {
        let session = &self.sessions[slot as usize];
        match &session.phase {
            Phase::Joined(subscriber) => {
                let owed = subscriber.cursor < self.log.head() || subscriber.missed > 0;
                if owed || !session.torn.is_empty() {
                    self.conveyor.wait(slot);
                } else if self.says_goodbye {
                    self.depart(slot, &super::Departure::Shutdown, now);
                } else {
                    self.conveyor.rest(slot);
                }
            }
            Phase::Farewell(farewell) => {
                if session.torn.is_empty() && farewell.notice.is_empty() {
                    self.linger(slot, now);
                } else {
                    self.conveyor.wait(slot);
                }
            }
            Phase::Naming { .. } | Phase::Lingering { .. } | Phase::Parting | Phase::Released => {}
        }
    }
}
