//! Messages come out as they went in, whatever their length and however their bytes were cut.

use server::Config;
use server::hub::ControlCharacters;

use crate::support::{Peer, Served, Setup, counted_text, gather, introduce};

fn messages_of_every_length_are_bit_equal(setup: Setup) {
    let server = Served::start(setup);
    let [ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let lengths = [
        0, 1, 9, 10, 11, 99, 100, 1023, 1024, 1025, 4096, 10_000, 65_516, 65_535, 65_536,
    ];
    for bytes in lengths {
        let text = counted_text(bytes, bytes);
        ann.say(&text);
        bob.expect("ann", &text);
    }
    drop((ann, bob));
    server.end();
}

fn messages_may_be_a_mebibyte_and_binary(setup: Setup) {
    let mut config: Config = setup.config();
    config.limits.message_bytes_max = 1 << 20;
    config.limits.binary = true;
    let server = Served::configured(config);
    let [ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let binary: Vec<u8> = (0..1 << 20)
        .map(|n: u32| n.to_le_bytes()[n as usize % 3])
        .collect();
    for bytes in [256, 70_000, 1 << 20] {
        ann.say(&binary[..bytes]);
        bob.expect("ann", &binary[..bytes]);
    }
    drop((ann, bob));
    server.end();
}

fn control_characters_are_replaced_refused_or_passed(setup: Setup) {
    const RAW: &str = "tab\t, line\n, \x1b[2J, \u{9b}31m, \x7f and \0";
    const REPLACED: &str = "tab\t, line\n, \u{fffd}[2J, \u{fffd}31m, \u{fffd} and \u{fffd}";
    for (choice, binary, relayed) in [
        (ControlCharacters::Replace, false, Some(REPLACED)),
        (ControlCharacters::Pass, false, Some(RAW)),
        (ControlCharacters::Refuse, true, Some(RAW)),
        (ControlCharacters::Refuse, false, None),
    ] {
        let mut config = setup.config();
        config.limits.control_characters = choice;
        config.limits.binary = binary;
        let server = Served::configured(config);
        let [mut ann, mut bob] = gather(server.address, ["ann", "bob"]);
        ann.say("Grüße\n");
        bob.expect("ann", "Grüße\n");
        ann.say(RAW);
        match relayed {
            Some(relayed) => bob.expect("ann", relayed),
            None => ann.expect_goodbye("message holds the control character \\u{1b}"),
        }
        drop((ann, bob));
        server.end();
    }
}

fn a_message_that_grows_over_the_limit_is_refused(setup: Setup) {
    let mut config = setup.config();
    config.limits.message_bytes_max = 10;
    let server = Served::configured(config);
    let [mut ann, mut bob] = gather(server.address, ["ann", "bob"]);
    ann.say("\0\0\0");
    bob.expect("ann", "\u{fffd}\u{fffd}\u{fffd}");
    ann.say("\0\0\0\0");
    ann.expect_goodbye("message of 12 bytes is over the limit of 10");
    drop((ann, bob));
    server.end();
}

fn input_may_come_byte_by_byte(setup: Setup) {
    let server = Served::start(setup);
    let [mut ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let mut slow = Peer::connect(server.address);
    slow.name = "slow".into();
    for byte in b"4         slow" {
        slow.write(&[*byte]);
        // A round through the server between any two bytes.
        ann.say("tick");
        bob.expect("ann", "tick");
    }
    introduce(&slow, [&mut ann, &mut bob]);
    for byte in [
        &b"3         one"[..],
        b"0         ",
        b"        10three four",
    ]
    .concat()
    {
        slow.write(&[byte]);
        ann.say("tick");
    }
    for text in ["one", "", "three four"] {
        ann.expect("slow", text);
    }
    ann.say("over");
    let (mut ticks, mut heard) = (0, Vec::new());
    loop {
        let message = bob.hear();
        match (&message.name[..], &message.text[..]) {
            ("ann", b"tick") => ticks += 1,
            ("ann", b"over") => break,
            ("slow", text) => heard.push(text.to_vec()),
            _ => panic!("{message:?}"),
        }
    }
    assert_eq!(ticks, 13 + 10 + 20);
    assert_eq!(heard, [&b"one"[..], b"", b"three four"]);
    drop((ann, bob, slow));
    server.end();
}

fn input_may_be_cut_anywhere(setup: Setup) {
    let server = Served::start(setup);
    let [ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let wire = b"3         cut4         left0                  5right";
    for cut in 0..=wire.len() {
        let (before, after) = wire.split_at(cut);
        let peer = Peer::connect(server.address);
        peer.write(before);
        ann.say("between");
        let earlier = bob.hear_until(&crate::support::said("ann", "between"));
        peer.write(after);
        let expected = [&b"left"[..], b"", b"right"];
        let later = (earlier.len()..expected.len()).map(|_| bob.hear());
        let mut heard = earlier.clone();
        heard.extend(later);
        let texts: Vec<_> = heard.iter().map(|message| &message.text[..]).collect();
        assert_eq!(texts, expected, "cut at {cut}");
        assert!(heard.iter().all(|message| message.name == "cut"));
    }
    drop((ann, bob));
    server.end();
}

fn a_name_and_many_messages_may_come_at_once(setup: Setup) {
    const MESSAGES: usize = 5000;
    let server = Served::start(setup);
    let [mut ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let mut wire = b"4         bulk".to_vec();
    for number in 0..MESSAGES {
        let text = number.to_string();
        wire.extend_from_slice(format!("{:<10}{text}", text.len()).as_bytes());
    }
    let bulk = Peer::connect(server.address);
    bulk.write(&wire);
    for listener in [&mut ann, &mut bob] {
        for number in 0..MESSAGES {
            listener.expect("bulk", number.to_string());
        }
    }
    drop((ann, bob, bulk));
    server.end();
}

on_every_driver!(
    messages_of_every_length_are_bit_equal,
    messages_may_be_a_mebibyte_and_binary,
    control_characters_are_replaced_refused_or_passed,
    a_message_that_grows_over_the_limit_is_refused,
    input_may_come_byte_by_byte,
    input_may_be_cut_anywhere,
    a_name_and_many_messages_may_come_at_once,
);
