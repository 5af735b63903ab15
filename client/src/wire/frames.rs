//! The protocol of frames: the name goes first, each line is a frame, and a name frame and a message frame
//! that come make one message.
//!
//! A frame over the local limit is stepped over and reported; the rest of the stream is not affected. Only
//! a header that is none ends the stream, for the frame boundaries are lost then.

use std::collections::VecDeque;

use bytes::{Buf as _, BytesMut};
use protocol::{DecodeError, Decoder, HeaderError, SERVER_NAME, frame};

use super::{Outgoing, Received};

/// Lines become frames while less than this is to be written, in bytes.
const UNWRITTEN_BYTES_MAX: usize = 64 * 1024;

pub(crate) struct Frames {
    decoder: Decoder,
    /// The name frame of a message whose text is still to come: what it says, or how long it is.
    name: Option<Result<Vec<u8>, u64>>,
    /// What is to be written: whole frames, but for the first.
    unwritten: BytesMut,
    /// What is left of each of these frames, in bytes.
    frames: VecDeque<usize>,
    /// The first of them is our name.
    named: bool,
}

impl Frames {
    /// A connection that is to be joined as `name`; shows frames of up to `payload_bytes_max` bytes.
    pub(crate) fn new(name: &str, payload_bytes_max: usize) -> Self {
        let mut frames = Self {
            decoder: Decoder::new(payload_bytes_max),
            name: None,
            unwritten: BytesMut::new(),
            frames: VecDeque::new(),
            named: false,
        };
        frames.put(name.as_bytes());
        frames
    }

    /// Adds all that `input` completes to `received`. Fails when the stream has lost its frame boundaries:
    /// nothing after that can be read.
    pub(crate) fn take(
        &mut self,
        mut input: &[u8],
        received: &mut Vec<Received>,
    ) -> Result<(), HeaderError> {
        loop {
            let frame = match self.decoder.next(&mut input) {
                Ok(None) => return Ok(()),
                Ok(Some(payload)) => Ok(payload.to_vec()),
                Err(DecodeError::TooLong { payload_bytes, .. }) => {
                    self.decoder.skip(payload_bytes);
                    Err(payload_bytes)
                }
                Err(DecodeError::Header(error)) => return Err(error),
            };
            match self.name.take() {
                None => self.name = Some(frame),
                Some(name) => received.push(message(name, frame)),
            }
        }
    }

    /// Whether an end here would cut a frame, or a name off its message.
    pub(crate) fn is_mid_message(&self) -> bool {
        self.decoder.is_mid_frame() || self.name.is_some()
    }

    /// What is to be written next; empty when all is written.
    pub(crate) fn unwritten(&mut self, outgoing: &mut Outgoing) -> &[u8] {
        while self.unwritten.len() < UNWRITTEN_BYTES_MAX
            && let Some(line) = outgoing.hand_out()
        {
            self.put(line);
        }
        &self.unwritten
    }

    /// Of what is to be written, `bytes` were; returns how many lines became complete.
    pub(crate) fn written(&mut self, mut bytes: usize, outgoing: &mut Outgoing) -> usize {
        self.unwritten.advance(bytes);
        let before = outgoing.lines();
        while let Some(first) = self.frames.front_mut() {
            if bytes < *first {
                *first -= bytes;
                break;
            }
            bytes -= *first;
            self.frames.pop_front();
            match self.named {
                true => outgoing.done(),
                false => self.named = true,
            }
        }
        before - outgoing.lines()
    }

    /// Whether all that was handed out is written.
    pub(crate) fn is_written(&self) -> bool {
        self.unwritten.is_empty()
    }

    fn put(&mut self, payload: &[u8]) {
        let before = self.unwritten.len();
        frame::put(&mut self.unwritten, payload);
        self.frames.push_back(self.unwritten.len() - before);
    }
}

fn message(name: Result<Vec<u8>, u64>, text: Result<Vec<u8>, u64>) -> Received {
    match (name, text) {
        (Ok(name), Ok(text)) if name == SERVER_NAME.as_bytes() => Received::Notice(text),
        (Ok(name), Ok(text)) => Received::Message { name, text },
        (Ok(name), Err(bytes)) => Received::TooLong {
            name: Some(name),
            bytes,
        },
        (Err(bytes), _) => Received::TooLong { name: None, bytes },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whatever_was_cut_short_is_sent_again_and_whole_ones_are_not() {
        let frames = [&b"3         ann"[..], b"3         one", b"3         two"];
        let whole = frames.concat();
        for room in 0..=whole.len() {
            let mut outgoing = Outgoing::default();
            outgoing.push(b"one");
            outgoing.push(b"two");
            let mut first = Frames::new("ann", 64);
            assert_eq!(first.unwritten(&mut outgoing), whole);
            let mut completed = 0;
            for written in (0..room).step_by(3) {
                completed += first.written((room - written).min(3), &mut outgoing);
            }
            assert_eq!(first.unwritten(&mut outgoing), &whole[room..]);
            assert_eq!(completed, (room / 13).saturating_sub(1));
            assert_eq!(outgoing.lines(), 2 - completed);

            outgoing.restart();
            let mut second = Frames::new("ann", 64);
            let expected = [&frames[..1], &frames[1 + completed..]].concat().concat();
            assert_eq!(second.unwritten(&mut outgoing), expected, "after {room}");
            let lines = second.written(expected.len(), &mut outgoing);
            assert_eq!((lines, outgoing.bytes()), (2 - completed, 0));
        }
    }

    proptest! {
        #[test]
        fn what_comes_is_the_same_however_it_was_cut_and_garbage_is_no_panic(
            payloads in prop::collection::vec("[a-z]{0,6}", 0..9),
            garbage in prop::collection::vec(any::<u8>(), 0..50),
            pieces in 1usize..50,
        ) {
            let frames: Vec<_> = payloads.iter().map(|text| frame::encode(text.as_bytes())).collect();
            let wire = [&frames.concat()[..], &garbage].concat();
            let read = |pieces| {
                let (mut frames, mut received) = (Frames::new("ann", 4), Vec::new());
                let end = wire.chunks(pieces).try_for_each(|piece| frames.take(piece, &mut received));
                (end, received)
            };
            prop_assert_eq!(read(pieces), read(wire.len().max(1)));
        }
    }
}
