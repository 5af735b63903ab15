//! Runs that end otherwise than by the clock: what a signal cuts short is kept, a run that cannot be made
//! leaves earlier results alone, and time in which the process was stopped is not counted.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

mod support;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use support::{Action, Faults, RelayServer, loadgen};

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn report(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A server, and what it says when it has relayed so many messages.
fn server_that_tells_at(message: u64) -> (RelayServer, std::sync::mpsc::Receiver<()>) {
    let (tell, told) = std::sync::mpsc::channel();
    let server = RelayServer::start(Faults {
        action: Box::new(move |delivery| {
            if delivery.message == message {
                let _ = tell.send(());
            }
            Action::Deliver
        }),
        ..Faults::default()
    });
    (server, told)
}

/// Starts a run into `folder`.
fn start(addr: SocketAddr, folder: &Path, flags: &str) -> Child {
    let (out, file) = (folder.join("out"), folder.join("run.json"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command
        .args(["--addr", &addr.to_string(), "--quiet", "--out"])
        .arg(out)
        .arg("--json")
        .arg(file)
        .args(flags.split_whitespace())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

#[test]
fn what_a_signal_cuts_short_is_printed_and_kept_and_marked() {
    for (end, flags) in [
        (Signal::INT, ""),
        (Signal::TERM, "--threads 2"),
        (Signal::INT, "--repeat 3"),
    ] {
        let place = tempfile::tempdir().unwrap();
        let (server, told) = server_that_tells_at(100);
        let flags = format!("--clients 6 --rate 200 --duration 1h --warmup 0s {flags}");
        let run = start(server.addr, place.path(), &flags);
        told.recv().unwrap();
        signal(&run, end);
        let output = run.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{output:?}");
        let summary = String::from_utf8(output.stdout).unwrap();
        assert!(summary.contains("VALID, cut short\n"), "{summary}");

        let report = report(&place.path().join("run.json"));
        assert_eq!(report["cut_short"], json!(true));
        let notes = report["notes"].to_string();
        assert!(notes.contains("cut short by a signal after"), "{notes}");
        let messages = report["messages"].as_u64().unwrap();
        assert!(messages > 100, "{report:#}");
        assert_eq!(report["delivered"], json!(messages * 5));
        assert_eq!(report["unsent"], json!(0), "what was not due yet");
        assert!(report["duration_seconds"].as_f64().unwrap() < 3600.0);
        for name in ["report.md", "report.html", "summary.txt"] {
            let text = fs::read_to_string(place.path().join("out").join(name)).unwrap();
            assert!(text.contains("cut short"), "{name}");
        }
    }
}

#[test]
fn a_run_that_cannot_be_made_leaves_earlier_results_alone() {
    let place = tempfile::tempdir().unwrap();
    let flags = "--clients 6 --rate 200 --duration 300ms --warmup 0s";
    let server = RelayServer::start(Faults::default());
    let first = start(server.addr, place.path(), flags).wait_with_output();
    assert_eq!(first.unwrap().status.code(), Some(0));
    let files = || {
        let out = fs::read_dir(place.path().join("out")).unwrap();
        let mut paths: Vec<_> = out.map(|entry| entry.unwrap().path()).collect();
        paths.push(place.path().join("run.json"));
        paths.sort();
        let contents = paths.iter().map(|path| fs::read(path).unwrap());
        contents.zip(paths.clone()).collect::<Vec<_>>()
    };
    let before = files();

    // Nobody listens.
    let (_, nobody) = listener_of_nobody();
    let refused = start(nobody, place.path(), flags).wait_with_output();
    assert_eq!(refused.unwrap().status.code(), Some(1));
    assert!(files() == before);

    // It is interrupted before it measures.
    let (listener, silent) = listener_of_nobody();
    let run = start(silent, place.path(), flags);
    somebody_waits(&listener);
    signal(&run, Signal::INT);
    assert_eq!(run.wait_with_output().unwrap().status.code(), Some(130));
    assert!(files() == before);
}

/// A listener whose connections nobody accepts.
fn listener_of_nobody() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// Waits until somebody has connected to a listener.
fn somebody_waits(listener: &TcpListener) {
    let mut fds = [PollFd::new(listener, PollFlags::IN)];
    assert_eq!(poll(&mut fds, None).unwrap(), 1);
}

#[test]
fn time_in_which_the_process_was_stopped_does_not_count_for_its_timeouts() {
    let (listener, addr) = listener_of_nobody();
    let flags = "--clients 12 --rate 100 --duration 300ms --warmup 0s --connect-timeout 2s";
    let mut command = loadgen(addr, flags);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = command.spawn().unwrap();
    somebody_waits(&listener);
    signal(&run, Signal::STOP);
    // This is how long it is stopped, longer than its timeout.
    thread::sleep(Duration::from_secs(4));
    let _server = RelayServer::start_on(listener, Faults::default());
    signal(&run, Signal::CONT);
    let output = run.wait_with_output().unwrap();
    let report = serde_json::from_slice::<Value>(&output.stdout);
    let report = report.unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(report["delivered"], json!(30 * 11));
}
