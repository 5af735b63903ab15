//! Peers come and go in every manner, and those who stay notice nothing of it.

use crate::support::{
    End, Message, Peer, Program, Reason, Served, Setup, counted_text, gather, introduce, said,
};

fn what_was_said_before_leaving_is_heard_by_all(setup: Setup) {
    let server = Served::start(setup);
    let [mut ann, mut bob] = gather(server.address, ["ann", "bob"]);
    for number in 0..50 {
        let name = format!("guest {number}");
        let mut guest = Peer::connect(server.address).named(&name);
        for text in ["I", "have to", "go"] {
            guest.say(text);
        }
        guest.close_half();
        assert_eq!(guest.hear_or_end(), Err(End::Orderly), "nobody else spoke");
        for listener in [&mut ann, &mut bob] {
            for text in ["I", "have to", "go"] {
                listener.expect(&name, text);
            }
        }
    }
    drop((ann, bob));
    let counters = server.end();
    assert!(counters.closed[Reason::Left] >= 50, "{counters:?}");
}

fn resets_hurt_nobody_else(setup: Setup) {
    const MESSAGES: usize = 300;
    let server = Served::start(setup);
    let [ann, mut bob, mut cat] = gather(server.address, ["ann", "bob", "cat"]);
    let mut guests = Vec::new();
    for number in 0..60 {
        let guest = if number % 2 == 0 {
            Peer::connect(server.address)
        } else {
            Peer::connect_narrow(server.address)
        };
        let guest = guest.named("guest");
        introduce(&guest, [&mut bob, &mut cat]);
        guests.push(guest);
    }
    for number in 0..MESSAGES {
        // Guests go while they are owed something, have taken part of it, or all.
        ann.say(counted_text(number, 2000));
        if number % 5 == 0
            && let Some(guest) = guests.pop()
        {
            guest.reset();
        }
    }
    for listener in [&mut bob, &mut cat] {
        for number in 0..MESSAGES {
            listener.expect("ann", counted_text(number, 2000));
        }
    }
    drop((ann, bob, cat));
    let counters = server.end();
    assert_eq!(counters.accepted, 63);
    // Some are seen as an end of the stream: a send that failed takes the error with it.
    assert!(counters.closed[Reason::Broken] > 0, "{counters:?}");
}

fn a_crowd_that_came_while_the_server_was_busy_gets_in(setup: Setup) {
    const CROWD: usize = 600;
    let server = Program::start(setup, &["--log", "warn"]);
    let [mut ann, mut bob] = gather(server.address, ["ann", "bob"]);
    server.hold();
    let crowd: Vec<Peer> = (0..CROWD)
        .map(|number| {
            let guest = Peer::connect(server.address).named(&format!("guest {number}"));
            guest.say("at last");
            if number % 2 == 0 {
                // The server sees its name, its message and its end all at once.
                guest.close_half();
            }
            guest
        })
        .collect();
    server.let_go();
    let heard: Vec<Message> = (0..CROWD).map(|_| bob.hear()).collect();
    assert!((0..CROWD).map(|_| ann.hear()).eq(heard.iter().cloned()));
    let mut names: Vec<&String> = heard.iter().map(|message| &message.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), CROWD, "each of them once");
    assert!(heard.iter().all(|message| message.text == b"at last"));
    drop((ann, bob, crowd));
    server.terminate();
    assert_eq!(server.exit_code(), 0);
}

fn thousands_come_and_go(setup: Setup) {
    const GUESTS: usize = 1500;
    let server = Served::start(setup);
    let [ann, mut bob, mut cat] = gather(server.address, ["ann", "bob", "cat"]);
    let mut farewells = Vec::new();
    let mut staying = Vec::new();
    for number in 0..GUESTS {
        let guest = Peer::connect(server.address);
        if let Some(farewell) = come_and_go(guest, number, &mut staying) {
            farewells.push(farewell);
        }
        if number % 10 == 0 {
            ann.say(format!("{number}"));
        }
    }
    staying.into_iter().for_each(leave_in_good_order);
    ann.say("that was all");
    let heard = bob.hear_until(&said("ann", "that was all"));
    assert_eq!(cat.hear_until(&said("ann", "that was all")), heard);
    let by_ann: Vec<Message> = (0..GUESTS)
        .filter(|number| number % 10 == 0)
        .map(|number| said("ann", format!("{number}")))
        .collect();
    let heard_of_ann = heard.iter().filter(|message| message.name == "ann");
    assert!(heard_of_ann.eq(&by_ann));
    let mut heard_of_guests: Vec<&Message> = heard.iter().filter(|it| it.name != "ann").collect();
    heard_of_guests.sort_by_key(|message| message.name.clone());
    farewells.sort_by_key(|message| message.name.clone());
    assert!(heard_of_guests.into_iter().eq(&farewells), "each once");
    drop((ann, bob, cat));
    server.end();
}

/// One of many manners to be a guest; returns what the others must have heard of it.
fn come_and_go(guest: Peer, number: usize, staying: &mut Vec<Peer>) -> Option<Message> {
    let name = format!("guest {number}");
    match number % 8 {
        0 => drop(guest),
        1 => guest.reset(),
        2 => guest.write(b"5        "),
        3 => drop(guest.named(&name)),
        4 => guest.named(&name).reset(),
        5 => guest.named(&name).write(b"100       not all of it"),
        6 => {
            let guest = guest.named(&name);
            guest.say("bye");
            leave_in_good_order(guest);
            return Some(said(&name, "bye"));
        }
        _ => {
            let guest = guest.named(&name);
            guest.say("I stay a while");
            staying.push(guest);
            if staying.len() > 20 {
                staying.drain(..).for_each(leave_in_good_order);
            }
            return Some(said(&name, "I stay a while"));
        }
    }
    None
}

/// Leaves after all that it said was taken: a close with something unheard would be a reset, which
/// may overtake it.
fn leave_in_good_order(mut guest: Peer) {
    guest.close_half();
    assert_eq!(guest.hear_to_the_end().1, End::Orderly);
}

fn who_takes_a_slot_again_gets_nothing_of_its_last_user(setup: Setup) {
    let server = Served::start(setup);
    let [ann, mut bob] = gather(server.address, ["ann", "bob"]);
    for round in 0..10 {
        let stuck: Vec<Peer> = (0..4)
            .map(|_| Peer::connect_narrow(server.address).named("stuck"))
            .collect();
        for peer in &stuck {
            introduce(peer, [&mut bob]);
        }
        // More than the narrow ones take: sends to them are under way when they break.
        for number in 0..8 {
            ann.say(counted_text(number, 30_000));
            bob.expect("ann", counted_text(number, 30_000));
        }
        stuck.into_iter().for_each(Peer::reset);
        let mut fresh: Vec<Peer> = Vec::new();
        for _ in 0..4 {
            let newcomer = Peer::connect(server.address).named("fresh");
            introduce(&newcomer, [&mut bob].into_iter().chain(&mut fresh));
            fresh.push(newcomer);
        }
        ann.say(format!("round {round}"));
        bob.expect("ann", format!("round {round}"));
        for peer in &mut fresh {
            peer.expect("ann", format!("round {round}"));
        }
    }
    drop((ann, bob));
    server.end();
}

on_every_driver!(
    what_was_said_before_leaving_is_heard_by_all,
    resets_hurt_nobody_else,
    a_crowd_that_came_while_the_server_was_busy_gets_in,
    thousands_come_and_go,
    who_takes_a_slot_again_gets_nothing_of_its_last_user,
);
