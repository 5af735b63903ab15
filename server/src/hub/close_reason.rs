//! Why a connection ends: what its peer is told, what the counters call it.

use std::fmt;
use std::time::Duration;

use protocol::{HeaderError, MessageError, NameError};
use thiserror::Error;

/// Why a connection ends, with the numbers that explain it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CloseReason {
    /// The peer closed its side between two frames.
    #[error("the peer left")]
    Left,
    /// The peer closed its side inside a frame.
    #[error("the peer left in the middle of a frame")]
    LeftMidFrame,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// Ten bytes that are not a header.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A message over the limit.
    #[error("message of {payload_bytes} bytes is over the limit of {payload_bytes_max}")]
    MessageTooLong {
        /// What the header announced.
        payload_bytes: u64,
        /// The limit.
        payload_bytes_max: usize,
    },
    /// A name that may not be taken.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A message that may not be relayed.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The peer takes next to nothing and holds up a full log.
    #[error("only {bytes} bytes were taken within {} while everyone waited", Seconds(*within))]
    TooSlow {
        /// How far it came, in bytes of messages.
        bytes: u64,
        /// The time it had.
        within: Duration,
    },
    /// The peer does not take what it is sent, and is owed too much.
    #[error("{backlog_bytes} bytes behind, over the limit of {backlog_bytes_max}")]
    TooFarBehind {
        /// What it is owed, in bytes of messages.
        backlog_bytes: u64,
        /// The limit.
        backlog_bytes_max: u64,
    },
    /// As many clients as the server takes are there.
    #[error("server is full ({clients_max} clients); try again later")]
    Full {
        /// The limit.
        clients_max: u32,
    },
    /// As many clients as the server takes from one address are there.
    #[error("too many clients from your address (limit {clients_max}); close one first")]
    AddressFull {
        /// The limit.
        clients_max: u32,
    },
    /// The process can open no descriptor for it.
    #[error("server has no descriptor left; try again later")]
    NoDescriptor,
    /// Names are unique, and somebody has this one.
    #[error("name is taken; choose another")]
    NameTaken,
    /// No name came.
    #[error("no name came within {}", Seconds(*within))]
    NoName {
        /// The time a peer has to name itself.
        within: Duration,
    },
    /// A frame was begun and not ended.
    #[error("a frame was not finished within {}", Seconds(*within))]
    UnfinishedFrame {
        /// The time a frame may take.
        within: Duration,
    },
    /// The peer does not take what it is sent.
    #[error("no byte was taken within {}", Seconds(*within))]
    Stalled {
        /// The time a send may make no progress.
        within: Duration,
    },
    /// The server ends.
    #[error("server is shutting down")]
    Shutdown,
}

/// The kinds of [`CloseReason`], as counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The peer left of its own accord.
    Left,
    /// The connection broke.
    Broken,
    /// The peer sent what the protocol does not allow.
    Malformed,
    /// A limit on size.
    TooLong,
    /// The peer took too long to say something.
    Timeout,
    /// The peer did not take what it was sent.
    Stalled,
    /// The peer took next to nothing while others waited for it.
    TooSlow,
    /// The peer was too far behind.
    TooFarBehind,
    /// Not a why: deliveries that a subscriber missed which was too slow and stayed.
    Skipped,
    /// The server has as many clients as it takes.
    Full,
    /// The server has as many clients from one address as it takes.
    AddressFull,
    /// The process can open no more descriptors.
    NoDescriptor,
    /// The name was not free.
    NameTaken,
    /// The server ends.
    Shutdown,
}

impl Reason {
    /// All reasons, in the order of their index in counters.
    pub const ALL: [Self; 14] = [
        Self::Left,
        Self::Broken,
        Self::Malformed,
        Self::TooLong,
        Self::Timeout,
        Self::Stalled,
        Self::TooSlow,
        Self::TooFarBehind,
        Self::Skipped,
        Self::Full,
        Self::AddressFull,
        Self::NoDescriptor,
        Self::NameTaken,
        Self::Shutdown,
    ];

    /// The name in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Broken => "broken",
            Self::Malformed => "malformed",
            Self::TooLong => "too_long",
            Self::Timeout => "timeout",
            Self::Stalled => "stalled",
            Self::TooSlow => "too_slow",
            Self::TooFarBehind => "too_far_behind",
            Self::Skipped => "skipped",
            Self::Full => "full",
            Self::AddressFull => "address_full",
            Self::NoDescriptor => "no_descriptor",
            Self::NameTaken => "name_taken",
            Self::Shutdown => "shutdown",
        }
    }
}

impl CloseReason {
    /// The kind, for counters.
    #[must_use]
    pub const fn kind(&self) -> Reason {
        match self {
            Self::Left => Reason::Left,
            Self::LeftMidFrame | Self::Broken(_) => Reason::Broken,
            Self::Header(_) | Self::Message(_) => Reason::Malformed,
            Self::Name(NameError::TooLong { .. }) | Self::MessageTooLong { .. } => Reason::TooLong,
            Self::Name(_) => Reason::Malformed,
            Self::NoName { .. } | Self::UnfinishedFrame { .. } => Reason::Timeout,
            Self::Stalled { .. } => Reason::Stalled,
            Self::TooSlow { .. } => Reason::TooSlow,
            Self::TooFarBehind { .. } => Reason::TooFarBehind,
            Self::Full { .. } => Reason::Full,
            Self::AddressFull { .. } => Reason::AddressFull,
            Self::NoDescriptor => Reason::NoDescriptor,
            Self::NameTaken => Reason::NameTaken,
            Self::Shutdown => Reason::Shutdown,
        }
    }

    /// What the peer is told, in the protocol itself.
    #[must_use]
    pub fn notice(&self) -> bytes::Bytes {
        let text = format!("closing: {self}");
        protocol::frame::broadcast(protocol::SERVER_NAME.as_bytes(), text.as_bytes())
    }
}

impl From<protocol::DecodeError> for CloseReason {
    fn from(error: protocol::DecodeError) -> Self {
        match error {
            protocol::DecodeError::Header(error) => Self::Header(error),
            protocol::DecodeError::TooLong {
                payload_bytes,
                payload_bytes_max,
            } => Self::MessageTooLong {
                payload_bytes,
                payload_bytes_max,
            },
        }
    }
}

/// A duration as people say it: `10 s`, `0.25 s`.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notice_is_a_message_of_the_server() {
        let why = CloseReason::MessageTooLong {
            payload_bytes: 70_000,
            payload_bytes_max: 65_536,
        };
        assert_eq!(
            &why.notice()[..],
            b"8         *server*58        closing: message of 70000 bytes is over the limit of 65536"
        );
        let why = CloseReason::NoName {
            within: Duration::from_millis(250),
        };
        assert_eq!(why.to_string(), "no name came within 0.25 s");
    }

    #[test]
    fn reasons_are_indexed_in_their_order() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }
}
