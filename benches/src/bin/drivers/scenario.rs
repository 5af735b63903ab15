//! Scenarios: the loads under which drivers are compared, with the figures that say something of each,
//! and what has to hold.

use std::time::Duration;

use benches::figure::{
    COMPLETION_P50, CONNECT, CPU, CPU_BY_FLOOR, CPU_PER_DELIVERY, DELIVERY_RATE, FLOOR, FLOOR_CPU,
    P50, P99, P99_BY_FLOOR, RSS, USER_SHARE,
};
use benches::{Against, Bound, Figure, Limit, Run, Section};
use clap::ValueEnum;

use crate::idle;

/// A named load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
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

/// What one run of the load generator does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) clients: u32,
    /// Messages a second in total.
    pub(crate) rate: u32,
    pub(crate) message_bytes: u32,
}

const COMPLETION_BY_FLOOR: Figure = Figure::new("completion_by_floor", "completion p50 / F", "x");
const P99_BY_SMALL: Figure =
    Figure::new("p99_by_small", "delivery p99 / delivery p99 at 64 B", "x");
const FLOOR_BY_SMALL: Figure = Figure::new("floor_by_small", "F / F at 64 B", "x");
const P99_BY_ALLOWANCE: Figure =
    Figure::new("p99_by_allowance", "delivery p99 / (1.3 F + 0.5 ms)", "x");

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

    pub(crate) fn section(self, candidates: Vec<String>) -> Section {
        let value = self.to_possible_value();
        let about = value.and_then(|value| value.get_help().map(ToString::to_string));
        Section {
            title: self.name().into(),
            about: about.unwrap_or_default() + ".",
            figures: self.figures(),
            scenarios: vec![benches::Scenario {
                name: self.name().into(),
                x: None,
                candidates,
            }],
        }
    }

    /// Those that are shown.
    fn figures(self) -> Vec<Figure> {
        match self {
            Self::Cpu => vec![
                FLOOR_CPU,
                CPU_PER_DELIVERY,
                CPU_BY_FLOOR,
                USER_SHARE,
                P50,
                P99,
                RSS,
            ],
            Self::P99 => vec![
                FLOOR,
                P50,
                P99,
                P99_BY_FLOOR,
                COMPLETION_P50,
                COMPLETION_BY_FLOOR,
                CPU,
                RSS,
            ],
            Self::Flood => vec![FLOOR, P50, P99, P99_BY_FLOOR, DELIVERY_RATE, CPU, RSS],
            Self::Large => vec![FLOOR, FLOOR_BY_SMALL, P50, P99, P99_BY_SMALL, CPU],
            Self::Low => vec![FLOOR, P50, P99, P99_BY_ALLOWANCE],
            Self::Many => vec![FLOOR, P50, P99, P99_BY_FLOOR, CONNECT, RSS],
            Self::Join => vec![CONNECT, RSS],
            Self::Idle => vec![
                idle::RSS,
                idle::KIB_PER_CLIENT,
                idle::CPU_TICKS,
                idle::WAKEUPS,
                idle::WAKEUPS_OF_OTHERS,
            ],
            Self::Coalesce | Self::Threads => vec![CPU, P50, P99],
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

    /// What the server is told beside its driver: a run with each, one after the other.
    pub(crate) const fn options(self) -> &'static [Option<&'static str>] {
        match self {
            Self::Coalesce => &[
                Some("--coalesce=0s"),
                Some("--coalesce=auto"),
                Some("--coalesce=10ms"),
                Some("--coalesce=30ms"),
                Some("--coalesce=50ms"),
                Some("--coalesce=100ms"),
            ],
            Self::Threads => &[Some("--threads=1"), Some("--threads=2")],
            _ => &[None],
        }
    }

    /// The runs of the load generator, one after the other; none where there is no load. The first
    /// is the one that figures are of.
    pub(crate) fn loads(self) -> Vec<Load> {
        match self {
            Self::Cpu => vec![Load::new(5000, 10)],
            Self::P99 | Self::Coalesce | Self::Threads => vec![Load::new(5000, 100)],
            Self::Flood => vec![Load::new(5000, 1000)],
            Self::Large => vec![
                Load {
                    message_bytes: 8192,
                    ..Load::new(1000, 100)
                },
                Load::new(1000, 100),
            ],
            Self::Low => vec![Load::new(100, 10)],
            Self::Many => vec![Load::new(18_000, 20)],
            Self::Join => vec![Load::new(10_000, 1)],
            Self::Idle => Vec::new(),
        }
    }

    /// Sets what is seen beside the floor. Where messages came faster than they were delivered, one
    /// send may have carried several deliveries, and CPU per delivery says nothing of CPU per send.
    pub(crate) fn set_ratios(self, run: &mut Run) {
        let between_messages_ms = 1000.0 / f64::from(self.loads()[0].rate);
        let has_coalesced = run.get(&P99).is_none_or(|p99| p99 >= between_messages_ms);
        if has_coalesced {
            run.unset(&CPU_PER_DELIVERY);
            if self == Self::Cpu {
                run.warnings.push("p99 is longer than the time between messages, so sends were shared, and the CPU per delivery is left out: see what else runs here".into());
            }
        }
        run.set_ratio(&CPU_BY_FLOOR, &CPU_PER_DELIVERY, &FLOOR_CPU);
        run.set_ratio(&P99_BY_FLOOR, &P99, &FLOOR);
        run.set_ratio(&COMPLETION_BY_FLOOR, &COMPLETION_P50, &FLOOR);
        let allowed = run.get(&FLOOR).map(|floor| 1.3 * floor + 0.5);
        let ratio = run
            .get(&P99)
            .zip(allowed)
            .map(|(p99, allowed)| p99 / allowed);
        run.set(&P99_BY_ALLOWANCE, ratio);
    }
}

/// Sets what large messages cost by what `small` ones do.
pub(crate) fn set_small(run: &mut Run, small: &Run) {
    for (ratio, figure) in [(P99_BY_SMALL, P99), (FLOOR_BY_SMALL, FLOOR)] {
        let both = run.get(&figure).zip(small.get(&figure));
        run.set(&ratio, both.map(|(large, small)| large / small));
    }
    run.problems.extend(small.problems.iter().cloned());
}

impl Load {
    const fn new(clients: u32, rate: u32) -> Self {
        Self {
            clients,
            rate,
            message_bytes: 64,
        }
    }
}

/// What has to hold of those scenarios and candidates that `has` knows.
pub(crate) fn bounds(has: impl Fn(&str, &str) -> bool) -> Vec<Bound> {
    let of_uring = [
        ("cpu", CPU_BY_FLOOR, 1.00),
        ("cpu", USER_SHARE, 0.04),
        ("cpu", RSS, 16.0),
        ("p99", P99_BY_FLOOR, 1.5),
        ("p99", COMPLETION_BY_FLOOR, 1.5),
        ("p99", RSS, 24.0),
        ("flood", P99_BY_FLOOR, 4.0),
        ("large", P99_BY_SMALL, 1.3),
        ("low", P99_BY_ALLOWANCE, 1.0),
        ("join", CONNECT, 5.0),
        ("idle", idle::RSS, 16.0),
        ("idle", idle::KIB_PER_CLIENT, 1.5),
        ("idle", idle::CPU_TICKS, 0.0),
        ("idle", idle::WAKEUPS, 0.0),
    ];
    let ratios = [("uring", "epoll", 0.90), ("tokio-uring", "uring", 1.25)];
    let ratios = ratios
        .into_iter()
        .filter(|(who, by, _)| has("cpu", who) && has("cpu", by));
    let ratios = ratios.map(|(who, by, most)| {
        let bound = Bound::new("cpu", who, CPU_PER_DELIVERY, Limit::AtMost(most));
        bound.against(Against::Ratio(by.into()))
    });
    let of_uring = of_uring
        .into_iter()
        .filter(|(scenario, ..)| has(scenario, "uring"));
    let of_uring = of_uring
        .map(|(scenario, figure, most)| Bound::new(scenario, "uring", figure, Limit::AtMost(most)));
    ratios.chain(of_uring).collect()
}
