//! SIGHUP: other limits, for those who are there and those who come; a wrong file changes nothing.

use std::fs;

use tempfile::NamedTempFile;

use crate::support::{Peer, Program, Setup, gather};

/// A server with a file that says `text`.
fn start(setup: Setup, text: &str) -> (Program, NamedTempFile) {
    let file = NamedTempFile::new().unwrap();
    fs::write(&file, text).unwrap();
    let path = file.path().to_str().unwrap();
    (Program::start(setup, &["--config", path]), file)
}

fn other_limits_hold_for_those_who_are_there_and_those_who_come(setup: Setup) {
    let (server, file) = start(setup, "max-message-bytes = 8\n");
    let [mut ann, mut bob] = gather(server.address, ["ann", "bob"]);
    fs::write(&file, "max-message-bytes = 12\n\nlog-bytes = 1000000\n").unwrap();
    server.reload();
    let changed = server.line_with("option=max-message-bytes");
    assert!(changed.contains("from=8 to=12"), "{changed}");
    assert!(changed.contains(":1"), "it names the line: {changed}");
    let fixed = server.line_with("option=log-bytes");
    assert!(
        fixed.contains("WARN") && fixed.contains("restart"),
        "{fixed}"
    );
    server.line_with("was read again");
    ann.say("twelve bytes");
    bob.expect("ann", "twelve bytes");

    fs::write(&file, "max-message-bytes = 4\nmax-clients = 1\n").unwrap();
    server.reload();
    server.line_with("was read again");
    // Nobody has to go for a limit on clients; nobody comes in, either.
    Peer::connect(server.address).expect_goodbye("server is full (1 clients); try again later");
    bob.say("four");
    ann.expect("bob", "four");
    ann.say("five!");
    ann.expect_goodbye("message of 5 bytes is over the limit of 4");
    server.terminate();
    bob.hear_to_the_end();
    drop((ann, bob));
    assert_eq!(server.exit_code(), 0);
}

fn a_wrong_file_changes_nothing(setup: Setup) {
    let (server, file) = start(setup, "max-message-bytes = 8\n");
    let [ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let refused = |why: &str| {
        server.reload();
        let line = server.line_with("the configuration stays as it was");
        assert!(line.contains("ERROR") && line.contains(why), "{line}");
    };
    fs::write(&file, "\nmax-message-bytes = true\n").unwrap();
    refused(":2: invalid value 'true'");
    fs::write(&file, "max-message-bytes = 2_000_000_000\n").unwrap();
    refused("raise --log-bytes or lower");
    // No restart could come up with this, so the running server says so.
    fs::write(&file, "max-message-bytes = 9\nlog-bytes = 5\n").unwrap();
    refused(":2: a log of 5 bytes is too small");
    fs::write(&file, "log = \"inof\"\n").unwrap();
    refused("'inof' is no level");
    fs::remove_file(&file).unwrap();
    refused("cannot read ");
    ann.say("8 bytes!");
    bob.expect("ann", "8 bytes!");
}

on_every_driver!(
    other_limits_hold_for_those_who_are_there_and_those_who_come,
    a_wrong_file_changes_nothing,
);
