//! What every protocol has in common: the trait behind which each is, what a client says of itself, and
//! why a stream cannot be read on.
//!
//! A protocol is bytes only: it knows no socket and no clock, and is chosen once per read.

use std::fmt;
use std::str::FromStr;

use protocol::{HeaderError, Position};
use record::Protocol;
use thiserror::Error;

use super::identity::{Arrival, Identity};

/// The longest message that is read.
pub(super) const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The longest topic.
const TOPIC_BYTES_MAX: usize = 200;

/// What a client says of itself when it joins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hello<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) name: &'a str,
    /// Whether it is to receive; if not, it only sends.
    pub(crate) receives: bool,
    /// The last position that it has, if it comes back.
    pub(crate) after: Option<Position>,
}

/// What a client says to the others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Publish<'a> {
    pub(crate) client: u32,
    pub(crate) payload: &'a [u8],
    /// By which the server is to confirm it, if it is to.
    pub(crate) id: Option<u32>,
}

/// One protocol: what a client writes, and the state of what it reads.
pub(crate) trait Codec {
    /// Appends what a client says first. A server that confirms it answers with something that is
    /// [`Arrival::Joined`].
    fn put_hello(out: &mut Vec<u8>, hello: &Hello<'_>);

    /// Appends a message.
    fn put_payload(out: &mut Vec<u8>, identity: &Identity, said: &Publish<'_>);

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

impl Default for Topic {
    fn default() -> Self {
        Self("uringcast.loadgen".to_owned())
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

/// Where to look for the reason of a disconnect that came without one; `None` where the server always
/// gives one.
pub(crate) const fn where_to_look(protocol: Protocol) -> Option<&'static str> {
    match protocol {
        Protocol::Uringcast | Protocol::WebSocket | Protocol::Events => None,
        Protocol::Redis => Some(
            "Redis gives no reason on the connection: see its log, and client-output-buffer-limit pubsub",
        ),
        Protocol::Nats => Some(
            "NATS gives slow consumers no reason on the connection: see its log, and max_pending and write_deadline",
        ),
        Protocol::Mqtt => Some("MQTT 3.1.1 has no reason to give: see the broker's log"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
