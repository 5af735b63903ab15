//! Figures: what is read off a run, and which way is better.

use serde::Serialize;

use crate::run::{Load, Run};

/// A number that one run gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Figure {
    P50,
    P99,
    P999,
    CompletionP50,
    CompletionP99,
    CompletionP999,
    /// Messages a second that were sent in time.
    Rate,
    /// Share of the deliveries that never came, in percent.
    LostPercent,
    DrainSeconds,
    /// CPU time of the server by deliveries, in microseconds.
    CpuUsPerDelivery,
    RssMib,
    /// The highest rate that held.
    Highest,
}

impl Figure {
    /// Those that are shown for each rate.
    pub(crate) const OF_RATES: [Self; 11] = [
        Self::P50,
        Self::P99,
        Self::P999,
        Self::CompletionP50,
        Self::CompletionP99,
        Self::CompletionP999,
        Self::Rate,
        Self::LostPercent,
        Self::DrainSeconds,
        Self::CpuUsPerDelivery,
        Self::RssMib,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::P50 => "delivery p50, ms",
            Self::P99 => "delivery p99, ms",
            Self::P999 => "delivery p99.9, ms",
            Self::CompletionP50 => "completion p50, ms",
            Self::CompletionP99 => "completion p99, ms",
            Self::CompletionP999 => "completion p99.9, ms",
            Self::Rate => "messages/s",
            Self::LostPercent => "lost, %",
            Self::DrainSeconds => "drain, s",
            Self::CpuUsPerDelivery => "CPU per delivery, us",
            Self::RssMib => "RSS peak, MiB",
            Self::Highest => "highest rate, messages/s",
        }
    }

    /// Whether `one` is better than `other`.
    pub(crate) fn is_better(self, one: f64, other: f64) -> bool {
        match self {
            Self::Rate | Self::Highest => one > other,
            _ => one < other,
        }
    }

    /// The figure of `run`; `None` where the run does not say.
    pub(crate) fn of(self, run: &Run) -> Option<f64> {
        if self == Self::Highest {
            return run.found();
        }
        let report = run.report.as_ref()?;
        if run.load == Load::FindMax {
            return None;
        }
        let (delivery, completion) = (&report.latency_ms.delivery, &report.latency_ms.completion);
        match self {
            Self::P50 => delivery.p50,
            Self::P99 => delivery.p99,
            Self::P999 => delivery.p999,
            Self::CompletionP50 => completion.p50,
            Self::CompletionP99 => completion.p99,
            Self::CompletionP999 => completion.p999,
            Self::Rate => Some(report.rate_achieved),
            Self::LostPercent => {
                (report.expected > 0).then(|| 100.0 * report.lost as f64 / report.expected as f64)
            }
            Self::DrainSeconds => Some(report.drain_seconds),
            Self::CpuUsPerDelivery => report.cpu_us_per_delivery(),
            Self::RssMib => report
                .server
                .rss_peak_bytes
                .map(|bytes| bytes as f64 / f64::from(1 << 20)),
            Self::Highest => None,
        }
    }
}
