//! The grid: a bit for each message and receiver, set when the one has reached the other.
//!
//! The bits of a message lie side by side. A message comes to all receivers at nearly the same time,
//! and those who are read one after the other are neighbours: so the few lines of memory that are
//! written to stay in the processor's cache, where a row per receiver would be fetched for each read.

/// Who has received what.
#[derive(Debug)]
pub(super) struct Grid {
    receivers: u32,
    messages: usize,
    /// Of a message.
    words: usize,
    bits: Vec<u64>,
}

/// What the grid of so many takes of the memory, in bytes.
pub(super) fn bytes_needed(receivers: u64, messages: u64) -> u64 {
    messages.saturating_mul(receivers.div_ceil(64) * 8)
}

impl Grid {
    /// Nothing has been received.
    pub(super) fn new(receivers: u32, messages: usize) -> Self {
        let words = receivers.div_ceil(64) as usize;
        Self {
            receivers,
            messages,
            words,
            bits: vec![0; words * messages],
        }
    }

    /// Marks a message as received; says whether it was not. Hot: once per delivery.
    pub(super) fn set(&mut self, message: u32, receiver: u32) -> bool {
        let (at, bit) = self.place(message, receiver);
        let word = &mut self.bits[at];
        let was_clear = *word & bit == 0;
        *word |= bit;
        was_clear
    }

    /// Whether a message was received. Hot: once per delivery.
    pub(super) fn is_set(&self, message: u32, receiver: u32) -> bool {
        let (at, bit) = self.place(message, receiver);
        self.bits.get(at).is_some_and(|word| word & bit != 0)
    }

    /// Those who have not received a message.
    pub(super) fn missing(&self, message: u32) -> impl Iterator<Item = u32> + '_ {
        let words = (0..).step_by(64).zip(self.row(message));
        words.flat_map(move |(first, &word): (u32, &u64)| {
            let here = (self.receivers - first).min(64);
            let mut missing = !word & (u64::MAX >> (64 - here));
            std::iter::from_fn(move || {
                let bit = missing.trailing_zeros();
                (bit < 64).then(|| {
                    missing &= missing - 1;
                    first + bit
                })
            })
        })
    }

    /// Adds the receivers of `next` behind those that are here.
    pub(super) fn join(&mut self, next: &Self) {
        let mut joined = Self::new(self.receivers + next.receivers, self.messages);
        let (at, shift) = (self.receivers as usize / 64, self.receivers % 64);
        for message in 0..self.messages {
            let row = &mut joined.bits[message * joined.words..][..joined.words];
            row[..self.words].copy_from_slice(&self.bits[message * self.words..][..self.words]);
            for (word, place) in next.bits[message * next.words..][..next.words]
                .iter()
                .zip(at..)
            {
                row[place] |= word << shift;
                if shift > 0 && place + 1 < row.len() {
                    row[place + 1] |= word >> (64 - shift);
                }
            }
        }
        *self = joined;
    }

    fn row(&self, message: u32) -> &[u64] {
        &self.bits[message as usize * self.words..][..self.words]
    }

    fn place(&self, message: u32, receiver: u32) -> (usize, u64) {
        debug_assert!(receiver < self.receivers, "a receiver that belongs here");
        let at = message as usize * self.words + receiver as usize / 64;
        (at, 1 << (receiver % 64))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const MESSAGES: u32 = 3;

    fn grid_of(receivers: u32, received: &BTreeSet<(u32, u32)>, first: u32) -> Grid {
        let mut grid = Grid::new(receivers, MESSAGES as usize);
        for &(message, receiver) in received {
            if (first..first + receivers).contains(&receiver) {
                assert!(grid.set(message, receiver - first));
                assert!(!grid.set(message, receiver - first), "it was there");
            }
        }
        grid
    }

    proptest! {
        #[test]
        fn who_misses_a_message_is_who_has_not_received_it_however_grids_were_joined(
            shares in proptest::collection::vec(0_u32..150, 1..5),
            received in proptest::collection::btree_set((0..MESSAGES, 0_u32..600), 0..400),
        ) {
            let mut all: Option<Grid> = None;
            let mut first = 0;
            for share in shares {
                let grid = grid_of(share, &received, first);
                first += share;
                match &mut all {
                    Some(all) => all.join(&grid),
                    None => all = Some(grid),
                }
            }
            let all = all.unwrap();
            for message in 0..MESSAGES {
                let has = |receiver: &u32| received.contains(&(message, *receiver));
                let found: Vec<_> = all.missing(message).collect();
                let wanted: Vec<_> = (0..first).filter(|receiver| !has(receiver)).collect();
                prop_assert_eq!(found, wanted);
                prop_assert!((0..first).all(|it| all.is_set(message, it) == has(&it)));
            }
        }
    }
}
