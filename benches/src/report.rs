//! The load generator's report, as far as comparisons need it: see `results/schema.md`.

use serde::{Deserialize, Serialize};

/// A report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// Whether the figures may be believed.
    pub valid: bool,
    /// Why not.
    pub problems: Vec<String>,
    /// Messages a second that were sent in time.
    pub rate_achieved: f64,
    /// From the end of the measured time until all had come, or patience ended.
    pub drain_seconds: f64,
    /// Deliveries that were to come.
    pub expected: u64,
    /// Those that came.
    pub delivered: u64,
    /// Those that did not.
    pub lost: u64,
    /// Deliveries that came, if at all, after the measured time.
    pub backlog_at_end: u64,
    /// Latencies, from the intended time.
    pub latency_ms: Latencies,
    /// What the server's process took.
    pub server: Consumption,
    /// Of a search for the highest rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Steps>,
}

/// Latencies, in milliseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Latencies {
    /// Of each delivery.
    pub delivery: Percentiles,
    /// Of each broadcast, until the last receiver has it.
    pub completion: Percentiles,
}

/// Percentiles, in milliseconds; `None` without a sample.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Percentiles {
    /// The median.
    pub p50: Option<f64>,
    /// 99 % are below.
    pub p99: Option<f64>,
    /// 99.9 % are below.
    pub p999: Option<f64>,
}

/// What a process took in the measured time.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Consumption {
    /// CPU time, user and system.
    pub cpu_seconds: Option<f64>,
    /// The peak of resident memory.
    pub rss_peak_bytes: Option<u64>,
}

/// Several measurements in one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Steps {
    /// What a search found.
    pub found: Option<Found>,
}

/// The result of a search.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Found {
    /// The highest rate that held, in messages a second; `None` if none did.
    pub rate: Option<f64>,
}

impl Report {
    /// CPU time of the server by deliveries, in microseconds. It is the time of the measured span, so
    /// what was delivered after it does not count.
    #[must_use]
    pub fn cpu_us_per_delivery(&self) -> Option<f64> {
        let in_time = self.expected.saturating_sub(self.backlog_at_end);
        let seconds = self.server.cpu_seconds?;
        (in_time > 0).then(|| seconds * 1e6 / in_time as f64)
    }
}
