//! Intrusive lists over slab slots: a connection stands in one list at a time, and every move is O(1).
//!
//! All lists are rings through sentinels at the front of one array, so that taking a slot out needs
//! no knowledge of the list it stands in, and a whole list can be appended to another in one step.
//! Nothing is allocated but one link a slot, and no stale entry can be left behind.

/// `LISTS` lists over the same slots. A slot that is in none of them is linked to itself.
#[derive(Debug)]
pub(super) struct Lists<const LISTS: usize> {
    /// The sentinels of the lists, then one link for each slot.
    links: Vec<Link>,
}

#[derive(Debug, Clone, Copy)]
struct Link {
    previous: u32,
    next: u32,
}

impl<const LISTS: usize> Lists<LISTS> {
    pub(super) fn new() -> Self {
        let mut lists = Self { links: Vec::new() };
        lists.grow_to(LISTS);
        lists
    }

    /// Puts `slot`, which is in no list, at the end of `list`.
    pub(super) fn push_back(&mut self, list: usize, slot: u32) {
        let node = slot + Self::sentinels();
        self.grow_to(node as usize + 1);
        debug_assert!(!self.is_linked(node), "slot {slot} is already in a list");
        let sentinel = Self::sentinel(list);
        let last = self.links[sentinel as usize].previous;
        self.join(last, node);
        self.join(node, sentinel);
    }

    /// Takes the first slot out of `list`.
    pub(super) fn pop_front(&mut self, list: usize) -> Option<u32> {
        let slot = self.front(list)?;
        self.remove(slot);
        Some(slot)
    }

    /// The first slot of `list`.
    pub(super) fn front(&self, list: usize) -> Option<u32> {
        self.links[Self::sentinel(list) as usize]
            .next
            .checked_sub(Self::sentinels())
    }

    /// Takes `slot` out of the list that it is in, if it is in one.
    pub(super) fn remove(&mut self, slot: u32) {
        let node = slot + Self::sentinels();
        if node as usize >= self.links.len() {
            return;
        }
        let Link { previous, next } = self.links[node as usize];
        self.join(previous, next);
        self.join(node, node);
    }

    /// Moves all slots of `from` to the end of `to`, in their order.
    pub(super) fn append(&mut self, to: usize, from: usize) {
        let (to, from) = (Self::sentinel(to), Self::sentinel(from));
        let Link {
            previous: last,
            next: first,
        } = self.links[from as usize];
        if first == from {
            return;
        }
        let end = self.links[to as usize].previous;
        self.join(end, first);
        self.join(last, to);
        self.join(from, from);
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn iter(&self, list: usize) -> impl Iterator<Item = u32> {
        let after = |node: u32| {
            self.links[node as usize]
                .next
                .checked_sub(Self::sentinels())
        };
        std::iter::successors(after(Self::sentinel(list)), move |slot| {
            after(slot + Self::sentinels())
        })
    }

    fn join(&mut self, previous: u32, next: u32) {
        self.links[previous as usize].next = next;
        self.links[next as usize].previous = previous;
    }

    fn is_linked(&self, node: u32) -> bool {
        self.links[node as usize].next != node
    }

    fn grow_to(&mut self, nodes: usize) {
        while self.links.len() < nodes {
            let node = Self::index(self.links.len());
            self.links.push(Link {
                previous: node,
                next: node,
            });
        }
    }

    fn sentinel(list: usize) -> u32 {
        debug_assert!(list < LISTS);
        Self::index(list)
    }

    fn sentinels() -> u32 {
        Self::index(LISTS)
    }

    fn index(position: usize) -> u32 {
        u32::try_from(position).expect("slots are counted in 32 bits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::StdRng};
    use std::collections::VecDeque;

    #[test]
    fn behave_as_two_queues() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut lists = Lists::<2>::new();
        let mut model = [VecDeque::new(), VecDeque::new()];
        for _ in 0..20_000 {
            let slot = rng.random_range(0..20u32);
            let list = rng.random_range(0..2usize);
            match rng.random_range(0..8) {
                0..4 => {
                    if !model.iter().any(|queue| queue.contains(&slot)) {
                        model[list].push_back(slot);
                        lists.push_back(list, slot);
                    }
                }
                4 => assert_eq!(lists.pop_front(list), model[list].pop_front()),
                5 | 6 => {
                    model
                        .iter_mut()
                        .for_each(|queue| queue.retain(|&s| s != slot));
                    lists.remove(slot);
                }
                _ => {
                    let moved = std::mem::take(&mut model[list]);
                    model[1 - list].extend(moved);
                    lists.append(1 - list, list);
                }
            }
            assert_eq!(lists.front(0), model[0].front().copied());
            assert_eq!(lists.front(1), model[1].front().copied());
        }
    }
}
