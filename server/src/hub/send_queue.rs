//! The send_queue: who is served next.
//!
//! A subscriber that is owed something and has nothing on its way waits in line; one that is owed
//! nothing rests. A new message sends all who rest to the end of the line in one step; a subscriber
//! whose send completed goes to the end of the line if more came meanwhile, else to rest. So
//! everyone is served in turn, each gets all it is owed by then, and a message costs O(1) whatever
//! the number of subscribers.
//!
//! With coalescing, one that was served a moment ago is put off first: it waits for its time outside
//! the line, so that more may gather for its next send.

use std::collections::BTreeSet;
use std::time::Instant;

use super::lists::Lists;

#[derive(Debug)]
pub(super) struct SendQueue {
    lists: Lists<2>,
    /// Who is put off, by the time at which it joins the line.
    put_off: BTreeSet<(Instant, u32)>,
}

const WAITING: usize = 0;
const RESTING: usize = 1;

impl SendQueue {
    pub(super) fn new() -> Self {
        Self {
            lists: Lists::new(),
            put_off: BTreeSet::new(),
        }
    }

    /// `slot` is owed something: it is served after all who wait already.
    pub(super) fn wait(&mut self, slot: u32) {
        self.lists.push_back(WAITING, slot);
    }

    /// `slot` is owed nothing until [`Self::wake_all`].
    pub(super) fn rest(&mut self, slot: u32) {
        self.lists.push_back(RESTING, slot);
    }

    /// A message came: all who rest are owed it.
    pub(super) fn wake_all(&mut self) {
        self.lists.append(WAITING, RESTING);
    }

    /// `slot` is owed something, but is not served before `until`.
    pub(super) fn put_off(&mut self, slot: u32, until: Instant) {
        self.put_off.insert((until, slot));
    }

    /// Those whose time has come join the line.
    pub(super) fn line_up(&mut self, now: Instant) {
        while let Some(&(until, slot)) = self.put_off.first()
            && until <= now
        {
            self.put_off.pop_first();
            self.wait(slot);
        }
    }

    /// When the next who is put off joins the line.
    pub(super) fn next_line_up(&self) -> Option<Instant> {
        self.put_off.first().map(|&(until, _)| until)
    }

    /// Nobody is put off any longer.
    pub(super) fn line_up_all(&mut self) {
        for (_, slot) in std::mem::take(&mut self.put_off) {
            self.wait(slot);
        }
    }

    /// Takes the next to be served out of the line.
    pub(super) fn next(&mut self) -> Option<u32> {
        self.lists.pop_front(WAITING)
    }

    /// Takes one who rests.
    pub(super) fn next_resting(&mut self) -> Option<u32> {
        self.lists.pop_front(RESTING)
    }

    /// Whether anyone waits to be served.
    pub(super) fn has_waiting(&self) -> bool {
        self.lists.front(WAITING).is_some()
    }

    /// `slot`, which may be put off until `until`, is not served any more.
    pub(super) fn remove(&mut self, slot: u32, until: Option<Instant>) {
        self.lists.remove(slot);
        if let Some(until) = until {
            self.put_off.remove(&(until, slot));
        }
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn waiting(&self) -> Vec<u32> {
        self.lists.iter(WAITING).collect()
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn are_put_off(&self) -> Vec<u32> {
        self.put_off.iter().map(|&(_, slot)| slot).collect()
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn resting(&self) -> Vec<u32> {
        self.lists.iter(RESTING).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_rest_are_served_after_those_who_wait() {
        let mut send_queue = SendQueue::new();
        send_queue.rest(1);
        send_queue.wait(2);
        send_queue.wait(3);
        send_queue.wake_all();
        let served: Vec<u32> = std::iter::from_fn(|| send_queue.next()).collect();
        assert_eq!(served, [2, 3, 1]);
    }
}
