//! The metrics as Prometheus takes them: its own linter, and a real one that scrapes. Skipped, with a
//! message, where it is not installed (Debian: `apt-get install prometheus`).

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::support::{DEADLINE, Driver, Served, Setup, counted_text, gather, get};

fn is_installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        testing::skip(format!(
            "{program} is not installed (Debian's package prometheus has it)"
        ));
    }
    found
}

/// A server that has relayed 25 messages.
fn server() -> (Served, SocketAddr) {
    let mut config = Setup::of(Driver::Epoll, 2).config();
    config.metrics_listen = Some(([127, 0, 0, 1], 0).into());
    let server = Served::configured(config);
    let [ann, mut bob] = gather(server.address, ["ann", "bob"]);
    for number in 0..25 {
        ann.say(counted_text(number, 10));
        bob.expect("ann", counted_text(number, 10));
    }
    let metrics = server.metrics.expect("metrics are served");
    (server, metrics)
}

#[test]
fn promtool_has_nothing_to_say() {
    if !is_installed("promtool") {
        return;
    }
    let (server, metrics) = server();
    let page = get(metrics, "/metrics").body;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(page.as_bytes())
        .unwrap();
    let said = promtool.wait_with_output().unwrap();
    assert!(said.status.success(), "{said:?}");
    assert!(said.stdout.is_empty() && said.stderr.is_empty(), "{said:?}");
    server.end();
}

/// A Prometheus that ends with this value.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    fn scraping(metrics: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("prometheus.yml");
        let text = format!(
            "global: {{ scrape_interval: 100ms, scrape_timeout: 100ms }}\n\
             scrape_configs:\n  - job_name: uringcast\n    static_configs: [ {{ targets: [\"{metrics}\"] }} ]\n"
        );
        std::fs::write(&config, text).unwrap();
        let mut child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg("--web.listen-address=127.0.0.1:0")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines.find_map(|line| {
            let line = line.unwrap();
            let (_, address) = line.split_once("\"Listening on\" address=")?;
            address.parse().ok()
        });
        // It goes on talking: somebody has to listen.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self {
            child,
            address: address.expect("it says where it listens"),
            _folder: folder,
        }
    }

    /// The value of a metric as it has it, if it has one yet.
    fn value(&self, metric: &str) -> Option<String> {
        let answer = get(self.address, &format!("/api/v1/query?query={metric}"));
        let answer: serde_json::Value = serde_json::from_str(&answer.body).ok()?;
        let value = answer["data"]["result"][0]["value"][1].as_str()?;
        Some(value.to_owned())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_real_prometheus_scrapes_the_counters() {
    if !is_installed("prometheus") {
        return;
    }
    let (server, metrics) = server();
    let prometheus = Prometheus::scraping(metrics);
    let began = Instant::now();
    let scraped = loop {
        if let Some(value) = prometheus.value("uringcast_messages_received_total") {
            break value;
        }
        assert!(began.elapsed() < DEADLINE, "it scrapes nothing");
        std::thread::yield_now();
    };
    // The gathering of the peers says hello, too.
    assert!(scraped.parse::<u32>().unwrap() >= 25, "{scraped}");
    let count = prometheus
        .value("uringcast_fanout_duration_seconds_count")
        .unwrap();
    assert!(count.parse::<u32>().unwrap() >= 25, "{count}");
    assert_eq!(prometheus.value("up").unwrap(), "1");
    drop(prometheus);
    let counters = server.end();
    assert_eq!(scraped, counters.messages.to_string());
}
