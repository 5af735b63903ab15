//! What has to happen once the faults have stopped, while the server goes on serving: newcomers get in,
//! everyone who is there is heard by everyone else, and those who are gone are closed.
//!
//! All that the faults left behind is given a moment to settle. Then some come anew and everyone speaks,
//! twice: the first message shows who has joined, and the second has to reach all of them. An operation that
//! the driver has forgotten to ask for again shows here as somebody who is not heard or hears nothing.
//! Nobody ends a connection meanwhile, and draining begins afterwards, for it would hide it.

use std::time::{Duration, Instant};

use super::peer::Peer;
use super::world::{File, World};

/// For what was put off: longer than the driver pauses with anything, and enough to hear all those who
/// were not heard because of the faults.
const SETTLING: Duration = Duration::from_secs(1);

/// Time in which everyone has to be heard: the handshake timeout, the write deadline and the linger time
/// of those who go, and what those who are throttled have said.
const WITHIN: Duration = Duration::from_secs(30);

/// Steps in which everyone has to be heard.
const STEPS: u32 = 20_000;

/// Those who come, beside some that never give their names.
const NEWCOMERS: usize = 2;

#[derive(Debug)]
pub(super) struct Liveness {
    part: Part,
    /// On a clock that stands still while the driver does not run.
    since: Instant,
    steps: u32,
    /// Those who have to be heard, and to hear.
    live: Vec<File>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Settling,
    /// Everyone has spoken, and has to show that it has joined.
    Joining,
    /// Everyone has spoken again, and has to be heard by everyone else.
    Hearing,
}

impl Liveness {
    /// From the moment on at which the faults stop.
    pub(super) fn begin(now: Instant) -> Self {
        Self {
            part: Part::Settling,
            since: now,
            steps: 0,
            live: Vec::new(),
        }
    }

    /// Goes on by a step; says whether all that had to happen has.
    ///
    /// # Panics
    /// When it has not in time.
    pub(super) fn step(&mut self, world: &mut World) -> bool {
        self.steps += 1;
        let passed = world.now - world.lost - self.since;
        if self.part == Part::Settling {
            if passed >= SETTLING {
                self.some_come(world);
                self.everyone_speaks(world, Part::Joining);
            }
            return false;
        }
        let Some(missing) = self.missing(world) else {
            if self.part == Part::Joining {
                self.everyone_speaks(world, Part::Hearing);
                return false;
            }
            world.tally.live += self.live.len() as u64;
            return true;
        };
        let in_time = passed < SETTLING + WITHIN && self.steps < STEPS;
        assert!(
            in_time,
            "{missing}, {passed:?} and {} steps after the faults",
            self.steps
        );
        false
    }

    fn some_come(&mut self, world: &mut World) {
        let mut named = 0;
        while named < NEWCOMERS {
            let file = world.peer_comes();
            named += usize::from(world.peers[file].is_live());
        }
        let files = 0..world.peers.len();
        self.live = files.filter(|file| world.peers[*file].is_live()).collect();
    }

    fn everyone_speaks(&mut self, world: &mut World, part: Part) {
        self.part = part;
        for file in &self.live {
            world.peers[*file].speak(0);
        }
    }

    /// What has not happened yet.
    fn missing(&self, world: &World) -> Option<String> {
        let peers = || self.live.iter().map(|file| &world.peers[*file]);
        if let Some(gone) = peers().find(|peer| !peer.is_live()) {
            return Some(format!("{gone:?} was sent away"));
        }
        if self.part == Part::Joining {
            // The last that joins is heard by all others, so each of them hears something.
            let is_heard = |it: &Peer| peers().any(|other| other.has_heard(it) > 0);
            let mut quiet = peers().filter(|peer| peer.hears_nobody() && !is_heard(peer));
            return quiet.next().map(|peer| format!("{peer:?} has not joined"));
        }
        for author in peers() {
            let deaf = |peer: &&Peer| peer.has_not_all_of(author);
            if let Some(deaf) = peers().find(deaf) {
                return Some(format!("{deaf:?} has not heard all of {author:?}"));
            }
        }
        // All others are gone.
        (world.descriptors.len() > self.live.len()).then(|| {
            let open = world.descriptors.values();
            let mut gone = open.filter(|file| !self.live.contains(file));
            format!(
                "{:?} is not closed",
                gone.next().map(|it| &world.peers[*it])
            )
        })
    }
}
