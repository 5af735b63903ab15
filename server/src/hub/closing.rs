//! Goodbye, in three named steps: depart (leave the log, say why), linger (our side is closed, the
//! peer reads the notice and hangs up), release (the driver gives the connection up).
//!
//! What has begun to go out is finished first, so a notice never follows a partial frame. Closing a
//! socket with unread input would reset the connection and destroy the notice; hence the lingering.

use std::time::{Duration, Instant};

use tracing::{debug, info};

use super::close_reason::{CloseReason, Reason};
use super::presence::Change;
use super::session::{Closing, Phase};
use super::{Close, ConnectionId, Disconnect, Hub};

impl Hub {
    /// The connection ended, or failed, at the peer's side or in the kernel.
    pub fn disconnected(&mut self, id: ConnectionId, how: Disconnect, now: Instant) {
        let Some(session) = self.session_mut(id) else {
            return;
        };
        match (&mut session.phase, how) {
            (Phase::Released | Phase::DrainingInput, _) => {}
            (Phase::Joined(_), Disconnect::EndOfStream) if session.input.held_back.is_some() => {
                self.drain_input(id.slot, now);
            }
            (Phase::Closing(closing), Disconnect::EndOfStream) => closing.peer_has_left = true,
            (Phase::Closing(_) | Phase::Lingering { .. }, _) => self.release(id.slot),
            (Phase::Naming { .. } | Phase::Joined(_), how) => {
                let why = match how {
                    Disconnect::EndOfStream if session.input.decoder.is_mid_frame() => {
                        CloseReason::LeftMidFrame
                    }
                    Disconnect::EndOfStream => CloseReason::Left,
                    Disconnect::Error(error) => CloseReason::Broken(error),
                };
                self.close(id.slot, &why, now);
                self.release(id.slot);
            }
        }
        self.use_room(now);
    }

    /// What the driver is to close next.
    pub fn poll_close(&mut self) -> Option<Close> {
        self.closes.pop_front()
    }

    /// Begins the orderly end of the hub: nothing more is accepted from anyone. What is not done after
    /// `timeout` is given up.
    pub fn drain(&mut self, timeout: Duration, now: Instant) {
        if self.is_draining() {
            return;
        }
        self.read_log();
        self.drain_until = Some(now + timeout);
        self.sweep_by(now + timeout);
        self.send_queue.line_up_all();
        let mut nameless = Vec::new();
        let mut draining_input = Vec::new();
        for (_, session) in &mut self.sessions {
            // Nobody is listened to any more: what was not accepted by now is not, and nobody has
            // to finish what they began to say. Reading goes on, to throw away.
            session.input.unfinished_since = None;
            self.paused.remove(session.id.slot);
            if let Some(until) = session.input.throttle.until.take() {
                self.throttled.remove(until, session.id.slot);
            }
            if session.input.held_back.take().is_some() {
                self.resumed.push_back(session.id);
            }
            match session.phase {
                Phase::Naming { .. } => nameless.push(session.id.slot),
                Phase::DrainingInput => draining_input.push(session.id.slot),
                _ => {}
            }
        }
        for slot in nameless {
            self.close(slot, &CloseReason::Shutdown, now);
        }
        for slot in draining_input {
            self.release(slot);
        }
        self.use_room(now);
    }

    /// Goes on with the end once no hub over the same log accepts anything more: everyone is sent what
    /// it is owed, told that the server shuts down, and closed. The end is reached when
    /// [`Self::is_empty`].
    pub fn say_goodbye(&mut self, now: Instant) {
        debug_assert!(self.is_draining());
        if std::mem::replace(&mut self.says_goodbye, true) {
            return;
        }
        // What the others accepted before they stopped is still owed.
        self.read_log();
        while let Some(slot) = self.send_queue.next_resting() {
            self.close(slot, &CloseReason::Shutdown, now);
        }
        self.use_room(now);
    }

    /// Ends the hub at once: all connections are released, and what they are owed is given up.
    pub fn abandon(&mut self, now: Instant) {
        self.drain(Duration::ZERO, now);
        self.say_goodbye(now);
        let slots: Vec<u32> = self.sessions.iter().map(|(_, it)| it.id.slot).collect();
        for slot in slots {
            match self.sessions[slot as usize].phase {
                Phase::Naming { .. } | Phase::Joined(_) => {
                    self.close(slot, &CloseReason::Shutdown, now);
                    self.release(slot);
                }
                Phase::Closing(_) | Phase::Lingering { .. } | Phase::DrainingInput => {
                    self.release(slot);
                }
                Phase::Released => {}
            }
        }
    }

    /// Whether [`Self::drain`] was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.drain_until.is_some()
    }

    /// Whether there is no connection left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// First step: leaves the log and is told why.
    pub(super) fn close(&mut self, slot: u32, why: &CloseReason, now: Instant) {
        let session = &mut self.sessions[slot as usize];
        let had_joined = matches!(session.phase, Phase::Joined(_));
        let reason = why.kind();
        let closing = Closing {
            since: now,
            reason,
            notice: why.notice(),
            peer_has_left: false,
        };
        let pending = session.pending(self.log.head());
        self.send_queue.remove(slot, session.put_off_until());
        match std::mem::replace(&mut session.phase, Phase::Closing(closing)) {
            Phase::Joined(subscriber) => {
                info!(name = %session.name, peer = %session.peer, reason = %why, "left");
                self.subscribers -= 1;
                subscriber.leave(&mut self.log, now);
                // What is on its way may still arrive; the rest never will.
                let given_up = pending - session.pending(self.log.head());
                self.counters.discarded[reason] += given_up;
            }
            Phase::Naming { .. } => {
                debug!(peer = %session.peer, reason = %why, "left before it gave a name");
            }
            Phase::Closing(_)
            | Phase::Lingering { .. }
            | Phase::DrainingInput
            | Phase::Released => {
                unreachable!("a session is closed once")
            }
        }
        self.counters.closed[reason] += 1;
        session.admitted = None;
        self.last_ended.remember(session, why, now);
        if session.input.held_back.take().is_some() {
            // It is read from again, to throw away what comes.
            self.resumed.push_back(session.id);
        }
        let waits = session.in_flight.is_none();
        self.paused.remove(slot);
        if let Some(until) = session.input.throttle.until.take() {
            self.throttled.remove(until, slot);
        }
        if waits {
            self.send_queue.wait(slot);
        }
        self.sweep_by(now + self.limits.linger);
        if had_joined {
            self.announce_leave(slot, now);
        }
    }

    /// Tells that somebody who had joined has said its last.
    pub(super) fn announce_leave(&mut self, slot: u32, now: Instant) {
        if self.limits.announce_presence && !self.is_draining() {
            let name = self.sessions[slot as usize].name.clone();
            self.announce(Change::Left(name), now, |_, _| ());
        }
    }

    /// Instead of the first step, for a peer that left by itself while what it said is held back:
    /// it leaves the log as a receiver, and stays an author until all of it is accepted.
    fn drain_input(&mut self, slot: u32, now: Instant) {
        let session = &mut self.sessions[slot as usize];
        let pending = session.pending(self.log.head());
        self.send_queue.remove(slot, session.put_off_until());
        let Phase::Joined(subscriber) = std::mem::replace(&mut session.phase, Phase::DrainingInput)
        else {
            unreachable!("only a subscriber drains its input");
        };
        info!(name = %session.name, peer = %session.peer, reason = %CloseReason::Left, "left");
        session.in_flight = None;
        session.partial = bytes::Bytes::new();
        self.subscribers -= 1;
        subscriber.leave(&mut self.log, now);
        self.counters.discarded[Reason::Left] += pending;
        self.counters.closed[Reason::Left] += 1;
        self.last_ended.remember(session, &CloseReason::Left, now);
    }

    /// Second step: all is said.
    pub(super) fn linger(&mut self, slot: u32, now: Instant) {
        let session = &mut self.sessions[slot as usize];
        let Phase::Closing(closing) = &session.phase else {
            unreachable!("only one that is closing lingers");
        };
        if closing.peer_has_left {
            self.release(slot);
            return;
        }
        session.phase = Phase::Lingering {
            since: now,
            reason: closing.reason,
        };
        self.closes.push_back(Close::ShutdownWrite(session.id));
        self.sweep_by(now + self.limits.linger);
    }

    /// Third step: the driver gives the connection up; what it was still owed is discarded.
    pub(super) fn release(&mut self, slot: u32) {
        let session = &mut self.sessions[slot as usize];
        let pending = session.pending(self.log.head());
        match std::mem::replace(&mut session.phase, Phase::Released) {
            Phase::Closing(Closing { reason, .. }) | Phase::Lingering { reason, .. } => {
                self.counters.discarded[reason] += pending;
            }
            // It was accounted for when it left.
            Phase::DrainingInput => {}
            Phase::Naming { .. } | Phase::Joined(_) | Phase::Released => {
                unreachable!("a session is closed before it is released")
            }
        }
        session.admitted = None;
        session.in_flight = None;
        session.partial = bytes::Bytes::new();
        session.input.decoder = protocol::Decoder::new(0);
        self.send_queue.remove(slot, None);
        self.closes.push_back(Close::Release(session.id));
    }
}
