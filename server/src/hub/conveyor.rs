//! The conveyor: who is served next.
//!
//! A subscriber that is owed something and has nothing on its way waits in line; one that is owed
//! nothing rests. A new message sends all who rest to the end of the line in one step; a subscriber
//! whose send completed goes to the end of the line if more came meanwhile, else to rest. So
//! everyone is served in turn, each gets all it is owed by then, and a message costs O(1) whatever
//! the number of subscribers.

use super::lists::Lists;

#[derive(Debug)]
pub(super) struct Conveyor {
    lists: Lists<2>,
}

const WAITING: usize = 0;
const RESTING: usize = 1;

impl Conveyor {
    pub(super) fn new() -> Self {
        Self {
            lists: Lists::new(),
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

    /// `slot` is not served any more.
    pub(super) fn remove(&mut self, slot: u32) {
        self.lists.remove(slot);
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> Vec<u32> {
        self.lists.iter(WAITING).collect()
    }

    #[cfg(test)]
    pub(super) fn resting(&self) -> Vec<u32> {
        self.lists.iter(RESTING).collect()
    }
}
