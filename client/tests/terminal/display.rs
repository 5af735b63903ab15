//! How messages are drawn: harmless, aligned, in stable colours, with their time.

use crate::support::pty::{Setup, Terminal};
use crate::support::server::Scripted;

#[test]
fn nothing_harmful_reaches_the_terminal() {
    let server = Scripted::start();
    let environment = [("NO_COLOR", "1")];
    let terminal = Terminal::start_with(Setup {
        address: &server.address,
        arguments: &["--name", "ann"],
        environment: &environment,
        home: None,
    });
    let mut peer = server.accept("ann");
    terminal.prompts("ann >");
    let before = terminal.bytes().len();
    peer.relay(
        "e\x1b[31mve",
        b"\x1b]0;title\x07\x1b[2J\x9b1m\r\nann > I owe you\x08",
    );
    peer.relay("eve", "\u{9b}2J\u{202e}desrever\u{2066}".as_bytes());
    peer.relay("＊server＊", "closing: \u{3164}pay\u{ad}".as_bytes());
    peer.relay("eve", b"done");
    terminal.sees("eve > done");
    terminal.prompts("ann >");
    terminal.sees("e^[[31mve > ^[]0;title^G^[[2J<9B>1m^M^Jann > I owe you^H");
    terminal.sees("eve > <U+009B>2J<U+202E>desrever<U+2066>");
    terminal.sees("<U+FF0A>server<U+FF0A> > closing: <U+3164>pay<U+00AD>");
    let written = terminal.bytes().split_off(before);
    let written = String::from_utf8(written).unwrap();
    for harmful in [
        "\x1b[31m", "\x1b]", "\x07", "\x08", "\u{9b}", "\u{202e}", "\u{2066}", "＊", "\u{3164}",
    ] {
        assert!(!written.contains(harmful), "{harmful:?} in {written:?}");
    }
    terminal.leave(peer);
}

#[test]
fn wide_and_combining_characters_keep_the_layout() {
    let server = Scripted::start();
    let terminal = Terminal::start(server.address, &["--name", "日本"]);
    let mut peer = server.accept("日本");
    terminal.prompts("日本 >");
    terminal.keys("半分");
    terminal.prompts("日本 > 半分");
    peer.relay("e\u{301}va", "日本語".repeat(20).as_bytes());
    peer.relay(&"名".repeat(100), b"cut");
    terminal.sees(&format!("{}… > cut", "名".repeat(15)));
    terminal.prompts("日本 > 半分");
    let shown = terminal.transcript().join("");
    assert!(
        shown.contains(&format!("e\u{301}va > {}", "日本語".repeat(20))),
        "{shown}"
    );
    terminal.keys("の\r");
    assert_eq!(peer.read(), "半分の");
    terminal.leave(peer);
}

#[test]
fn colours_are_stable_and_can_be_switched_off() {
    let server = Scripted::start();
    let mut seen = Vec::new();
    for no_color in ["", "1"] {
        let environment = [("NO_COLOR", no_color)];
        let terminal = Terminal::start_with(Setup {
            address: &server.address,
            arguments: &["--name", "ann"],
            environment: &environment,
            home: None,
        });
        let mut peer = server.accept("ann");
        terminal.prompts("ann >");
        peer.relay("bob", b"one");
        peer.relay("bob", b"two");
        terminal.sees("bob > two");
        seen.push(String::from_utf8_lossy(&terminal.bytes()).into_owned());
        terminal.keys("\x04");
        terminal.finish();
    }
    let coloured: Vec<&str> = seen[0]
        .match_indices("bob\x1b[0m > ")
        .map(|(at, _)| &seen[0][seen[0][..at].rfind('\x1b').unwrap()..at])
        .collect();
    assert_eq!(coloured.len(), 2, "{:?}", seen[0]);
    assert_eq!(coloured[0], coloured[1]);
    // No colour at all: every escape sequence with `m` is one.
    let styles = |text: &str| {
        text.split("\x1b[")
            .skip(1)
            .filter(|rest| {
                rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';')
                    .starts_with('m')
            })
            .count()
    };
    assert!(styles(&seen[0]) > 4);
    assert_eq!(styles(&seen[1]), 0, "{:?}", seen[1]);
}

#[test]
fn timestamps_stand_before_each_message() {
    let server = Scripted::start();
    let terminal = Terminal::start(server.address, &["--name", "ann", "--timestamps"]);
    server.accept("ann").relay("bob", b"hi");
    terminal.sees("bob > hi");
    let lines = terminal.finish_after_loss();
    let line = lines
        .iter()
        .find(|line| line.ends_with("bob > hi"))
        .unwrap();
    let shape = line.replace(|c: char| c.is_ascii_digit(), "0");
    assert_eq!(shape, "00:00:00 bob > hi");
}

#[test]
fn a_person_is_served_only_where_one_can_sit() {
    let server = Scripted::start();
    for option in ["--json", "--raw", "--no-send"] {
        let terminal = Terminal::start(server.address, &["--name", "ann", option]);
        let mut peer = server.accept("ann");
        peer.relay("bob", b"hi");
        terminal.sees("hi");
        terminal.signal(rustix::process::Signal::TERM);
        peer.read_end();
        peer.close();
        terminal.wait_until("nothing but the message", |shown| {
            shown.lines().count() == 1
        });
        // The editor would have asked for bracketed paste.
        let written = String::from_utf8(terminal.bytes()).unwrap();
        assert!(!written.contains("\x1b[?"), "{option}: {written:?}");
        assert_eq!(terminal.finish().0, Some(0), "{option}");
    }
}
