//! WebSocket, events and publishing beside frames: one room, one order, whatever its members speak.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use server::hub::{SlowPolicy, Wire};

use crate::support::{
    Message, Peer, Reason, Requests, Served, Setup, UPGRADE, WebPeer, counted_text, gather, masked,
    post, said,
};

/// How many messages lie before a position; the rest of it is the same for all of a server.
fn number(position: &str) -> u64 {
    position.split_once('.').unwrap().1.parse().unwrap()
}

fn all_wires_are_in_one_room(setup: Setup) {
    let server = Served::start(setup);
    let mut web = WebPeer::join(server.address, "Jörg", None);
    assert_eq!(
        (&web.joined["name"], &web.joined["resumed"]),
        (&"Jörg".into(), &false.into())
    );
    let mut events = WebPeer::listen(server.address, "ear", None);
    let mut frames = Peer::connect(server.address).named("ann");
    frames.say("hello <b>\"all\"</b>");
    web.expect("ann", "hello <b>\"all\"</b>");
    events.expect("ann", "hello <b>\"all\"</b>");
    web.say("ä\n\u{1f980}", Some(7));
    frames.expect("Jörg", "ä\n\u{1f980}");
    let (heard, position) = events.hear_message();
    assert_eq!(heard, said("Jörg", "ä\n\u{1f980}"));
    let accepted = web.hear();
    assert_eq!(accepted["type"], "accepted");
    assert_eq!(
        (accepted["id"].as_u64(), accepted["position"].as_str()),
        (Some(7), Some(&*position))
    );
    let mut poster = Requests::connect(server.address);
    poster.write(&post("bot", "posted"));
    let answer = poster.answer();
    assert_eq!(answer.status, 202);
    let (heard, position) = web.hear_message();
    assert_eq!(
        (heard, answer.body),
        (
            said("bot", "posted"),
            format!("{{\"position\":\"{position}\"}}\n")
        )
    );
    frames.expect("bot", "posted");
    events.expect("bot", "posted");
    // A control frame between two fragments, and the answer to it.
    web.write(&masked(0x01, b"{\"text\":\"in "));
    web.write(&masked(0x89, b"?"));
    web.write(&masked(0x80, b"pieces\"}"));
    assert_eq!(web.frame(), (0x8a, b"?".to_vec()));
    frames.expect("Jörg", "in pieces");
    events.expect("Jörg", "in pieces");
    // Its close is echoed.
    web.write(&masked(0x88, &1000u16.to_be_bytes()));
    assert_eq!(web.frame(), (0x88, 1000u16.to_be_bytes().to_vec()));
    drop((web, events, frames, poster));
    let counters = server.end();
    let of = |wire| counters.wires[wire];
    assert_eq!(
        [Wire::Frames, Wire::WebSocket, Wire::Http].map(|it| of(it).messages),
        [1, 2, 1]
    );
    assert_eq!(
        [Wire::Frames, Wire::WebSocket, Wire::Events].map(|it| of(it).delivered),
        [3, 2, 4]
    );
}

/// All at once, of all wires.
fn all_receivers_see_one_order_whatever_they_speak(setup: Setup) {
    const MESSAGES: usize = 200;
    let server = Served::start(setup);
    let address = server.address;
    let mut frames = gather(address, ["f0", "f1"]);
    let mut webs = ["w0", "w1"].map(|name| WebPeer::join(address, name, None));
    let mut events = WebPeer::listen(address, "ear", None);
    let begin = Barrier::new(5);
    let text = |number: usize| String::from_utf8(counted_text(number, 50)).unwrap();
    // What each receiver heard, without what the receiver that is compared with it said.
    let mut heard: Vec<(&str, Vec<Message>)> = thread::scope(|scope| {
        let mut threads = Vec::new();
        let begin = &begin;
        for peer in &mut frames {
            threads.push(scope.spawn(move || {
                begin.wait();
                (0..MESSAGES).for_each(|number| peer.say(text(number)));
                let all = (0..4 * MESSAGES).map(|_| peer.hear()).collect();
                (if peer.name == "f0" { "f0" } else { "f1" }, all)
            }));
        }
        for (peer, name) in webs.iter_mut().zip(["w0", "w1"]) {
            threads.push(scope.spawn(move || {
                begin.wait();
                (0..MESSAGES).for_each(|number| peer.say(&text(number), None));
                (
                    name,
                    (0..4 * MESSAGES).map(|_| peer.hear_message().0).collect(),
                )
            }));
        }
        threads.push(scope.spawn(move || {
            let mut poster = Requests::connect(address);
            begin.wait();
            for number in 0..MESSAGES {
                poster.write(&post("bot", &text(number)));
                assert_eq!(poster.answer().status, 202);
            }
            ("bot", Vec::new())
        }));
        let threads = threads.into_iter();
        threads.map(|thread| thread.join().unwrap()).collect()
    });
    let first = number(events.joined["position"].as_str().unwrap());
    let mut order = Vec::new();
    for place in first + 1..=first + 5 * MESSAGES as u64 {
        let (message, position) = events.hear_message();
        assert_eq!(number(&position), place, "without a gap");
        order.push(message);
    }
    heard.retain(|(name, _)| *name != "bot");
    for (name, heard) in heard {
        let others: Vec<_> = order.iter().filter(|it| it.name != name).collect();
        assert!(heard.iter().eq(others), "{name} sees the order");
    }
    drop((frames, webs, events));
    server.end();
}

/// Clients whose connections are cut again and again, and who resume each time, see everything once.
fn who_resumes_misses_nothing_and_sees_nothing_twice(setup: Setup) {
    const CLIENTS: usize = 20;
    const CUTS: usize = 10;
    const MESSAGES: usize = 600;
    let mut config = setup.config();
    config.limits.history_messages = 10_000;
    let server = Served::configured(config);
    let address = server.address;
    let author = WebPeer::join(address, "author", None);
    let joined = Barrier::new(CLIENTS + 1);
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let joined = &joined;
            scope.spawn(move || {
                let name = format!("client{client}");
                let join = |after: Option<&str>| match client % 4 {
                    0 => WebPeer::listen(address, &name, after),
                    _ => WebPeer::join(address, &name, after),
                };
                let mut peer = join(None);
                let mut last = peer.joined["position"].as_str().unwrap().to_owned();
                joined.wait();
                for expected in 0..MESSAGES {
                    let (heard, position) = peer.hear_message();
                    assert_eq!(heard, said("author", expected.to_string()), "{name}");
                    last = position;
                    if (expected + client) % (MESSAGES / CUTS) == 0 {
                        peer.reset();
                        peer = join(Some(&last));
                        assert_eq!(peer.joined["resumed"], true, "{name}");
                        assert_eq!(peer.joined["position"], *last);
                    }
                }
                let _ = last;
            });
        }
        joined.wait();
        (0..MESSAGES).for_each(|number| author.say(&number.to_string(), None));
    });
    drop(author);
    server.end();
}

fn a_position_of_another_life_or_too_old_is_answered_honestly(setup: Setup) {
    let mut config = setup.config();
    config.limits.history_messages = 2;
    let server = Served::configured(config);
    let mut ear = WebPeer::listen(server.address, "ear", None);
    let mut poster = Requests::connect(server.address);
    for text in ["1", "2", "3"] {
        poster.write(&post("bot", text));
        assert_eq!(poster.answer().status, 202);
        ear.expect("bot", text);
    }
    let begin = ear.joined["position"].as_str().unwrap().to_owned();
    let foreign = "0123456789abcdef.1";
    for after in [&begin, foreign, "what?"] {
        let mut late = WebPeer::join(server.address, "late", Some(after));
        assert_eq!(late.joined["resumed"], false, "{after}");
        late.expect("bot", "2");
        late.expect("bot", "3");
    }
    drop((ear, poster));
    server.end();
}

fn faults_are_answered_with_the_codes_of_websocket(setup: Setup) {
    let mut config = setup.config();
    config.limits.message_bytes_max = 100;
    let server = Served::configured(config);
    let address = server.address;
    let [ann, mut bob] = gather(address, ["ann", "bob"]);
    let too_long = format!("{{\"text\":\"{}\"}}", "x".repeat(101));
    let invalid = masked(0x81, b"\"\xff");
    let cases: [(Vec<u8>, &str, u16); 4] = [
        (
            vec![0x81, 2, b'{', b'}'],
            "WebSocket frame is not masked; clients mask what they send",
            1002,
        ),
        (
            masked(0x81, too_long.as_bytes()),
            "message of 101 bytes is over the limit of 100",
            1009,
        ),
        (invalid, "WebSocket text is not UTF-8", 1007),
        (
            masked(0x81, b"{}"),
            "a message has a text: {\"text\":\"hi\"}",
            1002,
        ),
    ];
    for (offence, why, code) in cases {
        let mut offender = WebPeer::join(address, "offender", None);
        offender.write(&offence);
        offender.expect_closing(why, code);
    }
    let mut requests = Requests::connect(address);
    requests.write(&post("bot", &"x".repeat(101)));
    assert_eq!(requests.answer().status, 413);
    assert!(requests.is_at_its_end());
    ann.say("still here");
    bob.expect("ann", "still here");
    drop((ann, bob));
    let counters = server.end();
    assert_eq!(counters.closed[Reason::TooLong], 2);
}

fn one_of_websocket_that_skips_is_told_how_much(setup: Setup) {
    const MESSAGES: usize = 120;
    const MESSAGE_BYTES: usize = 32 * 1024;
    let mut config = setup.config();
    config.limits.message_bytes_max = MESSAGE_BYTES;
    config.limits.lag_bytes_max = Some(4 * MESSAGE_BYTES as u64);
    config.limits.slow_policy = SlowPolicy::Skip;
    config.metrics_listen = Some(([127, 0, 0, 1], 0).into());
    let server = Served::configured(config);
    let [ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let narrow = Peer::connect_narrow(server.address).into_socket();
    let mut slow = WebPeer::join_over(narrow, "slow", None);
    for number in 0..MESSAGES {
        ann.say(counted_text(number, MESSAGE_BYTES));
        bob.expect("ann", counted_text(number, MESSAGE_BYTES));
    }
    server.wait_for("uringcast_deliveries_discarded_total{reason=\"skipped\"}");
    ann.say("new");
    let first = number(slow.joined["position"].as_str().unwrap());
    let (mut heard, mut missed) = (0, 0);
    loop {
        let object = slow.hear();
        match object["type"].as_str().unwrap() {
            "missed" => missed += object["messages"].as_u64().unwrap(),
            _ => heard += 1,
        }
        let place = number(object["position"].as_str().unwrap());
        assert_eq!(place, first + heard + missed, "where it stands");
        // The new one is missed, too, if it is let go once more.
        if heard + missed > MESSAGES as u64 {
            break;
        }
    }
    assert!(missed > 0);
    assert_eq!(heard + missed, MESSAGES as u64 + 1);
    drop((ann, bob, slow));
    server.end();
}

fn one_of_websocket_that_takes_nothing_is_sent_away(setup: Setup) {
    const MESSAGE_BYTES: usize = 32 * 1024;
    let mut config = setup.config();
    config.limits.lag_bytes_max = Some(4 * MESSAGE_BYTES as u64);
    config.metrics_listen = Some(([127, 0, 0, 1], 0).into());
    let server = Served::configured(config);
    let [ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let narrow = Peer::connect_narrow(server.address).into_socket();
    let stuck = WebPeer::join_over(narrow, "stuck", None);
    for number in 0..120 {
        ann.say(counted_text(number, MESSAGE_BYTES));
        bob.expect("ann", counted_text(number, MESSAGE_BYTES));
    }
    server.wait_for("uringcast_disconnects_total{reason=\"too_far_behind\"}");
    drop((ann, bob, stuck));
    let counters = server.end();
    assert_eq!(counters.closed[Reason::TooFarBehind], 1, "{counters:?}");
}

/// One floods with pings and takes no pong; the room goes on, and it is told the last one later.
fn a_flood_of_pings_holds_nobody_up(setup: Setup) {
    const PINGS: u32 = 20_000;
    let server = Served::start(setup);
    let [ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let mut flooder = WebPeer::join(server.address, "flooder", None);
    let socket: TcpStream = flooder.socket().try_clone().unwrap();
    let flood = thread::spawn(move || {
        for number in 0..PINGS {
            (&socket)
                .write_all(&masked(0x89, &number.to_be_bytes()))
                .unwrap();
        }
    });
    for number in 0..200 {
        ann.say(counted_text(number, 100));
        bob.expect("ann", counted_text(number, 100));
    }
    flood.join().unwrap();
    let mut messages = 0;
    loop {
        let (first, payload) = flooder.frame();
        if first == 0x8a && payload == (PINGS - 1).to_be_bytes() {
            break;
        }
        messages += u32::from(first == 0x81);
    }
    while messages < 200 {
        flooder.hear_message();
        messages += 1;
    }
    drop((ann, bob, flooder));
    server.end();
}

/// Requests are answered in their order, many in one read or one after the other.
fn a_publisher_keeps_its_connection(setup: Setup) {
    const POSTS: usize = 500;
    let server = Served::start(setup);
    let mut ear = WebPeer::listen(server.address, "ear", None);
    let mut poster = Requests::connect(server.address);
    let all: String = (0..POSTS)
        .map(|number| post("bot", &number.to_string()))
        .collect();
    let answers = thread::scope(|scope| {
        let hears = scope.spawn(|| {
            let heard = (0..POSTS).map(|number| {
                let (message, position) = ear.hear_message();
                assert_eq!(message, said("bot", number.to_string()));
                position
            });
            heard.collect::<Vec<_>>()
        });
        poster.write(&all);
        let answers: Vec<_> = (0..POSTS).map(|_| poster.answer()).collect();
        for (answer, position) in answers.iter().zip(hears.join().unwrap()) {
            assert_eq!(answer.body, format!("{{\"position\":\"{position}\"}}\n"));
        }
        answers
    });
    assert!(answers.iter().all(|answer| answer.status == 202));
    poster.write(&post("bot", "last").replace("Host: h", "Host: h\r\nConnection: close"));
    assert_eq!(poster.answer().status, 202);
    assert!(poster.is_at_its_end());
    ear.expect("bot", "last");
    drop(ear);
    let counters = server.end();
    assert_eq!(counters.closed[Reason::Answered], 1);
}

fn half_a_handshake_has_a_deadline(setup: Setup) {
    let mut config = setup.config();
    config.limits.handshake_timeout = Duration::from_millis(300);
    let server = Served::configured(config);
    let [ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let mut half = Requests::connect(server.address);
    half.write(&format!("GET /ws HTTP/1.1\r\nHost: h\r\n{UPGRADE}"));
    assert_eq!(half.answer().status, 408);
    assert!(half.is_at_its_end());
    // One that was upgraded, and does not say who it is.
    let mut nameless = Requests::connect(server.address);
    nameless.write(&format!("GET /ws HTTP/1.1\r\nHost: h\r\n{UPGRADE}\r\n"));
    assert_eq!(nameless.answer().status, 101);
    ann.say("hi");
    bob.expect("ann", "hi");
    drop((ann, bob));
    let counters = server.end();
    assert!(counters.closed[Reason::Timeout] >= 1);
}

fn one_for_whom_there_is_no_place_is_told_in_its_own_words(setup: Setup) {
    let mut config = setup.config();
    config.limits.clients_max = Some(1);
    let server = Served::configured(config);
    let ann = WebPeer::join(server.address, "ann", None);
    const WHY: &str = "server is full (1 clients); try again later";
    let mut poster = Requests::connect(server.address);
    poster.write(&post("bot", "hi"));
    let answer = poster.answer();
    assert_eq!((answer.status, answer.body.trim_end()), (503, WHY));
    let mut frames = Peer::connect(server.address).named("bob");
    frames.expect_goodbye(WHY);
    let mut silent = Peer::connect(server.address);
    silent.expect_goodbye(WHY);
    let mut web = Requests::connect(server.address);
    web.write(&format!(
        "GET /ws?name=carl HTTP/1.1\r\nHost: h\r\n{UPGRADE}\r\n"
    ));
    assert_eq!(web.answer().status, 101);
    drop((ann, poster, frames, silent, web));
    let counters = server.end();
    assert_eq!(counters.closed[Reason::Full], 4, "{counters:?}");
}

fn draining_tells_each_in_its_own_words(setup: Setup) {
    let server = Served::start(setup);
    let mut web = WebPeer::join(server.address, "web", None);
    let mut events = WebPeer::listen(server.address, "ear", None);
    let mut poster = Requests::connect(server.address);
    web.say("last", Some(1));
    events.expect("web", "last");
    assert_eq!(web.hear()["type"], "accepted");
    poster.write(&post("bot", "hi"));
    assert_eq!(poster.answer().status, 202);
    web.expect("bot", "hi");
    events.expect("bot", "hi");
    server.drain();
    let why = "server is shutting down";
    web.expect_closing(why, 1001);
    events.expect_closing(why, 1001);
    assert!(poster.is_at_its_end(), "it asked for nothing");
    web.close_half();
    drop((web, events, poster));
    server.end();
}

fn one_that_is_sent_nothing_is_pinged(setup: Setup) {
    let mut config = setup.config();
    config.limits.websocket_ping = Duration::from_millis(100);
    let server = Served::configured(config);
    let mut web = WebPeer::join(server.address, "web", None);
    for _ in 0..3 {
        assert_eq!(web.frame(), (0x89, Vec::new()));
        web.write(&masked(0x8a, b""));
    }
    web.say("still here", Some(1));
    loop {
        let (first, payload) = web.frame();
        if first == 0x81 {
            assert!(payload.starts_with(b"{\"type\":\"accepted\""));
            break;
        }
    }
    drop(web);
    server.end();
}

on_every_driver!(
    all_wires_are_in_one_room,
    all_receivers_see_one_order_whatever_they_speak,
    who_resumes_misses_nothing_and_sees_nothing_twice,
    a_position_of_another_life_or_too_old_is_answered_honestly,
    faults_are_answered_with_the_codes_of_websocket,
    one_of_websocket_that_skips_is_told_how_much,
    one_of_websocket_that_takes_nothing_is_sent_away,
    a_flood_of_pings_holds_nobody_up,
    a_publisher_keeps_its_connection,
    half_a_handshake_has_a_deadline,
    one_for_whom_there_is_no_place_is_told_in_its_own_words,
    draining_tells_each_in_its_own_words,
    one_that_is_sent_nothing_is_pinged,
);
