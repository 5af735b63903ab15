//! Figures: the numbers that a run gives, with the names and units that people read.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A number that a run gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figure {
    /// Its name in data.json; ends with the unit, if it has one.
    pub id: Cow<'static, str>,
    /// Its name in tables.
    pub name: Cow<'static, str>,
    /// `ms`, `us`, `MiB`, `x` of a ratio; empty for a count.
    pub unit: Cow<'static, str>,
    /// Whether more is better, as with rates.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more_is_better: bool,
}

impl Figure {
    /// A figure of which less is better.
    #[must_use]
    pub const fn new(id: &'static str, name: &'static str, unit: &'static str) -> Self {
        Self {
            id: Cow::Borrowed(id),
            name: Cow::Borrowed(name),
            unit: Cow::Borrowed(unit),
            more_is_better: false,
        }
    }

    /// A figure of which more is better.
    #[must_use]
    pub const fn more(id: &'static str, name: &'static str, unit: &'static str) -> Self {
        Self {
            id: Cow::Borrowed(id),
            name: Cow::Borrowed(name),
            unit: Cow::Borrowed(unit),
            more_is_better: true,
        }
    }

    /// Whether `one` is better than `other`.
    #[must_use]
    pub fn is_better(&self, one: f64, other: f64) -> bool {
        if self.more_is_better {
            one > other
        } else {
            one < other
        }
    }

    /// The name with the unit, as the head of a row of plain numbers.
    #[must_use]
    pub fn label(&self) -> String {
        match &*self.unit {
            "" => self.name.to_string(),
            unit => format!("{}, {unit}", self.name),
        }
    }
}

/// Median latency of deliveries, from the intended time.
pub const P50: Figure = Figure::new("p50_ms", "delivery p50", "ms");
/// 99th percentile of the latency of deliveries.
pub const P99: Figure = Figure::new("p99_ms", "delivery p99", "ms");
/// 99.9th percentile of the latency of deliveries.
pub const P999: Figure = Figure::new("p999_ms", "delivery p99.9", "ms");
/// Median time until the last receiver has a message.
pub const COMPLETION_P50: Figure = Figure::new("completion_p50_ms", "completion p50", "ms");
/// 99th percentile of the same.
pub const COMPLETION_P99: Figure = Figure::new("completion_p99_ms", "completion p99", "ms");
/// 99.9th percentile of the same.
pub const COMPLETION_P999: Figure = Figure::new("completion_p999_ms", "completion p99.9", "ms");
/// Messages a second that were sent on time.
pub const RATE: Figure = Figure::more("rate", "messages sent on time", "/s");
/// The highest rate that held, found by a search.
pub const HIGHEST_RATE: Figure = Figure::more("highest_rate", "highest rate", "messages/s");
/// Deliveries that came.
pub const DELIVERED: Figure = Figure::more("delivered", "deliveries", "");
/// Deliveries a second.
pub const DELIVERY_RATE: Figure = Figure::more("million_deliveries", "million deliveries", "/s");
/// Share of the deliveries that never came.
pub const LOST: Figure = Figure::new("lost_percent", "lost", "%");
/// Deliveries that were lost, repeated, reordered or damaged, and messages that could not be sent.
pub const FAULTS: Figure = Figure::new("faults", "faults in the ledger", "");
/// Healthy clients that the server disconnected.
pub const CUT: Figure = Figure::new("cut", "healthy clients disconnected", "");
/// From the end of the measured time until the last delivery.
pub const DRAIN: Figure = Figure::new("drain_seconds", "drain", "s");
/// From the first connection until all had joined.
pub const CONNECT: Figure = Figure::new("connect_seconds", "all joined after", "s");
/// CPU time of the server by deliveries.
pub const CPU_PER_DELIVERY: Figure = Figure::new("cpu_us_per_delivery", "CPU per delivery", "us");
/// User time as a share of the server's CPU time.
pub const USER_SHARE: Figure = Figure::new("user_share", "user share of CPU", "");
/// CPU time of the server.
pub const CPU: Figure = Figure::new("cpu_cores", "CPU of the server", "cores");
/// Peak of the server's resident memory.
pub const RSS: Figure = Figure::new("rss_mib", "RSS peak", "MiB");
/// One pass of a bare send loop: F.
pub const FLOOR: Figure = Figure::new("floor_ms", "F", "ms");
/// CPU time of a bare send.
pub const FLOOR_CPU: Figure = Figure::new("floor_cpu_us", "CPU of a bare send", "us");
/// p99 by F.
pub const P99_BY_FLOOR: Figure = Figure::new("p99_by_floor", "delivery p99 / F", "x");
/// CPU per delivery by that of a bare send.
pub const CPU_BY_FLOOR: Figure =
    Figure::new("cpu_by_floor", "CPU per delivery / CPU of a bare send", "x");
