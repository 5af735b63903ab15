//! How long to wait before the next attempt to connect: twice as long each time, up to a bound,
//! and spread at random so that the clients of a restarted server do not all come back at once.

use std::time::Duration;

use rand::RngExt as _;

/// The first pause, before jitter.
pub const PAUSE_MIN: Duration = Duration::from_millis(500);
/// No pause is longer than this.
pub const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A connection that lived this long was a good one: the next pause is a short one again.
pub const GOOD_AFTER: Duration = Duration::from_secs(10);

/// The pauses between attempts.
#[derive(Debug, Default)]
pub struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// The pause before the next attempt: between half and the whole of the doubled pause.
    pub fn pause(&mut self) -> Duration {
        self.pause_with(rand::rng().random_range(0.5..=1.0))
    }

    /// The connection was lost after it had lived for `lived`. Only a good one ends the doubling:
    /// a server that takes connections and drops them is not to be flooded with them.
    pub fn lost_after(&mut self, lived: Duration) {
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
    fn pauses_double_up_to_the_bound() {
        let mut backoff = Backoff::default();
        let seconds: Vec<f64> = (0..9)
            .map(|_| backoff.pause_with(1.0).as_secs_f64())
            .collect();
        assert_eq!(seconds, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]);
    }

    #[test]
    fn jitter_stays_within_half_and_whole() {
        for _ in 0..1000 {
            let pause = Backoff::default().pause();
            assert!(
                (PAUSE_MIN / 2..=PAUSE_MIN).contains(&pause),
                "{pause:?} is outside"
            );
        }
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
