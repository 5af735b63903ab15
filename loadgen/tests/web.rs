//! Clients that are cut and resume, and WebSocket servers that are not uringcast: their ledger, against
//! servers that do one thing wrong.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

mod support;

use serde_json::{Value, json};
use support::{Action, Delivery, Faults, RelayServer, faults_of, loadgen, only_line};

/// 12 clients, 20 messages of warm-up and 100 measured ones.
const LOAD: &str = "--clients 12 --rate 200 --duration 500ms --warmup 100ms --drain-timeout 1s";

/// Clients of a relay that knows nothing of uringcast.
const RELAY: [&str; 6] = [
    "--protocol=websocket",
    "--ws-path=/relay?room=1",
    "--ws-join",
    "load-%i",
    "--ws-message",
    r#"{"by":%i,"say":"%s","end":"abcdefgh"}"#,
];

fn faulty(action: impl FnMut(Delivery) -> Action + Send + 'static) -> RelayServer {
    RelayServer::start(Faults {
        action: Box::new(action),
        ..Faults::default()
    })
}

/// Runs the load generator; its exit status and its report.
fn measure(server: &RelayServer, words: &[&str], flags: &str) -> (i32, Value) {
    let mut command = loadgen(server.addr, &format!("{LOAD} {flags}"));
    let output = command.args(words).output().unwrap();
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.code().unwrap(), report)
}

/// 12 clients, each of which is cut about 12 times in 600 ms.
const CUTS: &str = "--protocol websocket --cut-every 50ms";

#[test]
fn clients_that_are_cut_and_resume_get_every_message_once_and_in_order() {
    let server = RelayServer::start(Faults::default());
    // A busy machine may make the schedule slip, which is not asked here.
    let (_, report) = measure(&server, &[], CUTS);
    assert_eq!(report["delivered"], json!(1100), "{report:#}");
    assert_eq!(faults_of(&report), json!({}));
    let cuts = &report["cuts"];
    assert_eq!(cuts["cut"], cuts["resumed"]);
    let cut = cuts["cut"].as_u64().unwrap();
    assert!(cut >= 12, "{cut}");
    assert_eq!(server.connections() as u64, 12 + cut);
}

#[test]
fn what_a_server_repeats_or_leaves_out_when_a_client_resumes_is_found() {
    let measured = |repeats| {
        let server = RelayServer::start(Faults {
            repeats,
            ..Faults::default()
        });
        let (code, report) = measure(&server, &[], CUTS);
        assert_eq!(code, 3, "{report:#}");
        report
    };
    let repeated = measured(1);
    assert!(repeated["duplicated"].as_u64().unwrap() > 0, "{repeated:#}");
    assert_eq!(repeated["lost"], json!(0));
    let left_out = measured(-1);
    assert!(left_out["lost_while_connected"].as_u64().unwrap() > 0);
    assert_eq!(left_out["duplicated"], json!(0));
}

#[test]
fn another_websocket_server_is_spoken_to_as_it_is_told_to_be() {
    let server = RelayServer::start(Faults::default());
    let (code, report) = measure(&server, &RELAY, "--size 56..900");
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["protocol"], json!("websocket"));
    assert_eq!(report["delivered"], json!(1100));
    assert_eq!(faults_of(&report), json!({}));
}

#[test]
fn own_copies_are_expected_where_they_are_to_come_and_missed_where_they_are_not() {
    let echo = |echo| {
        RelayServer::start(Faults {
            echo,
            ..Faults::default()
        })
    };
    let (code, report) = measure(&echo(true), &RELAY, "--own-copies");
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(
        (&report["expected"], &report["delivered"]),
        (&json!(1200), &json!(1200))
    );
    let (code, report) = measure(&echo(false), &RELAY, "--own-copies");
    assert_eq!(code, 3);
    assert_eq!(
        faults_of(&report),
        json!({"lost": 100, "lost_while_connected": 100})
    );
    let (code, report) = measure(&echo(true), &RELAY, "");
    assert_eq!(code, 3);
    assert_eq!(faults_of(&report), json!({"echoed": 100}));
}

#[test]
fn another_server_that_closes_is_quoted_with_its_code() {
    let server = faulty(|delivery| match (delivery.message, delivery.receiver) {
        (70, 5) => Action::Evict("too slow"),
        _ => Action::Deliver,
    });
    let (code, report) = measure(&server, &RELAY, "");
    assert_eq!(code, 3);
    assert_eq!(
        report["departures"]["notices"]["close N: too slow"],
        json!({"count": 1, "example": "close 1008: too slow"}),
        "{report:#}"
    );
}

#[test]
fn what_belongs_to_another_protocol_is_refused_in_one_line() {
    let nowhere = "127.0.0.1:1".parse().unwrap();
    for (flags, said) in [
        ("--ws-path=/x", "--ws-path is for --protocol websocket"),
        (
            "--protocol websocket --ws-message=x",
            "no place for the stamp",
        ),
        ("--protocol websocket --ws-join=%s", "joining has none"),
        (
            "--protocol events --own-copies",
            "--own-copies is for clients that send",
        ),
        ("--protocol events --senders 2", "give --publishers"),
        ("--protocol websocket --publishers 2", "give --senders"),
        ("--cut-every 1s", "--protocol uringcast has none"),
        (
            "--protocol websocket --ws-path=/x --cut-every 1s",
            "--ws-path has none",
        ),
        ("--protocol websocket --cut-every 1ms", "10ms"),
        ("--protocol websocket --ws-join=%d", "%s for the stamp"),
    ] {
        let output = loadgen(nowhere, flags).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags}");
        assert!(only_line(&output).contains(said), "{output:?}");
    }
}
