//! Messages that come while somebody types: no key and no message is lost, no line is torn.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::DEADLINE;
use crate::support::pty::ann_chats;
use crate::support::server::{Peer, frame};

#[test]
fn typing_in_a_stream_of_200_messages_a_second_loses_no_key_and_no_message() {
    let (terminal, mut peer) = ann_chats();
    let messages = 600;
    let typed = "the quick brown fox jumps over the lazy dog 0123456789";
    let lines = 4;
    std::thread::scope(|scope| {
        let mut stream = Peer(peer.0.try_clone().unwrap());
        scope.spawn(move || {
            let began = Instant::now();
            for number in 0..messages {
                // The pace of the stream is what is tested here.
                let due = Duration::from_millis(5) * number;
                std::thread::sleep(due.saturating_sub(began.elapsed()));
                stream.relay("bob", format!("message {number:04} of many").as_bytes());
            }
        });
        for line in 0..lines {
            for key in typed.chars() {
                terminal.keys(&key.to_string());
                std::thread::sleep(Duration::from_millis(10)); // A fast typist.
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
    terminal.leave(peer);
}

#[test]
fn lines_entered_in_a_stream_are_never_torn_and_leave_no_echo() {
    let (terminal, mut peer) = ann_chats();
    // Fewer messages than the screen's queue holds, for keys come before prints.
    let (lines, messages_each) = (300, 3);
    let mut stream = Peer(peer.0.try_clone().unwrap());
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
    terminal.leave(peer);
}

#[test]
fn a_flood_neither_stalls_the_socket_nor_breaks_the_prompt() {
    let (terminal, mut peer) = ann_chats();
    terminal.keys("half a line");
    terminal.prompts("ann > half a line");
    let messages = 30_000;
    peer.0.set_write_timeout(Some(DEADLINE)).unwrap();
    let flood: Vec<u8> = (0..messages)
        .flat_map(|number| {
            let text = format!("flood {number}");
            [frame(b"bob"), frame(text.as_bytes())].concat()
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
    terminal.leave(peer);
}

#[test]
fn a_stalled_terminal_stalls_neither_the_socket_nor_the_end() {
    let (terminal, mut peer) = ann_chats();
    peer.0.set_write_timeout(Some(DEADLINE)).unwrap();
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
    let (terminal, mut peer) = ann_chats();
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
    terminal.leave(peer);
}
