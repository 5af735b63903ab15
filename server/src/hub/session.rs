//! A session: what the hub knows of one connection, and where in its life it stands.
//!
//! ```text
//! Naming ──name──▶ Joined ──fault, eviction, shutdown──▶ Closing ──notice sent──▶ Lingering
//!    │               │                                      │                         │
//!    └──fault──▶ Closing      the peer is gone or took too long, from any state      │
//!                    └──────────────────────────▶ Released ◀──────────────────────────┘
//! ```
//! One that leaves while what it said is held back is DrainingInput: its connection is released at once.
//! One whose requests are answered and that is no subscriber is Requesting, and may still join. One for
//! whom there is no place is Refused until it shows which protocol it is to be told so in.
//! A session holds no queue of messages: only a cursor into the log, what one send carries, the rest of a
//! message that a send cut off, and what is said to it alone (see [`super::replies`]).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};

use super::admission::Admitted;
use super::closing::{CloseReason, Reason};
use super::fair_queue::Share;
use super::input_budget::KeptInput;
use super::log::Reader;
use super::replies::Replies;
use super::throttle::Throttle;
use super::{ConnectionId, Limits, ServedTime};
use crate::wire::{self, Encoding};

#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: ConnectionId,
    pub(super) peer: SocketAddr,
    /// Its place among the clients; `None` for one that is on its way out.
    pub(super) admitted: Option<Admitted>,
    pub(super) accepted_at: Instant,
    pub(super) phase: Phase,
    /// Where it stands in the order of deadlines: see [`super::deadlines`].
    pub(super) noted_deadline: Option<ServedTime>,
    pub(super) name: Box<str>,
    pub(super) input: Input,
    pub(super) in_flight: Option<InFlight>,
    /// Since when the kernel took no batch for it whole.
    pub(super) short_since: Option<ServedTime>,
    /// The rest of a message of which the peer has the beginning; goes out before anything else.
    pub(super) partial: Bytes,
    /// What is said to it alone, before the next messages.
    pub(super) replies: Option<Box<Replies>>,
    /// Messages it was sent whole.
    pub(super) sent_messages: u64,
    /// Bytes the kernel took for it.
    pub(super) sent_bytes: u64,
    /// When the kernel last took one.
    pub(super) progress_at: Option<Instant>,
    /// `partial` is the rest of a message, which was owed, and not a reply.
    pub(super) partial_is_message: bool,
    /// The peer closed its side while its requests were held back: it waits for the answers.
    pub(super) has_ended: bool,
    /// How messages are encoded for it.
    pub(super) encoding: Encoding,
}

/// How long a connection may be kept open between two requests.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long the messages of one that has left may wait for room, or for its turn; then they are dropped.
pub(super) const DRAIN_INPUT_MAX: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) enum Phase {
    /// Accepted; it has yet to say who it is. It is sent no messages.
    Naming {
        since: ServedTime,
    },
    /// There is no place for it. It is told once it has shown its protocol, or at last in frames.
    Refused {
        since: ServedTime,
        why: CloseReason,
    },
    /// Some request of it was answered, the last at `since`, and another may come. It is sent no messages.
    Requesting {
        since: ServedTime,
    },
    Joined(Subscriber),
    /// It is told why it has to go: first the rest of a partial frame, then the notice.
    Closing(Closing),
    /// Our side is closed; what the peer still says is thrown away until it hangs up.
    Lingering {
        since: ServedTime,
        reason: Reason,
    },
    /// It has left, and what it said before is still held back: its messages are accepted as the
    /// log has room, for [`DRAIN_INPUT_MAX`]. It has no connection any more, no place and no name.
    DrainingInput {
        since: ServedTime,
        /// It was a subscriber.
        had_joined: bool,
        /// The driver has released the connection.
        is_closed: bool,
    },
    /// The driver is to release the connection; nothing more happens to it here.
    Released,
}

/// A place in the log.
#[derive(Debug)]
pub(super) struct Subscriber {
    /// The next message it has not been sent.
    pub(super) cursor: u64,
    /// How many of its own messages stand between its cursor and the head.
    pub(super) own_ahead: u64,
    /// Before this step it is not sent to again: see [`super::pace`].
    pub(super) put_off_until: u64,
    /// Authors wait for it: see [`super::slow`].
    pub(super) counts: bool,
    /// It has once been near the head since it joined.
    pub(super) has_caught_up: bool,
    /// Messages before this one were its history when it joined.
    pub(super) joined_at: u64,
    /// Messages that it has to be told it missed.
    pub(super) missed: u64,
}

#[derive(Debug)]
pub(super) struct Closing {
    pub(super) since: ServedTime,
    pub(super) reason: Reason,
    /// What is left to say.
    pub(super) notice: Bytes,
    /// The peer closed its side: there is nothing to wait for once the notice is sent.
    pub(super) peer_has_left: bool,
}

/// What came from the peer and was not taken yet.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) wire: wire::Input,
    /// When the first byte of a frame or a request came whose last has not come.
    pub(super) unfinished_since: Option<ServedTime>,
    /// While it has to wait: what was read before the reading stopped.
    pub(super) held_back: Option<Bytes>,
    pub(super) throttle: Throttle,
    /// What of the budget for all input that makes.
    pub(super) kept: KeptInput,
    /// What it has had of the log, beside other authors.
    pub(super) share: Share,
}

/// A send that the driver was given and has not reported on.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) bytes: Bytes,
    pub(super) since: ServedTime,
    pub(super) content: Content,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Whole messages; a subscriber that has them stands at `end`.
    Batch { messages: u32, end: u64 },
    /// Whole messages for a subscriber that has skipped them meanwhile.
    Detached { messages: u32 },
    /// The rest of a partial message or reply.
    Partial,
    /// What is said to it alone, while it stays.
    Reply,
    /// What it is told last.
    Notice,
}

impl Session {
    pub(super) fn new(
        id: ConnectionId,
        peer: SocketAddr,
        kept: KeptInput,
        (now, served): (Instant, ServedTime),
    ) -> Self {
        Self {
            id,
            peer,
            admitted: None,
            accepted_at: now,
            phase: Phase::Naming { since: served },
            noted_deadline: None,
            name: Box::default(),
            input: Input {
                wire: wire::Input::new(),
                unfinished_since: None,
                held_back: None,
                throttle: Throttle::default(),
                kept,
                share: Share::default(),
            },
            in_flight: None,
            short_since: None,
            partial: Bytes::new(),
            replies: None,
            sent_messages: 0,
            sent_bytes: 0,
            progress_at: None,
            partial_is_message: false,
            has_ended: false,
            encoding: Encoding::Frames,
        }
    }

    /// Messages that were owed to this session and are neither delivered nor given up.
    pub(super) fn pending(&self, head: u64) -> u64 {
        let partial = u64::from(self.partial_is_message && !self.partial.is_empty());
        match &self.phase {
            Phase::Joined(subscriber) => {
                let detached = self.in_flight.as_ref().map_or(0, InFlight::detached);
                partial + detached + subscriber.owed(head)
            }
            Phase::Closing(_) => partial + self.in_flight.as_ref().map_or(0, InFlight::messages),
            Phase::Naming { .. }
            | Phase::Refused { .. }
            | Phase::Requesting { .. }
            | Phase::Lingering { .. }
            | Phase::DrainingInput { .. }
            | Phase::Released => 0,
        }
    }

    /// Before which step it is not sent to again; 0 has always come.
    #[inline]
    pub(super) fn put_off_until(&self) -> u64 {
        match &self.phase {
            Phase::Joined(subscriber) => subscriber.put_off_until,
            _ => 0,
        }
    }

    /// When this session has waited long enough for what it waits for.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<ServedTime> {
        let stalled = || self.sending_since().map(|at| at + limits.write_deadline);
        match &self.phase {
            Phase::Naming { since } => Some(*since + limits.handshake_timeout),
            Phase::Refused { since, .. } => Some(*since + limits.linger.min(REFUSED)),
            Phase::Requesting { since } => {
                let idle = Some(*since + KEEP_ALIVE).filter(|_| self.input.held_back.is_none());
                let unfinished = self.unfinished_since();
                let request = unfinished.map(|at| at + limits.handshake_timeout).or(idle);
                [request, stalled()].into_iter().flatten().min()
            }
            Phase::Joined(_) => {
                let unfinished = self.unfinished_since().map(|at| at + limits.frame_timeout);
                [unfinished, stalled()].into_iter().flatten().min()
            }
            Phase::Closing(Closing { since, reason, .. }) | Phase::Lingering { since, reason } => {
                Some(*since + linger(*reason, limits))
            }
            Phase::DrainingInput { since, .. } => Some(*since + DRAIN_INPUT_MAX),
            Phase::Released => None,
        }
    }

    /// Whether it may say something, or be sent messages.
    pub(super) fn is_in_use(&self) -> bool {
        matches!(
            self.phase,
            Phase::Naming { .. } | Phase::Requesting { .. } | Phase::Joined(_)
        )
    }

    /// Whether something is to be said to it alone, and it has come to that.
    pub(super) fn has_replies(&self) -> bool {
        let cursor = match &self.phase {
            Phase::Joined(subscriber) => subscriber.cursor,
            _ => 0,
        };
        let replies = self.replies.as_ref();
        replies.is_some_and(|replies| replies.are_due(cursor))
    }

    /// Since when the peer owes the rest of a frame or a request. While we do not read, it owes nothing.
    pub(super) fn unfinished_since(&self) -> Option<ServedTime> {
        self.input
            .unfinished_since
            .filter(|_| self.input.held_back.is_none())
    }

    /// Since when the peer has taken nothing of a send.
    pub(super) fn sending_since(&self) -> Option<ServedTime> {
        self.in_flight.as_ref().map(|in_flight| in_flight.since)
    }
}

/// Those who are refused for want of a place take up little more than they would have.
const REFUSED: Duration = Duration::from_millis(250);

/// How long one that is on its way out may take.
fn linger(reason: Reason, limits: &Limits) -> Duration {
    match reason {
        Reason::Full | Reason::AddressFull => limits.linger.min(REFUSED),
        _ => limits.linger,
    }
}

impl Subscriber {
    /// A newcomer at `from`, which the log holds, or at the begin of the history.
    pub(super) fn new(log: &mut Reader, from: Option<u64>) -> Self {
        let mut newcomer = Self {
            cursor: log.enter(from),
            own_ahead: 0,
            put_off_until: 0,
            counts: false,
            has_caught_up: false,
            joined_at: log.head(),
            missed: 0,
        };
        newcomer.take_bytes(log);
        newcomer
    }

    /// It took something: if that brought it near the head, authors wait for it from now on.
    #[inline]
    pub(super) fn take_bytes(&mut self, log: &mut Reader) {
        if !self.counts && !log.is_far(self.cursor) {
            self.counts = true;
            self.has_caught_up = true;
            log.set_counts(self.cursor, true);
        }
    }

    /// Nobody waits for it any more, until it has caught up again.
    pub(super) fn discount(&mut self, log: &mut Reader) {
        if std::mem::take(&mut self.counts) {
            log.set_counts(self.cursor, false);
        }
    }

    /// Ends its cursor.
    pub(super) fn leave(mut self, log: &mut Reader, now: Instant) {
        self.discount(log);
        log.leave(self.cursor, now);
    }

    /// Messages between the cursor and the head that are not its own.
    pub(super) fn owed(&self, head: u64) -> u64 {
        head - self.cursor - self.own_ahead
    }

    /// Moves the cursor to `end`, past `messages` of others and whatever own ones lie between.
    pub(super) fn advance(&mut self, log: &mut Reader, end: u64, messages: u64, now: Instant) {
        self.own_ahead -= end - self.cursor - messages;
        log.advance(self.cursor, end, self.counts, now);
        self.cursor = end;
    }

    /// Where the cursor stands after the next `messages` of others.
    pub(super) fn after(&self, log: &Reader, own: ConnectionId, messages: u64) -> u64 {
        let mut left = messages;
        let mut end = self.cursor;
        for message in log.from(self.cursor) {
            if left == 0 {
                break;
            }
            end += 1;
            left -= u64::from(!log.is_own(message, own));
        }
        debug_assert_eq!(left, 0, "more was sent than the log holds");
        end
    }
}

impl InFlight {
    /// How many messages it carries, whole or the rest of one that `Session::partial` does not count.
    fn messages(&self) -> u64 {
        match self.content {
            Content::Batch { messages, .. } | Content::Detached { messages } => u64::from(messages),
            Content::Partial | Content::Reply | Content::Notice => 0,
        }
    }

    /// How many messages it carries that its receiver's cursor has passed.
    fn detached(&self) -> u64 {
        match self.content {
            Content::Detached { messages } => u64::from(messages),
            _ => 0,
        }
    }

    /// What the peer has after it took only the first `sent` bytes of a batch: so many whole
    /// messages, and the rest of the one that was partial (empty when none was).
    ///
    /// A rest holds on to one message only, never to the whole batch.
    pub(super) fn split_at(&self, sent: usize, encoding: Encoding) -> (u64, Bytes) {
        let mut whole = 0;
        let mut begin = 0;
        while begin < sent {
            let end = begin + wire::first_message_bytes(encoding, &self.bytes[begin..]);
            if end > sent {
                let rest = if begin == 0 && end == self.bytes.len() {
                    let mut rest = self.bytes.clone();
                    rest.advance(sent);
                    rest
                } else {
                    Bytes::copy_from_slice(&self.bytes[sent..end])
                };
                return (whole, rest);
            }
            whole += 1;
            begin = end;
        }
        (whole, Bytes::new())
    }
}

#[cfg(test)]
mod tests {
    use super::super::deadlines::Deadlines;
    use super::*;
    use protocol::frame;

    #[test]
    fn a_session_keeps_its_size() {
        // There are as many as clients. What only some of them need is in a box.
        assert!(size_of::<Session>() <= 584, "{}", size_of::<Session>());
    }

    #[test]
    fn a_partial_batch_is_cut_at_the_next_end_of_a_message() {
        let messages = [&b"one"[..], b"", b"three"].map(|text| frame::broadcast(b"ann", text));
        let in_flight = InFlight {
            bytes: messages.concat().into(),
            since: Deadlines::default().served(Instant::now()),
            content: Content::Batch {
                messages: 3,
                end: 3,
            },
        };
        for sent in 0..=in_flight.bytes.len() {
            let (whole, rest) = in_flight.split_at(sent, Encoding::Frames);
            let ends: Vec<usize> = (0..=3).map(|n| messages[..n].concat().len()).collect();
            assert_eq!(
                whole,
                ends[1..].iter().filter(|&&end| end <= sent).count() as u64
            );
            let cut = sent + rest.len();
            assert!(
                ends.contains(&cut),
                "{sent} + {} ends a message",
                rest.len()
            );
            assert_eq!(rest, in_flight.bytes[sent..cut]);
        }
    }
}
