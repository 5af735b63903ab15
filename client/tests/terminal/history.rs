//! The file that keeps what was typed.

use crate::support::pty::{Setup, Terminal};
use crate::support::server::Scripted;

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
    terminal.leave(peer);
}
