//! Descriptors: what happens when they run out, and that they are given back.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{DEADLINE, Peer, Program, Setup, frame, gather, get, said, samples};

/// Out of descriptors the server says so to whoever comes, and to whoever watches it, and goes on serving
/// those who are there; when some have left, others may come.
fn out_of_descriptors_newcomers_are_told_and_others_served(setup: Setup) {
    const DESCRIPTORS: u32 = 64;
    const GUESTS: usize = 70;
    const WHY: &str = "server has no descriptor left; try again later";
    let watched = &["--metrics-listen", "127.0.0.1:0"];
    let server = Program::start_with_descriptors(DESCRIPTORS, setup, watched);
    let [ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let mut guests: Vec<Peer> = (0..GUESTS)
        .map(|number| Peer::connect(server.address).named(&format!("guest {number}")))
        .collect();
    server.line_with("cannot keep new connections for now");
    for number in 0..20 {
        ann.say(format!("{number}"));
        bob.expect("ann", format!("{number}"));
    }
    // Nobody is left without a word: each hears what is said, or why it has to go.
    let refused = said("*server*", format!("closing: {WHY}"));
    let patience = Instant::now() + DEADLINE;
    let mut told = 0;
    for guest in &mut guests {
        while !guest.hears_something_within(Duration::from_millis(10)) {
            assert!(Instant::now() < patience, "{} hears nothing", guest.name);
            ann.say("is anybody there?");
        }
        let heard = guest.hear();
        told += usize::from(heard == refused);
        assert!(heard == refused || heard.name != "*server*", "{heard:?}");
    }
    assert!(told >= GUESTS - DESCRIPTORS as usize + 10, "{told}");
    ann.say("then go on");
    bob.hear_until(&said("ann", "then go on"));
    let metrics = server.metrics.unwrap();
    for _ in 0..3 {
        assert_eq!(get(metrics, "/healthz").body, "ok\n");
    }
    let refused = "uringcast_connections_total{result=\"refused\"}";
    assert!(samples(metrics)[refused] > 0.0);
    drop(guests);
    // Whoever comes before the others are gone is refused as well, and comes again.
    let mut newcomer = Peer::connect(server.address).named("newcomer");
    newcomer.say("I am in");
    while !bob.hears_something_within(Duration::from_millis(100)) {
        newcomer = Peer::connect(server.address).named("newcomer");
        // Refused before it could say so: then it says so in vain.
        let _ = newcomer.socket().write_all(&frame("I am in"));
    }
    bob.expect("newcomer", "I am in");
    drop((ann, bob, newcomer));
    server.terminate();
    assert_eq!(server.exit_code(), 0);
}

/// The loop that never comes to rest takes newcomers again as well.
fn under_load_newcomers_come_in_again(setup: Setup) {
    const DESCRIPTORS: u32 = 64;
    const GUESTS: usize = 70;
    let server = Program::start_with_descriptors(DESCRIPTORS, setup, &[]);
    let [ann, bob] = gather(server.address, ["ann", "bob"]);
    let guests: Vec<Peer> = (0..GUESTS).map(|_| Peer::connect(server.address)).collect();
    server.line_with("cannot keep new connections for now");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let speaking = scope.spawn(|| {
            let mut number = 0;
            while !over.load(Ordering::Relaxed) {
                ann.say(format!("{number}"));
                number += 1;
            }
            ann.say("over");
            number
        });
        let listening = scope.spawn(|| {
            let mut bob = bob;
            let mut number = 0;
            loop {
                let heard = bob.hear();
                match heard.name.as_str() {
                    "ann" if heard.text == b"over" => return number,
                    "ann" => {
                        assert_eq!(heard.text, format!("{number}").as_bytes());
                        number += 1;
                    }
                    _ => assert_eq!(heard, said("newcomer", "I am in")),
                }
            }
        });
        drop(guests);
        let patience = Instant::now() + DEADLINE;
        loop {
            let mut newcomer = Peer::connect(server.address).named("newcomer");
            // Refused before it could say so: then it says so in vain.
            let _ = newcomer.socket().write_all(&frame("I am in"));
            // Whoever is in hears Ann; whoever is refused hears the server.
            match newcomer.hear_or_end() {
                Ok(heard) if heard.name == "ann" => break,
                _ => assert!(Instant::now() < patience, "nobody comes in"),
            }
        }
        over.store(true, Ordering::Relaxed);
        assert_eq!(listening.join().unwrap(), speaking.join().unwrap());
    });
    server.terminate();
    assert_eq!(server.exit_code(), 0);
}

fn descriptors_are_given_back(setup: Setup) {
    let server = Program::start(setup, &[]);
    let [ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let at_rest = server.descriptors();
    for number in 0..200 {
        let guest = Peer::connect(server.address);
        match number % 5 {
            0 => drop(guest),
            1 => guest.reset(),
            2 => guest.named("guest").reset(),
            3 => guest.named("guest").close_half(),
            _ => guest.named("guest").write(b"no header!"),
        }
    }
    let patience = Instant::now() + DEADLINE;
    loop {
        // A round through the server between any two looks.
        ann.say("tick");
        bob.expect("ann", "tick");
        let descriptors = server.descriptors();
        if descriptors <= at_rest {
            break;
        }
        assert!(Instant::now() < patience, "{descriptors}, not {at_rest}");
    }
    drop((ann, bob));
    server.terminate();
    assert_eq!(server.exit_code(), 0);
}

on_every_driver!(
    out_of_descriptors_newcomers_are_told_and_others_served,
    under_load_newcomers_come_in_again,
    descriptors_are_given_back,
);
