//! Receivers that take little or nothing for a while lose nothing and cost nobody else anything.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SendFlags, send};

use crate::support::{Driver, Peer, Served, Setup, counted_text, gather, introduce, said};

/// The longest message by default.
const LARGE: usize = 64 * 1024;

fn short_sends_lose_no_byte(setup: Setup) {
    const MESSAGES: usize = 12;
    let server = Served::start(setup);
    let [mut ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let mut narrow = Vec::new();
    for name in ["nat", "ned", "nia"] {
        let newcomer = Peer::connect_narrow(server.address).named(name);
        let earlier = [&mut ann, &mut bob].into_iter().chain(&mut narrow);
        introduce(&newcomer, earlier);
        narrow.push(newcomer);
    }
    for number in 0..MESSAGES {
        // Many small messages behind a large one: sends tear in the middle of any of them.
        ann.say(counted_text(number, LARGE));
        for small in 0..20 {
            ann.say(counted_text(small, number * small));
        }
    }
    thread::scope(|scope| {
        for listener in narrow.iter_mut().chain([&mut bob]) {
            scope.spawn(move || {
                for number in 0..MESSAGES {
                    listener.expect("ann", counted_text(number, LARGE));
                    for small in 0..20 {
                        listener.expect("ann", counted_text(small, number * small));
                    }
                }
            });
        }
    });
    drop((ann, bob, narrow));
    let counters = server.end();
    // On its own ring the kernel itself goes on with what was short.
    if setup.driver != Driver::Uring {
        assert!(counters.short_sends > 0, "no send was short: {counters:?}");
    }
}

fn a_receiver_that_pauses_has_everything_in_the_end(setup: Setup) {
    const MESSAGES: usize = 100;
    let server = Served::start(setup);
    let [ann, mut bob, mut cat] = gather(server.address, ["ann", "bob", "cat"]);
    let mut dan = Peer::connect_narrow(server.address).named("dan");
    introduce(&dan, [&mut bob, &mut cat]);
    for number in 0..MESSAGES {
        ann.say(counted_text(number, LARGE));
        bob.expect("ann", counted_text(number, LARGE));
    }
    // Until here the others have taken nothing; the server waits for them in different places.
    for listener in [&mut cat, &mut dan] {
        for number in 0..MESSAGES {
            listener.expect("ann", counted_text(number, LARGE));
        }
    }
    ann.say("are you well?");
    for listener in [&mut bob, &mut cat, &mut dan] {
        listener.expect("ann", "are you well?");
    }
    drop((ann, bob, cat, dan));
    server.end();
}

fn a_full_log_makes_authors_wait(setup: Setup) {
    const MESSAGES: usize = 60;
    let mut config = setup.config();
    config.log_bytes_max = 2 * config.limits.frame_bytes_max();
    let server = Served::configured(config);
    let [mut bob, mut cat] = gather(server.address, ["bob", "cat"]);
    let ann = Peer::connect_narrow(server.address).named("ann");
    introduce(&ann, [&mut bob, &mut cat]);
    let mut slow = Peer::connect_narrow(server.address).named("slow");
    introduce(&slow, [&mut bob, &mut cat]);
    let wire: Vec<u8> = (0..MESSAGES)
        .flat_map(|number| {
            [
                format!("{LARGE:<10}").into_bytes(),
                counted_text(number, LARGE),
            ]
        })
        .flatten()
        .collect();
    let taken = write_until_stuck(&ann, &wire);
    assert!(taken < wire.len(), "somebody holds all of {taken} bytes");
    thread::scope(|scope| {
        scope.spawn(|| ann.write(&wire[taken..]));
        for listener in [&mut bob, &mut cat, &mut slow] {
            scope.spawn(move || {
                for number in 0..MESSAGES {
                    listener.expect("ann", counted_text(number, LARGE));
                }
            });
        }
    });
    // Reading was resumed for all, and in order.
    ann.say("was that all?");
    for listener in [&mut bob, &mut cat, &mut slow] {
        listener.expect("ann", "was that all?");
    }
    drop((ann, bob, cat, slow));
    server.end();
}

fn a_flood_leaves_others_their_turn(setup: Setup) {
    let mut config = setup.config();
    config.log_bytes_max = 256 * 1024;
    let server = Served::configured(config);
    let [mut ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let flood = Peer::connect_narrow(server.address).named("flood");
    introduce(&flood, [&mut ann, &mut bob]);
    let answered = AtomicBool::new(false);
    let drop_of_it = "x".repeat(1000);
    let wave = format!("1000      {drop_of_it}").repeat(50);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !answered.load(Ordering::Relaxed) {
                flood.write(wave.as_bytes());
            }
            flood.say("ebb");
        });
        // The flood goes on until Ann is heard three times through it.
        for number in 0..3 {
            for _ in 0..300 {
                ann.expect("flood", &drop_of_it);
                bob.expect("flood", &drop_of_it);
            }
            ann.say(format!("{number}"));
            while bob.hear() != said("ann", format!("{number}")) {
                ann.expect("flood", &drop_of_it);
            }
        }
        answered.store(true, Ordering::Relaxed);
        while bob.hear() != said("flood", "ebb") {
            ann.hear();
        }
    });
    drop((ann, bob, flood));
    server.end();
}

/// Writes as much as is taken; says how much that was. Stuck is who can write nothing for a while.
fn write_until_stuck(peer: &Peer, bytes: &[u8]) -> usize {
    let a_while = Timespec::try_from(Duration::from_millis(300)).unwrap();
    let mut taken = 0;
    while taken < bytes.len() {
        let mut writable = [PollFd::new(peer.socket(), PollFlags::OUT)];
        if poll(&mut writable, Some(&a_while)).unwrap() == 0 {
            break;
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        taken += send(peer.socket(), &bytes[taken..], flags).unwrap_or(0);
    }
    taken
}

on_every_driver!(
    short_sends_lose_no_byte,
    a_receiver_that_pauses_has_everything_in_the_end,
    a_full_log_makes_authors_wait,
    a_flood_leaves_others_their_turn,
);
