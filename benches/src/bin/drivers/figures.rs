//! Figures: what is read off a run, and which of them say something of which scenario.

use serde::Serialize;

use crate::run::Run;
use crate::scenario::Scenario;

/// A number that one run gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Figure {
    /// F, right before the run, in milliseconds.
    Floor,
    /// The floor's CPU time per send, in microseconds.
    FloorCpu,
    /// CPU time of the server by deliveries, in microseconds; only of runs in which each delivery
    /// was a send of its own.
    CpuUsPerDelivery,
    /// The same, as a ratio to the floor's CPU time per send.
    CpuByFloor,
    /// User time as a share of the server's CPU time.
    UserShare,
    /// CPU time of the server, in cores.
    CpuCores,
    /// Peak of the server's resident memory.
    RssMib,
    /// Median latency of deliveries, in milliseconds.
    P50,
    /// 99th percentile of the latency of deliveries, in milliseconds.
    P99,
    /// Its ratio to F.
    P99ByFloor,
    /// Median time until the last receiver has a message, in milliseconds.
    Completion,
    /// Its ratio to F.
    CompletionByFloor,
    /// 99th percentile with large messages, by that with small ones.
    P99ByP99OfSmall,
    /// 99th percentile by what is allowed at low load: 1.3 F and half a millisecond.
    P99ByAllowance,
    /// Deliveries a second.
    DeliveriesPerSecond,
    /// Until all clients had joined.
    ConnectSeconds,
}

impl Figure {
    /// Those that are shown of a scenario.
    pub(crate) const fn shown(scenario: Scenario) -> &'static [Self] {
        match scenario {
            Scenario::Cpu => &[
                Self::FloorCpu,
                Self::CpuUsPerDelivery,
                Self::CpuByFloor,
                Self::UserShare,
                Self::P50,
                Self::P99,
                Self::RssMib,
            ],
            Scenario::P99 => &[
                Self::Floor,
                Self::P50,
                Self::P99,
                Self::P99ByFloor,
                Self::Completion,
                Self::CompletionByFloor,
                Self::CpuCores,
                Self::RssMib,
            ],
            Scenario::Flood => &[
                Self::Floor,
                Self::P50,
                Self::P99,
                Self::P99ByFloor,
                Self::DeliveriesPerSecond,
                Self::CpuCores,
                Self::RssMib,
            ],
            Scenario::Large => &[Self::P50, Self::P99, Self::P99ByP99OfSmall, Self::CpuCores],
            Scenario::Low => &[Self::Floor, Self::P50, Self::P99, Self::P99ByAllowance],
            Scenario::Many => &[
                Self::Floor,
                Self::P50,
                Self::P99,
                Self::P99ByFloor,
                Self::ConnectSeconds,
                Self::RssMib,
            ],
            Scenario::Join => &[Self::ConnectSeconds, Self::RssMib],
        }
    }

    /// The figure's name in tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Floor => "F, ms",
            Self::FloorCpu => "floor's CPU per send, us",
            Self::CpuUsPerDelivery => "CPU per delivery, us",
            Self::CpuByFloor => "CPU per delivery / floor's per send",
            Self::UserShare => "user share of CPU",
            Self::CpuCores => "CPU, cores",
            Self::RssMib => "RSS peak, MiB",
            Self::P50 => "p50, ms",
            Self::P99 => "p99, ms",
            Self::P99ByFloor => "p99 / F",
            Self::Completion => "completion p50, ms",
            Self::CompletionByFloor => "completion p50 / F",
            Self::P99ByP99OfSmall => "p99 / p99 at 64 B",
            Self::P99ByAllowance => "p99 / (1.3 F + 0.5 ms)",
            Self::DeliveriesPerSecond => "million deliveries/s",
            Self::ConnectSeconds => "all joined after, s",
        }
    }

    /// The figure of `run`; `None` where the run does not say.
    pub(crate) fn of(self, run: &Run) -> Option<f64> {
        let (report, floor) = (run.report(), &run.floor);
        let (delivery, server) = (&report.latency_ms.delivery, &report.server);
        match self {
            Self::Floor => Some(floor.pass_ms),
            Self::FloorCpu => Some(floor.cpu_us_per_send),
            Self::CpuUsPerDelivery => server
                .cpu_seconds
                .filter(|_| report.delivered > 0 && !run.has_coalesced())
                .map(|seconds| seconds * 1e6 / report.delivered as f64),
            Self::CpuByFloor => Some(Self::CpuUsPerDelivery.of(run)? / floor.cpu_us_per_send),
            Self::UserShare => server
                .cpu_seconds
                .filter(|&seconds| seconds > 0.0)
                .and_then(|seconds| Some(server.cpu_user_seconds? / seconds)),
            Self::CpuCores => server.cpu_cores,
            Self::RssMib => server
                .rss_peak_bytes
                .map(|bytes| bytes as f64 / f64::from(1 << 20)),
            Self::P50 => delivery.p50,
            Self::P99 => delivery.p99,
            Self::P99ByFloor => Some(delivery.p99? / floor.pass_ms),
            Self::Completion => report.latency_ms.completion.p50,
            Self::CompletionByFloor => Some(report.latency_ms.completion.p50? / floor.pass_ms),
            Self::P99ByP99OfSmall => {
                let small = run.reports.get(1)?;
                Some(delivery.p99? / small.latency_ms.delivery.p99?)
            }
            Self::P99ByAllowance => Some(delivery.p99? / (1.3 * floor.pass_ms + 0.5)),
            Self::DeliveriesPerSecond => Some(report.deliveries_per_second / 1e6),
            Self::ConnectSeconds => Some(report.connect_seconds),
        }
    }
}
