//! The state of a simulated kernel: descriptors, files, operations in flight, and the peers beyond;
//! and what moves it on by a step.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::{RngExt, rngs::StdRng};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::Shutdown;

use super::kernel::SimulatedBuffers;
use super::liveness::Liveness;
use super::odds::Odds;
use super::peer::Peer;
use crate::control::Control;
use crate::driver::accepting::ACCEPT_PAUSE;
use crate::driver::uring::operation::{Action, Token};
use crate::driver::uring::queue::Wait;

/// Steps in which everything has to end after the faults.
const STEPS_TO_END: u32 = 200_000;

/// A step of time when nothing happens.
const A_WHILE: Duration = Duration::from_secs(1);

/// The lowest number of a descriptor.
pub(super) const FIRST: i32 = 3;

/// Index of a peer, and of the file that is the server's end of its connection.
pub(super) type File = usize;

#[derive(Debug)]
pub(super) struct World {
    pub(super) rng: StdRng,
    pub(super) odds: Odds,
    control: Arc<Control>,
    pub(super) now: Instant,
    step: u32,
    /// The driver comes back from a freeze: nothing of what could complete has.
    pub(super) frozen: bool,
    /// Time for which the driver did not run.
    pub(super) lost: Duration,
    course: Course,
    /// Every peer that ever came; those who wait to be accepted are in `waiting`.
    pub(super) peers: Vec<Peer>,
    pub(super) waiting: VecDeque<File>,
    pub(super) listening: bool,
    /// Since when the driver has not asked for newcomers.
    not_accepting_since: Option<Instant>,
    /// Open descriptors; the lowest free one is used next, as in a process.
    pub(super) descriptors: BTreeMap<i32, File>,
    /// The ring's table of files.
    pub(super) places: BTreeMap<u32, File>,
    pub(super) in_flight: Vec<InFlight>,
    /// Operations that were submitted in this turn.
    pub(super) submitted: Vec<Token>,
    pub(super) completions: VecDeque<Completed>,
    pub(super) buffers: SimulatedBuffers,
    /// Where held bytes begin; as often as they are held.
    pub(super) held: Vec<*const u8>,
    /// Operations whose cancel came too late: they end before long.
    pub(super) late: Vec<Token>,
    /// Files whose both directions the driver has shut.
    pub(super) shut: BTreeSet<File>,
    /// Tokens of operations on files that are open.
    pub(super) used: BTreeMap<File, BTreeSet<u64>>,
    /// Tokens of operations on files that are closed.
    pub(super) stale: Vec<Token>,
    pub(super) tally: Tally,
}

/// Where a world stands in its course.
#[derive(Debug)]
enum Course {
    Faulty,
    /// The faults have stopped, and the server goes on serving, in some worlds.
    Healed(Liveness),
    /// The server has been told to end.
    Ending,
}

/// An operation that was submitted and has not ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct InFlight {
    pub(super) token: Token,
    pub(super) action: Action,
    /// What it works on, found when it was submitted, like the kernel does.
    pub(super) file: Option<File>,
    /// It has to end without doing anything more.
    pub(super) cancelled: bool,
}

/// What the kernel says of an operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Completed {
    pub(super) token: Token,
    pub(super) result: Result<u32, Errno>,
    pub(super) buffer: Option<u16>,
    pub(super) goes_on: bool,
}

/// How often what happened.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) steps: u64,
    pub(super) completions: u64,
    pub(super) closed: u64,
    pub(super) out_of_descriptors: u64,
    pub(super) out_of_buffers: u64,
    /// Newcomers that were told that there is no descriptor for them.
    pub(super) refused: u64,
    pub(super) out_of_memory: u64,
    pub(super) late_cancels: u64,
    pub(super) freezes: u64,
    pub(super) stale: u64,
    pub(super) released_while_in_flight: u64,
    /// Those who were heard by everyone else after the faults.
    pub(super) live: u64,
}

impl World {
    pub(super) fn new(rng: StdRng, odds: Odds, control: Arc<Control>) -> Self {
        Self {
            buffers: SimulatedBuffers::new(odds.buffers),
            rng,
            odds,
            control,
            now: Instant::now(),
            step: 0,
            frozen: false,
            lost: Duration::ZERO,
            course: Course::Faulty,
            peers: Vec::new(),
            waiting: VecDeque::new(),
            listening: true,
            not_accepting_since: None,
            descriptors: BTreeMap::new(),
            places: BTreeMap::new(),
            in_flight: Vec::new(),
            submitted: Vec::new(),
            completions: VecDeque::new(),
            held: Vec::new(),
            late: Vec::new(),
            shut: BTreeSet::new(),
            used: BTreeMap::new(),
            stale: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// What happens while the driver is in the kernel.
    pub(super) fn enter(&mut self, wait: Wait) {
        self.step += 1;
        self.tally.steps += 1;
        self.check_that_newcomers_are_seen(wait);
        if std::mem::take(&mut self.frozen) {
            return self.complete_all();
        }
        self.take_course();
        self.peers_act();
        if self.chance(self.odds.freezes) {
            return self.freeze();
        }
        for token in std::mem::take(&mut self.submitted) {
            if self.odds.at_once {
                self.try_complete(token);
            }
        }
        self.complete_some(self.odds.completes);
        self.now += Duration::from_micros(self.rng.random_range(0..2000));
        if let Wait::UpTo(limit) = wait
            && self.completions.is_empty()
        {
            self.sleep(limit);
        }
    }

    /// The driver does not run for a while, in which the peers do. When it comes back, nothing has
    /// completed yet.
    fn freeze(&mut self) {
        self.tally.freezes += 1;
        for _ in 0..self.rng.random_range(1..4) {
            self.now += 4 * A_WHILE;
            self.lost += 4 * A_WHILE;
            self.peers_act();
        }
        self.not_accepting_since = None;
        self.frozen = true;
    }

    /// Completes whatever can, again and again.
    fn complete_all(&mut self) {
        loop {
            let before = self.completions.len();
            self.complete_some(1.0);
            // The waker stays readable until the driver clears it.
            let mut new = self.completions.iter().skip(before);
            if new.all(|it| it.token == Token::Waker) {
                return;
            }
        }
    }

    /// Who listens has asked for newcomers, or does so before the pause is over: nobody else would wake it.
    fn check_that_newcomers_are_seen(&mut self, wait: Wait) {
        let accepts = self.in_flight.iter().any(|it| it.token == Token::Accept);
        if accepts || !self.listening {
            self.not_accepting_since = None;
            return;
        }
        let since = *self.not_accepting_since.get_or_insert(self.now);
        let until = match wait {
            Wait::No => Some(self.now),
            Wait::UpTo(limit) => limit.map(|limit| self.now + limit),
        };
        assert!(
            until.is_some_and(|until| until <= since + ACCEPT_PAUSE),
            "it accepts nobody for {:?}, and waits for {wait:?}",
            self.now - since
        );
    }

    /// Heals the world when its time has come, and ends it when it has recovered.
    fn take_course(&mut self) {
        self.course = match std::mem::replace(&mut self.course, Course::Ending) {
            Course::Faulty if self.step >= self.odds.steps => {
                self.odds.heal();
                if self.odds.goes_on {
                    Course::Healed(Liveness::begin(self.now - self.lost))
                } else {
                    self.end_begins()
                }
            }
            Course::Faulty => Course::Faulty,
            Course::Healed(mut liveness) => {
                if liveness.step(self) {
                    self.end_begins()
                } else {
                    Course::Healed(liveness)
                }
            }
            Course::Ending => {
                let ends = self.step < STEPS_TO_END;
                assert!(ends, "it does not end: {:?}", self.in_flight);
                Course::Ending
            }
        }
    }

    fn end_begins(&mut self) -> Course {
        self.step = 0;
        self.control.advance(self.odds.last);
        Course::Ending
    }

    fn is_healed(&self) -> bool {
        !matches!(self.course, Course::Faulty)
    }

    /// Nothing has completed: whatever can, does; else the time passes.
    fn sleep(&mut self, limit: Option<Duration>) {
        if self.rng.random_bool(0.5) || self.is_healed() {
            self.complete_some(1.0);
        }
        if !self.completions.is_empty() {
            return;
        }
        match (limit, &self.course) {
            (None, Course::Ending) => panic!("it waits for ever: {:?}", self.in_flight),
            (_, Course::Healed(_)) => self.sleep_undisturbed(limit),
            (Some(limit), _) => self.now += limit,
            // A wait may end early: by a signal, for instance.
            (None, _) => self.now += A_WHILE,
        }
    }

    /// Nothing wakes the driver but what it asked for. Who waits for nobody is woken by nobody.
    fn sleep_undisturbed(&mut self, limit: Option<Duration>) {
        let until = limit.map(|limit| self.now + limit);
        while self.completions.is_empty() && until.is_none_or(|until| self.now < until) {
            let next = self.now + A_WHILE;
            self.now = until.map_or(next, |until| until.min(next));
            self.take_course();
            self.peers_act();
            self.complete_some(1.0);
        }
    }

    /// Whether a descriptor is one of those that no connection may keep.
    pub(super) fn is_spare(&self, descriptor: i32) -> bool {
        usize::try_from(descriptor - FIRST).is_ok_and(|place| place >= self.odds.descriptors_max)
    }

    fn peers_act(&mut self) {
        if self.listening && self.chance(self.odds.comes) {
            self.peer_comes();
        }
        let healed = self.is_healed();
        for file in 0..self.peers.len() {
            if self.peers[file].is_gone() {
                continue;
            }
            if self.peers[file].can_speak() && self.chance(self.odds.says) {
                let padding = self.rng.random_range(0..280);
                self.peers[file].speak(padding);
            }
            let untaken = self.peers[file].untaken();
            if untaken > 0 && self.chance(self.odds.takes) {
                let most = if healed { untaken } else { 1 };
                let bytes = self.rng.random_range(most..=untaken);
                self.peers[file].take(bytes);
            }
            if self.chance(self.odds.errs) {
                self.peers[file].err();
            }
            let has_all = self.peers[file].server_ended && self.peers[file].untaken() == 0;
            if (healed && has_all) || self.chance(self.odds.leaves) {
                self.peers[file].ended = true;
            }
            if self.chance(self.odds.resets) {
                self.peers[file].broken = true;
            }
        }
    }

    /// A peer connects, and waits to be accepted.
    pub(super) fn peer_comes(&mut self) -> File {
        let file = self.peers.len();
        self.peers.push(Peer::new(file));
        self.waiting.push_back(file);
        file
    }

    /// Completes each operation that can, with these odds, in any order.
    pub(super) fn complete_some(&mut self, odds: f64) {
        let mut tokens: Vec<Token> = self.in_flight.iter().map(|it| it.token).collect();
        while !tokens.is_empty() {
            let token = tokens.swap_remove(self.rng.random_range(0..tokens.len()));
            if self.chance(odds) {
                self.try_complete(token);
            }
        }
        if self.chance(self.odds.stale) {
            self.complete_stale();
        }
    }

    pub(super) fn push_completion(&mut self, completion: Completed) {
        self.tally.completions += 1;
        self.completions.push_back(completion);
    }

    pub(super) fn is_awake(&self) -> bool {
        let waker = self.control.waker(0);
        let mut watched = [PollFd::new(&waker, PollFlags::IN)];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut watched, Some(&at_once)).is_ok_and(|ready| ready > 0)
    }

    pub(super) fn chance(&mut self, odds: f64) -> bool {
        odds > 0.0 && self.rng.random_bool(odds.min(1.0))
    }

    /// After the driver is gone: nothing may be left of its connections.
    pub(super) fn end(&mut self) -> Tally {
        assert_eq!(self.descriptors.len(), 0, "descriptors are open");
        assert_eq!(self.places.len(), 0, "files are in the table");
        assert_eq!(self.held.len(), 0, "bytes are held");
        // A stale completion may stand in the queue still, with a buffer.
        let unread = self.completions.iter().filter_map(|it| it.buffer);
        self.buffers.assert_all_back(unread.count());
        let of_a_connection = |it: &&InFlight| it.file.is_some();
        assert_eq!(
            self.in_flight
                .iter()
                .find(of_a_connection)
                .map(|it| it.token),
            None
        );
        self.tally
    }

    /// Ends one direction of a connection, or both.
    pub(super) fn shut(&mut self, file: File, how: Shutdown) {
        self.peers[file].server_ended = true;
        if how == Shutdown::Both && self.shut.insert(file) {
            let in_flight = self.in_flight.iter().any(|it| it.file == Some(file));
            self.tally.released_while_in_flight += u64::from(in_flight);
        }
    }

    /// A descriptor is closed, which nothing may use any more.
    pub(super) fn close(&mut self, descriptor: i32, file: File) {
        let user = self.in_flight.iter().find(|it| it.file == Some(file));
        let user = user.map(|it| it.token);
        assert_eq!(user, None, "closed while it is in flight");
        let in_table = self.places.values().any(|placed| *placed == file);
        assert!(!in_table, "closed while it is in the table of files");
        let open = self.descriptors.remove(&descriptor);
        assert_eq!(open, Some(file), "closed twice");
        self.peers[file].server_ended = true;
        self.tally.closed += 1;
        let tokens = self.used.remove(&file).unwrap_or_default();
        self.stale.extend(tokens.into_iter().map(Token::from_bits));
    }

    /// Bytes are let go, which no send may read from any more.
    pub(super) fn let_go(&mut self, bytes: *const u8) {
        let place = self.held.iter().position(|held| *held == bytes);
        self.held.swap_remove(place.expect("they were held"));
        self.assert_held();
    }

    /// The driver frees the buffers, which nothing may write to any more.
    pub(super) fn free_buffers(&mut self) {
        let receives = |it: &&InFlight| matches!(it.token, Token::Receive(_));
        let receive = self.in_flight.iter().find(receives).map(|it| it.token);
        assert_eq!(receive, None, "the buffers are freed while it is in flight");
    }
}

impl Tally {
    /// All that can happen did.
    pub(super) fn assert_eventful(&self) {
        let counts = [
            self.out_of_descriptors,
            self.out_of_buffers,
            self.refused,
            self.out_of_memory,
            self.late_cancels,
            self.freezes,
            self.stale,
            self.released_while_in_flight,
            self.live,
        ];
        assert!(counts.iter().all(|count| *count > 100), "{self:?}");
        assert!(self.closed > 1000, "{self:?}");
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.steps += other.steps;
        self.completions += other.completions;
        self.closed += other.closed;
        self.out_of_descriptors += other.out_of_descriptors;
        self.out_of_buffers += other.out_of_buffers;
        self.refused += other.refused;
        self.out_of_memory += other.out_of_memory;
        self.late_cancels += other.late_cancels;
        self.freezes += other.freezes;
        self.stale += other.stale;
        self.released_while_in_flight += other.released_while_in_flight;
        self.live += other.live;
    }
}
