//! `ws://`: the same client, lines that the server accepts, and connections that resume.

mod support;

use std::io::{Read as _, Write as _};

use rustix::process::Signal;
use serde_json::json;
use support::process::{Client, Finished, start};
use support::server::Scripted;
use support::websocket::{WebSocketPeer, at, url};
use tungstenite::Message;

const NAME: [&str; 2] = ["--name", "ann"];

fn ann(server: &Scripted, arguments: &[&str]) -> Client {
    start(url(server.address), &[&NAME, arguments].concat())
}

fn assert_done(finished: &Finished, stdout: &str) {
    let found = (finished.code, &finished.stdout[..], &finished.stderr[..]);
    assert_eq!(found, (Some(0), stdout, ""));
}

#[test]
fn lines_and_messages_go_both_ways_and_what_is_accepted_is_sent() {
    let server = Scripted::start();
    let mut client = ann(&server, &["--json"]);
    let mut peer = WebSocketPeer::ann(&server, 7);
    client.write(b"one\n\nth\"ree \xf0\x9f\xa6\x80");
    drop(client.stdin.take());
    peer.hears_line(1, "one");
    peer.hears_line(2, "");
    peer.hears_line(3, "th\"ree 🦀");
    peer.relay(8, "b\"ob", "h\u{7}i");
    for id in 1..=3 {
        peer.accepted(id, 8 + id);
    }
    peer.say(&json!({"type": "message", "position": at(12), "name": "bob", "base64": "b2v/"}));
    peer.say(&json!({"type": "weather", "text": "what servers learn to say later"}));
    peer.ends();
    let expected = [
        json!({"name": "b\"ob", "text": "h\u{7}i", "position": at(8)}),
        json!({"name": "bob", "text": "ok\u{fffd}", "position": at(12), "text_hex": "6f6bff"}),
    ];
    let finished = client.wait();
    let lines = finished.stdout.lines();
    let lines: Vec<serde_json::Value> = lines.map(|line| line.parse().unwrap()).collect();
    assert_eq!(lines, expected);
    assert_eq!((finished.code, &finished.stderr[..]), (Some(0), ""));
}

#[test]
fn lines_are_not_called_sent_unless_they_were_accepted() {
    let server = Scripted::start();
    let unaccepted = "client: 1 line sent but not accepted: may not have arrived\n";
    // All was read, and closing in order does not make up for it.
    for linger in ["200ms", "30s"] {
        let mut client = ann(&server, &["--linger", linger]);
        let mut peer = WebSocketPeer::ann(&server, 0);
        client.write(b"one\ntwo\n");
        peer.hears_line(1, "one");
        peer.hears_line(2, "two");
        peer.accepted(1, 1);
        if linger == "30s" {
            drop(client.stdin.take());
            peer.0.close(None).unwrap();
            while peer.0.read().is_ok() {}
            peer.cut();
        }
        let finished = client.finish();
        assert_eq!(finished.code, Some(1));
        assert!(finished.stderr.ends_with(unaccepted), "{}", finished.stderr);
    }
    // A signal does not, either.
    let mut client = ann(&server, &[]);
    let mut peer = WebSocketPeer::ann(&server, 0);
    client.write(b"one\n");
    peer.hears_line(1, "one");
    client.signal(Signal::TERM);
    let finished = client.wait();
    assert_eq!((finished.code, &finished.stderr[..]), (Some(1), unaccepted));
}

#[test]
fn the_reason_for_closing_is_shown_and_accepted_lines_stay_sent() {
    let server = Scripted::start();
    let closing = json!({"type": "closing", "reason": "server is shutting down"});
    let said = "*server* > closing: server is shutting down\n";
    let mut client = ann(&server, &[]);
    let mut peer = WebSocketPeer::ann(&server, 0);
    client.write(b"one\n");
    drop(client.stdin.take());
    peer.hears_line(1, "one");
    peer.accepted(1, 1);
    peer.say(&closing);
    peer.ends();
    let finished = client.wait();
    assert_eq!((finished.code, &finished.stderr[..]), (Some(0), said));
    // One that is not even let in has sent nothing, which is no success.
    let client = ann(&server, &[]);
    let mut peer = WebSocketPeer::accept(&server, &json!({"name": "ann"}));
    peer.say(&closing);
    let refused = client.finish();
    assert_eq!((refused.code, &refused.stderr[..]), (Some(1), said));
    // A client that wanted to stay has lost the server.
    let client = ann(&server, &["--no-send"]);
    let mut peer = WebSocketPeer::ann(&server, 0);
    peer.say(&closing);
    peer.0.close(None).unwrap();
    while peer.0.read().is_ok() {}
    peer.cut();
    let finished = client.wait();
    assert_eq!(finished.code, Some(1));
    let lost = format!(
        "client: lost {}: the server closed the connection\n",
        url(server.address)
    );
    assert_eq!(finished.stderr, [said, &lost].concat());
}

#[test]
fn a_connection_resumes_behind_the_last_message_and_only_unaccepted_lines_are_sent_again() {
    let server = Scripted::start();
    let mut client = ann(&server, &["--reconnect"]);
    let mut peer = WebSocketPeer::ann(&server, 7);
    client.write(b"one\ntwo\nthree\n");
    for (id, text) in [(1, "one"), (2, "two"), (3, "three")] {
        peer.hears_line(id, text);
    }
    // Behind the join lies an own line, then one of bob.
    peer.accepted(1, 8);
    peer.relay(9, "bob", "nine");
    // The message at 10 is not there yet.
    peer.accepted(2, 11);
    assert_eq!(client.line(), "bob > nine");
    peer.cut();
    assert!(
        client
            .error_line()
            .contains("the server closed the connection")
    );
    client.write(b"four\n");
    drop(client.stdin.take());
    let mut peer = WebSocketPeer::ann_again(&server, 9);
    peer.joined(9, true);
    peer.relay(10, "bob", "ten");
    peer.relay(11, "ann", "two");
    // Its namesake is another.
    peer.relay(12, "ann", "three");
    assert_eq!([client.line(), client.line()], ["bob > ten", "ann > three"]);
    peer.hears_line(3, "three");
    peer.hears_line(4, "four");
    peer.accepted(3, 13);
    // Cut once more, when all input was read.
    peer.cut();
    let mut peer = WebSocketPeer::ann_again(&server, 13);
    peer.joined(13, true);
    peer.hears_line(4, "four");
    peer.accepted(4, 14);
    peer.ends();
    let finished = client.wait();
    assert_eq!((finished.code, &finished.stdout[..]), (Some(0), ""));
    for said in [
        "again; sending the 2 lines kept",
        "again; sending the 1 line kept",
        "resumed: no message is missing",
    ] {
        assert!(finished.stderr.contains(said), "{}", finished.stderr);
    }
}

#[test]
fn what_is_missing_is_told_in_one_line() {
    let server = Scripted::start();
    let client = ann(&server, &["--reconnect", "--no-send"]);
    let mut peer = WebSocketPeer::ann(&server, 7);
    peer.say(&json!({"type": "missed", "messages": 17, "position": at(24)}));
    assert_eq!(
        client.error_line(),
        "*server* > skipped 17 messages: you were too far behind"
    );
    peer.cut();
    let mut peer = WebSocketPeer::ann_again(&server, 24);
    peer.joined(100, false);
    peer.relay(101, "bob", "recent");
    assert_eq!(client.line(), "bob > recent");
    client.signal(Signal::TERM);
    peer.ends();
    let finished = client.wait();
    assert_eq!(finished.code, Some(0));
    let told = finished
        .stderr
        .lines()
        .filter(|line| line.contains("missing"));
    assert_eq!(told.count(), 1, "{}", finished.stderr);
    assert!(
        finished.stderr.contains("not resumed: "),
        "{}",
        finished.stderr
    );
}

#[test]
fn who_is_there_is_told_as_in_frames_and_long_messages_are_skipped() {
    let server = Scripted::start();
    let client = ann(&server, &["--no-send", "--max-message-bytes", "8"]);
    let mut peer = WebSocketPeer::ann(&server, 0);
    for presence in [
        json!({"here": ["ann", "bob"]}),
        json!({"joined": "carl joined"}),
        json!({"left": "bob"}),
        json!({"count": 4512, "joins": 120, "leaves": 3}),
        json!({"moved": "bob"}),
    ] {
        let mut object = presence.clone();
        object["type"] = "presence".into();
        peer.say(&object);
    }
    peer.relay(1, "bob", &"x".repeat(100_000));
    peer.relay(2, "bob", "after");
    assert_eq!(client.line(), "bob > after");
    client.signal(Signal::TERM);
    peer.ends();
    let finished = client.wait();
    assert_eq!(finished.code, Some(0));
    assert_eq!(
        finished.stderr,
        "*server* > 2 here: ann, bob\n\
         *server* > carl joined joined\n\
         *server* > bob left\n\
         *server* > * 120 joined, 3 left, 4512 here\n\
         client: skipped a message of bob of 100000 bytes: over the limit of 8 (--max-message-bytes)\n"
    );
}

#[test]
fn pings_are_answered_and_fragments_are_put_together() {
    let server = Scripted::start();
    let client = ann(&server, &["--no-send", "--count", "1"]);
    let mut peer = WebSocketPeer::ann(&server, 0);
    let object =
        json!({"type": "message", "position": at(1), "name": "bob", "text": "hi"}).to_string();
    let (first, rest) = object.split_at(20);
    // By hand: the opcode, the length, the bytes; a ping lies between the two fragments.
    let mut bytes = vec![0x01, u8::try_from(first.len()).unwrap()];
    bytes.extend(first.bytes());
    bytes.extend([0x89, 1, b'!', 0x80, u8::try_from(rest.len()).unwrap()]);
    bytes.extend(rest.bytes());
    for byte in bytes {
        peer.0.get_mut().write_all(&[byte]).unwrap();
    }
    assert_eq!(peer.0.read().unwrap(), Message::Pong(b"!"[..].into()));
    peer.ends();
    assert_done(&client.wait(), "bob > hi\n");
}

#[test]
fn a_large_input_arrives_whole_and_in_order() {
    let server = Scripted::start();
    let lines = 20_000;
    let mut client = ann(&server, &[]);
    let mut stdin = client.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        for number in 0..lines {
            writeln!(stdin, "{number} {}", "x".repeat(number % 300)).unwrap();
        }
    });
    let mut peer = WebSocketPeer::ann(&server, 0);
    for number in 0..lines {
        let id = number as u64 + 1;
        peer.hears_line(id, &format!("{number} {}", "x".repeat(number % 300)));
        peer.accepted(id, id);
    }
    writer.join().unwrap();
    peer.ends();
    assert_done(&client.wait(), "");
}

#[test]
fn a_line_that_is_not_text_cannot_be_sent_even_raw() {
    let server = Scripted::start();
    let mut client = ann(&server, &["--raw"]);
    let mut peer = WebSocketPeer::ann(&server, 0);
    client.write(b"a\r\nb\xff\n");
    drop(client.stdin.take());
    peer.hears_line(1, "a\r");
    peer.accepted(1, 1);
    peer.ends();
    let finished = client.wait();
    assert_eq!(finished.code, Some(1));
    assert_eq!(
        finished.stderr,
        "client: line 2 not sent: not UTF-8 (byte 2); convert it, ws:// carries only text\n"
    );
}

#[test]
fn the_path_is_asked_for_and_a_refusal_is_one_line_with_what_the_server_says() {
    for (suffix, path) in [("", "/ws"), ("/", "/"), ("/ws/room?x=1", "/ws/room?x=1")] {
        let server = Scripted::start();
        let client = start(url(server.address) + suffix, &NAME);
        let mut peer = server.accept_any().0;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            peer.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(
            head.starts_with(&format!("GET {path} HTTP/1.1\r\n")),
            "{head}"
        );
        assert!(
            head.contains(&format!("\r\nHost: {}\r\n", server.address)),
            "{head}"
        );
        let answer = "HTTP/1.1 403 Forbidden\r\nContent-Length: 12\r\n\r\nask \x07 first\n";
        peer.write_all(answer.as_bytes()).unwrap();
        let finished = client.wait();
        assert_eq!((finished.code, &finished.stdout[..]), (Some(1), ""));
        assert_eq!(
            finished.stderr,
            format!(
                "client: cannot join {}{suffix}: 403 Forbidden: ask ^G first\n",
                url(server.address)
            )
        );
    }
}

#[test]
fn garbage_is_one_clear_line_and_exit_code_1() {
    let server = Scripted::start();
    let client = start(url(server.address), &NAME);
    let mut peer = server.accept_any();
    peer.relay("*server*", b"closing: header byte 1 is 'G'");
    peer.read_all();
    let finished = client.wait();
    assert_eq!((finished.code, &finished.stdout[..]), (Some(1), ""));
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    assert!(
        finished
            .stderr
            .contains("what answers does not speak WebSocket")
    );
    for (garbage, expected) in [
        (Message::text("hello"), "not a JSON object"),
        (Message::text(r#"{"type":"message"}"#), "missing field"),
        (Message::binary(&b"hello"[..]), "a message that is not text"),
    ] {
        let client = ann(&server, &[]);
        let mut peer = WebSocketPeer::ann(&server, 0);
        peer.0.send(garbage).unwrap();
        let finished = client.wait();
        assert_eq!((finished.code, &finished.stdout[..]), (Some(1), ""));
        assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
        assert!(finished.stderr.contains(expected), "{}", finished.stderr);
        assert!(finished.stderr.contains("does not speak the chat protocol"));
    }
}
