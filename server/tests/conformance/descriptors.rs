//! Descriptors: what happens when they run out, and that they are given back.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::support::{DEADLINE, End, Peer, Program, Setup, frame, gather, said};

/// Out of descriptors the server says so to whoever comes, and goes on serving those who are there;
/// when some have left, others may come.
fn out_of_descriptors_newcomers_are_told_and_others_served(setup: Setup) {
    const DESCRIPTORS: u32 = 64;
    const GUESTS: usize = 70;
    const WHY: &str = "server has no descriptor left; try again later";
    let server = Program::start_with_descriptors(DESCRIPTORS, setup);
    let [ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let mut guests: Vec<Peer> = (0..GUESTS)
        .map(|number| Peer::connect(server.address).named(&format!("guest {number}")))
        .collect();
    server.line_with("cannot keep new connections for now");
    for number in 0..20 {
        ann.say(format!("{number}"));
        bob.expect("ann", format!("{number}"));
    }
    // Whoever came last was told to go. (Threads may take each other's reserve: then it waits.)
    if setup.threads == 1 {
        let refused = said("*server*", format!("closing: {WHY}"));
        let last = guests.last_mut().unwrap();
        assert_eq!(last.hear_to_the_end(), (vec![refused], End::Orderly));
    }
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
    descriptors_are_given_back,
);
