//! The inbox: what one client's byte stream turns out to hold.
//!
//! It decodes what the server sends, in whichever protocol and however the stream was cut, and tells
//! the run's own messages from probes, the server's notices and strangers' talk. The protocol is
//! looked at once per read, never per delivery.

use protocol::Position;
use record::Protocol;

use super::codec::{Codec, Undecodable};
use super::events::Events;
use super::identity::{Arrival, Identity};
use super::mqtt::Mqtt;
use super::nats::Nats;
use super::packets::Packets;
use super::recent::Recent;
use super::redis::Redis;
use super::uringcast::Uringcast;
use super::websocket::WebSocket;

/// Decodes what one client receives.
#[derive(Debug)]
pub(crate) enum Inbox {
    Uringcast(Uringcast),
    WebSocket(WebSocket),
    Events(Events),
    Redis(Packets<Redis>),
    Nats(Packets<Nats>),
    Mqtt(Packets<Mqtt>),
}

impl Inbox {
    /// An inbox at the beginning of a stream.
    pub(crate) const fn new(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Uringcast => Self::Uringcast(Uringcast::new()),
            Protocol::WebSocket => Self::WebSocket(WebSocket::new(None)),
            Protocol::Events => Self::Events(Events::new()),
            Protocol::Redis => Self::Redis(Packets::new()),
            Protocol::Nats => Self::Nats(Packets::new()),
            Protocol::Mqtt => Self::Mqtt(Packets::new()),
        }
    }

    /// An inbox of a client that comes back, at the beginning of a stream.
    pub(crate) const fn behind(position: Position) -> Self {
        Self::WebSocket(WebSocket::new(Some(position)))
    }

    /// The last position that came, where the protocol has such a thing.
    pub(crate) const fn position(&self) -> Option<Position> {
        match self {
            Self::WebSocket(wire) => wire.position(),
            _ => None,
        }
    }

    /// Tells `book` of all that `bytes` complete; messages of which `recent` knows are not decoded
    /// once more. Hot: once per read.
    ///
    /// # Errors
    /// What breaks the protocol: the bounds of messages are lost, and nothing after it can be read.
    pub(crate) fn decode(
        &mut self,
        bytes: &[u8],
        identity: &Identity,
        recent: &mut Recent,
        book: impl FnMut(&Arrival<'_>),
    ) -> Result<(), Undecodable> {
        match self {
            Self::Uringcast(wire) => decode_with(wire, bytes, identity, recent, book),
            Self::WebSocket(wire) => decode_with(wire, bytes, identity, recent, book),
            Self::Events(wire) => decode_with(wire, bytes, identity, recent, book),
            Self::Redis(wire) => decode_with(wire, bytes, identity, recent, book),
            Self::Nats(wire) => decode_with(wire, bytes, identity, recent, book),
            Self::Mqtt(wire) => decode_with(wire, bytes, identity, recent, book),
        }
    }

    /// Whether the stream stands inside a message: an end here is a partial message.
    pub(crate) fn is_mid_message(&self) -> bool {
        match self {
            Self::Uringcast(wire) => wire.is_mid_message(),
            Self::WebSocket(wire) => wire.is_mid_message(),
            Self::Events(wire) => wire.is_mid_message(),
            Self::Redis(wire) => wire.is_mid_message(),
            Self::Nats(wire) => wire.is_mid_message(),
            Self::Mqtt(wire) => wire.is_mid_message(),
        }
    }
}

/// Hot: once per delivery.
fn decode_with<W: Codec>(
    wire: &mut W,
    bytes: &[u8],
    identity: &Identity,
    recent: &mut Recent,
    mut book: impl FnMut(&Arrival<'_>),
) -> Result<(), Undecodable> {
    let mut rest = bytes;
    loop {
        let is_between = !wire.is_mid_message();
        while is_between && let Some(stamp) = recent.recognize(&mut rest) {
            book(&Arrival::Message(stamp));
        }
        let before = rest;
        let Some(arrival) = wire.next(&mut rest, identity)? else {
            return Ok(());
        };
        if is_between && let Arrival::Message(stamp) = arrival {
            let read = &before[..before.len() - rest.len()];
            recent.remember(read, stamp, &identity.stamper);
        }
        book(&arrival);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::super::codec::Publish;
    use super::super::identity::tests::identity_of;
    use super::super::outbox::{Item, Outgoing, frame_of};
    use super::super::{events, mqtt, nats, redis, websocket};
    use super::*;

    /// All that `stream` holds, read in pieces that end at `cuts`.
    pub(in crate::wire) fn read(identity: &Identity, stream: &[u8], cuts: &[usize]) -> Vec<String> {
        let (mut inbox, mut said) = (Inbox::new(identity.protocol), Vec::new());
        let mut from = 0;
        for &to in cuts.iter().chain([&stream.len()]) {
            let book = |arrival: &Arrival<'_>| {
                said.push(match arrival {
                    // Its mask is another each time.
                    Arrival::Asked(answer) if identity.protocol == Protocol::WebSocket => {
                        format!("Asked for {} bytes", answer.len())
                    }
                    arrival => format!("{arrival:?}"),
                });
            };
            let (bytes, recent) = (&stream[from..to], &mut Recent::none());
            inbox.decode(bytes, identity, recent, book).unwrap();
            from = to;
        }
        assert!(!inbox.is_mid_message());
        said
    }

    /// A message of this payload.
    pub(in crate::wire) fn said(payload: &[u8]) -> Publish<'_> {
        Publish {
            client: 3,
            payload,
            id: None,
        }
    }

    /// The payload of message `number`, as its publisher would have stamped it.
    pub(in crate::wire) fn stamped(protocol: Protocol, number: u32) -> Vec<u8> {
        let message = Outgoing {
            number,
            previous: None,
            intended_ns: 5,
            payload_bytes: 64,
        };
        let frame = frame_of(&identity_of(protocol), &Item::Message(message), 11, 6);
        let tail_bytes = if protocol == Protocol::Mqtt { 0 } else { 2 };
        let payload_end = frame.len() - tail_bytes;
        frame[payload_end - 64..payload_end].to_vec()
    }

    /// Why `stream` cannot be read.
    pub(in crate::wire) fn fault(identity: &Identity, stream: &[u8]) -> String {
        let mut inbox = Inbox::new(identity.protocol);
        let taken = inbox.decode(stream, identity, &mut Recent::none(), |_| ());
        taken.unwrap_err().to_string()
    }

    /// The message `number` of client 3, as it is relayed, with `change` made to one of its bytes.
    fn relayed(number: u32, change: Option<(Index, u8)>) -> Vec<u8> {
        let message = Outgoing {
            number,
            previous: number.checked_sub(1),
            intended_ns: 5,
            payload_bytes: 64,
        };
        let identity = identity_of(Protocol::Uringcast);
        let mut frame = protocol::frame::encode(b"load-00003").to_vec();
        frame.extend(frame_of(&identity, &Item::Message(message), 3, 6));
        if let Some((at, bits)) = change {
            let at = at.index(frame.len());
            frame[at] ^= bits;
        }
        frame
    }

    /// Each protocol of packets, and a stream that holds whatever it has.
    fn conversations() -> [(Protocol, Vec<u8>); 5] {
        [
            (Protocol::WebSocket, websocket::tests::conversation()),
            (Protocol::Events, events::tests::conversation()),
            (Protocol::Mqtt, mqtt::tests::conversation()),
            (Protocol::Nats, nats::tests::conversation()),
            (Protocol::Redis, redis::tests::conversation()),
        ]
    }

    proptest! {
        #[test]
        fn what_is_read_does_not_depend_on_how_the_stream_was_cut(
            cuts in proptest::collection::vec(any::<Index>(), 0..40)
        ) {
            for (protocol, stream) in conversations() {
                let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
                cuts.sort_unstable();
                let identity = identity_of(protocol);
                prop_assert_eq!(read(&identity, &stream, &cuts), read(&identity, &stream, &[]));
            }
        }

        #[test]
        fn whatever_comes_nothing_panics(stream in proptest::collection::vec(any::<u8>(), 0..200)) {
            for (protocol, _) in conversations() {
                let (identity, recent) = (identity_of(protocol), &mut Recent::none());
                let _ = Inbox::new(protocol).decode(&stream, &identity, recent, |_| ());
            }
        }

        /// Whatever comes twice, damaged or not and cut anywhere: recognizing messages that were read
        /// before changes nothing in what is booked.
        #[test]
        fn what_is_known_again_is_what_it_would_be_if_it_were_read(
            messages in proptest::collection::vec(
                (0_u32..6, proptest::option::weighted(0.1, (any::<Index>(), 1_u8..))),
                1..40,
            ),
            cuts in proptest::collection::vec(any::<Index>(), 0..8),
        ) {
            let frames = messages.into_iter().map(|(number, change)| relayed(number, change));
            let stream = frames.collect::<Vec<_>>().concat();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let identity = identity_of(Protocol::Uringcast);
            let booked = |mut recent: Recent| {
                let (mut inbox, mut booked) = (Inbox::new(Protocol::Uringcast), Vec::new());
                for cut in cuts.windows(2) {
                    let book = |arrival: &Arrival<'_>| booked.push(format!("{arrival:?}"));
                    let bytes = &stream[cut[0]..cut[1]];
                    if let Err(error) = inbox.decode(bytes, &identity, &mut recent, book) {
                        booked.push(error.to_string());
                        break;
                    }
                }
                booked.push(inbox.is_mid_message().to_string());
                booked
            };
            prop_assert_eq!(booked(Recent::new()), booked(Recent::none()));
        }
    }
}
