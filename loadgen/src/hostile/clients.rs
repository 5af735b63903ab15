//! The thread on which the hostile clients live.
//!
//! It turns a hundred times a second and whenever something comes. A thread of its own keeps the
//! well-behaved clients' loop as fast as it is without them, as far as there are cores.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};
use record::{HostileKind, HostileOutcomes, Protocol};
use slab::Slab;

use super::args::{CHURN_STAY, HostilePlan};
use super::client::HostileClient;
use super::web::{self, Flood};
use crate::host::clock::{Clock, SECOND_NS, nanoseconds};
use crate::host::{SystemError, refused};
use crate::wire::codec::Publish;
use crate::wire::disconnects::{self, CloseReason};
use crate::wire::identity::Identity;
use crate::wire::outbox::payload_frame;

const TURN: Duration = Duration::from_millis(10);
const EVENTS_MAX: usize = 1024;
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// What one client that had stopped reading may read in the end.
const LAST_READ_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a flooder reads and writes before others have their turn.
const FLOOD_TURN_BYTES: usize = 256 * 1024;

/// Messages of a flooder are handed over in batches of so many bytes, or one if it is longer.
const FLOOD_BATCH_BYTES: usize = 64 * 1024;

/// When one comes back that does.
const RETURN_NS: u64 = SECOND_NS;

/// Clients that may begin to connect in one turn, but for a herd.
const CONNECTS_PER_TURN: usize = 50;

/// A number that no client of a run has.
const NOBODY: u32 = u32::MAX;

/// Hostile clients, under way.
#[derive(Debug)]
pub(crate) struct HostileClients {
    commands: Sender<Command>,
    thread: JoinHandle<HostileOutcomes>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Join,
    Measure,
}

impl HostileClients {
    /// Clients that wait for [`Self::join`]; they say hello by `identity`.
    ///
    /// # Errors
    /// When the system refuses a thread or an epoll instance.
    pub(crate) fn start(
        plan: HostilePlan,
        target: SocketAddr,
        identity: Identity,
    ) -> Result<Self, SystemError> {
        let (commands, inbox) = channel();
        let poll = Poll::new().map_err(refused("make an epoll instance"))?;
        let thread = thread::Builder::new()
            .name("hostile".into())
            .spawn(move || {
                let mut thread_loop = Loop::new(plan, target, poll, &identity);
                thread_loop.run(&inbox);
                thread_loop.outcomes
            })
            .map_err(refused("start a thread"))?;
        Ok(Self { commands, thread })
    }

    /// Lets them join.
    pub(crate) fn join(&self) {
        // A thread that has ended is noticed when its outcomes are asked for.
        let _ = self.commands.send(Command::Join);
    }

    /// Tells them that the measured time begins.
    pub(crate) fn measure(&self) {
        let _ = self.commands.send(Command::Measure);
    }

    /// Ends them all; their outcomes.
    pub(crate) fn end(self) -> HostileOutcomes {
        drop(self.commands);
        self.thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

struct Loop {
    plan: HostilePlan,
    target: SocketAddr,
    poll: Poll,
    clock: Clock,
    /// What clients speak: as those that measure do, WebSocket, or posts.
    identities: [Rc<Identity>; 3],
    clients: Slab<HostileClient>,
    buffer: Vec<u8>,
    outcomes: HostileOutcomes,
    /// Who is to connect, and when at the earliest.
    waiting: Vec<(u64, HostileKind)>,
    numbers: u64,
    turned_ns: u64,
    joined_ns: Option<u64>,
    measured_ns: Option<u64>,
    churned: u64,
    deaf_joined: u64,
    /// When burst readers read next.
    burst_ns: u64,
    /// What kinds that flood say over and over.
    floods: Vec<(HostileKind, Rc<Flood>)>,
    herd_left_ns: Option<u64>,
    /// Of the herd that came back: how many have received a message.
    herd_back: u32,
}

impl Loop {
    fn new(plan: HostilePlan, target: SocketAddr, poll: Poll, identity: &Identity) -> Self {
        let frame = payload_frame(
            identity,
            &Publish {
                client: NOBODY,
                payload: &vec![b'x'; plan.flood_bytes],
                id: None,
            },
        );
        let kinds = plan.members.iter().map(|(kind, _)| *kind);
        let floods = kinds.filter_map(|kind| match kind {
            HostileKind::Flooder => Some((kind, Flood::of(&frame, FLOOD_BATCH_BYTES))),
            kind => Some((kind, web::flood(kind, FLOOD_BATCH_BYTES)?)),
        });
        let identities = [None, Some(Protocol::WebSocket), Some(Protocol::Events)];
        Self {
            floods: floods.map(|(kind, flood)| (kind, Rc::new(flood))).collect(),
            identities: identities.map(|protocol| {
                Rc::new(Identity {
                    protocol: protocol.unwrap_or(identity.protocol),
                    ..identity.clone()
                })
            }),
            plan,
            target,
            poll,
            clock: Clock::start(),
            clients: Slab::new(),
            buffer: vec![0; READ_BUFFER_BYTES],
            outcomes: HostileOutcomes::new(),
            waiting: Vec::new(),
            numbers: 0,
            turned_ns: 0,
            joined_ns: None,
            measured_ns: None,
            churned: 0,
            deaf_joined: 0,
            burst_ns: 0,
            herd_left_ns: None,
            herd_back: 0,
        }
    }

    fn run(&mut self, commands: &Receiver<Command>) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            match commands.try_recv() {
                Ok(Command::Join) => self.join(),
                Ok(Command::Measure) => self.measured_ns = Some(self.clock.now_ns()),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => break,
            }
            // Interrupted or not, the turn goes on by the clock.
            let _ = self.poll.poll(&mut events, Some(TURN));
            for event in &events {
                self.dispatch(event.token().0);
            }
            self.turn();
        }
        self.finish();
    }

    fn join(&mut self) {
        let now_ns = self.clock.now_ns();
        self.joined_ns = Some(now_ns);
        for &(kind, count) in &self.plan.members {
            self.waiting.extend((0..count).map(|_| (now_ns, kind)));
        }
    }

    fn dispatch(&mut self, at: usize) {
        let Some(client) = self.clients.get_mut(at) else {
            return;
        };
        match client.check_connected() {
            Ok(true) => self.outcomes.entry(client.kind).or_default().connected += 1,
            Ok(false) => {}
            Err(error) => return self.disconnected(at, &CloseReason::Broken(error)),
        }
        match self.clients[at].kind {
            HostileKind::Slow
            | HostileKind::Stalled
            | HostileKind::DeafJoiner
            | HostileKind::BurstReader => {}
            HostileKind::Flooder | HostileKind::EndlessFragments | HostileKind::PingFlood => {
                self.flood(at);
            }
            _ => self.read(at, usize::MAX),
        }
    }

    fn turn(&mut self) {
        let now_ns = self.clock.now_ns();
        let turned_ns = std::mem::replace(&mut self.turned_ns, now_ns);
        let seconds = (now_ns - turned_ns) as f64 / SECOND_NS as f64;
        self.churn(now_ns);
        self.join_deaf(now_ns);
        self.herd(now_ns);
        self.enter(now_ns);
        self.read_slowly(seconds);
        self.read_in_bursts(now_ns);
        for kind in self
            .floods
            .iter()
            .map(|(kind, _)| *kind)
            .collect::<Vec<_>>()
        {
            for at in self.all(kind) {
                self.flood(at);
            }
        }
        for kind in [HostileKind::InPieces, HostileKind::SlowHead] {
            for at in self.all(kind) {
                if let Err(error) = self.clients[at].say_more(now_ns) {
                    self.failed(at, error);
                }
            }
        }
    }

    /// The places of all clients of a kind.
    fn all(&self, kind: HostileKind) -> Vec<usize> {
        let of_kind = self
            .clients
            .iter()
            .filter(|(_, client)| client.kind == kind);
        of_kind.map(|(at, _)| at).collect()
    }

    /// How many of those who keep coming are to have come by now.
    fn due(&self, now_ns: u64, per_second: f64) -> f64 {
        let since_ns = self.joined_ns.map_or(0, |joined_ns| now_ns - joined_ns);
        since_ns as f64 / SECOND_NS as f64 * per_second
    }

    /// Lets those come and go that do.
    fn churn(&mut self, now_ns: u64) {
        while (self.churned as f64) < self.due(now_ns, self.plan.churn_per_second) {
            self.churned += 1;
            self.waiting.push((now_ns, HostileKind::Churn));
        }
        let stay_ns = nanoseconds(CHURN_STAY);
        self.leave(|client| {
            client.kind == HostileKind::Churn && client.began_ns + stay_ns <= now_ns
        });
    }

    /// Lets newcomers join that never read; of too many the oldest leave.
    fn join_deaf(&mut self, now_ns: u64) {
        while (self.deaf_joined as f64) < self.due(now_ns, self.plan.deaf_per_second) {
            self.deaf_joined += 1;
            self.waiting.push((now_ns, HostileKind::DeafJoiner));
        }
        let mut deaf = self.all(HostileKind::DeafJoiner);
        let too_many = deaf.len().saturating_sub(self.plan.deaf_at_once as usize);
        deaf.sort_by_key(|&at| self.clients[at].number);
        for &at in &deaf[..too_many] {
            self.left(at);
        }
    }

    /// The herd leaves and connects again in the same turn.
    fn herd(&mut self, now_ns: u64) {
        let Some(measured_ns) = self.measured_ns else {
            return;
        };
        let due_ns = measured_ns.saturating_add(nanoseconds(self.plan.herd_at));
        if self.herd_left_ns.is_some() || due_ns > now_ns {
            return;
        }
        self.herd_left_ns = Some(now_ns);
        self.leave(|client| client.kind == HostileKind::Herd);
        for _ in 0..self.plan.count(HostileKind::Herd) {
            self.connect(HostileKind::Herd, now_ns);
        }
    }

    fn leave(&mut self, goes: impl Fn(&HostileClient) -> bool) {
        let leaving: Vec<usize> = self
            .clients
            .iter()
            .filter(|(_, client)| goes(client))
            .map(|(at, _)| at)
            .collect();
        for at in leaving {
            self.left(at);
        }
    }

    fn left(&mut self, at: usize) {
        let client = self.clients.remove(at);
        self.outcomes.entry(client.kind).or_default().left += 1;
    }

    fn enter(&mut self, now_ns: u64) {
        let mut places = CONNECTS_PER_TURN;
        let mut entering = Vec::new();
        self.waiting.retain(|&(from_ns, kind)| {
            let enters = from_ns <= now_ns && places > 0;
            if enters {
                places -= 1;
                entering.push(kind);
            }
            !enters
        });
        for kind in entering {
            self.connect(kind, now_ns);
        }
    }

    fn connect(&mut self, kind: HostileKind, now_ns: u64) {
        self.numbers += 1;
        self.outcomes.entry(kind).or_default().attempts += 1;
        let client = HostileClient::connect(
            kind,
            self.numbers,
            self.target,
            now_ns,
            self.identity_of(kind),
            self.plan.slow_bytes_per_second,
        );
        if let Err(error) = client.and_then(|client| self.watch(client)) {
            let disconnects = &mut self.outcomes.entry(kind).or_default().disconnects;
            disconnects::disconnected(disconnects, &CloseReason::Broken(error));
        }
    }

    fn identity_of(&self, kind: HostileKind) -> Rc<Identity> {
        let [own, websocket, events] = &self.identities;
        Rc::clone(match web::protocol(kind) {
            Some(Protocol::Events) => events,
            Some(_) => websocket,
            None => own,
        })
    }

    fn watch(&mut self, mut client: HostileClient) -> io::Result<()> {
        let place = self.clients.vacant_entry();
        self.poll.registry().register(
            &mut client.socket,
            Token(place.key()),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        place.insert(client);
        Ok(())
    }

    /// Lets the slow ones read what they may by now.
    fn read_slowly(&mut self, seconds: f64) {
        let more_bytes = self.plan.slow_bytes_per_second * seconds;
        for at in self.all(HostileKind::Slow) {
            let allowance = &mut self.clients[at].allowance_bytes;
            *allowance += more_bytes;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is not negative, and more than fits is read over several turns"
            )]
            let whole = *allowance as usize;
            *allowance -= whole as f64;
            self.read(at, whole);
        }
    }

    fn read_in_bursts(&mut self, now_ns: u64) {
        if now_ns < self.burst_ns {
            return;
        }
        self.burst_ns = now_ns + nanoseconds(self.plan.burst_pause);
        for at in self.all(HostileKind::BurstReader) {
            self.read(at, LAST_READ_BYTES_MAX);
        }
    }

    /// Lets one that floods write as much as the server has room for, and read what has come, unless its
    /// kind does not.
    fn flood(&mut self, at: usize) {
        let kind = self.clients[at].kind;
        if kind != HostileKind::PingFlood {
            self.read(at, FLOOD_TURN_BYTES);
        }
        let floods = self.floods.iter().find(|(of, _)| *of == kind);
        let flood = floods.map(|(_, flood)| Rc::clone(flood));
        // It may have been disconnected.
        let (Some(client), Some(flood)) = (self.clients.get_mut(at), flood) else {
            return;
        };
        let before_bytes = client.flooded_bytes;
        let written = client.flood(&flood.bytes, FLOOD_TURN_BYTES);
        let frames = |bytes| bytes / flood.frame_bytes as u64;
        let sent = frames(client.flooded_bytes) - frames(before_bytes);
        self.outcomes.entry(kind).or_default().sent_messages += sent;
        if let Err(error) = written {
            self.failed(at, error);
        }
    }

    /// A client cannot write any more; the server may have said why.
    fn failed(&mut self, at: usize, error: io::Error) {
        self.read(at, LAST_READ_BYTES_MAX);
        if self.clients.contains(at) {
            self.disconnected(at, &CloseReason::Broken(error));
        }
    }

    fn read(&mut self, at: usize, limit_bytes: usize) {
        let client = &mut self.clients[at];
        let had_heard = client.has_heard;
        let reading = client.read(&mut self.buffer, limit_bytes);
        let (kind, has_heard) = (client.kind, client.has_heard);
        let outcome = self.outcomes.entry(kind).or_default();
        outcome.received_bytes += reading.bytes;
        for notice in &reading.notices {
            disconnects::noticed(&mut outcome.disconnects, notice);
        }
        if kind == HostileKind::Herd && has_heard && !had_heard {
            self.hear_herd();
        }
        if let Some(cause) = reading.end {
            self.disconnected(at, &cause);
        }
    }

    /// One of the herd has received a message: it is back if it had left.
    fn hear_herd(&mut self) {
        let Some(left_ns) = self.herd_left_ns else {
            return;
        };
        self.herd_back += 1;
        if self.herd_back == self.plan.count(HostileKind::Herd) {
            let seconds = (self.clock.now_ns() - left_ns) as f64 / SECOND_NS as f64;
            let outcome = self.outcomes.entry(HostileKind::Herd).or_default();
            outcome.herd_back_seconds = Some(seconds);
        }
    }

    fn disconnected(&mut self, at: usize, cause: &CloseReason) {
        let client = self.clients.remove(at);
        let outcome = self.outcomes.entry(client.kind).or_default();
        disconnects::disconnected(&mut outcome.disconnects, cause);
        if returns(client.kind) {
            let return_ns = self.clock.now_ns() + RETURN_NS;
            self.waiting.push((return_ns, client.kind));
        }
    }

    /// Those who did not read read what is left in their sockets: that tells who was disconnected.
    fn finish(&mut self) {
        let all: Vec<usize> = self.clients.iter().map(|(at, _)| at).collect();
        for at in all {
            self.read(at, LAST_READ_BYTES_MAX);
        }
        for (_, client) in &self.clients {
            self.outcomes.entry(client.kind).or_default().still_there += 1;
        }
    }
}

/// Whether a client of this kind comes back when it was disconnected.
fn returns(kind: HostileKind) -> bool {
    let waits = matches!(kind, HostileKind::HalfHandshake | HostileKind::SlowHead);
    kind == HostileKind::Garbage || (web::protocol(kind).is_some() && !waits)
}
