//! The log: every accepted message once, in the one order that all receivers see.
//!
//! [`Log`] is shared by the hubs of all threads; appending takes a short lock. Each hub reads it
//! through a [`Reader`], which holds what its subscribers are still owed and forgets what all of
//! them have. A message is kept as its frames; its [`encoding`] for another wire is made when a first
//! subscriber needs it, for all threads, and kept beside it. Invariants: sequence numbers have no gap;
//! what is charged for the messages that any reader still holds, and for their encodings, is at most
//! `bytes_max`.

mod encoding;
mod reader;

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;

use super::ConnectionId;
use super::histogram::micros;
use crate::memory::Peak;
use encoding::Encodings;

pub(super) use reader::Reader;

/// The messages of all hubs, in their total order.
#[derive(Debug)]
pub struct Log {
    order: Mutex<Order>,
    budget: Arc<Budget>,
    /// Drawn for each log, so that no position of another is mistaken for one of this.
    epoch: u64,
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
    /// far as all of a reader's have; 0 while it was owed to nobody.
    passed_after_us: AtomicU64,
    /// Readers of which some cursor has yet to pass it.
    readers_left: AtomicUsize,
    encodings: Encodings,
    /// Gives the bytes back when the last reader forgets the message.
    reserved: Reservation,
}

/// A connection of any thread, or nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Author {
    /// Index of the reader of its hub.
    pub(super) reader: u32,
    /// The connection there.
    pub(super) connection: ConnectionId,
    /// It was a subscriber, which is not sent its own messages. What others say comes to them, too, if
    /// they become subscribers.
    is_subscriber: bool,
}

impl Author {
    /// Who is read by everyone.
    pub(super) const NOBODY: Self = Self {
        reader: u32::MAX,
        connection: ConnectionId {
            slot: u32::MAX,
            generation: u32::MAX,
        },
        is_subscriber: false,
    };
}

#[derive(Debug)]
struct Budget {
    bytes: AtomicUsize,
    bytes_max: usize,
    /// What of `bytes` is encodings for other wires.
    encoded: AtomicUsize,
    /// The most that `bytes` was seen to be.
    peak: Peak,
    majority: Majority,
    /// What is charged for the messages that some reader has not taken over yet.
    unread: AtomicUsize,
    /// Somebody was refused a reservation and wants to know when bytes are given back.
    wanted: AtomicBool,
}

/// How many cursors of all readers authors wait for, and how many of those are far behind.
#[derive(Debug, Default)]
struct Majority(AtomicU64);

/// Bytes of the log's budget that are spoken for.
#[derive(Debug)]
pub(super) struct Reservation {
    bytes: usize,
    budget: Arc<Budget>,
}

impl Log {
    /// An empty log that holds at most `bytes_max` bytes: see [`super::charge`].
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
                encoded: AtomicUsize::new(0),
                peak: Peak::default(),
                majority: Majority::default(),
                unread: AtomicUsize::new(0),
                wanted: AtomicBool::new(false),
            }),
            epoch: RandomState::new().hash_one(()),
        })
    }

    /// By how much the log has to become shorter until its memory is given back, in bytes.
    pub const SHRUNK_BYTES: usize = Peak::SHRUNK_BYTES;

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

    /// Whether the log has become so much shorter that the memory which it no longer needs is worth giving
    /// back.
    pub(super) fn has_shrunk(&self) -> bool {
        self.budget.peak.has_shrunk(self.bytes())
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

    /// What encodings for other wires take.
    fn encoded(&self) -> usize {
        self.encoded.load(Ordering::Relaxed)
    }
}

impl Majority {
    const FAR: u32 = 32;

    /// Counts `far` more cursors that are far, and `counted` more in all. Whether most of them lagged
    /// before, and after.
    fn add(&self, far: i64, counted: i64) -> (bool, bool) {
        // Both counts stay above zero, so that the lower half borrows nothing in the end.
        let change = ((far << Self::FAR) + counted).cast_unsigned();
        let before = self.0.fetch_add(change, Ordering::SeqCst);
        (lags(before), lags(before.wrapping_add(change)))
    }

    fn lags(&self) -> bool {
        lags(self.0.load(Ordering::SeqCst))
    }
}

/// More than half are far. Of two, one may be the author, who waits for the other.
fn lags(counts: u64) -> bool {
    let (far, counted) = (counts >> Majority::FAR, counts & u64::from(u32::MAX));
    2 * far > counted || (far == 1 && counted == 2)
}

impl Message {
    /// The last cursor of a reader passed it.
    fn passed_at(&self, at: Instant) {
        let after_us = micros(at.saturating_duration_since(self.accepted_at)) + 1;
        self.passed_after_us.fetch_max(after_us, Ordering::Relaxed);
    }

    /// No cursor of a reader has yet to pass it. To the last of all readers: the microseconds from
    /// accepting it until the last cursor had passed, unless there was none.
    fn passed_by_reader(&self) -> Option<u64> {
        let was_last = self.readers_left.fetch_sub(1, Ordering::AcqRel) == 1;
        let after_us = self.passed_after_us.load(Ordering::Relaxed);
        after_us.checked_sub(1).filter(|_| was_last)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_has_shrunk_by_much_says_so_once() {
        const MIB: usize = 1 << 20;
        let log = Log::new(64 * MIB);
        let held = |mib| log.budget.reserve(mib * MIB).unwrap();
        let (first, second, third) = (held(30), held(15), held(7));
        assert!(!log.has_shrunk(), "it has grown");
        drop(second);
        assert!(!log.has_shrunk(), "it holds more than half of what it did");
        drop(first);
        assert!(log.has_shrunk());
        assert!(!log.has_shrunk(), "it was said");
        drop(third);
        assert!(
            !log.has_shrunk(),
            "that was less than {} bytes",
            Log::SHRUNK_BYTES
        );
    }
}
