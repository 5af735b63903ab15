//! Reading a server's metrics over HTTP: one GET, the text format of Prometheus, the few names in use.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use thiserror::Error;

/// How long a server may take for each step of an answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Longer answers are cut, and then do not parse.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Why metrics cannot be had.
#[derive(Debug, Error)]
#[error(
    "cannot read the server's metrics at {url}: {why}; start it with --metrics-listen and give that address"
)]
pub(crate) struct NoMetrics {
    url: String,
    why: String,
}

/// A place that serves metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MetricsUrl {
    /// HOST:PORT.
    authority: String,
    /// Of the metrics.
    path: String,
}

/// All samples of one answer, by name and labels as they are written.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Samples(BTreeMap<String, f64>);

impl MetricsUrl {
    /// From `http://HOST:PORT/metrics`, or only `HOST:PORT`.
    ///
    /// # Errors
    /// What to write instead.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("http://").unwrap_or(text);
        let (authority, path) = rest.split_once('/').unwrap_or((rest, "metrics"));
        let port = authority
            .rsplit_once(':')
            .map(|(_, port)| port.parse::<u16>());
        if rest.contains("://") || !matches!(port, Some(Ok(_))) {
            return Err("write an address such as http://127.0.0.1:9990/metrics".into());
        }
        let path = if path.is_empty() { "metrics" } else { path };
        Ok(Self {
            authority: authority.to_owned(),
            path: format!("/{path}"),
        })
    }

    /// The address of the metrics.
    pub(crate) fn url(&self) -> String {
        format!("http://{}{}", self.authority, self.path)
    }

    /// The metrics as they are now.
    ///
    /// # Errors
    /// When they cannot be had.
    pub(crate) fn samples(&self) -> Result<Samples, NoMetrics> {
        let body = self.get(&self.path).map_err(|why| self.failed(&why))?;
        let samples = Samples::parse(&body);
        if samples.0.keys().any(|name| name.starts_with("uringcast_")) {
            Ok(samples)
        } else {
            Err(self.failed("these are not the metrics of such a server"))
        }
    }

    /// Messages that the server has sent to the connections whose name `is_ours`, as long as these are
    /// among the oldest `limit`.
    ///
    /// # Errors
    /// When the list cannot be had.
    pub(crate) fn sent_to(
        &self,
        is_ours: impl Fn(&str) -> bool,
        limit: u32,
    ) -> Result<u64, NoMetrics> {
        let path = format!("/connections?sort=age&limit={limit}");
        let body = self.get(&path).map_err(|why| self.failed(&why))?;
        let list: serde_json::Value =
            serde_json::from_str(&body).map_err(|error| self.failed(&error.to_string()))?;
        let connections = list["connections"].as_array();
        let ours = connections.into_iter().flatten();
        let ours = ours.filter(|it| it["name"].as_str().is_some_and(&is_ours));
        Ok(ours.filter_map(|it| it["sent_messages"].as_u64()).sum())
    }

    fn failed(&self, why: &str) -> NoMetrics {
        NoMetrics {
            url: self.url(),
            why: why.to_owned(),
        }
    }

    fn get(&self, path: &str) -> Result<String, String> {
        let answer = self.ask(path).map_err(|error| error.to_string())?;
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .ok_or("the answer is not HTTP")?;
        let status = head.lines().next().unwrap_or_default();
        match status.split(' ').nth(1) {
            Some("200") => Ok(body.to_owned()),
            _ => Err(format!("it answers {status:?}")),
        }
    }

    fn ask(&self, path: &str) -> io::Result<String> {
        let mut addresses = self.authority.to_socket_addrs()?;
        let address = addresses.next().ok_or(io::ErrorKind::NotFound)?;
        let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let authority = &self.authority;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
        Ok(answer)
    }
}

impl Samples {
    fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Self(samples.collect())
    }

    /// A counter or a gauge without labels; 0 where there is none of that name.
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.0.get(name).copied().map_or(0, whole)
    }

    /// The samples of a family by the value of its one label.
    pub(crate) fn by_label(&self, name: &str) -> BTreeMap<String, u64> {
        let labelled = self.labelled(name);
        labelled
            .map(|(label, value)| (label, whole(value)))
            .collect()
    }

    /// The value of a label of a family's one sample.
    pub(crate) fn label(&self, name: &str, label: &str) -> Option<String> {
        let key = self
            .0
            .keys()
            .find(|key| key.starts_with(&format!("{name}{{")))?;
        let (_, rest) = key.split_once(&format!("{label}=\""))?;
        Some(rest.split_once('"')?.0.to_owned())
    }

    /// The buckets of a histogram in rising order: the bound, and how many are not above it.
    pub(crate) fn buckets(&self, name: &str) -> Vec<(f64, u64)> {
        let labelled = self.labelled(&format!("{name}_bucket"));
        let mut buckets: Vec<(f64, u64)> = labelled
            .filter_map(|(bound, count)| Some((bound.parse().ok()?, whole(count))))
            .collect();
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        buckets
    }

    fn labelled(&self, name: &str) -> impl Iterator<Item = (String, f64)> + use<'_> {
        let begin = format!("{name}{{");
        self.0.iter().filter_map(move |(key, value)| {
            let label = key.strip_prefix(&begin)?.split('"').nth(1)?;
            Some((label.to_owned(), *value))
        })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are neither negative nor beyond 2^53"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_and_without_a_path() {
        for text in [
            "127.0.0.1:9990",
            "http://127.0.0.1:9990",
            "http://127.0.0.1:9990/",
            "http://127.0.0.1:9990/metrics",
        ] {
            let url = MetricsUrl::parse(text).unwrap().url();
            assert_eq!(url, "http://127.0.0.1:9990/metrics");
        }
        for text in ["", "127.0.0.1", "https://127.0.0.1:1/", "host:port"] {
            assert!(
                MetricsUrl::parse(text).unwrap_err().contains("http://127"),
                "{text}"
            );
        }
    }

    #[test]
    fn samples_are_found_by_name_and_label() {
        let samples = Samples::parse(
            "# TYPE a_total counter\na_total{reason=\"left\"} 3\na_total{reason=\"stalled\"} 4\n\
             b 5\nh_bucket{le=\"10\"} 2\nh_bucket{le=\"9\"} 1\nh_bucket{le=\"+Inf\"} 3\n\
             info{version=\"1.2\",driver=\"epoll\"} 1\n",
        );
        assert_eq!(samples.count("b"), 5);
        assert_eq!(samples.count("c"), 0);
        let by_label = samples.by_label("a_total");
        assert_eq!(by_label["left"] + by_label["stalled"], 7);
        let buckets = samples.buckets("h");
        assert_eq!(buckets, [(9.0, 1), (10.0, 2), (f64::INFINITY, 3)]);
        assert_eq!(samples.label("info", "driver").unwrap(), "epoll");
    }
}
