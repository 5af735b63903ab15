//! The messages that were read lately, known again by their bytes.
//!
//! All receivers get the same bytes for a message, nearly at once. The first time they are decoded,
//! judged and checked; a client that gets the very same bytes after that has got the same message, and
//! comparing them says so at a fraction of the cost. Places go by the message's number, whose digits
//! are found where they were in the message before.
//!
//! Always: what is recognized is equal, bit for bit, to what was proved to be a message of this run.
//! Of different bytes nothing is concluded: they are read as if nothing had been kept.

use super::stamp::{Stamp, Stamper, number_tail};

/// How many messages are kept: more than are under way at once, unless receivers are far apart.
const PLACES: usize = 1024;

/// Longer ones are not kept. What they cost is in comparing their bytes, which is the same either way.
const BYTES_MAX: usize = 512;

/// Keeps the messages of one run.
#[derive(Debug)]
pub(crate) struct Recent {
    /// Where in a message the last digits of its number are.
    tail_at: usize,
    places: Box<[Place]>,
}

#[derive(Debug, Clone, Default)]
struct Place {
    /// As it came, with whatever the protocol puts around it.
    bytes: Vec<u8>,
    stamp: Option<Stamp>,
}

impl Recent {
    /// Nothing is known yet.
    pub(crate) fn new() -> Self {
        Self {
            tail_at: 0,
            places: vec![Place::default(); PLACES].into_boxed_slice(),
        }
    }

    /// Never knows anything, for those who read little.
    pub(crate) fn none() -> Self {
        Self {
            tail_at: 0,
            places: Box::default(),
        }
    }

    /// Takes a message from the head of `input`, which stands between messages, if it is known. Hot:
    /// once per delivery.
    #[inline]
    pub(crate) fn recognize(&self, input: &mut &[u8]) -> Option<Stamp> {
        let (_, tail) = input.split_at_checked(self.tail_at)?;
        let place = self.places.get(place_of(number_tail(tail)?))?;
        let stamp = place.stamp?;
        *input = input.strip_prefix(&place.bytes[..])?;
        Some(stamp)
    }

    /// Keeps a message that was read from `bytes`, all of them, and found to be unchanged.
    pub(crate) fn remember(&mut self, bytes: &[u8], stamp: Stamp, stamper: &Stamper) {
        if bytes.len() > BYTES_MAX {
            return;
        }
        let Some(tail_at) = stamper.number_tail_at(bytes) else {
            return;
        };
        if let Some(place) = self.places.get_mut(place_of(stamp.number)) {
            self.tail_at = tail_at;
            place.bytes.clear();
            place.bytes.extend_from_slice(bytes);
            place.stamp = Some(stamp);
        }
    }
}

fn place_of(number: u32) -> usize {
    number as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(number: u32) -> Stamp {
        Stamp {
            number,
            previous: None,
            intended_ns: 5,
            sent_ns: 6,
        }
    }

    fn message(stamper: &Stamper, number: u32) -> Vec<u8> {
        let payload = stamper.message(&stamp(number), 3, 64);
        protocol::frame::broadcast(b"load-00003", &payload).to_vec()
    }

    #[test]
    fn only_the_very_same_bytes_are_recognized_and_taken() {
        let stamper = Stamper::new(7, 64);
        let mut recent = Recent::new();
        let first = message(&stamper, 0x1abc);
        recent.remember(&first, stamp(0x1abc), &stamper);
        let stream = [&first[..], b"more"].concat();
        let mut input = &stream[..];
        assert_eq!(recent.recognize(&mut input), Some(stamp(0x1abc)));
        assert_eq!(input, b"more");
        for at in 0..first.len() {
            let mut changed = first.clone();
            changed[at] ^= 1;
            let mut input = &changed[..];
            assert_eq!(recent.recognize(&mut input), None, "byte {at}");
            assert_eq!(input, changed, "nothing is taken");
        }
        for cut in 0..first.len() {
            assert_eq!(recent.recognize(&mut &first[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn a_message_gives_way_to_a_later_one_in_its_place() {
        let stamper = Stamper::new(7, 64);
        let mut recent = Recent::new();
        let later = 5 + u32::try_from(PLACES).unwrap();
        for number in [5, 6, later] {
            recent.remember(&message(&stamper, number), stamp(number), &stamper);
        }
        let known = |number| recent.recognize(&mut &message(&stamper, number)[..]);
        assert_eq!(known(5), None);
        assert_eq!(known(6), Some(stamp(6)));
        assert_eq!(known(later), Some(stamp(later)));
    }

    #[test]
    fn long_messages_are_not_kept() {
        let stamper = Stamper::new(7, 4096);
        let payload = stamper.message(&stamp(1), 3, BYTES_MAX);
        let wire = protocol::frame::broadcast(b"load-00003", &payload);
        let mut recent = Recent::new();
        recent.remember(&wire, stamp(1), &stamper);
        assert_eq!(recent.recognize(&mut &wire[..]), None);
    }
}
