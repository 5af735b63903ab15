//! Figures: what is read off a run, and which of them say something of which scenario.

use serde::Serialize;

use crate::idle::Idle;
use crate::run::{Loaded, Measured, Run};
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
    /// F with large messages, by F with small ones.
    FloorByFloorOfSmall,
    /// 99th percentile by what is allowed at low load: 1.3 F and half a millisecond.
    P99ByAllowance,
    /// Deliveries a second.
    DeliveriesPerSecond,
    /// Until all clients had joined.
    ConnectSeconds,
    /// What the load generator found that makes the run invalid.
    Problems,
    /// The server's resident memory with clients that are idle.
    IdleRssMib,
    /// What each idle client adds to it, in KiB.
    IdleKibPerClient,
    /// CPU time that a server of idle clients took, in ticks of the kernel's clock.
    IdleCpuTicks,
    /// How often one of its threads that serve clients went to sleep again.
    IdleWakeups,
    /// The same of its other threads.
    IdleWakeupsOfOthers,
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
            Scenario::Large => &[
                Self::Floor,
                Self::FloorByFloorOfSmall,
                Self::P50,
                Self::P99,
                Self::P99ByP99OfSmall,
                Self::CpuCores,
            ],
            Scenario::Low => &[Self::Floor, Self::P50, Self::P99, Self::P99ByAllowance],
            Scenario::Many => &[
                Self::Floor,
                Self::P50,
                Self::P99,
                Self::P99ByFloor,
                Self::ConnectSeconds,
                Self::RssMib,
                Self::Problems,
            ],
            Scenario::Join => &[Self::ConnectSeconds, Self::RssMib],
            Scenario::Idle => &[
                Self::IdleRssMib,
                Self::IdleKibPerClient,
                Self::IdleCpuTicks,
                Self::IdleWakeups,
                Self::IdleWakeupsOfOthers,
            ],
            Scenario::Coalesce | Scenario::Threads => &[Self::CpuCores, Self::P50, Self::P99],
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
            Self::FloorByFloorOfSmall => "F / F at 64 B",
            Self::P99ByAllowance => "p99 / (1.3 F + 0.5 ms)",
            Self::DeliveriesPerSecond => "million deliveries/s",
            Self::ConnectSeconds => "all joined after, s",
            Self::Problems => "problems that make it invalid",
            Self::IdleRssMib => "RSS with idle clients, MiB",
            Self::IdleKibPerClient => "memory per idle client, KiB",
            Self::IdleCpuTicks => "CPU while idle, ticks",
            Self::IdleWakeups => "wake-ups of serving threads while idle",
            Self::IdleWakeupsOfOthers => "wake-ups of other threads while idle",
        }
    }

    /// The figure of `run`; `None` where the run does not say.
    pub(crate) fn of(self, run: &Run) -> Option<f64> {
        match &run.measured {
            Measured::Idle { idle } => self.of_idle(idle),
            Measured::Load(loaded) => self.of_load(loaded, run.has_coalesced()),
        }
    }

    fn of_idle(self, idle: &Idle) -> Option<f64> {
        match self {
            Self::IdleRssMib => Some(idle.rss_bytes as f64 / f64::from(1 << 20)),
            Self::IdleKibPerClient => Some(idle.kib_per_client()),
            Self::IdleCpuTicks => Some(idle.cpu_ticks as f64),
            Self::IdleWakeups => Some(idle.wakeups as f64),
            Self::IdleWakeupsOfOthers => Some(idle.wakeups_of_others as f64),
            _ => None,
        }
    }

    fn of_load(self, loaded: &Loaded, has_coalesced: bool) -> Option<f64> {
        let (report, floor) = (loaded.report(), loaded.floor());
        let (delivery, server) = (&report.latency_ms.delivery, &report.server);
        match self {
            Self::Floor => Some(floor.pass_ms),
            Self::FloorCpu => Some(floor.cpu_us_per_send),
            Self::CpuUsPerDelivery => server
                .cpu_seconds
                .filter(|_| report.delivered > 0 && !has_coalesced)
                .map(|seconds| seconds * 1e6 / report.delivered as f64),
            Self::CpuByFloor => {
                let ours = Self::CpuUsPerDelivery.of_load(loaded, has_coalesced)?;
                Some(ours / floor.cpu_us_per_send)
            }
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
                let small = loaded.reports.get(1)?;
                Some(delivery.p99? / small.latency_ms.delivery.p99?)
            }
            Self::FloorByFloorOfSmall => {
                let small = loaded.floors.get(1)?;
                Some(floor.pass_ms / small.pass_ms)
            }
            Self::P99ByAllowance => Some(delivery.p99? / (1.3 * floor.pass_ms + 0.5)),
            Self::DeliveriesPerSecond => Some(report.deliveries_per_second / 1e6),
            Self::ConnectSeconds => Some(report.connect_seconds),
            Self::Problems if report.valid => Some(0.0),
            Self::Problems => Some(report.problems.len().max(1) as f64),
            Self::IdleRssMib
            | Self::IdleKibPerClient
            | Self::IdleCpuTicks
            | Self::IdleWakeups
            | Self::IdleWakeupsOfOthers => None,
        }
    }
}
