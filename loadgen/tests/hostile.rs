//! Hostile clients: they are counted apart, by the server's own words, and the others' figures
//! stay their own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

mod support;

use serde_json::{Value, json};
use support::measure_spawned;

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value}"))
}

#[test]
fn the_outcome_of_each_kind_is_told_by_the_servers_words() {
    let (code, report) = measure_spawned(
        "--clients 20 --rate 100 --duration 2500ms --warmup 200ms --half-open 3 \
         --garbage-clients 2 --churn 20/s --reconnect-herd-at 500ms:6 --stalled-clients 2 \
         --slow-clients 2:500 --server-arg=--handshake-timeout=1s",
    );
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(
        report["delivered"],
        json!(250 * 19),
        "the others feel nothing"
    );
    assert_eq!(report["foreign"], json!(0));
    let outcomes = &report["misbehaviour"];

    let half_open = &outcomes["half_open"];
    assert_eq!(half_open["departures"]["closed"], json!(3), "{half_open:#}");
    let notices = half_open["departures"]["notices"].as_object().unwrap();
    assert!(notices.keys().all(|notice| notice.contains("no name came")));

    let garbage = &outcomes["garbage"];
    assert!(count(&garbage["departures"]["closed"]) >= 2, "{garbage:#}");
    let notices = garbage["departures"]["notices"].to_string();
    assert!(notices.contains("not a digit"), "{notices}");

    let herd = &outcomes["herd"];
    assert_eq!((count(&herd["attempts"]), count(&herd["left"])), (12, 6));
    assert_eq!(count(&herd["still_there"]), 6);
    assert!(herd["herd_back_seconds"].is_number(), "{herd:#}");

    assert!(count(&outcomes["churn"]["attempts"]) >= 10);
    assert_eq!(count(&outcomes["churn"]["departures"]["closed"]), 0);
    assert_eq!(count(&outcomes["stalled"]["still_there"]), 2);
    let slow_bytes = count(&outcomes["slow"]["received_bytes"]);
    assert!(slow_bytes > 0, "{outcomes:#}");
}

#[test]
fn floods_bursts_and_newcomers_are_counted_and_the_ledger_stays_the_clients_own() {
    let (_, report) = measure_spawned(
        "--clients 10 --rate 50 --duration 1500ms --warmup 300ms --flooders 2 --flood-size 0 \
         --slow-clients 1 --slow-rate 1 --deaf-joiners 40/s:5 --burst-readers 2:100ms \
         --server-arg=--rate-per-client=200",
    );
    assert_eq!(report["delivered"], json!(75 * 9), "{report:#}");
    let outcomes = &report["misbehaviour"];

    let flooders = &outcomes["flooder"];
    let sent = count(&flooders["sent_messages"]);
    assert!(sent > 0, "{flooders:#}");
    let foreign = count(&report["foreign"]);
    assert!((1..=sent * 10).contains(&foreign), "{foreign} of {sent}");

    let deaf = &outcomes["deaf_joiner"];
    let connected = count(&deaf["connected"]);
    assert!(connected > 10, "{deaf:#}");
    let (left, there) = (count(&deaf["left"]), count(&deaf["still_there"]));
    assert!(left + there >= connected && there <= 5, "{deaf:#}");

    let bursts = &outcomes["burst_reader"];
    assert!(count(&bursts["received_bytes"]) > 0, "{bursts:#}");
    assert_eq!(count(&outcomes["slow"]["still_there"]), 1);
}

#[test]
fn without_hostile_clients_nothing_is_said_of_them() {
    let (code, report) = measure_spawned("--clients 5 --rate 100 --duration 300ms --warmup 0s");
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report.get("misbehaviour"), None);
}
