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

use super::histogram::{Histogram, micros};
use super::{ConnectionId, Limits};

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

/// A connection of any thread, or nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Author {
    /// Index of the reader of its hub.
    pub(super) reader: usize,
    /// The connection there.
    pub(super) connection: ConnectionId,
}

impl Author {
    /// Who is read by everyone.
    const NOBODY: Self = Self {
        reader: usize::MAX,
        connection: ConnectionId {
            slot: u32::MAX,
            generation: u32::MAX,
        },
    };
}

#[derive(Debug)]
struct Budget {
    bytes: AtomicUsize,
    bytes_max: usize,
    /// Readers whose authors are far ahead of half of their cursors.
    lagging: AtomicUsize,
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
                lagging: AtomicUsize::new(0),
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
    /// Up to here all cursors had passed at some time.
    passed: u64,
    /// How long messages took that this reader was the last to forget.
    fan_out: Histogram,
    /// Cursors that stand behind the last message.
    at_head: usize,
    /// Bytes of all frames up to the head.
    head_bytes: u64,
    /// All cursors.
    cursors: usize,
    /// A cursor before this message is far: more than `lead_bytes_max` behind.
    near: u64,
    /// Cursors that are far; among them those of stalled subscribers.
    far: usize,
    stalled: usize,
    lead_bytes_max: u64,
    /// Half of the cursors that are not stalled are far.
    lagging: bool,
    /// What newcomers are sent first: the messages from here on.
    history: u64,
    history_messages_max: u64,
    /// Whether room may have been made since [`Reader::takes_back_made_room`].
    made_room: bool,
}

#[derive(Debug)]
struct Held {
    message: Arc<Message>,
    /// Cursors that stand at this message.
    cursors: usize,
    /// Bytes of all frames before this one.
    position_bytes: u64,
}

impl Reader {
    /// A reader that never lags and keeps no history.
    #[cfg(test)]
    pub(super) fn new(log: Arc<Log>) -> Self {
        let limits = Limits {
            lead_bytes_max: u64::MAX,
            ..Limits::default()
        };
        Self::with(log, &limits)
    }

    pub(super) fn with(log: Arc<Log>, limits: &Limits) -> Self {
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
            passed: first,
            fan_out: Histogram::new(),
            at_head: 0,
            head_bytes: 0,
            cursors: 0,
            near: first,
            far: 0,
            stalled: 0,
            lead_bytes_max: limits.lead_bytes_max,
            lagging: false,
            history: first,
            history_messages_max: u64::from(limits.history_messages),
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
    pub(super) fn is_at_rest(&self) -> bool {
        self.at_head == self.cursors
    }

    /// The log's bound.
    pub(super) fn bytes_max(&self) -> usize {
        self.log.budget.bytes_max
    }

    /// Whether an author with a frame of `frame_bytes` would have to wait for room.
    pub(super) fn is_full_for(&self, frame_bytes: usize) -> bool {
        self.log.bytes() + Log::charge(frame_bytes) > self.bytes_max()
    }

    #[cfg(test)]
    pub(super) fn has_room(&self, limits: &Limits) -> bool {
        let nobody_lags = self.log.budget.lagging.load(Ordering::SeqCst) == 0;
        nobody_lags && !self.is_full_for(limits.frame_bytes_max())
    }

    /// Whether authors have to wait until this reader's cursors have caught up.
    pub(super) fn is_lagging(&self) -> bool {
        self.lagging
    }

    /// Bytes of the frames before `cursor`, since this reader began.
    pub(super) fn position_bytes(&self, cursor: u64) -> u64 {
        let held = self.held.get(self.position(cursor));
        held.map_or(self.head_bytes, |held| held.position_bytes)
    }

    /// Bytes of the frames between `cursor` and the head.
    pub(super) fn backlog_bytes(&self, cursor: u64) -> u64 {
        self.head_bytes - self.position_bytes(cursor)
    }

    /// Bytes of frames from the hindmost cursor to the head.
    pub(super) fn backlog_bytes_max(&self) -> u64 {
        let hindmost = self.held.iter().find(|held| held.cursors > 0);
        hindmost.map_or(0, |held| self.head_bytes - held.position_bytes)
    }

    /// What the messages between `cursor` and the head are charged.
    pub(super) fn charged_from(&self, cursor: u64) -> u64 {
        self.backlog_bytes(cursor) + (self.head() - cursor) * Log::charge(0) as u64
    }

    /// The last of all cursors, or the begin of the history before it, if anyone is owed anything.
    pub(super) fn last_cursor(&self) -> Option<u64> {
        (!self.is_at_rest()).then_some(self.first)
    }

    /// Whether a subscriber at `cursor` is more than `lead_bytes_max` behind.
    pub(super) fn is_far(&self, cursor: u64) -> bool {
        cursor < self.near
    }

    /// One whose cursor is far has stalled: until [`Self::unstall`], authors do not wait for it.
    pub(super) fn stall(&mut self) {
        self.stalled += 1;
        self.note_lag();
    }

    /// One that had stalled goes on, or goes; its cursor has not moved since.
    pub(super) fn unstall(&mut self) {
        self.stalled -= 1;
        self.note_lag();
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
        let reserve = || match budget.lagging.load(Ordering::SeqCst) {
            0 => budget.reserve(bytes),
            _ => None,
        };
        reserve().or_else(|| {
            budget.wanted.store(true, Ordering::SeqCst);
            // Room that was made before `wanted` was seen would be missed.
            reserve()
        })
    }

    /// Whether a refused reservation waits for room; asking takes the wish back.
    pub(super) fn takes_back_wanted(&self) -> bool {
        self.log.budget.wanted.swap(false, Ordering::SeqCst)
    }

    /// Appends a message to the log. This reader sees it only by [`Self::read`].
    pub(super) fn append(
        &self,
        reserved: Reservation,
        frame: Bytes,
        connection: ConnectionId,
        now: Instant,
    ) {
        let author = Author {
            reader: self.index,
            connection,
        };
        self.append_by(author, reserved, frame, now);
    }

    fn append_by(&self, author: Author, mut reserved: Reservation, frame: Bytes, now: Instant) {
        reserved.shrink_to(Log::charge(frame.len()));
        let message = Arc::new(Message {
            frame,
            author,
            accepted_at: now,
            passed_after_us: AtomicU64::new(0),
            _reserved: reserved,
        });
        self.log.lock().recent.push_back(message);
    }

    /// Appends what the server itself says to all.
    pub(super) fn append_notice(&self, reserved: Reservation, frame: Bytes, now: Instant) {
        self.append_by(Author::NOBODY, reserved, frame, now);
    }

    /// Takes over what was appended since the last call.
    pub(super) fn read(&mut self) {
        let mut order = self.log.lock();
        let known =
            usize::try_from(self.head() - order.first).expect("no reader is behind the log");
        for message in order.recent.range(known..) {
            self.held.push_back(Held {
                message: Arc::clone(message),
                cursors: std::mem::take(&mut self.at_head),
                position_bytes: self.head_bytes,
            });
            self.head_bytes += message.frame.len() as u64;
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
        self.shorten_history();
        self.forget(None);
        self.find_near();
        self.note_lag();
    }

    /// The messages from `cursor` on.
    pub(super) fn from(&self, cursor: u64) -> impl Iterator<Item = &Arc<Message>> {
        let position = self.position(cursor);
        self.held.range(position..).map(|held| &held.message)
    }

    /// A new cursor: at the first message of the history, which is the head if there is none.
    pub(super) fn enter(&mut self) -> u64 {
        let cursor = self.history;
        self.cursors += 1;
        *self.cursors_at(cursor) += 1;
        self.far += usize::from(self.is_far(cursor));
        self.note_lag();
        cursor
    }

    /// Moves a cursor forward.
    pub(super) fn advance(&mut self, from: u64, to: u64, now: Instant) {
        debug_assert!(from <= to);
        self.cursors += 1;
        *self.cursors_at(to) += 1;
        self.far += usize::from(self.is_far(to));
        self.leave(from, now);
    }

    /// Ends a cursor.
    pub(super) fn leave(&mut self, cursor: u64, now: Instant) {
        let cursors = self.cursors_at(cursor);
        *cursors = cursors.checked_sub(1).expect("a cursor stands here");
        let was_last_there = *cursors == 0;
        self.cursors -= 1;
        self.far -= usize::from(self.is_far(cursor));
        if was_last_there && (cursor == self.first || cursor == self.passed) {
            self.forget(Some(now));
        }
        self.note_lag();
    }

    /// Half of the log may be history, and no more than `history_messages_max`.
    fn shorten_history(&mut self) {
        let head = self.head();
        self.history = self.history.max(self.first);
        loop {
            let messages = head - self.history;
            let charged = self.charged_from(self.history);
            if messages <= self.history_messages_max && charged <= self.bytes_max() as u64 / 2 {
                return;
            }
            self.history += 1;
        }
    }

    /// Counts who has become far.
    fn find_near(&mut self) {
        self.near = self.near.max(self.first);
        while self.near < self.head() && self.backlog_bytes(self.near) > self.lead_bytes_max {
            self.far += *self.cursors_at(self.near);
            self.near += 1;
        }
    }

    fn note_lag(&mut self) {
        let far = self.far - self.stalled;
        let lagging = far > 0 && 2 * far >= self.cursors - self.stalled;
        if lagging != self.lagging {
            self.change_lagging(lagging);
        }
    }

    #[cold]
    fn change_lagging(&mut self, lagging: bool) {
        self.lagging = lagging;
        let readers = &self.log.budget.lagging;
        if lagging {
            readers.fetch_add(1, Ordering::SeqCst);
        } else {
            readers.fetch_sub(1, Ordering::SeqCst);
            self.made_room = true;
        }
    }

    /// How long messages took from being accepted until the last cursor had passed them, for those
    /// that this reader was the last to forget.
    pub(super) fn fan_out(&self) -> &Histogram {
        &self.fan_out
    }

    /// Forgets what all cursors have passed: at `passed_at`, unless there was none. The history is kept.
    fn forget(&mut self, passed_at: Option<Instant>) {
        self.passed = self.passed.max(self.first);
        while let Some(held) = self.held.get(self.position(self.passed))
            && held.cursors == 0
        {
            if let Some(at) = passed_at {
                held.message.passed_at(at);
            }
            self.passed += 1;
        }
        while self.first < self.history
            && let Some(held) = self.held.pop_front_if(|held| held.cursors == 0)
        {
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

impl Drop for Reader {
    /// Nothing waits for a reader that is gone.
    fn drop(&mut self) {
        if self.lagging {
            self.change_lagging(false);
        }
        let mut order = self.log.lock();
        order.read_to[self.index] = u64::MAX;
    }
}

/// What the queue of an empty log may keep allocated.
const RESTING_ENTRIES: usize = 256;
