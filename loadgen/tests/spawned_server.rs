//! `--spawn-server`: a private server of the same build, from its start to its end.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

mod support;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use support::only_line;

fn loadgen(flags: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command
        .args(["--spawn-server", "--json", "-"])
        .args(flags.split_whitespace());
    command
}

#[test]
fn one_command_measures_a_server_of_its_own() {
    let output = loadgen("--quiet --clients 50 --rate 200 --duration 500ms --warmup 100ms")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["valid"], json!(true));
    assert_eq!(report["delivered"], json!(4900));
    assert_eq!(report["lost"], json!(0));
    assert!(report["server"]["rss_peak_bytes"].as_u64().unwrap() > 0);
}

#[test]
fn a_server_that_does_not_start_says_why_in_one_line() {
    let output = loadgen("--quiet --clients 2 --server-arg=--frobnicate")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(only_line(&output).contains("the spawned server did not start"));
}

#[test]
fn an_interrupt_ends_the_server_too() {
    let mut child = loadgen("--clients 20 --rate 50 --duration 1h --warmup 0s")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let under_way = lines.find(|line| line.as_ref().unwrap().starts_with("measure"));
    assert!(under_way.is_some());
    let server = only_child_of(child.id());
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let said: Vec<_> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(
        said.iter().any(|line| line.contains("cut short")),
        "{said:?}"
    );
    assert!(!server.exists(), "{server:?} is still there");
}

#[test]
fn a_server_that_ends_in_the_middle_makes_the_run_invalid_and_says_so() {
    let mut child = loadgen("--clients 20 --rate 50 --duration 1h --warmup 0s --threads 2")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("measure")));
    let server = only_child_of(child.id());
    let pid: i32 = server
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    // What it says is read to the end, so that it need not wait.
    let said: Vec<_> = lines.map(Result::unwrap).collect();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{said:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let problems: Vec<_> = report["problems"].as_array().unwrap().iter().collect();
    let says = |text: &str| {
        problems
            .iter()
            .any(|one| one.as_str().unwrap().starts_with(text))
    };
    assert!(says("the server ended or was restarted"), "{problems:?}");
    let everybody = " of 20 clients were disconnected, so the server ended";
    assert!(
        report["problems"].to_string().contains(everybody),
        "{problems:?}"
    );
    assert!(says("cut short"), "{problems:?}");
}

#[test]
fn a_server_does_not_outlive_a_load_generator_that_was_killed() {
    let mut child = loadgen("--clients 20 --rate 50 --duration 1h --warmup 0s")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = child.stderr.take().unwrap();
    let mut lines = BufReader::new(stderr).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("measure")));
    let server = only_child_of(child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    // Standard error ends when the last process that could write to it has; the server's own is
    // another pipe, which is why its process is asked for.
    let killed = Instant::now();
    while is_running(&server) {
        assert!(killed.elapsed() < Duration::from_secs(30), "{server:?}");
        std::thread::yield_now();
    }
}

/// The process that has `parent` for its parent.
fn only_child_of(parent: u32) -> PathBuf {
    let children = format!("/proc/{parent}/task/{parent}/children");
    let pid = std::fs::read_to_string(children).unwrap();
    PathBuf::from(format!("/proc/{}", pid.trim()))
}

/// Whether it is there and not merely waiting to be reaped by whoever inherited it.
fn is_running(process: &std::path::Path) -> bool {
    let stat = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, fields)| !fields.trim_start().starts_with('Z'))
}
