//! What comes from the server: a name frame and a message frame make one message.
//!
//! A frame over the local limit is stepped over and reported; the rest of the stream is not
//! affected. Only a header that is none ends the stream, for the frame boundaries are lost then.

use protocol::{DecodeError, Decoder, HeaderError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received<'a> {
    /// Who wrote it, as it came; `None` when the name itself is over the limit.
    pub(crate) name: Option<&'a [u8]>,
    /// What they wrote, as it came; how many bytes a frame announced that is over the limit.
    pub(crate) text: Result<&'a [u8], u64>,
}
pub(crate) struct Incoming {
    decoder: Decoder,
    /// The name frame of a message whose text is still to come: what it says, or how long it is.
    name: Option<Result<Vec<u8>, u64>>,
}

impl Incoming {
    pub(crate) const fn new(payload_bytes_max: usize) -> Self {
        Self {
            decoder: Decoder::new(payload_bytes_max),
            name: None,
        }
    }

    /// Hands all that `input` completes to `sink`. Fails when the stream has lost its frame boundaries:
    /// nothing after that can be read.
    pub(crate) fn take(
        &mut self,
        mut input: &[u8],
        sink: &mut dyn FnMut(Received<'_>),
    ) -> Result<(), HeaderError> {
        loop {
            let frame = match self.decoder.next(&mut input) {
                Ok(None) => return Ok(()),
                Ok(Some(payload)) => Ok(payload),
                Err(DecodeError::TooLong { payload_bytes, .. }) => Err(payload_bytes),
                Err(DecodeError::Header(error)) => return Err(error),
            };
            match self.name.take() {
                None => self.name = Some(frame.map(<[u8]>::to_vec)),
                Some(Ok(name)) => sink(Received {
                    name: Some(&name),
                    text: frame,
                }),
                Some(Err(name_bytes)) => sink(Received {
                    name: None,
                    text: Err(name_bytes),
                }),
            }
            if let Err(payload_bytes) = frame {
                self.decoder.skip(payload_bytes);
            }
        }
    }

    /// Whether an end here would cut a frame, or a name off its message.
    pub(crate) fn is_mid_message(&self) -> bool {
        self.decoder.is_mid_frame() || self.name.is_some()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(wire: &[u8], pieces: usize, limit: usize) -> Result<Vec<String>, HeaderError> {
        let mut incoming = Incoming::new(limit);
        let mut seen = Vec::new();
        for piece in wire.chunks(pieces.max(1)) {
            incoming.take(piece, &mut |received| {
                let name = received.name.unwrap_or(b"?").escape_ascii();
                seen.push(match received.text {
                    Ok(text) => format!("{name}>{}", text.escape_ascii()),
                    Err(payload_bytes) => format!("{name}:{payload_bytes}"),
                });
            })?;
        }
        Ok(seen)
    }

    #[test]
    fn long_frames_are_reported_and_their_neighbours_arrive() {
        let mut wire = Vec::new();
        wire.extend(protocol::frame::broadcast(b"ann", b"one"));
        wire.extend(protocol::frame::broadcast(b"bob", b"much too long"));
        wire.extend(protocol::frame::broadcast(b"longnames", b"lost"));
        wire.extend(protocol::frame::broadcast(b"longnames", b"lost as well"));
        wire.extend(protocol::frame::broadcast(b"ann", b"two"));
        for pieces in 1..wire.len() {
            assert_eq!(
                read(&wire, pieces, 4).unwrap(),
                ["ann>one", "bob:13", "?:9", "?:9", "ann>two"],
                "in pieces of {pieces}"
            );
        }
    }

    #[test]
    fn an_end_between_name_and_message_is_a_cut() {
        let mut incoming = Incoming::new(10);
        let ignore = &mut |_: Received<'_>| {};
        assert!(!incoming.is_mid_message());
        incoming.take(b"3         ann", ignore).unwrap();
        assert!(incoming.is_mid_message());
        incoming.take(b"2         hi", ignore).unwrap();
        assert!(!incoming.is_mid_message());
    }

    proptest! {
        #[test]
        fn garbage_is_refused_and_never_a_panic(wire in prop::collection::vec(any::<u8>(), 0..200), pieces in 1usize..50) {
            let _ = read(&wire, pieces, 64);
        }
    }
}
