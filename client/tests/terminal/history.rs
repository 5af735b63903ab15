//! The file that keeps what was typed.

use std::fs;

use tempfile::TempDir;

use crate::support::pty::{Setup, Terminal};
use crate::support::server::Scripted;

const UP: &str = "\x1b[A";
/// Below the home.
const FILE: &str = ".local/state/uringcast/history";

/// Presses `keys` in a terminal whose server is to read `expected` then.
fn run(arguments: &[&str], home: Option<TempDir>, keys: &str, expected: &[&str]) -> TempDir {
    let server = Scripted::start();
    let terminal = Terminal::start_with(Setup {
        address: &server.address,
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
}

#[test]
fn history_is_kept_between_runs_unless_asked_not_to() {
    let up = UP;
    let home = run(&["--name", "ann"], None, "one\rtwo\r", &["one", "two"]);
    let home = run(
        &["--name", "ann"],
        Some(home),
        &format!("{up}{up}\r"),
        &["one"],
    );
    let kept = home.path().join(FILE);
    let before = fs::read_to_string(&kept).unwrap();
    let arguments = ["--name", "ann", "--no-history"];
    let home = run(
        &arguments,
        Some(home),
        &format!("{up}secret\r"),
        &["secret"],
    );
    assert_eq!(fs::read_to_string(&kept).unwrap(), before);
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

#[test]
fn lines_come_back_as_they_were() {
    let odd = "\x1b[200~two\rlines\x1b[201~\ra\\nb\\\r\"x\"\r";
    let home = run(
        &["--name", "ann"],
        None,
        odd,
        &["two", "lines", "a\\nb\\", "\"x\""],
    );
    let again = format!("{UP}\r{UP}{UP}\r{UP}{UP}{UP}{UP}\r");
    let expected = ["\"x\"", "a\\nb\\", "two", "lines"];
    run(&["--name", "ann"], Some(home), &again, &expected);
}

#[test]
fn a_long_file_is_replaced_by_its_newest_lines_or_stays_as_it_was() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(FILE);
    let folder = file.parent().unwrap().to_owned();
    fs::create_dir_all(&folder).unwrap();
    // As older clients wrote it.
    let old: Vec<String> = (0..=2000).map(|number| format!("line {number}")).collect();
    fs::write(&file, old.join("\n")).unwrap();
    let before = fs::File::open(&file).unwrap();
    let keys = format!("{UP}{UP}\rnew\r");
    let home = run(&["--name", "ann"], Some(home), &keys, &["line 1999", "new"]);
    let kept = fs::read_to_string(&file).unwrap();
    let expected = [
        &old[1001..],
        &["\"line 1999\"", "\"new\""].map(String::from),
    ]
    .concat();
    assert_eq!(kept.lines().collect::<Vec<_>>(), expected);
    // A client that has the old one open still reads all of it.
    let read = std::io::read_to_string(before).unwrap();
    assert_eq!(read, old.join("\n"));
    let left = fs::read_dir(&folder).unwrap().count();
    assert_eq!(left, 1, "something is left beside it");
    drop(home);
}
