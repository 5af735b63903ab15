//! The session's own time. It stands still while the session does not run (the process was stopped, the
//! machine was paused, standard output was not read), so that no deadline passes meanwhile: what came
//! in that time is looked at first.

use std::time::{Duration, Instant};

/// The session is this much late now and then on a busy machine.
const LATE_MAX: Duration = Duration::from_millis(250);
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
        self.at(Instant::now())
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

    fn at(&self, now: Instant) -> Instant {
        now.checked_sub(self.stood_still).unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn time_in_which_the_session_stood_still_does_not_count() {
        let began = Instant::now() + 100 * SECOND;
        let mut clock = Clock::new(began);
        let deadline = clock.at(began) + 10 * SECOND;
        // Stopped for 60 s, some time after a wait of 10 s had begun.
        clock.turned(began + 61 * SECOND, Some(10 * SECOND));
        assert_eq!(clock.at(began + 61 * SECOND), began);
        clock.turned(began + 71 * SECOND, Some(10 * SECOND));
        assert_eq!(clock.at(began + 71 * SECOND), deadline);
    }

    #[test]
    fn ordinary_turns_count_in_full() {
        let began = Instant::now();
        let mut clock = Clock::new(began);
        for turn in 1..=10 {
            clock.turned(began + turn * SECOND, Some(SECOND - LATE_MAX));
        }
        clock.turned(began + 20 * SECOND, None);
        assert_eq!(clock.at(began + 20 * SECOND), began + 20 * SECOND);
    }
}
