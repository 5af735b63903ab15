//! A clock that stands still while the process does not run: stopped by a signal, frozen with its cgroup,
//! in a paused machine, or without a processor. So no deadline passes during such a time.

use std::time::{Duration, Instant};

/// The longest time between two calls while there are deadlines.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub(super) struct Clock {
    asked_at: Instant,
    /// Time that does not count.
    lost: Duration,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            asked_at: Instant::now(),
            lost: Duration::ZERO,
        }
    }

    pub(super) fn now(&mut self) -> Instant {
        self.at(Instant::now())
    }

    fn at(&mut self, now: Instant) -> Instant {
        let gap = now.saturating_duration_since(self.asked_at);
        if gap > 2 * TICK {
            self.lost += gap - TICK;
        }
        self.asked_at = now;
        now.checked_sub(self.lost).unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_as_long_as_it_is_asked_and_a_freeze_counts_as_one_tick() {
        let mut clock = Clock::new();
        let start = clock.asked_at;
        for ticks in 1..100 {
            assert_eq!(clock.at(start + ticks * TICK), start + ticks * TICK);
        }
        let frozen = Duration::from_secs(3600);
        assert_eq!(clock.at(start + 99 * TICK + frozen), start + 100 * TICK);
        assert_eq!(clock.at(start + 100 * TICK + frozen), start + 101 * TICK);
    }
}
