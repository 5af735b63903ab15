//! A run: one point, measured once; and the floor that it is seen beside.

use std::time::Duration;

use benches::{Plan, Repeat, Report, floor, process};
use serde::Serialize;

use crate::curve::{Load, Point};

/// What a run may take beyond what it measures: connecting, warming up, draining, reporting.
const OVERHEAD_MAX: Duration = Duration::from_secs(30);

/// Passes of a floor that are measured.
const PASSES: u32 = 7;

/// Passes follow each other as messages do, but never this far apart: after a silence of 200 ms
/// sends cost more (see [`floor::WARMUP_PASSES`]), and the pass is to be the least that there is.
const INTERVAL_MAX: Duration = Duration::from_millis(100);

/// Longer messages than this are to be allowed to the server.
const MESSAGE_BYTES_USUAL: u32 = 65_536;

/// The kernel counts a process' CPU time in steps of 10 ms: less than this in all says nothing about a
/// delivery.
const CPU_SECONDS_MIN: f64 = 0.05;

/// A bare send loop over as many sockets as the load has clients, with frames as long as its.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Floor {
    /// F: one pass.
    pub(crate) pass_ms: f64,
    pub(crate) cpu_us_per_send: f64,
}

/// What came of a point in one repeat.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    pub(crate) repeat: u32,
    #[serde(flatten)]
    pub(crate) point: Point,
    /// Right before it. What is absent could not be measured.
    pub(crate) floor: Option<Floor>,
    /// Absent when none could be made, for the reason that `failure` says.
    pub(crate) report: Option<Report>,
    pub(crate) failure: Option<String>,
}

impl Floor {
    /// # Errors
    /// Says what kept it from being measured.
    pub(crate) fn measure(load: Load) -> Result<Self, String> {
        let plan = Plan {
            sockets: load.clients,
            bytes: floor::frame_bytes(load.message_bytes),
            repeats: 1,
            passes: PASSES,
            warmup_passes: floor::WARMUP_PASSES,
            interval: INTERVAL_MAX.min(Duration::from_secs(1) / load.rate),
            reader: None,
        };
        let repeat = Repeat::measure(&plan).map_err(|error| error.to_string())?;
        Ok(Self {
            pass_ms: repeat.pass_ms(),
            cpu_us_per_send: repeat.cpu_us_per_send(),
        })
    }
}

impl Run {
    /// Measures for `duration`, and goes on for `left` at most.
    pub(crate) fn measure(
        (repeat, point): (u32, Point),
        floor: Option<Floor>,
        duration: Duration,
        left: Duration,
    ) -> Self {
        let timeout = left.min(duration + OVERHEAD_MAX);
        let (report, failure) = match process::measure(&arguments(&point, duration), timeout) {
            Ok(report) => (Some(report), None),
            Err(failure) => (None, Some(failure)),
        };
        Self {
            repeat,
            point,
            floor,
            report,
            failure,
        }
    }

    /// Whether its figures may be believed.
    pub(crate) fn is_valid(&self) -> bool {
        self.report.as_ref().is_some_and(|report| report.valid)
    }

    pub(crate) fn p50_ms(&self) -> Option<f64> {
        self.report.as_ref()?.latency_ms.delivery.p50
    }

    pub(crate) fn p99_ms(&self) -> Option<f64> {
        self.report.as_ref()?.latency_ms.delivery.p99
    }

    /// CPU time of the server; `None` where it is too little to be told.
    pub(crate) fn cpu_us_per_delivery(&self) -> Option<f64> {
        let report = self.report.as_ref()?;
        let enough = |seconds: &f64| *seconds >= CPU_SECONDS_MIN;
        report.server.cpu_seconds.filter(enough)?;
        report.cpu_us_per_delivery()
    }

    /// What a person is told as soon as it is over.
    pub(crate) fn outcome(&self) -> String {
        if let Some(failure) = &self.failure {
            return format!("not measured: {failure}");
        }
        let shown = |value: Option<f64>| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"))
        };
        let floor = shown(self.floor.map(|floor| floor.pass_ms));
        let verdict = if self.is_valid() { "" } else { ", INVALID" };
        format!("F {floor} ms, p99 {} ms{verdict}", shown(self.p99_ms()))
    }
}

fn arguments(point: &Point, duration: Duration) -> Vec<String> {
    let Load {
        clients,
        stalled,
        rate,
        message_bytes,
    } = point.load;
    let duration_ms = duration.as_millis();
    let mut flags = format!(
        "--quiet --spawn-server --server-arg=--driver={} --server-arg=--threads={} --clients {clients} --stalled-clients {stalled} --rate {rate} --size {message_bytes} --duration {duration_ms}ms --warmup 500ms --drain-timeout 8s",
        point.driver, point.threads
    );
    if message_bytes > MESSAGE_BYTES_USUAL {
        flags += &format!(" --server-arg=--max-message-bytes={message_bytes}");
    }
    flags.split(' ').map(str::to_owned).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use benches::report::{Consumption, Latencies, Percentiles};

    use super::*;

    /// A valid run with this p99, of 100,000 deliveries at `cpu_seconds` in all.
    pub(crate) fn run(repeat: u32, point: Point, p99: f64, cpu_seconds: f64) -> Run {
        let percentiles = Percentiles {
            p50: Some(p99 / 2.0),
            p99: Some(p99),
            p999: None,
        };
        let report = Report {
            valid: true,
            problems: Vec::new(),
            rate_achieved: f64::from(point.load.rate),
            drain_seconds: 0.0,
            expected: 100_000,
            delivered: 100_000,
            lost: 0,
            backlog_at_end: 0,
            latency_ms: Latencies {
                delivery: percentiles.clone(),
                completion: percentiles,
            },
            server: Consumption {
                cpu_seconds: Some(cpu_seconds),
                rss_peak_bytes: None,
            },
            steps: None,
        };
        let floor = Floor {
            pass_ms: 40.0,
            cpu_us_per_send: 8.0,
        };
        Run {
            repeat,
            point,
            floor: Some(floor),
            report: Some(report),
            failure: None,
        }
    }

    #[test]
    fn cpu_time_that_the_kernel_cannot_tell_is_left_out() {
        let point = crate::curve::Curve::Rate.points(&crate::command_line::Extent::whole(2))[0];
        assert_eq!(run(0, point, 1.0, 1.0).cpu_us_per_delivery(), Some(10.0));
        assert_eq!(run(0, point, 1.0, 0.04).cpu_us_per_delivery(), None);
    }

    #[test]
    fn long_messages_are_allowed_to_the_server() {
        let load = Load {
            clients: 9,
            stalled: 3,
            rate: 1,
            message_bytes: 1 << 20,
        };
        let point = Point {
            load,
            driver: "epoll",
            threads: 2,
        };
        let words = arguments(&point, Duration::from_millis(1500));
        for word in [
            "--server-arg=--max-message-bytes=1048576",
            "--server-arg=--driver=epoll",
            "--server-arg=--threads=2",
            "1500ms",
        ] {
            assert!(words.contains(&word.to_owned()), "{word}: {words:?}");
        }
    }
}
