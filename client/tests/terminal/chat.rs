//! Talk as it should go: a name, two people, who is there, and a server that is away for a while.

use crate::support::pty::{Terminal, ann_chats};
use crate::support::server::{Scripted, Tutorial};
use crate::support::websocket::{WebSocketPeer, url};
use serde_json::json;

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
fn who_is_there_is_known_from_the_servers_notices() {
    let (terminal, mut peer) = ann_chats();
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
    let names: String = (0..200).map(|n| format!("\n\u{202e}{n}")).collect();
    peer.relay("*server*", format!("* 200 here:{names}").as_bytes());
    let shown = |shown: &str| {
        let line = shown.replace('\n', "");
        line.contains("200 here: <U+202E>0, ") && line.contains("and 150 more")
    };
    terminal.wait_until("50 names, and how many more there are", shown);
    terminal.leave(peer);
}

#[test]
fn what_is_typed_while_the_server_is_away_is_kept_and_said_to_be() {
    let server = Scripted::start();
    let arguments = ["--name", "ann", "--reconnect", "--max-message-bytes", "99"];
    let terminal = Terminal::start(server.address, &arguments);
    let mut peer = server.accept("ann");
    terminal.prompts("ann >");
    peer.relay("bob", &[b'x'; 100]);
    peer.relay("*server*", b"* 2 here:\nann\nbob");
    terminal.sees("2 here: ann, bob");
    terminal.keys("/stats\r");
    terminal.sees("-- sent 0, received 0");
    terminal.sees(&format!("-- connected to {} since ", server.address));
    terminal.sees("-- 1 skipped: over the limit");
    peer.close();
    terminal.sees("the server closed the connection");
    terminal.sees("trying again in ");
    terminal.keys("kept\r");
    terminal.sees("no connection: 1 line not sent yet, kept");
    terminal.keys("/stats\r");
    terminal.sees(&format!("-- not connected to {}", server.address));
    terminal.sees("-- 1 not sent yet");
    let mut peer = server.accept("ann");
    assert_eq!(peer.read(), "kept");
    terminal.sees("again; sending the 1 line kept");
    terminal.prompts("ann >");
    terminal.keys("after\r");
    assert_eq!(peer.read(), "after");
    // What was known of the old connection is not.
    terminal.keys("/who\r");
    terminal.sees("the server does not tell who is here");
    terminal.leave(peer);
}

#[test]
fn a_person_is_served_over_websocket_as_over_frames() {
    let server = Scripted::start();
    let address = url(server.address);
    let terminal = Terminal::start(&address, &["--name", "ann", "--reconnect"]);
    let mut peer = WebSocketPeer::ann(&server, 7);
    terminal.sees(&format!("connected to {address} as ann"));
    terminal.prompts("ann >");
    peer.say(&json!({"type": "presence", "here": ["ann", "bob"]}));
    terminal.sees("*server* > 2 here: ann, bob");
    peer.relay(8, "bob", "hello");
    terminal.sees("bob > hello");
    terminal.keys("hi bob\r");
    peer.hears_line(1, "hi bob");
    terminal.keys("/who\r/stats\r");
    terminal.sees("-- 2 here: ann, bob");
    terminal.sees("-- sent 0, received 1");
    terminal.sees("-- 1 not sent yet");
    peer.cut();
    terminal.sees("the server closed the connection");
    let mut peer = WebSocketPeer::ann_again(&server, 8);
    peer.joined(8, true);
    terminal.sees("again; sending the 1 line kept");
    terminal.sees("-- resumed: no message is missing");
    peer.hears_line(1, "hi bob");
    peer.accepted(1, 9);
    peer.relay(10, "bob", "now I see you");
    terminal.sees("bob > now I see you");
    terminal.keys("/stats\r");
    terminal.sees("-- sent 1, received 2");
    terminal.keys("/quit\r");
    peer.ends();
    assert_eq!(terminal.finish().0, Some(0));
}
