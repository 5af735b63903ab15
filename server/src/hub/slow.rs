//! Slow subscribers: who is too far behind, and what is done about it. The hindmost pays.
//!
//! A subscriber's lag is bounded, in bytes and in time: past either bound it is disconnected, or made to
//! skip to the head, whether it reads or not. Past the bound in bytes it first has [`GRACE`] to take what it
//! is owed by then, for a flood may pass that bound faster than anybody reads. When the log fills before
//! that, the hindmost go first, until there is room. So no receiver makes authors wait for long, however
//! many there are of it.
//!
//! Authors wait only while most of the subscribers that count are far (more than the lead) behind: a flood
//! goes at the pace of those who read it, and what others say is not queued behind megabytes. Who has said
//! little of late (see [`super::throttle`]) does not wait for that: most may be attackers who read slowly. A
//! subscriber counts once it is near the head; it does no more when it took nothing for [`STALL`] while
//! it was far, and when it was made to skip, until it has taken something and is near again.
//! A newcomer that reads its history has never been near: it does not count, nor does its history count
//! as its lag, and its time is bounded by the write deadline alone.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tracing::info;

use super::closing::{CloseReason, Reason};
use super::limits::SlowPolicy;
use super::session::{Content, Phase, Session};
use super::{Hub, Limits, Reader, ServedTime};

/// A subscriber that is far behind and took nothing for so long is stalled.
const STALL: Duration = Duration::from_secs(1);

/// How often lag is looked at while anyone is owed anything.
const LOOK: Duration = Duration::from_millis(250);

/// How long nobody is let go of who is too many bytes behind. When the log is full, those who take
/// something of what they are sent within this time, and a whole batch within twice as long, are waited for.
const GRACE: Duration = Duration::from_millis(100);

/// Where the head of the log was, some time ago.
#[derive(Debug, Default)]
pub(super) struct Lag {
    /// At each look of the last [`Limits::lag_max`], if it has moved.
    heads: VecDeque<(ServedTime, u64)>,
    /// Where it was longer ago than that: no cursor may be before it.
    late: u64,
    /// Since when somebody is too many bytes behind, and where the head was then.
    too_far: Option<(ServedTime, u64)>,
    /// Cursors before this had [`GRACE`] since somebody was.
    out_of_time: u64,
    /// When the hindmost were looked for the last time and none could go.
    none_could_go: Option<Instant>,
}

impl Lag {
    fn look(&mut self, head: u64, lag_max: Duration, served: ServedTime) {
        if self.heads.back().is_none_or(|&(_, before)| before < head) {
            self.heads.push_back((served, head));
        }
        while let Some(&(at, head)) = self.heads.front()
            && at + lag_max <= served
        {
            self.late = head;
            self.heads.pop_front();
        }
    }
}

impl Hub {
    /// After messages came: whoever is too many bytes behind for too long goes, the rest is looked at soon.
    pub(super) fn watch_lag(&mut self, now: Instant) {
        if self.is_anyone_too_far(now) {
            self.judge_all(now);
        }
        self.look_within(LOOK, now);
    }

    /// Whether somebody may have been too many bytes behind for [`GRACE`].
    fn is_anyone_too_far(&mut self, now: Instant) -> bool {
        let hindmost = self.log.passed();
        let most = self.limits.lag_bytes_max();
        if most.is_none_or(|most| self.log.charged_from(hindmost) <= most) {
            self.lag.too_far = None;
            return false;
        }
        let mark = (self.served(now), self.log.head());
        let (since, head) = *self.lag.too_far.get_or_insert(mark);
        self.look_within(GRACE, now);
        if since + GRACE > mark.0 {
            return false;
        }
        self.lag.too_far = Some(mark);
        self.lag.out_of_time = head;
        hindmost < head
    }

    /// Looks at the lag of all, as far as somebody may lag.
    pub(super) fn look_at_lag(&mut self, now: Instant) {
        let served = self.served(now);
        self.lag
            .look(self.log.head(), self.limits.lag_max(), served);
        let is_late = self.log.passed() < self.lag.late;
        if self.is_anyone_too_far(now) || is_late || self.newcomers > 0 || self.log.is_lagging() {
            self.judge_all(now);
        }
        if self.log.is_wanted() {
            self.drop_the_hindmost(now);
        }
        if !self.log.is_at_rest() {
            self.look_within(LOOK, now);
        }
    }

    fn look_within(&mut self, time: Duration, now: Instant) {
        let look = now + time;
        self.next_look = Some(self.next_look.map_or(look, |at| at.min(look)));
    }

    /// Marks those who have stalled, and ends, or skips, what lags too much.
    fn judge_all(&mut self, now: Instant) {
        let served = self.served(now);
        let mut slow = Vec::new();
        for (_, session) in &mut self.sessions {
            if has_stalled(session, STALL, served)
                && let Phase::Joined(subscriber) = &mut session.phase
                && self.log.is_far(subscriber.cursor)
            {
                subscriber.discount(&mut self.log);
            }
            if let Err(why) = self.lag.judge(session, &self.log, &self.limits) {
                slow.push((session.id.slot, why));
            }
        }
        for (slot, why) in slow {
            self.let_go(slot, &why, now);
        }
    }

    /// Authors wait for room: if the log is full, and most are near its head, the hindmost go, first those
    /// who took nothing, until there is some. The hubs of other threads are asked as well.
    pub(super) fn drop_the_hindmost(&mut self, now: Instant) {
        let is_full = |hub: &Self| hub.log.is_full_for(hub.limits.frame_bytes_max());
        let just_looked = self
            .lag
            .none_could_go
            .is_some_and(|at| at + GRACE / 4 > now);
        if !is_full(self) || just_looked || self.log.lags_now() {
            return;
        }
        let served = self.served(now);
        let half = self.log.bytes_max() as u64 / 2;
        let mut hindmost = Vec::new();
        for (_, session) in &self.sessions {
            // One that has nothing on its way waits for us.
            if let Phase::Joined(subscriber) = &session.phase
                && session.in_flight.is_some()
                && self.log.charged_from(subscriber.cursor) >= half
            {
                let took_nothing = has_stalled(session, GRACE, served);
                let short_since = session.short_since;
                if took_nothing || short_since.is_some_and(|since| since + 2 * GRACE <= served) {
                    hindmost.push((!took_nothing, subscriber.cursor, session.id.slot));
                }
            }
        }
        hindmost.sort_unstable();
        self.lag.none_could_go = hindmost.is_empty().then_some(now);
        for (_, cursor, slot) in hindmost {
            if !is_full(self) {
                return;
            }
            let lag_bytes = self.log.charged_from(cursor);
            self.let_go(slot, &CloseReason::Hindmost { lag_bytes }, now);
        }
        if is_full(self) {
            // The hindmost is another hub's, or it is too soon.
            self.others_to_wake |= !self.paused.is_empty();
            self.look_within(GRACE / 2, now);
        }
    }

    fn let_go(&mut self, slot: u32, why: &CloseReason, now: Instant) {
        match self.limits.slow_policy {
            SlowPolicy::Disconnect => self.close(slot, why, now),
            SlowPolicy::Skip => self.skip(slot, why, now),
        }
    }

    /// The subscriber misses everything up to the head, and is told how much that was. What is on its
    /// way still arrives.
    fn skip(&mut self, slot: u32, why: &CloseReason, now: Instant) {
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
        subscriber.discount(&mut self.log);
        subscriber.advance(&mut self.log, head, owed, now);
        let missed = owed - on_its_way;
        subscriber.missed += missed;
        self.counters.discarded[Reason::Skipped] += missed;
        info!(target: "server::session", name = %session.name, peer = %session.peer, missed, reason = %why, "skipped");
    }
}

impl Lag {
    /// Whether a subscriber is not too far behind.
    fn judge(&self, session: &Session, log: &Reader, limits: &Limits) -> Result<(), CloseReason> {
        let Phase::Joined(subscriber) = &session.phase else {
            return Ok(());
        };
        let behind = subscriber.cursor.max(subscriber.joined_at);
        let lag_bytes = log.charged_from(behind);
        if let Some(lag_bytes_max) = limits.lag_bytes_max()
            && lag_bytes > lag_bytes_max
            && behind < self.out_of_time
        {
            return Err(CloseReason::TooFarBehind {
                lag_bytes,
                lag_bytes_max,
            });
        }
        // One that has nothing on its way waits for us.
        let is_late = subscriber.has_caught_up && behind < self.late;
        if is_late && session.in_flight.is_some() {
            return Err(CloseReason::TooSlow {
                lag_max: limits.lag_max,
            });
        }
        Ok(())
    }
}

/// Whether a send was on its way for `time` and the peer took nothing of it.
fn has_stalled(session: &Session, time: Duration, served: ServedTime) -> bool {
    let since = session.sending_since();
    since.is_some_and(|since| since + time <= served)
}
