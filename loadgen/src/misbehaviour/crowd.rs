//! The crowd: the thread on which the misbehaving clients live.
//!
//! It turns a hundred times a second and whenever something comes. A thread of its own keeps the
//! well-behaved clients' loop as fast as it is without them, as far as there are cores.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use super::member::Member;
use super::{CHURN_STAY, Cast, Fates, Kind};
use crate::clock::{Clock, SECOND_NS, nanoseconds};
use crate::departures::Cause;
use crate::error::Error;
use crate::inbox::Identity;
use crate::plan::Plan;

const TURN: Duration = Duration::from_millis(10);
const EVENTS_MAX: usize = 1024;
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// What one client that had stopped reading may find in its socket in the end.
const AFTERMATH_BYTES_MAX: usize = 16 * 1024 * 1024;

/// When a garbage client comes back.
const RETURN_NS: u64 = SECOND_NS;

/// Clients of the crowd that may begin to connect in one turn, but for a herd.
const CONNECTS_PER_TURN: usize = 50;

/// Misbehaving clients, under way.
#[derive(Debug)]
pub(crate) struct Crowd {
    commands: Sender<Command>,
    thread: JoinHandle<Fates>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Join,
    Measure,
}

impl Crowd {
    /// A crowd that waits for [`Self::join`].
    ///
    /// # Errors
    /// When the system refuses a thread or an epoll instance.
    pub(crate) fn start(cast: Cast, target: SocketAddr, plan: &Plan) -> Result<Self, Error> {
        let (commands, inbox) = channel();
        let poll = Poll::new().map_err(Error::system("make an epoll instance"))?;
        let mut scene = Scene::new(
            cast,
            target,
            poll,
            Identity::of_bystanders(plan, rand::random()),
        );
        let thread = thread::Builder::new()
            .name("misbehaving".into())
            .spawn(move || {
                scene.play(&inbox);
                scene.fates
            })
            .map_err(Error::system("start a thread"))?;
        Ok(Self { commands, thread })
    }

    /// Lets them join.
    pub(crate) fn join(&self) {
        // A crowd that is gone will be missed when its fates are asked for.
        let _ = self.commands.send(Command::Join);
    }

    /// Tells them that the measured time begins.
    pub(crate) fn measure(&self) {
        let _ = self.commands.send(Command::Measure);
    }

    /// Ends them all, and says what had become of them.
    pub(crate) fn end(self) -> Fates {
        drop(self.commands);
        self.thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

struct Scene {
    cast: Cast,
    target: SocketAddr,
    poll: Poll,
    clock: Clock,
    identity: Identity,
    members: Slab<Member>,
    buffer: Vec<u8>,
    fates: Fates,
    /// Who is to connect, and not before when.
    entrances: Vec<(u64, Kind)>,
    numbers: u64,
    turned_ns: u64,
    joined_ns: Option<u64>,
    measured_ns: Option<u64>,
    churned: u64,
    herd_left_ns: Option<u64>,
    /// Of the herd that came back: who has heard somebody speak.
    herd_back: u32,
}

impl Scene {
    fn new(cast: Cast, target: SocketAddr, poll: Poll, identity: Identity) -> Self {
        Self {
            cast,
            target,
            poll,
            clock: Clock::start(),
            identity,
            members: Slab::new(),
            buffer: vec![0; READ_BUFFER_BYTES],
            fates: Fates::new(),
            entrances: Vec::new(),
            numbers: 0,
            turned_ns: 0,
            joined_ns: None,
            measured_ns: None,
            churned: 0,
            herd_left_ns: None,
            herd_back: 0,
        }
    }

    fn play(&mut self, commands: &Receiver<Command>) {
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
        for &(kind, count) in &self.cast.members {
            self.entrances.extend((0..count).map(|_| (now_ns, kind)));
        }
    }

    fn dispatch(&mut self, at: usize) {
        let Some(member) = self.members.get_mut(at) else {
            return;
        };
        match member.check_connected() {
            Ok(true) => self.fates.entry(member.kind).or_default().connected += 1,
            Ok(false) => {}
            Err(error) => return self.over(at, &Cause::Broken(error)),
        }
        if self.members[at].reads_at_once() {
            self.read(at, usize::MAX);
        }
    }

    fn turn(&mut self) {
        let now_ns = self.clock.now_ns();
        let turned_ns = std::mem::replace(&mut self.turned_ns, now_ns);
        let seconds = (now_ns - turned_ns) as f64 / SECOND_NS as f64;
        self.churn(now_ns);
        self.stampede(now_ns);
        self.enter(now_ns);
        self.trickle(seconds);
    }

    /// Those who come and go.
    fn churn(&mut self, now_ns: u64) {
        let Some(joined_ns) = self.joined_ns else {
            return;
        };
        let seconds = (now_ns - joined_ns) as f64 / SECOND_NS as f64;
        while (self.churned as f64) < seconds * self.cast.churn_per_second {
            self.churned += 1;
            self.entrances.push((now_ns, Kind::Churn));
        }
        let stay_ns = nanoseconds(CHURN_STAY);
        self.leave(|member| member.kind == Kind::Churn && member.began_ns + stay_ns <= now_ns);
    }

    /// The herd leaves and is back at the door in the same turn.
    fn stampede(&mut self, now_ns: u64) {
        let Some(measured_ns) = self.measured_ns else {
            return;
        };
        let due_ns = measured_ns.saturating_add(nanoseconds(self.cast.herd_at));
        if self.herd_left_ns.is_some() || due_ns > now_ns {
            return;
        }
        self.herd_left_ns = Some(now_ns);
        self.leave(|member| member.kind == Kind::Herd);
        let count = self.herd_size();
        for _ in 0..count {
            self.connect(Kind::Herd, now_ns);
        }
    }

    fn herd_size(&self) -> u32 {
        let herd = self.cast.members.iter();
        herd.filter(|(kind, _)| *kind == Kind::Herd)
            .map(|(_, count)| count)
            .sum()
    }

    fn leave(&mut self, goes: impl Fn(&Member) -> bool) {
        let leaving: Vec<usize> = self
            .members
            .iter()
            .filter(|(_, member)| goes(member))
            .map(|(at, _)| at)
            .collect();
        for at in leaving {
            let member = self.members.remove(at);
            self.fates.entry(member.kind).or_default().left += 1;
        }
    }

    fn enter(&mut self, now_ns: u64) {
        let mut places = CONNECTS_PER_TURN;
        let mut entering = Vec::new();
        self.entrances.retain(|&(from_ns, kind)| {
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

    fn connect(&mut self, kind: Kind, now_ns: u64) {
        self.numbers += 1;
        self.fates.entry(kind).or_default().attempts += 1;
        let member = Member::connect(kind, self.numbers, self.target, now_ns, &self.identity);
        if let Err(error) = member.and_then(|member| self.watch(member)) {
            let departures = &mut self.fates.entry(kind).or_default().departures;
            departures.departed(&Cause::Broken(error));
        }
    }

    fn watch(&mut self, mut member: Member) -> io::Result<()> {
        let place = self.members.vacant_entry();
        self.poll.registry().register(
            &mut member.socket,
            Token(place.key()),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        place.insert(member);
        Ok(())
    }

    /// Lets the slow ones read what they may by now.
    fn trickle(&mut self, seconds: f64) {
        let more_bytes = self.cast.slow_bytes_per_second * seconds;
        let slow: Vec<usize> = self
            .members
            .iter()
            .filter(|(_, member)| member.kind == Kind::Slow)
            .map(|(at, _)| at)
            .collect();
        for at in slow {
            let allowance = &mut self.members[at].allowance_bytes;
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

    fn read(&mut self, at: usize, limit_bytes: usize) {
        let member = &mut self.members[at];
        let had_heard = member.has_heard;
        let reading = member.read(&mut self.buffer, limit_bytes, &self.identity);
        let (kind, has_heard) = (member.kind, member.has_heard);
        let fate = self.fates.entry(kind).or_default();
        fate.received_bytes += reading.bytes;
        for notice in &reading.notices {
            fate.departures.noticed(notice);
        }
        if kind == Kind::Herd && has_heard && !had_heard {
            self.hear_herd();
        }
        if let Some(cause) = reading.end {
            self.over(at, &cause);
        }
    }

    /// One of the herd has heard somebody speak: it is back if it had left.
    fn hear_herd(&mut self) {
        let Some(left_ns) = self.herd_left_ns else {
            return;
        };
        self.herd_back += 1;
        if self.herd_back == self.herd_size() {
            let seconds = (self.clock.now_ns() - left_ns) as f64 / SECOND_NS as f64;
            let fate = self.fates.entry(Kind::Herd).or_default();
            fate.herd_back_seconds = Some(seconds);
        }
    }

    fn over(&mut self, at: usize, cause: &Cause) {
        let member = self.members.remove(at);
        let fate = self.fates.entry(member.kind).or_default();
        fate.departures.departed(cause);
        if member.kind == Kind::Garbage {
            let return_ns = self.clock.now_ns() + RETURN_NS;
            self.entrances.push((return_ns, Kind::Garbage));
        }
    }

    /// Those who did not read look what is left in their sockets: that tells who was let go of.
    fn finish(&mut self) {
        let all: Vec<usize> = self.members.iter().map(|(at, _)| at).collect();
        for at in all {
            self.read(at, AFTERMATH_BYTES_MAX);
        }
        for (_, member) in &self.members {
            self.fates.entry(member.kind).or_default().still_there += 1;
        }
    }
}
