//! What was measured: the ledger's counts and the latencies, in milliseconds.

use serde::{Deserialize, Serialize};

/// The account of a group of messages. All but `sent` and `unsent` count deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Account {
    /// Messages that were handed to the kernel whole.
    pub sent: u64,
    /// Messages that were due and could not be sent.
    pub unsent: u64,
    /// One per sent message and client that is to receive it: all but its author.
    pub expected: u64,
    /// Those that came.
    pub delivered: u64,
    /// Those that never came although author and receiver were connected.
    pub lost_while_connected: u64,
    /// Those that never came because author or receiver was disconnected.
    pub lost_to_disconnects: u64,
    /// Deliveries of what the receiver already had.
    pub duplicated: u64,
    /// Deliveries that came before the author's previous message.
    pub reordered: u64,
    /// Deliveries to the author.
    pub echoed: u64,
}

impl Account {
    /// All that was expected and never came.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost_while_connected + self.lost_to_disconnects
    }

    /// Whether everything came once, in order and to the right clients.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.unsent + self.lost() + self.duplicated + self.reordered + self.echoed == 0
    }
}

/// All latencies, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LatencyTable {
    /// Each delivery, from the intended time.
    pub delivery: Percentiles,
    /// Each delivery, from the time of sending.
    pub delivery_from_send: Percentiles,
    /// Each message, from the intended time until its last receiver had it.
    pub completion: Percentiles,
    /// Each message, from the intended time until half of its receivers had it.
    pub completion_median: Percentiles,
    /// Each message, from the intended time until its first receiver had it.
    pub completion_first: Percentiles,
    /// Each message, from the intended time until the kernel had it.
    pub send_lag: Percentiles,
}

/// Percentiles of one latency, in milliseconds; `None` where nothing was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Percentiles {
    /// The median.
    pub p50: Option<f64>,
    /// 90 % are below.
    pub p90: Option<f64>,
    /// 99 % are below.
    pub p99: Option<f64>,
    /// 99.9 % are below.
    pub p999: Option<f64>,
    /// The largest.
    pub max: Option<f64>,
    /// The arithmetic mean.
    pub mean: Option<f64>,
    /// How many samples.
    pub count: u64,
}

/// Connections that were cut on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cuts {
    /// How many were cut.
    pub cut: u64,
    /// How many of them were resumed exactly where they were.
    pub resumed: u64,
}

impl Cuts {
    /// Adds those of other clients.
    pub fn add(&mut self, other: Self) {
        self.cut += other.cut;
        self.resumed += other.resumed;
    }
}

/// Samples that are counted because they could not be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Unrecorded {
    /// Ended before they began.
    pub negative: u64,
    /// Beyond what a histogram can hold.
    pub out_of_range: u64,
}
