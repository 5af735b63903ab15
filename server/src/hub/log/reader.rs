//! A reader: one hub's view of the log, the messages that one of its cursors has yet to pass.
//!
//! A cursor is the sequence number of the next message that a subscriber is owed. The reader counts
//! the cursors that stand at each message, so that it knows without a search what it may forget, and
//! those that are far behind, so that it knows when authors have to wait; some cursors do not count
//! for that (see [`super::super::slow`]). What always holds: nothing is held that all cursors have
//! passed, but the history; moving a cursor takes a few steps.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;

use super::super::histogram::Histogram;
use super::super::{ConnectionId, Limits, charge};
use super::encoding::Encodings;
use super::{Author, Log, Message, Reservation};
use protocol::Position;

/// One hub's view of the log. See the module's text.
#[derive(Debug)]
pub(in crate::hub) struct Reader {
    log: Arc<Log>,
    index: usize,
    /// Sequence number of the first in `held`.
    first: u64,
    held: VecDeque<Held>,
    /// Up to here all cursors had passed at some time.
    passed: u64,
    /// How long messages took that this reader was the last to pass.
    fan_out: Histogram,
    /// Cursors that stand behind the last message.
    at_head: Cursors,
    /// Bytes of all frames up to the head.
    head_bytes: u64,
    /// All cursors.
    cursors: usize,
    /// A cursor before this message is far: more than `lead_bytes_max` behind.
    near: u64,
    /// Cursors that authors wait for, and those of them that are far.
    counted: usize,
    far: usize,
    lead_bytes_max: u64,
    /// Most of those cursors, of all readers, are far: as this reader saw it last.
    lagging: bool,
    /// What newcomers are sent first: the messages from here on.
    history: u64,
    history_messages_max: u64,
    /// The history tells of joins and leaves, which newcomers are not told again.
    is_for_resuming: bool,
    /// Whether room may have been made since [`Reader::take_made_room`].
    made_room: bool,
}

#[derive(Debug)]
struct Held {
    message: Arc<Message>,
    /// Cursors that stand at this message.
    cursors: Cursors,
    /// Bytes of all frames before this one.
    position_bytes: u64,
}

/// How many cursors stand at a message. In one word, for moving one is hot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Cursors(u64);

impl Cursors {
    const NONE: Self = Self(0);

    /// One cursor, which authors wait for or do not.
    #[inline]
    const fn one(counts: bool) -> Self {
        Self(1 | (counts as u64) << 32)
    }

    #[inline]
    fn add(&mut self, more: Self) {
        self.0 += more.0;
    }

    #[inline]
    fn take(&mut self, some: Self) {
        self.0 = self.0.checked_sub(some.0).expect("a cursor stands here");
    }

    /// How many of them authors wait for.
    fn counted(self) -> usize {
        usize::try_from(self.0 >> 32).unwrap_or(usize::MAX)
    }

    fn all(self) -> usize {
        usize::try_from(self.0 & u64::from(u32::MAX)).unwrap_or(usize::MAX)
    }
}

impl Reader {
    /// A reader that never lags and keeps no history.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(in crate::hub) fn new(log: Arc<Log>) -> Self {
        let limits = Limits {
            lead_bytes_max: u64::MAX,
            ..Limits::default()
        };
        Self::with(log, &limits)
    }

    pub(in crate::hub) fn with(log: Arc<Log>, limits: &Limits) -> Self {
        let mut order = log.lock();
        let first = order.first + order.recent.len() as u64;
        let index = order.read_to.len();
        order.read_to.push(first);
        drop(order);
        Self {
            lead_bytes_max: limits.lead_bytes_max(log.bytes_max()),
            log,
            index,
            first,
            held: VecDeque::new(),
            passed: first,
            fan_out: Histogram::new(),
            at_head: Cursors::NONE,
            head_bytes: 0,
            cursors: 0,
            near: first,
            counted: 0,
            far: 0,
            lagging: false,
            history: first,
            history_messages_max: u64::from(limits.history_messages),
            is_for_resuming: limits.announce_presence,
            made_room: false,
        }
    }

    /// The log that is read.
    pub(in crate::hub) fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Whether `message` was written by this hub's `connection`, a subscriber.
    pub(in crate::hub) fn is_own(&self, message: &Message, connection: ConnectionId) -> bool {
        self.subscriber(message) == Some(connection)
    }

    /// Which subscriber of this hub wrote `message`, if one did.
    pub(in crate::hub) fn subscriber(&self, message: &Message) -> Option<ConnectionId> {
        let author = message.author;
        let is_ours = author.is_subscriber && author.reader == self.number();
        is_ours.then_some(author.connection)
    }

    /// Which reader of the log this is, as authors have it.
    fn number(&self) -> u32 {
        u32::try_from(self.index).unwrap_or(u32::MAX)
    }

    /// The sequence number that the next message will get (as far as this reader has read).
    pub(in crate::hub) fn head(&self) -> u64 {
        self.first + self.held.len() as u64
    }

    /// Whether there is nothing that anyone is owed.
    pub(in crate::hub) fn is_at_rest(&self) -> bool {
        self.at_head.all() == self.cursors
    }

    /// The log's bound.
    pub(in crate::hub) fn bytes_max(&self) -> usize {
        self.log.budget.bytes_max
    }

    /// Whether an author with a frame of `frame_bytes` would have to wait for room.
    pub(in crate::hub) fn is_full_for(&self, frame_bytes: usize) -> bool {
        self.log.bytes() + charge(frame_bytes) > self.bytes_max()
    }

    /// Whether authors have to wait until most cursors have caught up.
    pub(in crate::hub) fn lags_now(&self) -> bool {
        self.log.budget.majority.lags()
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(in crate::hub) fn has_room(&self, limits: &Limits) -> bool {
        self.authors_may_go_on() && !self.is_full_for(limits.frame_bytes_max())
    }

    /// As [`Self::lags_now`], as this reader saw it last: good enough for the hot path.
    pub(in crate::hub) fn is_lagging(&self) -> bool {
        self.lagging
    }

    /// Bytes of the frames before `cursor`, since this reader began.
    pub(in crate::hub) fn position_bytes(&self, cursor: u64) -> u64 {
        let held = self.held.get(self.index_of(cursor));
        held.map_or(self.head_bytes, |held| held.position_bytes)
    }

    /// Bytes of the frames between `cursor` and the head.
    pub(in crate::hub) fn backlog_bytes(&self, cursor: u64) -> u64 {
        self.head_bytes - self.position_bytes(cursor)
    }

    /// Bytes of frames from the hindmost cursor to the head. A newcomer counts when it has read its history.
    pub(in crate::hub) fn backlog_bytes_max(&self) -> u64 {
        self.backlog_bytes(self.passed)
    }

    /// What the messages between `cursor` and the head are charged.
    pub(in crate::hub) fn charged_from(&self, cursor: u64) -> u64 {
        self.backlog_bytes(cursor) + (self.head() - cursor) * charge(0) as u64
    }

    /// The first message that a cursor has yet to pass which has read its history, or the head.
    pub(in crate::hub) fn passed(&self) -> u64 {
        self.passed
    }

    /// How far authors may be ahead.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(in crate::hub) fn lead_bytes_max(&self) -> u64 {
        self.lead_bytes_max
    }

    /// Whether a subscriber at `cursor` is more than `lead_bytes_max` behind.
    pub(in crate::hub) fn is_far(&self, cursor: u64) -> bool {
        cursor < self.near
    }

    /// From now on authors wait, or do not wait, for the cursor at `cursor`.
    pub(in crate::hub) fn set_counts(&mut self, cursor: u64, counts: bool) {
        let at = self.cursors_at(cursor);
        at.take(Cursors::one(!counts));
        at.add(Cursors::one(counts));
        let far = i64::from(self.is_far(cursor));
        if counts {
            self.change_counts(far, 1);
        } else {
            self.change_counts(-far, -1);
        }
    }

    /// Whether messages were forgotten or room was given back since the last call.
    pub(in crate::hub) fn made_room(&self) -> bool {
        self.made_room
    }

    /// As [`Self::made_room`]; asking takes it back.
    pub(in crate::hub) fn take_made_room(&mut self) -> bool {
        std::mem::take(&mut self.made_room)
    }

    /// A reservation was dropped and not used, which makes room as well.
    pub(in crate::hub) fn gave_room_back(&mut self) {
        self.made_room = true;
    }

    /// Whether most cursors have caught up, and so have the threads: of a thread that has not run for a
    /// while, no subscriber can have been served.
    fn authors_may_go_on(&self) -> bool {
        !self.log.budget.majority.lags() && !self.has_much_unread()
    }

    /// Whether some reader has yet to take over more than authors may be ahead.
    pub(in crate::hub) fn has_much_unread(&self) -> bool {
        let unread = self.log.budget.unread.load(Ordering::SeqCst);
        unread as u64 > self.lead_bytes_max
    }

    /// Room for a frame of up to `bytes`. When there is none, [`Self::take_wanted`] tells
    /// the next reader that makes room.
    pub(in crate::hub) fn reserve(&self, bytes: usize) -> Option<Reservation> {
        let budget = &self.log.budget;
        let bytes = charge(bytes);
        let reserve = || match self.authors_may_go_on() {
            true => budget.reserve(bytes),
            false => None,
        };
        reserve().or_else(|| {
            budget.wanted.store(true, Ordering::SeqCst);
            // Room that was made before `wanted` was seen would be missed.
            reserve()
        })
    }

    /// Room for a frame of up to `bytes`, although most cursors are far behind.
    pub(in crate::hub) fn reserve_ahead(&self, bytes: usize) -> Option<Reservation> {
        self.log.budget.reserve(charge(bytes))
    }

    /// Whether a refused reservation waits for room.
    pub(in crate::hub) fn is_wanted(&self) -> bool {
        self.log.budget.wanted.load(Ordering::SeqCst)
    }

    /// Whether a refused reservation waits for room; asking takes the wish back.
    pub(in crate::hub) fn take_wanted(&self) -> bool {
        self.log.budget.wanted.swap(false, Ordering::SeqCst)
    }

    /// Appends a message of `connection`, which is a subscriber or not, to the log, and returns its number.
    /// This reader sees it only by [`Self::read`].
    pub(in crate::hub) fn append(
        &self,
        reserved: Reservation,
        frame: Bytes,
        (connection, is_subscriber): (ConnectionId, bool),
        now: Instant,
    ) -> u64 {
        let author = Author {
            reader: self.number(),
            connection,
            is_subscriber,
        };
        self.append_by(author, reserved, frame, now)
    }

    fn append_by(
        &self,
        author: Author,
        mut reserved: Reservation,
        frame: Bytes,
        now: Instant,
    ) -> u64 {
        let charged = charge(frame.len());
        reserved.shrink_to(charged);
        let mut order = self.log.lock();
        let readers = order.read_to.iter().filter(|&&to| to != u64::MAX);
        let message = Arc::new(Message {
            frame,
            author,
            accepted_at: now,
            passed_after_us: AtomicU64::new(0),
            readers_left: AtomicUsize::new(readers.count()),
            encodings: Encodings::default(),
            reserved,
        });
        let number = order.first + order.recent.len() as u64;
        order.recent.push_back(message);
        self.log.budget.unread.fetch_add(charged, Ordering::SeqCst);
        number
    }

    /// Appends what the server itself says to all.
    pub(in crate::hub) fn append_notice(&self, reserved: Reservation, frame: Bytes, now: Instant) {
        self.append_by(Author::NOBODY, reserved, frame, now);
    }

    /// Takes over what was appended since the last call.
    pub(in crate::hub) fn read(&mut self) {
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
        let had_much_unread = self.has_much_unread();
        while order.first < read_by_all
            && let Some(message) = order.recent.pop_front()
        {
            let charged = charge(message.frame.len());
            self.log.budget.unread.fetch_sub(charged, Ordering::SeqCst);
            order.first += 1;
        }
        self.made_room |= had_much_unread && !self.has_much_unread();
        if order.recent.is_empty() {
            order.recent.shrink_to(RESTING_ENTRIES);
        }
        drop(order);
        self.shorten_history();
        self.forget(None);
        self.find_near();
        self.lagging = self.log.budget.majority.lags();
    }

    /// The messages from `cursor` on.
    pub(in crate::hub) fn from(&self, cursor: u64) -> impl Iterator<Item = &Arc<Message>> {
        let index = self.index_of(cursor);
        self.held.range(index..).map(|held| &held.message)
    }

    /// The place before the message `cursor`, as clients are told it.
    pub(in crate::hub) fn position(&self, cursor: u64) -> Position {
        Position {
            epoch: self.log.epoch,
            sequence: cursor,
        }
    }

    /// The cursor at `position`, if every message from there on is still held.
    pub(in crate::hub) fn cursor_at(&self, position: Position) -> Option<u64> {
        let cursor = Some(position.sequence).filter(|_| position.epoch == self.log.epoch);
        cursor.filter(|cursor| (self.first..=self.head()).contains(cursor))
    }

    /// A new cursor, for which nobody waits: at `from`, which [`Self::cursor_at`] gave, or at the first
    /// message of the history, which is the head if there is none for newcomers.
    pub(in crate::hub) fn enter(&mut self, from: Option<u64>) -> u64 {
        let history = match self.is_for_resuming {
            true => self.head(),
            false => self.history,
        };
        let cursor = from.unwrap_or(history);
        self.cursors += 1;
        self.cursors_at(cursor).add(Cursors::one(false));
        cursor
    }

    /// Moves a cursor forward, which `counts` or does not.
    #[inline]
    pub(in crate::hub) fn advance(&mut self, from: u64, to: u64, counts: bool, now: Instant) {
        debug_assert!(from <= to);
        self.cursors_at(to).add(Cursors::one(counts));
        let is_near = !self.is_far(to);
        let is_last = self.is_last_to_go(from, counts);
        if counts && self.is_far(from) && is_near {
            self.change_counts(-1, 0);
        }
        if is_last {
            self.forget(Some(now));
        }
    }

    /// Ends a cursor, for which nobody waits any more.
    pub(in crate::hub) fn leave(&mut self, cursor: u64, now: Instant) {
        let is_last = self.is_last_to_go(cursor, false);
        self.cursors -= 1;
        if is_last {
            self.forget(Some(now));
        }
    }

    /// Takes a cursor away from a message; says whether the message may be forgotten then.
    #[inline]
    fn is_last_to_go(&mut self, cursor: u64, counts: bool) -> bool {
        let may_be_forgotten = cursor == self.first || cursor == self.passed;
        let cursors = self.cursors_at(cursor);
        cursors.take(Cursors::one(counts));
        *cursors == Cursors::NONE && may_be_forgotten
    }

    /// Half of the log may be history and encodings, and no more than `history_messages_max`.
    fn shorten_history(&mut self) {
        let head = self.head();
        let half = self.bytes_max() / 2;
        let bytes_max = half.saturating_sub(self.log.budget.encoded()) as u64;
        self.history = self.history.max(self.first);
        loop {
            let messages = head - self.history;
            let charged = self.charged_from(self.history);
            if messages <= self.history_messages_max && charged <= bytes_max {
                return;
            }
            self.history += 1;
        }
    }

    /// Authors may be ahead by what these limits say from now on.
    pub(in crate::hub) fn set_lead(&mut self, limits: &Limits) {
        let lead_bytes_max = limits.lead_bytes_max(self.bytes_max());
        if self.lead_bytes_max != lead_bytes_max {
            self.lead_bytes_max = lead_bytes_max;
            let far = i64::try_from(self.far).unwrap_or(0);
            self.change_counts(-far, 0);
            self.near = self.first;
            self.find_near();
        }
    }

    /// Counts who has become far.
    fn find_near(&mut self) {
        self.near = self.near.max(self.first);
        let mut far = 0;
        while self.near < self.head() && self.charged_from(self.near) > self.lead_bytes_max {
            far += self.cursors_at(self.near).counted();
            self.near += 1;
        }
        if far > 0 {
            self.change_counts(
                i64::try_from(far).expect("cursors are counted in 32 bits"),
                0,
            );
        }
    }

    /// So many more cursors that count are far, and so many more count.
    fn change_counts(&mut self, far: i64, counted: i64) {
        let change = |count: usize, by: i64| {
            let count = count.checked_add_signed(isize::try_from(by).ok()?);
            Some(count.expect("no cursor is taken away that was not counted"))
        };
        self.far = change(self.far, far).unwrap_or_default();
        self.counted = change(self.counted, counted).unwrap_or_default();
        let (lagged, lags) = self.log.budget.majority.add(far, counted);
        self.lagging = lags;
        self.made_room |= lagged && !lags;
    }

    /// How long messages took from being accepted until the last cursor had passed them, for those
    /// that this reader was the last to pass.
    pub(in crate::hub) fn fan_out(&self) -> &Histogram {
        &self.fan_out
    }

    /// Forgets what all cursors have passed: at `passed_at`, unless there was none. The history is kept.
    fn forget(&mut self, passed_at: Option<Instant>) {
        self.passed = self.passed.max(self.first);
        while let Some(held) = self.held.get(self.index_of(self.passed))
            && held.cursors == Cursors::NONE
        {
            if let Some(at) = passed_at {
                held.message.passed_at(at);
            }
            if let Some(after_us) = held.message.passed_by_reader() {
                self.fan_out.record(after_us);
            }
            self.passed += 1;
        }
        while self.first < self.history
            && self
                .held
                .pop_front_if(|held| held.cursors == Cursors::NONE)
                .is_some()
        {
            self.first += 1;
            self.made_room = true;
        }
        if self.held.is_empty() {
            self.held.shrink_to(RESTING_ENTRIES);
        }
    }

    #[inline]
    fn cursors_at(&mut self, cursor: u64) -> &mut Cursors {
        let index = self.index_of(cursor);
        match self.held.get_mut(index) {
            Some(held) => &mut held.cursors,
            None => &mut self.at_head,
        }
    }

    #[inline]
    fn index_of(&self, cursor: u64) -> usize {
        let index = cursor
            .checked_sub(self.first)
            .and_then(|index| usize::try_from(index).ok())
            .expect("a cursor keeps its message in the log");
        debug_assert!(index <= self.held.len());
        index
    }
}

impl Drop for Reader {
    /// Nothing waits for a reader that is gone.
    fn drop(&mut self) {
        let [far, counted] = [self.far, self.counted].map(|count| count.try_into().unwrap_or(0));
        let _ = self.log.budget.majority.add(-far, -counted);
        let mut order = self.log.lock();
        order.read_to[self.index] = u64::MAX;
    }
}

/// What the queue of an empty log may keep allocated.
const RESTING_ENTRIES: usize = 256;
