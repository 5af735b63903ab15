//! The client in a pipe: exact output, exact exit codes.

mod support;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use support::process::{Finished, command, start};
use support::server::{Scripted, Tutorial, frame};

#[test]
fn lines_of_one_client_are_json_objects_of_the_other() {
    let server = Tutorial::start();
    let receiver = start(server.address, &["--name", "r", "--json", "--count", "2"]);
    server.joined("r");
    let mut sender = start(server.address, &["--name", "x", "--idle-exit", "1s"]);
    sender.write(b"a\nb\n");
    let sent = sender.finish();
    assert_eq!(
        (sent.code, &sent.stdout[..], &sent.stderr[..]),
        (Some(0), "", "")
    );
    let received = receiver.wait();
    assert_eq!(
        received.stdout,
        "{\"name\":\"x\",\"text\":\"a\"}\n{\"name\":\"x\",\"text\":\"b\"}\n"
    );
    assert_eq!((received.code, &received.stderr[..]), (Some(0), ""));
}

#[test]
fn the_end_of_input_is_the_end_and_every_line_arrived_before_it() {
    let server = Tutorial::start();
    let mut peer = server.peer("tutorial");
    let mut client = start(server.address, &["--name", "x"]);
    server.joined("x");
    client.write(b"one\n\nthree");
    let finished = client.finish();
    assert_eq!(finished.code, Some(0));
    for text in ["one", "", "three"] {
        server.said("x", text);
        assert_eq!([peer.read(), peer.read()], ["x", text]);
    }
    server.left("x");
}

#[test]
fn the_server_is_told_of_the_end_and_its_last_words_are_shown() {
    let server = Scripted::start();
    let mut client = start(server.address, &["--name", "x"]);
    let mut peer = server.accept("x");
    client.write(b"bye\n");
    drop(client.stdin.take());
    assert_eq!(peer.read(), "bye");
    peer.read_end();
    peer.relay("ann", b"bye x");
    peer.close();
    let finished = client.wait();
    assert_eq!(
        (finished.code, &finished.stdout[..], &finished.stderr[..]),
        (Some(0), "ann > bye x\n", "")
    );
}

#[test]
fn lines_are_not_called_sent_unless_the_server_takes_leave() {
    let linger = ["--name", "x", "--linger", "200ms"];
    let in_doubt = |finished: Finished, expected: &str| {
        assert_eq!(finished.code, Some(1), "{}", finished.stderr);
        assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
        assert!(finished.stderr.ends_with(expected), "{}", finished.stderr);
    };
    let server = Scripted::start();
    // The server's kernel takes everything, and the server itself never even accepts.
    let mut client = start(server.address, &linger);
    client.write(b"one\ntwo\n");
    let late = "(--linger): of the 2 lines sent, the last may not have arrived\n";
    in_doubt(client.finish(), late);
    let mut unread = server.accept_any();
    // It stops reading after the name.
    let mut client = start(server.address, &linger);
    client.write(b"one\ntwo\n");
    let peer = server.accept("x");
    in_doubt(client.finish(), late);
    // It ends with something unread, as when it is killed: a reset.
    let mut client = start(server.address, &["--name", "x"]);
    client.write(b"unread\n");
    drop(client.stdin.take());
    let reset = server.accept("x");
    reset.0.peek(&mut [0; 16]).unwrap();
    drop(reset);
    let lost = "Connection reset by peer (os error 104); the line sent may not have arrived\n";
    in_doubt(client.wait(), lost);
    // It closes before we do, whatever it has read.
    let mut client = start(server.address, &["--name", "x"]);
    client.write(b"one\n");
    let mut early = server.accept("x");
    assert_eq!(early.read(), "one");
    early.close();
    let closed = "the server closed the connection; the line sent may not have arrived\n";
    in_doubt(client.wait(), closed);
    // Where nothing was sent, nothing can be lost.
    let silent = start(server.address, &linger);
    let _unread = server.accept("x");
    let finished = silent.finish();
    assert_eq!((finished.code, &finished.stderr[..]), (Some(0), ""));
    assert_eq!(unread.read(), "x");
    drop(peer);
}

#[test]
fn a_signal_does_not_call_lines_sent_either() {
    let server = Scripted::start();
    let mut client = start(server.address, &["--name", "x", "--linger", "200ms"]);
    let mut peer = server.accept("x");
    client.write(b"one\n");
    assert_eq!(peer.read(), "one");
    client.signal(Signal::TERM);
    let finished = client.wait();
    assert_eq!(finished.code, Some(1));
    assert!(
        finished
            .stderr
            .ends_with("the line sent may not have arrived\n"),
        "{}",
        finished.stderr
    );
}

#[test]
fn time_in_which_the_client_was_stopped_is_not_the_servers() {
    let server = Scripted::start();
    let mut client = start(server.address, &["--name", "x", "--linger", "2s"]);
    let mut peer = server.accept("x");
    client.write(b"one\n");
    drop(client.stdin.take());
    assert_eq!(peer.read(), "one");
    peer.read_end();
    client.stop();
    // Longer than it lingers: the time is what is tested.
    std::thread::sleep(Duration::from_millis(2500));
    peer.relay("ann", b"meanwhile");
    client.signal(Signal::CONT);
    assert_eq!(client.line(), "ann > meanwhile");
    peer.close();
    let finished = client.wait();
    assert_eq!((finished.code, &finished.stderr[..]), (Some(0), ""));
}

#[test]
fn a_large_input_arrives_whole_and_in_order() {
    let server = Scripted::start();
    let mut client = start(server.address, &["--name", "x"]);
    let mut peer = server.accept("x");
    let mut stdin = client.stdin.take().unwrap();
    let lines = 20_000;
    let writer = std::thread::spawn(move || {
        for number in 0..lines {
            writeln!(stdin, "{number} {}", "x".repeat(number % 300)).unwrap();
        }
    });
    for number in 0..lines {
        assert_eq!(
            peer.read(),
            format!("{number} {}", "x".repeat(number % 300))
        );
    }
    writer.join().unwrap();
    peer.read_end();
    peer.close();
    assert_eq!(client.finish().code, Some(0));
}

#[test]
fn messages_are_lines_and_cannot_pretend_to_be_two() {
    let server = Scripted::start();
    let client = start(server.address, &["--name", "x", "--count", "6"]);
    let mut peer = server.accept("x");
    peer.relay("＊server＊", b"closing: pay first");
    peer.relay("\u{ad}*server*", "\u{3164}\u{e0061}\u{2028}".as_bytes());
    peer.relay("ann", b"hello");
    peer.relay("ann", b"one\nbob > two");
    peer.relay("b\x1b[2Jb", "tab\t \u{9b}\u{202e}日本\u{7f}".as_bytes());
    peer.relay("ann", b"not text: \xff\xfe");
    let finished = client.wait();
    assert_eq!(
        finished.stdout,
        "<U+FF0A>server<U+FF0A> > closing: pay first\n\
         <U+00AD><U+002A>server<U+002A> > <U+3164><U+E0061><U+2028>\n\
         ann > hello\n\
         ann > one^Jbob > two\n\
         b^[[2Jb > tab\t <U+009B><U+202E>日本^?\n\
         ann > not text: <FF><FE>\n"
    );
    assert_eq!(finished.code, Some(0));
}

/// What a client with `arguments` writes of messages, which are names and texts.
fn shown(arguments: &[&str], messages: &[(&str, &[u8])]) -> Vec<String> {
    let server = Scripted::start();
    let count = messages.len().to_string();
    let common = ["--name", "x", "--count", &count];
    let client = start(server.address, &[&common, arguments].concat());
    let mut peer = server.accept("x");
    for (name, text) in messages {
        peer.relay(name, text);
    }
    let finished = client.wait();
    assert_eq!((finished.code, &finished.stderr[..]), (Some(0), ""));
    finished.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn ordinary_text_is_left_alone_and_what_acts_or_hides_is_written_out() {
    let ordinary = [
        "hello",
        "Grüße",
        "日本語",
        "葛\u{e0100}",
        "🦀 👩‍👩‍👧 ❤\u{fe0f}\u{200d}🔥 1\u{fe0f}\u{20e3}",
        "e\u{301}",
        "سلام",
        "می\u{200c}خواهم",
        "a\tb",
    ];
    let written_out: [(&[u8], &str); _] = [
        (b"\x1b[2J\x07", "^[[2J^G"),
        (b"a\r\nb\x7f\0", "a^M^Jb^?^@"),
        ("\u{9b}31m".as_bytes(), "<U+009B>31m"),
        ("\u{202e}evil\u{2066}".as_bytes(), "<U+202E>evil<U+2066>"),
        (b"ok\xff\xc3", "ok<FF><C3>"),
        (
            "a\u{ad}b\u{3164}c\u{2028}d\u{e0061}e\u{200d}f\u{2800}g\u{fe0f}".as_bytes(),
            "a<U+00AD>b<U+3164>c<U+2028>d<U+E0061>e<U+200D>f<U+2800>g<U+FE0F>",
        ),
        // A joiner with nothing to join makes a second name of one.
        ("日\u{200d}".as_bytes(), "日<U+200D>"),
        ("日\u{200d}\u{200d}本".as_bytes(), "日<U+200D><U+200D>本"),
    ];
    let ordinary = ordinary.map(|text| (text.as_bytes(), text));
    let all = [&ordinary[..], &written_out].concat();
    let messages: Vec<(&str, &[u8])> = all.iter().map(|(text, _)| ("ann", *text)).collect();
    let lines = shown(&[], &messages);
    for (line, (_, expected)) in lines.iter().zip(&all) {
        assert_eq!(*line, format!("ann > {expected}"));
    }
}

#[test]
fn no_name_looks_like_the_servers() {
    let names = [
        ("\u{2800}*server*", "<U+2800><U+002A>server<U+002A>"),
        ("\u{301}*server*", "<U+0301><U+002A>server<U+002A>"),
        (
            "\u{3000} ⁎ѕerver⁎",
            "<U+3000> <U+204E><U+0455>erver<U+204E>",
        ),
        ("\u{ad}\x1b✱x", "<U+00AD>^<U+005B><U+2731>x"),
        ("a\tb", "a^Ib"),
        ("a*b", "a*b"),
        ("server", "server"),
        ("ann ＊", "ann ＊"),
        ("日本", "日本"),
        ("", ""),
    ];
    let lines = shown(&[], &names.map(|(name, _)| (name, &b"hi"[..])));
    for (line, (_, expected)) in lines.iter().zip(names) {
        assert_eq!(*line, format!("{expected} > hi"));
    }
}

#[test]
fn json_is_as_documented() {
    let lines = shown(
        &["--json"],
        &[
            ("ann", b"hi"),
            ("a\"b", b"tab\there\n"),
            ("x", b"ok\xff"),
            ("x", "\u{9b}2J\u{7f}\u{202e}".as_bytes()),
            ("x", "\u{e0061}".as_bytes()),
        ],
    );
    let expected = [
        r#"{"name":"ann","text":"hi"}"#,
        r#"{"name":"a\"b","text":"tab\there\n"}"#,
        "{\"name\":\"x\",\"text\":\"ok\u{fffd}\",\"text_hex\":\"6f6bff\"}",
        r#"{"name":"x","text":"\u009b2J\u007f\u202e"}"#,
        r#"{"name":"x","text":"\udb40\udc61"}"#,
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_name_keeps_its_colour_for_ever_and_names_spread_over_all_colours() {
    let users: Vec<String> = (0..200).map(|number| format!("user{number}")).collect();
    let names = ["ann", "bob", "cid"].into_iter();
    let names = names.chain(users.iter().map(String::as_str));
    let messages: Vec<(&str, &[u8])> = names.map(|name| (name, &b"hi"[..])).collect();
    let lines = shown(&["--color", "always"], &messages);
    // Pinned: a change would recolour everybody between two versions.
    let pinned = [
        "\x1b[32mann\x1b[0m > hi",
        "\x1b[32mbob\x1b[0m > hi",
        "\x1b[34mcid\x1b[0m > hi",
    ];
    assert_eq!(lines[..3], pinned);
    let colours = lines.iter().filter_map(|line| line.split_once('m'));
    let colours: BTreeSet<&str> = colours.map(|(colour, _)| colour).collect();
    assert_eq!(colours.len(), 10);
}

#[test]
fn raw_is_bytes_as_they_are_both_ways() {
    let server = Scripted::start();
    let mut command = command();
    command.args(["--addr", &server.address.to_string(), "--name", "x"]);
    command.args(["--raw", "--count", "1"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut peer = server.accept("x");
    child
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"\xff\x00\r\n")
        .unwrap();
    let mut wire = [0; 13];
    std::io::Read::read_exact(&mut peer.0, &mut wire).unwrap();
    assert_eq!(wire[..], frame(b"\xff\x00\r"));
    peer.relay("ann", b"\x1b[31m\xff");
    peer.read_end();
    peer.close();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"ann > \x1b[31m\xff\n");
}

#[test]
fn timestamps_come_first_in_both_formats() {
    let server = Scripted::start();
    let shape = |line: &str| line.replace(|c: char| c.is_ascii_digit(), "0");
    for (format, expected) in [
        (
            &["--timestamps"][..],
            "0000-00-00T00:00:00.000+00:00 ann > hi",
        ),
        (
            &["--timestamps", "--json"],
            r#"{"time":"0000-00-00T00:00:00.000+00:00","name":"ann","text":"hi"}"#,
        ),
    ] {
        let arguments = [&["--name", "x", "--count", "1"], format].concat();
        let client = start(server.address, &arguments);
        server.accept("x").relay("ann", b"hi");
        assert_eq!(shape(client.wait().stdout.trim_end()), expected);
    }
}

#[test]
fn colours_reach_a_pipe_only_when_asked_for() {
    let server = Scripted::start();
    for (color, coloured) in [("auto", false), ("never", false), ("always", true)] {
        let client = start(
            server.address,
            &["--name", "x", "--count", "1", "--color", color],
        );
        server.accept("x").relay("ann", b"hi");
        assert_eq!(client.wait().stdout.contains('\x1b'), coloured, "{color}");
    }
}

#[test]
fn a_frame_over_the_limit_is_skipped_with_a_notice() {
    let server = Scripted::start();
    let client = start(
        server.address,
        &["--name", "x", "--count", "2", "--max-message-bytes", "8"],
    );
    let mut peer = server.accept("x");
    peer.relay("ann", b"before");
    peer.relay("ann", &[b'x'; 100_000]);
    peer.relay("a long name", b"lost");
    peer.relay("a long name", &[b'x'; 100_000]);
    peer.relay("ann", b"after");
    let finished = client.wait();
    assert_eq!(finished.stdout, "ann > before\nann > after\n");
    assert_eq!(
        finished.stderr,
        "client: skipped a message of ann of 100000 bytes: over the limit of 8 (--max-message-bytes)\n\
         client: skipped somebody with a name of 11 bytes: over the limit of 8 (--max-message-bytes)\n\
         client: skipped somebody with a name of 11 bytes: over the limit of 8 (--max-message-bytes)\n"
    );
    assert_eq!(finished.code, Some(0));
}

#[test]
fn lines_that_cannot_be_sent_are_named_and_fail_the_run() {
    let server = Tutorial::start();
    let mut client = start(server.address, &["--name", "x", "--max-message-bytes", "8"]);
    server.joined("x");
    client.write(b"fine\r\nmuch too long\nbad \xff\nfine too\n");
    let finished = client.finish();
    server.said("x", "fine");
    server.said("x", "fine too");
    server.left("x");
    assert_eq!(finished.code, Some(1));
    assert_eq!(
        finished.stderr,
        "client: line 2 not sent: 13 bytes are over the limit of 8 (--max-message-bytes)\n\
         client: line 3 not sent: not UTF-8 (byte 5); convert it, or send it as it is with --raw\n"
    );
}

#[test]
fn garbage_is_one_clear_line_and_exit_code_1() {
    for (garbage, expected) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            "header byte 1 is 'H'",
        ),
        (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            "header byte 1 is '\\x16'",
        ),
        (b"          ", "announces no length"),
        (b"3         ann-5        hello", "header byte 1 is '-'"),
    ] {
        let server = Scripted::start();
        let client = start(server.address, &["--name", "x"]);
        let mut peer = server.accept("x");
        peer.write(garbage);
        let finished = client.wait();
        assert_eq!((finished.code, &finished.stdout[..]), (Some(1), ""));
        assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
        assert!(finished.stderr.contains(expected), "{}", finished.stderr);
        assert!(finished.stderr.contains("does not speak the chat protocol"));
    }
}

#[test]
fn a_lost_server_is_exit_code_1_and_what_was_received_is_there() {
    for (last, expected) in [
        (&b""[..], "the server closed the connection\n"),
        (
            b"3         bob9         cut",
            "in the middle of a message\n",
        ),
        (b"3         bob", "in the middle of a message\n"),
    ] {
        let server = Scripted::start();
        let client = start(server.address, &["--name", "x"]);
        let mut peer = server.accept("x");
        peer.relay("ann", b"last words");
        peer.write(last);
        peer.close();
        let finished = client.wait();
        assert_eq!(
            (finished.code, &finished.stdout[..]),
            (Some(1), "ann > last words\n")
        );
        assert!(finished.stderr.ends_with(expected), "{}", finished.stderr);
    }
}

#[test]
fn what_the_server_says_goes_to_standard_error() {
    let server = Scripted::start();
    let client = start(server.address, &["--name", "x"]);
    let mut peer = server.accept("x");
    peer.relay("*server*", b"closing: name is taken\x07");
    assert_eq!(client.error_line(), "*server* > closing: name is taken^G");
    peer.close();
    let finished = client.wait();
    assert_eq!((finished.code, &finished.stdout[..]), (Some(1), ""));
}

#[test]
fn a_server_that_refuses_the_last_line_fails_the_run() {
    let server = Scripted::start();
    let mut client = start(server.address, &["--name", "x"]);
    let mut peer = server.accept("x");
    client.write(b"too long for this server\n");
    drop(client.stdin.take());
    assert_eq!(peer.read(), "too long for this server");
    peer.relay(
        "*server*",
        b"closing: message of 24 bytes is over the limit of 8",
    );
    peer.read_end();
    peer.close();
    let finished = client.wait();
    assert_eq!(finished.code, Some(1));
    assert_eq!(
        finished.stderr,
        "*server* > closing: message of 24 bytes is over the limit of 8\n"
    );
}

#[test]
fn no_send_leaves_standard_input_alone_and_stays_until_it_is_told() {
    let server = Tutorial::start();
    let mut peer = server.peer("peer");
    let mut client = start(server.address, &["--name", "x", "--no-send"]);
    server.joined("x");
    client.write(b"unread\n");
    drop(client.stdin.take());
    peer.send(b"still there?");
    server.said("peer", "still there?");
    assert_eq!(client.line(), "peer > still there?");
    client.signal(Signal::TERM);
    let finished = client.wait();
    assert_eq!((finished.code, &finished.stderr[..]), (Some(0), ""));
    server.left("x");
}

#[test]
fn an_interrupt_is_told_from_an_ordinary_end() {
    let server = Tutorial::start();
    let client = start(server.address, &["--name", "x", "--no-send"]);
    server.joined("x");
    client.signal(Signal::INT);
    assert_eq!(client.wait().code, Some(130));
    server.left("x");
}

#[test]
fn idle_exit_counts_from_the_last_message() {
    let server = Tutorial::start();
    let mut peer = server.peer("peer");
    let client = start(server.address, &["--name", "x", "--idle-exit", "1.5s"]);
    server.joined("x");
    let began = std::time::Instant::now();
    for text in ["1", "2", "3"] {
        std::thread::sleep(Duration::from_millis(600)); // Traffic, not synchronisation.
        peer.send(text.as_bytes());
        assert_eq!(client.line(), format!("peer > {text}"));
    }
    let finished = client.wait();
    assert_eq!(finished.code, Some(0));
    assert!(began.elapsed().as_millis() >= 3300, "{:?}", began.elapsed());
}

#[test]
fn a_reader_that_has_enough_ends_the_client_quietly() {
    let server = Scripted::start();
    let script = format!(
        "{} --addr {} --name x --no-send | head -n 1",
        env!("CARGO_BIN_EXE_client"),
        server.address
    );
    let shell = Command::new("sh")
        .args(["-c", &script])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut peer = server.accept("x");
    peer.relay("ann", b"first");
    // `head` is gone now; the client notices without another message.
    peer.read_end();
    peer.close();
    let output = shell.wait_with_output().unwrap();
    assert_eq!(
        (&output.stdout[..], &output.stderr[..]),
        (&b"ann > first\n"[..], &b""[..])
    );
}

#[test]
fn an_endless_input_does_not_keep_a_client_that_has_its_count() {
    let server = Scripted::start();
    let mut client = start(server.address, &["--name", "x", "--count", "1"]);
    let mut peer = server.accept("x");
    let mut stdin = client.stdin.take().unwrap();
    let writer = std::thread::spawn(move || while stdin.write_all(b"y\n").is_ok() {});
    assert_eq!(peer.read(), "y");
    peer.relay("ann", b"enough");
    while peer.read_any().is_some() {}
    peer.close();
    let finished = client.wait();
    writer.join().unwrap();
    assert_eq!(
        (finished.code, &finished.stdout[..], &finished.stderr[..]),
        (Some(0), "ann > enough\n", "")
    );
}

#[test]
fn a_flood_into_a_pipe_loses_nothing() {
    let server = Scripted::start();
    let lines = 50_000;
    let client = start(
        server.address,
        &["--name", "x", "--count", &lines.to_string()],
    );
    let mut peer = server.accept("x");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..lines {
                peer.relay("ann", number.to_string().as_bytes());
            }
        });
        for number in 0..lines {
            assert_eq!(client.line(), format!("ann > {number}"));
        }
    });
    assert_eq!(client.wait().code, Some(0));
}

#[test]
fn a_server_that_does_not_read_does_not_stop_what_it_sends() {
    let server = Scripted::start();
    let mut client = start(
        server.address,
        &["--name", "x", "--max-message-bytes", "1000000"],
    );
    let mut stdin = client.stdin.take().unwrap();
    let mut peer = server.accept("x");
    // Far more than all buffers on the way hold.
    let writer = std::thread::spawn(move || {
        let line = [&vec![b'x'; 900_000][..], b"\n"].concat();
        (0..30).for_each(|_| stdin.write_all(&line).unwrap());
    });
    for number in 0..1000 {
        peer.relay("ann", number.to_string().as_bytes());
        assert_eq!(client.line(), format!("ann > {number}"));
    }
    for _ in 0..30 {
        assert_eq!(peer.read().len(), 900_000);
    }
    writer.join().unwrap();
    peer.read_end();
    peer.close();
    assert_eq!(client.wait().code, Some(0));
}
