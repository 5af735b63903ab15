//! Faults: only who commits them is closed, and is told why; everyone else loses nothing.

use std::thread;
use std::time::Duration;

use server::Config;
use server::hub::charge;

use crate::support::{End, Peer, Reason, Served, Setup, counted_text, gather, introduce, said};

/// A text of the default limit, and one byte more.
const OVER_LIMIT: usize = 65_537;

fn a_header_that_is_no_number_closes_its_sender(setup: Setup) {
    let why = "header byte 1 is 'G', not a digit or a space";
    let offence = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n";
    closes_only_the_offender(setup, true, offence, why, Reason::Malformed);
    let why = "header byte 1 is 'g', not a digit or a space";
    closes_only_the_offender(
        setup,
        false,
        b"get / http/1.1\r\n\r\n",
        why,
        Reason::Malformed,
    );
    let why = "header byte 1 is '-', not a digit or a space";
    closes_only_the_offender(setup, true, b"-5        hello", why, Reason::Malformed);
    let why = "header byte 3 is '\\x00', not a digit or a space";
    closes_only_the_offender(setup, true, b"12\0       hello", why, Reason::Malformed);
}

fn a_blank_header_closes_its_sender(setup: Setup) {
    let why = "blank header announces no length";
    for named in [false, true] {
        closes_only_the_offender(setup, named, &[b' '; 10], why, Reason::Malformed);
    }
}

fn a_header_with_a_space_inside_closes_its_sender(setup: Setup) {
    let why = "header has a second number at byte 3, after a space";
    for named in [false, true] {
        closes_only_the_offender(setup, named, b"1 2       abc", why, Reason::Malformed);
    }
}

fn a_message_over_the_limit_closes_its_sender(setup: Setup) {
    let why = "message of 65537 bytes is over the limit of 65536";
    closes_only_the_offender(setup, true, b"65537     ", why, Reason::TooLong);
    // All of it is sent, and more: what the server leaves unread must not destroy the notice.
    let mut offence = b"65537     ".to_vec();
    offence.resize(10 + 4 * OVER_LIMIT, b'x');
    closes_only_the_offender(setup, true, &offence, why, Reason::TooLong);
    let why = "message of 9999999999 bytes is over the limit of 65536";
    closes_only_the_offender(setup, true, b"9999999999abc", why, Reason::TooLong);
}

fn a_name_over_the_limit_closes_its_sender(setup: Setup) {
    let why = "name of 65 bytes is over the limit of 64";
    let offence = format!("65        {}", "n".repeat(65));
    closes_only_the_offender(setup, false, offence.as_bytes(), why, Reason::TooLong);
}

fn a_name_that_is_no_text_closes_its_sender(setup: Setup) {
    let why = "name is not UTF-8 (byte 3)";
    closes_only_the_offender(setup, false, b"3         ab\xff", why, Reason::Malformed);
}

fn a_message_that_is_no_text_closes_its_sender(setup: Setup) {
    let why = "message is not UTF-8 (byte 2)";
    closes_only_the_offender(setup, true, b"3         a\xc3(", why, Reason::Malformed);
}

fn a_name_with_a_control_character_closes_its_sender(setup: Setup) {
    let why = "name holds the control character \\u{1b}";
    closes_only_the_offender(setup, false, b"5         \x1b[2Jx", why, Reason::Malformed);
    let why = "name holds the control character \\u{a}";
    closes_only_the_offender(setup, false, b"4         ann\n", why, Reason::Malformed);
}

fn a_name_kept_for_the_server_closes_its_sender(setup: Setup) {
    let why = "name begins with '*', which is kept for the server";
    for offence in [&b"8         *server*"[..], b"1         *"] {
        closes_only_the_offender(setup, false, offence, why, Reason::Malformed);
    }
}

fn an_unfinished_frame_closes_its_sender(setup: Setup) {
    let mut config = setup.config();
    config.limits.frame_timeout = Duration::from_millis(250);
    let why = "a frame was not finished within 0.25 s";
    for offence in [&b"12   "[..], b"100       not all of it"] {
        let config = config.clone();
        closes_only_the_offender_of(config, true, offence, why, Reason::Timeout);
    }
}

fn having_no_name_closes_a_connection(setup: Setup) {
    let mut config = setup.config();
    config.limits.handshake_timeout = Duration::from_millis(250);
    let why = "no name came within 0.25 s";
    for offence in [&b""[..], b"12   ", b"10        hal"] {
        let config = config.clone();
        closes_only_the_offender_of(config, false, offence, why, Reason::Timeout);
    }
}

fn what_came_before_a_fault_counts(setup: Setup) {
    let server = Served::start(setup);
    let [mut ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let mut offender = Peer::connect(server.address);
    // In one piece: a name, two messages, a fault, and what would be a message.
    offender.write(b"3         eve3         one3         two?         2         no");
    for listener in [&mut ann, &mut bob] {
        listener.expect("eve", "one");
        listener.expect("eve", "two");
    }
    offender.expect_goodbye("header byte 1 is '?', not a digit or a space");
    ann.say("after");
    bob.expect("ann", "after");
    drop((ann, bob, offender));
    server.end();
}

fn a_reset_inside_a_frame_hurts_nobody_else(setup: Setup) {
    let server = Served::start(setup);
    let [mut ann, mut bob] = gather(server.address, ["ann", "bob"]);
    for partial in [&b"12   "[..], b"20        not all of it"] {
        let offender = Peer::connect(server.address).named("eve");
        introduce(&offender, [&mut ann, &mut bob]);
        ann.say("before");
        bob.expect("ann", "before");
        offender.write(partial);
        offender.reset();
        ann.say("after");
        bob.expect("ann", "after");
    }
    drop((ann, bob));
    let counters = server.end();
    assert_eq!(counters.closed[Reason::Broken], 2, "{counters:?}");
}

fn a_receiver_that_never_reads_is_closed(setup: Setup) {
    let (server, mut stuck, ann, mut bob) = evict_one_who_does_not_read(setup, LINGER_LONG);
    // It begins to read when it is closed already.
    let (mut heard, end) = stuck.hear_to_the_end();
    assert_eq!(end, End::Orderly);
    let notice = said("*server*", "closing: no byte was taken within 0.3 s");
    assert_eq!(heard.pop(), Some(notice));
    assert!(heard.len() < MANY);
    for (number, heard) in heard.into_iter().enumerate() {
        assert_eq!(heard, said("ann", counted_text(number, LARGE)));
    }
    drop(stuck);
    still_well(&ann, &mut bob);
    drop((ann, bob));
    assert_eq!(server.end().closed[Reason::Stalled], 1);
}

fn a_receiver_that_reads_too_late_has_a_beginning(setup: Setup) {
    let (server, mut stuck, ann, mut bob) = evict_one_who_does_not_read(setup, LINGER_SHORT);
    still_well(&ann, &mut bob);
    drop((ann, bob));
    assert_eq!(server.end().closed[Reason::Stalled], 1);
    let (heard, end) = stuck.hear_to_the_end();
    assert!(heard.len() < MANY);
    for (number, heard) in heard.into_iter().enumerate() {
        assert_eq!(heard, said("ann", counted_text(number, LARGE)));
    }
    assert_ne!(end, End::Orderly, "what was under way could not end well");
}

const MANY: usize = 60;
const LARGE: usize = 64 * 1024;
const LINGER_LONG: Duration = Duration::from_secs(20);
const LINGER_SHORT: Duration = Duration::from_millis(200);

/// One never reads and is evicted. All others have everything.
fn evict_one_who_does_not_read(setup: Setup, linger: Duration) -> (Served, Peer, Peer, Peer) {
    let mut config = setup.config();
    config.limits.write_deadline = Duration::from_millis(300);
    config.limits.linger = linger;
    config.limits.lag_bytes_max = None;
    config.log_bytes_max = (MANY + 4) * charge(config.limits.frame_bytes_max());
    config.metrics_listen = Some(([127, 0, 0, 1], 0).into());
    let server = Served::configured(config);
    let [ann, mut bob, mut cat] = gather(server.address, ["ann", "bob", "cat"]);
    let stuck = Peer::connect_narrow(server.address).named("stuck");
    introduce(&stuck, [&mut bob, &mut cat]);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..MANY {
                ann.say(counted_text(number, LARGE));
            }
        });
        for listener in [&mut bob, &mut cat] {
            scope.spawn(move || {
                for number in 0..MANY {
                    listener.expect("ann", counted_text(number, LARGE));
                }
            });
        }
    });
    server.wait_for("uringcast_disconnects_total{reason=\"stalled\"}");
    (server, stuck, ann, bob)
}

fn still_well(ann: &Peer, bob: &mut Peer) {
    ann.say("are you well?");
    bob.expect("ann", "are you well?");
}

fn closes_only_the_offender(setup: Setup, named: bool, offence: &[u8], why: &str, reason: Reason) {
    closes_only_the_offender_of(setup.config(), named, offence, why, reason);
}

/// Ann talks to Bob while another commits an offence, which it is told, and closed for.
fn closes_only_the_offender_of(
    config: Config,
    named: bool,
    offence: &[u8],
    why: &str,
    reason: Reason,
) {
    let server = Served::configured(config);
    let [mut ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let mut offender = Peer::connect(server.address);
    if named {
        offender = offender.named("eve");
        introduce(&offender, [&mut ann, &mut bob]);
    }
    ann.say("before");
    bob.expect("ann", "before");
    if named {
        offender.expect("ann", "before");
    }
    offender.write(offence);
    offender.expect_goodbye(why);
    ann.say("after");
    bob.expect("ann", "after");
    bob.say("indeed");
    ann.expect("bob", "indeed");
    drop((ann, bob, offender));
    let counters = server.end();
    let others = [Reason::Left, Reason::Shutdown].map(|reason| counters.closed[reason]);
    assert_eq!(counters.closed[reason], 1, "{counters:?}");
    assert_eq!(others.iter().sum::<u64>(), 2, "{counters:?}");
}

on_every_driver!(
    a_header_that_is_no_number_closes_its_sender,
    a_blank_header_closes_its_sender,
    a_header_with_a_space_inside_closes_its_sender,
    a_message_over_the_limit_closes_its_sender,
    a_name_over_the_limit_closes_its_sender,
    a_name_that_is_no_text_closes_its_sender,
    a_message_that_is_no_text_closes_its_sender,
    a_name_with_a_control_character_closes_its_sender,
    a_name_kept_for_the_server_closes_its_sender,
    an_unfinished_frame_closes_its_sender,
    having_no_name_closes_a_connection,
    what_came_before_a_fault_counts,
    a_reset_inside_a_frame_hurts_nobody_else,
    a_receiver_that_never_reads_is_closed,
    a_receiver_that_reads_too_late_has_a_beginning,
);
