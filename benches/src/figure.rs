//! Figures: the numbers that a run gives, with the names and units that people read.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A number that a run gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub(crate) struct Figure {
    /// Its name in data.json; ends with the unit, if it has one.
    pub(crate) id: Cow<'static, str>,
    /// Its name in tables.
    pub(crate) name: Cow<'static, str>,
    /// `ms`, `us`, `MiB`, `x` of a ratio; empty for a count.
    pub(crate) unit: Cow<'static, str>,
    /// As with rates.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) more_is_better: bool,
}

/// A figure in a file.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    /// In a declaration, by its name in data.json.
    Named(String),
    /// In data.json.
    Whole {
        id: String,
        name: String,
        unit: String,
        #[serde(default)]
        more_is_better: bool,
    },
}

/// Constants of figures (the name in data.json, the name for people, the unit, whether more is better), and
/// `ALL` of them.
macro_rules! figures {
    ($($constant:ident: $id:literal, $name:literal, $unit:literal, $more:literal;)*) => {
        $(pub(crate) const $constant: Figure = Figure {
            id: Cow::Borrowed($id),
            name: Cow::Borrowed($name),
            unit: Cow::Borrowed($unit),
            more_is_better: $more,
        };)*
        const ALL: &[Figure] = &[$($constant),*];
    };
}

// Latencies count from the intended time of a message; completion ends with its last receiver.
figures! {
    P50: "p50_ms", "delivery p50", "ms", false;
    P99: "p99_ms", "delivery p99", "ms", false;
    P999: "p999_ms", "delivery p99.9", "ms", false;
    COMPLETION_P50: "completion_p50_ms", "completion p50", "ms", false;
    COMPLETION_P99: "completion_p99_ms", "completion p99", "ms", false;
    COMPLETION_P999: "completion_p999_ms", "completion p99.9", "ms", false;
    RATE: "rate", "messages sent on time", "/s", true;
    HIGHEST_RATE: "highest_rate", "highest rate", "messages/s", true;
    DELIVERED: "delivered", "deliveries", "", false;
    DELIVERY_RATE: "million_deliveries", "million deliveries", "/s", false;
    LOST: "lost_percent", "lost", "%", false;
    FAULTS: "faults", "faults in the ledger", "", false;
    CUT: "cut", "healthy clients disconnected", "", false;
    DRAIN: "drain_seconds", "drain", "s", false;
    CONNECT: "connect_seconds", "all joined after", "s", false;
    CPU_PER_DELIVERY: "cpu_us_per_delivery", "CPU per delivery", "us", false;
    USER_SHARE: "user_share", "user share of CPU", "", false;
    CPU: "cpu_cores", "CPU of the server", "cores", false;
    RSS: "rss_mib", "RSS peak", "MiB", false;
    KERNEL_MEMORY: "kernel_socket_mib", "kernel socket memory", "MiB", false;
    FLOOD_RATE: "flood_rate", "messages of flooders", "/s", false;
    CONNECTIONS: "connections", "connections of broken peers", "", false;
    FLOOR: "floor_ms", "F", "ms", false;
    FLOOR_COMPLETION: "floor_completion_ms", "pass until the last read", "ms", false;
    FLOOR_WALL: "floor_wall_us", "wall time per send", "us", false;
    FLOOR_CPU: "floor_cpu_us", "CPU of a bare send", "us", false;
    FLOOR_READER_CPU: "floor_reader_cpu_us", "reader's CPU per read", "us", false;
    FLOOR_SENDS: "floor_sends", "sends", "", false;
    FLOOR_READS: "floor_reads", "reads", "", false;
    P99_BY_FLOOR: "p99_by_floor", "delivery p99 / F", "x", false;
    COMPLETION_BY_FLOOR: "completion_by_floor", "completion p50 / F", "x", false;
    CPU_BY_FLOOR: "cpu_by_floor", "CPU per delivery / CPU of a bare send", "x", false;
    P99_BY_ALLOWANCE: "p99_by_allowance", "delivery p99 / (1.3 F + 0.5 ms)", "x", false;
    IDLE_CLIENTS: "idle_clients", "idle clients", "", false;
    IDLE_RSS: "idle_rss_mib", "RSS with idle clients", "MiB", false;
    IDLE_PER_CLIENT: "idle_kib_per_client", "memory per idle client", "KiB", false;
    IDLE_CPU: "idle_cpu_ticks", "CPU while idle", "ticks", false;
    IDLE_WAKEUPS: "idle_wakeups", "wake-ups of serving threads while idle", "", false;
    IDLE_WAKEUPS_OF_OTHERS: "idle_wakeups_of_others", "wake-ups of other threads while idle", "", false;
    NS_PER_SEGMENT: "ns_per_segment", "CPU per segment", "ns", false;
    SEGMENTS: "segments", "segments", "", false;
    BYTES_PER_SEGMENT: "bytes_per_segment", "bytes per segment", "", false;
    SEGMENTS_PER_TURN: "segments_per_turn", "segments per epoll_wait", "", false;
    USER_NS_PER_DELIVERY: "user_ns_per_delivery", "user CPU per delivery", "ns", false;
    DELIVERIES_PER_SEGMENT: "deliveries_per_segment", "deliveries per segment", "", false;
}

impl Figure {
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

    /// The figure of this name in data.json.
    pub(crate) fn named(id: &str) -> Option<Self> {
        ALL.iter().find(|figure| figure.id == id).cloned()
    }
}

impl TryFrom<Written> for Figure {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Named(id) => {
                Self::named(&id).ok_or_else(|| format!("there is no figure {id}"))
            }
            Written::Whole {
                id,
                name,
                unit,
                more_is_better,
            } => Ok(Self {
                id: id.into(),
                name: name.into(),
                unit: unit.into(),
                more_is_better,
            }),
        }
    }
}
