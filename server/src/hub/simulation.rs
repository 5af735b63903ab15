//! The hub under a seeded, randomized world with virtual time.
//!
//! A world is one to three hubs over one log, peers that behave and peers that do not, and a driver
//! that cuts input anywhere, sends short, reports late and repeats itself. After every step the
//! invariants are checked; in the end the faults stop, and all that is owed must arrive.
//!
//! The tests draw all that happens from a seed, the fuzzer (`hub/fuzz.rs`) from its input.
//!
//! `URINGCAST_SEEDS=20000 cargo test -p server simulation` runs as many seeds as wanted;
//! `URINGCAST_SEED=7` repeats one.

#[cfg(test)]
mod attack;
mod driver;
mod endings;
mod invariants;
mod odds;
mod peer;
mod presence;
mod web;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::{Rng, RngExt};
#[cfg(test)]
use rand::{SeedableRng, rngs::StdRng};

use super::log::{Author, Reader};
use super::*;
use odds::{Event, Odds};
use peer::{Manner, Peer};
use web::{Position, Speech};

/// Seeds that an ordinary test run tries.
#[cfg(test)]
const SEEDS: u64 = 400;
/// Most steps of a world, before it ends.
pub(super) const STEPS: u32 = 600;

#[cfg(test)]
#[test]
fn invariants_hold_in_every_world() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let seeds = match number("URINGCAST_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("URINGCAST_SEEDS").unwrap_or(SEEDS),
    };
    let mut total = Counters::default();
    for seed in seeds.clone() {
        let outcome = std::panic::catch_unwind(|| {
            let rng = StdRng::seed_from_u64(seed);
            World::new(Box::new(rng)).run(STEPS)
        });
        let Ok(counters) = outcome else {
            panic!("repeat with: URINGCAST_SEED={seed} cargo test -p server simulation");
        };
        total += counters;
    }
    println!("{} seeds: {total:?}", seeds.end - seeds.start);
    if seeds.end - seeds.start >= SEEDS {
        // A world in which these do not happen would prove little.
        assert!(total.delivered > 100_000 && total.short_sends > 1_000);
        for reason in Reason::ALL {
            let happened = match reason {
                Reason::Skipped => total.discarded[reason],
                // It takes more time than most worlds have: see `tests`.
                Reason::TooSlow | Reason::InputFull => continue,
                Reason::Tls => continue,
                _ => total.closed[reason],
            };
            assert!(happened > 0, "{reason:?} never happened");
        }
        assert!(total.throttled > 100);
    }
}

pub(super) struct World {
    rng: Box<dyn Rng>,
    odds: Odds,
    now: Instant,
    limits: Limits,
    hubs: Vec<Hub>,
    /// Hubs that were to be woken and have not been.
    sleeping: Vec<bool>,
    /// Sees every message in the total order, like one more thread.
    observer: Reader,
    observed_to: u64,
    order: Vec<Accepted>,
    /// How many are there, as the log tells, and as it told after each message.
    here: u64,
    here_after: Vec<u64>,
    peers: Vec<Peer>,
    /// Those who are gone, and of whom something may still be accepted.
    left: Vec<Peer>,
    /// How far subscribers had got that lost their connections.
    lost: Vec<Position>,
    /// Identifiers that outlived their connections.
    stale: Vec<(usize, ConnectionId)>,
    peers_made: u32,
    /// The faults have stopped.
    healing: bool,
}

/// A message as the log has it.
struct Accepted {
    hub: usize,
    author: ConnectionId,
    frame: Bytes,
}

impl World {
    /// A world in which `rng` decides about everything.
    pub(super) fn new(mut rng: Box<dyn Rng>) -> Self {
        let mut limits = Limits {
            clients_max: *pick(&mut rng, &[None, Some(20)]),
            clients_per_address_max: *pick(&mut rng, &[None, Some(15)]),
            unique_names: rng.random_bool(0.3),
            messages_per_second_max: *pick(&mut rng, &[None, None, Some(1), Some(5)]),
            bytes_per_second_max: *pick(&mut rng, &[None, None, Some(100)]),
            lead_bytes_max: *pick(&mut rng, &[0, 50, 1000, u64::MAX]),
            lag_bytes_max: *pick(&mut rng, &[None, Some(20_000)]),
            lag_max: *pick(&mut rng, &[3, 10].map(Duration::from_secs)),
            slow_policy: *pick(&mut rng, &[SlowPolicy::Disconnect, SlowPolicy::Skip]),
            announce_presence: false,
            history_messages: *pick(&mut rng, &[0, 0, 1, 20]),
            name_bytes_max: 12,
            message_bytes_max: *pick(&mut rng, &[0, 1, 30, 300]),
            batch_bytes_max: *pick(&mut rng, &[1, 100, 1000, 65_536]),
            coalesce: match rng.random_range(0..4) {
                0 => Coalesce::Auto,
                _ => Coalesce::Fixed(*pick(
                    &mut rng,
                    &[0, 0, 10, 3000].map(Duration::from_millis),
                )),
            },
            input_bytes_max: usize::MAX,
            handshake_timeout: Duration::from_secs(10),
            frame_timeout: Duration::from_secs(15),
            write_deadline: *pick(&mut rng, &[20, 6].map(Duration::from_secs)),
            linger: Duration::from_secs(2),
            binary: false,
            control_characters: ControlCharacters::Replace,
            websocket_ping: *pick(&mut rng, &[5, 25].map(Duration::from_secs)),
            ..Limits::default()
        };
        if limits.coalesce != Coalesce::Fixed(Duration::ZERO) {
            // Whoever is left alone for a while may fall behind by so few bytes.
            limits.lag_bytes_max = None;
        }
        if limits.batch_bytes_max <= 1000 {
            // A message or two a send, as WebSocket encodes them, is less than the healthy are sent in that time.
            limits.lag_max = Limits::FOREVER;
        }
        limits.announce_presence = rng.random_bool(0.3);
        let room = *pick(&mut rng, &[1, 2, 5, 1000]);
        let log = Log::new(limits.log_bytes_min() * room);
        let first = Hub::new(limits.clone(), Arc::clone(&log));
        let others = (1..rng.random_range(1..=3)).map(|_| first.beside());
        let mut hubs: Vec<Hub> = others.collect();
        hubs.insert(0, first);
        let mut observer = Reader::new(log);
        let observed_to = observer.enter(None);
        Self {
            sleeping: vec![false; hubs.len()],
            odds: Odds::draw(&mut rng),
            rng,
            now: Instant::now(),
            limits,
            hubs,
            observer,
            observed_to,
            order: Vec::new(),
            here: 0,
            here_after: Vec::new(),
            peers: Vec::new(),
            left: Vec::new(),
            lost: Vec::new(),
            stale: Vec::new(),
            peers_made: 0,
            healing: false,
        }
    }

    /// Panics when an invariant does not hold.
    pub(super) fn run(mut self, steps: u32) -> Counters {
        for _ in 0..steps {
            self.step();
            self.check();
        }
        match self.rng.random_range(0..3) {
            0 => self.drain(),
            1 => {
                self.heal();
                self.drain();
            }
            _ => {
                self.heal();
                self.everyone_leaves();
            }
        }
        self.check_that_all_is_freed();
        self.sum_of_counters()
    }

    fn step(&mut self) {
        self.the_healthy_keep_up();
        match self.odds.event(&mut self.rng) {
            Event::Connect => self.connect(),
            Event::Speak => self.someone_speaks(),
            Event::Arrive => self.some_bytes_arrive(),
            Event::AskForTransmits => self.driver_asks_for_transmits(),
            Event::Complete => self.a_send_completes(),
            Event::Close => self.driver_closes(),
            Event::PassTime => self.time_passes(),
            Event::Leave => self.someone_leaves(),
            Event::Wake => self.wake_the_sleeping(),
            Event::Stale => self.stale_events_come(),
            Event::Change => self.someone_changes(),
            Event::Reload => self.limits_are_loosened(),
        }
        self.observe();
    }

    fn connect(&mut self) {
        if self.peers.len() >= 24 {
            return;
        }
        let hub = self.rng.random_range(0..self.hubs.len());
        if self.rng.random_bool(0.02) {
            let notice = self.hubs[hub].refuse();
            assert_eq!(notice, CloseReason::NoDescriptor.notice());
            return;
        }
        let address = SocketAddr::from(([127, 0, 0, self.rng.random_range(1..=2)], 1));
        let id = self.hubs[hub].accept(address, self.now);
        let manner = self.odds.manner(&mut self.rng);
        self.peers_made += 1;
        // Some take a name that may be taken.
        let name = match self.rng.random_range(0..5) {
            0 => "peer".into(),
            _ => format!("peer{}", self.peers_made),
        };
        let speech = Speech::draw(&mut self.rng);
        let after = self.lost.pop().filter(|_| speech != Speech::Frames);
        let after = match self.rng.random_range(0..10) {
            0 => after.map(|after| after.foreign()),
            1 => None,
            _ => after,
        };
        let wish = (speech, after);
        let peer = Peer::new(hub, id, manner, name, wish, &mut self.rng, &self.limits);
        self.peers.push(peer);
    }

    fn someone_speaks(&mut self) {
        let message_bytes_max = self.limits.message_bytes_max;
        if let Some(peer) = choose(&mut self.rng, &mut self.peers) {
            for _ in 0..self.rng.random_range(1..4) {
                peer.speak(&mut self.rng, message_bytes_max);
            }
        }
    }

    fn some_bytes_arrive(&mut self) {
        let Some(index) = self.any_peer() else { return };
        self.bytes_arrive(index);
    }

    fn bytes_arrive(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        if !peer.can_be_read() {
            return;
        }
        let bytes = peer.cut_input(&mut self.rng);
        let (hub, id) = (peer.hub, peer.id);
        let had_joined = peer.joined_at.is_some();
        let head = self.observed_to;
        let reading = self.hubs[hub].receive(id, &bytes, self.now);
        self.peers[index].paused = reading == Reading::Pause;
        self.observe();
        if let Some(joined_at) = self.peers[index].joined_at
            && !had_joined
        {
            let after = self.peers[index]
                .web
                .as_ref()
                .and_then(|web| web.after.as_ref());
            if after.is_some_and(|after| after.number == joined_at) {
                return;
            }
            let history = u64::from(self.limits.history_messages);
            let told = u64::from(self.limits.announce_presence);
            let session = &self.hubs[hub].sessions[id.slot as usize];
            // One that had not taken the answer to its request may have been made to skip already.
            let skipped = matches!(&session.phase, Phase::Joined(it) if it.missed > 0);
            assert!(
                (joined_at <= head + told || skipped) && joined_at + history >= head,
                "from its join on"
            );
        }
    }

    fn time_passes(&mut self) {
        let until = self.now + Duration::from_millis(self.rng.random_range(1..4000));
        while self.now < until {
            self.the_healthy_take_part();
            let step = Duration::from_millis(40);
            self.run_until((self.now + step).min(until));
        }
        for hub in &self.hubs {
            invariants::check_deadlines(hub, self.now);
        }
        self.check_silence();
    }

    /// Those who behave take what they are sent well before anyone takes them for stalled, and say their
    /// names and the rest of what they began.
    fn the_healthy_take_part(&mut self) {
        // Drivers do at once what they are told.
        self.driver_closes();
        for hub in 0..self.hubs.len() {
            self.poll_transmits(hub, usize::MAX);
        }
        let patience = Duration::from_millis(40);
        for index in 0..self.peers.len() {
            let peer = &self.peers[index];
            let waits = peer
                .in_flight
                .as_ref()
                .is_some_and(|flight| flight.since + patience <= self.now);
            if waits && peer.manner.is_healthy() {
                self.the_healthy_keep_up();
                self.complete_send(index, false);
            }
            if self.peers[index].manner.is_healthy() {
                while self.peers[index].can_be_read() {
                    self.the_healthy_keep_up();
                    self.bytes_arrive(index);
                }
            }
        }
    }

    /// Those who behave are nowhere near the bound on the bytes that they may be behind.
    pub(super) fn the_healthy_keep_up(&mut self) {
        if self.limits.lag_bytes_max.is_none() {
            return;
        }
        self.wake_the_sleeping();
        for _ in 0..1000 {
            let is_far = |peer: &Peer| {
                let hub = &self.hubs[peer.hub];
                let session = &hub.sessions[peer.id.slot as usize];
                match &session.phase {
                    Phase::Joined(subscriber) => hub.log.charged_from(subscriber.cursor) > 5000,
                    _ => false,
                }
            };
            let far = |peer: &Peer| peer.manner.is_healthy() && is_far(peer);
            let Some(index) = self.peers.iter().position(far) else {
                return;
            };
            if self.peers[index].in_flight.is_none() {
                self.poll_transmits(self.peers[index].hub, usize::MAX);
            }
            self.complete_send(index, false);
        }
        panic!("a healthy peer gets what it is owed");
    }

    /// Time goes on, and each hub is called when it asks for it.
    fn run_until(&mut self, until: Instant) {
        loop {
            let next = self.hubs.iter().filter_map(Hub::poll_timeout).min();
            // What waits for a poll stays due.
            let soon = self.now + Duration::from_millis(10);
            let next = next.map(|at| at.max(soon)).filter(|&at| at < until);
            self.now = next.unwrap_or(until);
            for hub in &mut self.hubs {
                if hub.poll_timeout().is_some_and(|at| at <= self.now) {
                    hub.handle_timeout(self.now);
                }
            }
            self.observe();
            if next.is_none() {
                return;
            }
        }
    }

    fn someone_leaves(&mut self) {
        if let Some(index) = self.any_peer() {
            self.leaves(index);
        }
    }

    fn leaves(&mut self, index: usize) {
        let how = if self.rng.random_bool(0.5) {
            Disconnect::EndOfStream
        } else {
            Disconnect::Error("connection reset".into())
        };
        let peer = &mut self.peers[index];
        peer.hung_up = true;
        let (hub, id) = (peer.hub, peer.id);
        let half_open = how == Disconnect::EndOfStream;
        let was_told = self.is_closing(hub, id);
        self.hubs[hub].disconnected(id, how, self.now);
        assert!(
            !(half_open && was_told) || self.is_closing(hub, id),
            "one that may still read is told why it has to go"
        );
        self.observe();
    }

    fn is_closing(&self, hub: usize, id: ConnectionId) -> bool {
        let session = &self.hubs[hub].sessions[id.slot as usize];
        matches!(session.phase, Phase::Closing(_))
    }

    fn wake_the_sleeping(&mut self) {
        for hub in 0..self.hubs.len() {
            if std::mem::take(&mut self.sleeping[hub]) {
                self.hubs[hub].wake(self.now);
                self.observe();
            }
        }
    }

    fn stale_events_come(&mut self) {
        if self.stale.is_empty() {
            return;
        }
        let index = self.rng.random_range(0..self.stale.len());
        let (hub, id) = self.stale[index];
        let hub = &mut self.hubs[hub];
        let before = *hub.counters();
        assert_eq!(
            hub.receive(id, b"3         ann", self.now),
            Reading::Continue
        );
        hub.transmitted(id, 5, self.now);
        hub.disconnected(id, Disconnect::EndOfStream, self.now);
        hub.closed(id);
        assert_eq!(*hub.counters(), before, "a stale event is a no-op");
    }

    fn someone_changes(&mut self) {
        if let Some(peer) = choose(&mut self.rng, &mut self.peers) {
            if peer.manner == Manner::Healthy && self.rng.random_bool(0.3) {
                peer.manner = Manner::Stuck;
            } else {
                peer.misbehave(&mut self.rng, self.limits.message_bytes_max);
            }
        }
    }

    /// Limits change in the running server. Only in ways that break no promise to the peers that are there.
    fn limits_are_loosened(&mut self) {
        self.limits.slow_policy = *pick(&mut self.rng, &[SlowPolicy::Disconnect, SlowPolicy::Skip]);
        if self.rng.random_bool(0.2) {
            self.limits.messages_per_second_max = None;
            self.limits.bytes_per_second_max = None;
        }
        if self.rng.random_bool(0.2) {
            self.limits.clients_max = None;
        }
        for hub in &mut self.hubs {
            hub.set_limits(&self.limits, self.now);
        }
        self.observe();
    }

    /// Takes down what the log got, and checks that it is what its author said next.
    fn observe(&mut self) {
        self.observer.read();
        let from = self.observed_to;
        let new: Vec<_> = self.observer.from(from).cloned().collect();
        self.observer
            .advance(from, from + new.len() as u64, false, self.now);
        self.observed_to += new.len() as u64;
        // Whoever makes room while others wait for it has them woken, as a hub does.
        if self.observer.take_made_room() && self.observer.take_wanted() {
            self.sleeping.fill(true);
        }
        for message in new {
            let author = message.author.connection;
            let hub = usize::try_from(message.author.reader).unwrap();
            let accepted = Accepted {
                hub,
                author,
                frame: message.frame.clone(),
            };
            if message.author == Author::NOBODY {
                self.here = presence::here_after(&accepted.frame, self.here);
            } else {
                let (now, limits) = (self.now, self.limits.clone());
                let authors = self.peers.iter_mut().chain(&mut self.left);
                let mut authors = authors.filter(|it| (it.hub, it.id) == (hub, author));
                let peer = authors.next().expect("somebody said it");
                let number = self.order.len() as u64;
                peer.was_accepted(&accepted.frame, number, &limits, now);
            }
            self.here_after.push(self.here);
            self.order.push(accepted);
        }
        for hub in 0..self.hubs.len() {
            if self.hubs[hub].take_wake_of_others() {
                for (other, sleeps) in self.sleeping.iter_mut().enumerate() {
                    *sleeps |= other != hub;
                }
            }
        }
        self.note_joins();
    }

    fn note_joins(&mut self) {
        for peer in &mut self.peers {
            let session = &self.hubs[peer.hub].sessions[peer.id.slot as usize];
            if peer.joined_at.is_none()
                && let Phase::Joined(subscriber) = &session.phase
            {
                peer.joined_at = Some(subscriber.cursor);
            }
            if let Phase::Closing(closing) = &session.phase {
                let refusals = [Reason::Full, Reason::AddressFull, Reason::NameTaken];
                let came_too_late = peer.joined_at.is_none() && closing.reason == Reason::Shutdown;
                peer.refused |= refusals.contains(&closing.reason) || came_too_late;
            }
        }
    }

    fn any_peer(&mut self) -> Option<usize> {
        (!self.peers.is_empty()).then(|| self.rng.random_range(0..self.peers.len()))
    }

    fn find_peer_at(&self, hub: usize, id: ConnectionId) -> Option<usize> {
        let here = |peer: &Peer| (peer.hub, peer.id) == (hub, id);
        self.peers.iter().position(here)
    }

    fn find_peer(&mut self, hub: usize, id: ConnectionId) -> Option<&mut Peer> {
        self.find_peer_at(hub, id)
            .map(|index| &mut self.peers[index])
    }

    fn peer_mut(&mut self, hub: usize, id: ConnectionId) -> &mut Peer {
        self.find_peer(hub, id)
            .expect("only released peers are gone")
    }

    fn sum_of_counters(&self) -> Counters {
        let mut sum = Counters::default();
        self.hubs.iter().for_each(|hub| sum += *hub.counters());
        sum
    }
}

fn pick<'a, T>(rng: &mut impl Rng, from: &'a [T]) -> &'a T {
    &from[rng.random_range(0..from.len())]
}

fn choose<'a>(rng: &mut impl Rng, peers: &'a mut [Peer]) -> Option<&'a mut Peer> {
    if peers.is_empty() {
        return None;
    }
    let index = rng.random_range(0..peers.len());
    peers.get_mut(index)
}
