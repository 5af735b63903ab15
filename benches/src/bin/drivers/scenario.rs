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
    /// 5000 clients that have joined and say nothing (--idle-clients)
    Idle,
    /// 5000 clients, 100 messages/s, with each --coalesce of 0s, auto, 10ms, 30ms, 50ms, 100ms
    Coalesce,
    /// 5000 clients, 100 messages/s, with --threads 1 and 2
    Threads,
}

/// What the server is told beside its driver: nothing, or one option that the scenario varies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Setting(Option<&'static str>);

/// Of `--coalesce`.
const COALESCE: [Setting; 6] = [
    Setting(Some("--coalesce=0s")),
    Setting(Some("--coalesce=auto")),
    Setting(Some("--coalesce=10ms")),
    Setting(Some("--coalesce=30ms")),
    Setting(Some("--coalesce=50ms")),
    Setting(Some("--coalesce=100ms")),
];

/// Of `--threads`.
const THREADS: [Setting; 2] = [Setting(Some("--threads=1")), Setting(Some("--threads=2"))];

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
            Self::Idle => "idle",
            Self::Coalesce => "coalesce",
            Self::Threads => "threads",
        }
    }

    /// The time between two passes of the floor. Where CPU time is compared, that between messages:
    /// what the kernel does in between for the sockets (acknowledge, wake, sleep) is then the same.
    pub(crate) fn floor_interval(self) -> Duration {
        match self {
            Self::Cpu | Self::Low => Duration::from_secs(1) / self.loads()[0].rate,
            _ => Duration::ZERO,
        }
    }

    /// What the server is told: a run with each, one after the other.
    pub(crate) const fn settings(self) -> &'static [Setting] {
        match self {
            Self::Coalesce => &COALESCE,
            Self::Threads => &THREADS,
            _ => &[Setting::USUAL],
        }
    }

    /// The runs of the load generator, one after the other; none where there is no load. The first
    /// is the one that figures are of.
    pub(crate) fn loads(self) -> Vec<Load> {
        match self {
            Self::Cpu => vec![Load::of(5000, 10)],
            Self::P99 | Self::Coalesce | Self::Threads => vec![Load::of(5000, 100)],
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
            Self::Idle => Vec::new(),
        }
    }
}

impl Setting {
    /// What the server does if it is not told.
    pub(crate) const USUAL: Self = Self(None);

    /// The argument for the server, if there is one.
    pub(crate) const fn argument(self) -> Option<&'static str> {
        self.0
    }

    /// The value of what is varied; nothing where nothing is.
    pub(crate) fn value(self) -> &'static str {
        self.0
            .and_then(|argument| argument.split_once('='))
            .map_or("", |(_, value)| value)
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
