//! Where the load comes from and goes to: IPv6, names of hosts, and further source addresses.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

mod support;

use std::net::{IpAddr, TcpListener};

use serde_json::json;
use support::{Faults, RelayServer, loadgen, measure, only_line};

/// What one source address has ports for is less.
const CLIENTS_MAX: u64 = 30_000;

const FLAGS: &str = "--clients 4 --rate 200 --duration 300ms --warmup 0s";

#[test]
fn a_server_on_ipv6_is_measured_like_any_other() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        return testing::skip("this host has no IPv6");
    };
    let server = RelayServer::start_on(listener, Faults::default());
    let (code, report) = measure(&server, FLAGS);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["delivered"], json!(180));
    let flags = format!("{FLAGS} --source-ip 127.0.0.1");
    let output = loadgen(server.addr, &flags).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(only_line(&output).contains("both must be IPv4 or both IPv6"));
}

/// As many as the hard limit on descriptors allows, up to so many that a second address is needed.
/// The server and the load generator have the limit each.
#[test]
#[ignore = "takes half a minute and all descriptors: a step of .ci/run"]
fn as_many_clients_as_the_host_allows_are_measured() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let clients = limit.map_or(CLIENTS_MAX, |limit| {
        limit.saturating_sub(500).min(CLIENTS_MAX)
    });
    if clients < CLIENTS_MAX {
        eprintln!(
            "tested with {clients} clients: this host allows no more descriptors (ulimit -Hn)"
        );
    }
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args([
            "--spawn-server",
            "--quiet",
            "--json=-",
            "--threads=2",
            "--rate=2",
        ])
        .args(["--duration=2s", "--warmup=0s", "--drain-timeout=60s"])
        .arg(format!("--clients={clients}"))
        .output()
        .unwrap();
    // 3: how fast a busy machine is is not asked here.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["delivered"], json!(4 * (clients - 1)), "{report:#}");
    assert_eq!(report["lost"], json!(0));
}

#[test]
fn clients_come_from_the_addresses_they_are_given() {
    let server = RelayServer::start(Faults::default());
    let flags = format!("{FLAGS} --source-ip 127.0.0.5 --source-ip 127.0.0.6");
    let (code, report) = measure(&server, &flags);
    assert_eq!(code, 0, "{report:#}");
    let wanted: [IpAddr; 2] = ["127.0.0.5", "127.0.0.6"].map(|ip| ip.parse().unwrap());
    assert_eq!(server.peers(), wanted);
}
