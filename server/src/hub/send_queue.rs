//! The send queue: who is served next.
//!
//! A subscriber that is owed something and has nothing on its way waits in line; one that is owed
//! nothing rests. A new message sends all who rest to the end of the line in one step; a subscriber
//! whose send completed goes to the end of the line if more came meanwhile, else to rest. So
//! everyone is served in turn, each gets all it is owed by then, and a message costs O(1) whatever
//! the number of subscribers.
//!
//! With coalescing, one that was served a moment ago is put off first: it stands in the slot of a wheel
//! until its step of time (see [`super::pace`]) has come, so that more may gather for its next send. A
//! slot joins the line as a whole, so that this costs O(1), too.

use super::lists::Lists;
use super::pace::STEPS_MAX;

#[derive(Debug)]
pub(super) struct SendQueue {
    lists: Lists<{ PUT_OFF + SLOTS }>,
    /// A bit for each slot of the wheel in which somebody may stand.
    occupied: [u64; SLOTS / 64],
    /// The first step at which somebody who is put off joins the line; [`NEVER`] when nobody is.
    due: u64,
}

const WAITING: usize = 0;
const RESTING: usize = 1;
/// The first list of the wheel.
const PUT_OFF: usize = 2;

/// Slots of the wheel: those who are put off at one time have steps that are less than this apart.
const SLOTS: usize = 256;
const _: () = assert!(STEPS_MAX < SLOTS as u64);

const NEVER: u64 = u64::MAX;

impl SendQueue {
    pub(super) fn new() -> Self {
        Self {
            lists: Lists::new(),
            occupied: [0; SLOTS / 64],
            due: NEVER,
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

    /// `slot` is owed something, but is not served before `step`, which is at most [`STEPS_MAX`] ahead.
    /// Those whose step has come must have lined up before.
    pub(super) fn put_off(&mut self, slot: u32, step: u64) {
        let place = place_of(step);
        self.lists.push_back(PUT_OFF + place, slot);
        self.occupied[place / 64] |= 1 << (place % 64);
        self.due = self.due.min(step);
    }

    /// Those whose step is not after `now` join the line.
    pub(super) fn line_up(&mut self, now: u64) {
        while self.due <= now {
            let place = place_of(self.due);
            self.lists.append(WAITING, PUT_OFF + place);
            self.occupied[place / 64] &= !(1 << (place % 64));
            self.due = self.next_occupied(self.due);
        }
    }

    /// The step at which the next who is put off joins the line.
    #[inline]
    pub(super) fn next_line_up(&self) -> Option<u64> {
        (self.due != NEVER).then_some(self.due)
    }

    /// Nobody is put off any longer.
    pub(super) fn line_up_all(&mut self) {
        self.line_up(NEVER - 1);
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

    /// The first step after `step` whose slot is occupied. A look at each word of the wheel.
    fn next_occupied(&self, step: u64) -> u64 {
        let first = place_of(step + 1);
        let words = self.occupied.len();
        // The word in which it begins comes first, from there on, and last, up to there.
        for offset in 0..=words {
            let word = (first / 64 + offset) % words;
            let from_first = u64::MAX << (first % 64);
            let bits = self.occupied[word]
                & match offset {
                    0 => from_first,
                    _ if offset == words => !from_first,
                    _ => u64::MAX,
                };
            if bits != 0 {
                let place = word * 64 + bits.trailing_zeros() as usize;
                let ahead = (place + SLOTS - first) % SLOTS;
                return step + 1 + ahead as u64;
            }
        }
        NEVER
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn waiting(&self) -> Vec<u32> {
        self.lists.iter(WAITING).collect()
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn are_put_off(&self) -> Vec<u32> {
        let occupied = |place: &usize| self.occupied[place / 64] & 1 << (place % 64) != 0;
        let places = (0..SLOTS).filter(occupied);
        let slots = places.flat_map(|place| self.lists.iter(PUT_OFF + place));
        slots.collect()
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn resting(&self) -> Vec<u32> {
        self.lists.iter(RESTING).collect()
    }
}

/// Where in the wheel those of `step` stand.
fn place_of(step: u64) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "only the low bits count")]
    let step = step as usize;
    step % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(queue: &mut SendQueue) -> Vec<u32> {
        std::iter::from_fn(|| queue.next()).collect()
    }

    #[test]
    fn those_who_rest_are_served_after_those_who_wait() {
        let mut queue = SendQueue::new();
        queue.rest(1);
        queue.wait(2);
        queue.wait(3);
        queue.wake_all();
        assert_eq!(served(&mut queue), [2, 3, 1]);
    }

    #[test]
    fn those_who_are_put_off_line_up_when_their_step_has_come_wherever_the_wheel_stands() {
        for now in [0, 1, 62, 63, 64, 200, 255, 256, 1_000_003] {
            let mut queue = SendQueue::new();
            let steps = [1, 2, 63, 64, 65, 128, STEPS_MAX];
            for (slot, ahead) in (0..).zip(steps) {
                queue.put_off(slot, now + ahead);
            }
            queue.put_off(7, now + 64);
            queue.remove(2);
            let mut lined_up = Vec::new();
            while let Some(step) = queue.next_line_up() {
                queue.line_up(step - 1);
                assert!(served(&mut queue).is_empty(), "not before its step");
                queue.line_up(step);
                lined_up.extend(
                    served(&mut queue)
                        .into_iter()
                        .map(|slot| (step - now, slot)),
                );
            }
            let expected = [
                (1, 0),
                (2, 1),
                (64, 3),
                (64, 7),
                (65, 4),
                (128, 5),
                (STEPS_MAX, 6),
            ];
            assert_eq!(lined_up, expected, "from {now} on");
        }
    }

    #[test]
    fn nobody_stays_put_off_when_all_line_up() {
        let mut queue = SendQueue::new();
        (0..STEPS_MAX)
            .zip(0..)
            .for_each(|(step, slot)| queue.put_off(slot, step));
        queue.line_up_all();
        assert_eq!(served(&mut queue).len() as u64, STEPS_MAX);
        assert_eq!(queue.next_line_up(), None);
    }
}
