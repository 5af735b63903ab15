//! Batches: everything a subscriber is owed, as one contiguous buffer for one send.
//!
//! A batch of one message is the message's own frame. A longer one is merged once and shared by all
//! who stand at the same cursor; only an author, who skips its own messages, gets one of its own.

use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::ConnectionId;
use super::log::{Message, Reader};

/// What one send carries.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    /// Whole frames, back to back; empty when all that was left is the subscriber's own.
    pub(super) bytes: Bytes,
    /// How many messages that is.
    pub(super) messages: u32,
    /// When the first of them was accepted; `None` when there is none.
    pub(super) oldest: Option<Instant>,
    /// The cursor of a subscriber that has all of it.
    pub(super) end: u64,
}

/// Builds batches and keeps the last shared one.
#[derive(Debug)]
pub(super) struct Batches {
    batch_bytes_max: usize,
    last: Option<Shared>,
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
            last: None,
        }
    }

    /// What a subscriber at `cursor` is sent who wrote none of it.
    pub(super) fn shared(&mut self, log: &Reader, cursor: u64) -> Batch {
        if let Some(shared) = &self.last
            && shared.cursor == cursor
            && shared.head == log.head()
        {
            return shared.batch.clone();
        }
        let batch = self.merge(log, cursor, |_| false);
        self.last = Some(Shared {
            cursor,
            head: log.head(),
            batch: batch.clone(),
        });
        batch
    }

    /// What the subscriber `connection` at `cursor` is sent, without its own messages.
    pub(super) fn without_own(&self, log: &Reader, cursor: u64, connection: ConnectionId) -> Batch {
        self.merge(log, cursor, |message| log.is_own(message, connection))
    }

    /// Gives the memory of the last batch back.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }

    fn merge(&self, log: &Reader, cursor: u64, skipped: impl Fn(&Message) -> bool) -> Batch {
        let mut bytes = 0;
        let mut messages = 0;
        let mut oldest = None;
        let mut end = cursor;
        for message in log.from(cursor) {
            if !skipped(message) {
                if messages > 0 && bytes + message.frame.len() > self.batch_bytes_max {
                    break;
                }
                bytes += message.frame.len();
                oldest.get_or_insert(message.accepted_at);
                messages += 1;
            }
            end += 1;
        }
        let mut frames = log
            .from(cursor)
            .filter(|message| !skipped(message))
            .map(|message| &message.frame)
            .take(messages as usize);
        let bytes = match messages {
            0 => Bytes::new(),
            1 => frames.next().cloned().unwrap_or_default(),
            _ => {
                let mut merged = BytesMut::with_capacity(bytes);
                frames.for_each(|frame| merged.extend_from_slice(frame));
                merged.freeze()
            }
        };
        Batch {
            bytes,
            messages,
            oldest,
            end,
        }
    }
}
