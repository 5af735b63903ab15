//! Encodings: what subscribers of other wires than frames are sent of a message.
//!
//! One is made when the first subscriber of its wire needs it, and shared by all, of all threads, for as
//! long as the message is held. What always holds: encodings take no more than [`SHARE`] of the log's
//! bound. Where they would, one is made for each batch anew.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use protocol::Position;

use super::{Budget, Message};
use crate::wire::{self, Encoding, Entry};

/// Encodings take at most one part in so many of the log: there is room for messages whose length
/// makes their receivers the hindmost (see [`super::super::slow`]), beside the history.
const SHARE: usize = 4;

/// What it costs to keep one, beside its bytes.
const KEEPING_BYTES: usize = 96;

/// Of one message; nothing until the first is needed.
#[derive(Debug, Default)]
pub(super) struct Encodings(OnceLock<Box<[OnceLock<Encoded>; 2]>>);

#[derive(Debug)]
struct Encoded {
    bytes: Bytes,
    /// What it takes of the budget.
    charged: usize,
    budget: Arc<Budget>,
}

impl Message {
    /// What a subscriber of this wire is sent; `position` is the place behind the message.
    #[inline]
    pub(in crate::hub) fn encoded(&self, encoding: Encoding, position: Position) -> Bytes {
        let index = match encoding {
            Encoding::Frames => return self.frame.clone(),
            Encoding::WebSocket => 0,
            Encoding::Events => 1,
        };
        let encodings = self.encodings.0.get();
        if let Some(encoded) = encodings.and_then(|kept| kept[index].get()) {
            return encoded.bytes.clone();
        }
        let entry = Entry::of_frames(&self.frame);
        let bytes = wire::encode(encoding, &entry, position);
        if let Some(encoded) = self.reserved.budget.keep(&bytes) {
            // Another thread may have been quicker; it made the same.
            let _ = self.encodings.0.get_or_init(Box::default)[index].set(encoded);
        }
        bytes
    }
}

impl Budget {
    /// Keeps an encoding, if there is room for it.
    fn keep(self: &Arc<Self>, bytes: &Bytes) -> Option<Encoded> {
        let charged = bytes.len() + KEEPING_BYTES;
        let more = |held: usize, most: usize| Some(held + charged).filter(|&sum| sum <= most);
        let share = |held| more(held, self.bytes_max / SHARE);
        let order = Ordering::SeqCst;
        self.encoded.fetch_update(order, order, share).ok()?;
        let room = |held| more(held, self.bytes_max);
        if self.bytes.fetch_update(order, order, room).is_err() {
            self.encoded.fetch_sub(charged, order);
            return None;
        }
        Some(Encoded {
            bytes: bytes.clone(),
            charged,
            budget: Arc::clone(self),
        })
    }
}

impl Drop for Encoded {
    fn drop(&mut self) {
        self.budget
            .encoded
            .fetch_sub(self.charged, Ordering::SeqCst);
        self.budget.bytes.fetch_sub(self.charged, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use protocol::frame;

    use super::super::super::ConnectionId;
    use super::super::{Log, Reader};
    use super::*;

    const ID: ConnectionId = ConnectionId {
        slot: 0,
        generation: 0,
    };

    /// A log of this size with so many messages of 100 bytes, and a cursor before the first.
    fn log_of(bytes_max: usize, messages: usize) -> (Arc<Log>, Reader) {
        let log = Log::new(bytes_max);
        let mut reader = Reader::new(Arc::clone(&log));
        reader.enter(None);
        for _ in 0..messages {
            let frame = frame::broadcast(b"ann", &[b'x'; 100]);
            let room = reader.reserve(frame.len()).unwrap();
            reader.append(room, frame, (ID, true), Instant::now());
            reader.read();
        }
        (log, reader)
    }

    #[test]
    fn an_encoding_is_made_once_for_all_threads_and_given_back_with_its_message() {
        let (log, mut reader) = log_of(1 << 20, 1);
        let mut other = Reader::new(Arc::clone(&log));
        let before = log.bytes();
        let message = Arc::clone(reader.from(0).next().unwrap());
        let position = reader.position(1);
        let first = message.encoded(Encoding::WebSocket, position);
        let again = message.encoded(Encoding::WebSocket, position);
        assert_eq!(first.as_ptr(), again.as_ptr());
        assert!(log.bytes() > before + first.len());
        let frames = message.encoded(Encoding::Frames, position);
        assert_eq!(frames.as_ptr(), message.frame.as_ptr());
        drop(message);
        reader.advance(0, 1, false, Instant::now());
        reader.read();
        other.read();
        assert_eq!((log.bytes(), log.budget.encoded()), (0, 0));
    }

    #[test]
    fn encodings_take_a_quarter_of_the_log_and_those_beyond_are_made_anew() {
        const BYTES_MAX: usize = 100_000;
        let (log, reader) = log_of(BYTES_MAX, 200);
        for (message, number) in reader.from(0).zip(1..) {
            for encoding in [Encoding::WebSocket, Encoding::Events] {
                let bytes = message.encoded(encoding, reader.position(number));
                assert!(bytes.len() > 100);
            }
        }
        assert!(log.bytes() <= BYTES_MAX);
        let encoded = log.budget.encoded();
        assert!(
            (BYTES_MAX / 5..=BYTES_MAX / SHARE).contains(&encoded),
            "{encoded}"
        );
        let kept = reader.from(0).filter(|it| it.encodings.0.get().is_some());
        assert!(kept.count() < 100, "nothing is allocated for the others");
    }
}
