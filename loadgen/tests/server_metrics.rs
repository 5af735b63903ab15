//! `--server-metrics`: what the server counted and what the clients counted, to the message.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

mod support;

use std::process::{Command, Output};

use serde_json::{Value, json};
use support::only_line;

fn loadgen(flags: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["--quiet", "--json", "-"])
        .args(flags.split_whitespace())
        .output()
        .unwrap()
}

fn report(flags: &str) -> Value {
    let output = loadgen(flags);
    // A busy machine makes figures INVALID; it changes no count.
    let status = output.status.code();
    assert!(matches!(status, Some(0 | 3)), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn count(report: &Value, field: &str) -> u64 {
    let found = report.pointer(&format!("/server_view/{field}"));
    found.and_then(Value::as_u64).unwrap_or(0)
}

/// All that holds of the server's own books, whoever misbehaved.
fn assert_books_balance(report: &Value) {
    let discarded = report["server_view"]["deliveries_discarded"].as_object();
    let discarded: u64 = discarded.unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!(
        count(report, "deliveries_owed"),
        count(report, "deliveries") + discarded + count(report, "deliveries_pending"),
        "{report}"
    );
}

fn assert_both_counted_the_same(report: &Value) {
    let counted = |field| count(report, field);
    assert_eq!(report["server_view"]["agrees"], json!(true), "{report}");
    assert_eq!(counted("messages_accepted"), counted("messages_sent"));
    assert_eq!(
        counted("deliveries_to_clients"),
        counted("deliveries_received")
    );
    let ledger = |field: &str| {
        let of = |value: &Value| value[field].as_u64().unwrap();
        of(report) + of(&report["warmup"])
    };
    // The rest are the probes that found out who had joined.
    assert!(counted("deliveries_received") > ledger("delivered"));
    assert_eq!(ledger("delivered"), ledger("expected"), "{report}");
    assert_books_balance(report);
}

#[test]
fn both_count_the_same_on_every_driver_and_on_several_threads() {
    for server in [
        "--driver=uring",
        "--driver=tokio-uring",
        "--driver=epoll",
        "--threads=3",
        "--announce-presence",
    ] {
        let report = report(&format!(
            "--spawn-server --server-metrics --server-arg={server} --clients 40 --rate 300 \
             --duration 700ms --warmup 200ms"
        ));
        assert_both_counted_the_same(&report);
        assert_eq!(
            count(&report, "deliveries"),
            count(&report, "deliveries_received")
        );
        assert_eq!(count(&report, "deliveries_pending"), 0);
    }
}

#[test]
fn churn_and_stalled_clients_change_nothing_in_what_is_counted_for_the_others() {
    let report = report(
        "--spawn-server --server-metrics --server-arg=--write-deadline=500ms --clients 30 --rate 100 \
         --size 60000 --duration 3s --warmup 0s --churn 20/s --stalled-clients 4",
    );
    assert_both_counted_the_same(&report);
    assert_eq!(count(&report, "disconnects/stalled"), 4, "{report}");
    assert!(count(&report, "disconnects/left") > 10, "{report}");
    assert!(
        count(&report, "deliveries_discarded/stalled") > 0,
        "{report}"
    );
    assert!(count(&report, "deliveries") > count(&report, "deliveries_received"));
}

#[test]
fn a_second_run_on_the_same_connections_is_counted_from_its_own_beginning() {
    let report = report(
        "--spawn-server --server-metrics --clients 20 --rate 200 --duration 300ms --warmup 100ms --repeat 2",
    );
    assert_both_counted_the_same(&report);
}

#[test]
fn the_report_folder_says_it_to_people() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().display();
    let report = report(&format!(
        "--spawn-server --server-metrics --clients 20 --rate 200 --duration 300ms --warmup 0s --out {out}"
    ));
    for name in ["report.md", "report.html", "summary.txt"] {
        let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
        let same = text
            .lines()
            .find_map(|line| line.split_once("server counted "));
        assert!(same.is_some(), "{name}: {text}");
        assert!(
            text.contains("deliveries, clients received "),
            "{name}: {text}"
        );
    }
    assert!(
        !report["server_view"]["seconds"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn what_serves_no_metrics_is_named_before_the_run() {
    let refused = loadgen("--spawn-server --clients 2 --server-metrics 127.0.0.1:1");
    assert_eq!(refused.status.code(), Some(1));
    assert!(only_line(&refused).contains("http://127.0.0.1:1/metrics"));
    let without = loadgen("--clients 2 --server-metrics");
    assert_eq!(without.status.code(), Some(2));
    assert!(only_line(&without).contains("--server-metrics needs a URL"));
}
