//! uringcast's own protocol: frames, whose first from a client is its name, and which come from the
//! server in pairs, a name and a message (see the crate `protocol`).
//!
//! Nothing confirms a name, so a client counts as named once the kernel has it, and the barrier's
//! probes find out the rest. Hot: once per delivery; whole frames are read where they lie.

use protocol::{DecodeError, Decoder, frame};

use super::codec::{Codec, Hello, PAYLOAD_BYTES_MAX, Publish, Undecodable};
use super::identity::{Arrival, Identity};
use super::names::Speaker;

/// What one client hears of the others.
#[derive(Debug)]
pub(crate) struct Uringcast {
    decoder: Decoder,
    /// Whose name has come and whose message has not.
    speaker: Option<Speaker>,
    /// Length of a payload that was too long to be read and is to be stepped over.
    refused_bytes: Option<u64>,
}

impl Uringcast {
    /// At the beginning of a stream.
    pub(crate) const fn new() -> Self {
        Self {
            decoder: Decoder::new(PAYLOAD_BYTES_MAX),
            speaker: None,
            refused_bytes: None,
        }
    }
}

impl Codec for Uringcast {
    fn put_hello(out: &mut Vec<u8>, hello: &Hello<'_>) {
        frame::put(out, hello.name.as_bytes());
    }

    fn put_payload(out: &mut Vec<u8>, _identity: &Identity, said: &Publish<'_>) {
        frame::put(out, said.payload);
    }

    fn next<'d, 'i: 'd>(
        &'d mut self,
        input: &mut &'i [u8],
        identity: &Identity,
    ) -> Result<Option<Arrival<'d>>, Undecodable> {
        if let Some(payload_bytes) = self.refused_bytes.take() {
            self.decoder.skip(payload_bytes);
        }
        let speaker = match self.speaker {
            Some(speaker) => speaker,
            None => match self.decoder.next(input) {
                Ok(Some(name)) => identity.names.speaker(name),
                Ok(None) => return Ok(None),
                Err(DecodeError::Header(error)) => return Err(error.into()),
                Err(DecodeError::TooLong { payload_bytes, .. }) => {
                    self.decoder.skip(payload_bytes);
                    Speaker::Stranger
                }
            },
        };
        self.speaker = Some(speaker);
        let arrival = match self.decoder.next(input) {
            Ok(Some(message)) => identity.judge(speaker, message),
            Ok(None) => return Ok(None),
            Err(DecodeError::Header(error)) => return Err(error.into()),
            Err(DecodeError::TooLong { payload_bytes, .. }) => {
                self.refused_bytes = Some(payload_bytes);
                over_long(speaker)
            }
        };
        self.speaker = None;
        Ok(Some(arrival))
    }

    fn is_mid_message(&self) -> bool {
        self.speaker.is_some() || self.refused_bytes.is_some() || self.decoder.is_mid_frame()
    }
}

fn over_long(speaker: Speaker) -> Arrival<'static> {
    match speaker {
        Speaker::Client(_) | Speaker::Server => Arrival::Corrupt,
        Speaker::Stranger => Arrival::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use protocol::frame::broadcast;
    use record::Protocol;

    use super::*;
    use crate::wire::identity::tests::identity_of;
    use crate::wire::stamp::Stamp;

    fn identity() -> Identity {
        identity_of(Protocol::Uringcast)
    }

    fn stamp(number: u32) -> Stamp {
        Stamp {
            number,
            previous: None,
            intended_ns: 5,
            sent_ns: 6,
        }
    }

    fn message(number: u32, author: u32) -> Vec<u8> {
        let id = identity();
        let payload = id.stamper.message(&stamp(number), author, 64);
        broadcast(id.names.of(author).as_bytes(), &payload).to_vec()
    }

    /// All that `stream` holds, read in pieces that end at `cuts`.
    fn read(stream: &[u8], cuts: &[usize]) -> Vec<String> {
        let (identity, mut inbox, mut said) = (identity(), Uringcast::new(), Vec::new());
        let mut from = 0;
        for &to in cuts.iter().chain([&stream.len()]) {
            let mut input = &stream[from..to];
            while let Some(arrival) = inbox.next(&mut input, &identity).unwrap() {
                said.push(format!("{arrival:?}"));
            }
            assert!(input.is_empty());
            from = to;
        }
        assert!(!inbox.is_mid_message());
        said
    }

    fn conversation() -> Vec<u8> {
        let id = identity();
        let mut damaged_name = message(3, 1);
        damaged_name[12] ^= 1;
        [
            message(1, 4),
            broadcast(b"load-00002", &id.stamper.probe(9, 2)).to_vec(),
            broadcast(b"*server*", b"closing: too slow").to_vec(),
            broadcast(b"*server*", b"ann joined").to_vec(),
            broadcast(b"*server*", b"* 1 here:\nann").to_vec(),
            broadcast(b"ann", b"hello").to_vec(),
            broadcast(b"ann", b"").to_vec(),
            broadcast(b"load-00003", b"").to_vec(),
            damaged_name,
            message(2, 5),
        ]
        .concat()
    }

    #[test]
    fn each_kind_of_arrival_is_told_from_the_others() {
        let said = read(&conversation(), &[]);
        let message = |number| format!("{:?}", Arrival::Message(stamp(number)));
        assert_eq!(
            said,
            [
                message(1),
                format!("{:?}", Arrival::Probe { round: 9 }),
                format!("{:?}", Arrival::Notice(b"closing: too slow")),
                "Presence".into(),
                "Chatter".into(),
                "Foreign".into(),
                "Foreign".into(),
                "Corrupt".into(),
                "Corrupt".into(),
                message(2),
            ]
        );
    }

    proptest! {
        #[test]
        fn what_is_read_does_not_depend_on_how_the_stream_was_cut(
            cuts in proptest::collection::vec(0..conversation().len(), 0..12)
        ) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            prop_assert_eq!(read(&conversation(), &cuts), read(&conversation(), &[]));
        }
    }

    #[test]
    fn a_message_beyond_all_measure_is_stepped_over() {
        let long = PAYLOAD_BYTES_MAX + 1;
        let stream = [
            &frame::encode(b"ann")[..],
            &protocol::header::encode(long),
            &vec![b'x'; long],
            &message(7, 7),
        ]
        .concat();
        let said = read(&stream, &[30, 1_000]);
        assert_eq!(said[0], "Foreign");
        assert!(said[1].starts_with("Message"));
    }

    #[test]
    fn a_malformed_header_is_an_error() {
        let (identity, mut inbox) = (identity(), Uringcast::new());
        let mut input = &b"GET / HTTP"[..];
        assert!(inbox.next(&mut input, &identity).is_err());
    }
}
