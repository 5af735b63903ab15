//! Crowding: more newcomers in every turn than there are receive buffers, and one who speaks.
//!
//! In half of the worlds the newcomers' names are read at once when they are asked for, as in a ring, which
//! takes all buffers before it looks at those who waited.

use std::sync::Arc;

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::kernel::SimulatedKernel;
use super::odds::Odds;
use super::world::World;
use crate::control::{Control, Stage};
use crate::driver::uring::event_loop::EventLoop;
use crate::driver::uring::operation::Token;
use crate::driver::uring::queue::Wait;
use crate::hub::{Hub, Limits, Log};

/// Turns of a world; the crowd of one that lets it wait in one line grows beyond every delay by then.
const TURNS: u32 = 150;

/// Seeds that an ordinary test run tries.
const SEEDS: u64 = 40;

/// One world of a crowd is as much work as several others, so a run of many seeds has fewer of them.
const SHARE: u64 = 10;

/// How many turns what somebody said may wait to be read: reads come in parts. The crowd, which grows in
/// each turn by more than one turn can read, would take many more.
const DELAY_MAX: u64 = 30;

#[test]
fn newcomers_do_not_keep_others_from_being_heard() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let seeds = match number("URINGCAST_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("URINGCAST_SEEDS").map_or(SEEDS, |seeds: u64| seeds.div_ceil(SHARE)),
    };
    let mut latest = 0;
    for seed in seeds.clone() {
        let outcome = std::panic::catch_unwind(|| run(seed));
        let Ok(delay) = outcome else {
            panic!("repeat with: URINGCAST_SEED={seed} cargo test -p server crowding");
        };
        latest = latest.max(delay);
    }
    let count = seeds.end - seeds.start;
    println!("{count} seeds of crowds: at most {latest} turns late");
}

/// One crowd; the most turns by which somebody who has joined was heard late.
fn run(seed: u64) -> u64 {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut odds = Odds::draw(&mut rng);
    odds.heal();
    odds.freezes = 0.0;
    odds.buffers = [1, 2, 4][rng.random_range(0..3)];
    odds.buffer_bytes = 1000;
    odds.at_once = rng.random_bool(0.5);
    odds.completes = 1.0;
    odds.steps = u32::MAX;
    let crowd = rng.random_range(2..=3) * u32::from(odds.buffers);
    let multishot = odds.multishot_receive;
    let (control, commands) = Control::of_one();
    let log = Log::new(1 << 20);
    let hub = Hub::new(Limits::default(), log);
    let kernel = SimulatedKernel::new(rng, odds, Arc::clone(&control));
    let world = kernel.world();
    let mut event_loop = EventLoop::new(kernel, 0, Arc::clone(&control), commands, hub);
    event_loop.multishot_receive = multishot;
    event_loop.arm_accept();
    let mut turn = |world_acts: &mut dyn FnMut(&mut World)| {
        world_acts(&mut world.borrow_mut());
        let _ = event_loop.turn();
        world.borrow_mut().enter(Wait::No);
        // A multishot accept brings all who wait.
        while !world.borrow().waiting.is_empty() {
            world.borrow_mut().try_complete(Token::Accept);
        }
        event_loop.reap();
        event_loop.hub.snapshot().counters.messages
    };
    turn(&mut |world| comes(world));
    while turn(&mut |world| world.peers[0].speak(0)) == 0 {}
    let (mut said, mut latest) = (0, 0);
    for number in 1..=TURNS {
        let heard = turn(&mut |world| {
            (0..crowd).for_each(|_| comes(world));
            world.peers[0].speak(0);
            said = world.peers[0].said;
        });
        latest = latest.max(u64::from(said) - heard);
        assert!(latest <= DELAY_MAX, "{latest} turns late, in turn {number}");
    }
    control.advance(Stage::Stopped);
    event_loop.wind_down().unwrap();
    drop(event_loop);
    latest
}

fn comes(world: &mut World) {
    let _ = world.peer_comes();
}
