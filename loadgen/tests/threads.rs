//! Several threads: a run is the same on one and on three, and each thread tells of itself.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

mod support;

use serde_json::{Value, json};
use support::{
    Action, Faults, RelayServer, faults_of, loadgen, measure_on, measure_spawned, only_line,
};

/// 11 clients: three threads get 3, 4 and 4 of them.
const FLAGS: &str =
    "--clients 11 --rate 300 --arrival poisson --duration 500ms --warmup 100ms --drain-timeout 1s";

/// Everything that a run counts and that does not depend on how long something took.
fn counts(report: &Value) -> Value {
    let samples = |latency: &str| report["latency_ms"][latency]["count"].clone();
    json!({
        "faults": faults_of(report),
        "messages": report["messages"],
        "expected": report["expected"],
        "delivered": report["delivered"],
        "warmup": report["warmup"],
        "delivery": samples("delivery"),
        "completion_first": samples("completion_first"),
        "completion_median": samples("completion_median"),
        "completion": samples("completion"),
        "send_lag": samples("send_lag"),
    })
}

#[test]
fn a_clean_run_counts_the_same_on_one_thread_and_on_three() {
    let server = RelayServer::start(Faults::default());
    let (code, one) = measure_on(1, &server, FLAGS);
    assert_eq!(code, 0, "{one:#}");
    let (code, three) = measure_on(3, &server, FLAGS);
    assert_eq!(code, 0, "{three:#}");
    assert_eq!(counts(&one), counts(&three));
    assert_eq!(three["latency_ms"]["completion"]["count"], json!(150));
    assert_eq!(three["latency_ms"]["delivery"]["count"], json!(1500));
}

#[test]
fn every_kind_of_fault_counts_the_same_on_one_thread_and_on_three() {
    let of = |threads| {
        let server = RelayServer::start(Faults {
            action: Box::new(|delivery| match (delivery.message, delivery.receiver) {
                (60 | 61, 2 | 9) => Action::Drop,
                (70, _) => Action::Twice,
                (80, 1) => Action::Corrupt(50),
                _ => Action::Deliver,
            }),
            ..Faults::default()
        });
        // One author, who is client 0, so that nobody's own are dropped.
        let flags = "--clients 12 --senders 1 --rate 300 --duration 500ms --warmup 100ms \
                     --drain-timeout 1s";
        let (code, report) = measure_on(threads, &server, flags);
        assert_eq!(code, 3, "{report:#}");
        (server.misdeeds(), report)
    };
    let (misdeeds, one) = of(1);
    let (misdeeds_of_three, three) = of(3);
    assert_eq!(misdeeds, misdeeds_of_three);
    assert_eq!(one["latency_ms"]["completion"]["count"], json!(147));
    assert_eq!(counts(&one), counts(&three));
}

#[test]
fn each_thread_tells_of_its_own_loop() {
    let server = RelayServer::start(Faults::default());
    let (_, report) = measure_on(3, &server, FLAGS);
    let threads = report["generator"]["threads"].as_array().unwrap();
    assert_eq!(threads.len(), 3);
    let busiest = threads
        .iter()
        .map(|thread| thread["busy_share"].as_f64().unwrap());
    let busiest = busiest.fold(0.0, f64::max);
    assert_eq!(report["generator"]["busy_share"], json!(busiest));
    let turns: u64 = threads
        .iter()
        .map(|thread| thread["turn_ms"]["count"].as_u64().unwrap())
        .sum();
    assert_eq!(report["generator"]["turn_ms"]["count"], json!(turns));
    assert!(
        threads
            .iter()
            .all(|thread| thread["ran_share"].as_f64().unwrap() > 0.0)
    );
}

#[test]
fn a_sweep_on_three_threads_keeps_its_connections() {
    let server = RelayServer::start(Faults::default());
    let flags = "--clients 9 --sweep 50,100,200 --duration 300ms --warmup 50ms";
    let (code, report) = measure_on(3, &server, flags);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["steps"]["steps"].as_array().unwrap().len(), 3);
    assert_eq!(server.connections(), 9);
}

#[test]
fn the_real_server_is_measured_on_three_threads_beside_those_who_misbehave() {
    let flags = "--threads 3 --clients 30 --rate 100 --duration 1s --warmup 200ms --stalled-clients 2 --churn 5/s";
    let (code, report) = measure_spawned(flags);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["delivered"], json!(2900));
    assert!(report["misbehaviour"]["churn"]["left"].as_u64().unwrap() > 0);
}

#[test]
fn a_search_on_three_threads_finds_a_rate() {
    let flags = "--threads 3 --clients 6 --find-max --rate 100 --duration 300ms --warmup 50ms \
                 --slo deliveries_per_second<1000";
    let (code, report) = measure_spawned(flags);
    assert_eq!(code, 0, "{report:#}");
    let found = report["steps"]["found"]["rate"].as_f64().unwrap();
    assert!((100.0..200.0).contains(&found), "{found}");
}

#[test]
fn more_threads_than_pairs_of_clients_are_refused() {
    let server = RelayServer::start(Faults::default());
    let output = loadgen(server.addr, "--clients 5 --threads 3")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let line = only_line(&output);
    assert!(
        line.contains("--threads 3 is not between 1 and 2"),
        "{line}"
    );
}
