//! The server's own view of a run, from its metrics, beside what the clients counted.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::figures::grouped;

/// What the server says of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerView {
    /// Where its metrics were read.
    pub url: String,
    /// Which driver runs there.
    pub driver: Option<String>,
    /// Whether the server counted what the clients counted, wherever the two can be compared.
    pub agrees: bool,
    /// Messages that the clients sent, the probes that look for joined clients included.
    pub messages_sent: u64,
    /// Of these, those that the server accepted.
    pub messages_accepted: u64,
    /// Deliveries of these, as the clients received them.
    pub deliveries_received: u64,
    /// Deliveries of these, as the server made them to those clients; `None` where it cannot tell
    /// these from others.
    pub deliveries_to_clients: Option<u64>,
    /// Over all connections, hostile ones included.
    pub deliveries_owed: u64,
    /// Of these, those that were made.
    pub deliveries: u64,
    /// Of these, those still to be made.
    pub deliveries_pending: u64,
    /// Of these, those that were given up, by reason; reasons that did not occur are left out.
    pub deliveries_discarded: BTreeMap<String, u64>,
    /// Connections that the server closed, by reason.
    pub disconnects: BTreeMap<String, u64>,
    /// Sends that completed.
    pub sends: u64,
    /// Sends of which the kernel took a part only.
    pub short_sends: u64,
    /// Time to reach every receiver: upper bounds, of the measured time and the drain.
    pub fanout_ms: Quantiles,
    /// Time from the queue to the kernel: upper bounds, of the measured time and the drain.
    pub queue_to_wire_ms: Quantiles,
    /// The mean of the measured time.
    pub messages_per_send: Option<f64>,
    /// About a second apart.
    pub seconds: Vec<ServerSecond>,
}

/// The bounds below which parts of a histogram lie.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Quantiles {
    /// Half of it.
    pub p50: Option<f64>,
    /// 99 % of it.
    pub p99: Option<f64>,
}

/// What the server said once a second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerSecond {
    /// Since the beginning of the measured time.
    pub at_seconds: f64,
    /// Open connections.
    pub connections: u64,
    /// Messages accepted since the reading before.
    pub messages: u64,
    /// Deliveries made since the reading before.
    pub deliveries: u64,
    /// Deliveries given up since the reading before.
    pub discarded: u64,
    /// The longest backlog of a connection, at that time.
    pub backlog_bytes_max: u64,
    /// The length of the log, at that time.
    pub log_bytes: u64,
    /// Time to reach every receiver, since the reading before.
    pub fanout_p99_ms: Option<f64>,
}

impl ServerView {
    /// What server and clients counted, a line each.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "server counted {} messages, clients sent {}",
            grouped(self.messages_accepted),
            grouped(self.messages_sent)
        )];
        lines.push(match self.deliveries_to_clients {
            Some(deliveries) => format!(
                "server counted {} deliveries, clients received {}",
                grouped(deliveries),
                grouped(self.deliveries_received)
            ),
            None => format!(
                "server counted {} deliveries to all, clients received {}",
                grouped(self.deliveries),
                grouped(self.deliveries_received)
            ),
        });
        lines.push(format!(
            "server owed {} in all: {} delivered, {} given up{}, {} pending",
            grouped(self.deliveries_owed),
            grouped(self.deliveries),
            grouped(self.deliveries_discarded.values().sum()),
            Reasons(&self.deliveries_discarded),
            grouped(self.deliveries_pending)
        ));
        lines
    }
}

/// Counts by reason in brackets; nothing when there are none.
struct Reasons<'a>(&'a BTreeMap<String, u64>);

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        let reasons = self.0.iter();
        let reasons = reasons.map(|(reason, count)| format!("{reason} {}", grouped(*count)));
        write!(f, " ({})", reasons.collect::<Vec<_>>().join(", "))
    }
}
