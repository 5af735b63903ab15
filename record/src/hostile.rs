//! What became of the hostile clients, which are counted apart from those that measure.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::disconnects::Disconnects;
use crate::figures::grouped;

/// What a hostile client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostileKind {
    /// Reads at a steady, low rate.
    Slow,
    /// Joins and never reads.
    Stalled,
    /// Joins, stays for a moment, and leaves.
    Churn,
    /// Leaves with many others, and comes back with them.
    Herd,
    /// Never sends more than a part of its first header.
    HalfOpen,
    /// Sends malformed frames.
    Garbage,
    /// Sends messages as fast as the server reads them.
    Flooder,
    /// Joins as one of a steady stream, and never reads.
    DeafJoiner,
    /// Reads all that has come, and then nothing for a while.
    BurstReader,
    /// Sends a WebSocket frame without a mask.
    Unmasked,
    /// Begins a WebSocket message of a terabyte.
    Oversized,
    /// Sends fragments of one WebSocket message without an end.
    EndlessFragments,
    /// Sends WebSocket pings as fast as the server reads them, and reads no answer.
    PingFlood,
    /// Never sends more than half of its WebSocket handshake.
    HalfHandshake,
    /// Sends its WebSocket handshake in pieces, and then behaves.
    InPieces,
    /// Sends a head of 8 KiB, a byte a second.
    SlowHead,
    /// Hides a request in the body of another, whose end is a matter of opinion.
    Smuggling,
    /// Posts one message and has the connection closed.
    CloseEach,
}

/// What became of the hostile clients, by kind.
pub type HostileOutcomes = BTreeMap<HostileKind, HostileOutcome>;

/// What became of those of one kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HostileOutcome {
    /// Connections that were tried, those of clients that came back included.
    pub attempts: u64,
    /// Of these, those that came about.
    pub connected: u64,
    /// Connections that were open when the run ended.
    pub still_there: u64,
    /// Connections that the clients closed themselves.
    pub left: u64,
    /// Bytes that they read.
    pub received_bytes: u64,
    /// Messages that the kernel took from them whole.
    #[serde(default)]
    pub sent_messages: u64,
    /// Those that the server disconnected, and what it said.
    #[serde(rename = "departures")]
    pub disconnects: Disconnects,
    /// Of a herd: from its leaving until the last of it heard a message again. `None` if some never
    /// did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub herd_back_seconds: Option<f64>,
}

impl fmt::Display for HostileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Slow => "slow",
            Self::Stalled => "stalled",
            Self::Churn => "churning",
            Self::Herd => "herd",
            Self::HalfOpen => "half open",
            Self::Garbage => "garbage",
            Self::Flooder => "flooders",
            Self::DeafJoiner => "deaf joiners",
            Self::BurstReader => "burst readers",
            Self::Unmasked => "unmasked",
            Self::Oversized => "oversized",
            Self::EndlessFragments => "fragments",
            Self::PingFlood => "ping flood",
            Self::HalfHandshake => "half handshake",
            Self::InPieces => "in pieces",
            Self::SlowHead => "slow head",
            Self::Smuggling => "smuggling",
            Self::CloseEach => "close each",
        })
    }
}

impl fmt::Display for HostileOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} connected of {} attempts, {} still connected, {} left, {} disconnected",
            self.connected,
            self.attempts,
            self.still_there,
            self.left,
            self.disconnects.count()
        )?;
        if self.disconnects.count() > 0 {
            write!(f, " ({})", self.disconnects.in_words())?;
        }
        if self.sent_messages > 0 {
            write!(f, ", {} messages sent", grouped(self.sent_messages))?;
        }
        match self.herd_back_seconds {
            None => Ok(()),
            Some(seconds) => write!(f, ", all back after {seconds:.3} s"),
        }
    }
}
