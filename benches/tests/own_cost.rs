//! The program that measures the load generator's own cost, from outside, at a small load.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

use std::process::Command;

use serde_json::Value;

fn own_cost(flags: &str) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_own-cost"));
    command.args(flags.split_whitespace()).output().unwrap()
}

/// Messages are so far apart that each is a segment of its own to each client.
#[test]
fn those_side_by_side_see_the_same_traffic() {
    let output =
        own_cost("--clients 12 --rate 20 --full-rate 50 --duration 2s --repeats 2 --json -");
    // 3: what it costs is not asked here.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{output:?}");
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let repeats = result["repeats"].as_array().unwrap();
    assert_eq!(repeats.len(), 2);
    for pair in repeats
        .iter()
        .flat_map(|repeat| [&repeat["pair"], &repeat["control"]])
    {
        let figure = |side: &str, name: &str| pair[side][name].as_f64().unwrap();
        // The author of a message does not get it, and of 40 messages one or two more are seen by
        // those who are asked a little earlier or later.
        for name in ["bytes_per_segment", "segments"] {
            let (judged, bare) = (figure("judged", name), figure("bare", name));
            assert!(
                (judged / bare - 1.0).abs() < 0.5,
                "{name}: {judged} and {bare}"
            );
        }
        assert!(figure("bare", "turns") > 0.0 && figure("judged", "turns") > 0.0);
        let ratio = figure("judged", "ns_per_segment") / figure("bare", "ns_per_segment");
        assert!((pair["ratio"].as_f64().unwrap() - ratio).abs() < 1e-9);
    }
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("bounds: ratio 1.15 with segments alike to 0.05, user 120 ns per delivery"),
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
