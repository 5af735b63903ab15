//! Crowding: more newcomers in every turn than there are receive buffers, and one who speaks.

use std::sync::Arc;

use rand::{SeedableRng, rngs::StdRng};

use super::kernel::SimulatedKernel;
use super::odds::Odds;
use super::peer::Peer;
use super::world::World;
use crate::control::{Control, Stage};
use crate::driver::uring::Shell;
use crate::driver::uring::queue::Wait;
use crate::hub::{Hub, Limits, Log};

const BUFFERS: u16 = 4;
const TURNS: u64 = 150;

/// How many turns what somebody said may wait to be read: reads come in parts. The crowd, which grows in
/// each turn by more than one turn can read, would take hundreds.
const DELAY_MAX: u64 = 20;

#[test]
fn newcomers_do_not_keep_others_from_being_heard() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut odds = Odds::draw(&mut rng);
    odds.heal();
    odds.multishot_receive = true;
    (odds.buffers, odds.buffer_bytes) = (BUFFERS, 1000);
    odds.completes = 1.0;
    odds.steps = u32::MAX / 2;
    let control = Arc::new(Control::new(1, Limits::FOREVER).unwrap());
    let log = Log::new(1 << 20);
    let hub = Hub::new(Limits::default(), log);
    let kernel = SimulatedKernel::new(rng, odds, Arc::clone(&control));
    let world = kernel.world();
    let mut shell = Shell::new(kernel, 0, Arc::clone(&control), hub);
    shell.arm_accept();
    let mut turn = |world_acts: &mut dyn FnMut(&mut World)| {
        world_acts(&mut world.borrow_mut());
        let _ = shell.turn();
        world.borrow_mut().enter(Wait::No);
        // A multishot accept brings all who wait.
        while !world.borrow().waiting.is_empty() {
            world.borrow_mut().complete_some(1.0);
        }
        shell.reap();
        shell.hub.snapshot().counters.messages
    };
    turn(&mut |world| comes(world));
    while turn(&mut |world| world.peers[0].speak(0)) == 0 {}
    let mut said = 0;
    for number in 1..=TURNS {
        let heard = turn(&mut |world| {
            (0..2 * BUFFERS).for_each(|_| comes(world));
            world.peers[0].speak(0);
            said = world.peers[0].said;
        });
        let delay = u64::from(said) - heard;
        assert!(delay <= DELAY_MAX, "{delay} turns late, in turn {number}");
    }
    control.advance(Stage::Stopped);
    shell.wind_down().unwrap();
    drop(shell);
}

fn comes(world: &mut World) {
    let number = world.peers.len();
    world.peers.push(Peer::new(number));
    world.waiting.push_back(number);
}
