//! The end: what was accepted is delivered, everyone is told, and whoever hangs is not waited for.

use std::time::Duration;

use server::hub::Limits;

use crate::support::{
    End, Peer, Program, Reason, Served, Setup, counted_text, gather, introduce, said,
};

const GOODBYE: &str = "server is shutting down";
/// Together more than the kernel holds for a narrow receiver.
const MESSAGES: usize = 40;
const MESSAGE_BYTES: usize = 32 * 1024;

fn sigterm_delivers_what_was_accepted_and_says_goodbye(setup: Setup) {
    let server = Program::start(setup, &[]);
    let [mut ann, mut bob, mut slow, mut nameless] = gather_four(&server);
    say_much(&ann, &mut bob);
    server.terminate();
    for idle in [&mut ann, &mut bob] {
        idle.expect_goodbye(GOODBYE);
    }
    // On a thread of its own it may not have got in: then it is closed without a word.
    let (heard, _) = nameless.hear_to_the_end();
    if setup.threads == 1 || !heard.is_empty() {
        assert_eq!(heard, [said("*server*", format!("closing: {GOODBYE}"))]);
    }
    // The slow one begins to read only now.
    for number in 0..MESSAGES {
        slow.expect("ann", counted_text(number, MESSAGE_BYTES));
    }
    slow.expect_goodbye(GOODBYE);
    drop((ann, bob, slow, nameless));
    assert_eq!(server.exit_code(), 0);
}

fn a_second_signal_ends_at_once(setup: Setup) {
    let server = Program::start(setup, &["--drain-timeout", "1h", "--write-deadline", "1h"]);
    let [ann, mut bob, stuck, _nameless] = gather_four(&server);
    say_much(&ann, &mut bob);
    server.terminate();
    bob.expect_goodbye(GOODBYE);
    server.terminate();
    assert_eq!(server.exit_code(), 1, "not everything was delivered");
    drop(stuck);
}

/// Ann, Bob, one who does not read for now, and one who has not given its name.
fn gather_four(server: &Program) -> [Peer; 4] {
    let nameless = Peer::connect(server.address);
    let [mut ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let slow = Peer::connect_narrow(server.address).named("slow");
    introduce(&slow, [&mut ann, &mut bob]);
    [ann, bob, slow, nameless]
}

/// Ann says much, which is accepted when Bob has heard it.
fn say_much(ann: &Peer, bob: &mut Peer) {
    for number in 0..MESSAGES {
        ann.say(counted_text(number, MESSAGE_BYTES));
        bob.expect("ann", counted_text(number, MESSAGE_BYTES));
    }
}

fn the_end_comes_when_the_last_has_hung_up(setup: Setup) {
    let mut config = setup.config();
    // Nothing but the peers' going may wake and end the server.
    let never = Duration::from_secs(3600);
    config.limits.linger = never;
    config.limits.handshake_timeout = never;
    config.limits.write_deadline = never;
    config.drain_timeout = never;
    let server = Served::configured(config);
    let [mut ann, mut bob] = gather(server.address, ["ann", "bob"]);
    server.drain();
    ann.expect_goodbye(GOODBYE);
    bob.expect_goodbye(GOODBYE);
    drop((ann, bob));
    assert_eq!(server.end().closed[Reason::Shutdown], 2);
}

/// Whatever else it waits for: the end waits for those who read.
fn the_end_does_not_wait_for_who_takes_nothing(setup: Setup) {
    let mut config = setup.config();
    config.drain_timeout = Limits::FOREVER;
    config.limits.write_deadline = Limits::FOREVER;
    config.limits.lag_max = Limits::FOREVER;
    let server = Served::configured(config);
    let [ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let stuck = Peer::connect_narrow(server.address).named("stuck");
    introduce(&stuck, [&mut bob]);
    say_much(&ann, &mut bob);
    server.drain();
    bob.expect_goodbye(GOODBYE);
    drop((ann, bob));
    let summary = server.summary();
    assert_eq!(summary.counters.closed[Reason::Stalled], 1);
    assert_eq!(summary.undelivered(), 0, "all who read have everything");
    drop(stuck);
}

fn draining_gives_up_on_who_does_not_read(setup: Setup) {
    let mut config = setup.config();
    config.drain_timeout = Duration::from_millis(300);
    config.limits.linger = Duration::from_secs(1);
    let server = Served::configured(config);
    let [ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let mut stuck = Peer::connect_narrow(server.address).named("stuck");
    introduce(&stuck, [&mut bob]);
    say_much(&ann, &mut bob);
    server.drain();
    bob.expect_goodbye(GOODBYE);
    drop((ann, bob));
    let summary = server.summary();
    assert!(summary.undelivered() > 0, "{summary:?}");
    // What the stuck one has is the beginning of it all.
    let (heard, end) = stuck.hear_to_the_end();
    assert_ne!(end, End::Reset);
    assert!(heard.len() < MESSAGES);
    for (number, heard) in heard.into_iter().enumerate() {
        assert_eq!(heard, said("ann", counted_text(number, MESSAGE_BYTES)));
    }
}

fn nobody_is_served_who_comes_while_draining(setup: Setup) {
    let server = Served::start(setup);
    let [ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let stuck = Peer::connect_narrow(server.address).named("stuck");
    introduce(&stuck, [&mut bob]);
    say_much(&ann, &mut bob);
    server.drain();
    bob.expect_goodbye(GOODBYE);
    // Refused by Bob's thread; by another, that or told to go.
    if let Ok(late) = std::net::TcpStream::connect(server.address) {
        assert_ne!(setup.threads, 1, "the only thread still listens");
        let (heard, _) = Peer::over(late).hear_to_the_end();
        let goodbye = said("*server*", format!("closing: {GOODBYE}"));
        assert!(heard.iter().all(|message| *message == goodbye), "{heard:?}");
    }
    drop((ann, bob, stuck));
    server.summary();
}

on_every_driver!(
    sigterm_delivers_what_was_accepted_and_says_goodbye,
    a_second_signal_ends_at_once,
    the_end_does_not_wait_for_who_takes_nothing,
    the_end_comes_when_the_last_has_hung_up,
    draining_gives_up_on_who_does_not_read,
    nobody_is_served_who_comes_while_draining,
);
