//! Closing a connection, and why: close (leave the log, say the reason), linger (our side is closed, the
//! peer reads the notice and hangs up), release (the driver gives the connection up).
//!
//! What has begun to go out is finished first, so a notice never follows a partial frame. Closing a
//! socket with unread input would reset the connection and destroy the notice; hence the lingering.

use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::{HeaderError, MessageError, NameError, websocket};
use thiserror::Error;
use tracing::{debug, info};

use super::presence::Change;
use super::session::{Closing, Phase};
use super::snapshot::Wire;
use super::{Close, ConnectionId, Disconnect, Hub};
use crate::wire::{self, Code, Fault};

impl Hub {
    /// The connection ended, or failed, at the peer's side or in the kernel.
    pub fn disconnected(&mut self, id: ConnectionId, how: Disconnect, now: Instant) {
        let is_over = |it: &Phase| matches!(it, Phase::Released | Phase::DrainingInput { .. });
        if self
            .session_mut(id)
            .is_some_and(|session| !is_over(&session.phase))
        {
            self.lose(id.slot, how, now);
            self.settle(now);
        }
    }

    /// As [`Self::disconnected`], amid another step.
    pub(super) fn lose(&mut self, slot: u32, how: Disconnect, now: Instant) {
        let session = &mut self.sessions[slot as usize];
        let waits = session.in_flight.is_some() || session.has_replies();
        match (&mut session.phase, how) {
            (Phase::Released | Phase::DrainingInput { .. }, _) => {}
            (Phase::Requesting { .. }, Disconnect::EndOfStream)
                if session.input.held_back.is_some() =>
            {
                session.has_ended = true;
            }
            (Phase::Joined(_) | Phase::Requesting { .. }, how)
                if session.input.held_back.is_some() =>
            {
                let why = match how {
                    Disconnect::EndOfStream => CloseReason::Left,
                    Disconnect::Error(error) => CloseReason::Broken(error),
                };
                self.drain_input(slot, &why, now);
            }
            (Phase::Closing(closing), Disconnect::EndOfStream) => closing.peer_has_left = true,
            (Phase::Closing(_) | Phase::Lingering { .. }, _) => self.release(slot),
            (Phase::Naming { .. } | Phase::Requesting { .. }, Disconnect::EndOfStream) if waits => {
                // It said all it had to, and waits for the answer.
                self.close_with(slot, &CloseReason::Answered, Bytes::new(), now);
                self.peer_has_left(slot);
            }
            (Phase::Refused { why, .. }, Disconnect::EndOfStream) => {
                let why = why.clone();
                self.close(slot, &why, now);
                self.peer_has_left(slot);
            }
            (_, how) => {
                let why = match how {
                    Disconnect::EndOfStream if session.input.wire.is_unfinished() => {
                        CloseReason::LeftMidFrame
                    }
                    Disconnect::EndOfStream => CloseReason::Left,
                    Disconnect::Error(error) => CloseReason::Broken(error),
                };
                self.close_with(slot, &why, Bytes::new(), now);
                self.release(slot);
            }
        }
    }

    /// There is nothing to wait for once a closing session is told the last.
    fn peer_has_left(&mut self, slot: u32) {
        if let Phase::Closing(closing) = &mut self.sessions[slot as usize].phase {
            closing.peer_has_left = true;
        }
    }

    /// What the driver is to close next.
    pub fn poll_close(&mut self) -> Option<Close> {
        self.closes.pop_front()
    }

    /// Begins the orderly end of the hub: nothing more is accepted from anyone. What is not done after
    /// `timeout` is given up.
    pub fn drain(&mut self, timeout: Duration, now: Instant) {
        if self.is_draining() {
            return;
        }
        self.read_log();
        self.drains = true;
        self.deadlines.begin(now);
        self.give_up_at = Some(self.served(now) + timeout);
        self.hurry_at = Some(self.served(now) + self.limits.linger);
        self.send_queue.line_up_all();
        let mut nameless = Vec::new();
        let mut draining_input = Vec::new();
        for (_, session) in &mut self.sessions {
            // Nobody is listened to any more: what was not accepted by now is not, and nobody has
            // to finish what they began to say. Reading goes on, to throw away.
            session.input.unfinished_since = None;
            self.paused
                .remove(session.id.slot, &mut session.input.share);
            if let Some(until) = session.input.throttle.until.take() {
                self.throttled.remove(until, session.id.slot);
            }
            if session.input.held_back.take().is_some() {
                self.resumed.push_back(session.id);
            }
            session.input.kept.set(session.input.wire.kept_bytes());
            match session.phase {
                Phase::Naming { .. } | Phase::Requesting { .. } => nameless.push(session.id.slot),
                Phase::DrainingInput { .. } => draining_input.push(session.id.slot),
                _ => {}
            }
        }
        for slot in nameless {
            self.close(slot, &CloseReason::Shutdown, now);
        }
        for slot in draining_input {
            self.end_input(slot, now);
        }
        self.settle(now);
    }

    /// Goes on with the end once no hub over the same log accepts anything more: everyone is sent what
    /// it is owed, told that the server shuts down, and closed. The end is reached when
    /// [`Self::is_empty`].
    pub fn say_goodbye(&mut self, now: Instant) {
        debug_assert!(self.is_draining());
        if std::mem::replace(&mut self.says_goodbye, true) {
            return;
        }
        // What the others accepted before they stopped is still owed.
        self.read_log();
        while let Some(slot) = self.send_queue.next_resting() {
            self.close(slot, &CloseReason::Shutdown, now);
        }
        self.settle(now);
    }

    /// Ends the hub at once: all connections are released, and what they are owed is given up.
    pub fn abandon(&mut self, now: Instant) {
        self.drain(Duration::ZERO, now);
        self.say_goodbye(now);
        let slots: Vec<u32> = self.sessions.iter().map(|(_, it)| it.id.slot).collect();
        for slot in slots {
            match self.sessions[slot as usize].phase {
                Phase::Naming { .. }
                | Phase::Refused { .. }
                | Phase::Requesting { .. }
                | Phase::Joined(_) => {
                    self.close(slot, &CloseReason::Shutdown, now);
                    self.release(slot);
                }
                Phase::Closing(_) | Phase::Lingering { .. } => self.release(slot),
                Phase::DrainingInput { .. } => self.end_input(slot, now),
                Phase::Released => {}
            }
        }
    }

    /// Whether [`Self::drain`] was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.drains
    }

    /// Whether there is no connection left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// First step: the session leaves the log, and is told why in its own protocol.
    pub(super) fn close(&mut self, slot: u32, why: &CloseReason, now: Instant) {
        let wire = &self.sessions[slot as usize].input.wire;
        let notice = wire.closing(why.code(), &why.to_string());
        self.close_with(slot, why, notice, now);
    }

    /// As [`Self::close`]; the last that the peer is told is `notice`.
    pub(super) fn close_with(&mut self, slot: u32, why: &CloseReason, notice: Bytes, now: Instant) {
        let reason = why.kind();
        self.cancel_ping(slot);
        let replies = self.sessions[slot as usize].replies.take();
        let notice = match replies {
            None => notice,
            Some(mut replies) => [replies.take_ready(), notice].concat().into(),
        };
        let closing = Closing {
            since: self.served(now),
            reason,
            notice,
            peer_has_left: self.sessions[slot as usize].has_ended,
        };
        let had_joined = self.leave_log(slot, Phase::Closing(closing), why, now);
        let session = &mut self.sessions[slot as usize];
        session.admitted = None;
        session.input.wire.end();
        if session.input.held_back.take().is_some() {
            // It is read from again, to throw away what comes.
            self.resumed.push_back(session.id);
        }
        let may_be_sent_to = session.in_flight.is_none();
        self.paused.remove(slot, &mut session.input.share);
        if let Some(until) = session.input.throttle.until.take() {
            self.throttled.remove(until, slot);
        }
        if may_be_sent_to {
            self.send_queue.wait(slot);
        }
        self.count_input(slot);
        self.note_deadline(slot, now);
        if had_joined {
            self.announce_leave(slot, now);
        }
    }

    /// Instead of all steps, for a peer that left while what it said is held back: it gives up its
    /// connection, its place and its name at once, and stays an author until all of it is accepted.
    fn drain_input(&mut self, slot: u32, why: &CloseReason, now: Instant) {
        let session = &self.sessions[slot as usize];
        let next = Phase::DrainingInput {
            since: self.served(now),
            had_joined: matches!(session.phase, Phase::Joined(_)),
            is_closed: false,
        };
        self.cancel_ping(slot);
        self.leave_log(slot, next, why, now);
        let session = &mut self.sessions[slot as usize];
        session.admitted = None;
        if session.replies.take().is_some_and(|it| it.holds_input) {
            // Nobody takes the answers for which it was held back.
            self.paused.wait(slot, &mut session.input.share);
        }
        session.in_flight = None;
        session.partial = Bytes::new();
        self.closes.push_back(Close::Release(session.id));
        self.note_deadline(slot, now);
    }

    /// What one that has left said was accepted, or has waited for too long.
    pub(super) fn end_input(&mut self, slot: u32, now: Instant) {
        let session = &mut self.sessions[slot as usize];
        let input = &mut session.input;
        input.held_back = None;
        self.paused.remove(slot, &mut input.share);
        if let Some(until) = input.throttle.until.take() {
            self.throttled.remove(until, slot);
        }
        self.deadlines.forget(session);
        if let Phase::DrainingInput {
            had_joined: true, ..
        } = session.phase
        {
            self.announce_leave(slot, now);
        }
        let session = &mut self.sessions[slot as usize];
        match std::mem::replace(&mut session.phase, Phase::Released) {
            Phase::DrainingInput {
                is_closed: true, ..
            } => self.forget(slot),
            Phase::DrainingInput { .. } => session.input.wire.end(),
            _ => unreachable!("only one that has left ends so"),
        }
        self.count_input(slot);
    }

    /// The one way out of the log: the session is in `next` from now on. What is on its way to the peer
    /// may still arrive, all else that it was owed is given up. Says whether it had joined.
    fn leave_log(&mut self, slot: u32, next: Phase, why: &CloseReason, now: Instant) -> bool {
        let reason = why.kind();
        let session = &mut self.sessions[slot as usize];
        let pending = session.pending(self.log.head());
        self.send_queue.remove(slot);
        let before = std::mem::replace(&mut session.phase, next);
        let had_joined = matches!(before, Phase::Joined(_));
        match before {
            Phase::Joined(subscriber) => {
                info!(target: "server::session", name = %session.name, peer = %session.peer, reason = %why, "left");
                self.subscribers -= 1;
                self.counters.wires[session.encoding.into()].in_use -= 1;
                self.newcomers -= u64::from(!subscriber.has_caught_up);
                subscriber.leave(&mut self.log, now);
                let given_up = pending - session.pending(self.log.head());
                self.counters.discarded[reason] += given_up;
            }
            Phase::Naming { .. } | Phase::Refused { .. } => {
                debug!(target: "server::session", peer = %session.peer, reason = %why, "left before it gave a name");
            }
            Phase::Requesting { .. } => {
                self.counters.wires[Wire::Http].in_use -= 1;
                debug!(target: "server::session", peer = %session.peer, reason = %why, "asked its last");
            }
            Phase::Closing(_)
            | Phase::Lingering { .. }
            | Phase::DrainingInput { .. }
            | Phase::Released => {
                unreachable!("a session leaves the log once")
            }
        }
        self.counters.closed[reason] += 1;
        self.last_ended.remember(session, why, now);
        had_joined
    }

    /// Tells that somebody who had joined has said its last.
    pub(super) fn announce_leave(&mut self, slot: u32, now: Instant) {
        if self.limits.announce_presence && !self.is_draining() {
            let name = self.sessions[slot as usize].name.clone();
            self.announce(Change::Left(name), now, |_, _| ());
        }
    }

    /// Second step: all is said.
    pub(super) fn linger(&mut self, slot: u32, now: Instant) {
        let since = self.served(now);
        let session = &mut self.sessions[slot as usize];
        let Phase::Closing(closing) = &session.phase else {
            unreachable!("only one that is closing lingers");
        };
        if closing.peer_has_left {
            self.release(slot);
            return;
        }
        session.phase = Phase::Lingering {
            since,
            reason: closing.reason,
        };
        self.closes.push_back(Close::ShutdownWrite(session.id));
        self.note_deadline(slot, now);
    }

    /// Third step: the driver gives the connection up; what it was still owed is discarded.
    pub(super) fn release(&mut self, slot: u32) {
        let session = &mut self.sessions[slot as usize];
        let pending = session.pending(self.log.head());
        match std::mem::replace(&mut session.phase, Phase::Released) {
            Phase::Closing(Closing { reason, .. }) | Phase::Lingering { reason, .. } => {
                self.counters.discarded[reason] += pending;
            }
            Phase::Naming { .. }
            | Phase::Refused { .. }
            | Phase::Requesting { .. }
            | Phase::Joined(_)
            | Phase::DrainingInput { .. }
            | Phase::Released => {
                unreachable!("a session is closed before it is released")
            }
        }
        session.admitted = None;
        session.in_flight = None;
        session.partial = Bytes::new();
        session.input.wire.end();
        self.send_queue.remove(slot);
        self.deadlines.forget(session);
        self.closes.push_back(Close::Release(session.id));
    }
}

/// Why a connection ends, with the numbers that explain it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CloseReason {
    /// The peer closed its side between two frames.
    #[error("the peer left")]
    Left,
    /// The peer closed its side inside a frame.
    #[error("the peer left in the middle of a frame")]
    LeftMidFrame,
    /// The peer asked for no more than it was answered.
    #[error("all that was asked for is answered")]
    Answered,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// A request that is not served.
    #[error("a request was refused with status {status}")]
    RequestRefused {
        /// What HTTP calls it.
        status: u16,
    },
    /// Ten bytes that are not a header.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A message over the limit.
    #[error("message of {payload_bytes} bytes is over the limit of {payload_bytes_max}")]
    MessageTooLong {
        /// What the header announced.
        payload_bytes: u64,
        /// The limit.
        payload_bytes_max: usize,
    },
    /// What WebSocket does not allow.
    #[error(transparent)]
    WebSocket(#[from] websocket::Error),
    /// What is well-formed, and not what the peer has to say.
    #[error("{0}")]
    NotUnderstood(String),
    /// The beginning of TLS.
    #[error("no TLS is spoken on this port; connect without it")]
    Tls,
    /// A name that may not be taken.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A message that may not be relayed.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// A message has waited too long for the peer.
    #[error("messages waited for more than {}", Seconds(*lag_max))]
    TooSlow {
        /// How long they may.
        lag_max: Duration,
    },
    /// The peer is owed too much.
    #[error("{lag_bytes} bytes behind, over the limit of {lag_bytes_max}")]
    TooFarBehind {
        /// What it is owed, as the log charges it.
        lag_bytes: u64,
        /// The limit.
        lag_bytes_max: u64,
    },
    /// The log is full, and the peer is the hindmost.
    #[error("{lag_bytes} bytes behind, the hindmost, while the log had no room")]
    Hindmost {
        /// What it is owed, as the log charges it.
        lag_bytes: u64,
    },
    /// As many clients as the server takes are there.
    #[error("server is full ({clients_max} clients); try again later")]
    Full {
        /// The limit.
        clients_max: u32,
    },
    /// As many clients as the server takes from one address are there.
    #[error("too many clients from your address (limit {clients_max}); close one first")]
    AddressFull {
        /// The limit.
        clients_max: u32,
    },
    /// The process can open no descriptor for it.
    #[error("server has no descriptor left; try again later")]
    NoDescriptor,
    /// Names are unique, and somebody has this one.
    #[error("name is taken; choose another")]
    NameTaken,
    /// No name came.
    #[error("no name came within {}", Seconds(*within))]
    NoName {
        /// The time a peer has to name itself.
        within: Duration,
    },
    /// A frame was begun and not ended.
    #[error("a frame was not finished within {}", Seconds(*within))]
    UnfinishedFrame {
        /// The time a frame may take.
        within: Duration,
    },
    /// A request was begun and not ended.
    #[error("a request was not finished within {}", Seconds(*within))]
    UnfinishedRequest {
        /// The time a request may take.
        within: Duration,
    },
    /// Nothing more was asked for.
    #[error("no further request came within {}", Seconds(*within))]
    Idle {
        /// The time between two requests.
        within: Duration,
    },
    /// The peer does not take what it is sent.
    #[error("no byte was taken within {}", Seconds(*within))]
    Stalled {
        /// The time a send may make no progress.
        within: Duration,
    },
    /// More input waits than the server keeps, and most of it is this peer's.
    #[error(
        "{bytes} bytes of yours wait to be taken, the most of all; the server keeps {input_bytes_max}"
    )]
    InputFull {
        /// What the peer had sent, and was not taken.
        bytes: usize,
        /// The limit, for all together.
        input_bytes_max: usize,
    },
    /// The server ends.
    #[error("server is shutting down")]
    Shutdown,
}

/// The kinds of [`CloseReason`], as counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The peer left of its own accord.
    Left,
    /// The peer asked for something and was answered.
    Answered,
    /// The connection broke.
    Broken,
    /// The peer asked for what there is not.
    RequestRefused,
    /// The peer asked for what it may not have: its page is of another origin.
    NotAllowed,
    /// The peer sent what the protocol does not allow.
    Malformed,
    /// The peer wants to speak TLS, which is not spoken here.
    Tls,
    /// A limit on size.
    TooLong,
    /// The peer took too long to say something.
    Timeout,
    /// The peer did not take what it was sent.
    Stalled,
    /// Messages waited too long for the peer.
    TooSlow,
    /// The peer was too far behind.
    TooFarBehind,
    /// Not a why: deliveries that a subscriber missed which was too slow and stayed.
    Skipped,
    /// The server has as many clients as it takes.
    Full,
    /// The server has as many clients from one address as it takes.
    AddressFull,
    /// The process can open no more descriptors.
    NoDescriptor,
    /// The name was not free.
    NameTaken,
    /// Too much of what clients sent waited to be taken, and most of it was the peer's.
    InputFull,
    /// The server ends.
    Shutdown,
}

impl Reason {
    /// All reasons, in the order of their index in counters.
    pub const ALL: [Self; 19] = [
        Self::Left,
        Self::Answered,
        Self::Broken,
        Self::RequestRefused,
        Self::NotAllowed,
        Self::Malformed,
        Self::Tls,
        Self::TooLong,
        Self::Timeout,
        Self::Stalled,
        Self::TooSlow,
        Self::TooFarBehind,
        Self::Skipped,
        Self::Full,
        Self::AddressFull,
        Self::NoDescriptor,
        Self::NameTaken,
        Self::InputFull,
        Self::Shutdown,
    ];

    /// The name in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Answered => "answered",
            Self::Broken => "broken",
            Self::RequestRefused => "request_refused",
            Self::NotAllowed => "not_allowed",
            Self::Malformed => "malformed",
            Self::Tls => "tls",
            Self::TooLong => "too_long",
            Self::Timeout => "timeout",
            Self::Stalled => "stalled",
            Self::TooSlow => "too_slow",
            Self::TooFarBehind => "too_far_behind",
            Self::Skipped => "skipped",
            Self::Full => "full",
            Self::AddressFull => "address_full",
            Self::NoDescriptor => "no_descriptor",
            Self::NameTaken => "name_taken",
            Self::InputFull => "input_full",
            Self::Shutdown => "shutdown",
        }
    }
}

impl CloseReason {
    /// The kind, for counters.
    #[must_use]
    pub const fn kind(&self) -> Reason {
        match self {
            Self::Left => Reason::Left,
            Self::Answered => Reason::Answered,
            Self::LeftMidFrame | Self::Broken(_) => Reason::Broken,
            Self::RequestRefused { status: 400 } => Reason::Malformed,
            Self::RequestRefused { status: 401 | 403 } => Reason::NotAllowed,
            Self::RequestRefused { status: 413 | 431 } => Reason::TooLong,
            Self::RequestRefused { .. } => Reason::RequestRefused,
            Self::WebSocket(websocket::Error::TooLong { .. }) => Reason::TooLong,
            Self::Header(_) | Self::Message(_) | Self::WebSocket(_) | Self::NotUnderstood(_) => {
                Reason::Malformed
            }
            Self::Tls => Reason::Tls,
            Self::Name(NameError::TooLong { .. }) | Self::MessageTooLong { .. } => Reason::TooLong,
            Self::Name(_) => Reason::Malformed,
            Self::NoName { .. }
            | Self::UnfinishedFrame { .. }
            | Self::UnfinishedRequest { .. }
            | Self::Idle { .. } => Reason::Timeout,
            Self::Stalled { .. } => Reason::Stalled,
            Self::TooSlow { .. } => Reason::TooSlow,
            Self::TooFarBehind { .. } | Self::Hindmost { .. } => Reason::TooFarBehind,
            Self::Full { .. } => Reason::Full,
            Self::AddressFull { .. } => Reason::AddressFull,
            Self::NoDescriptor => Reason::NoDescriptor,
            Self::NameTaken => Reason::NameTaken,
            Self::InputFull { .. } => Reason::InputFull,
            Self::Shutdown => Reason::Shutdown,
        }
    }

    /// How a peer is told of which nothing has come.
    #[must_use]
    pub fn notice(&self) -> Bytes {
        wire::Input::new().closing(self.code(), &self.to_string())
    }

    /// As peers are told in numbers.
    pub(super) const fn code(&self) -> Code {
        match self {
            Self::Left | Self::Answered | Self::LeftMidFrame | Self::Broken(_) | Self::Shutdown => {
                Code::GoingAway
            }
            Self::Name(NameError::NotUtf8 { .. })
            | Self::Message(MessageError::NotUtf8 { .. })
            | Self::WebSocket(websocket::Error::NotUtf8) => Code::NotUtf8,
            Self::Name(NameError::TooLong { .. })
            | Self::MessageTooLong { .. }
            | Self::WebSocket(websocket::Error::TooLong { .. }) => Code::TooLong,
            Self::Header(_)
            | Self::RequestRefused { .. }
            | Self::WebSocket(_)
            | Self::NotUnderstood(_)
            | Self::Tls => Code::Malformed,
            Self::Name(_)
            | Self::Message(_)
            | Self::NameTaken
            | Self::TooSlow { .. }
            | Self::TooFarBehind { .. }
            | Self::Hindmost { .. }
            | Self::Stalled { .. } => Code::NotAllowed,
            Self::NoName { .. }
            | Self::UnfinishedFrame { .. }
            | Self::UnfinishedRequest { .. }
            | Self::Idle { .. } => Code::Timeout,
            Self::Full { .. }
            | Self::AddressFull { .. }
            | Self::NoDescriptor
            | Self::InputFull { .. } => Code::TryLater,
        }
    }
}

impl From<Fault> for CloseReason {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Header(error) => Self::Header(error),
            Fault::Name(error) => Self::Name(error),
            Fault::WebSocket(error) => Self::WebSocket(error),
            Fault::Tls => Self::Tls,
            Fault::Binary | Fault::Object(_) | Fault::NoName | Fault::NoText => {
                Self::NotUnderstood(fault.to_string())
            }
            Fault::TooLong {
                payload_bytes,
                payload_bytes_max,
            } => Self::MessageTooLong {
                payload_bytes,
                payload_bytes_max,
            },
        }
    }
}

/// A duration as people say it: `10 s`, `0.25 s`.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notice_is_a_message_of_the_server() {
        let why = CloseReason::MessageTooLong {
            payload_bytes: 70_000,
            payload_bytes_max: 65_536,
        };
        assert_eq!(
            &why.notice()[..],
            b"8         *server*58        closing: message of 70000 bytes is over the limit of 65536"
        );
        let why = CloseReason::NoName {
            within: Duration::from_millis(250),
        };
        assert_eq!(why.to_string(), "no name came within 0.25 s");
    }

    #[test]
    fn reasons_are_indexed_in_their_order() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }
}
