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

/// Those of a kind that the server let go of, which is to be as many as this, and what it said.
fn let_go(report: &Value, kind: &str, clients: u64) -> String {
    let departures = &report["misbehaviour"][kind]["departures"];
    // What the server has not read when it closes breaks the connection.
    let gone = count(&departures["closed"]) + count(&departures["broken"]);
    assert!(gone >= clients, "{kind}: {departures:#}");
    departures["notices"].to_string()
}

#[test]
fn who_abuses_http_is_told_why_and_the_others_feel_nothing() {
    let (_, report) = measure_spawned(
        "--clients 20 --rate 50 --duration 3s --warmup 200ms --hostile-web unmasked:2 \
         --hostile-web oversized:2 --hostile-web half-handshake:2 --hostile-web pieces:2 \
         --hostile-web slow-head:2 --hostile-web smuggling:6 --server-arg=--handshake-timeout=1s",
    );
    assert_eq!(report["delivered"], json!(150 * 19), "{report:#}");
    assert_eq!(faults_of(&report), json!({}), "nothing was smuggled");
    for (kind, clients, said) in [
        ("unmasked", 2, "not masked"),
        ("oversized", 2, "over the limit"),
        ("half_handshake", 2, "within 1 s"),
        ("slow_head", 2, "within 1 s"),
        ("smuggling", 6, "Content-Length"),
    ] {
        let notices = let_go(&report, kind, clients);
        assert!(notices.contains(said), "{kind}: {notices}");
    }
    let in_pieces = &report["misbehaviour"]["in_pieces"];
    assert_eq!(in_pieces["still_there"], json!(2));
    assert!(count(&in_pieces["received_bytes"]) > 0);
}

#[test]
fn floods_of_fragments_and_pings_bring_nothing_to_the_others() {
    let (_, report) = measure_spawned(
        "--clients 20 --rate 50 --duration 1500ms --warmup 200ms --hostile-web fragments:2 \
         --hostile-web pings:2",
    );
    assert_eq!(report["delivered"], json!(75 * 19), "{report:#}");
    assert_eq!(faults_of(&report), json!({}));
    let notices = let_go(&report, "endless_fragments", 2);
    assert!(notices.contains("over the limit"), "{notices}");
    assert!(count(&report["misbehaviour"]["ping_flood"]["sent_messages"]) > 0);
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
