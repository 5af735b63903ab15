//! The command line: every refusal is one line that says what to do, with its exit status, and the
//! JSON has the names that scripts rely on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

mod support;

use std::net::TcpListener;
use std::process::Command;
use std::thread;

use serde_json::Value;
use support::{Faults, RelayServer, loadgen, measure, only_line};

fn run(flags: &str) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(flags.split_whitespace()).output().unwrap()
}

fn refusal(flags: &str, code: i32) -> String {
    let output = run(&format!("{flags} --quiet"));
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    only_line(&output)
}

#[test]
fn an_impossible_demand_is_wrong_usage() {
    assert!(refusal("--clients 1", 2).contains("give at least 2"));
    assert!(refusal("--size 10", 2).contains("--size 56"));
    assert!(refusal("--rate 1000000", 2).contains("--force"));
}

#[test]
fn what_cannot_be_read_is_wrong_usage_and_says_how_to_write_it() {
    for (flags, remedy) in [
        ("--frobnicate", "see 'loadgen --help'"),
        ("--client 7", "'--clients'"),
        ("--clients many", "--clients"),
        ("--threads 0", "between 1 and"),
        ("--rate x", "--rate"),
        ("--rate 5 --rate-per-client 5", "cannot be used with"),
        ("--rate 0", "give a number above 0"),
        ("--arrival sometimes", "fixed, poisson"),
        ("--senders none", "'all'"),
        ("--clients 5 --senders 6", "between 1 and"),
        ("--size 64..", "64..1024"),
        ("--duration 49h", "longer than 2days"),
        ("--duration ten", "such as 250ms"),
        ("--connect-rate=-1", "--connect-rate"),
        ("--rate -1", "give a number above 0"),
        ("--duration 0s", "--duration 0s at this rate"),
        ("--source-ip nowhere", "--source-ip"),
        ("--slo delivery.p99", "expected one of < <="),
        ("--slo delivery.p98<1ms", "p98"),
        ("--sweep 5..1", "lower rate first"),
        ("--sweep 5 --repeat 2", "cannot be used with"),
        ("--repeat 0", "1..=1000"),
        ("--find-max --repeat 2", "cannot be used with"),
        ("--slow-clients ten", "10:2000"),
        ("--churn often", "50/s"),
        ("--reconnect-herd-at 5s:0", "5s:500"),
        ("--protocol smtp", "possible values"),
        ("--protocol redis --threads 2", "loadgen merge"),
        ("--protocol nats --spawn-server", "start that"),
        ("--clients 7 show x", "cannot be used with"),
        ("merge x", "--out"),
        ("completions csh", "bash"),
    ] {
        let output = run(flags);
        assert_eq!(output.status.code(), Some(2), "{flags}: {output:?}");
        let line = only_line(&output);
        assert!(line.contains(remedy), "{flags}: {line}");
    }
}

#[test]
fn what_finds_no_room_on_standard_output_is_no_success() {
    let server = RelayServer::start(Faults::default());
    let addr = server.addr;
    for flags in [
        "man".to_owned(),
        format!("--addr {addr} --clients 5 --rate 100 --duration 300ms --warmup 0s --quiet"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
        let full = std::fs::File::create("/dev/full").unwrap();
        let command = command.args(flags.split_whitespace()).stdout(full);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let line = only_line(&output);
        assert!(line.contains("cannot write standard output"), "{line}");
    }
}

#[test]
fn more_clients_than_the_host_has_descriptors_are_refused() {
    let mut command = Command::new("sh");
    let loadgen = env!("CARGO_BIN_EXE_loadgen");
    let limited =
        format!("ulimit -n 200 && exec {loadgen} --addr 127.0.0.1:1 --clients 2000 --rate 1");
    let output = command.args(["-c", &limited]).output().unwrap();
    // Who may raise the limit gets as far as the address, where nobody listens.
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let line = only_line(&output);
    let remedies = ["`ulimit -n 2064`", "start the server there"];
    assert!(
        remedies.iter().any(|remedy| line.contains(remedy)),
        "{line}"
    );
}

#[test]
fn a_server_that_cannot_be_started_is_quoted() {
    let line = refusal("--spawn-server --server-arg=--frobnicate --clients 2", 1);
    assert!(line.contains("the spawned server did not start"), "{line}");
    assert!(line.contains("--frobnicate"), "{line}");
}

#[test]
fn a_port_where_nobody_listens_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let line = refusal(&format!("--addr {addr} --clients 2"), 1);
    assert!(line.contains("refused the connection: start the server there"));
}

#[test]
fn an_address_that_is_none_says_how_to_write_one() {
    assert!(refusal("--addr nonsense", 1).contains("as in 127.0.0.1:9989"));
}

#[test]
fn a_place_that_cannot_be_written_is_refused_before_the_run() {
    let line = refusal("--addr 127.0.0.1:1 --json /proc/nowhere.json", 1);
    assert!(line.contains("cannot write /proc/nowhere.json"), "{line}");
}

#[test]
fn a_process_that_is_not_there_is_refused() {
    let line = refusal("--addr 127.0.0.1:1 --server-pid 2147483647", 1);
    assert!(line.contains("--server-pid"), "{line}");
}

#[test]
fn a_server_that_relays_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        let silent: Vec<_> = listener.incoming().collect();
        drop(silent);
    });
    let line = refusal(
        &format!("--addr {addr} --clients 3 --connect-timeout 300ms"),
        1,
    );
    assert!(line.contains("0 of 3 clients have joined"), "{line}");
}

#[test]
fn a_server_that_hangs_up_at_once_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().for_each(drop));
    let line = refusal(&format!("--addr {addr} --clients 3"), 1);
    assert!(line.contains("disconnected a client"), "{line}");
}

#[test]
fn the_json_has_the_names_that_scripts_rely_on() {
    let server = RelayServer::start(Faults::default());
    let pid = std::process::id();
    let flags = format!("--clients 5 --rate 100 --duration 300ms --warmup 0s --server-pid {pid}");
    let (code, report) = measure(&server, &flags);
    assert_eq!(code, 0, "{report:#}");
    assert!(report["valid"].is_boolean() && report["problems"].is_array());
    let numbers = [
        "clients",
        "rate_requested",
        "rate_achieved",
        "deliveries_per_second",
        "expected",
        "delivered",
        "lost",
        "duplicated",
        "reordered",
        "corrupt",
    ];
    for name in numbers {
        assert!(report[name].is_number(), "{name}");
    }
    for latency in ["delivery", "delivery_from_send", "completion", "send_lag"] {
        for percentile in ["p50", "p90", "p99", "p999", "max"] {
            let value = &report["latency_ms"][latency][percentile];
            assert!(value.is_number(), "{latency} {percentile}");
        }
    }
    for process in ["server", "generator"] {
        for name in ["cpu_seconds", "cpu_cores", "rss_peak_bytes"] {
            assert!(report[process][name].is_number(), "{process} {name}");
        }
    }
}

#[test]
fn the_folder_holds_the_report_and_the_summary() {
    let server = RelayServer::start(Faults::default());
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let flags = format!(
        "--clients 5 --rate 100 --duration 300ms --warmup 0s --out {}",
        out.display()
    );
    let (_, printed) = measure(&server, &flags);
    let stored = std::fs::read(out.join("run.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&stored).unwrap(), printed);
    let summary = std::fs::read_to_string(out.join("summary.txt")).unwrap();
    assert!(summary.starts_with("VALID\n"), "{summary}");
}

#[test]
fn the_expected_deliveries_are_said_first() {
    let server = RelayServer::start(Faults::default());
    let flags = "--clients 5 --rate 100 --duration 300ms --warmup 0s";
    let output = loadgen(server.addr, flags).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let first = stderr.lines().next().unwrap();
    assert!(first.contains("400 deliveries/s expected"), "{stderr}");
}

#[test]
fn messages_of_others_are_noticed_and_harm_nothing() {
    let server = RelayServer::start(Faults::default());
    let first = loadgen(
        server.addr,
        "--clients 4 --rate 100 --duration 1s --warmup 0s",
    )
    .spawn();
    let (code, report) = measure(&server, "--clients 5 --rate 100 --duration 1s --warmup 0s");
    assert!(first.unwrap().wait().unwrap().success());
    assert_eq!(code, 0, "{report:#}");
    assert!(report["foreign"].as_u64().unwrap() > 0);
}
