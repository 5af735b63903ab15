//! Slow consumers, floods and newcomers: what each policy promises, seen from outside.

use std::io::Write;
use std::thread;

use server::hub::SlowPolicy;

use crate::support::{Peer, Reason, Served, Setup, counted_text, frame, gather, introduce, said};

/// Together much more than the kernel holds for a narrow receiver.
const MESSAGES: usize = 120;
const MESSAGE_BYTES: usize = 32 * 1024;

fn one_that_takes_nothing_and_is_too_far_behind_is_sent_away(setup: Setup) {
    let mut config = setup.config();
    config.limits.message_bytes_max = MESSAGE_BYTES;
    config.limits.lag_bytes_max = Some(4 * MESSAGE_BYTES as u64);
    config.metrics_listen = Some(([127, 0, 0, 1], 0).into());
    let server = Served::configured(config);
    let [ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let stuck = Peer::connect_narrow(server.address).named("stuck");
    introduce(&stuck, [&mut bob]);
    say_much(&ann, &mut bob);
    server.wait_for("uringcast_disconnects_total{reason=\"too_far_behind\"}");
    drop((ann, bob, stuck));
    let counters = server.end();
    assert_eq!(counters.closed[Reason::TooFarBehind], 1, "{counters:?}");
}

fn one_that_skips_is_told_how_much_and_goes_on_with_what_is_new(setup: Setup) {
    let mut config = setup.config();
    config.limits.message_bytes_max = MESSAGE_BYTES;
    config.limits.lag_bytes_max = Some(4 * MESSAGE_BYTES as u64);
    config.metrics_listen = Some(([127, 0, 0, 1], 0).into());
    config.limits.slow_policy = SlowPolicy::Skip;
    let server = Served::configured(config);
    let [mut ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let mut slow = Peer::connect_narrow(server.address).named("slow");
    introduce(&slow, [&mut ann, &mut bob]);
    say_much(&ann, &mut bob);
    server.wait_for("uringcast_deliveries_discarded_total{reason=\"skipped\"}");
    ann.say("new");
    bob.expect("ann", "new");
    let mut missed = 0;
    let mut number = 0;
    loop {
        let heard = slow.hear();
        if heard == said("ann", "new") {
            break;
        }
        if heard.name == "*server*" {
            let text = String::from_utf8(heard.text).unwrap();
            let count = text
                .strip_prefix("skipped ")
                .and_then(|text| text.split(' ').next());
            let count: usize = count.unwrap().parse().unwrap();
            missed += count;
            number += count;
            if number > MESSAGES {
                // It was let go once more when the new one had come.
                number -= 1;
                break;
            }
            continue;
        }
        assert_eq!(
            heard,
            said("ann", counted_text(number, MESSAGE_BYTES)),
            "a prefix"
        );
        number += 1;
    }
    assert!(missed > 0);
    assert_eq!(number, MESSAGES, "what was not heard was missed");
    drop((ann, bob, slow));
    let counters = server.end();
    assert_eq!(counters.discarded[Reason::Skipped], missed as u64);
}

/// One floods as fast as it can; who reads is never sent away, and what a polite one says comes through
/// in turn.
fn a_flood_evicts_nobody_and_lets_others_speak(setup: Setup) {
    const POLITE: usize = 20;
    const FLOOD: usize = 4000;
    let mut config = setup.config();
    config.log_bytes_max = 16 << 20;
    config.limits.lag_bytes_max = Some(8 << 20);
    let server = Served::configured(config);
    let [flooder, polite, bob, cleo] = gather(server.address, ["flooder", "polite", "bob", "cleo"]);
    let flood = flooder.socket().try_clone().unwrap();
    let flooding = thread::spawn(move || {
        for number in 0..FLOOD {
            (&flood)
                .write_all(&frame(counted_text(number, 1000)))
                .unwrap();
        }
    });
    let speaking = thread::spawn(move || {
        let mut polite = polite;
        for number in 0..POLITE {
            polite.say(format!("please {number}"));
            for _ in 0..FLOOD / POLITE {
                assert_eq!(polite.hear().name, "flooder");
            }
        }
        polite
    });
    let listening = [bob, cleo].map(|mut listener| {
        thread::spawn(move || {
            let (mut flood, mut polite) = (0, 0);
            while flood < FLOOD || polite < POLITE {
                let heard = listener.hear();
                if heard.name == "flooder" {
                    assert_eq!(heard.text, counted_text(flood, 1000));
                    flood += 1;
                } else {
                    assert_eq!(heard, said("polite", format!("please {polite}")));
                    polite += 1;
                }
            }
            listener
        })
    });
    flooding.join().unwrap();
    let polite = speaking.join().unwrap();
    let listeners = listening.map(|listener| listener.join().unwrap());
    drop((flooder, polite, listeners));
    let counters = server.end();
    assert_eq!(counters.closed[Reason::Stalled], 0, "{counters:?}");
    assert_eq!(counters.closed[Reason::TooFarBehind], 0, "{counters:?}");
}

fn who_says_too_much_waits_and_loses_nothing(setup: Setup) {
    let mut config = setup.config();
    config.limits.messages_per_second_max = Some(20);
    let server = Served::configured(config);
    let [ann, mut bob] = gather(server.address, ["ann", "bob"]);
    for number in 0..45 {
        ann.say(format!("{number}"));
    }
    for number in 0..45 {
        bob.expect("ann", format!("{number}"));
    }
    drop((ann, bob));
    assert!(server.end().throttled > 0);
}

fn a_newcomer_is_sent_the_history_without_a_gap(setup: Setup) {
    let mut config = setup.config();
    config.limits.history_messages = 10;
    let server = Served::configured(config);
    let [ann, mut bob] = gather(server.address, ["ann", "bob"]);
    for number in 0..25 {
        ann.say(format!("{number}"));
        bob.expect("ann", format!("{number}"));
    }
    let mut cleo = Peer::connect(server.address).named("cleo");
    for number in 25..50 {
        ann.say(format!("{number}"));
    }
    let first: usize = text_number(&cleo.hear().text);
    assert!(first >= 15, "no more than ten: {first}");
    for number in first + 1..50 {
        cleo.expect("ann", format!("{number}"));
    }
    for number in 25..50 {
        bob.expect("ann", format!("{number}"));
    }
    drop((ann, bob, cleo));
    server.end();
}

fn text_number(text: &[u8]) -> usize {
    str::from_utf8(text).unwrap().parse().unwrap()
}

fn say_much(ann: &Peer, bob: &mut Peer) {
    for number in 0..MESSAGES {
        ann.say(counted_text(number, MESSAGE_BYTES));
        bob.expect("ann", counted_text(number, MESSAGE_BYTES));
    }
}

on_every_driver!(
    one_that_takes_nothing_and_is_too_far_behind_is_sent_away,
    one_that_skips_is_told_how_much_and_goes_on_with_what_is_new,
    a_flood_evicts_nobody_and_lets_others_speak,
    who_says_too_much_waits_and_loses_nothing,
    a_newcomer_is_sent_the_history_without_a_gap,
);
