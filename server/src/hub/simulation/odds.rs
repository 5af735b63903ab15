//! What is likely in a world. Each world draws its own odds, so that some are all faults of one kind,
//! some are in a hurry and some half asleep (swarm testing): what hides among average worlds shows in
//! a lopsided one.

use rand::{Rng, RngExt};

use super::peer::Manner;
use super::pick;

#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    Connect,
    Speak,
    Arrive,
    AskForTransmits,
    Complete,
    Close,
    PassTime,
    Leave,
    Wake,
    Stale,
    Change,
    Reload,
}

/// Events, and how often each comes in an average world.
const EVENTS: [(Event, u32); 12] = [
    (Event::Connect, 6),
    (Event::Speak, 14),
    (Event::Arrive, 25),
    (Event::AskForTransmits, 20),
    (Event::Complete, 20),
    (Event::Close, 5),
    (Event::PassTime, 3),
    (Event::Leave, 2),
    (Event::Wake, 2),
    (Event::Stale, 2),
    (Event::Change, 1),
    (Event::Reload, 1),
];

/// Manners, and how many peers have each in an average world.
const MANNERS: [(Manner, u32); 4] = [
    (Manner::Healthy, 7),
    (Manner::Stuck, 1),
    (Manner::Trickling, 1),
    (Manner::Faulty, 1),
];

pub(super) struct Odds {
    events: [u32; EVENTS.len()],
    manners: [u32; MANNERS.len()],
}

impl Odds {
    pub(super) fn draw(rng: &mut impl Rng) -> Self {
        let mut swayed = |weight: u32| weight * pick(rng, &[1, 4, 4, 16]);
        Self {
            events: EVENTS.map(|(_, weight)| swayed(weight)),
            manners: MANNERS.map(|(_, weight)| swayed(weight)),
        }
    }

    pub(super) fn event(&self, rng: &mut impl Rng) -> Event {
        EVENTS[draw(&self.events, rng)].0
    }

    pub(super) fn manner(&self, rng: &mut impl Rng) -> Manner {
        MANNERS[draw(&self.manners, rng)].0
    }
}

/// An index, as likely as its weight.
fn draw(weights: &[u32], rng: &mut impl Rng) -> usize {
    let mut left = rng.random_range(0..weights.iter().sum());
    let chosen = weights.iter().position(|&weight| {
        let here = left < weight;
        left = left.saturating_sub(weight);
        here
    });
    chosen.expect("what is drawn is less than the sum")
}
