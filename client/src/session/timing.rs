//! The session's own time: a clock that stands still while the session does not run, and the pauses
//! between attempts to connect.

use std::time::{Duration, Instant};

use rand::RngExt as _;

/// The session is this much late now and then on a busy machine.
const LATE_MAX: Duration = Duration::from_millis(250);
/// The first pause, before jitter.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// No pause is longer than this.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A connection that lived this long was a good one: the next pause is a short one again.
const GOOD_AFTER: Duration = Duration::from_secs(10);

/// Stands still while the session does not run (the process was stopped, the machine was paused, standard
/// output was not read), so that no deadline passes meanwhile: what came in that time is looked at first.
pub(crate) struct Clock {
    turned_at: Instant,
    /// For how long the session stood still so far.
    stood_still: Duration,
}

impl Clock {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            turned_at: now,
            stood_still: Duration::ZERO,
        }
    }

    /// The time to set deadlines by, and to judge them by.
    pub(crate) fn now(&self) -> Instant {
        let now = Instant::now();
        now.checked_sub(self.stood_still).unwrap_or(now)
    }

    /// A turn is over at `now`, which was to wait for `timeout` at most.
    pub(crate) fn turned(&mut self, now: Instant, timeout: Option<Duration>) {
        let took = now.duration_since(self.turned_at);
        self.turned_at = now;
        // Without a timeout there is no deadline.
        let late = timeout.map_or(Duration::ZERO, |timeout| took.saturating_sub(timeout));
        if late > LATE_MAX {
            // How much of it the session was there for, nobody knows: none of it counts.
            self.stood_still += took;
        }
    }
}

/// The pauses between attempts: twice as long each time, up to a bound, and spread at random so that the
/// clients of a restarted server do not all come back at once.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// The pause before the next attempt: between half and the whole of the doubled pause.
    pub(crate) fn pause(&mut self) -> Duration {
        self.pause_with(rand::rng().random_range(0.5..=1.0))
    }

    /// The connection was lost after it had lived for `lived`. Only a good one ends the doubling:
    /// a server that takes connections and drops them is not to be flooded with them.
    pub(crate) fn lost_after(&mut self, lived: Duration) {
        if lived >= GOOD_AFTER {
            self.attempts = 0;
        }
    }

    fn pause_with(&mut self, share: f64) -> Duration {
        let doubled = PAUSE_MIN.saturating_mul(1 << self.attempts.min(16));
        self.attempts += 1;
        doubled.min(PAUSE_MAX).mul_f64(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_bound_and_jitter_stays_within_half_and_whole() {
        let mut backoff = Backoff::default();
        let seconds: Vec<f64> = (0..9)
            .map(|_| backoff.pause_with(1.0).as_secs_f64())
            .collect();
        assert_eq!(seconds, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]);
        // At random, half of it to the whole.
        let jittered = PAUSE_MIN / 2..=PAUSE_MIN;
        assert!((0..1000).all(|_| jittered.contains(&Backoff::default().pause())));
    }

    #[test]
    fn only_a_connection_that_lived_resets_it() {
        let mut backoff = Backoff::default();
        backoff.pause_with(1.0);
        backoff.lost_after(Duration::from_secs(1));
        assert_eq!(backoff.pause_with(1.0), PAUSE_MIN * 2);
        backoff.lost_after(GOOD_AFTER);
        assert_eq!(backoff.pause_with(1.0), PAUSE_MIN);
    }
}
