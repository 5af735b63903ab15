//! The floor's program, from outside: what it counts and what it refuses. Never how fast it is.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use benches::{Floor, Plan};
use serde_json::{Value, json};

fn floor(flags: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_floor"))
        .args(flags.split_whitespace())
        .output()
        .unwrap()
}

#[test]
fn every_send_is_read_once() {
    let output = floor("--clients 50 --repeats 2 --passes 3 --warmup-passes 1 --json -");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["plan"]["sockets"], json!(50));
    assert_eq!(result["sends"], json!(300));
    assert_eq!(result["reads"], json!(300));
    let repeats = result["repeats"].as_array().unwrap();
    assert_eq!(repeats.len(), 2);
    for repeat in repeats {
        let passes = repeat["passes_ms"].as_array().unwrap();
        let completions = repeat["completions_ms"].as_array().unwrap();
        assert_eq!((passes.len(), completions.len()), (3, 3));
        assert!(repeat["cpu_us_per_send"].as_f64().unwrap() > 0.0);
        assert!(repeat["cpu_us_per_read"].as_f64().unwrap() > 0.0);
    }
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("300 sends of 92 bytes, 300 reads"), "{text}");
}

#[test]
fn sockets_that_do_not_fill_a_window_and_long_frames_are_no_exception() {
    let output =
        floor("--sockets 65 --bytes 100000 --repeats 1 --passes 2 --interval 1ms --json -");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["sends"], json!(130));
    assert!(result["reads"].as_u64().unwrap() >= 260, "64 KiB a read");
}

#[test]
fn a_pass_is_complete_only_after_its_first_send() {
    let plan = Plan {
        sockets: 20,
        bytes: 92,
        repeats: 1,
        passes: 1,
        warmup_passes: 0,
        interval: Duration::ZERO,
        reader: Some(PathBuf::from(env!("CARGO_BIN_EXE_floor"))),
    };
    let mut floor = Floor::connect(&plan).unwrap();
    for _ in 0..10 {
        let pass = floor.pass().unwrap();
        assert_eq!(pass.reads, 20);
        assert!(!pass.sending.is_zero() && !pass.completion.is_zero());
        assert!(!pass.send_cpu.is_zero() && !pass.read_cpu.is_zero());
    }
}

#[test]
fn passes_are_no_closer_than_their_interval() {
    let plan = Plan {
        sockets: 3,
        bytes: 92,
        repeats: 1,
        passes: 1,
        warmup_passes: 0,
        interval: Duration::from_millis(40),
        reader: Some(PathBuf::from(env!("CARGO_BIN_EXE_floor"))),
    };
    let mut floor = Floor::connect(&plan).unwrap();
    floor.pass().unwrap();
    let began = Instant::now();
    floor.pass().unwrap();
    floor.pass().unwrap();
    // The first of these may have waited less, as the pass before it took its time.
    assert!(began.elapsed() >= Duration::from_millis(40));
}

#[test]
fn more_sockets_than_the_system_grants_is_one_line_with_the_remedy() {
    let output = floor("--sockets 4000000000");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("`ulimit -n 4000000064`"), "{text}");
}

#[test]
fn a_result_that_cannot_be_written_is_found_out_before() {
    let output = floor("--json /nowhere/floor.json");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("cannot write /nowhere/floor.json"), "{text}");
    assert!(output.stdout.is_empty());
}
