//! The server itself over WebSocket and events: the same ledger as over frames, through lost connections
//! and beside those who abuse HTTP.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

mod support;

use serde_json::{Value, json};
use support::{faults_of, measure_spawned};

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value}"))
}

#[test]
fn websocket_and_events_have_a_clean_ledger_with_which_the_server_agrees() {
    let load = "--clients 20 --rate 100 --duration 1s --warmup 200ms --size 56..900";
    for (protocol, receivers) in [("websocket", 19), ("events --publishers 2", 20)] {
        let flags = format!("{load} --protocol {protocol} --server-metrics");
        let (code, report) = measure_spawned(&flags);
        assert_eq!(code, 0, "{protocol}: {report:#}");
        assert_eq!(report["delivered"], json!(100 * receivers));
        assert_eq!(faults_of(&report), json!({}));
        assert_eq!(report["disordered"], json!(0));
        assert_eq!(report["server_view"]["agrees"], json!(true));
    }
}

/// The busy machine decides how fast they come back; the ledger has to be clean all the same.
#[test]
fn clients_that_are_cut_and_resume_have_every_message_once_and_in_order() {
    let (_, report) = measure_spawned(
        "--protocol websocket --clients 60 --rate 50 --duration 2s --warmup 200ms \
         --cut-every 200ms --server-arg=--history=10000",
    );
    assert_eq!(report["delivered"], json!(100 * 59), "{report:#}");
    assert_eq!(faults_of(&report), json!({}));
    assert_eq!(report["disordered"], json!(0));
    let cuts = &report["cuts"];
    assert!(count(&cuts["cut"]) >= 60, "{cuts}");
    assert_eq!(cuts["cut"], cuts["resumed"]);
}

#[test]
fn who_abuses_http_is_told_why_and_the_others_feel_nothing() {
    let (_, report) = measure_spawned(
        "--clients 20 --rate 50 --duration 2500ms --warmup 200ms --hostile-web unmasked:2 \
         --hostile-web oversized:2 --hostile-web fragments:2 --hostile-web pings:2 \
         --hostile-web half-handshake:2 --hostile-web pieces:2 --hostile-web slow-head:2 \
         --hostile-web smuggling:6 --server-arg=--handshake-timeout=1s",
    );
    assert_eq!(report["delivered"], json!(125 * 19), "{report:#}");
    assert_eq!(faults_of(&report), json!({}), "nothing was smuggled");
    let outcomes = &report["misbehaviour"];
    for (kind, clients, said) in [
        ("unmasked", 2, "not masked"),
        ("oversized", 2, "over the limit"),
        ("endless_fragments", 2, "over the limit"),
        ("smuggling", 6, "Content-Length"),
        ("half_handshake", 2, ""),
        ("slow_head", 2, ""),
    ] {
        let departures = &outcomes[kind]["departures"];
        assert!(
            count(&departures["closed"]) >= clients,
            "{kind}: {departures:#}"
        );
        let notices = departures["notices"].to_string();
        assert!(notices.contains(said), "{kind}: {notices}");
    }
    assert_eq!(outcomes["in_pieces"]["still_there"], json!(2));
    assert!(count(&outcomes["in_pieces"]["received_bytes"]) > 0);
    assert!(count(&outcomes["ping_flood"]["sent_messages"]) > 0);
}

#[test]
fn a_message_of_one_who_has_the_connection_closed_is_delivered() {
    let (_, report) = measure_spawned(
        "--protocol websocket --clients 5 --rate 50 --duration 1500ms --warmup 500ms \
         --hostile-web close:3",
    );
    let closed = &report["misbehaviour"]["close_each"];
    assert!(count(&closed["departures"]["closed"]) >= 3, "{closed:#}");
    assert_eq!(closed["departures"]["broken"], json!(0));
    let foreign = count(&report["foreign"]);
    assert!(foreign > 0 && foreign.is_multiple_of(5), "{foreign}");
}
