//! Descriptors: what happens when they run out, and that they are given back.

use std::time::Instant;

use crate::support::{DEADLINE, Peer, Program, Setup, gather};

fn out_of_descriptors_newcomers_wait_until_others_leave(setup: Setup) {
    const DESCRIPTORS: u32 = 64;
    const GUESTS: usize = 70;
    let server = Program::start_with_descriptors(DESCRIPTORS, setup);
    let [ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let mut guests: Vec<Peer> = (0..GUESTS)
        .map(|number| Peer::connect(server.address).named(&format!("guest {number}")))
        .collect();
    server.line_with("cannot accept connections for now");
    for number in 0..20 {
        ann.say(format!("{number}"));
        bob.expect("ann", format!("{number}"));
    }
    // Those who came first are in, and leave room for all who wait.
    guests.drain(..40);
    let mut missing: Vec<String> = guests.iter().map(|guest| guest.name.clone()).collect();
    for guest in &guests {
        guest.say("I am in");
    }
    while !missing.is_empty() {
        let heard = bob.hear();
        assert_eq!(heard.text, b"I am in");
        missing.retain(|name| *name != heard.name);
    }
    drop((ann, bob, guests));
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
    out_of_descriptors_newcomers_wait_until_others_leave,
    descriptors_are_given_back,
);
