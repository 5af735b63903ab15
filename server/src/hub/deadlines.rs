//! Deadlines: who has waited long enough.
//!
//! Deadlines are in served time, which stands still while the event loop does not run: a stopped process
//! or a paused machine is nobody's fault. While anybody is waited for, the hub asks to be called
//! every [`TICK`]; by how much a call comes later is the time in which nothing was served.
//!
//! A session has at most one entry in the order of deadlines, at its own deadline or before it. A deadline
//! that was moved or is no more costs nothing when that happens: its entry comes early, and is put
//! where it belongs. So a send costs one comparison, and who expires costs O(log n).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::closing::CloseReason;
use super::session::{KEEP_ALIVE, Phase, Session};
use super::{Hub, ServedTime, nanos};

/// How often the hub asks to be called while anybody is waited for.
pub(super) const TICK: Duration = Duration::from_millis(250);

/// The deadlines of one hub's sessions.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    /// When served time began.
    began: Option<Instant>,
    /// How long the event loop did not run, in all.
    lost: Duration,
    /// While anybody is waited for: when the next call is due.
    call_due: Option<Instant>,
    by_time: BTreeSet<(ServedTime, u32)>,
    /// The sends that had completed at the last call.
    sends: u64,
    turn: Option<Turn>,
}

/// What all sends of a turn have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    now: Instant,
    pub(super) began: ServedTime,
    /// The deadline of a send that is given to the driver in this turn.
    write_deadline: ServedTime,
}

impl Deadlines {
    /// How much was served by `now`: nothing after the next call was due, until it has come.
    pub(super) fn served(&self, now: Instant) -> ServedTime {
        let ran_until = self.call_due.map_or(now, |due| due.min(now));
        let began = self.began.map_or(ran_until, |began| began + self.lost);
        ServedTime(nanos(ran_until.saturating_duration_since(began)))
    }

    /// When `time` comes, if the event loop runs until then.
    fn comes(&self, time: ServedTime) -> Option<Instant> {
        Some(self.began? + self.lost + Duration::from_nanos(time.0))
    }

    /// The hub begins to wait for others.
    pub(super) fn begin(&mut self, now: Instant) {
        self.began.get_or_insert(now);
    }

    /// Has the session looked at by `deadline`.
    fn note(&mut self, session: &mut Session, deadline: ServedTime, now: Instant) {
        if session
            .noted_deadline
            .is_some_and(|noted| noted <= deadline)
        {
            return;
        }
        self.forget(session);
        self.by_time.insert((deadline, session.id.slot));
        session.noted_deadline = Some(deadline);
        self.call_due.get_or_insert(now + TICK);
    }

    /// The session is waited for no longer.
    pub(super) fn forget(&mut self, session: &mut Session) {
        if let Some(noted) = session.noted_deadline.take() {
            self.by_time.remove(&(noted, session.id.slot));
        }
    }

    /// The next session whose entry is not after `served`.
    fn pop(&mut self, served: ServedTime) -> Option<u32> {
        let &(at, slot) = self.by_time.first()?;
        (at <= served).then(|| {
            self.by_time.pop_first();
            slot
        })
    }

    /// The event loop runs at `now`, and should have come back by `call_due`.
    fn called(&mut self, now: Instant) {
        if let Some(due) = self.call_due.filter(|due| *due < now) {
            self.lost += now - due;
            self.call_due = Some(now);
        }
        self.turn = None;
    }
}

impl Hub {
    /// When [`Self::handle_timeout`] or [`Self::poll_transmit`] has something to do, unless something
    /// happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let deadlines = &self.deadlines;
        let first = deadlines.by_time.first().map(|&(at, _)| at);
        let served = [first, self.give_up_at].into_iter().flatten().min();
        let times = [
            served.and_then(|at| deadlines.comes(at)),
            deadlines.call_due,
            self.next_look,
            self.send_queue
                .next_line_up()
                .and_then(|step| self.pace.time_of(step)),
            self.throttled.next(),
            self.presence.due(),
            self.pings.next(),
        ];
        times.into_iter().flatten().min()
    }

    /// Whether somebody has waited long enough: then a driver reports all that has come before it calls
    /// [`Self::handle_timeout`].
    pub fn is_deadline_due(&mut self, now: Instant) -> bool {
        self.deadlines.called(now);
        let served = self.served(now);
        while let Some(slot) = self.deadlines.pop(served) {
            let session = &mut self.sessions[slot as usize];
            session.noted_deadline = None;
            if let Some(deadline) = session.deadline(&self.limits) {
                self.deadlines.note(session, deadline, now);
                if deadline <= served {
                    return true;
                }
            }
        }
        let looks = self.next_look.is_some_and(|at| at <= now);
        looks || self.give_up_at.is_some_and(|at| at <= served)
    }

    /// Acts on all deadlines that are not after `now`. A driver calls it in each turn, after it has
    /// reported what came: if the call comes later than [`Self::poll_timeout`] asked for, the time in
    /// between is taken for one in which the event loop did not run, and all deadlines move by it.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.deadlines.called(now);
        self.lift_throttles(now);
        self.announce_crowd(now);
        self.send_pings(now);
        self.expire_all(now);
        if self.next_look.is_some_and(|at| at <= now) {
            self.next_look = None;
            self.look_at_lag(now);
        }
        let deadlines = &mut self.deadlines;
        let was_quiet =
            std::mem::replace(&mut deadlines.sends, self.counters.sends) == self.counters.sends;
        if deadlines.call_due.is_some_and(|at| at <= now) && was_quiet {
            // So that a hub at rest does not go on asking for calls.
            self.note_all_deadlines(now);
        }
        let waits = !self.deadlines.by_time.is_empty() || self.give_up_at.is_some();
        self.deadlines.call_due = waits.then(|| now + TICK);
        self.keep_input_budget(now);
        self.settle(now);
    }

    /// How much was served by `now`.
    pub(super) fn served(&self, now: Instant) -> ServedTime {
        self.deadlines.served(now)
    }

    /// What the sends of the turn at `now` have in common.
    #[inline]
    pub(super) fn turn(&mut self, now: Instant) -> Turn {
        match self.deadlines.turn {
            Some(turn) if turn.now == now => turn,
            _ => self.begin_turn(now),
        }
    }

    fn begin_turn(&mut self, now: Instant) -> Turn {
        let began = self.served(now);
        let turn = Turn {
            now,
            began,
            write_deadline: began + self.limits.write_deadline,
        };
        self.deadlines.turn = Some(turn);
        turn
    }

    /// Makes sure that a session is looked at when a send that is given to the driver in `turn` has made
    /// no progress for too long.
    #[inline]
    pub(super) fn note_send(&mut self, slot: u32, turn: Turn) {
        let session = &mut self.sessions[slot as usize];
        let noted = session.noted_deadline;
        if noted.is_none_or(|noted| noted > turn.write_deadline) {
            self.deadlines.note(session, turn.write_deadline, turn.now);
        }
    }

    /// Makes sure that a session is looked at when its deadline, of whatever kind, has come.
    pub(super) fn note_deadline(&mut self, slot: u32, now: Instant) {
        let session = &mut self.sessions[slot as usize];
        if let Some(deadline) = session.deadline(&self.limits) {
            self.deadlines.note(session, deadline, now);
        }
    }

    /// Puts all entries where they belong.
    pub(super) fn note_all_deadlines(&mut self, now: Instant) {
        self.deadlines.by_time.clear();
        self.deadlines.turn = None;
        for (_, session) in &mut self.sessions {
            session.noted_deadline = None;
            if let Some(deadline) = session.deadline(&self.limits) {
                self.deadlines.note(session, deadline, now);
            }
        }
    }

    /// Ends all whose deadline has come.
    fn expire_all(&mut self, now: Instant) {
        let served = self.served(now);
        if self.give_up_at.is_some_and(|at| at <= served) {
            self.give_up_at = None;
            self.give_up_all(now);
        }
        if self.hurry_at.is_some_and(|at| at <= served) {
            // The end waits for those who read, and for the others no longer than for a last word.
            self.hurry_at = None;
            self.limits.write_deadline = self.limits.write_deadline.min(self.limits.linger);
            self.note_all_deadlines(now);
        }
        while let Some(slot) = self.deadlines.pop(served) {
            let session = &mut self.sessions[slot as usize];
            session.noted_deadline = None;
            match session.deadline(&self.limits) {
                Some(at) if at <= served => self.expire(slot, now),
                Some(at) => self.deadlines.note(session, at, now),
                None => {}
            }
        }
    }

    /// Draining has taken too long: whoever is still there is told goodbye, and has as long as anyone to
    /// read it.
    fn give_up_all(&mut self, now: Instant) {
        let sessions = self.sessions.iter();
        let in_use = sessions.filter(|(_, session)| session.is_in_use());
        let in_use: Vec<u32> = in_use.map(|(_, session)| session.id.slot).collect();
        for slot in in_use {
            self.close(slot, &CloseReason::Shutdown, now);
        }
    }

    fn expire(&mut self, slot: u32, now: Instant) {
        let session = &self.sessions[slot as usize];
        match &session.phase {
            Phase::Naming { .. } | Phase::Joined(_) | Phase::Requesting { .. } => {
                let why = self.overdue(session, now);
                self.close(slot, &why, now);
            }
            Phase::Refused { why, .. } => {
                let why = why.clone();
                self.close(slot, &why, now);
            }
            Phase::Closing(_) | Phase::Lingering { .. } => self.release(slot),
            Phase::DrainingInput { .. } => self.end_input(slot, now),
            Phase::Released => {}
        }
    }

    /// What a session in use is overdue with.
    fn overdue(&self, session: &Session, now: Instant) -> CloseReason {
        let served = self.served(now);
        let write_deadline = self.limits.write_deadline;
        let handshake_timeout = self.limits.handshake_timeout;
        let since = session.sending_since();
        let is_stalled = since.is_some_and(|since| since + write_deadline <= served);
        let is_unfinished = session.unfinished_since().is_some();
        match session.phase {
            Phase::Naming { .. } => CloseReason::NoName {
                within: handshake_timeout,
            },
            _ if is_stalled => CloseReason::Stalled {
                within: write_deadline,
            },
            Phase::Requesting { .. } if is_unfinished => CloseReason::UnfinishedRequest {
                within: handshake_timeout,
            },
            Phase::Requesting { .. } => CloseReason::Idle { within: KEEP_ALIVE },
            _ => CloseReason::UnfinishedFrame {
                within: self.limits.frame_timeout,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::frame;

    use super::super::tests::{join, pass_time};
    use super::super::{Close, ConnectionId, Limits, Log};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// One for each deadline, so different that each test would notice another's.
    fn limits() -> Limits {
        Limits {
            handshake_timeout: 10 * SECOND,
            frame_timeout: 20 * SECOND,
            write_deadline: 30 * SECOND,
            linger: 2 * SECOND,
            lag_max: Limits::FOREVER,
            ..Limits::default()
        }
    }

    /// How a peer is waited for, and how long.
    type Case = (fn(&mut Hub, Instant) -> ConnectionId, Duration);

    const CASES: [Case; 4] = [
        (without_a_name, Duration::from_secs(10)),
        (inside_a_frame, Duration::from_secs(20)),
        (taking_nothing, Duration::from_secs(30)),
        (lingering, Duration::from_secs(2)),
    ];

    fn without_a_name(hub: &mut Hub, now: Instant) -> ConnectionId {
        hub.accept(([127, 0, 0, 1], 1).into(), now)
    }

    fn inside_a_frame(hub: &mut Hub, now: Instant) -> ConnectionId {
        let id = join(hub, "slow", now);
        let _ = hub.receive(id, b"100       be", now);
        id
    }

    fn taking_nothing(hub: &mut Hub, now: Instant) -> ConnectionId {
        let id = join(hub, "stuck", now);
        let author = join(hub, "author", now);
        let _ = hub.receive(author, &frame::encode(b"hi"), now);
        assert_eq!(hub.poll_transmit(now).map(|it| it.id), Some(id));
        id
    }

    fn lingering(hub: &mut Hub, now: Instant) -> ConnectionId {
        let id = join(hub, "faulty", now);
        let _ = hub.receive(id, b"not a header", now);
        let notice = hub.poll_transmit(now).unwrap();
        hub.transmitted(id, notice.bytes.len(), now);
        assert_eq!(hub.poll_close(), Some(Close::ShutdownWrite(id)));
        id
    }

    /// Whether the hub has gone a step further with a peer since it was waited for.
    fn is_over(hub: &mut Hub, id: ConnectionId) -> bool {
        let closing = matches!(hub.sessions[id.slot as usize].phase, Phase::Closing(_));
        closing || hub.poll_close() == Some(Close::Release(id))
    }

    #[test]
    fn each_deadline_comes_when_it_should_and_not_before() {
        for (wait, time) in CASES {
            let now = Instant::now();
            let mut hub = Hub::new(limits(), Log::new(1 << 20));
            let id = wait(&mut hub, now);
            pass_time(&mut hub, now + time - TICK);
            assert!(!is_over(&mut hub, id), "{time:?}");
            pass_time(&mut hub, now + time);
            assert!(is_over(&mut hub, id), "{time:?}");
        }
    }

    #[test]
    fn time_in_which_the_event_loop_did_not_run_is_nobodys_fault() {
        for (wait, time) in CASES {
            let now = Instant::now();
            let mut hub = Hub::new(limits(), Log::new(1 << 20));
            let id = wait(&mut hub, now);
            pass_time(&mut hub, now + SECOND);
            let thawed = now + 600 * SECOND;
            hub.handle_timeout(thawed);
            assert!(!is_over(&mut hub, id), "{time:?}");
            // The freeze is seen to begin when the next call was due.
            let left = time - SECOND - TICK;
            pass_time(&mut hub, thawed + left - TICK);
            assert!(!is_over(&mut hub, id), "{time:?}");
            pass_time(&mut hub, thawed + left);
            assert!(is_over(&mut hub, id), "{time:?}");
        }
    }

    #[test]
    fn a_hub_at_rest_asks_for_no_calls() {
        let mut now = Instant::now();
        let mut hub = Hub::new(limits(), Log::new(1 << 20));
        let ids = ["ann", "bob"].map(|name| join(&mut hub, name, now));
        let _ = hub.receive(ids[0], &frame::encode(b"hi"), now);
        super::super::tests::deliver_all(&mut hub, now);
        for _ in 0..3 {
            now = hub.poll_timeout().unwrap_or(now);
            hub.handle_timeout(now);
        }
        assert_eq!(hub.poll_timeout(), None);
    }
}
