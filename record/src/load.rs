//! The load that a run was to make: protocol, spacing and sizes of messages.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// uringcast's frames; every client sends and receives.
    #[default]
    Uringcast,
    /// WebSocket: uringcast's JSON, or texts of another server; every client sends and receives.
    #[cfg_attr(feature = "clap", value(name = "websocket"))]
    WebSocket,
    /// uringcast's event streams; publishers send with `POST /messages`.
    Events,
    /// Redis pub/sub, RESP2.
    Redis,
    /// The client protocol of NATS.
    Nats,
    /// MQTT 3.1.1, QoS 0.
    Mqtt,
}

/// How the messages are spaced in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Arrival {
    /// At equal intervals.
    Fixed,
    /// At random, independently of each other, as many in all as with equal intervals.
    Poisson,
}

/// Lengths of messages, in bytes, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// The shortest.
    pub min: usize,
    /// The longest.
    pub max: usize,
}

impl Protocol {
    /// Whether a broker is spoken to, which is none of uringcast's servers.
    #[must_use]
    pub const fn is_broker(self) -> bool {
        matches!(self, Self::Redis | Self::Nats | Self::Mqtt)
    }

    /// Whether clients only receive, and publishers send.
    #[must_use]
    pub const fn has_publishers(self) -> bool {
        self.is_broker() || matches!(self, Self::Events)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Uringcast => "uringcast",
            Self::WebSocket => "websocket",
            Self::Events => "events",
            Self::Redis => "redis",
            Self::Nats => "nats",
            Self::Mqtt => "mqtt",
        })
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max {
            write!(f, "{}", self.min)
        } else {
            write!(f, "{}..{}", self.min, self.max)
        }
    }
}
