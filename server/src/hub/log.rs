//! The log: every accepted message once, in the one order that all receivers see.
//!
//! [`Log`] is shared by the hubs of all threads; appending takes a short lock. Each hub reads it
//! through a [`Reader`], which holds what its subscribers are still owed and forgets what all of
//! them have. Invariants: sequence numbers have no gap; what is charged for the messages that any
//! reader still holds is at most `bytes_max`; a reader holds nothing that all its cursors have passed.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;

use super::ConnectionId;
use super::histogram::{Histogram, micros};

/// The messages of all hubs, in their total order.
#[derive(Debug)]
pub struct Log {
    order: Mutex<Order>,
    budget: Arc<Budget>,
}

/// What the lock guards: the messages that some reader has not taken over yet.
#[derive(Debug)]
struct Order {
    /// Sequence number of the first in `recent`.
    first: u64,
    recent: VecDeque<Arc<Message>>,
    /// For each reader, up to where it has taken over.
    read_to: Vec<u64>,
}

/// An accepted message.
#[derive(Debug)]
pub(super) struct Message {
    /// What every receiver is sent: name frame and message frame, built once.
    pub(super) frame: Bytes,
    /// Who sent it.
    pub(super) author: Author,
    /// When.
    pub(super) accepted_at: Instant,
    /// One more than the microseconds from then until the last cursor of any reader had passed it, as
    /// far as readers have forgotten it; 0 while it was owed to nobody.
    passed_after_us: AtomicU64,
    /// Gives the bytes back when the last reader forgets the message.
    _reserved: Reservation,
}

/// A connection of any thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Author {
    /// Index of the reader of its hub.
    pub(super) reader: usize,
    /// The connection there.
    pub(super) connection: ConnectionId,
}

#[derive(Debug)]
struct Budget {
    bytes: AtomicUsize,
    bytes_max: usize,
    /// Somebody was refused a reservation and wants to know when bytes are given back.
    wanted: AtomicBool,
}

/// Bytes of the log's budget that are spoken for.
#[derive(Debug)]
pub(super) struct Reservation {
    bytes: usize,
    budget: Arc<Budget>,
}

impl Log {
    /// An empty log that holds at most `bytes_max` bytes: see [`Self::charge`].
    #[must_use]
    pub fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            order: Mutex::new(Order {
                first: 0,
                recent: VecDeque::new(),
                read_to: Vec::new(),
            }),
            budget: Arc::new(Budget {
                bytes: AtomicUsize::new(0),
                bytes_max,
                wanted: AtomicBool::new(false),
            }),
        })
    }

    /// What a frame of `frame_bytes` takes of the bound: itself, and what it costs to keep it.
    #[must_use]
    pub const fn charge(frame_bytes: usize) -> usize {
        /// The message, its place in the lists of its readers, and what `Bytes` and `Arc` add.
        const KEEPING_BYTES: usize = 160;
        frame_bytes + KEEPING_BYTES
    }

    /// Bytes that are held, as charged, and those reserved for frames under way into the log.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.budget.bytes.load(Ordering::Relaxed)
    }

    /// The most that [`Self::bytes`] can be.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.budget.bytes_max
    }

    fn lock(&self) -> MutexGuard<'_, Order> {
        // The order is only ever changed by steps that cannot panic half-way.
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Budget {
    fn reserve(self: &Arc<Self>, bytes: usize) -> Option<Reservation> {
        let enough = |held: usize| Some(held + bytes).filter(|&sum| sum <= self.bytes_max);
        self.bytes
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, enough)
            .ok()
            .map(|_| Reservation {
                bytes,
                budget: Arc::clone(self),
            })
    }
}

impl Message {
    /// The last cursor of a reader passed it.
    fn passed_at(&self, at: Instant) {
        let after_us = micros(at.saturating_duration_since(self.accepted_at)) + 1;
        self.passed_after_us.fetch_max(after_us, Ordering::Relaxed);
    }

    /// Microseconds from accepting it until the last cursor had passed; `None` when there was none.
    fn fan_out_us(self) -> Option<u64> {
        self.passed_after_us.into_inner().checked_sub(1)
    }
}

impl Reservation {
    /// Keeps only `bytes` of what was reserved.
    fn shrink_to(&mut self, bytes: usize) {
        assert!(bytes <= self.bytes, "a frame outgrew its reservation");
        self.budget
            .bytes
            .fetch_sub(self.bytes - bytes, Ordering::SeqCst);
        self.bytes = bytes;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.bytes.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

/// One hub's view of the log: the messages that one of its cursors has yet to pass.
///
/// A cursor is the sequence number of the next message that a subscriber is owed. The reader counts
/// the cursors that stand at each message, so that it knows without a search what it may forget.
#[derive(Debug)]
pub(super) struct Reader {
    log: Arc<Log>,
    index: usize,
    /// Sequence number of the first in `held`.
    first: u64,
    held: VecDeque<Held>,
    /// Bytes of all frames that were read so far.
    read_bytes: u64,
    /// How long messages took that this reader was the last to forget.
    fan_out: Histogram,
    /// Cursors that stand behind the last message.
    at_head: usize,
    /// Whether room may have been made since [`Reader::takes_back_made_room`].
    made_room: bool,
}

#[derive(Debug)]
struct Held {
    message: Arc<Message>,
    /// Bytes of all frames that were read before it.
    begins_at: u64,
    /// Cursors that stand at this message.
    cursors: usize,
}

impl Reader {
    pub(super) fn new(log: Arc<Log>) -> Self {
        let mut order = log.lock();
        let first = order.first + order.recent.len() as u64;
        let index = order.read_to.len();
        order.read_to.push(first);
        drop(order);
        Self {
            log,
            index,
            first,
            held: VecDeque::new(),
            read_bytes: 0,
            fan_out: Histogram::new(),
            at_head: 0,
            made_room: false,
        }
    }

    /// The log that is read.
    pub(super) fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Whether `message` was written by this hub's `connection`.
    pub(super) fn is_own(&self, message: &Message, connection: ConnectionId) -> bool {
        message.author
            == Author {
                reader: self.index,
                connection,
            }
    }

    /// Which reader of the log this is.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// The sequence number that the next message will get (as far as this reader has read).
    pub(super) fn head(&self) -> u64 {
        self.first + self.held.len() as u64
    }

    /// Whether there is nothing that anyone is owed.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether messages were forgotten or room was given back since the last call.
    pub(super) fn takes_back_made_room(&mut self) -> bool {
        std::mem::take(&mut self.made_room)
    }

    /// A reservation was dropped and not used, which makes room as well.
    pub(super) fn gave_room_back(&mut self) {
        self.made_room = true;
    }

    /// Room for a frame of up to `bytes`. When there is none, [`Self::takes_back_wanted`] tells
    /// the next reader that makes room.
    pub(super) fn reserve(&self, bytes: usize) -> Option<Reservation> {
        let budget = &self.log.budget;
        let bytes = Log::charge(bytes);
        budget.reserve(bytes).or_else(|| {
            budget.wanted.store(true, Ordering::SeqCst);
            // Room that was made before `wanted` was seen would be missed.
            budget.reserve(bytes)
        })
    }

    /// Whether a refused reservation waits for room; asking takes the wish back.
    pub(super) fn takes_back_wanted(&self) -> bool {
        self.log.budget.wanted.swap(false, Ordering::SeqCst)
    }

    /// Appends a message to the log. This reader sees it only by [`Self::read`].
    pub(super) fn append(
        &self,
        mut reserved: Reservation,
        frame: Bytes,
        connection: ConnectionId,
        now: Instant,
    ) {
        reserved.shrink_to(Log::charge(frame.len()));
        let message = Arc::new(Message {
            frame,
            author: Author {
                reader: self.index,
                connection,
            },
            accepted_at: now,
            passed_after_us: AtomicU64::new(0),
            _reserved: reserved,
        });
        self.log.lock().recent.push_back(message);
    }

    /// Takes over what was appended since the last call.
    pub(super) fn read(&mut self) {
        let mut order = self.log.lock();
        let known =
            usize::try_from(self.head() - order.first).expect("no reader is behind the log");
        for message in order.recent.range(known..) {
            self.held.push_back(Held {
                message: Arc::clone(message),
                begins_at: self.read_bytes,
                cursors: std::mem::take(&mut self.at_head),
            });
            self.read_bytes += message.frame.len() as u64;
        }
        order.read_to[self.index] = self.head();
        let read_by_all = order.read_to.iter().copied().min().unwrap_or(order.first);
        while order.first < read_by_all {
            order.recent.pop_front();
            order.first += 1;
        }
        if order.recent.is_empty() {
            order.recent.shrink_to(RESTING_ENTRIES);
        }
        drop(order);
        self.forget(None);
    }

    /// The messages from `cursor` on.
    pub(super) fn from(&self, cursor: u64) -> impl Iterator<Item = &Arc<Message>> {
        let position = self.position(cursor);
        self.held.range(position..).map(|held| &held.message)
    }

    /// A new cursor at the head: the next message is the first it is owed.
    pub(super) fn enter(&mut self) -> u64 {
        self.at_head += 1;
        self.head()
    }

    /// Moves a cursor forward.
    pub(super) fn advance(&mut self, from: u64, to: u64, now: Instant) {
        debug_assert!(from <= to);
        *self.cursors_at(to) += 1;
        self.leave(from, now);
    }

    /// Ends a cursor.
    pub(super) fn leave(&mut self, cursor: u64, now: Instant) {
        let cursors = self.cursors_at(cursor);
        *cursors = cursors.checked_sub(1).expect("a cursor stands here");
        if *cursors == 0 && cursor == self.first {
            self.forget(Some(now));
        }
    }

    /// Bytes of frames from `cursor` to the head.
    pub(super) fn bytes_from(&self, cursor: u64) -> u64 {
        let held = self.held.get(self.position(cursor));
        held.map_or(0, |held| self.read_bytes - held.begins_at)
    }

    /// Bytes of frames from the hindmost cursor to the head.
    pub(super) fn backlog_bytes_max(&self) -> u64 {
        self.bytes_from(self.first)
    }

    /// How long messages took from being accepted until the last cursor had passed them, for those
    /// that this reader was the last to forget.
    pub(super) fn fan_out(&self) -> &Histogram {
        &self.fan_out
    }

    /// Forgets what all cursors have passed: at `passed_at`, unless there was none.
    fn forget(&mut self, passed_at: Option<Instant>) {
        while let Some(held) = self.held.pop_front_if(|held| held.cursors == 0) {
            if let Some(at) = passed_at {
                held.message.passed_at(at);
            }
            // Whoever is left with it alone is the last of all readers.
            if let Some(after_us) = Arc::into_inner(held.message).and_then(Message::fan_out_us) {
                self.fan_out.record(after_us);
            }
            self.first += 1;
            self.made_room = true;
        }
        if self.held.is_empty() {
            self.held.shrink_to(RESTING_ENTRIES);
        }
    }

    fn cursors_at(&mut self, cursor: u64) -> &mut usize {
        let position = self.position(cursor);
        match self.held.get_mut(position) {
            Some(held) => &mut held.cursors,
            None => &mut self.at_head,
        }
    }

    fn position(&self, cursor: u64) -> usize {
        let position = cursor
            .checked_sub(self.first)
            .and_then(|position| usize::try_from(position).ok())
            .expect("a cursor keeps its message in the log");
        debug_assert!(position <= self.held.len());
        position
    }
}

/// What the queue of an empty log may keep allocated.
const RESTING_ENTRIES: usize = 256;
