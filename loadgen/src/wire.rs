//! The wire: the protocols that can be spoken, a file each, behind one trait.
//!
//! Besides uringcast's own there are those of three brokers, so that any of them can be measured by
//! the same schedule, ledger and verdict. With a broker, clients subscribe and publishers of their
//! own send: a Redis connection that subscribes cannot publish, an MQTT 3.1.1 subscriber would be
//! sent its own messages, and for NATS, which could do both, the load is to be the same.
//!
//! What the brokers' protocols share, a stream of packets, is in `packets`. A protocol is bytes only:
//! it knows no socket and no clock, and is chosen once per read.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use protocol::HeaderError;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::inbox::{Arrival, Identity};

mod mqtt;
mod nats;
mod packets;
mod redis;
mod uringcast;

pub(crate) use uringcast::Uringcast;

/// A client of a broker, by what is spoken with it.
pub(crate) type Redis = packets::Packets<redis::Redis>;
pub(crate) type Nats = packets::Packets<nats::Nats>;
pub(crate) type Mqtt = packets::Packets<mqtt::Mqtt>;

/// The longest message that is read.
const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The longest topic.
const TOPIC_BYTES_MAX: usize = 200;

/// What the server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    /// uringcast's frames; every client sends and receives.
    #[default]
    Uringcast,
    /// Redis pub/sub, RESP2.
    Redis,
    /// The client protocol of NATS.
    Nats,
    /// MQTT 3.1.1, QoS 0.
    Mqtt,
}

/// What a client says of itself when it joins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hello<'a> {
    pub(crate) name: &'a str,
    /// Tells it from the clients of other runs at the same server.
    pub(crate) run: u32,
    /// What it is to receive; `None` for one that only sends.
    pub(crate) topic: Option<&'a str>,
}

/// One protocol: what a client writes, and the state of what it reads.
pub(crate) trait Wire {
    /// Whether a message comes under its author's name.
    const NAMES_AUTHORS: bool;

    /// The answer to [`Arrival::Ping`].
    const PONG: &'static [u8];

    /// Appends what a client says first. A broker answers it with something that is
    /// [`Arrival::Joined`].
    fn put_hello(out: &mut Vec<u8>, hello: &Hello<'_>);

    /// Appends a message.
    fn put_payload(out: &mut Vec<u8>, topic: &str, payload: &[u8]);

    /// The next arrival in `input`, or `None` when that is used up. Hot: once per delivery.
    ///
    /// # Errors
    /// What breaks the protocol, so that nothing after it can be read.
    fn next<'d, 'i: 'd>(
        &'d mut self,
        input: &mut &'i [u8],
        identity: &Identity,
    ) -> Result<Option<Arrival<'d>>, Undecodable>;

    /// Whether the stream stands inside a message.
    fn is_mid_message(&self) -> bool;
}

/// Why a stream cannot be read on.
#[derive(Debug, Error)]
pub(crate) enum Undecodable {
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error("what came is not {protocol}: {what}")]
    Malformed {
        protocol: Protocol,
        what: &'static str,
    },
    #[error("a message of {bytes} bytes came, over the limit of {PAYLOAD_BYTES_MAX}")]
    TooLong { bytes: usize },
}

/// What clients subscribe to: fit for every broker, and no pattern for any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Topic(String);

impl Protocol {
    /// Whether a broker is spoken to: clients only receive, publishers of their own send, and who
    /// joins is told so.
    pub(crate) const fn is_broker(self) -> bool {
        !matches!(self, Self::Uringcast)
    }

    /// Where to look for the reason of a disconnect that came without one; `None` where the server
    /// always gives one.
    pub(crate) const fn where_to_look(self) -> Option<&'static str> {
        match self {
            Self::Uringcast => None,
            Self::Redis => Some(
                "Redis gives no reason on the connection: see its log, and client-output-buffer-limit pubsub",
            ),
            Self::Nats => Some(
                "NATS gives slow consumers no reason on the connection: see its log, and max_pending and write_deadline",
            ),
            Self::Mqtt => Some("MQTT 3.1.1 has no reason to give: see the broker's log"),
        }
    }
}

impl FromStr for Topic {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:/".contains(&byte);
        // NATS takes what stands between two dots for a token, which must not be empty.
        let has_tokens = text.split('.').all(|token| !token.is_empty());
        if text.len() <= TOPIC_BYTES_MAX && has_tokens && text.bytes().all(is_fit) {
            return Ok(Self(text.into()));
        }
        Err(format!(
            "give 1 to {TOPIC_BYTES_MAX} letters, digits and . _ - : / with no dot at an end or beside another"
        ))
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Uringcast => "uringcast",
            Self::Redis => "redis",
            Self::Nats => "nats",
            Self::Mqtt => "mqtt",
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::inbox::Inbox;
    use crate::inbox::tests::identity_of;
    use crate::outbox::{Item, Outgoing};
    use crate::recent::Recent;

    /// All that `stream` holds, read in pieces that end at `cuts`.
    pub(crate) fn read(identity: &Identity, stream: &[u8], cuts: &[usize]) -> Vec<String> {
        let (mut inbox, mut said) = (Inbox::new(identity.protocol), Vec::new());
        let mut from = 0;
        for &to in cuts.iter().chain([&stream.len()]) {
            let book = |arrival: &Arrival<'_>| said.push(format!("{arrival:?}"));
            let (bytes, recent) = (&stream[from..to], &mut Recent::none());
            inbox.take(bytes, identity, recent, book).unwrap();
            from = to;
        }
        assert!(!inbox.is_mid_message());
        said
    }

    /// The payload of message `number`, as its publisher would have stamped it.
    pub(crate) fn stamped(protocol: Protocol, number: u32) -> Vec<u8> {
        let message = Outgoing {
            number,
            previous: None,
            intended_ns: 5,
            payload_bytes: 64,
        };
        let frame = identity_of(protocol).frame_of(Item::Message(message), 11, 6);
        let tail_bytes = if protocol == Protocol::Mqtt { 0 } else { 2 };
        let payload_end = frame.len() - tail_bytes;
        frame[payload_end - 64..payload_end].to_vec()
    }

    /// Why `stream` cannot be read.
    pub(crate) fn fault(identity: &Identity, stream: &[u8]) -> String {
        let mut inbox = Inbox::new(identity.protocol);
        let taken = inbox.take(stream, identity, &mut Recent::none(), |_| ());
        taken.unwrap_err().to_string()
    }

    #[test]
    fn a_topic_is_a_pattern_for_no_broker() {
        for fit in ["uringcast.loadgen", "a", "a/b:c-d_e"] {
            assert_eq!(fit.parse::<Topic>().unwrap().to_string(), fit);
        }
        let long = "a".repeat(TOPIC_BYTES_MAX + 1);
        for unfit in [
            "", "a b", "a*", "a.>", "a/#", "a/+", ".a", "a.", "a..b", "a\r\n", &long,
        ] {
            assert!(unfit.parse::<Topic>().is_err(), "{unfit:?}");
        }
    }
}
