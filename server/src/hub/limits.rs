//! What the hub allows, each limit with its unit.

use std::time::Duration;

use super::{Coalesce, charge};
use crate::wire::Rules;

/// The hub's limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most clients at once, over all threads; `None` is any number.
    pub clients_max: Option<u32>,
    /// Most clients at once from one IPv4 address or IPv6 /64 network; `None` is any number.
    pub clients_per_address_max: Option<u32>,
    /// Whether nobody may take the name of someone who is there.
    pub unique_names: bool,
    /// Most messages a second that are taken from one client; more are left to wait in its kernel.
    /// Not 0; `None` is any number.
    pub messages_per_second_max: Option<u32>,
    /// Most bytes of messages a second, with their headers, that are taken from one client. Not 0;
    /// `None` is any number.
    pub bytes_per_second_max: Option<u32>,
    /// How far authors may be ahead of most subscribers, in bytes as the log charges them; then they
    /// wait. One message may be longer. A quarter of `lag_bytes_max`, or half of the
    /// log, where that is less.
    pub lead_bytes_max: u64,
    /// Most bytes a subscriber may be behind, as the log charges them, whether it reads or not; of a
    /// newcomer its history does not count. `None` is any number; else it is at least what four of the
    /// longest messages take.
    pub lag_bytes_max: Option<u64>,
    /// How long a message may wait for a subscriber that has once caught up; [`Self::FOREVER`] is any
    /// time.
    pub lag_max: Duration,
    /// What becomes of a subscriber that is further behind.
    pub slow_policy: SlowPolicy,
    /// How many of the last messages are kept for those who resume, as far as half of the log holds them;
    /// newcomers are sent them first.
    pub history_messages: u32,
    /// Whether joins and leaves are told to all who have joined. Then newcomers are sent no history, which
    /// would tell them of joins and leaves that are long past.
    pub announce_presence: bool,
    /// Longest name.
    pub name_bytes_max: usize,
    /// Longest message.
    pub message_bytes_max: usize,
    /// Most that one send carries, unless a single message is longer.
    pub batch_bytes_max: usize,
    /// Least time between two sends of messages to the same receiver. What gathers in it goes out as
    /// one.
    pub coalesce: Coalesce,
    /// Most bytes kept of what came and was not taken yet, over all connections of all threads.
    pub input_bytes_max: usize,
    /// How long a new connection has to give its name; [`Self::FOREVER`] is no limit, here and below.
    pub handshake_timeout: Duration,
    /// How long a frame may take from its first byte to its last.
    pub frame_timeout: Duration,
    /// How long a receiver may take no byte of what it is sent.
    pub write_deadline: Duration,
    /// How long a connection that is being ended may take to read its notice and hang up.
    pub linger: Duration,
    /// Whether messages may be any bytes instead of UTF-8.
    pub binary: bool,
    /// What becomes of control characters in messages that are text.
    pub control_characters: ControlCharacters,
    /// How long a subscriber over WebSocket or of events may be sent nothing before it is sent a ping;
    /// [`Self::FOREVER`] is never.
    pub websocket_ping: Duration,
    /// Whether browsers that ask for `/` are given the chat page.
    pub page: bool,
    /// Origins whose pages may connect, beside those of the server's own host, as
    /// `https://chat.example`; `*` is any.
    pub origins: Vec<String>,
}

/// What becomes of control characters in a message: C0 but tab and newline, DEL, and C1. Terminals act on
/// them, those of clients that print what they get among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ControlCharacters {
    /// Relay U+FFFD, the replacement character, for each
    Replace,
    /// Close the client that sends one, and tell it why
    Refuse,
    /// Relay them as they are
    Pass,
}

/// What becomes of a subscriber that is too far behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SlowPolicy {
    /// Tell it why, and close it
    Disconnect,
    /// Skip what it was owed, tell it how much, and go on with the next message
    Skip,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            clients_max: None,
            clients_per_address_max: None,
            unique_names: false,
            messages_per_second_max: Some(5000),
            bytes_per_second_max: Some(32 << 20),
            lead_bytes_max: 128 * 1024,
            lag_bytes_max: Some(32 << 20),
            lag_max: Duration::from_secs(10),
            slow_policy: SlowPolicy::Disconnect,
            history_messages: 0,
            announce_presence: false,
            name_bytes_max: 64,
            message_bytes_max: 64 * 1024,
            batch_bytes_max: 64 * 1024,
            coalesce: Coalesce::Auto,
            input_bytes_max: 32 << 20,
            handshake_timeout: Duration::from_secs(10),
            frame_timeout: Duration::from_secs(30),
            write_deadline: Duration::from_secs(30),
            linger: Duration::from_secs(2),
            binary: false,
            control_characters: ControlCharacters::Replace,
            websocket_ping: Duration::from_secs(25),
            page: true,
            origins: Vec::new(),
        }
    }
}

impl Limits {
    /// As good as no limit on a time, and far from what a clock cannot hold.
    pub const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

    /// The least bound of a log that works under these limits: one message of the largest size; four times
    /// as much if half of it may be history, and a quarter what other wires are sent of that.
    #[must_use]
    pub fn log_bytes_min(&self) -> usize {
        let parts = if self.history_messages > 0 { 4 } else { 1 };
        parts * charge(self.frame_bytes_max())
    }

    /// How far authors may be ahead, in a log of `log_bytes_max`: well below what a subscriber may be
    /// behind, and what the log holds, so that a flood alone sends nobody away.
    pub(super) fn lead_bytes_max(&self, log_bytes_max: usize) -> u64 {
        let quarter = self.lag_bytes_max().map_or(u64::MAX, |most| most / 4);
        let half = log_bytes_max as u64 / 2;
        self.lead_bytes_max.min(quarter).min(half)
    }

    /// How far behind a subscriber may be.
    pub(super) fn lag_bytes_max(&self) -> Option<u64> {
        let least = 4 * charge(self.frame_bytes_max()) as u64;
        self.lag_bytes_max.map(|most| most.max(least))
    }

    /// How long a message may wait for a subscriber, with the time for which we leave it alone.
    pub(super) fn lag_max(&self) -> Duration {
        match self.coalesce {
            // What a full batch left over waits for a second pause.
            Coalesce::Fixed(pause) => self.lag_max + 2 * pause,
            Coalesce::Auto => self.lag_max,
        }
    }

    /// What of them is for the wires to keep.
    pub(super) fn rules(&self) -> Rules {
        Rules {
            name_bytes_max: self.name_bytes_max,
            message_bytes_max: self.message_bytes_max,
            has_page: self.page,
            origins: self.origins.clone(),
        }
    }

    /// The longest broadcast frame that these limits allow, in bytes.
    #[must_use]
    pub fn frame_bytes_max(&self) -> usize {
        2 * protocol::HEADER_BYTES + self.name_bytes_max + self.message_bytes_max
    }
}
