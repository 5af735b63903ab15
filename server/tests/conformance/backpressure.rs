//! Receivers that take little or nothing for a while lose nothing and cost nobody else anything.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use crate::support::{
    Driver, Peer, Reason, Served, Setup, counted_text, frame, gather, introduce, said,
};

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

/// What a receiver is behind by lies in the log, and not in the kernel.
fn the_kernel_holds_little_of_a_receiver_that_stops(setup: Setup) {
    const MESSAGES: usize = 40;
    /// What it has not sent, and one batch.
    const HELD_MAX: u64 = 2 * 64 * 1024;
    let server = Served::start(setup);
    let [ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let stuck = Peer::connect_narrow(server.address).named("stuck");
    introduce(&stuck, [&mut bob]);
    let mut most = 0;
    for number in 0..MESSAGES {
        ann.say(counted_text(number, LARGE));
        bob.expect("ann", counted_text(number, LARGE));
        most = most.max(held_by_the_kernel(server.address.port()));
    }
    assert!(most > 0, "it was never behind");
    assert!(most <= HELD_MAX, "{most} bytes");
}

/// The longest queue of bytes that were sent from this port and not acknowledged (proc_net_tcp(5)).
fn held_by_the_kernel(port: u16) -> u64 {
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let from = format!("0100007F:{port:04X}");
    let connected = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[1] == from && fields[3] == "01"
    };
    let queued = sockets.lines().filter(connected).map(|line| {
        let queues = line.split_whitespace().nth(4).unwrap();
        let (to_be_sent, _) = queues.split_once(':').unwrap();
        u64::from_str_radix(to_be_sent, 16).unwrap()
    });
    queued.max().unwrap()
}

fn a_full_log_makes_authors_wait(setup: Setup) {
    let mut config = setup.config();
    config.log_bytes_max = 2 * config.limits.frame_bytes_max();
    let server = Served::configured(config);
    // Of several that read nothing, the first to be far behind would have to go.
    let mut bob = Peer::connect(server.address).named("bob");
    let ann = Peer::connect_narrow(server.address).named("ann");
    introduce(&ann, [&mut bob]);
    let (begun, rest) = say_until_stuck(&ann);
    thread::scope(|scope| {
        scope.spawn(|| ann.write(&rest));
        for number in 0..begun {
            bob.expect("ann", counted_text(number, LARGE));
        }
    });
    // Reading was resumed, and in order.
    ann.say("was that all?");
    bob.expect("ann", "was that all?");
    drop((ann, bob));
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

/// However much each driver reads at a time: past half of the budget it reads little.
fn who_waits_to_be_taken_is_not_let_go_for_what_came_at_once(setup: Setup) {
    const AUTHORS: usize = 40;
    let mut config = setup.config();
    config.limits.messages_per_second_max = Some(1);
    config.limits.input_bytes_max = 8 << 20;
    let server = Served::configured(config);
    let names: Vec<String> = (0..AUTHORS)
        .map(|number| format!("author {number}"))
        .collect();
    thread::scope(|scope| {
        let says = |name: &String| {
            let peer = Peer::connect(server.address).named(name);
            say_until_stuck(&peer);
            peer
        };
        let hands: Vec<_> = names
            .iter()
            .map(|name| scope.spawn(move || says(name)))
            .collect();
        let peers: Vec<Peer> = hands.into_iter().map(|hand| hand.join().unwrap()).collect();
        drop(peers);
    });
    server.drain();
    let counters = server.summary().counters;
    assert_eq!(counters.closed[Reason::InputFull], 0, "{counters:?}");
    assert_eq!(counters.joined, AUTHORS as u64);
}

/// Says counted messages until nothing more is taken for a while. Returns how many were begun, and
/// the rest of the last of them.
fn say_until_stuck(peer: &Peer) -> (usize, Vec<u8>) {
    /// More than the log and all kernel buffers on the way hold.
    const MESSAGES_MAX: usize = 1000;
    let a_while = Timespec::try_from(Duration::from_millis(300)).unwrap();
    for number in 0..MESSAGES_MAX {
        let mut wire = frame(counted_text(number, LARGE));
        while !wire.is_empty() {
            let mut writable = [PollFd::new(peer.socket(), PollFlags::OUT)];
            if poll(&mut writable, Some(&a_while)).unwrap() == 0 {
                return (number + 1, wire);
            }
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match send(peer.socket(), &wire, flags) {
                Ok(taken) => drop(wire.drain(..taken)),
                Err(Errno::AGAIN) => {}
                Err(error) => panic!("{} was closed: {error}", peer.name),
            }
        }
    }
    panic!("somebody holds {MESSAGES_MAX} messages of {LARGE} bytes");
}

on_every_driver!(
    short_sends_lose_no_byte,
    the_kernel_holds_little_of_a_receiver_that_stops,
    a_receiver_that_pauses_has_everything_in_the_end,
    a_full_log_makes_authors_wait,
    a_flood_leaves_others_their_turn,
    who_waits_to_be_taken_is_not_let_go_for_what_came_at_once,
);
