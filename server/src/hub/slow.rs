//! Slow consumers: who holds the others up, and what is done about it.
//!
//! ```text
//! keeping up ──more than `lead_bytes_max` behind──▶ far ──took nothing for a second──▶ stalled
//!     ▲                                              │ ▲                                 │
//!     └─────────────── caught up ────────────────────┘ └──────── took something ─────────┤
//!                                                                                        │
//!     too far behind, or nothing within the write deadline: disconnected, or skipped ◀───┘
//! ```
//! Authors wait while half of the subscribers that are not stalled are far: so a flood goes at the
//! pace of those who read it, and what others say is not queued behind megabytes. The stalled are
//! waited for by nobody. Only those who make no progress are sent away: see [`Hub::judge`].

use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::{SERVER_NAME, frame};
use tracing::info;

use super::closing::{CloseReason, Reason};
use super::deadlines::ServedTime;
use super::limits::SlowPolicy;
use super::session::{Content, Phase, Progress, Session};
use super::{Hub, Limits, Reader};

/// A subscriber that took nothing for so long is stalled.
const STALL: Duration = Duration::from_secs(1);

/// How often all subscribers are looked at while one may be slow.
const LOOK: Duration = Duration::from_millis(250);

impl Hub {
    /// Has all subscribers looked at soon, if one may be slow.
    pub(super) fn watch_the_slow(&mut self, now: Instant) {
        if self.may_have_slow() {
            let look = now + LOOK;
            self.next_look = Some(self.next_look.map_or(look, |at| at.min(look)));
        }
    }

    /// Looks at all subscribers, and ends, or skips, what holds others up.
    pub(super) fn judge_the_slow(&mut self, now: Instant) {
        if !self.may_have_slow() {
            return;
        }
        let served = self.served(now);
        let mut slow = Vec::new();
        for (_, session) in &mut self.sessions {
            if let Err(why) = judge(session, &mut self.log, &self.limits, now, served) {
                slow.push((session.id.slot, why));
            }
        }
        for (slot, why) in slow {
            match self.limits.slow_policy {
                SlowPolicy::Disconnect => self.close(slot, &why, now),
                SlowPolicy::Skip => self.skip(slot, now),
            }
        }
    }

    /// Whether anyone is so far behind that it is to be looked at.
    pub(super) fn may_have_slow(&self) -> bool {
        let Some(last) = self.log.last_cursor() else {
            return false;
        };
        let too_far = self.limits.backlog_bytes_max;
        self.log.is_lagging()
            || too_far.is_some_and(|most| self.log.backlog_bytes(last) > most)
            || holds_the_log_up(&self.log, &self.limits, last)
    }

    /// The subscriber misses everything up to the head, and is told how much that was. What is on its
    /// way still arrives.
    fn skip(&mut self, slot: u32, now: Instant) {
        let head = self.log.head();
        let session = &mut self.sessions[slot as usize];
        let Phase::Joined(subscriber) = &mut session.phase else {
            unreachable!("only a subscriber is judged");
        };
        let owed = subscriber.owed(head);
        let mut on_its_way = 0;
        if let Some(in_flight) = &mut session.in_flight
            && let Content::Batch { messages, .. } = in_flight.content
        {
            in_flight.content = Content::Detached { messages };
            on_its_way = u64::from(messages);
        }
        subscriber.take_bytes(&mut self.log);
        subscriber.progress = None;
        subscriber.advance(&mut self.log, head, owed, now);
        let missed = owed - on_its_way;
        subscriber.missed += missed;
        self.counters.discarded[Reason::Skipped] += missed;
        info!(target: "server::session", name = %session.name, peer = %session.peer, missed, "skipped");
    }
}

/// Marks a subscriber as stalled, or says why it may not go on.
fn judge(
    session: &mut Session,
    log: &mut Reader,
    limits: &Limits,
    now: Instant,
    served: ServedTime,
) -> Result<(), CloseReason> {
    let sending_since = session.sending_since();
    let Phase::Joined(subscriber) = &mut session.phase else {
        return Ok(());
    };
    if sending_since.is_some_and(|since| since + STALL <= served) {
        subscriber.stall(log);
        let backlog_bytes = log.backlog_bytes(subscriber.cursor);
        if let Some(backlog_bytes_max) = limits.backlog_bytes_max
            && backlog_bytes > backlog_bytes_max
        {
            return Err(CloseReason::TooFarBehind {
                backlog_bytes,
                backlog_bytes_max,
            });
        }
    }
    if !holds_the_log_up(log, limits, subscriber.cursor) {
        subscriber.progress = None;
        return Ok(());
    }
    let position = log.position_bytes(subscriber.cursor);
    let begins = Progress {
        position,
        waited: Duration::ZERO,
        looked: now,
        was_sending: false,
    };
    let progress = subscriber.progress.get_or_insert_with(|| begins.into());
    let bytes = position - progress.position;
    if bytes >= limits.progress_bytes_min.min(log.bytes_max() as u64 / 4) {
        **progress = begins;
    }
    let is_sending = sending_since.is_some();
    if progress.was_sending && is_sending {
        // Else, or if we looked late, it may have waited for us.
        progress.waited += (now - progress.looked).min(2 * LOOK);
    }
    progress.looked = now;
    progress.was_sending = is_sending;
    if progress.waited >= limits.write_deadline {
        return Err(CloseReason::TooSlow {
            bytes,
            within: limits.write_deadline,
        });
    }
    Ok(())
}

/// Whether authors may have to wait for one that stands at `cursor`.
fn holds_the_log_up(log: &Reader, limits: &Limits, cursor: u64) -> bool {
    log.is_full_for(limits.frame_bytes_max())
        && log.charged_from(cursor) >= log.bytes_max() as u64 / 2
}

/// What a subscriber is told that missed messages.
pub(super) fn skip_notice(missed: u64) -> Bytes {
    let text = format!("skipped {missed} messages: you were too far behind");
    frame::broadcast(SERVER_NAME.as_bytes(), text.as_bytes())
}
