//! The barrier: makes certain that every client has joined, since the server answers no name.
//!
//! Probes are sent in rounds until every client has received one. A client whose name was sent after
//! a probe had passed is reached by a later round; rounds follow as soon as the last one has reached
//! all that had joined before it (so the server is never flooded with them), or after a timeout (so a
//! lost probe costs time and nothing else). While nobody new is reached, the pauses double.
//!
//! The author of a probe does not receive it, so two clients take turns. Where publishers of their own
//! send, one of them asks; they receive nothing, and have joined as soon as they are named.
//!
//! With several workers each has a barrier for its own clients, with rounds that are told from the
//! others' by their remainder: a probe reaches everybody, and counts for those whose worker sent it.
//!
//! After the drain the same barrier, begun anew, is the final mark: a client that has received it
//! has received, from a server that keeps to one order, all that came before.

use std::ops::Range;

use crate::host::clock::MILLISECOND_NS;

const PAUSE_MIN_NS: u64 = 2 * MILLISECOND_NS;
const PAUSE_MAX_NS: u64 = 250 * MILLISECOND_NS;
const ROUND_TIMEOUT_NS: u64 = 500 * MILLISECOND_NS;

/// Pause while more clients are about to be named, which a later round would have to reach anyway.
const PAUSE_UNSETTLED_NS: u64 = 100 * MILLISECOND_NS;

/// Who has been reached by probes.
#[derive(Debug)]
pub(crate) struct Barrier {
    first_client: u32,
    /// Those that receive, then publishers, if there are any.
    clients: Vec<Progress>,
    first_publisher: u32,
    /// From one round of this worker to its next.
    stride: u32,
    /// How many can be reached: their names were sent and they are still there.
    named: u32,
    /// How many of these have been reached since the barrier was begun, publishers included.
    reached: u32,
    publishers_named: u32,
    round: u32,
    /// Rounds up to this one belong to an earlier use of the barrier.
    begun_after: u32,
    /// How many the current round is certain to reach, and how many of these it has.
    awaited: u32,
    answered: u32,
    asked_ns: u64,
    pause_ns: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    named: bool,
    /// The latest round that reached this client; 0 if none has. No worker has a round 0.
    round: u32,
}

impl Barrier {
    /// Of the `clients` of worker `worker`, of which there are `workers`; those from `first_publisher` on
    /// send and do not receive.
    pub(crate) fn new(
        clients: Range<u32>,
        first_publisher: u32,
        worker: u32,
        workers: u32,
    ) -> Self {
        Self {
            first_client: clients.start,
            clients: vec![Progress::default(); clients.len()],
            first_publisher,
            publishers_named: 0,
            stride: workers,
            named: 0,
            reached: 0,
            // The first round is one stride later.
            round: worker,
            begun_after: worker,
            awaited: 0,
            answered: 0,
            asked_ns: 0,
            pause_ns: PAUSE_MIN_NS,
        }
    }

    /// Forgets who was reached, to ask everybody anew.
    pub(crate) fn begin_anew(&mut self) {
        self.begun_after = self.round;
        self.reached = self.publishers_named;
        self.awaited = 0;
        self.answered = 0;
        self.pause_ns = PAUSE_MIN_NS;
    }

    /// The name of `client` is with the kernel, or the server has confirmed that it has joined: a
    /// probe may reach it.
    pub(crate) fn named(&mut self, client: u32) {
        if std::mem::replace(&mut self.progress(client).named, true) {
            return;
        }
        self.named += 1;
        if self.is_publisher(client) {
            self.publishers_named += 1;
            self.reached += 1;
        }
    }

    /// `client` is gone and no longer waited for.
    pub(crate) fn disconnected(&mut self, client: u32) {
        let gone = std::mem::take(self.progress(client));
        if gone.named {
            self.named -= 1;
            let is_publisher = self.is_publisher(client);
            self.publishers_named -= u32::from(is_publisher);
            self.reached -= u32::from(is_publisher || gone.round > self.begun_after);
        }
    }

    /// A probe has come to `client`.
    pub(crate) fn received(&mut self, client: u32, round: u32) {
        let (begun_after, latest) = (self.begun_after, self.round);
        let is_ours = round % self.stride == latest % self.stride;
        let seen = self.progress(client);
        let is_new = round > seen.round && round > begun_after && round <= latest;
        if !is_ours || !is_new || !seen.named {
            return;
        }
        let is_first = seen.round <= begun_after;
        seen.round = round;
        if is_first {
            self.reached += 1;
            self.pause_ns = PAUSE_MIN_NS;
        }
        self.answered += u32::from(round == self.round);
    }

    /// How many clients have sent their names and are still there.
    pub(crate) fn named_so_far(&self) -> u32 {
        self.named
    }

    /// How many of the clients that can be reached have been.
    pub(crate) fn reached(&self) -> u32 {
        self.reached
    }

    /// Whether every client whose name was sent has been reached.
    pub(crate) fn is_passed(&self) -> bool {
        self.reached == self.named
    }

    /// Whether `client` has been reached.
    pub(crate) fn has_reached(&self, client: u32) -> bool {
        self.clients[(client - self.first_client) as usize].round > self.begun_after
    }

    /// When to ask for the next round; `None` while there is nobody to reach. `settled` says that
    /// nobody else is about to be named.
    pub(crate) fn next_round_ns(&self, settled: bool) -> Option<u64> {
        if self.is_passed() || !self.can_probe() {
            return None;
        }
        let pause_ns = match (self.answered >= self.awaited, settled) {
            (false, _) => ROUND_TIMEOUT_NS,
            (true, true) => self.pause_ns,
            (true, false) => self.pause_ns.max(PAUSE_UNSETTLED_NS),
        };
        Some(self.asked_ns + pause_ns)
    }

    /// Begins a round if it is time for one: its number, to be sent by [`Self::probers`].
    pub(crate) fn begin_round(&mut self, now_ns: u64, settled: bool) -> Option<u32> {
        if self.next_round_ns(settled)? > now_ns {
            return None;
        }
        if self.round > self.begun_after {
            self.pause_ns = (self.pause_ns * 2).min(PAUSE_MAX_NS);
        }
        self.round += self.stride;
        self.asked_ns = now_ns;
        self.answered = 0;
        let senders_miss_it = if self.has_publishers() {
            self.publishers_named
        } else {
            1
        };
        self.awaited = self.reached.saturating_sub(senders_miss_it);
        Some(self.round)
    }

    fn is_publisher(&self, client: u32) -> bool {
        client >= self.first_publisher
    }

    fn has_publishers(&self) -> bool {
        self.first_client as usize + self.clients.len() > self.first_publisher as usize
    }

    /// Whether there is somebody to send a probe, and somebody else to receive it.
    fn can_probe(&self) -> bool {
        if self.has_publishers() {
            self.publishers_named > 0
        } else {
            self.named >= 2
        }
    }

    /// Who sends the round's probe: a publisher, or where there are none one client, and a second as
    /// long as the first was not reached.
    pub(crate) fn probers(&self) -> impl Iterator<Item = u32> {
        let first = if self.has_publishers() {
            self.first_publisher
        } else {
            self.first_client
        };
        let mut named = (first..)
            .zip(&self.clients[(first - self.first_client) as usize..])
            .filter(|(_, client)| client.named)
            .map(|(client, _)| client);
        let first = named.next();
        let second = named.next().filter(|_| {
            first.is_some_and(|first| !self.is_publisher(first) && !self.has_reached(first))
        });
        first.into_iter().chain(second)
    }

    fn progress(&mut self, client: u32) -> &mut Progress {
        &mut self.clients[(client - self.first_client) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends the round that is due at `now_ns`, if any, to all of `joined`.
    fn ask(barrier: &mut Barrier, now_ns: u64, joined: &[u32]) -> bool {
        let probers: Vec<_> = barrier.probers().collect();
        let Some(round) = barrier.begin_round(now_ns, true) else {
            return false;
        };
        for prober in probers {
            for &client in joined.iter().filter(|&&client| client != prober) {
                barrier.received(client, round);
            }
        }
        true
    }

    #[test]
    fn it_is_passed_when_every_client_was_reached() {
        let mut barrier = Barrier::new(0..3, 3, 0, 1);
        for client in 0..3 {
            barrier.named(client);
        }
        assert!(!barrier.is_passed());
        assert!(ask(&mut barrier, PAUSE_MIN_NS, &[0, 1, 2]));
        assert!(barrier.is_passed());
        assert_eq!(barrier.next_round_ns(true), None);
    }

    #[test]
    fn a_client_that_joins_late_is_reached_by_a_later_round() {
        let mut barrier = Barrier::new(0..3, 3, 0, 1);
        for client in 0..3 {
            barrier.named(client);
        }
        assert!(ask(&mut barrier, 10 * PAUSE_MIN_NS, &[0, 1]));
        assert_eq!(barrier.reached(), 2);
        let next_ns = barrier.next_round_ns(true).unwrap();
        assert!(!ask(&mut barrier, next_ns - 1, &[0, 1, 2]), "too early");
        assert!(ask(&mut barrier, next_ns, &[0, 1, 2]));
        assert!(barrier.is_passed());
    }

    #[test]
    fn pauses_double_while_nobody_new_is_reached_and_stay_bounded() {
        let mut barrier = Barrier::new(0..2, 2, 0, 1);
        barrier.named(0);
        barrier.named(1);
        let mut now_ns = 0;
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let next_ns = barrier.next_round_ns(true).unwrap();
            pauses.push(next_ns - now_ns);
            now_ns = next_ns;
            assert!(ask(&mut barrier, now_ns, &[]));
        }
        assert!(pauses.is_sorted());
        assert_eq!(pauses.last(), Some(&PAUSE_MAX_NS));
    }

    #[test]
    fn a_round_that_is_still_under_way_holds_the_next_one_back_until_its_timeout() {
        let mut barrier = Barrier::new(0..4, 4, 0, 1);
        for client in 0..3 {
            barrier.named(client);
        }
        assert!(ask(&mut barrier, PAUSE_MIN_NS, &[0, 1, 2]));
        barrier.named(3);
        let asked_ns = 20 * PAUSE_MIN_NS;
        assert!(ask(&mut barrier, asked_ns, &[]));
        assert_eq!(
            barrier.next_round_ns(true),
            Some(asked_ns + ROUND_TIMEOUT_NS)
        );
        let round = barrier.round;
        barrier.received(1, round);
        barrier.received(2, round);
        assert!(barrier.next_round_ns(true).unwrap() < asked_ns + ROUND_TIMEOUT_NS);
    }

    #[test]
    fn only_the_first_clients_probe_once_they_are_reached() {
        let mut barrier = Barrier::new(0..3, 3, 0, 1);
        for client in 0..3 {
            barrier.named(client);
        }
        assert_eq!(barrier.probers().collect::<Vec<_>>(), [0, 1]);
        ask(&mut barrier, PAUSE_MIN_NS, &[0, 1]);
        assert_eq!(barrier.probers().collect::<Vec<_>>(), [0]);
        barrier.disconnected(0);
        assert_eq!(barrier.probers().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn begun_anew_it_takes_no_earlier_probe_for_an_answer() {
        let mut barrier = Barrier::new(0..2, 2, 0, 1);
        barrier.named(0);
        barrier.named(1);
        ask(&mut barrier, PAUSE_MIN_NS, &[0, 1]);
        let earlier = barrier.round;
        barrier.begin_anew();
        assert!(!barrier.is_passed());
        barrier.received(0, earlier);
        assert_eq!(barrier.reached(), 0);
        let next_ns = barrier.next_round_ns(true).unwrap();
        assert!(ask(&mut barrier, next_ns, &[0, 1]));
        assert!(barrier.is_passed());
    }

    #[test]
    fn a_client_that_departs_is_no_longer_waited_for() {
        let mut barrier = Barrier::new(0..3, 3, 0, 1);
        for client in 0..3 {
            barrier.named(client);
        }
        ask(&mut barrier, PAUSE_MIN_NS, &[0, 1]);
        barrier.disconnected(2);
        assert!(barrier.is_passed());
        barrier.disconnected(1);
        assert!(barrier.is_passed());
        assert_eq!(barrier.reached(), 1);
    }
    #[test]
    fn the_probes_of_another_lane_count_for_its_clients_only() {
        let mut barriers = [Barrier::new(0..2, 4, 0, 2), Barrier::new(2..4, 4, 1, 2)];
        for (first, barrier) in [0, 2].into_iter().zip(&mut barriers) {
            barrier.named(first);
            barrier.named(first + 1);
        }
        let round = barriers[1].begin_round(PAUSE_MIN_NS, true).unwrap();
        barriers[0].begin_round(PAUSE_MIN_NS, true).unwrap();
        for client in 0..2 {
            barriers[0].received(client, round);
            barriers[1].received(client + 2, round);
        }
        assert_eq!(barriers.map(|barrier| barrier.is_passed()), [false, true]);
    }

    #[test]
    fn where_publishers_send_one_of_them_asks_and_none_is_waited_for() {
        let mut barrier = Barrier::new(0..4, 2, 0, 1);
        barrier.named(0);
        assert_eq!(barrier.next_round_ns(true), None, "nobody could ask");
        barrier.named(3);
        barrier.named(2);
        barrier.named(2);
        assert_eq!((barrier.named_so_far(), barrier.reached()), (3, 2));
        assert_eq!(barrier.probers().collect::<Vec<_>>(), [2]);
        assert!(ask(&mut barrier, PAUSE_MIN_NS, &[0]));
        assert!(barrier.is_passed());
        barrier.begin_anew();
        assert!(!barrier.is_passed());
        barrier.disconnected(2);
        assert_eq!(barrier.probers().collect::<Vec<_>>(), [3]);
        barrier.disconnected(0);
        assert!(barrier.is_passed());
    }
}
