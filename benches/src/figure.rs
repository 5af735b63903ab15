//! Figures: the numbers that a run gives, with the names and units that people read.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A number that a run gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// Its name in data.json; ends with the unit, if it has one.
    pub(crate) id: Cow<'static, str>,
    /// Its name in tables.
    pub(crate) name: Cow<'static, str>,
    /// `ms`, `us`, `MiB`, `x` of a ratio; empty for a count.
    pub(crate) unit: Cow<'static, str>,
    /// As with rates.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) more_is_better: bool,
}

impl Figure {
    pub(crate) const fn new(
        id: &'static str,
        name: &'static str,
        unit: &'static str,
        more_is_better: bool,
    ) -> Self {
        Self {
            id: Cow::Borrowed(id),
            name: Cow::Borrowed(name),
            unit: Cow::Borrowed(unit),
            more_is_better,
        }
    }

    pub(crate) fn is_better(&self, one: f64, other: f64) -> bool {
        if self.more_is_better {
            one > other
        } else {
            one < other
        }
    }

    /// The name with the unit, as the head of a row of plain numbers.
    pub(crate) fn label(&self) -> String {
        match &*self.unit {
            "" => self.name.to_string(),
            unit => format!("{}, {unit}", self.name),
        }
    }
}

/// Constants of figures, of which less is better: the name in data.json, the name for people, the unit.
macro_rules! figures {
    ($($constant:ident: $id:literal, $name:literal, $unit:literal;)*) => {
        $(pub(crate) const $constant: $crate::figure::Figure =
            $crate::figure::Figure::new($id, $name, $unit, false);)*
    };
}
pub(crate) use figures;

// Latencies count from the intended time of a message; completion ends with its last receiver.
figures! {
    P50: "p50_ms", "delivery p50", "ms";
    P99: "p99_ms", "delivery p99", "ms";
    P999: "p999_ms", "delivery p99.9", "ms";
    COMPLETION_P50: "completion_p50_ms", "completion p50", "ms";
    COMPLETION_P99: "completion_p99_ms", "completion p99", "ms";
    COMPLETION_P999: "completion_p999_ms", "completion p99.9", "ms";
    DELIVERED: "delivered", "deliveries", "";
    DELIVERY_RATE: "million_deliveries", "million deliveries", "/s";
    LOST: "lost_percent", "lost", "%";
    FAULTS: "faults", "faults in the ledger", "";
    CUT: "cut", "healthy clients disconnected", "";
    DRAIN: "drain_seconds", "drain", "s";
    CONNECT: "connect_seconds", "all joined after", "s";
    CPU_PER_DELIVERY: "cpu_us_per_delivery", "CPU per delivery", "us";
    USER_SHARE: "user_share", "user share of CPU", "";
    CPU: "cpu_cores", "CPU of the server", "cores";
    RSS: "rss_mib", "RSS peak", "MiB";
    FLOOR: "floor_ms", "F", "ms";
    FLOOR_CPU: "floor_cpu_us", "CPU of a bare send", "us";
    P99_BY_FLOOR: "p99_by_floor", "delivery p99 / F", "x";
    CPU_BY_FLOOR: "cpu_by_floor", "CPU per delivery / CPU of a bare send", "x";
}

/// Messages a second that were sent on time.
pub(crate) const RATE: Figure = Figure::new("rate", "messages sent on time", "/s", true);

/// The highest rate that held, found by a search.
pub(crate) const HIGHEST_RATE: Figure =
    Figure::new("highest_rate", "highest rate", "messages/s", true);
