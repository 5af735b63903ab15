//! Several runs from one command, and objectives: what is listed, what is shown, and the exit status.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

mod support;

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use support::{Action, Faults, RelayServer, loadgen, measure, measure_spawned};

const SHORT: &str = "--clients 5 --duration 300ms --warmup 50ms";

#[test]
fn an_objective_that_is_broken_has_an_exit_status_of_its_own() {
    let server = RelayServer::start(Faults {
        delay: Duration::from_millis(20),
        ..Faults::default()
    });
    let flags = "--clients 5 --rate 20 --duration 2s --warmup 0s --slo lost==0 --slo delivery.p50";
    let (code, report) = measure(&server, &format!("{flags}<19ms"));
    assert_eq!(code, 4, "{report:#}");
    assert_eq!(report["valid"], json!(true));
    assert_eq!(
        report["slo"][0],
        json!({"condition": "lost==0", "held": true, "found": 0.0})
    );
    assert_eq!(report["slo"][1]["held"], json!(false));
    let (code, report) = measure(&server, &format!("{flags}>=19ms"));
    assert_eq!(code, 0, "{report:#}");
}

#[test]
fn what_is_invalid_cannot_break_an_objective() {
    let server = RelayServer::start(Faults {
        action: Box::new(|_| Action::Drop),
        ..Faults::default()
    });
    let flags = format!("{SHORT} --rate 100 --slo lost==0 --drain-timeout 100ms");
    let (code, report) = measure(&server, &flags);
    assert_eq!(code, 3);
    assert_eq!(report["slo"][0]["held"], json!(false));
}

#[test]
fn every_figure_that_an_objective_can_name_is_known() {
    let latencies = [
        "delivery",
        "delivery_from_send",
        "completion",
        "completion_median",
        "completion_first",
        "send_lag",
    ];
    let percentiles = ["p50", "p90", "p99", "p999", "max", "mean"];
    let times = latencies
        .iter()
        .flat_map(|latency| percentiles.map(|percentile| format!("{latency}.{percentile}>=0s")));
    let seconds = ["connect_seconds", "drain_seconds", "server.cpu_seconds"];
    let seconds = seconds.map(|name| format!("{name}>=0ms"));
    let numbers = [
        "rate_achieved",
        "deliveries_per_second",
        "messages",
        "expected",
        "delivered",
        "lost",
        "lost_while_connected",
        "lost_to_disconnects",
        "duplicated",
        "reordered",
        "corrupt",
        "echoed",
        "unsent",
        "foreign",
        "backlog_at_end",
        "server.cpu_cores",
        "server.rss_peak_bytes",
        "generator.cpu_cores",
        "generator.rss_peak_bytes",
        "generator.busy_share",
    ];
    let numbers = numbers.map(|name| format!("{name}>=0"));
    let all: Vec<String> = times.chain(seconds).chain(numbers).collect();
    let (code, report) = measure_spawned(&format!("{SHORT} --rate 200 --slo {}", all.join(",")));
    assert_eq!(code, 0, "{report:#}");
    let judged = report["slo"].as_array().unwrap();
    assert_eq!(judged.len(), all.len());
    assert!(judged.iter().all(|one| one["found"].is_number()));
}

#[test]
fn a_sweep_measures_every_rate_on_the_same_connections() {
    let server = RelayServer::start(Faults::default());
    let (code, report) = measure(&server, &format!("{SHORT} --sweep 100,200..500"));
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["steps"]["goal"], json!("sweep"));
    let steps = report["steps"]["steps"].as_array().unwrap();
    let rates: Vec<_> = steps.iter().map(|step| &step["rate_requested"]).collect();
    assert_eq!(rates, [&json!(100.0), &json!(200.0), &json!(500.0)]);
    assert!(steps.iter().all(|step| step["held"] == json!(true)));
    assert_eq!(
        report["rate_requested"],
        json!(500.0),
        "the fastest is shown"
    );
    assert_eq!(report["delivered"], json!(600));
    assert_eq!(server.connections(), 5);
}

#[test]
fn repeats_show_their_spread_and_the_median_run() {
    let server = RelayServer::start(Faults::default());
    let (code, report) = measure(&server, &format!("{SHORT} --rate 200 --repeat 3"));
    assert_eq!(code, 0, "{report:#}");
    let steps = report["steps"]["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 3);
    let spread = report["steps"]["spread"].as_array().unwrap();
    let p99 = spread
        .iter()
        .find(|spread| spread["figure"] == json!("latency_ms.delivery.p99"))
        .unwrap();
    assert_eq!(p99["median"], report["latency_ms"]["delivery"]["p99"]);
    assert!(p99["min"].as_f64() <= p99["median"].as_f64());
    assert_eq!(server.connections(), 5);
}

#[test]
fn a_fault_in_one_repeat_is_a_fault_of_the_whole() {
    let mut dropped = false;
    let server = RelayServer::start(Faults {
        action: Box::new(move |delivery| {
            if dropped || delivery.message < 100 {
                return Action::Deliver;
            }
            dropped = true;
            Action::Drop
        }),
        ..Faults::default()
    });
    let flags = format!("{SHORT} --rate 200 --repeat 3 --drain-timeout 200ms");
    let (code, report) = measure(&server, &flags);
    assert_eq!(code, 3);
    let problem = report["problems"][0].as_str().unwrap();
    assert!(
        problem.starts_with("run 2 of 3: 1 delivery was lost"),
        "{problem}"
    );
}

/// Each message holds the server up for 5 ms (the sleep is the server's slowness, and waits for nothing),
/// so that no more than 200 a second can pass. At 240 a second the last of half a second waits for 100 ms.
#[test]
fn the_highest_rate_is_found_with_its_neighbours_and_its_limiter() {
    let server = RelayServer::start(Faults {
        action: Box::new(|delivery| {
            // Client 0 is the author.
            if delivery.receiver == 1 {
                std::thread::sleep(Duration::from_millis(5));
            }
            Action::Deliver
        }),
        ..Faults::default()
    });
    let flags = "--clients 5 --senders 1 --duration 500ms --warmup 0s --rate 400 --find-max";
    let (_, report) = measure(&server, &format!("{flags} --slo completion.max<100ms"));
    let found = &report["steps"]["found"];
    let above = found["neighbour_above"].as_f64().unwrap();
    assert!(above <= 400.0, "{found}");
    if let Some(rate) = found["rate"].as_f64() {
        assert!(rate <= 240.0 && rate < above, "{found}");
        assert_eq!(report["rate_requested"].as_f64(), Some(rate));
    }
    let limiters = found["limiters"].to_string();
    assert!(
        limiters.contains("completion.max<100ms broken"),
        "{limiters}"
    );
}

#[test]
fn clients_that_a_run_has_lost_are_replaced_for_the_next() {
    let mut evicted = false;
    let server = RelayServer::start(Faults {
        action: Box::new(move |delivery| {
            if evicted || delivery.message < 10 {
                return Action::Deliver;
            }
            evicted = true;
            Action::Evict("closing: enough")
        }),
        ..Faults::default()
    });
    let flags = format!("{SHORT} --sweep 100,200 --drain-timeout 200ms");
    let (code, report) = measure(&server, &flags);
    assert_eq!(code, 0, "{report:#}");
    let steps = &report["steps"]["steps"];
    assert_eq!(steps[0]["limiters"][0], json!("loss"));
    assert_eq!(steps[1]["held"], json!(true));
    assert_eq!(report["delivered"], json!(240));
    assert_eq!(server.connections(), 6);
}

/// The first step sends 30 messages. Then all are disconnected, and no connection is accepted any more.
#[test]
fn what_was_measured_before_a_step_failed_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    for campaign in [
        "--sweep 100,200,300",
        "--rate 100 --repeat 3",
        "--rate 100 --find-max",
    ] {
        let server = RelayServer::start(Faults {
            action: Box::new(|delivery| match delivery.message {
                0..30 => Action::Deliver,
                _ => Action::Evict("closing: enough"),
            }),
            refuses_after: Some(5),
            ..Faults::default()
        });
        let out = folder.path().join(campaign.replace(' ', "_"));
        let flags = format!(
            "--clients 5 --duration 300ms --warmup 0s --drain-timeout 100ms --out {} {campaign}",
            out.display()
        );
        let output = loadgen(server.addr, &flags).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            stderr.lines().last().unwrap().starts_with("error: "),
            "{stderr}"
        );
        assert!(stderr.contains("ended early: "), "{stderr}");
        let kept: Value = serde_json::from_slice(&fs::read(out.join("run.json")).unwrap()).unwrap();
        let steps = kept["steps"]["steps"].as_array().unwrap();
        assert!((1..3).contains(&steps.len()), "{kept:#}");
        assert!(kept["steps"]["ended_by"].is_string());
        assert_eq!(steps[0]["held"], json!(true), "{kept:#}");
    }
}

#[test]
fn a_search_in_which_nothing_keeps_its_objectives_says_that_they_are_broken() {
    let server = RelayServer::start(Faults::default());
    let flags = "--clients 20 --rate 100 --duration 300ms --warmup 0s --slo delivery.p99<1us";
    let (code, report) = measure(&server, &format!("{flags} --find-max"));
    assert_eq!(code, 4, "{report:#}");
    assert_eq!(report["valid"], json!(true));
    assert_eq!(report["steps"]["found"]["rate"], json!(null));
    assert_eq!(measure(&server, flags).0, 4, "as without a search");
}
