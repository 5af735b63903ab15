//! The input budget: how many bytes that came from clients and were not taken yet are kept in memory, over
//! all connections of all hubs: those held back while their author waits, and unfinished frames.
//!
//! Once half of it is used, drivers read little at a time ([`Hub::read_bytes_max`]). When it is exceeded,
//! those who have left go first, then whoever has most of it, until it is kept again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::Hub;
use super::closing::CloseReason;
use super::session::{Phase, Session};
use crate::memory::Peak;

/// What all connections have of the budget.
#[derive(Debug, Clone, Default)]
pub(super) struct InputBudget(Arc<Kept>);

#[derive(Debug, Default)]
struct Kept {
    bytes: AtomicUsize,
    peak: Peak,
}

/// What one connection has of it; given back when this is dropped.
#[derive(Debug)]
pub(super) struct KeptInput {
    bytes: usize,
    budget: InputBudget,
}

impl InputBudget {
    pub(super) fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn share(&self) -> KeptInput {
        KeptInput {
            bytes: 0,
            budget: self.clone(),
        }
    }
}

impl KeptInput {
    #[inline]
    pub(super) fn set(&mut self, bytes: usize) {
        if bytes != self.bytes {
            self.budget.0.bytes.fetch_add(bytes, Ordering::Relaxed);
            self.budget.0.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
            self.bytes = bytes;
        }
    }
}

impl Drop for KeptInput {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// What is read of a connection at a time once half of the budget is used.
const SMALL_READ_BYTES: usize = 8 * 1024;

impl Hub {
    /// Whether the log, or the input that is kept, has shrunk so much that the memory which they no longer
    /// need is worth giving back. To be asked once a turn.
    #[must_use]
    pub fn has_shrunk(&self) -> bool {
        let kept = &self.input_budget.0;
        self.log().has_shrunk() || kept.peak.has_shrunk(self.input_budget.bytes())
    }

    /// The most that a driver reads from a connection at a time, unless its buffers are small anyway.
    #[must_use]
    pub fn read_bytes_max(&self) -> usize {
        if self.input_budget.bytes() > self.limits.input_bytes_max / 2 {
            SMALL_READ_BYTES
        } else {
            usize::MAX
        }
    }

    /// Counts what a session keeps now.
    #[inline]
    pub(super) fn count_input(&mut self, slot: u32) {
        if let Some(session) = self.sessions.get_mut(slot as usize) {
            let input = &mut session.input;
            let held_back = input.held_back.as_ref().map_or(0, bytes::Bytes::len);
            input.kept.set(held_back + input.wire.kept_bytes());
        }
    }

    /// Too much is kept: lets go of those who have left, then of those who keep most. The hubs of other
    /// threads are asked as well, for most of it may be theirs.
    pub(super) fn keep_input_budget(&mut self, now: Instant) {
        let input_bytes_max = self.limits.input_bytes_max;
        if self.input_budget.bytes() <= input_bytes_max {
            return;
        }
        let mut keepers = self.keepers();
        keepers.sort_unstable_by(|a, b| b.cmp(a));
        let own: usize = keepers.iter().map(|&(_, bytes, _)| bytes).sum();
        // A small slice is let go only where there is nothing else.
        let slice = SMALL_READ_BYTES.min(input_bytes_max / 16);
        let has_part = own > input_bytes_max / 8;
        // A little more than is needed, so that this look at all sessions is a rare one.
        let enough = input_bytes_max - input_bytes_max / 16;
        for (has_left, bytes, slot) in keepers {
            if self.input_budget.bytes() <= enough {
                return;
            }
            if has_left {
                self.end_input(slot, now);
            } else if self.sessions[slot as usize].is_in_use() && (bytes > slice || has_part) {
                let why = CloseReason::InputFull {
                    bytes,
                    input_bytes_max,
                };
                self.close(slot, &why, now);
            }
        }
        self.others_to_wake |= self.input_budget.bytes() > input_bytes_max;
    }

    /// Whether one has left, how much it keeps, and who it is, for all who keep something.
    fn keepers(&self) -> Vec<(bool, usize, u32)> {
        let sessions = self.sessions.iter().map(|(_, session)| session);
        let keepers = sessions.filter(|session| session.input.kept.bytes > 0);
        let keeper = |session: &Session| {
            let has_left = matches!(session.phase, Phase::DrainingInput { .. });
            (has_left, session.input.kept.bytes, session.id.slot)
        };
        keepers.map(keeper).collect()
    }
}

#[cfg(test)]
mod tests {
    use protocol::frame;

    use super::super::tests::join;
    use super::super::{Disconnect, Limits, Log, Reason};
    use super::*;

    fn hub() -> Hub {
        let limits = Limits {
            input_bytes_max: 100_000,
            messages_per_second_max: Some(1),
            ..Limits::default()
        };
        Hub::new(limits, Log::new(1 << 20))
    }

    #[test]
    fn whoever_keeps_most_goes_when_the_budget_is_exceeded_and_those_who_left_before() {
        let now = Instant::now();
        let mut hub = hub();
        let ids: Vec<_> = (0..5)
            .map(|number| join(&mut hub, &number.to_string(), now))
            .collect();
        let kept = [20_000, 40_000, 20_000, 10_000];
        for (&id, bytes) in ids.iter().zip(kept) {
            let _ = hub.receive(id, &frame::encode(b"").repeat(bytes / 10), now);
        }
        hub.disconnected(ids[3], Disconnect::EndOfStream, now);
        assert_eq!(hub.read_bytes_max(), SMALL_READ_BYTES);
        // Unfinished frames count as well; 5,000 bytes more than there are.
        let mut unfinished = frame::encode(&[b'x'; 30_000]).to_vec();
        unfinished.pop();
        let _ = hub.receive(ids[4], &unfinished, now);
        assert_eq!(
            hub.sessions.len(),
            5,
            "the one that had left has no session"
        );
        let closed = &hub.counters().closed;
        assert_eq!(closed[Reason::InputFull], 1);
        assert!(!hub.sessions[ids[1].slot as usize].is_in_use());
        assert!(hub.input_budget.bytes() <= 100_000);
        drop(hub);
    }

    #[test]
    fn what_is_taken_or_given_up_is_not_counted_any_more() {
        let now = Instant::now();
        let mut hub = hub();
        let ids: Vec<_> = (0..3)
            .map(|number| join(&mut hub, &number.to_string(), now))
            .collect();
        for &id in &ids {
            let _ = hub.receive(id, &frame::encode(b"").repeat(10), now);
        }
        assert_eq!(hub.input_budget.bytes(), 3 * 9 * 10);
        hub.disconnected(ids[0], Disconnect::EndOfStream, now);
        hub.drain(std::time::Duration::ZERO, now);
        assert_eq!(hub.input_budget.bytes(), 0);
        assert_eq!(hub.read_bytes_max(), usize::MAX);
    }
}
