//! The program that measures the load generator's own cost, from outside, at a small load.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

use std::process::Command;

use serde_json::Value;

fn own_cost(flags: &str) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_own-cost"));
    command.args(flags.split_whitespace()).output().unwrap()
}

/// Far apart, so that each message is a segment of its own to each of them, on both sides.
#[test]
fn both_halves_see_the_same_traffic() {
    let output =
        own_cost("--clients 12 --rate 20 --full-rate 50 --duration 2s --repeats 2 --json -");
    // 3: what it costs is not asked here.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{output:?}");
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let repeats = result["repeats"].as_array().unwrap();
    assert_eq!(repeats.len(), 2);
    for repeat in repeats {
        let figure = |half: &str, name: &str| repeat[half][name].as_f64().unwrap();
        let whole = figure("whole", "bytes_per_segment");
        let bare = figure("bare", "bytes_per_segment");
        // Probes are shorter than messages, and the bare readers see those of the start, too.
        assert!((whole / bare - 1.0).abs() < 0.35, "{whole} and {bare}");
        let ratio = figure("whole", "ns_per_segment") / figure("bare", "ns_per_segment");
        assert!((repeat["ratio"].as_f64().unwrap() - ratio).abs() < 1e-9);
    }
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("bounds: ratio 1.15 with segments alike to 0.1, user 120 ns per delivery"),
        "{text}"
    );
}

#[test]
fn what_the_load_generator_refuses_is_one_line() {
    let output = own_cost("--clients 12 --duration 0s --repeats 1");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("--duration"), "{text}");
}
