//! What was handed to the kernel only just now: when the connection is lost, nobody can tell whether
//! it arrived, and so it is said.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What was sent longer ago than this is taken for arrived.
const UNCERTAIN_FOR: Duration = Duration::from_secs(2);
/// Notes that are kept: the oldest two become one beyond that.
const NOTES_MAX: usize = 64;

/// How many messages were sent, and when.
#[derive(Debug, Default)]
pub(super) struct JustSent {
    notes: VecDeque<(Instant, usize)>,
}

impl JustSent {
    /// So many messages were sent at `now`.
    pub(super) fn note(&mut self, now: Instant, messages: usize) {
        self.forget(now);
        self.notes.push_back((now, messages));
        if self.notes.len() > NOTES_MAX
            && let Some((_, oldest)) = self.notes.pop_front()
        {
            self.notes[0].1 += oldest;
        }
    }

    /// How many may not have arrived if the connection was lost at `now`. Starts anew.
    pub(super) fn take(&mut self, now: Instant) -> usize {
        self.forget(now);
        self.notes.drain(..).map(|(_, messages)| messages).sum()
    }

    fn forget(&mut self, now: Instant) {
        let old = |&(at, _): &(Instant, usize)| now.duration_since(at) > UNCERTAIN_FOR;
        while self.notes.front().is_some_and(old) {
            self.notes.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_moments_are_uncertain() {
        let began = Instant::now();
        let mut sent = JustSent::default();
        sent.note(began, 5);
        sent.note(began + UNCERTAIN_FOR, 2);
        assert_eq!(sent.take(began + UNCERTAIN_FOR * 3 / 2), 2);
        assert_eq!(sent.take(began + UNCERTAIN_FOR * 3 / 2), 0);
    }

    #[test]
    fn a_busy_sender_is_counted_in_bounded_memory() {
        let now = Instant::now();
        let mut sent = JustSent::default();
        (0..10_000).for_each(|_| sent.note(now, 1));
        assert!(sent.notes.len() <= NOTES_MAX);
        assert_eq!(sent.take(now), 10_000);
    }
}
