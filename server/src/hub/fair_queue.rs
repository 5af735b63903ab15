//! The fair queue: which author goes on when there is room in the log.
//!
//! Authors share by bytes, as the log charges them, so that small messages count by number as well. This is
//! start-time fair queueing (Goyal, Vin, Cheng: SIGCOMM 1996): a message starts when its author's
//! last one has ended, or now, on a clock of bytes; the one that starts first goes first. So a flooder,
//! whatever the size of its messages, is behind whoever says something now and then, and of several
//! flooders each gets as many bytes as the others.

use std::collections::BTreeSet;

/// Those who wait for room.
#[derive(Debug, Default)]
pub(super) struct FairQueue {
    waiting: BTreeSet<(Place, u32)>,
    arrivals: u64,
    /// The start of the last message that was taken.
    clock_bytes: u64,
}

/// When a message starts; of two at the same time, who came first.
type Place = (u64, u64);

/// What one author has had of the log.
#[derive(Debug, Default)]
pub(super) struct Share {
    /// Where its last message ends.
    end_bytes: u64,
    place: Option<Place>,
}

impl FairQueue {
    /// The author in `slot` has a message for which there is no room.
    pub(super) fn wait(&mut self, slot: u32, share: &mut Share) {
        debug_assert!(share.place.is_none(), "slot {slot} waits already");
        let place = (self.clock_bytes.max(share.end_bytes), self.arrivals);
        self.arrivals += 1;
        self.waiting.insert((place, slot));
        share.place = Some(place);
    }

    /// The author that goes on next.
    #[inline]
    pub(super) fn first(&self) -> Option<u32> {
        self.waiting.first().map(|&(_, slot)| slot)
    }

    /// Whether nobody waits.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The author in `slot` does not wait, or no longer.
    pub(super) fn remove(&mut self, slot: u32, share: &mut Share) {
        if let Some(place) = share.place.take() {
            self.waiting.remove(&(place, slot));
        }
    }

    /// A message was taken for which the log is charged so many `bytes`.
    pub(super) fn charge(&mut self, share: &mut Share, bytes: usize) {
        self.clock_bytes = self.clock_bytes.max(share.end_bytes);
        share.end_bytes = self.clock_bytes + bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who goes on, of authors that always have another message of their size, until so many have.
    fn turns(sizes: &[usize], turns: usize) -> Vec<usize> {
        let mut queue = FairQueue::default();
        let mut shares: Vec<Share> = sizes.iter().map(|_| Share::default()).collect();
        for (slot, share) in (0..).zip(&mut shares) {
            queue.wait(slot, share);
        }
        let mut gone_on = Vec::new();
        for _ in 0..turns {
            let slot = queue.first().unwrap();
            let author = slot as usize;
            queue.remove(slot, &mut shares[author]);
            queue.charge(&mut shares[author], sizes[author]);
            queue.wait(slot, &mut shares[author]);
            gone_on.push(author);
        }
        gone_on
    }

    #[test]
    fn authors_share_by_bytes_and_not_by_messages() {
        let turns = turns(&[65_000, 1_000, 1_000], 2 * 131);
        let count = |author| turns.iter().filter(|&&it| it == author).count();
        assert_eq!([count(0), count(1), count(2)], [2, 130, 130]);
    }

    #[test]
    fn who_speaks_now_and_then_goes_before_those_who_flood() {
        let mut queue = FairQueue::default();
        let [mut flooder, mut other, mut rare] = [(); 3].map(|()| Share::default());
        for _ in 0..100 {
            queue.charge(&mut flooder, 65_000);
            queue.charge(&mut other, 65_000);
        }
        queue.wait(0, &mut flooder);
        queue.wait(1, &mut other);
        queue.wait(2, &mut rare);
        assert_eq!(queue.first(), Some(2));
        queue.remove(2, &mut rare);
        assert_eq!(queue.first(), Some(0));
    }
}
