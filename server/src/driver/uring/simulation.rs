//! The driver on a simulated kernel: seeded, adversarial schedules of completions, in virtual time.
//!
//! The whole driver runs as it is, with a real hub above it. Beneath it is a [`World`](world::World) in which operations
//! complete late, short, in any order and with errors; multishots end when they like, descriptors and
//! buffers run out, and completions of connections that are long gone turn up. The world checks at
//! every step what the driver promises: no descriptor is closed and no bytes are let go while an
//! operation uses them, at most one send and one receive are in flight for a connection, a closed
//! socket has left the table of files, and each buffer is given back once. Then the faults stop. In most
//! worlds the server goes on serving: newcomers get in and everyone is heard by everyone else, in bounded
//! steps (see [`liveness`]). At last it is told to end, which it has to, with all descriptors closed and all
//! buffers back.
//!
//! `URINGCAST_SEEDS=20000 cargo test -p server uring::simulation` runs as many seeds as wanted;
//! `URINGCAST_SEED=7` repeats one.

mod calls;
mod crowding;
mod kernel;
mod liveness;
mod odds;
mod peer;
mod world;

use std::sync::Arc;
use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::event_loop::EventLoop;
use crate::control::{Control, Stage};
use crate::hub::{Coalesce, Counters, Hub, Limits, Log, Reason};
use kernel::SimulatedKernel;
use odds::Odds;
use world::Tally;

/// Seeds that an ordinary test run tries.
const SEEDS: u64 = 100;

#[test]
fn the_driver_keeps_its_promises_whatever_the_kernel_does() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let seeds = match number("URINGCAST_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("URINGCAST_SEEDS").unwrap_or(SEEDS),
    };
    let mut counters = Counters::default();
    let mut tally = Tally::default();
    for seed in seeds.clone() {
        let outcome = std::panic::catch_unwind(|| run(seed));
        let Ok((of_hub, of_world)) = outcome else {
            panic!("repeat with: URINGCAST_SEED={seed} cargo test -p server uring::simulation");
        };
        counters += of_hub;
        tally += of_world;
    }
    println!("{} seeds: {tally:?}, {counters:?}", seeds.end - seeds.start);
    if seeds.end - seeds.start >= SEEDS {
        // A world in which these do not happen would prove little.
        tally.assert_eventful();
        assert!(counters.delivered > 1_000 && counters.short_sends > 1_000);
        for reason in [
            Reason::Left,
            Reason::Broken,
            Reason::Malformed,
            Reason::Timeout,
        ] {
            assert!(counters.closed[reason] > 0, "{reason:?} never happened");
        }
    }
}

/// One life of a driver.
fn run(seed: u64) -> (Counters, Tally) {
    let mut rng = StdRng::seed_from_u64(seed);
    let (control, commands) = Control::of_one();
    let limits = Limits {
        // A turn may take a second here. Who is too slow is the matter of the hub's own worlds.
        lag_max: Limits::FOREVER,
        message_bytes_max: 300,
        batch_bytes_max: [100, 1000, 65_536][rng.random_range(0..3)],
        coalesce: Coalesce::Fixed(Duration::ZERO),
        handshake_timeout: Duration::from_secs(3),
        write_deadline: Duration::from_secs(5),
        messages_per_second_max: [None, None, Some(5)][rng.random_range(0..3)],
        ..Limits::default()
    };
    let messages = [1, 3, 100][rng.random_range(0..3)];
    let odds = Odds::draw(&mut rng);
    // What gathers in a freeze fills a small log at once, and the hindmost have to go.
    let messages = if odds.freezes > 0.0 { 1000 } else { messages };
    let log = Log::new(limits.log_bytes_min() * messages);
    let hub = Hub::new(limits, log);
    let (last, multishot) = (odds.last, odds.multishot_receive);
    let kernel = SimulatedKernel::new(rng, odds, Arc::clone(&control));
    let world = kernel.world();
    let mut event_loop = EventLoop::new(kernel, 0, control, commands, hub);
    // As in a ring that was told so, or one that has to find out.
    event_loop.multishot_receive = multishot || seed.is_multiple_of(2);
    event_loop.serve().expect("the kernel takes submissions");
    let at_the_end = event_loop.hub.snapshot().counters;
    if last == Stage::Draining {
        assert_eq!(at_the_end.pending(), 0, "{at_the_end:?}");
        assert_eq!(at_the_end.connections, 0, "{at_the_end:?}");
        assert_eq!(at_the_end.closed.total(), at_the_end.accepted);
    }
    event_loop
        .wind_down()
        .expect("the kernel takes submissions");
    let counters = event_loop.hub.snapshot().counters;
    drop(event_loop);
    let tally = world.borrow_mut().end();
    (counters, tally)
}
