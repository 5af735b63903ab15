//! The line that is being typed: keys, pastes, several rows, another size of the window.

use rustix::process::Signal;

use crate::support::pty::ann_chats;

#[test]
fn keys_do_what_a_person_expects() {
    let (terminal, mut peer) = ann_chats();
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
    terminal.keys("/quiet now\r");
    terminal.sees("unknown command /quiet now; /help lists all");
    terminal.keys(" /quit\r");
    assert_eq!(peer.read(), " /quit");
    terminal.keys("/help\r");
    terminal.sees("/stats   what was sent and received");
    terminal.keys("//help\r");
    assert_eq!(peer.read(), "/help");
    terminal.keys("\r\r/stats\r");
    terminal.sees("sent 6, received 0");
    terminal.prompts("ann >");
    terminal.keys("/quit \r");
    peer.read_end();
    peer.close();
    assert_eq!(terminal.finish().0, Some(0));
}

#[test]
fn several_lines_pasted_are_sent_line_by_line() {
    let (terminal, mut peer) = ann_chats();
    terminal.keys("\x1b[200~one\r/quit\r\rthree\x1b[201~");
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
    terminal.leave(peer);
}

#[test]
fn a_line_of_several_rows_stays_whole() {
    let (terminal, mut peer) = ann_chats();
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
fn a_resize_keeps_the_line_and_what_comes_after() {
    let (terminal, mut peer) = ann_chats();
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
    terminal.leave(peer);
}
