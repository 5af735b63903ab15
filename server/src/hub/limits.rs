//! What the hub allows, each limit with its unit.

use std::time::Duration;

use super::Coalesce;

/// The hub's limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most clients at once, over all threads; `None` is any number.
    pub clients_max: Option<u32>,
    /// Most clients at once from one IPv4 address or IPv6 /64 network; `None` is any number.
    pub clients_per_address_max: Option<u32>,
    /// Whether nobody may take the name of someone who is there.
    pub unique_names: bool,
    /// Longest name.
    pub name_bytes_max: usize,
    /// Longest message.
    pub message_bytes_max: usize,
    /// Most that one send carries, unless a single message is longer.
    pub span_bytes_max: usize,
    /// Least time between two sends of messages to the same receiver. What gathers in it goes out as
    /// one.
    pub coalesce: Coalesce,
    /// How long a new connection has to give its name.
    pub handshake_timeout: Duration,
    /// How long a frame may take from its first byte to its last.
    pub frame_timeout: Duration,
    /// How long a receiver may take no byte of what it is sent.
    pub write_deadline: Duration,
    /// How long a connection that is being ended may take to read its notice and hang up.
    pub linger: Duration,
    /// Whether messages may be any bytes instead of UTF-8.
    pub binary: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            clients_max: None,
            clients_per_address_max: None,
            unique_names: false,
            name_bytes_max: 64,
            message_bytes_max: 64 * 1024,
            span_bytes_max: 64 * 1024,
            coalesce: Coalesce::Auto,
            handshake_timeout: Duration::from_secs(10),
            frame_timeout: Duration::from_secs(30),
            write_deadline: Duration::from_secs(30),
            linger: Duration::from_secs(2),
            binary: false,
        }
    }
}

impl Limits {
    /// The longest broadcast frame that these limits allow, in bytes.
    #[must_use]
    pub fn frame_bytes_max(&self) -> usize {
        2 * protocol::HEADER_BYTES + self.name_bytes_max + self.message_bytes_max
    }
}
