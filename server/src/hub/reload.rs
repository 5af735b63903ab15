//! Other limits for a hub that runs.
//!
//! They hold from now on, for those who are there, too: a frame whose header was taken goes to its end
//! under the limit that it began with, and whoever is waited for is waited for as long as the new
//! limits say, from when it began. Nobody loses its place or its name.

use std::time::Instant;

use super::session::Phase;
use super::{Coalesce, Hub, Limits};

impl Hub {
    /// Takes other limits. Some stay what they were, as much else was sized by them: the longest name,
    /// what a send carries, how far authors may be ahead, the history, and whether presence is told.
    ///
    /// # Panics
    /// When the log's bound is too small for them, as in [`Hub::new`].
    pub fn set_limits(&mut self, limits: &Limits, now: Instant) {
        let limits = Limits {
            name_bytes_max: self.limits.name_bytes_max,
            batch_bytes_max: self.limits.batch_bytes_max,
            lead_bytes_max: self.limits.lead_bytes_max,
            history_messages: self.limits.history_messages,
            announce_presence: self.limits.announce_presence,
            ..limits.clone()
        };
        assert!(
            self.log().bytes_max() >= limits.log_bytes_min(),
            "the log is too small"
        );
        self.rules = limits.rules();
        for (_, session) in &mut self.sessions {
            session.input.wire.set_rules(&self.rules);
        }
        if self.limits.coalesce != limits.coalesce {
            self.change_pace(limits.coalesce);
        }
        let other_pings = self.limits.websocket_ping != limits.websocket_ping;
        self.log.set_lead(&limits);
        self.limits = limits;
        if other_pings {
            self.schedule_all_pings(now);
        }
        self.note_all_deadlines(now);
    }

    /// Whoever is put off is not any more: it was in steps of the old pace.
    fn change_pace(&mut self, coalesce: Coalesce) {
        self.pace.set_coalesce(coalesce);
        self.send_queue.line_up_all();
        for (_, session) in &mut self.sessions {
            if let Phase::Joined(subscriber) = &mut session.phase {
                subscriber.put_off_until = 0;
            }
        }
    }

    /// The room in the log that the next message of a session may take.
    pub(super) fn room_bytes(&self, slot: u32) -> usize {
        let session = &self.sessions[slot as usize];
        // One that was begun under a higher limit is the only one that may be longer.
        let begun = session.input.wire.unfinished_message_bytes();
        let longer = begun.saturating_sub(self.limits.message_bytes_max);
        self.limits.frame_bytes_max() + longer
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use protocol::frame;

    use super::super::tests::{deliver_all, join, pass_time};
    use super::*;
    use crate::hub::{Log, Reading, Reason};

    fn hub(limits: &Limits) -> Hub {
        Hub::new(limits.clone(), Log::new(limits.log_bytes_min()))
    }

    #[test]
    fn a_message_that_was_begun_goes_to_its_end_and_the_next_keeps_to_the_new_limit() {
        let now = Instant::now();
        let limits = Limits {
            message_bytes_max: 100,
            ..Limits::default()
        };
        let mut hub = hub(&limits);
        let listener = join(&mut hub, "listener", now);
        let author = join(&mut hub, "author", now);
        let long = [b'x'; 100];
        let wire = frame::encode(&long);
        assert_eq!(hub.receive(author, &wire[..50], now), Reading::Continue);
        let lower = Limits {
            message_bytes_max: 10,
            ..limits.clone()
        };
        hub.set_limits(&lower, now);
        assert_eq!(hub.receive(author, &wire[50..], now), Reading::Continue);
        let transmit = hub.poll_transmit(now).unwrap();
        assert_eq!(transmit.id, listener);
        assert_eq!(transmit.bytes, frame::broadcast(b"author", &long));
        hub.transmitted(listener, transmit.bytes.len(), now);
        let _ = hub.receive(author, &frame::encode(b"eleven char"), now);
        deliver_all(&mut hub, now);
        assert_eq!(hub.counters().closed[Reason::TooLong], 1);
        assert_eq!(hub.counters().messages, 1);
    }

    #[test]
    fn who_has_waited_too_long_by_the_new_limits_is_due_at_once() {
        let now = Instant::now();
        let mut hub = hub(&Limits::default());
        let nameless = hub.accept(([127, 0, 0, 1], 1).into(), now);
        let later = now + Duration::from_secs(5);
        pass_time(&mut hub, later);
        assert_eq!(hub.counters().closed[Reason::Timeout], 0);
        let impatient = Limits {
            handshake_timeout: Duration::from_secs(5),
            ..Limits::default()
        };
        hub.set_limits(&impatient, later);
        assert!(hub.poll_timeout().is_some_and(|at| at <= later));
        pass_time(&mut hub, later);
        assert_eq!(hub.counters().closed[Reason::Timeout], 1);
        assert!(hub.poll_transmit(later).is_some_and(|it| it.id == nameless));
    }

    #[test]
    fn a_higher_limit_holds_for_those_who_are_there() {
        let now = Instant::now();
        let limits = Limits {
            message_bytes_max: 10,
            ..Limits::default()
        };
        let higher = Limits {
            message_bytes_max: 20,
            ..limits.clone()
        };
        let mut hub = Hub::new(limits, Log::new(higher.log_bytes_min()));
        let author = join(&mut hub, "author", now);
        hub.set_limits(&higher, now);
        assert_eq!(
            hub.receive(author, &frame::encode(&[b'x'; 20]), now),
            Reading::Continue
        );
        assert_eq!(hub.counters().messages, 1);
    }
}
