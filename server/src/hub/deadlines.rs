//! Deadlines: who has waited long enough.
//!
//! No timer is kept per connection, and a send costs no more than one comparison. Now and then a
//! sweep looks at all sessions, acts on those that are due, and notes when the next may be. A
//! deadline that was moved only makes a sweep come early; when nothing is due there is none.

use std::time::Instant;

use super::Hub;
use super::closing::CloseReason;
use super::session::{Phase, Session};

impl Hub {
    /// When [`Self::handle_timeout`] or [`Self::poll_transmit`] has something to do, unless something
    /// happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let times = [
            self.next_sweep,
            self.send_queue
                .next_line_up()
                .and_then(|step| self.pace.time_of(step)),
            self.throttled.next(),
            self.presence.due(),
        ];
        times.into_iter().flatten().min()
    }

    /// Acts on all deadlines that are not after `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.lift_throttles(now);
        self.announce_crowd(now);
        if self.next_sweep.is_some_and(|at| at <= now) {
            self.sweep(now);
        }
        self.settle(now);
    }

    /// Looks at all sessions, acts on those that are due, and notes when the next may be.
    fn sweep(&mut self, now: Instant) {
        let given_up = self.drain_until.is_some_and(|at| at <= now);
        let due: Vec<u32> = self
            .sessions
            .iter()
            .filter(|(_, session)| {
                let in_use = matches!(session.phase, Phase::Naming { .. } | Phase::Joined(_));
                let deadline = session.deadline(&self.limits);
                (given_up && in_use) || deadline.is_some_and(|at| at <= now)
            })
            .map(|(_, session)| session.id.slot)
            .collect();
        for slot in due {
            self.expire(slot, now);
        }
        self.judge_the_slow(now);
        let sessions = self.sessions.iter();
        self.swept_for = None;
        self.next_sweep = sessions
            .filter_map(|(_, session)| session.deadline(&self.limits))
            .chain(self.drain_until.filter(|&at| at > now && !self.is_empty()))
            .min();
        self.watch_the_slow(now);
    }

    /// Makes sure that a sweep comes when a send that is given to the driver at `now` has stalled.
    #[inline]
    pub(super) fn sweep_for_send(&mut self, now: Instant) {
        // Of the many of a turn, the first is enough.
        if self.swept_for != Some(now) {
            self.swept_for = Some(now);
            self.sweep_by(now + self.limits.write_deadline);
        }
    }

    /// Makes sure that a sweep comes at `at` or before.
    pub(super) fn sweep_by(&mut self, at: Instant) {
        if self.next_sweep.is_none_or(|next| at < next) {
            self.next_sweep = Some(at);
        }
    }

    fn expire(&mut self, slot: u32, now: Instant) {
        let session = &self.sessions[slot as usize];
        match session.phase {
            Phase::Naming { .. } | Phase::Joined(_) => {
                let why = self.overdue(session, now);
                self.close(slot, &why, now);
            }
            Phase::Closing(_) | Phase::Lingering { .. } => self.release(slot),
            Phase::DrainingInput | Phase::Released => {}
        }
    }

    /// What a session in use is overdue with.
    fn overdue(&self, session: &Session, now: Instant) -> CloseReason {
        if self.drain_until.is_some_and(|at| at <= now) {
            return CloseReason::Shutdown;
        }
        if let Phase::Naming { .. } = session.phase {
            return CloseReason::NoName {
                within: self.limits.handshake_timeout,
            };
        }
        match session.sending_since() {
            Some(since) if since + self.limits.write_deadline <= now => CloseReason::Stalled {
                within: self.limits.write_deadline,
            },
            _ => CloseReason::UnfinishedFrame {
                within: self.limits.frame_timeout,
            },
        }
    }
}
