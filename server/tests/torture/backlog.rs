//! Backlogs: what a receiver that does not read leaves in the log is given back to the system, once it
//! was read after all, and once its receiver was sent away.

use std::thread;
use std::time::Instant;

use server::hub::Log;

use crate::baseline::{drivers, start};
use crate::support::{DEADLINE, Peer, Program, said, samples};

/// What may stay resident of a backlog: what the log may shrink by before anything is given back, and as
/// much for pages that something else lies in.
const KEPT_BYTES: u64 = 2 * Log::SHRUNK_BYTES as u64;

const MESSAGE_BYTES: usize = 4000;

/// What is said behind them.
const LAST: &str = "that is all";

const SUBSCRIBERS: &str = "uringcast_subscribers";
const SENT_AWAY: &str = "uringcast_disconnects_total{reason=\"too_far_behind\"}";

/// Messages that a backlog of `mib` consists of.
const fn messages(mib: usize) -> usize {
    (mib << 20) / MESSAGE_BYTES
}

#[test]
fn the_memory_of_a_backlog_is_given_back() {
    for driver in drivers() {
        let most = (48 << 20).to_string();
        let flags = [
            "--metrics-listen",
            "127.0.0.1:0",
            "--max-lag-bytes",
            &most,
            // However slow this machine is.
            "--max-lag=0s",
        ];
        let server = start(driver, &flags);
        // What is allocated once, is.
        flood(&server, messages(1));
        let baseline = server.memory("VmRSS");

        let mut late = joined("late", &server);
        flood(&server, messages(32));
        let held = server.memory("VmRSS");
        assert!(
            held > baseline + (24 << 20),
            "{held} resident, {baseline} at first"
        );
        late.hear_until(&said("flood", LAST));
        let after = wait_for_memory(&server, baseline);
        println!("{driver}: {held} bytes resident, {after} when it was read, {baseline} at first");

        let before = figure(&server, SENT_AWAY);
        let _stuck = joined("stuck", &server);
        flood(&server, messages(56));
        wait_for(&server, SENT_AWAY, |now| now > before);
        let after = wait_for_memory(&server, baseline);
        println!("{driver}: {after} bytes resident when its receiver was sent away");

        drop(late);
        server.terminate();
        assert_eq!(server.exit_code(), 0);
    }
}

/// A newcomer that reads nothing of itself, once it is a subscriber.
fn joined(name: &str, server: &Program) -> Peer {
    let before = figure(server, SUBSCRIBERS);
    let peer = Peer::connect(server.address).named(name);
    wait_for(server, SUBSCRIBERS, |now| now > before);
    peer
}

/// One says so many messages; two hear them all, of whom one comes in the middle of it, so that what it needs
/// lies among them.
fn flood(server: &Program, messages: usize) {
    let text = [b'.'; MESSAGE_BYTES];
    let hear = |mut peer: Peer| move || peer.hear_until(&said("flood", LAST)).len();
    let flooder = joined("flood", server);
    let first = joined("first", server);
    thread::scope(|scope| {
        let hears = scope.spawn(hear(first));
        (0..messages / 2).for_each(|_| flooder.say(text));
        let second = joined("second", server);
        scope.spawn(hear(second));
        (messages / 2..messages).for_each(|_| flooder.say(text));
        flooder.say(LAST);
        assert_eq!(hears.join().unwrap(), messages);
    });
}

fn figure(server: &Program, name: &str) -> f64 {
    samples(server.metrics.unwrap())[name]
}

/// Waits until a figure of the server's metrics is as wanted.
fn wait_for(server: &Program, name: &str, is_as_wanted: impl Fn(f64) -> bool) {
    let patience = Instant::now() + DEADLINE;
    loop {
        let now = figure(server, name);
        if is_as_wanted(now) {
            return;
        }
        assert!(Instant::now() < patience, "{name} is {now}");
    }
}

/// Waits until the log is empty and its memory given back; returns what is resident then.
fn wait_for_memory(server: &Program, baseline: u64) -> u64 {
    wait_for(server, "uringcast_log_bytes", |now| now == 0.0);
    let patience = Instant::now() + DEADLINE;
    loop {
        let resident = server.memory("VmRSS");
        if resident <= baseline + KEPT_BYTES {
            return resident;
        }
        assert!(
            Instant::now() < patience,
            "{resident} bytes resident, {baseline} at first, {KEPT_BYTES} may stay"
        );
        // The server answers between two turns.
        samples(server.metrics.unwrap());
    }
}
