//! What must hold after every step of a simulated world.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::super::session::{Content, Phase, Session};
use super::super::{Close, Hub, Transmit};
use super::World;
use crate::wire::{self, Encoding, Entry};

/// More than there are slots: a world has at most 24 peers at a time. Checks run after each step of
/// millions of worlds, so they look slots up instead of searching.
const SLOTS: usize = 64;

impl World {
    pub(super) fn check(&self) {
        for hub in &self.hubs {
            check_accounts(hub);
            check_places(hub);
        }
        self.check_admission();
        self.check_input_budget();
        for peer in &self.peers {
            let hub = &self.hubs[peer.hub];
            let lingers = matches!(
                hub.sessions[peer.id.slot as usize].phase,
                Phase::Lingering { .. }
            );
            let is_closed =
                peer.sees_end_of_stream || hub.closes.contains(&Close::ShutdownWrite(peer.id));
            assert!(!lingers || is_closed, "after the notice our side is closed");
        }
        let log = self.hubs[0].log();
        assert!(log.bytes() <= log.bytes_max(), "the log keeps its bound");
        check_lag(&self.hubs);
        for (hub, sleeps) in self.hubs.iter().zip(&self.sleeping) {
            let waits_in_vain = !hub.paused.is_empty() && hub.log.has_room(&hub.limits);
            assert!(!waits_in_vain || *sleeps, "who waits is woken by room");
        }
    }

    pub(super) fn check_that_all_is_freed(&mut self) {
        self.observe();
        self.wake_the_sleeping();
        for hub in &self.hubs {
            assert!(hub.is_empty(), "everyone is gone: {hub:?}");
            assert_eq!(hub.counters().connections, 0);
            assert_eq!(hub.counters().pending(), 0);
            let ended: u64 = hub.counters().closed.total();
            assert_eq!(ended, hub.counters().accepted);
            assert!(hub.log.is_at_rest());
            assert_eq!(hub.subscribers, 0);
        }
        let log = self.hubs[0].log();
        if self.limits.history_messages == 0 {
            assert_eq!(log.bytes(), 0, "at rest all is freed");
        }
        assert!(
            log.bytes() <= log.bytes_max() / 4 * 3,
            "at rest all but the history and its encodings is freed"
        );
    }
}

impl World {
    /// No healthy subscriber whose connection a proxy may close is sent nothing for long.
    pub(super) fn check_silence(&self) {
        let most = self.limits.websocket_ping + Duration::from_secs(1);
        for peer in self.peers.iter().filter(|peer| peer.manner.is_healthy()) {
            let session = &self.hubs[peer.hub].sessions[peer.id.slot as usize];
            let is_web = session.encoding != Encoding::Frames;
            if let (Phase::Joined(_), Some(at), true) =
                (&session.phase, session.progress_at, is_web)
            {
                assert!(at + most >= self.now, "silence: {session:?}");
            }
        }
    }

    /// Each byte that came and was not taken is in the budget, over all hubs.
    fn check_input_budget(&self) {
        let sessions = self.hubs.iter().flat_map(|hub| &hub.sessions);
        let kept = sessions.map(|(_, session)| {
            let held_back = session.input.held_back.as_ref();
            held_back.map_or(0, bytes::Bytes::len) + session.input.wire.kept_bytes()
        });
        assert_eq!(self.hubs[0].input_budget.bytes(), kept.sum::<usize>());
    }

    /// The limits on who may come in hold over all hubs.
    fn check_admission(&self) {
        let sessions = || self.hubs.iter().flat_map(|hub| &hub.sessions);
        let admitted = || {
            let admitted = sessions().filter(|(_, session)| session.admitted.is_some());
            admitted.map(|(_, session)| session)
        };
        let most = |limit: Option<u32>| limit.map_or(usize::MAX, |limit| limit as usize);
        assert!(admitted().count() <= most(self.limits.clients_max));
        if self.limits.clients_per_address_max.is_some() {
            let mut by_address = BTreeMap::<_, usize>::new();
            admitted().for_each(|it| *by_address.entry(it.peer.ip()).or_default() += 1);
            let most_here = by_address.values().copied().max().unwrap_or(0);
            assert!(most_here <= most(self.limits.clients_per_address_max));
        }
        for (_, session) in sessions() {
            assert_eq!(
                session.admitted.is_some(),
                session.is_in_use(),
                "leaving frees its place"
            );
        }
        if self.limits.unique_names {
            // Who only publishes holds no name.
            let joined = admitted().filter(|it| matches!(it.phase, Phase::Joined(_)));
            let mut names: Vec<_> = joined.map(|it| &it.name).collect();
            names.sort_unstable();
            let twice = names.windows(2).any(|pair| pair[0] == pair[1]);
            assert!(!twice, "no name is taken twice: {names:?}");
        }
    }
}

/// A batch is all that its receiver is owed, as far as one send may carry it.
pub(super) fn check_batch(hub: &Hub, transmit: &Transmit) {
    let session = &hub.sessions[transmit.id.slot as usize];
    let in_flight = session.in_flight.as_ref().expect("it is on its way");
    let Content::Batch { messages, end } = in_flight.content else {
        return;
    };
    let bytes_max = hub.limits.batch_bytes_max;
    let bytes = transmit.bytes.len();
    assert!(
        messages == 1 || bytes <= bytes_max,
        "{messages} messages, {bytes} bytes"
    );
    let mut rest = hub.log.from(end).zip(end + 1..);
    if let Some((next, number)) = rest.find(|(message, _)| !hub.log.is_own(message, session.id)) {
        let entry = Entry::of_frames(&next.frame);
        let next = wire::encode(session.encoding, &entry, hub.log.position(number));
        assert!(bytes + next.len() > bytes_max, "there was room for more");
    }
}

/// No deadline has passed unnoticed.
pub(super) fn check_deadlines(hub: &Hub, now: Instant) {
    for (_, session) in &hub.sessions {
        let deadline = session.deadline(&hub.limits);
        assert!(
            deadline.is_none_or(|at| at > hub.served(now)),
            "overdue: {session:?}"
        );
    }
}

/// What the readers count about those who are behind is what a look at all of them says.
fn check_lag(hubs: &[Hub]) {
    let (mut counted, mut far) = (0, 0);
    for hub in hubs {
        let mut newcomers = 0;
        for (_, session) in &hub.sessions {
            if let Phase::Joined(subscriber) = &session.phase {
                let lead_bytes_max = hub.log.lead_bytes_max();
                let is_far = hub.log.charged_from(subscriber.cursor) > lead_bytes_max;
                assert_eq!(is_far, hub.log.is_far(subscriber.cursor));
                assert!(subscriber.has_caught_up || !subscriber.counts);
                counted += usize::from(subscriber.counts);
                far += usize::from(subscriber.counts && is_far);
                newcomers += u64::from(!subscriber.has_caught_up);
            }
        }
        assert_eq!(hub.newcomers, newcomers);
    }
    let lags = 2 * far > counted || (far == 1 && counted == 2);
    assert_eq!(hubs[0].log.lags_now(), lags, "{far} of {counted} are far");
}

/// owed = delivered + pending + discarded, and each session counts its own messages rightly.
fn check_accounts(hub: &Hub) {
    let head = hub.log.head();
    let own_ahead = own_ahead(hub);
    let mut pending = 0;
    let mut subscribers = 0;
    let mut backlog_bytes_max = 0;
    for (slot, session) in &hub.sessions {
        pending += session.pending(head);
        if let Phase::Joined(subscriber) = &session.phase {
            subscribers += 1;
            assert_eq!(subscriber.own_ahead, own_ahead[slot]);
            if subscriber.cursor >= hub.log.passed() {
                let backlog_bytes = hub.log.backlog_bytes(subscriber.cursor);
                backlog_bytes_max = backlog_bytes.max(backlog_bytes_max);
            }
            if let Some(in_flight) = &session.in_flight
                && let Content::Batch { messages, end } = in_flight.content
            {
                assert!(u64::from(messages) <= end - subscriber.cursor && end <= head);
            }
        }
    }
    assert_eq!(hub.subscribers, subscribers);
    assert_eq!(hub.counters().pending(), pending);
    assert_eq!(hub.log.backlog_bytes_max(), backlog_bytes_max);
    let carried = hub.measures.messages_per_send.sum();
    assert!(carried >= hub.counters().delivered);
    assert!(carried >= hub.measures.queue_to_wire.count());
}

/// How many of their own messages are ahead of the subscribers, by slot: one pass over the log.
fn own_ahead(hub: &Hub) -> Vec<u64> {
    let mut own_ahead = vec![0; SLOTS];
    let cursors = hub.sessions.iter().filter_map(|(_, it)| cursor(it));
    let first = cursors.min().unwrap_or(hub.log.head());
    for (message, number) in hub.log.from(first).zip(first..) {
        let slot = message.author.connection.slot as usize;
        if let Some(author) = hub.sessions.get(slot)
            && hub.log.is_own(message, author.id)
            && cursor(author).is_some_and(|cursor| cursor <= number)
        {
            own_ahead[slot] += 1;
        }
    }
    own_ahead
}

fn cursor(session: &Session) -> Option<u64> {
    match &session.phase {
        Phase::Joined(subscriber) => Some(subscriber.cursor),
        _ => None,
    }
}

/// A bit for each of these slots.
fn marks(slots: Vec<u32>) -> u64 {
    slots.into_iter().fold(0, |marks, slot| marks | 1 << slot)
}

/// Whoever can be sent something waits in line or has a send on its way.
fn check_places(hub: &Hub) {
    let waiting = marks(hub.send_queue.waiting());
    let resting = marks(hub.send_queue.resting());
    let put_off = marks(hub.send_queue.are_put_off());
    for (slot, session) in &hub.sessions {
        let waits = waiting & 1 << slot != 0;
        let rests = resting & 1 << slot != 0;
        let flies = session.in_flight.is_some();
        let is_put_off = put_off & 1 << slot != 0;
        let places = [waits, rests, flies, is_put_off];
        let places = places.into_iter().filter(|place| *place).count();
        match &session.phase {
            Phase::Joined(subscriber) => {
                assert_eq!(places, 1, "{session:?} is in one place");
                assert!(!rests || subscriber.cursor == hub.log.head());
                assert!(!rests || !session.has_replies());
            }
            Phase::Closing(_) => assert!(places == 1 && !rests && !is_put_off),
            Phase::Naming { .. } | Phase::Requesting { .. } => {
                let is_answered = session.has_replies() || !session.partial.is_empty();
                assert_eq!(places, usize::from(is_answered || flies), "{session:?}");
                assert!(!rests && !is_put_off);
            }
            Phase::Refused { .. }
            | Phase::Lingering { .. }
            | Phase::DrainingInput { .. }
            | Phase::Released => {
                assert_eq!(places, 0, "{session:?} is sent nothing");
            }
        }
    }
}
