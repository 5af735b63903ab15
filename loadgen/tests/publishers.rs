//! The ledger of each protocol in which publishers send, against servers that do one thing wrong: every
//! count comes out exactly, so that a clean one means something.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

mod support;

use serde_json::{Value, json};
use support::{Action, Delivery, Faults, RelayServer, faults_of, loadgen};

/// 12 clients, 20 messages of warm-up and 100 measured ones of 2 publishers: 1,200 deliveries.
const FLAGS: &str = "--clients 12 --publishers 2 --rate 200 --duration 500ms --warmup 100ms \
                     --drain-timeout 1s --size 56..900";

const WARMUP: u64 = 20;

/// The report of a measurement for each protocol, and the server.
fn for_each_protocol(
    action: impl Fn(Delivery) -> Action + Send + Clone + 'static,
    check: impl Fn(&str, &RelayServer, &Value),
) {
    for protocol in ["redis", "nats", "mqtt", "events"] {
        let server = RelayServer::start(Faults {
            action: Box::new(action.clone()),
            ..Faults::default()
        });
        let flags = format!("{FLAGS} --protocol {protocol}");
        let output = loadgen(server.addr, &flags).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{protocol}: {error}: {output:?}"));
        assert_eq!(report["protocol"], json!(protocol));
        assert_eq!(report["publishers"], json!(2));
        assert_eq!(report["expected"], json!(1200), "{protocol}");
        check(protocol, &server, &report);
    }
}

#[test]
fn a_correct_server_has_a_clean_ledger_and_is_answered_when_it_asks() {
    for_each_protocol(
        |_| Action::Deliver,
        |protocol, server, report| {
            assert_eq!(faults_of(report), json!({}), "{report:#}");
            assert_eq!(report["delivered"], json!(1200));
            assert_eq!(report["warmup"]["delivered"], json!(12 * WARMUP));
            let asked = if protocol == "nats" { 12 } else { 0 };
            assert_eq!(server.pongs(), asked);
        },
    );
}

#[test]
fn one_dropped_in_fifty_is_exactly_that() {
    for_each_protocol(
        |delivery| match delivery.message * 12 + delivery.receiver {
            place if delivery.message >= WARMUP && place % 50 == 7 => Action::Drop,
            _ => Action::Deliver,
        },
        |_, server, report| {
            assert_eq!(server.misdeeds(), 24);
            let lost = json!({"lost": 24, "lost_while_connected": 24});
            assert_eq!(faults_of(report), lost);
            assert_eq!(report["valid"], json!(false));
        },
    );
}

#[test]
fn duplicates_and_damage_are_counted_each_for_itself() {
    for_each_protocol(
        |delivery| match (delivery.message, delivery.receiver) {
            (40, _) => Action::Twice,
            // In the number, and in the checksum.
            (50, 3) => Action::Corrupt(12),
            (60, 4) => Action::Corrupt(50),
            _ => Action::Deliver,
        },
        |_, _, report| {
            let faults = json!({
                "duplicated": 12, "corrupt": 2, "lost": 2, "lost_while_connected": 2
            });
            assert_eq!(faults_of(report), faults);
        },
    );
}

#[test]
fn a_receiver_that_was_let_go_is_told_with_the_servers_reason_or_where_to_look_for_it() {
    for_each_protocol(
        |delivery| match (delivery.message, delivery.receiver) {
            (70, 5 | 6) => Action::Evict("9 messages behind"),
            (80, 7) => Action::Tear,
            _ => Action::Deliver,
        },
        |protocol, _, report| {
            let missed = 2 * (WARMUP + 100 - 70) + (WARMUP + 100 - 80);
            let lost = json!({"lost": missed, "lost_to_disconnects": missed});
            assert_eq!(faults_of(report), lost);
            let departures = &report["departures"];
            assert_eq!(
                (&departures["closed"], &departures["torn"]),
                (&json!(2), &json!(1))
            );
            let problem = report["problems"][0].as_str().unwrap();
            assert!(problem.starts_with("3 clients were disconnected: 2 closed by the server"));
            let reason = match protocol {
                "redis" => "2 x \"ERR 9 messages behind\"",
                "nats" => "2 x \"'9 messages behind'\"",
                "mqtt" => "see the broker's log",
                _ => "2 x \"closing: 9 messages behind\"",
            };
            assert!(problem.contains(reason), "{problem}");
        },
    );
}
