//! `--confine`: a server that gave up what it does not need serves, reloads, is watched and ends as
//! ever, on every driver.

use std::fs;

use crate::support::{Peer, Program, Setup, gather, get, introduce, samples};

fn a_confined_server_does_all_that_a_server_does(setup: Setup) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.toml");
    fs::write(&file, "max-clients = 2\n").unwrap();
    let file_name = file.to_str().unwrap();
    let metrics = ["--metrics-listen", "127.0.0.1:0"];
    let arguments = [&["--confine", "--config", file_name], &metrics[..]].concat();
    let server = Program::start(setup, &arguments);
    let [ann, mut bob] = gather(server.address, ["ann", "bob"]);
    ann.say("hello");
    bob.expect("ann", "hello");
    for (task, status) in server.statuses_of_threads() {
        // 2: a filter is in force (proc_pid_status(5)).
        assert!(status.contains("Seccomp:\t2"), "{task}: {status}");
        assert!(status.contains("NoNewPrivs:\t1"), "{task}: {status}");
    }
    let metrics = server.metrics.expect("metrics are served");
    for path in ["/metrics", "/healthz", "/readyz", "/connections", "/"] {
        assert!(!get(metrics, path).body.is_empty(), "{path}");
    }
    let refused = "server is full (2 clients); try again later";
    Peer::connect(server.address)
        .named("cleo")
        .expect_goodbye(refused);
    fs::write(&file, "max-clients = 3\n").unwrap();
    server.reload();
    server.line_with("max-clients");
    Peer::connect(server.address)
        .named("*")
        .expect_goodbye("name begins with '*', which is kept for the server");
    let cleo = Peer::connect(server.address).named("cleo");
    introduce(&cleo, [&mut bob]);
    drop(cleo);
    // Those who are there are sent what they are owed, and told of the end.
    let accepted = || samples(metrics)["uringcast_messages_received_total"];
    let before = accepted();
    ann.say("the last");
    while accepted() == before {}
    server.terminate();
    bob.expect("ann", "the last");
    bob.expect_goodbye("server is shutting down");
    assert_eq!(server.exit_code(), 0);
}

on_every_driver!(a_confined_server_does_all_that_a_server_does);
