//! Freezes: the server does not run for a while (SIGSTOP here; a freezer cgroup, a paused machine or a
//! busy host elsewhere), and is nobody's fault. Who does meanwhile what it has to do stays.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::{DEADLINE, Peer, Program, Setup, gather, introduce, said, samples};

/// Every deadline of a peer.
const TIMEOUT: &str = "3s";

/// Longer than any of them. This is no time to wait for something: it is what is tested.
const FREEZE: Duration = Duration::from_secs(4);

/// Together much more than the kernel holds for a narrow receiver.
const MESSAGES: usize = 60;
const MESSAGE_BYTES: usize = 32 * 1024;

const SENT_AWAY: &str = "uringcast_disconnects_total";

fn who_does_everything_during_a_freeze_stays(setup: Setup) {
    let flags = &[
        "--metrics-listen",
        "127.0.0.1:0",
        "--handshake-timeout",
        TIMEOUT,
        "--frame-timeout",
        TIMEOUT,
        "--write-deadline",
        TIMEOUT,
    ];
    let server = Program::start(setup, flags);
    let metrics = server.metrics.unwrap();
    let [ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let mut slow = Peer::connect_narrow(server.address).named("slow");
    introduce(&slow, [&mut bob]);
    // A frame that was begun, and somebody who has not said its name.
    let half = Peer::connect(server.address).named("half");
    half.write(b"5         whole11        hello");
    bob.expect("half", "whole");
    let late = Peer::connect(server.address);
    let patience = Instant::now() + DEADLINE;
    while samples(metrics)["uringcast_connections"] < 5.0 {
        assert!(Instant::now() < patience, "nobody is accepted");
    }
    // A send that waits for its receiver.
    let text = [b'.'; MESSAGE_BYTES];
    for _ in 0..MESSAGES {
        ann.say(text);
        bob.expect("ann", text);
    }

    server.hold();
    late.write(b"4         late2         hi");
    half.write(b" world");
    let hears = thread::spawn(move || {
        let heard = slow.hear_until(&said("ann", "the end"));
        (slow, heard)
    });
    thread::sleep(FREEZE);
    server.let_go();

    let mut heard = [bob.hear(), bob.hear()];
    heard.sort_by(|one, other| one.name.cmp(&other.name));
    assert_eq!(heard, [said("half", "hello world"), said("late", "hi")]);
    ann.say("the end");
    bob.expect("ann", "the end");
    let (_slow, heard) = hears.join().unwrap();
    let of_ann = heard.iter().filter(|message| message.name == "ann");
    assert_eq!(of_ann.count(), MESSAGES);
    let seen = samples(metrics);
    let sent_away = seen.iter().filter(|(name, _)| name.starts_with(SENT_AWAY));
    assert_eq!(
        sent_away.map(|(_, count)| count).sum::<f64>(),
        0.0,
        "{seen:?}"
    );
}

on_every_driver!(who_does_everything_during_a_freeze_stays);
