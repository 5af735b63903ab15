//! The comparison's program, from outside, at the smallest load it has.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

use std::process::{Command, Output};

use serde_json::{Value, json};

fn drivers(flags: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drivers"));
    command.args(flags.split_whitespace()).output().unwrap()
}

#[test]
fn a_server_is_measured_beside_its_floor() {
    let flags = "--drivers tokio-uring --scenarios low --repeats 1 --duration 500ms --warmup 100ms --passes 2 --json -";
    let output = drivers(flags);
    // 3: how fast it was is not asked here.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{output:?}");
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let run = &result["runs"][0];
    assert_eq!(run["driver"], json!("tokio-uring"));
    assert_eq!(run["reports"][0]["delivered"], json!(5 * 99));
    assert!(run["floors"][0]["pass_ms"].as_f64().unwrap() > 0.0);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("p99 / (1.3 F + 0.5 ms)"), "{text}");
}

#[test]
fn what_the_server_refuses_is_one_line() {
    let flags = "--drivers tokio-uring --scenarios low --duration soon --passes 1";
    let output = drivers(flags);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("--duration"), "{text}");
}

#[test]
fn idle_clients_have_all_joined_before_they_are_watched() {
    let flags = "--drivers epoll --scenarios idle --idle-clients 20 --idle-duration 100ms --repeats 1 --json -";
    let output = drivers(flags);
    // 3: what they cost is not asked here.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{output:?}");
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let idle = &result["runs"][0]["idle"];
    assert_eq!(idle["clients"], json!(20));
    assert!(idle["rss_bytes"].as_u64().unwrap() > 0, "{idle}");
    let text = String::from_utf8(output.stderr).unwrap();
    for bound in [
        "RSS with idle clients",
        "memory per idle client",
        "CPU while idle",
        "wake-ups of serving threads while idle",
    ] {
        assert!(text.contains(bound), "{text}");
    }
}
