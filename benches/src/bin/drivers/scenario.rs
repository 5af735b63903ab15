//! Scenarios: the loads under which drivers are compared.

use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

/// A named load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scenario {
    /// 5000 clients, 10 messages/s: nothing can be coalesced, each delivery is a send
    Cpu,
    /// 5000 clients, 100 messages/s
    P99,
    /// 5000 clients, 1000 messages/s: 5 million deliveries/s
    Flood,
    /// 1000 clients, 100 messages/s of 8 KiB, and the same at 64 bytes
    Large,
    /// 100 clients, 10 messages/s
    Low,
    /// 18,000 clients, 20 messages/s
    Many,
    /// 10,000 clients join
    Join,
}

/// What one run of the load generator does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) clients: u32,
    /// Messages a second in total.
    pub(crate) rate: u32,
    pub(crate) message_bytes: u32,
}

impl Scenario {
    /// Those that are measured when none is named.
    pub(crate) const USUAL: [Self; 5] = [Self::Cpu, Self::P99, Self::Flood, Self::Large, Self::Low];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::P99 => "p99",
            Self::Flood => "flood",
            Self::Large => "large",
            Self::Low => "low",
            Self::Many => "many",
            Self::Join => "join",
        }
    }

    /// The time between two passes of the floor. Where CPU time is compared, that between messages:
    /// what the kernel does in between for the sockets (acknowledge, wake, sleep) is then the same.
    pub(crate) fn floor_interval(self) -> Duration {
        match self {
            Self::Cpu | Self::Low => Duration::from_secs(1) / self.loads()[0].rate,
            Self::P99 | Self::Flood | Self::Large | Self::Many | Self::Join => Duration::ZERO,
        }
    }

    /// The runs of the load generator, one after the other. The first is the one that figures are of.
    pub(crate) fn loads(self) -> Vec<Load> {
        match self {
            Self::Cpu => vec![Load::of(5000, 10)],
            Self::P99 => vec![Load::of(5000, 100)],
            Self::Flood => vec![Load::of(5000, 1000)],
            Self::Large => vec![
                Load {
                    message_bytes: 8192,
                    ..Load::of(1000, 100)
                },
                Load::of(1000, 100),
            ],
            Self::Low => vec![Load::of(100, 10)],
            Self::Many => vec![Load::of(18_000, 20)],
            Self::Join => vec![Load::of(10_000, 1)],
        }
    }
}

impl Load {
    const fn of(clients: u32, rate: u32) -> Self {
        Self {
            clients,
            rate,
            message_bytes: 64,
        }
    }
}
