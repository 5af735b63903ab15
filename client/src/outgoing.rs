//! What goes to the server: the name first, then messages, in order.
//!
//! A message leaves the queue only when all of its bytes were taken by the kernel. So whatever a
//! lost connection cut short is sent again, whole, on the next one; the server never saw it whole.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};

use bytes::Bytes;
use protocol::frame;

/// At most this many frames go into one write.
const FRAMES_PER_WRITE_MAX: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// The name frame, while it is not sent.
    hello: Option<Bytes>,
    messages: VecDeque<Bytes>,
    messages_bytes: usize,
    /// How much of the first frame was sent.
    offset: usize,
}

impl Outgoing {
    /// A new connection: the name goes first, and every message begins at its beginning.
    pub(crate) fn restart(&mut self, name: &str) {
        self.hello = Some(frame::encode(name.as_bytes()));
        self.offset = 0;
    }

    pub(crate) fn push(&mut self, text: &[u8]) {
        let frame = frame::encode(text);
        self.messages_bytes += frame.len();
        self.messages.push_back(frame);
    }

    /// Messages that are not (wholly) sent.
    pub(crate) fn messages(&self) -> usize {
        self.messages.len()
    }

    /// How much the messages that are not sent hold, in bytes.
    pub(crate) const fn bytes(&self) -> usize {
        self.messages_bytes
    }

    /// Whether there is nothing to send, not even the name.
    pub(crate) fn is_empty(&self) -> bool {
        self.hello.is_none() && self.messages.is_empty()
    }

    /// Writes until everything is written or `socket` takes no more; returns how many messages
    /// became complete.
    pub(crate) fn write_to(&mut self, socket: &mut impl Write) -> io::Result<usize> {
        let mut completed = 0;
        while !self.is_empty() {
            match socket.write_vectored(&self.slices()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => completed += self.advance(bytes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(completed)
    }

    fn slices(&self) -> Vec<IoSlice<'_>> {
        self.hello
            .iter()
            .chain(&self.messages)
            .take(FRAMES_PER_WRITE_MAX)
            .enumerate()
            .map(|(index, frame)| IoSlice::new(&frame[if index == 0 { self.offset } else { 0 }..]))
            .collect()
    }

    fn advance(&mut self, bytes: usize) -> usize {
        let mut completed = 0;
        self.offset += bytes;
        while let Some(first) = self.hello.as_ref().or(self.messages.front()) {
            let length = first.len();
            if self.offset < length {
                break;
            }
            self.offset -= length;
            if self.hello.take().is_none() {
                self.messages.pop_front();
                self.messages_bytes -= length;
                completed += 1;
            }
        }
        completed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `room` bytes, at most three in one write, then would block.
    struct Narrow {
        taken: Vec<u8>,
        room: usize,
    }

    impl Write for Narrow {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            let bytes = buf.len().min(3).min(self.room - self.taken.len());
            self.taken.extend_from_slice(&buf[..bytes]);
            match bytes {
                0 => Err(io::ErrorKind::WouldBlock.into()),
                bytes => Ok(bytes),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn whatever_was_cut_short_is_sent_again_and_whole_ones_are_not() {
        let frames = [&b"3         ann"[..], b"3         one", b"3         two"];
        let whole = frames.concat();
        for room in 0..=whole.len() {
            let mut outgoing = Outgoing::default();
            outgoing.restart("ann");
            outgoing.push(b"one");
            outgoing.push(b"two");
            let mut first = Narrow {
                taken: Vec::new(),
                room,
            };
            let completed = outgoing.write_to(&mut first).unwrap();
            assert_eq!(first.taken, whole[..room]);
            assert_eq!(completed, (room / 13).saturating_sub(1));
            assert_eq!(outgoing.messages(), 2 - completed);

            outgoing.restart("ann");
            let mut second = Narrow {
                taken: Vec::new(),
                room: whole.len(),
            };
            assert_eq!(outgoing.write_to(&mut second).unwrap(), 2 - completed);
            let expected = [&frames[..1], &frames[1 + completed..]].concat().concat();
            assert_eq!(second.taken, expected, "after {room} bytes");
            assert_eq!(outgoing.bytes(), 0);
        }
    }
}
