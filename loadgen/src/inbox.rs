//! The inbox: what one client's byte stream turns out to hold.
//!
//! It decodes what the server sends, in whichever protocol and however the stream was cut, and tells
//! the run's own messages from probes, the server's notices and strangers' talk. It knows no socket
//! and no clock. The protocol is looked at once per read, never per delivery.

use crate::names::{Names, Speaker};
use crate::outbox::Item;
use crate::plan::Plan;
use crate::recent::Recent;
use crate::stamp::{Reading, STAMP_BYTES, Stamp, Stamper};
use crate::wire::{Hello, Mqtt, Nats, Protocol, Redis, Undecodable, Uringcast, Wire};

/// Whom a payload is stamped by where the protocol names no author.
const NAMELESS: u32 = u32::MAX;

/// What most protocols put before a payload fits in this; a longer head costs an allocation more.
const HEAD_BYTES_USUAL: usize = 64;

/// Decodes what one client receives.
#[derive(Debug)]
pub(crate) enum Inbox {
    Uringcast(Uringcast),
    Redis(Redis),
    Nats(Nats),
    Mqtt(Mqtt),
}

/// What a run needs to make itself known, and to know its own messages again.
#[derive(Debug)]
pub(crate) struct Identity {
    /// Names of the clients.
    pub(crate) names: Names,
    /// Writer and reader of payloads.
    pub(crate) stamper: Stamper,
    pub(crate) protocol: Protocol,
    /// What everybody subscribes to, where the protocol has such a thing.
    pub(crate) topic: String,
    /// Tells this run from others.
    pub(crate) run: u32,
    /// Clients from this number on send and do not receive.
    pub(crate) receivers: u32,
}

/// One thing that came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival<'a> {
    /// A message of this run, unchanged.
    Message(Stamp),
    /// A probe of this run's barrier.
    Probe { round: u32 },
    /// The server confirms that this client has joined.
    Joined,
    /// The server asks whether this client is alive.
    Ping,
    /// What the server itself says.
    Notice(&'a [u8]),
    /// Somebody else's message.
    Foreign,
    /// Something of this run that is not as it was sent.
    Corrupt,
    /// Part of the protocol, and nothing to be booked.
    Chatter,
}

impl Inbox {
    /// An inbox at the beginning of a stream.
    pub(crate) const fn new(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Uringcast => Self::Uringcast(Uringcast::new()),
            Protocol::Redis => Self::Redis(Redis::new()),
            Protocol::Nats => Self::Nats(Nats::new()),
            Protocol::Mqtt => Self::Mqtt(Mqtt::new()),
        }
    }

    /// Tells `book` of all that `bytes` complete; messages of which `recent` knows are not decoded
    /// once more. Hot: once per read.
    ///
    /// # Errors
    /// What breaks the protocol: the bounds of messages are lost, and nothing after it can be read.
    pub(crate) fn take(
        &mut self,
        bytes: &[u8],
        identity: &Identity,
        recent: &mut Recent,
        book: impl FnMut(&Arrival<'_>),
    ) -> Result<(), Undecodable> {
        match self {
            Self::Uringcast(wire) => take(wire, bytes, identity, recent, book),
            Self::Redis(wire) => take(wire, bytes, identity, recent, book),
            Self::Nats(wire) => take(wire, bytes, identity, recent, book),
            Self::Mqtt(wire) => take(wire, bytes, identity, recent, book),
        }
    }

    /// Whether the stream stands inside a message: an end here is a torn message.
    pub(crate) fn is_mid_message(&self) -> bool {
        match self {
            Self::Uringcast(wire) => wire.is_mid_message(),
            Self::Redis(wire) => wire.is_mid_message(),
            Self::Nats(wire) => wire.is_mid_message(),
            Self::Mqtt(wire) => wire.is_mid_message(),
        }
    }
}

/// Hot: once per delivery.
fn take<W: Wire>(
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

impl Identity {
    /// Of the run that `run` tells from others.
    pub(crate) fn new(plan: &Plan, run: u32) -> Self {
        Self {
            names: Names::new(plan.clients),
            stamper: Stamper::new(run, plan.sizes.max),
            protocol: plan.protocol,
            topic: plan.topic.to_string(),
            run,
            receivers: plan.clients,
        }
    }

    /// Of clients that only look on, and know nobody's messages for their own.
    pub(crate) fn of_bystanders(plan: &Plan, run: u32) -> Self {
        Self {
            names: Names::new(1),
            stamper: Stamper::new(run, STAMP_BYTES),
            ..Self::new(plan, run)
        }
    }

    /// What `item` is on the wire when `client` begins to send it at `now_ns`.
    pub(crate) fn frame_of(&self, item: Item, client: u32, now_ns: u64) -> Vec<u8> {
        match self.protocol {
            Protocol::Uringcast => self.frame::<Uringcast>(item, client, now_ns),
            Protocol::Redis => self.frame::<Redis>(item, client, now_ns),
            Protocol::Nats => self.frame::<Nats>(item, client, now_ns),
            Protocol::Mqtt => self.frame::<Mqtt>(item, client, now_ns),
        }
    }

    /// What a client that receives says first, under `name`.
    pub(crate) fn hello(&self, name: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let hello = Hello {
            name,
            run: self.run,
            topic: Some(&self.topic),
        };
        match self.protocol {
            Protocol::Uringcast => Uringcast::put_hello(&mut out, &hello),
            Protocol::Redis => Redis::put_hello(&mut out, &hello),
            Protocol::Nats => Nats::put_hello(&mut out, &hello),
            Protocol::Mqtt => Mqtt::put_hello(&mut out, &hello),
        }
        out
    }

    fn frame<W: Wire>(&self, item: Item, client: u32, now_ns: u64) -> Vec<u8> {
        let author = if W::NAMES_AUTHORS { client } else { NAMELESS };
        let payload = match item {
            Item::Name => return self.opening::<W>(client),
            Item::Pong => return W::PONG.to_vec(),
            // Its frame was made before it became one.
            Item::Leftover => return Vec::new(),
            Item::Probe { round } => self.stamper.probe(round, author),
            Item::Message(message) => {
                let stamp = Stamp {
                    number: message.number,
                    previous: message.previous,
                    intended_ns: message.intended_ns,
                    sent_ns: now_ns,
                };
                self.stamper.message(&stamp, author, message.payload_bytes)
            }
        };
        let mut out = Vec::with_capacity(HEAD_BYTES_USUAL + payload.len());
        W::put_payload(&mut out, &self.topic, &payload);
        out
    }

    fn opening<W: Wire>(&self, client: u32) -> Vec<u8> {
        let mut out = Vec::new();
        let hello = Hello {
            name: &self.names.of(client),
            run: self.run,
            topic: (client < self.receivers).then_some(&self.topic),
        };
        W::put_hello(&mut out, &hello);
        out
    }

    /// What a message under a name is. Hot: once per delivery.
    pub(crate) fn judge<'a>(&self, speaker: Speaker, message: &'a [u8]) -> Arrival<'a> {
        match speaker {
            Speaker::Client(author) => match self.stamper.read(message, author) {
                Reading::Message(stamp) => Arrival::Message(stamp),
                Reading::Probe { round } => Arrival::Probe { round },
                Reading::OtherRun => Arrival::Foreign,
                Reading::Corrupt => Arrival::Corrupt,
            },
            Speaker::Server => Arrival::Notice(message),
            // Under a damaged name, a message of this run looks like a stranger's.
            Speaker::Stranger if self.stamper.claims_this_run(message) => Arrival::Corrupt,
            Speaker::Stranger => Arrival::Foreign,
        }
    }

    /// What a message without a name is. Hot: once per delivery.
    pub(crate) fn judge_nameless(&self, message: &[u8]) -> Arrival<'static> {
        match self.stamper.read(message, NAMELESS) {
            Reading::Message(stamp) => Arrival::Message(stamp),
            Reading::Probe { round } => Arrival::Probe { round },
            Reading::OtherRun => Arrival::Foreign,
            Reading::Corrupt if self.stamper.claims_this_run(message) => Arrival::Corrupt,
            Reading::Corrupt => Arrival::Foreign,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outbox::Outgoing;

    /// An identity of ten clients.
    pub(crate) fn identity_of(protocol: Protocol) -> Identity {
        Identity {
            names: Names::new(10),
            stamper: Stamper::new(99, 100),
            protocol,
            topic: "a.topic".into(),
            run: 99,
            receivers: 10,
        }
    }

    /// The message `number` of client 3, as it is relayed, with `change` made to one of its bytes.
    fn relayed(number: u32, change: Option<(prop::sample::Index, u8)>) -> Vec<u8> {
        let message = Outgoing {
            number,
            previous: number.checked_sub(1),
            intended_ns: 5,
            payload_bytes: 64,
        };
        let identity = identity_of(Protocol::Uringcast);
        let mut frame = protocol::frame::encode(b"load-00003").to_vec();
        frame.extend(identity.frame_of(Item::Message(message), 3, 6));
        if let Some((at, bits)) = change {
            let at = at.index(frame.len());
            frame[at] ^= bits;
        }
        frame
    }

    proptest! {
        /// Whatever comes twice, damaged or not and cut anywhere: recognizing messages that were read
        /// before changes nothing in what is booked.
        #[test]
        fn what_is_known_again_is_what_it_would_be_if_it_were_read(
            messages in proptest::collection::vec(
                (0_u32..6, proptest::option::weighted(0.1, (any::<prop::sample::Index>(), 1_u8..))),
                1..40,
            ),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
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
                    if let Err(error) = inbox.take(bytes, &identity, &mut recent, book) {
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
