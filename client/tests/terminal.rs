//! The client in a real (pseudo-)terminal, as a person drives it.

mod support;

use rustix::process::Signal;
use support::pty::{Setup, Terminal};
use support::server::{Scripted, Tutorial};

#[test]
fn asks_for_a_name_and_two_people_chat() {
    let server = Tutorial::start();
    let ann = Terminal::start(server.address, &[]);
    ann.prompts("Username:");
    ann.keys("ann\r");
    ann.prompts("ann >");
    server.joined("ann");
    let bob = Terminal::start(server.address, &["--name", "bob"]);
    server.joined("bob");
    bob.prompts("bob >");
    ann.keys("hello bob\r");
    bob.sees("ann > hello bob");
    bob.keys("hello ann\r");
    ann.sees("bob > hello ann");
    ann.prompts("ann >");
    bob.keys("/quit\r");
    assert_eq!(bob.finish().0, Some(0));
    ann.keys("\x04");
    let (code, lines, _) = ann.finish();
    assert_eq!(code, Some(0));
    let talk: Vec<&String> = lines.iter().filter(|line| line.contains("hello")).collect();
    assert_eq!(talk, ["ann > hello bob", "bob > hello ann"]);
}

#[test]
fn a_name_that_no_server_takes_is_asked_for_again() {
    let server = Tutorial::start();
    let terminal = Terminal::start(server.address, &[]);
    terminal.prompts("Username:");
    terminal.keys("*server*\r");
    terminal.sees("name begins with '*', which is kept for the server");
    terminal.keys("\r");
    terminal.sees("name is empty");
    terminal.keys("ann\r");
    terminal.prompts("ann >");
    server.joined("ann");
    terminal.keys("\x04");
    assert_eq!(terminal.finish().0, Some(0));
}

#[test]
fn leaving_at_the_name_prompt_restores_the_terminal() {
    let server = Tutorial::start();
    for leave in ["\x04", "TERM"] {
        let terminal = Terminal::start(server.address, &[]);
        terminal.prompts("Username:");
        match leave {
            "TERM" => terminal.signal(Signal::TERM),
            keys => terminal.keys(keys),
        }
        assert_eq!(terminal.finish().0, Some(0), "{leave}");
    }
}

#[test]
fn typing_in_a_stream_of_200_messages_a_second_loses_no_key_and_no_message() {
    let server = Scripted::start();
    let terminal = Terminal::start(server.address, &["--name", "ann"]);
    let mut peer = server.accept("ann");
    terminal.prompts("ann >");
    let messages = 600;
    let typed = "the quick brown fox jumps over the lazy dog 0123456789";
    let lines = 4;
    std::thread::scope(|scope| {
        let mut stream = support::server::Peer(peer.0.try_clone().unwrap());
        scope.spawn(move || {
            let began = std::time::Instant::now();
            for number in 0..messages {
                // The pace of the stream is what is tested here.
                let due = std::time::Duration::from_millis(5) * number;
                std::thread::sleep(due.saturating_sub(began.elapsed()));
                stream.relay("bob", format!("message {number:04} of many").as_bytes());
            }
        });
        for line in 0..lines {
            for key in typed.chars() {
                terminal.keys(&key.to_string());
                std::thread::sleep(std::time::Duration::from_millis(10)); // A fast typist.
            }
            terminal.keys(&format!("{line}\r"));
            assert_eq!(peer.read(), format!("{typed}{line}"));
        }
    });
    terminal.sees(&format!("message {:04} of many", messages - 1));
    terminal.prompts("ann >");
    let lines_shown = terminal.transcript();
    let shown: Vec<&String> = lines_shown
        .iter()
        .filter(|line| line.contains("message"))
        .collect();
    let expected: Vec<String> = (0..messages)
        .map(|number| format!("bob > message {number:04} of many"))
        .collect();
    assert_eq!(shown, expected.iter().collect::<Vec<_>>());
    let own: Vec<&String> = lines_shown
        .iter()
        .filter(|line| line.starts_with("ann > "))
        .collect();
    assert_eq!(own.len(), lines + 1, "a torn or doubled line: {own:?}");
    for (line, shown) in own[..lines].iter().enumerate() {
        assert_eq!(**shown, format!("ann > {typed}{line}"));
    }
    terminal.keys("\x04");
    terminal.finish();
}

#[test]
fn lines_entered_in_a_stream_are_never_torn_and_leave_no_echo() {
    let server = Scripted::start();
    let terminal = Terminal::start(server.address, &["--name", "ann"]);
    let mut peer = server.accept("ann");
    terminal.prompts("ann >");
    // Fewer messages than the screen's queue holds, for keys come before prints.
    let (lines, messages_each) = (300, 3);
    let mut stream = support::server::Peer(peer.0.try_clone().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for line in 0..lines {
                terminal.keys(&format!("typed {line}"));
                terminal.keys("\r");
            }
        });
        for line in 0..lines {
            assert_eq!(peer.read(), format!("typed {line}"));
            for message in 0..messages_each {
                stream.relay("bob", format!("message {line} {message}").as_bytes());
            }
        }
    });
    terminal.sees(&format!(
        "bob > message {} {}",
        lines - 1,
        messages_each - 1
    ));
    terminal.prompts("ann >");
    let shown = terminal.transcript();
    let typed: Vec<&String> = shown.iter().filter(|line| line.contains("typed")).collect();
    let expected: Vec<String> = (0..lines)
        .map(|line| format!("ann > typed {line}"))
        .collect();
    assert_eq!(typed, expected.iter().collect::<Vec<_>>());
    let messages: Vec<&String> = shown
        .iter()
        .filter(|line| line.contains("message"))
        .collect();
    let expected: Vec<String> = (0..lines)
        .flat_map(|line| {
            (0..messages_each).map(move |message| format!("bob > message {line} {message}"))
        })
        .collect();
    assert_eq!(messages, expected.iter().collect::<Vec<_>>());
    assert_eq!(
        shown.len(),
        1 + expected.len() + typed.len() + 1,
        "something else was shown"
    );
    terminal.keys("\x04");
    terminal.finish();
}

#[test]
fn a_flood_neither_stalls_the_socket_nor_breaks_the_prompt() {
    let server = Scripted::start();
    let terminal = Terminal::start(server.address, &["--name", "ann"]);
    let mut peer = server.accept("ann");
    terminal.prompts("ann >");
    terminal.keys("half a line");
    terminal.prompts("ann > half a line");
    let messages = 30_000;
    peer.0.set_write_timeout(Some(support::DEADLINE)).unwrap();
    let flood: Vec<u8> = (0..messages)
        .flat_map(|number| {
            let text = format!("flood {number}");
            [
                support::server::frame(b"bob"),
                support::server::frame(text.as_bytes()),
            ]
            .concat()
        })
        .collect();
    peer.write(&flood);
    terminal.sees(&format!("bob > flood {}", messages - 1));
    terminal.prompts("ann > half a line");
    terminal.keys(" and its end\r");
    assert_eq!(peer.read(), "half a line and its end");
    terminal.prompts("ann >");
    let lines = terminal.transcript();
    let number = |line: &str| line.strip_prefix("bob > flood ")?.parse::<u64>().ok();
    let shown: Vec<u64> = lines.iter().filter_map(|line| number(line)).collect();
    assert!(shown.is_sorted(), "messages overtook each other");
    let skipped: u64 = lines
        .iter()
        .filter_map(|line| {
            let rest = line.strip_prefix("-- ")?;
            rest.split_once(" message")?.0.parse::<u64>().ok()
        })
        .sum();
    assert!(skipped > 0, "all were drawn: test a larger flood");
    assert_eq!(
        shown.len() as u64 + skipped,
        messages,
        "shown or counted, every one"
    );
    terminal.keys("/stats\r");
    terminal.sees("sent 1, received 30000");
    terminal.sees(&format!("{skipped} skipped: the screen could not keep up"));
    terminal.keys("\x04");
    terminal.finish();
}

#[test]
fn a_stalled_terminal_stalls_neither_the_socket_nor_the_end() {
    let server = Scripted::start();
    let terminal = Terminal::start(server.address, &["--name", "ann"]);
    let mut peer = server.accept("ann");
    terminal.prompts("ann >");
    peer.0.set_write_timeout(Some(support::DEADLINE)).unwrap();
    terminal.stall(|| {
        // Far more than all buffers on the way hold.
        for _ in 0..2000 {
            peer.relay("bob", &[b'x'; 10_000]);
        }
    });
    peer.relay("bob", b"after the stall");
    terminal.sees("bob > after the stall");
    terminal.prompts("ann >");
    let mut terminal = terminal;
    terminal.stall_to_the_end(|terminal| {
        for _ in 0..2000 {
            peer.relay("bob", &[b'x'; 10_000]);
        }
        terminal.signal(Signal::TERM);
        peer.read_end();
        peer.close();
    });
}

#[test]
fn messages_wait_while_the_history_is_searched() {
    let server = Scripted::start();
    let terminal = Terminal::start(server.address, &["--name", "ann"]);
    let mut peer = server.accept("ann");
    terminal.prompts("ann >");
    terminal.keys("findme\r");
    assert_eq!(peer.read(), "findme");
    terminal.prompts("ann >");
    terminal.keys("\x12find");
    terminal.sees("reverse-i-search");
    for number in 0..100 {
        peer.relay("bob", format!("while searching {number}").as_bytes());
    }
    terminal.keys("\r");
    assert_eq!(peer.read(), "findme");
    terminal.sees("bob > while searching 99");
    terminal.prompts("ann >");
    let lines = terminal.transcript();
    let shown = lines.iter().filter(|line| line.starts_with("bob > while"));
    assert_eq!(shown.count(), 100);
    terminal.keys("\x04");
    terminal.finish();
}

#[test]
fn a_line_of_several_rows_stays_whole() {
    let server = Scripted::start();
    let terminal = Terminal::start(server.address, &["--name", "ann"]);
    let mut peer = server.accept("ann");
    terminal.prompts("ann >");
    let typed: String = ('a'..='z').cycle().take(300).collect();
    terminal.keys(&typed);
    let whole = format!("ann > {typed}");
    terminal.wait_until("the typed line", |shown| {
        shown.replace('\n', "").ends_with(&whole)
    });
    for number in 0..50 {
        peer.relay("bob", format!("message {number}").as_bytes());
        terminal.sees(&format!("message {number}"));
        terminal.wait_until("the typed line", |shown| {
            shown.replace('\n', "").ends_with(&whole)
        });
    }
    let lines = terminal.transcript();
    let begun = lines.iter().filter(|line| line.starts_with("ann > abc"));
    assert_eq!(begun.count(), 1, "a row was left behind: {lines:#?}");
    terminal.signal(Signal::TERM);
    let (_, lines, _) = terminal.finish();
    assert!(
        !lines.join("").contains("abcdef"),
        "the typed rows were left behind: {lines:#?}"
    );
}

#[test]
fn several_lines_pasted_are_sent_line_by_line() {
    let server = Scripted::start();
    let terminal = Terminal::start(server.address, &["--name", "ann"]);
    let mut peer = server.accept("ann");
    terminal.prompts("ann >");
    terminal.keys("\x1b[200~one\r/quit\rthree\x1b[201~");
    terminal.prompts("three");
    terminal.keys("\r");
    assert_eq!(
        [peer.read(), peer.read(), peer.read()],
        ["one", "/quit", "three"]
    );
    terminal.prompts("ann >");
    // A terminal without bracketed paste sends just the keys, all at once.
    let keys: String = (0..50).map(|number| format!("line {number}\r")).collect();
    terminal.keys(&keys);
    for number in 0..50 {
        assert_eq!(peer.read(), format!("line {number}"));
    }
    terminal.sees("ann > line 49");
    terminal.prompts("ann >");
    let lines = terminal.transcript();
    for number in 0..50 {
        let line = format!("ann > line {number}");
        assert_eq!(
            lines.iter().filter(|shown| **shown == line).count(),
            1,
            "{lines:#?}"
        );
    }
    terminal.keys("\x04");
    terminal.finish();
}

#[test]
fn keys_do_what_a_person_expects() {
    let server = Scripted::start();
    let terminal = Terminal::start(server.address, &["--name", "ann"]);
    let mut peer = server.accept("ann");
    terminal.prompts("ann >");
    terminal.keys("not this");
    terminal.prompts("ann > not this");
    terminal.keys("\x03");
    terminal.prompts("ann >");
    terminal.keys("\x03");
    terminal.sees("Ctrl-D or /quit leaves");
    terminal.prompts("ann >");
    terminal.keys("wprld\x1b[D\x1b[D\x1b[D\x7fo\x01hello \x05!\r");
    assert_eq!(peer.read(), "hello world!");
    terminal.keys("\x1b[A\r");
    assert_eq!(peer.read(), "hello world!");
    terminal.keys("x\x04\r");
    assert_eq!(peer.read(), "x", "Ctrl-D leaves only on an empty line");
    terminal.keys("日本\x7f語 e\u{301}\r");
    assert_eq!(peer.read(), "日語 e\u{301}");
    terminal.sees("ann > 日語 e\u{301}");
    terminal.keys("/nonsense\r");
    terminal.sees("unknown command /nonsense; /help lists all");
    terminal.keys("/help\r");
    terminal.sees("/stats   what was sent and received");
    terminal.keys("//help\r");
    assert_eq!(peer.read(), "/help");
    terminal.keys("\r\r/stats\r");
    terminal.sees("sent 5, received 0");
    terminal.prompts("ann >");
    terminal.keys("\x04");
    peer.read_end();
    peer.close();
    assert_eq!(terminal.finish().0, Some(0));
}

#[test]
fn the_terminal_is_restored_however_the_client_ends() {
    for way in ["TERM", "HUP", "lost", "garbage"] {
        let server = Scripted::start();
        let terminal = Terminal::start(server.address, &["--name", "ann"]);
        let mut peer = server.accept("ann");
        terminal.prompts("ann >");
        terminal.keys("half a line");
        terminal.prompts("ann > half a line");
        let code = match way {
            "TERM" => {
                terminal.signal(Signal::TERM);
                peer.read_end();
                peer.close();
                0
            }
            "HUP" => {
                terminal.signal(Signal::HUP);
                peer.read_end();
                peer.close();
                0
            }
            "lost" => {
                peer.relay("*server*", b"closing: going down");
                peer.close();
                1
            }
            _ => {
                peer.write(b"\x1b[2J\x1b[31mgarbage");
                1
            }
        };
        let (status, lines, _) = terminal.finish();
        assert_eq!(status, Some(code), "{way}");
        let shown = lines.join("\n");
        match way {
            "lost" => {
                assert!(shown.contains("*server* > closing: going down"), "{shown}");
                assert!(
                    shown.contains("the server closed the connection"),
                    "{shown}"
                );
            }
            "garbage" => assert!(
                shown.contains("does not speak the chat protocol"),
                "{shown}"
            ),
            _ => {}
        }
    }
}

#[test]
fn an_interrupt_from_outside_is_like_the_key() {
    let server = Scripted::start();
    let terminal = Terminal::start(server.address, &["--name", "ann"]);
    let mut peer = server.accept("ann");
    terminal.prompts("ann >");
    terminal.keys("half a line");
    terminal.prompts("ann > half a line");
    terminal.signal(Signal::INT);
    terminal.prompts("ann >");
    terminal.keys("still here\r");
    assert_eq!(peer.read(), "still here");
    terminal.keys("\x04");
    terminal.finish();
}

#[test]
fn suspended_it_gives_the_terminal_back_and_goes_on_when_continued() {
    let server = Scripted::start();
    let rest = "echo the shell is back; read line; echo read $line; fg >/dev/null; echo over";
    let terminal = Terminal::start_in_shell(server.address, "--name ann", rest);
    let mut peer = server.accept("ann");
    terminal.prompts("ann >");
    terminal.keys("half");
    terminal.prompts("ann > half");
    terminal.keys("\x1a");
    terminal.sees("the shell is back");
    terminal.check_modes();
    peer.relay("bob", b"while it slept");
    terminal.keys("something\r");
    terminal.sees("read something");
    terminal.sees("bob > while it slept");
    terminal.prompts("ann > half");
    terminal.keys(" a line\r");
    assert_eq!(peer.read(), "half a line");
    terminal.keys("\x04");
    terminal.sees("over");
    terminal.finish();
}

#[test]
fn a_resize_keeps_the_line_and_what_comes_after() {
    let server = Scripted::start();
    let terminal = Terminal::start(server.address, &["--name", "ann"]);
    let mut peer = server.accept("ann");
    terminal.prompts("ann >");
    terminal.keys("typed before");
    terminal.prompts("ann > typed before");
    for (rows, columns) in [(30, 120), (10, 40), (24, 80)] {
        terminal.resize(rows, columns);
        peer.relay("bob", format!("at {columns} columns").as_bytes());
        terminal.sees(&format!("bob > at {columns} columns"));
        terminal.prompts("ann > typed before");
    }
    terminal.keys(" and after\r");
    assert_eq!(peer.read(), "typed before and after");
    terminal.keys("\x04");
    terminal.finish();
}

#[test]
fn nothing_harmful_reaches_the_terminal() {
    let server = Scripted::start();
    let environment = [("NO_COLOR", "1")];
    let terminal = Terminal::start_with(Setup {
        address: server.address,
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
    peer.relay("eve", b"done");
    terminal.sees("eve > done");
    terminal.prompts("ann >");
    terminal.sees("e^[[31mve > ^[]0;title^G^[[2J<9B>1m^M^Jann > I owe you^H");
    terminal.sees("eve > <U+009B>2J<U+202E>desrever<U+2066>");
    let written = terminal.bytes().split_off(before);
    let written = String::from_utf8(written).unwrap();
    for harmful in [
        "\x1b[31m", "\x1b]", "\x07", "\x08", "\u{9b}", "\u{202e}", "\u{2066}",
    ] {
        assert!(!written.contains(harmful), "{harmful:?} in {written:?}");
    }
    terminal.keys("\x04");
    terminal.finish();
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
    terminal.keys("\x04");
    terminal.finish();
}

#[test]
fn colours_are_stable_and_can_be_switched_off() {
    let server = Scripted::start();
    let mut seen = Vec::new();
    for no_color in ["", "1"] {
        let environment = [("NO_COLOR", no_color)];
        let terminal = Terminal::start_with(Setup {
            address: server.address,
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
fn history_is_kept_between_runs_unless_asked_not_to() {
    let server = Scripted::start();
    let run = |arguments: &[&str], home, keys: &str, expected: &[&str]| {
        let terminal = Terminal::start_with(Setup {
            address: server.address,
            arguments,
            environment: &[],
            home,
        });
        let mut peer = server.accept("ann");
        terminal.prompts("ann >");
        terminal.keys(keys);
        for line in expected {
            assert_eq!(peer.read(), *line);
        }
        terminal.keys("\x04");
        terminal.finish().2
    };
    let up = "\x1b[A";
    let home = run(&["--name", "ann"], None, "one\rtwo\r", &["one", "two"]);
    let home = run(
        &["--name", "ann"],
        Some(home),
        &format!("{up}{up}\r"),
        &["one"],
    );
    let kept = home.path().join(".local/state/uringcast/history");
    let before = std::fs::read_to_string(&kept).unwrap();
    let arguments = ["--name", "ann", "--no-history"];
    let home = run(
        &arguments,
        Some(home),
        &format!("{up}secret\r"),
        &["secret"],
    );
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), before);
    assert!(!before.contains("secret") && home.path().exists());
}

#[test]
fn a_history_that_cannot_be_kept_is_said_and_the_chat_goes_on() {
    let server = Scripted::start();
    let terminal = Terminal::start(
        server.address,
        &["--name", "ann", "--history", "/dev/null/x"],
    );
    let mut peer = server.accept("ann");
    terminal.sees("no history: cannot use /dev/null/x");
    terminal.keys("hello\r");
    assert_eq!(peer.read(), "hello");
    terminal.keys("\x04");
    assert_eq!(terminal.finish().0, Some(0));
}

#[test]
fn what_is_typed_while_the_server_is_away_is_kept_and_said_to_be() {
    let server = Scripted::start();
    let terminal = Terminal::start(server.address, &["--name", "ann", "--reconnect"]);
    let peer = server.accept("ann");
    terminal.prompts("ann >");
    peer.close();
    terminal.sees("the server closed the connection");
    terminal.sees("trying again in ");
    terminal.keys("kept\r");
    terminal.sees("no connection: 1 line not sent yet, kept");
    let mut peer = server.accept("ann");
    assert_eq!(peer.read(), "kept");
    terminal.sees("again; sending the 1 line kept");
    terminal.prompts("ann >");
    terminal.keys("after\r");
    assert_eq!(peer.read(), "after");
    terminal.keys("\x04");
    assert_eq!(terminal.finish().0, Some(0));
}

#[test]
fn who_is_there_is_known_from_the_servers_notices() {
    let server = Scripted::start();
    let terminal = Terminal::start(server.address, &["--name", "ann"]);
    let mut peer = server.accept("ann");
    terminal.prompts("ann >");
    terminal.keys("/who\r");
    terminal.sees("the server does not tell who is here");
    peer.relay("*server*", b"* 2 here:\nann\nbob");
    terminal.sees("*server* > 2 here: ann, bob");
    peer.relay("*server*", b"carl joined");
    terminal.sees("*server* > carl joined");
    peer.relay("*server*", b"bob left");
    terminal.sees("*server* > bob left");
    terminal.keys("/who\r");
    terminal.sees("-- 2 here: ann, carl");
    peer.relay("*server*", b"* 120 joined, 3 left, 119 here");
    terminal.sees("119 here");
    terminal.keys("/who\r");
    terminal.sees("-- 119 here: ann, carl and 117 more");
    terminal.keys("\x04");
    peer.read_end();
    peer.close();
    assert_eq!(terminal.finish().0, Some(0));
}
