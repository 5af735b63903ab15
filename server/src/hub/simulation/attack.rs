//! A room under attack, in virtual time: what the healthy feel, whatever up to as many attackers do.
//!
//! A driver serves the hubs every few milliseconds. The healthy say something now and then and read at
//! once. Attackers read at any steady rate or none, in bursts, flood with messages of any size, come
//! as newcomers to the history and read nothing of it, say much and leave; now and then the event loops
//! stand still. What must hold (invariants 6 and 7): no healthy peer is sent away, what one says
//! reaches the others within [`DELAY_MAX`] of time in which the loops ran, and memory keeps its bounds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::{Decoder, frame};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::*;
use super::pick;
use super::web::{self, Speech, Stream, Told};

/// Seeds that an ordinary test run tries.
const SEEDS: u64 = 12;

/// Invariant 7.
const DELAY_MAX: Duration = Duration::from_millis(250);

/// The time between two turns of a driver.
const TURN_MS: u64 = 5;
const TURN: Duration = Duration::from_millis(TURN_MS);

/// How long an attack goes on.
const TURNS: u32 = 800;

/// What a driver reads of one connection in a turn.
const READ_BYTES: usize = 32 * 1024;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Says a little, reads everything at once.
    Healthy,
    /// Gives its name at the last moment, and then behaves.
    LateName,
    /// Reads so many bytes a second.
    Slow { bytes_per_second: u32 },
    /// Reads nothing for some turns, then everything.
    Bursts { turns: u32 },
    /// Always has another message of this size to say; reads everything, or nothing.
    Flooder { bytes: usize, reads: bool },
    /// Says so many messages and leaves.
    Ghost { messages: usize },
}

struct Client {
    kind: Kind,
    hub: usize,
    id: ConnectionId,
    since: Duration,
    unsent: VecDeque<u8>,
    paused: bool,
    in_flight: Option<Bytes>,
    /// How much it takes until the next turn, in thousandths of a byte.
    may_take: u64,
    decoder: Decoder,
    is_name: bool,
    /// Of one that speaks WebSocket: what it is told.
    web: Option<Stream>,
}

struct Attack {
    rng: StdRng,
    limits: Limits,
    hubs: Vec<Hub>,
    now: Instant,
    /// How long the loops have run.
    ran: Duration,
    turn: u32,
    clients: Vec<Client>,
    attackers: Vec<Kind>,
    delay_max: Duration,
    heard: u64,
}

#[test]
fn the_healthy_are_served_whatever_attackers_do() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let seeds = match number("URINGCAST_SEED") {
        Some(seed) => seed..seed + 1,
        // These worlds take as long as twenty of the other kind.
        None => 0..number("URINGCAST_SEEDS").map_or(SEEDS, |seeds: u64| seeds.div_ceil(20)),
    };
    let mut delay_max = Duration::ZERO;
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| Attack::new(seed).run());
        let Ok(delay) = outcome else {
            panic!("repeat with: URINGCAST_SEED={seed} cargo test -p server whatever_attackers_do");
        };
        delay_max = delay_max.max(delay);
    }
    println!("the longest delay of all: {delay_max:?}");
}

impl Attack {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let log_bytes_max = *pick(&mut rng, &[128, 512, 4096]) << 10;
        let limits = Limits {
            message_bytes_max: 8192,
            lag_bytes_max: *pick(&mut rng, &[None, Some(log_bytes_max as u64 / 2)]),
            messages_per_second_max: *pick(&mut rng, &[None, Some(500)]),
            slow_policy: *pick(&mut rng, &[SlowPolicy::Disconnect, SlowPolicy::Skip]),
            history_messages: *pick(&mut rng, &[0, 0, 1000]),
            unique_names: rng.random_bool(0.3),
            input_bytes_max: *pick(&mut rng, &[64 << 10, 1 << 20]),
            lead_bytes_max: 16 << 10,
            ..Limits::default()
        };
        let first = Hub::new(limits.clone(), Log::new(log_bytes_max));
        let others = (1..rng.random_range(1..=2)).map(|_| first.beside());
        let mut hubs: Vec<Hub> = others.collect();
        hubs.insert(0, first);
        let healthy = rng.random_range(2..=6);
        let mut attackers: Vec<Kind> = (0..rng.random_range(1..=healthy))
            .map(|_| Self::draw(&mut rng))
            .collect();
        // Those who read do not count as attackers among the receivers.
        for _ in 0..rng.random_range(0..3) {
            let bytes = *pick(&mut rng, &[0, 1000, 8192]);
            attackers.push(Kind::Flooder { bytes, reads: true });
        }
        let mut attack = Self {
            rng,
            limits,
            hubs,
            now: Instant::now(),
            ran: Duration::ZERO,
            turn: 0,
            clients: Vec::new(),
            attackers: attackers.clone(),
            delay_max: Duration::ZERO,
            heard: 0,
        };
        (0..healthy).for_each(|_| attack.connect(Kind::Healthy));
        attackers.into_iter().for_each(|kind| attack.connect(kind));
        attack
    }

    fn draw(rng: &mut StdRng) -> Kind {
        match rng.random_range(0..5) {
            0 => Kind::Slow {
                bytes_per_second: *pick(rng, &[0, 1, 1000, 60_000, 250_000]),
            },
            1 => Kind::Bursts {
                turns: rng.random_range(1..400),
            },
            2 => Kind::Flooder {
                bytes: *pick(rng, &[0, 1000, 8192]),
                reads: false,
            },
            3 => Kind::Ghost {
                messages: rng.random_range(1..2000),
            },
            _ => Kind::Slow {
                bytes_per_second: 0,
            },
        }
    }

    fn connect(&mut self, kind: Kind) {
        let hub = self.rng.random_range(0..self.hubs.len());
        let id = self.hubs[hub].accept(([127, 0, 0, 1], 1).into(), self.now);
        let mut client = Client {
            kind,
            hub,
            id,
            since: self.ran,
            unsent: VecDeque::new(),
            paused: false,
            in_flight: None,
            may_take: 0,
            decoder: Decoder::new(10_000),
            is_name: true,
            web: self.rng.random_bool(0.4).then(Stream::default),
        };
        if kind != Kind::LateName {
            client.say_name(&mut self.rng);
        }
        self.clients.push(client);
    }

    fn run(mut self) -> Duration {
        for turn in 0..TURNS {
            self.turn = turn;
            self.now += TURN;
            self.ran += TURN;
            if self.rng.random_bool(0.001) {
                // Nobody's fault, and the kernel has what came meanwhile.
                self.now += Duration::from_secs(self.rng.random_range(1..100));
            }
            self.clients_say_something();
            self.serve();
            self.attackers_come_again();
            self.check();
        }
        self.everything_drains();
        assert!(self.heard > 100, "the healthy hear each other");
        self.delay_max
    }

    fn clients_say_something(&mut self) {
        let stamp = self.ran.as_millis();
        for client in &mut self.clients {
            match client.kind {
                Kind::Healthy if self.rng.random_bool(0.1) => {
                    let said = client.encoded(&format!("T{stamp}"), &mut self.rng);
                    client.unsent.extend(said);
                }
                Kind::LateName if self.ran - client.since == Duration::from_secs(2) => {
                    client.say_name(&mut self.rng);
                    client.kind = Kind::Healthy;
                    client.since = self.ran;
                }
                Kind::Flooder { bytes, .. } => {
                    let said = client.encoded(&"x".repeat(bytes), &mut self.rng);
                    while client.unsent.len() < READ_BYTES {
                        client.unsent.extend(&said);
                    }
                }
                _ => {}
            }
        }
    }

    /// A turn of each driver: what came is read, deadlines are looked at, what is due is sent.
    fn serve(&mut self) {
        for hub in 0..self.hubs.len() {
            self.read_all(hub);
            self.hubs[hub].handle_timeout(self.now);
            self.send_all(hub);
            self.close_and_resume(hub);
            if self.hubs[hub].take_wake_of_others() {
                for other in (0..self.hubs.len()).filter(|&other| other != hub) {
                    self.hubs[other].wake(self.now);
                    self.send_all(other);
                }
            }
        }
    }

    fn read_all(&mut self, hub: usize) {
        for client in self.clients.iter_mut().filter(|it| it.hub == hub) {
            if client.paused || client.unsent.is_empty() {
                continue;
            }
            let most = self.hubs[hub].read_bytes_max().min(READ_BYTES);
            let bytes = most.min(client.unsent.len());
            let bytes: Vec<u8> = client.unsent.drain(..bytes).collect();
            let reading = self.hubs[hub].receive(client.id, &bytes, self.now);
            client.paused = reading == Reading::Pause;
        }
    }

    fn send_all(&mut self, hub: usize) {
        for client in self.clients.iter_mut().filter(|it| it.hub == hub) {
            client.take_what_it_may(self.turn);
            client.complete(&mut self.hubs[hub], self.now);
        }
        while let Some(transmit) = self.hubs[hub].poll_transmit(self.now) {
            let of_it = |client: &&mut Client| client.hub == hub && client.id == transmit.id;
            let client = self.clients.iter_mut().find(of_it);
            let client = client.expect("only who is there is sent to");
            client.in_flight = Some(transmit.bytes);
            let stamps = client.complete(&mut self.hubs[hub], self.now);
            for stamp in stamps {
                let delay = self.ran.saturating_sub(Duration::from_millis(stamp));
                self.judge(delay);
                self.delay_max = self.delay_max.max(delay);
                self.heard += 1;
            }
        }
    }

    fn judge(&self, delay: Duration) {
        assert!(
            delay <= DELAY_MAX,
            "a healthy one waited {delay:?}, turn {}: {:?}, {:?}",
            self.turn,
            self.attackers,
            self.limits
        );
    }

    fn close_and_resume(&mut self, hub: usize) {
        while let Some(close) = self.hubs[hub].poll_close() {
            let (Close::ShutdownWrite(id) | Close::Release(id)) = close;
            let Some(index) = self.find(hub, id) else {
                continue;
            };
            let kind = self.clients[index].kind;
            let may_go = !matches!(kind, Kind::Healthy | Kind::LateName);
            assert!(
                may_go,
                "{kind:?} is sent away: {:?}",
                self.hubs[hub].last_ended().next()
            );
            if let Close::Release(id) = close {
                self.clients.remove(index);
                self.hubs[hub].closed(id);
            }
        }
        while let Some(id) = self.hubs[hub].poll_resume() {
            if let Some(index) = self.find(hub, id) {
                self.clients[index].paused = false;
            }
        }
    }

    fn find(&self, hub: usize, id: ConnectionId) -> Option<usize> {
        let it = |client: &Client| (client.hub, client.id) == (hub, id);
        self.clients.iter().position(it)
    }

    /// Ghosts leave when all is said; whoever was sent away comes again. Now and then a healthy newcomer.
    fn attackers_come_again(&mut self) {
        for index in 0..self.clients.len() {
            let client = &mut self.clients[index];
            if let Kind::Ghost { .. } = client.kind
                && (client.unsent.is_empty() || client.paused)
            {
                client.unsent.clear();
                let (hub, id) = (client.hub, client.id);
                self.hubs[hub].disconnected(id, Disconnect::EndOfStream, self.now);
            }
        }
        let missing: Vec<Kind> = {
            let is_there = |kind: &Kind| self.clients.iter().any(|client| client.kind == *kind);
            let gone = self.attackers.iter().filter(|kind| !is_there(kind));
            gone.copied().collect()
        };
        for kind in missing {
            if self.rng.random_bool(0.05) {
                self.connect(kind);
            }
        }
        if self.turn == 10 {
            self.connect(Kind::LateName);
        }
    }

    /// Invariant 6.
    fn check(&self) {
        let log = self.hubs[0].log();
        assert!(log.bytes() <= log.bytes_max());
        // What one thread reads may have to wait for what another lets go.
        let kept = self.hubs[0].input_budget.bytes().saturating_sub(READ_BYTES);
        assert!(
            kept <= self.limits.input_bytes_max,
            "{kept} bytes of input are kept"
        );
    }

    /// The attackers leave; what is owed arrives.
    fn everything_drains(&mut self) {
        self.attackers.clear();
        for index in 0..self.clients.len() {
            let client = &self.clients[index];
            if client.kind != Kind::Healthy {
                let (hub, id) = (client.hub, client.id);
                let how = Disconnect::Error("gone".into());
                self.hubs[hub].disconnected(id, how, self.now);
            }
        }
        for _ in 0..2000 {
            self.now += TURN;
            self.ran += TURN;
            self.serve();
        }
        for hub in &self.hubs {
            assert_eq!(hub.counters().pending(), 0);
            assert_eq!(hub.sessions.len() as u64, hub.counters().connections);
        }
        let log = self.hubs[0].log();
        let most = match self.limits.history_messages {
            0 => 0,
            // And the encodings of it.
            _ => log.bytes_max() / 4 * 3,
        };
        assert!(log.bytes() <= most);
    }
}

impl Client {
    fn say_name(&mut self, rng: &mut StdRng) {
        let (slot, number) = (self.id.slot, self.id.generation);
        let name = match self.kind {
            Kind::Ghost { .. } => "ghost".to_owned(),
            _ => format!("{}.{slot}.{number}", self.hub),
        };
        match self.web {
            None => self.unsent.extend(&frame::encode(name.as_bytes())),
            Some(_) => {
                let join = web::join(Speech::WebSocket, &name, None, rng);
                self.unsent.extend(join);
            }
        }
        if let Kind::Ghost { messages } = self.kind {
            let said = self.encoded("", rng);
            self.unsent.extend(said.repeat(messages));
        }
    }

    /// A message as it says it.
    fn encoded(&self, text: &str, rng: &mut StdRng) -> Vec<u8> {
        match self.web {
            None => frame::encode(text.as_bytes()).into(),
            Some(_) => web::message(text, None, 0, rng).0,
        }
    }

    /// The texts that came whole with `bytes`.
    fn hear(&mut self, mut bytes: &[u8]) -> Vec<String> {
        let mut texts = Vec::new();
        let Some(web) = &mut self.web else {
            while let Some(payload) = self.decoder.next(&mut bytes).expect("whole frames") {
                if !self.is_name {
                    texts.push(String::from_utf8(payload.to_vec()).unwrap());
                }
                self.is_name = !self.is_name;
            }
            return texts;
        };
        web.bytes.extend_from_slice(bytes);
        while let Some(told) = web.next() {
            if let Told::Object { object, .. } = told
                && let Some(text) = object["text"].as_str()
            {
                texts.push(text.to_owned());
            }
        }
        texts
    }

    /// How much it takes of what it is sent until the next turn.
    fn take_what_it_may(&mut self, turn: u32) {
        match self.kind {
            Kind::Slow { bytes_per_second } => {
                self.may_take += u64::from(bytes_per_second) * TURN_MS;
            }
            Kind::Bursts { turns } if turn % (turns + 10) < turns => self.may_take = 0,
            Kind::Flooder { reads: false, .. } => {}
            _ => self.may_take = u64::MAX,
        }
    }

    /// The kernel takes what it may of what is on its way; returns the stamps of what the healthy heard.
    fn complete(&mut self, hub: &mut Hub, now: Instant) -> Vec<u64> {
        let mut stamps = Vec::new();
        let Some(bytes) = &self.in_flight else {
            return stamps;
        };
        if self.may_take < 1000 {
            return stamps;
        }
        let most = usize::try_from(self.may_take / 1000).unwrap_or(usize::MAX);
        let sent = bytes.len().min(most);
        self.may_take -= 1000 * sent as u64;
        let bytes = self.in_flight.take().expect("it is on its way");
        if self.kind == Kind::Healthy {
            for text in self.hear(&bytes[..sent]) {
                let stamp = text.strip_prefix('T').map(|it| it.parse::<u64>().unwrap());
                // What it hears of the history was not said to it.
                stamps.extend(stamp.filter(|&it| Duration::from_millis(it) >= self.since));
            }
        }
        hub.transmitted(self.id, sent, now);
        stamps
    }
}
