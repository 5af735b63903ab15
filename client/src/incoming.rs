//! What comes from the server: a name frame and a message frame make one message.
//!
//! A frame over the local limit is stepped over and reported; the rest of the stream is not
//! affected. Only a header that is none ends the stream, for the frame boundaries are lost then.

use protocol::{DecodeError, Decoder, HeaderError};

/// One thing that came from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received<'a> {
    /// A message of somebody.
    Message {
        /// Who wrote it, as it came.
        name: &'a [u8],
        /// What they wrote, as it came.
        text: &'a [u8],
    },
    /// A message that was stepped over because one of its frames is over the limit.
    TooLong {
        /// Whose it was; `None` when the name itself was too long.
        name: Option<&'a [u8]>,
        /// What the header announced.
        payload_bytes: u64,
    },
}

/// Puts frames together to messages.
#[derive(Debug)]
pub struct Incoming {
    decoder: Decoder,
    author: Author,
}

/// Whose message the next frame is.
#[derive(Debug, PartialEq, Eq)]
enum Author {
    /// The next frame is a name.
    Unknown,
    /// The next frame is a message of this name.
    Known(Vec<u8>),
    /// The next frame is a message whose name was stepped over, and so is this.
    TooLong,
}

impl Incoming {
    /// At the beginning of a stream, for frames of up to `payload_bytes_max` bytes.
    #[must_use]
    pub const fn new(payload_bytes_max: usize) -> Self {
        Self {
            decoder: Decoder::new(payload_bytes_max),
            author: Author::Unknown,
        }
    }

    /// Hands all that `input` completes to `sink`.
    ///
    /// # Errors
    /// When the stream has lost its frame boundaries: nothing after that can be read.
    pub fn take(
        &mut self,
        mut input: &[u8],
        sink: &mut dyn FnMut(Received<'_>),
    ) -> Result<(), HeaderError> {
        loop {
            let author = &mut self.author;
            match self.decoder.next(&mut input) {
                Ok(None) => return Ok(()),
                Ok(Some(payload)) => match std::mem::replace(author, Author::Unknown) {
                    Author::Unknown => *author = Author::Known(payload.to_vec()),
                    Author::Known(name) => sink(Received::Message {
                        name: &name,
                        text: payload,
                    }),
                    Author::TooLong => {}
                },
                Err(DecodeError::TooLong { payload_bytes, .. }) => {
                    self.decoder.skip(payload_bytes);
                    self.too_long(payload_bytes, sink);
                }
                Err(DecodeError::Header(error)) => return Err(error),
            }
        }
    }

    /// Whether an end here would cut a frame, or a name off its message.
    #[must_use]
    pub fn is_mid_message(&self) -> bool {
        self.decoder.is_mid_frame() || self.author != Author::Unknown
    }

    fn too_long(&mut self, payload_bytes: u64, sink: &mut dyn FnMut(Received<'_>)) {
        match std::mem::replace(&mut self.author, Author::Unknown) {
            Author::Unknown => {
                self.author = Author::TooLong;
                sink(Received::TooLong {
                    name: None,
                    payload_bytes,
                });
            }
            Author::Known(name) => sink(Received::TooLong {
                name: Some(&name),
                payload_bytes,
            }),
            Author::TooLong => {}
        }
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
                seen.push(match received {
                    Received::Message { name, text } => {
                        format!("{}>{}", name.escape_ascii(), text.escape_ascii())
                    }
                    Received::TooLong {
                        name,
                        payload_bytes,
                    } => format!("{}:{payload_bytes}", name.unwrap_or(b"?").escape_ascii()),
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
