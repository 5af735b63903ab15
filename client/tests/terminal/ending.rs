//! Signals and ends: the terminal is given back as it was found.

use rustix::process::Signal;

use crate::support::pty::{Terminal, ann_chats};
use crate::support::server::{Scripted, Tutorial};

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
fn the_terminal_is_restored_however_the_client_ends() {
    for way in ["TERM", "HUP", "lost", "garbage"] {
        let (terminal, mut peer) = ann_chats();
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
    let (terminal, mut peer) = ann_chats();
    terminal.keys("half a line");
    terminal.prompts("ann > half a line");
    terminal.signal(Signal::INT);
    terminal.prompts("ann >");
    terminal.keys("still here\r");
    assert_eq!(peer.read(), "still here");
    terminal.leave(peer);
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
