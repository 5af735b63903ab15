//! Keeps one kind of line from drowning the others: [`BURST`] lines of a kind are written per [`WHILE`].
//!
//! A kind is a place in the code. Lines that were left out are counted, and the count is told after that
//! time. Lines of the levels debug and trace are not limited.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

/// Lines of one kind in one [`WHILE`].
const BURST: u32 = 50;
const WHILE: Duration = Duration::from_secs(5);

/// What each kind has had of its share.
#[derive(Debug)]
pub(super) struct Limiter {
    shares: Mutex<HashMap<Identifier, Share>>,
    /// Unparked when a line is left out.
    watcher: Thread,
}

#[derive(Debug)]
struct Share {
    /// What its lines say, without their values.
    message: String,
    level: Level,
    since: Instant,
    passed: u32,
    left_out: u64,
}

/// Lines of one kind that were left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    message: String,
    level: Level,
    lines: u64,
}

impl Limiter {
    /// One that unparks `watcher` when a line is left out.
    pub(super) fn waking(watcher: Thread) -> Self {
        Self {
            shares: Mutex::default(),
            watcher,
        }
    }

    /// Has the watcher look.
    pub(super) fn wake(&self) {
        self.watcher.unpark();
    }

    /// Whether a line of this kind passes at `now`.
    pub(super) fn passes(&self, event: &Event<'_>, now: Instant) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO {
            return true;
        }
        let mut shares = self.lock();
        let share = shares.entry(metadata.callsite()).or_insert_with(|| Share {
            message: message_of(event),
            level: *metadata.level(),
            since: now,
            passed: 0,
            left_out: 0,
        });
        let passes = share.passes(now);
        if !passes {
            self.wake();
        }
        passes
    }

    /// Whether something was left out and not told.
    pub(super) fn has_left_out(&self) -> bool {
        self.lock().values().any(|share| share.left_out > 0)
    }

    /// What was left out in times that are over at `now`, or in any.
    pub(super) fn left_out(&self, now: Option<Instant>) -> Vec<LeftOut> {
        let mut shares = self.lock();
        let over = shares.values_mut().filter(|share| {
            let is_over = |now: Instant| now.saturating_duration_since(share.since) >= WHILE;
            share.left_out > 0 && now.is_none_or(is_over)
        });
        over.map(|share| LeftOut {
            message: share.message.clone(),
            level: share.level,
            lines: std::mem::take(&mut share.left_out),
        })
        .collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Identifier, Share>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    fn passes(&mut self, now: Instant) -> bool {
        // What was left out is told before the kind goes on.
        if self.left_out == 0 && now.saturating_duration_since(self.since) >= WHILE {
            self.since = now;
            self.passed = 0;
        }
        if self.passed < BURST {
            self.passed += 1;
            return true;
        }
        self.left_out += 1;
        false
    }
}

impl LeftOut {
    /// Tells it, as a line of its own kind.
    pub(super) fn tell(&self) {
        const TEXT: &str = "more lines of this kind were left out";
        let Self {
            message,
            level,
            lines,
        } = self;
        match *level {
            Level::ERROR | Level::WARN => {
                tracing::warn!(target: "server::log", kind = message, lines, "{TEXT}");
            }
            _ => tracing::info!(target: "server::log", kind = message, lines, "{TEXT}"),
        }
    }
}

fn message_of(event: &Event<'_>) -> String {
    struct Message(String);
    impl Visit for Message {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            if field.name() == "message" {
                self.0 = format!("{value:?}");
            }
        }
    }
    let mut message = Message(String::new());
    event.record(&mut message);
    message.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_the_rest_is_counted_and_the_next_while_begins_anew() {
        let now = Instant::now();
        let mut share = Share {
            message: "joined".into(),
            level: Level::INFO,
            since: now,
            passed: 0,
            left_out: 0,
        };
        let passed = (0..10_000).filter(|_| share.passes(now)).count();
        assert_eq!(
            (passed, share.left_out),
            (BURST as usize, 10_000 - u64::from(BURST))
        );
        assert!(!share.passes(now + WHILE), "not before it is told");
        share.left_out = 0;
        assert!(share.passes(now + WHILE));
        assert_eq!(share.passed, 1);
    }
}
