//! Where the load comes from and goes to: IPv6, names of hosts, and further source addresses.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

mod support;

use std::net::{IpAddr, TcpListener};

use serde_json::json;
use support::{Faults, RelayServer, loadgen, measure, only_line};

const FLAGS: &str = "--clients 4 --rate 200 --duration 300ms --warmup 0s";

#[test]
fn a_server_on_ipv6_is_measured_like_any_other() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        eprintln!("not tested: this host has no IPv6");
        return;
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

#[test]
fn clients_come_from_the_addresses_they_are_given() {
    let server = RelayServer::start(Faults::default());
    let flags = format!("{FLAGS} --source-ip 127.0.0.5 --source-ip 127.0.0.6");
    let (code, report) = measure(&server, &flags);
    assert_eq!(code, 0, "{report:#}");
    let wanted: [IpAddr; 2] = ["127.0.0.5", "127.0.0.6"].map(|ip| ip.parse().unwrap());
    assert_eq!(server.peers(), wanted);
}
