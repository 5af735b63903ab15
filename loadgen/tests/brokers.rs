//! The load generator against the brokers themselves: Redis, NATS and Mosquitto, each started for the
//! test and ended with it. One that is not installed is left out, and said to be.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, pipe};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::{Value, json};
use support::{faults_of, loadgen};

/// How often a port that was free is found taken, before that is a failure.
const ATTEMPTS: u32 = 5;

/// What tells the brokers apart.
struct Kind {
    protocol: &'static str,
    program: &'static str,
    /// Said when it is ready.
    ready: &'static str,
    /// Has `folder` for its own, and lets go of a client that is 2 MiB behind, if it ever does.
    arguments: fn(folder: &Path, port: u16) -> Vec<String>,
    /// The same, and lets in nobody but `ann`, with the password `secret "word"`.
    guarded: fn(folder: &Path, port: u16) -> Vec<String>,
    /// Part of what it says to others.
    refusal: &'static str,
}

const REDIS: Kind = Kind {
    protocol: "redis",
    program: "redis-server",
    ready: "Ready to accept connections",
    arguments: |folder, port| {
        let flags =
            format!("--bind 127.0.0.1 --port {port} --appendonly no --client-output-buffer-limit");
        let mut arguments: Vec<String> = flags.split(' ').map(str::to_owned).collect();
        arguments.push("pubsub 2mb 0 0".into());
        let folder = folder.display().to_string();
        arguments.extend(["--save".into(), String::new(), "--dir".into(), folder]);
        arguments
    },
    guarded: |folder, port| {
        let mut arguments = (REDIS.arguments)(folder, port);
        let file = folder.join("users.acl");
        let users = format!("user default off\nuser ann on #{DIGEST} ~* &* +@all\n");
        fs::write(&file, users).unwrap();
        arguments.extend(["--aclfile".into(), file.display().to_string()]);
        arguments
    },
    refusal: "NOAUTH",
};

/// SHA-256 of the password, as Redis keeps it.
const DIGEST: &str = "52343b2c158810507096de5391db407c12914c601be3c407b1784b06e627f1c9";

const NATS: Kind = Kind {
    protocol: "nats",
    program: "nats-server",
    ready: "Server is ready",
    arguments: |folder, port| {
        let file = folder.join("nats.conf");
        let text = format!("listen: 127.0.0.1:{port}\nmax_pending: 2MB\nwrite_deadline: \"1s\"\n");
        fs::write(&file, text).unwrap();
        vec!["-c".into(), file.display().to_string()]
    },
    guarded: |folder, port| {
        let arguments = (NATS.arguments)(folder, port);
        let file = folder.join("nats.conf");
        let text = fs::read_to_string(&file).unwrap();
        let user = r#"authorization { user: "ann", password: "secret \"word\"" }"#;
        fs::write(&file, format!("{text}{user}\n")).unwrap();
        arguments
    },
    refusal: "Authorization Violation",
};

const MOSQUITTO: Kind = Kind {
    protocol: "mqtt",
    program: "mosquitto",
    ready: " running",
    arguments: |folder, port| {
        let file = folder.join("mosquitto.conf");
        fs::write(
            &file,
            format!("listener {port} 127.0.0.1\nallow_anonymous true\n"),
        )
        .unwrap();
        vec!["-c".into(), file.display().to_string()]
    },
    guarded: |folder, port| {
        let arguments = (MOSQUITTO.arguments)(folder, port);
        let (file, users) = (folder.join("mosquitto.conf"), folder.join("users"));
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {}\n",
            users.display()
        );
        fs::write(&file, text).unwrap();
        fs::write(&users, format!("ann:{PASSWORD}\n")).unwrap();
        let hashed = Command::new("mosquitto_passwd")
            .arg("-U")
            .arg(&users)
            .status();
        assert!(hashed.unwrap().success());
        // It gives its rights away when root starts it.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&users, fs::Permissions::from_mode(0o644)).unwrap();
        arguments
    },
    refusal: "not authorized",
};

const PASSWORD: &str = "secret \"word\"";

/// A running broker that ends when this is dropped.
struct Broker {
    protocol: &'static str,
    child: Child,
    addr: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Broker {
    /// `None` if it is not installed.
    fn start(kind: &Kind) -> Option<Self> {
        Self::start_with(kind, kind.arguments)
    }

    fn start_with(kind: &Kind, arguments: fn(&Path, u16) -> Vec<String>) -> Option<Self> {
        for _ in 0..ATTEMPTS {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = free.local_addr().unwrap();
            drop(free);
            let folder = tempfile::tempdir().unwrap();
            let arguments = arguments(folder.path(), addr.port());
            let (log, to_log) = pipe().unwrap();
            // Servers are not in the path of everybody.
            let spawned = [
                kind.program.to_owned(),
                format!("/usr/sbin/{}", kind.program),
            ]
            .iter()
            .map(|program| {
                Command::new(program)
                    .args(&arguments)
                    .stdin(Stdio::null())
                    .stdout(to_log.try_clone().unwrap())
                    .stderr(to_log.try_clone().unwrap())
                    .spawn()
            })
            .find(|spawned| !matches!(spawned, Err(error) if error.kind() == ErrorKind::NotFound));
            drop(to_log);
            let Some(spawned) = spawned else {
                testing::skip(format!("{} is not installed", kind.program));
                return None;
            };
            let broker = Self {
                protocol: kind.protocol,
                child: spawned.unwrap(),
                addr,
                _folder: folder,
            };
            let mut lines = BufReader::new(log).lines().map_while(Result::ok);
            if lines.any(|line| line.contains(kind.ready)) {
                thread::spawn(move || lines.for_each(drop));
                return Some(broker);
            }
        }
        panic!("{} does not start", kind.program);
    }

    /// The report of a measurement.
    fn measure(&self, flags: &str) -> Value {
        let (protocol, pid) = (self.protocol, self.child.id());
        let flags = format!("--protocol {protocol} --server-pid {pid} {flags}");
        let output = loadgen(self.addr, &flags).output().unwrap();
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{protocol}: {error}: {output:?}"))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn every_message_reaches_every_client(kind: &Kind) {
    let Some(broker) = Broker::start(kind) else {
        return;
    };
    let report = broker.measure(
        "--clients 40 --publishers 3 --rate 100 --duration 1s --warmup 200ms --size 56..9000 \
         --topic a.topic/of-its-own --repeat 2",
    );
    assert_eq!(faults_of(&report), json!({}), "{report:#}");
    assert_eq!(report["expected"], json!(100 * 40));
    assert_eq!(report["delivered"], json!(100 * 40));
    assert_eq!(report["protocol"], json!(broker.protocol));
    assert_eq!(report["publishers"], json!(3));
    assert!(report["server"]["rss_peak_bytes"].is_number());
    for latency in ["delivery", "delivery_from_send", "completion"] {
        assert!(
            report["latency_ms"][latency]["p50"].is_number(),
            "{latency}"
        );
    }
}

#[test]
fn redis_delivers_every_message_to_every_client() {
    every_message_reaches_every_client(&REDIS);
}

#[test]
fn nats_delivers_every_message_to_every_client() {
    every_message_reaches_every_client(&NATS);
}

#[test]
fn mosquitto_delivers_every_message_to_every_client() {
    every_message_reaches_every_client(&MOSQUITTO);
}

/// The outcomes of hostile clients, which the others do not feel.
fn outcomes(broker: &Broker) -> Value {
    let report = broker.measure(
        "--clients 5 --rate 80 --duration 2s --warmup 200ms --size 100000 --stalled-clients 3 \
         --garbage-clients 2 --churn 20/s --half-open 2 --reconnect-herd-at 500ms:4",
    );
    assert_eq!(faults_of(&report), json!({}), "{report:#}");
    assert_eq!(report["delivered"], json!(160 * 5));
    let outcomes = report["misbehaviour"].clone();
    assert!(
        outcomes["herd"]["herd_back_seconds"].is_number(),
        "{outcomes:#}"
    );
    assert_eq!(outcomes["churn"]["departures"]["closed"], json!(0));
    outcomes
}

fn gone(outcome: &Value) -> u64 {
    ["closed", "torn", "broken"]
        .map(|cause| outcome["departures"][cause].as_u64().unwrap())
        .iter()
        .sum()
}

#[test]
fn redis_lets_go_of_clients_that_do_not_read() {
    if let Some(broker) = Broker::start(&REDIS) {
        let outcomes = outcomes(&broker);
        assert_eq!(gone(&outcomes["stalled"]), 3, "{outcomes:#}");
    }
}

#[test]
fn nats_lets_go_of_clients_that_do_not_read_and_says_what_is_wrong_with_garbage() {
    if let Some(broker) = Broker::start(&NATS) {
        let outcomes = outcomes(&broker);
        assert_eq!(gone(&outcomes["stalled"]), 3, "{outcomes:#}");
        let notices = outcomes["garbage"]["departures"]["notices"].to_string();
        assert!(notices.contains("Unknown Protocol Operation"), "{notices}");
    }
}

#[test]
fn mosquitto_lets_go_of_clients_that_send_garbage() {
    if let Some(broker) = Broker::start(&MOSQUITTO) {
        let outcomes = outcomes(&broker);
        assert!(gone(&outcomes["garbage"]) >= 2, "{outcomes:#}");
    }
}

#[test]
fn a_broker_that_speaks_something_else_is_quoted_in_one_line() {
    let Some(broker) = Broker::start(&REDIS) else {
        return;
    };
    let output = loadgen(broker.addr, "--protocol nats --clients 3")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    // Redis takes the braces and quotes of CONNECT for a command of its own, and complains.
    let line = support::only_line(&output);
    assert!(
        line.contains("refused a client") && line.contains("Protocol error"),
        "{line}"
    );
}

fn a_login_lets_clients_in_and_its_want_is_told_at_once(kind: &Kind) {
    let Some(broker) = Broker::start_with(kind, kind.guarded) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    let login = format!("--username ann --password-file {}", file.display());
    // Publishers and hostile clients log in, too.
    let report = broker.measure(&format!(
        "--clients 5 --rate 100 --duration 500ms --warmup 0s --stalled-clients 1 {login}"
    ));
    assert_eq!(report["delivered"], json!(250), "{report:#}");
    assert_eq!(report["misbehaviour"]["stalled"]["still_there"], json!(1));

    let protocol = format!("--protocol {} --connect-timeout 60s", kind.protocol);
    let output = loadgen(broker.addr, &protocol).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let line = support::only_line(&output);
    assert!(
        line.contains("refused a client") && line.contains(kind.refusal),
        "{line}"
    );
    assert!(line.contains("--password-file"), "{line}");
}

#[test]
fn redis_lets_in_who_logs_in() {
    a_login_lets_clients_in_and_its_want_is_told_at_once(&REDIS);
}

#[test]
fn nats_lets_in_who_logs_in() {
    a_login_lets_clients_in_and_its_want_is_told_at_once(&NATS);
}

#[test]
fn mosquitto_lets_in_who_logs_in() {
    a_login_lets_clients_in_and_its_want_is_told_at_once(&MOSQUITTO);
}

#[test]
fn one_client_of_a_broker_is_enough() {
    if let Some(broker) = Broker::start(&REDIS) {
        let report = broker.measure("--clients 1 --rate 200 --duration 1s --warmup 0s");
        assert_eq!(report["delivered"], json!(200), "{report:#}");
        assert_eq!(report["valid"], json!(true));
    }
}
