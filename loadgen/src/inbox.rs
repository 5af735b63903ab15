//! The inbox: what one client's byte stream turns out to hold.
//!
//! Frames come in pairs, a name and a message. The inbox decodes them, however the stream was cut,
//! and tells the run's own messages from probes, the server's notices and strangers' talk. It knows
//! no socket and no clock. Hot: once per delivery; whole frames are read where they lie.

use protocol::{DecodeError, Decoder, HeaderError};

use crate::names::{Names, Speaker};
use crate::stamp::{Reading, Stamp, Stamper};

/// The longest foreign message that is read; longer ones are stepped over.
const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Decodes what one client receives.
#[derive(Debug)]
pub(crate) struct Inbox {
    decoder: Decoder,
    /// Whose name has come and whose message has not.
    speaker: Option<Speaker>,
    /// Length of a payload that was too long to be read and is to be stepped over.
    refused_bytes: Option<u64>,
}

/// What a run needs to know its own messages again.
#[derive(Debug)]
pub(crate) struct Identity {
    /// Names of the clients.
    pub(crate) names: Names,
    /// Writer and reader of payloads.
    pub(crate) stamper: Stamper,
}

/// One thing that came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival<'a> {
    /// A message of this run, unchanged.
    Message(Stamp),
    /// A probe of this run's barrier.
    Probe { round: u32 },
    /// What the server itself says.
    Notice(&'a [u8]),
    /// Somebody else's message.
    Foreign,
    /// Something of this run that is not as it was sent.
    Corrupt,
}

impl Inbox {
    /// An inbox at the beginning of a stream.
    pub(crate) const fn new() -> Self {
        Self {
            decoder: Decoder::new(PAYLOAD_BYTES_MAX),
            speaker: None,
            refused_bytes: None,
        }
    }

    /// The next arrival in `input`, or `None` when that is used up.
    ///
    /// # Errors
    /// A malformed header: frame boundaries are lost, and nothing after it can be read.
    pub(crate) fn next<'d, 'i: 'd>(
        &'d mut self,
        input: &mut &'i [u8],
        identity: &Identity,
    ) -> Result<Option<Arrival<'d>>, HeaderError> {
        if let Some(payload_bytes) = self.refused_bytes.take() {
            self.decoder.skip(payload_bytes);
        }
        let speaker = match self.speaker {
            Some(speaker) => speaker,
            None => match self.decoder.next(input) {
                Ok(Some(name)) => identity.names.speaker(name),
                Ok(None) => return Ok(None),
                Err(DecodeError::Header(error)) => return Err(error),
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
            Err(DecodeError::Header(error)) => return Err(error),
            Err(DecodeError::TooLong { payload_bytes, .. }) => {
                self.refused_bytes = Some(payload_bytes);
                over_long(speaker)
            }
        };
        self.speaker = None;
        Ok(Some(arrival))
    }

    /// Whether the stream stands inside a pair of frames: an end here is a torn message.
    pub(crate) fn is_mid_message(&self) -> bool {
        self.speaker.is_some() || self.refused_bytes.is_some() || self.decoder.is_mid_frame()
    }
}

impl Identity {
    fn judge<'a>(&self, speaker: Speaker, message: &'a [u8]) -> Arrival<'a> {
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

    use super::*;

    fn identity() -> Identity {
        Identity {
            names: Names::new(10),
            stamper: Stamper::new(99, 100),
        }
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
        let (identity, mut inbox, mut said) = (identity(), Inbox::new(), Vec::new());
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
            &protocol::frame::encode(b"ann")[..],
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
        let (identity, mut inbox) = (identity(), Inbox::new());
        let mut input = &b"GET / HTTP"[..];
        assert!(inbox.next(&mut input, &identity).is_err());
    }
}
