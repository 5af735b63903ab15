//! Misbehaving clients: they are counted apart, by the server's own words, and the others' figures
//! stay their own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

mod support;

use serde_json::{Value, json};
use support::measure_spawned;

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value}"))
}

#[test]
fn what_became_of_each_kind_is_told_by_the_servers_words() {
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
    let fates = &report["misbehaviour"];

    let half_open = &fates["half_open"];
    assert_eq!(half_open["departures"]["closed"], json!(3), "{half_open:#}");
    let notices = half_open["departures"]["notices"].as_object().unwrap();
    assert!(notices.keys().all(|notice| notice.contains("no name came")));

    let garbage = &fates["garbage"];
    assert!(count(&garbage["departures"]["closed"]) >= 2, "{garbage:#}");
    let notices = garbage["departures"]["notices"].to_string();
    assert!(notices.contains("not a digit"), "{notices}");

    let herd = &fates["herd"];
    assert_eq!((count(&herd["attempts"]), count(&herd["left"])), (12, 6));
    assert_eq!(count(&herd["still_there"]), 6);
    assert!(herd["herd_back_seconds"].is_number(), "{herd:#}");

    assert!(count(&fates["churn"]["attempts"]) >= 10);
    assert_eq!(count(&fates["churn"]["departures"]["closed"]), 0);
    assert_eq!(count(&fates["stalled"]["still_there"]), 2);
    let slow_bytes = count(&fates["slow"]["received_bytes"]);
    assert!(slow_bytes > 0, "{fates:#}");
}

#[test]
fn without_misbehaviour_nothing_is_said_of_it() {
    let (code, report) = measure_spawned("--clients 5 --rate 100 --duration 300ms --warmup 0s");
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report.get("misbehaviour"), None);
}
