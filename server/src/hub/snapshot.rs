//! A hub's figures at one instant: what it counted and measured, copied when somebody asks.
//!
//! Taking a snapshot is O(1) and changes nothing. What is measured is recorded into plain fields of the
//! hub's own thread: a few instructions a send, no lock and nothing shared.

use std::ops::AddAssign;
use std::time::Instant;

use super::histogram::{Histogram, micros};
use super::{Counters, Hub};

/// What a hub measures as it goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Measures {
    /// Microseconds from accepting a message until the last cursor passed it: it was sent to the last
    /// who was owed it, or that one has gone. Each message counts once, at the hub whose subscribers
    /// were last; one that found nobody joined does not count.
    pub fan_out: Histogram,
    /// For each send of messages: microseconds that the oldest had waited since it was accepted.
    pub queue_to_wire: Histogram,
    /// For each send of messages: how many it carries.
    pub messages_per_send: Histogram,
}

impl AddAssign for Measures {
    fn add_assign(&mut self, other: Self) {
        self.fan_out += other.fan_out;
        self.queue_to_wire += other.queue_to_wire;
        self.messages_per_send += other.messages_per_send;
    }
}

/// How long something waited. Most sends of a turn ask the same again, and are told without a
/// calculation.
#[derive(Debug, Default)]
pub(super) struct Waited(Option<(Instant, Instant, u64)>);

impl Waited {
    /// Whole microseconds from `since` to `now`.
    #[inline]
    pub(super) fn micros(&mut self, since: Instant, now: Instant) -> u64 {
        match self.0 {
            Some((from, to, waited)) if from == since && to == now => waited,
            _ => {
                let waited = micros(now.saturating_duration_since(since));
                self.0 = Some((since, now, waited));
                waited
            }
        }
    }
}

/// The figures of a hub at one instant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Totals since the start.
    pub counters: Counters,
    /// Connections that have given a name and are not on their way out.
    pub subscribers: u64,
    /// Bytes of messages between the hindmost cursor and the head of the log.
    pub backlog_bytes_max: u64,
    /// Times and sizes since the start.
    pub measures: Measures,
}

impl AddAssign for Snapshot {
    fn add_assign(&mut self, other: Self) {
        self.counters += other.counters;
        self.subscribers += other.subscribers;
        self.backlog_bytes_max = self.backlog_bytes_max.max(other.backlog_bytes_max);
        self.measures += other.measures;
    }
}

impl Hub {
    /// The figures at this instant; O(1).
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            counters: self.counters,
            subscribers: self.subscribers,
            backlog_bytes_max: self.log.backlog_bytes_max(),
            measures: Measures {
                fan_out: *self.log.fan_out(),
                ..self.measures
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use protocol::frame;

    use super::super::tests::{deliver_all, join};
    use super::super::{Limits, Log};
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_message_has_fanned_out_when_the_last_who_was_owed_it_has_it() {
        let now = Instant::now();
        let mut hub = Hub::new(Limits::default(), Log::new(1 << 20));
        let author = join(&mut hub, "author", now);
        let near = join(&mut hub, "near", now);
        let far = join(&mut hub, "far", now);
        let _ = hub.receive(author, &frame::encode(b"hi"), now);
        let mut sends = Vec::new();
        while let Some(transmit) = hub.poll_transmit(now + 2 * MS) {
            sends.push(transmit);
        }
        for (id, at) in [(near, now + 3 * MS), (far, now + 5 * MS)] {
            assert_eq!(hub.snapshot().measures.fan_out.count(), 0);
            let bytes = sends.iter().find(|send| send.id == id).unwrap().bytes.len();
            hub.transmitted(id, bytes, at);
        }
        let measures = hub.snapshot().measures;
        assert_eq!(
            (measures.fan_out.count(), measures.fan_out.sum()),
            (1, 5000)
        );
        let waited = measures.queue_to_wire;
        assert_eq!((waited.count(), waited.sum()), (2, 4000), "2 ms each");
        let carried = measures.messages_per_send;
        assert_eq!((carried.count(), carried.sum()), (2, 2));
    }

    #[test]
    fn with_several_hubs_the_last_to_pass_a_message_counts_it_once() {
        let now = Instant::now();
        let log = Log::new(1 << 20);
        let mut hubs = [0, 1, 2].map(|_| Hub::new(Limits::default(), log.clone()));
        let author = join(&mut hubs[0], "author", now);
        join(&mut hubs[1], "listener", now);
        let _ = hubs[0].receive(author, &frame::encode(b"hi"), now);
        for (index, after) in [(0, MS), (1, 7 * MS), (2, 20 * MS)] {
            hubs[index].wake(now + after);
            deliver_all(&mut hubs[index], now + after);
        }
        let mut all = Snapshot::default();
        hubs.iter().for_each(|hub| all += hub.snapshot());
        let fan_out = all.measures.fan_out;
        // The third hub had nobody to pass it, however late it looked.
        assert_eq!((fan_out.count(), fan_out.sum()), (1, 7000));
        assert_eq!(all.subscribers, 2);
    }

    #[test]
    fn what_is_kept_as_history_has_fanned_out_all_the_same_and_only_once() {
        let now = Instant::now();
        let limits = Limits {
            history_messages: 10,
            ..Limits::default()
        };
        let mut hub = Hub::new(limits, Log::new(1 << 20));
        let author = join(&mut hub, "author", now);
        join(&mut hub, "listener", now);
        let _ = hub.receive(author, &frame::encode(b"hi"), now);
        deliver_all(&mut hub, now + 3 * MS);
        assert_eq!(hub.snapshot().measures.fan_out.sum(), 3000);
        join(&mut hub, "late", now + 50 * MS);
        deliver_all(&mut hub, now + 60 * MS);
        let fan_out = hub.snapshot().measures.fan_out;
        assert_eq!((fan_out.count(), fan_out.sum()), (1, 3000));
    }

    #[test]
    fn the_greatest_backlog_is_what_the_hindmost_is_owed() {
        let now = Instant::now();
        let mut hub = Hub::new(Limits::default(), Log::new(1 << 20));
        let author = join(&mut hub, "author", now);
        join(&mut hub, "listener", now);
        assert_eq!(hub.snapshot().backlog_bytes_max, 0);
        let _ = hub.receive(author, &frame::encode(b"hi"), now);
        let bytes = frame::broadcast(b"author", b"hi").len() as u64;
        assert_eq!(hub.snapshot().backlog_bytes_max, bytes);
        deliver_all(&mut hub, now);
        assert_eq!(hub.snapshot().backlog_bytes_max, 0);
    }
}
