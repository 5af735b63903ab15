//! Presence: joins and leaves told to everyone who has joined, as messages of nobody in the log.
//!
//! A notice takes its place in the one order like any message, so everyone learns of a join before
//! what the newcomer says. A newcomer is first told who is there, in a notice of its own. A hub tells
//! of [`NAMED_MAX`] in a [`WINDOW`] by name; of a herd, or while the log has no room, it tells the
//! numbers once the window is over: what that costs is bounded, however many come and go.
//! What always holds: the number of those who are there, as told, changes with each notice as the
//! notice says, for the roster that all hubs share is changed under the lock under which they tell.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::presence::Presence as Notice;
use protocol::{SERVER_NAME, frame};

use super::Hub;

/// How many joins and leaves a hub tells by name in a window.
const NAMED_MAX: u32 = 10;

/// Joins and leaves that are not told by name are told as numbers after so long.
const WINDOW: Duration = Duration::from_secs(1);

/// How much a newcomer is told about who is there, in bytes of names.
const LIST_BYTES_MAX: usize = 1024;

/// Who is there, as far as it was told; names may occur several times.
#[derive(Debug, Default)]
pub(super) struct Roster {
    names: BTreeMap<Box<str>, u64>,
    here: u64,
}

/// What one hub has told, and has still to tell.
#[derive(Debug)]
pub(super) struct Presence {
    roster: Arc<Mutex<Roster>>,
    window: Option<Instant>,
    named: u32,
    /// Not told yet, in their order.
    untold: VecDeque<Change>,
}

#[derive(Debug)]
pub(super) enum Change {
    Joined(Box<str>),
    Left(Box<str>),
}

impl Presence {
    pub(super) fn new(roster: Arc<Mutex<Roster>>) -> Self {
        Self {
            roster,
            window: None,
            named: 0,
            untold: VecDeque::new(),
        }
    }

    pub(super) fn roster(&self) -> Arc<Mutex<Roster>> {
        Arc::clone(&self.roster)
    }

    /// When what is untold is due.
    pub(super) fn due(&self) -> Option<Instant> {
        let window = self.window.filter(|_| !self.untold.is_empty());
        window.map(|began| began + WINDOW)
    }

    /// Whether one more may be told by name at `now`.
    fn may_name(&mut self, now: Instant) -> bool {
        if !self.untold.is_empty() {
            return false;
        }
        if self.window.is_none_or(|began| began + WINDOW <= now) {
            self.window = Some(now);
            self.named = 0;
        }
        self.named < NAMED_MAX
    }
}

impl Roster {
    fn change(&mut self, change: &Change) {
        match change {
            Change::Joined(name) => {
                *self.names.entry(name.clone()).or_default() += 1;
                self.here += 1;
            }
            Change::Left(name) => {
                if let Some(times) = self.names.get_mut(name) {
                    *times -= 1;
                    if *times == 0 {
                        self.names.remove(name);
                    }
                    self.here -= 1;
                }
            }
        }
    }

    /// What a newcomer is told: the number, and the first names as far as they fit.
    pub(super) fn list(&self) -> Notice<'_> {
        let mut bytes = 0;
        let names = self.names.iter();
        let names = names.flat_map(|(name, &times)| (0..times).map(|_| &**name));
        let names = names.take_while(|name| {
            bytes += name.len() + 1;
            bytes <= LIST_BYTES_MAX
        });
        Notice::Here {
            here: self.here,
            names: names.collect(),
        }
    }
}

fn lock(roster: &Mutex<Roster>) -> MutexGuard<'_, Roster> {
    // Changed by steps that cannot panic half-way.
    roster.lock().unwrap_or_else(PoisonError::into_inner)
}

fn notice(text: &Notice<'_>) -> Bytes {
    frame::broadcast(SERVER_NAME.as_bytes(), text.to_string().as_bytes())
}

impl Hub {
    /// Somebody joins or leaves: tells it now, or remembers to. `then` runs before anybody else can
    /// tell of another; it is given the roster as it was told.
    pub(super) fn announce<T>(
        &mut self,
        change: Change,
        now: Instant,
        then: impl FnOnce(&mut Self, &Roster) -> T,
    ) -> T {
        let roster = self.presence.roster();
        let mut roster = lock(&roster);
        if self.presence.may_name(now) && self.tell(&named(&change), now) {
            self.presence.named += 1;
            roster.change(&change);
        } else {
            self.presence.window.get_or_insert(now);
            self.presence.untold.push_back(change);
        }
        then(self, &roster)
    }

    /// Tells of those who were too many to be named, when that is due.
    pub(super) fn announce_crowd(&mut self, now: Instant) {
        if self.presence.due().is_none_or(|at| at > now) || self.is_draining() {
            return;
        }
        let roster = self.presence.roster();
        let mut roster = lock(&roster);
        let untold = &self.presence.untold;
        let joins = |change: &&Change| matches!(change, Change::Joined(_));
        let joined = untold.iter().filter(joins).count() as u64;
        let left = untold.len() as u64 - joined;
        let herd = Notice::Herd {
            joined,
            left,
            here: roster.here + joined - left,
        };
        // Without room it is tried again after another window.
        if self.tell(&herd, now) {
            let untold = std::mem::take(&mut self.presence.untold);
            untold.iter().for_each(|change| roster.change(change));
        }
        self.presence.window = Some(now);
        self.presence.named = 0;
    }

    /// Appends a notice to the log, if that has room.
    fn tell(&mut self, text: &Notice<'_>, now: Instant) -> bool {
        let frame = notice(text);
        let Some(room) = self.log.reserve(frame.len()) else {
            return false;
        };
        self.log.append_notice(room, frame, now);
        self.others_to_wake = true;
        self.read_log();
        true
    }
}

fn named(change: &Change) -> Notice<'_> {
    match change {
        Change::Joined(name) => Notice::Joined(name),
        Change::Left(name) => Notice::Left(name),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{join, pass_time};
    use super::super::{ConnectionId, Disconnect, Limits, Log};
    use super::*;

    fn hub() -> Hub {
        let limits = Limits {
            announce_presence: true,
            ..Limits::default()
        };
        Hub::new(limits, Log::new(1 << 20))
    }

    /// What the server told `to` by now, a line for each notice.
    fn told(hub: &mut Hub, to: ConnectionId, now: Instant) -> Vec<String> {
        let mut wire = Vec::new();
        while let Some(transmit) = hub.poll_transmit(now) {
            if transmit.id == to {
                wire.extend_from_slice(&transmit.bytes);
            }
            hub.transmitted(transmit.id, transmit.bytes.len(), now);
        }
        let mut decoder = protocol::Decoder::new(1 << 16);
        let mut wire = &wire[..];
        let mut frames = Vec::new();
        while let Ok(Some(frame)) = decoder.next(&mut wire) {
            frames.push(String::from_utf8(frame.to_vec()).unwrap());
        }
        let pairs = frames.chunks(2);
        pairs.map(|pair| pair[1].clone()).collect()
    }

    #[test]
    fn a_newcomer_is_told_who_is_there_and_the_others_that_it_came() {
        let now = Instant::now();
        let mut hub = hub();
        let ann = join(&mut hub, "ann", now);
        assert_eq!(told(&mut hub, ann, now), ["* 1 here:\nann"]);
        let bob = join(&mut hub, "bob", now);
        let ann_too = join(&mut hub, "ann", now);
        assert_eq!(told(&mut hub, ann, now), ["bob joined", "ann joined"]);
        hub.disconnected(bob, Disconnect::EndOfStream, now);
        assert_eq!(told(&mut hub, ann_too, now), ["bob left"]);
        let carl = join(&mut hub, "carl", now);
        assert_eq!(told(&mut hub, carl, now), ["* 3 here:\nann\nann\ncarl"]);
        assert_eq!(hub.counters().pending(), 0);
        assert_eq!(hub.counters().messages, 0, "nobody said anything");
    }

    #[test]
    fn a_herd_is_told_as_a_number() {
        let now = Instant::now();
        let mut hub = hub();
        let usher = join(&mut hub, "usher", now);
        told(&mut hub, usher, now);
        let herd: Vec<_> = (0..500)
            .map(|n| join(&mut hub, &format!("h{n}"), now))
            .collect();
        let named = told(&mut hub, usher, now);
        assert_eq!(named.len(), 9, "the usher was the tenth: {named:?}");
        for &id in &herd[..3] {
            hub.disconnected(id, Disconnect::EndOfStream, now);
        }
        let due = hub.poll_timeout().unwrap();
        assert!(due <= now + WINDOW);
        let later = now + WINDOW;
        pass_time(&mut hub, later);
        assert_eq!(
            told(&mut hub, usher, later),
            ["* 491 joined, 3 left, 498 here"]
        );
        let last = join(&mut hub, "last", later);
        let list = told(&mut hub, last, later);
        assert!(
            list[0].starts_with("* 499 here:\nh10\n") && list[0].len() < 1200,
            "{list:?}"
        );
        assert_eq!(told(&mut hub, usher, later), Vec::<String>::new());
    }

    #[test]
    fn nothing_is_told_where_it_is_not_wanted_or_when_all_have_to_leave() {
        let now = Instant::now();
        let mut quiet = Hub::new(Limits::default(), Log::new(1 << 20));
        let ann = join(&mut quiet, "ann", now);
        join(&mut quiet, "bob", now);
        assert!(told(&mut quiet, ann, now).is_empty());
        let mut hub = hub();
        let ann = join(&mut hub, "ann", now);
        join(&mut hub, "bob", now);
        told(&mut hub, ann, now);
        hub.drain(WINDOW, now);
        hub.say_goodbye(now);
        assert_eq!(
            told(&mut hub, ann, now),
            ["closing: server is shutting down"]
        );
    }

    #[test]
    fn hubs_of_one_log_tell_of_each_others() {
        let now = Instant::now();
        let mut one = hub();
        let mut other = one.beside();
        let ann = join(&mut one, "ann", now);
        told(&mut one, ann, now);
        let bob = join(&mut other, "bob", now);
        assert_eq!(told(&mut other, bob, now), ["* 2 here:\nann\nbob"]);
        assert!(other.take_wake_of_others());
        one.wake(now);
        assert_eq!(told(&mut one, ann, now), ["bob joined"]);
    }
}
