//! The program of hostile clients, from outside, at small loads. Never how fast anything is.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

use std::fs;
use std::process::{Command, Output};

use serde_json::{Value, json};

fn hostile(flags: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hostile"))
        .args(flags.split_whitespace())
        .output()
        .unwrap()
}

#[test]
fn every_case_is_measured_and_the_healthy_get_all_of_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("hostile.md");
    let output = hostile(&format!(
        "--clients 20 --broken tls,port-scan --repeats 1 --duration 500ms --json - --markdown {}",
        page.display()
    ));
    // 3: how fast it was, and whether a busy machine makes a run invalid, is not asked here.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{output:?}");
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let runs = result["runs"].as_array().unwrap();
    let hostile: Vec<_> = runs
        .iter()
        .map(|run| run["hostile"].as_str().unwrap_or("nobody"))
        .collect();
    let kinds = [
        "nobody",
        "stalled",
        "slow",
        "churn",
        "garbage",
        "half-open",
        "herd",
        "nobody",
        "stalled",
        "nobody",
        "tls",
        "port-scan",
        "nobody",
        "flooder",
    ];
    assert_eq!(hostile, kinds);
    for run in runs {
        let report = &run["report"];
        assert_eq!(report["delivered"], report["expected"], "{run}");
        for fault in ["lost", "duplicated", "reordered", "corrupt", "echoed"] {
            assert_eq!(report[fault], json!(0), "{run}");
        }
    }
    for run in &runs[10..12] {
        assert!(run["comings"].as_u64().unwrap() > 0, "{run}");
    }
    assert!(runs[13]["flood_rate"].as_f64().unwrap() > 0.0);
    assert_eq!(result["bounds"].as_array().unwrap().len(), 21);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("kinds   beside herd: p99 with / without"),
        "{text}"
    );
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("| flood | flooder | p99, ms |"), "{page}");
}

#[test]
fn what_the_server_refuses_is_one_line() {
    for scenario in ["stalled", "flood"] {
        let flags = "--clients 20 --repeats 1 --server-arg=--no-such-option --scenarios";
        let output = hostile(&format!("{flags} {scenario}"));
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        let errors = text.lines().filter(|line| line.starts_with("error:"));
        assert_eq!(errors.count(), 1, "{text}");
        assert!(text.contains("no-such-option"), "{text}");
    }
}
