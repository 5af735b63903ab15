//! Who waits to receive, for want of a buffer: those who have joined, and newcomers.
//!
//! Newcomers may come faster than their names are read. In one line with them, those who have joined
//! would wait for a crowd of any size at each read. So they go first, and newcomers are given half of the
//! buffers at most: what always holds is that a turn reads from those who have joined, however many
//! newcomers wait, and that both go on.

use std::collections::VecDeque;

use crate::hub::ConnectionId;

#[derive(Debug, Default)]
pub(super) struct BufferQueue {
    joined: VecDeque<ConnectionId>,
    /// They have not said their name.
    newcomers: VecDeque<ConnectionId>,
}

impl BufferQueue {
    pub(super) fn push(&mut self, id: ConnectionId, has_joined: bool) {
        if has_joined {
            self.joined.push_back(id);
        } else {
            self.newcomers.push_back(id);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.joined.is_empty() && self.newcomers.is_empty()
    }

    /// Takes out those who may receive in a turn with so many buffers, in the order in which they may.
    pub(super) fn take(&mut self, buffers: u16) -> Vec<ConnectionId> {
        let buffers = usize::from(buffers);
        // One at least, lest nobody is let in where there is one buffer.
        let newcomers = self.newcomers.len().min((buffers / 2).max(1));
        let joined = self.joined.len().min((buffers - newcomers).max(1));
        self.joined
            .drain(..joined)
            .chain(self.newcomers.drain(..newcomers))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(slot: u32) -> ConnectionId {
        ConnectionId {
            slot,
            generation: 0,
        }
    }

    fn slots(taken: Vec<ConnectionId>) -> Vec<u32> {
        taken.into_iter().map(|id| id.slot).collect()
    }

    #[test]
    fn who_has_joined_is_before_any_crowd_of_newcomers() {
        let mut queue = BufferQueue::default();
        for newcomer in 0..1000 {
            queue.push(id(newcomer), false);
        }
        queue.push(id(2000), true);
        assert_eq!(slots(queue.take(4)), [2000, 0, 1]);
        assert_eq!(slots(queue.take(4)), [2, 3]);
    }

    #[test]
    fn newcomers_have_their_half_whoever_else_waits() {
        let mut queue = BufferQueue::default();
        for slot in 0..10 {
            queue.push(id(slot), true);
            queue.push(id(100 + slot), false);
        }
        assert_eq!(slots(queue.take(4)), [0, 1, 100, 101]);
        assert_eq!(slots(queue.take(1)), [2, 102], "both go on with one buffer");
        assert_eq!(slots(queue.take(128)).len(), 14);
        assert!(queue.is_empty());
    }
}
