//! Batches: everything a subscriber is owed, as one contiguous buffer for one send.
//!
//! A batch of one message is the message's own encoding. A longer one is merged once and shared by all of
//! a wire who stand at the same cursor; only an author, who skips its own messages, gets one of its own.

use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::ConnectionId;
use super::log::{Message, Reader};
use crate::wire::Encoding;

/// What one send carries.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    /// Whole messages, back to back; empty when all that was left is the subscriber's own.
    pub(super) bytes: Bytes,
    /// How many messages that is.
    pub(super) messages: u32,
    /// When the first of them was accepted; `None` when there is none.
    pub(super) oldest: Option<Instant>,
    /// The cursor of a subscriber that has all of it.
    pub(super) end: u64,
}

/// Builds batches and keeps the last shared one of each wire.
#[derive(Debug)]
pub(super) struct Batches {
    batch_bytes_max: usize,
    last: [Option<Shared>; Encoding::ALL.len()],
    /// The messages of the batch that is built; empty between batches.
    parts: Vec<Bytes>,
}

#[derive(Debug)]
struct Shared {
    cursor: u64,
    head: u64,
    batch: Batch,
}

impl Batches {
    /// Batches end before the message that would make them longer than `batch_bytes_max`, but hold at
    /// least one message.
    pub(super) fn new(batch_bytes_max: usize) -> Self {
        Self {
            batch_bytes_max,
            last: [const { None }; Encoding::ALL.len()],
            parts: Vec::new(),
        }
    }

    /// What a subscriber at `cursor` is sent who wrote none of it.
    pub(super) fn shared(&mut self, log: &Reader, cursor: u64, encoding: Encoding) -> Batch {
        if let Some(shared) = &self.last[encoding as usize]
            && shared.cursor == cursor
            && shared.head == log.head()
        {
            return shared.batch.clone();
        }
        let batch = self.merge(log, cursor, encoding, |_| false);
        self.last[encoding as usize] = Some(Shared {
            cursor,
            head: log.head(),
            batch: batch.clone(),
        });
        batch
    }

    /// What the subscriber `connection` at `cursor` is sent, without its own messages.
    pub(super) fn without_own(
        &mut self,
        log: &Reader,
        cursor: u64,
        encoding: Encoding,
        connection: ConnectionId,
    ) -> Batch {
        let is_own = |message: &Message| log.is_own(message, connection);
        self.merge(log, cursor, encoding, is_own)
    }

    /// Gives the memory of the last batches back.
    pub(super) fn forget(&mut self) {
        *self = Self::new(self.batch_bytes_max);
    }

    fn merge(
        &mut self,
        log: &Reader,
        cursor: u64,
        encoding: Encoding,
        skipped: impl Fn(&Message) -> bool,
    ) -> Batch {
        let mut bytes = 0;
        let mut messages = 0;
        let mut oldest = None;
        let mut end = cursor;
        for message in log.from(cursor) {
            if !skipped(message) {
                let part = message.encoded(encoding, log.position(end + 1));
                if messages > 0 && bytes + part.len() > self.batch_bytes_max {
                    break;
                }
                bytes += part.len();
                oldest.get_or_insert(message.accepted_at);
                messages += 1;
                self.parts.push(part);
            }
            end += 1;
        }
        Batch {
            bytes: self.take_parts(bytes),
            messages,
            oldest,
            end,
        }
    }

    /// The parts of so many `bytes` as one buffer.
    fn take_parts(&mut self, bytes: usize) -> Bytes {
        if self.parts.len() < 2 {
            return self.parts.pop().unwrap_or_default();
        }
        let mut merged = BytesMut::with_capacity(bytes);
        let parts = self.parts.drain(..);
        parts.for_each(|part| merged.extend_from_slice(&part));
        merged.freeze()
    }
}
