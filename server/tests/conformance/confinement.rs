//! `--confine`: a server that gave up what it does not need serves, reloads, is watched and ends as
//! ever, on every driver.

use std::fs;

use crate::support::{Peer, Program, Setup, gather, introduce};

fn a_confined_server_does_all_that_a_server_does(setup: Setup) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.toml");
    fs::write(&file, "max-clients = 2\n").unwrap();
    let arguments = ["--confine", "--config", file.to_str().unwrap()];
    let server = Program::start(setup, &arguments);
    let [ann, mut bob] = gather(server.address, ["ann", "bob"]);
    ann.say("hello");
    bob.expect("ann", "hello");
    for (task, status) in server.statuses_of_threads() {
        // 2: a filter is in force (proc_pid_status(5)).
        assert!(status.contains("Seccomp:\t2"), "{task}: {status}");
        assert!(status.contains("NoNewPrivs:\t1"), "{task}: {status}");
    }
    let refused = "server is full (2 clients); try again later";
    Peer::connect(server.address)
        .named("cleo")
        .expect_goodbye(refused);
    fs::write(&file, "max-clients = 3\n").unwrap();
    server.reload();
    server.line_with("max-clients");
    let cleo = Peer::connect(server.address).named("cleo");
    introduce(&cleo, [&mut bob]);
    drop((ann, bob, cleo));
    server.terminate();
    assert_eq!(server.exit_code(), 0);
}

on_every_driver!(a_confined_server_does_all_that_a_server_does);
