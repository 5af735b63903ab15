//! The protocol of frames: the name goes first, each line is a frame, and a name frame and a message frame
//! that come make one message.
//!
//! A frame over the local limit is stepped over and reported; the rest of the stream is not affected. Only
//! a header that is none ends the stream, for the frame boundaries are lost then.

use std::collections::VecDeque;

use bytes::{Buf as _, BytesMut};
use protocol::{DecodeError, Decoder, SERVER_NAME, frame};

use super::{Join, Malformed, Message, Outgoing, Received, Wire};

/// Lines become frames while less than this is to be written, in bytes.
const UNWRITTEN_BYTES_MAX: usize = 64 * 1024;

pub(crate) struct Frames {
    decoder: Decoder,
    /// The name frame of a message whose text is still to come: what it says, or how long it is.
    name: Option<Result<Vec<u8>, u64>>,
    /// What is to be written: whole frames, but for the first.
    unwritten: BytesMut,
    /// What is left of each of these frames, in bytes, and the number of its line; our name has none.
    frames: VecDeque<(usize, Option<u64>)>,
}

impl Frames {
    /// The protocol on a connection that is to be joined.
    pub(crate) fn new(join: &Join) -> Self {
        let mut frames = Self {
            decoder: Decoder::new(join.message_bytes_max),
            name: None,
            unwritten: BytesMut::new(),
            frames: VecDeque::new(),
        };
        frames.put(None, join.name.as_bytes());
        frames
    }

    fn put(&mut self, id: Option<u64>, payload: &[u8]) {
        let before = self.unwritten.len();
        frame::put(&mut self.unwritten, payload);
        self.frames.push_back((self.unwritten.len() - before, id));
    }
}

impl Wire for Frames {
    fn take(&mut self, mut input: &[u8], received: &mut Vec<Received>) -> Result<(), Malformed> {
        loop {
            let frame = match self.decoder.next(&mut input) {
                Ok(None) => return Ok(()),
                Ok(Some(payload)) => Ok(payload.to_vec()),
                Err(DecodeError::TooLong { payload_bytes, .. }) => {
                    self.decoder.skip(payload_bytes);
                    Err(payload_bytes)
                }
                // The frame boundaries are lost.
                Err(DecodeError::Header(error)) => return Err(Malformed(error.to_string())),
            };
            match self.name.take() {
                None => self.name = Some(frame),
                Some(name) => received.push(message(name, frame)),
            }
        }
    }

    fn is_mid_message(&self) -> bool {
        self.decoder.is_mid_frame() || self.name.is_some()
    }

    fn unwritten(&mut self, outgoing: &mut Outgoing) -> &[u8] {
        while self.unwritten.len() < UNWRITTEN_BYTES_MAX
            && let Some((id, line)) = outgoing.hand_out()
        {
            self.put(Some(id), line);
        }
        &self.unwritten
    }

    fn written(&mut self, mut bytes: usize, outgoing: &mut Outgoing) -> usize {
        self.unwritten.advance(bytes);
        let before = outgoing.lines();
        while let Some((left, id)) = self.frames.front_mut() {
            if bytes < *left {
                *left -= bytes;
                break;
            }
            bytes -= *left;
            id.map(|id| outgoing.done(id));
            self.frames.pop_front();
        }
        before - outgoing.lines()
    }

    fn is_written(&self) -> bool {
        self.unwritten.is_empty()
    }

    fn finish(&mut self) -> bool {
        false
    }
}

fn message(name: Result<Vec<u8>, u64>, text: Result<Vec<u8>, u64>) -> Received {
    match (name, text) {
        (Ok(name), Ok(text)) if name == SERVER_NAME.as_bytes() => Received::Notice(text),
        (Ok(name), Ok(text)) => Received::Message(Message {
            name,
            text,
            position: None,
        }),
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

    fn ann(message_bytes_max: usize) -> Frames {
        Frames::new(&Join {
            name: "ann".to_owned(),
            after: None,
            message_bytes_max,
        })
    }

    #[test]
    fn whatever_was_cut_short_is_sent_again_and_whole_ones_are_not() {
        let frames = [&b"3         ann"[..], b"3         one", b"3         two"];
        let whole = frames.concat();
        for room in 0..=whole.len() {
            let mut outgoing = Outgoing::default();
            outgoing.push(b"one");
            outgoing.push(b"two");
            let mut first = ann(64);
            assert_eq!(first.unwritten(&mut outgoing), whole);
            let mut completed = 0;
            for written in (0..room).step_by(3) {
                completed += first.written((room - written).min(3), &mut outgoing);
            }
            assert_eq!(first.unwritten(&mut outgoing), &whole[room..]);
            assert_eq!(completed, (room / 13).saturating_sub(1));
            assert_eq!(outgoing.lines(), 2 - completed);

            outgoing.restart();
            let mut second = ann(64);
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
                let (mut frames, mut received) = (ann(4), Vec::new());
                let end = wire.chunks(pieces).try_for_each(|piece| frames.take(piece, &mut received));
                (end.map_err(|error| error.to_string()), received)
            };
            prop_assert_eq!(read(pieces), read(wire.len().max(1)));
        }
    }
}
