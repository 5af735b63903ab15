//! What goes over a connection, whatever its bytes look like: lines to the server, messages and notices
//! from it. A file below is one protocol; it turns these into bytes and back and knows no socket.

pub(crate) mod frames;
pub(crate) mod websocket;

use std::collections::VecDeque;

use protocol::Position;
use thiserror::Error;

/// A protocol, on one connection that is joined.
pub(crate) trait Wire: Send {
    /// Adds all that `input` completes to `received`.
    ///
    /// # Errors
    /// The peer does not speak the protocol: nothing after that can be read.
    fn take(&mut self, input: &[u8], received: &mut Vec<Received>) -> Result<(), Malformed>;

    /// Whether an end here would cut a message short.
    fn is_mid_message(&self) -> bool;

    /// What is to be written next; empty when all is written.
    fn unwritten(&mut self, outgoing: &mut Outgoing) -> &[u8];

    /// Of what is to be written, `bytes` were; returns how many lines are done with that.
    fn written(&mut self, bytes: usize, outgoing: &mut Outgoing) -> usize;

    /// Whether all that was handed out is written.
    fn is_written(&self) -> bool;

    /// No more lines come. Returns whether the protocol has words for that, which are to be written now;
    /// else the end of the stream says it.
    fn finish(&mut self) -> bool;
}

/// How a connection is joined.
#[derive(Debug, Clone)]
pub(crate) struct Join {
    pub(crate) name: String,
    /// Go on behind this, if the protocol has positions.
    pub(crate) after: Option<Position>,
    /// Longer messages are not shown.
    pub(crate) message_bytes_max: usize,
}

/// What another client says, as it came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) name: Vec<u8>,
    pub(crate) text: Vec<u8>,
    /// The place behind it, if the protocol has positions.
    pub(crate) position: Option<Position>,
}

/// What came from the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Message(Message),
    /// What the server itself says.
    Notice(Vec<u8>),
    /// A message that was stepped over, because it is over the limit.
    TooLong {
        /// Who wrote it; `None` when the name itself is over the limit.
        name: Option<Vec<u8>>,
        /// How long the longer part is, in bytes.
        bytes: u64,
    },
    /// The answer to joining: messages come from `position` on.
    Joined {
        /// That is the place that was asked for.
        resumed: bool,
        position: Position,
    },
    /// The line of this number has its place.
    Accepted {
        id: u64,
        position: Position,
    },
    /// The server has skipped messages, because this client was too slow.
    Missed {
        messages: u64,
        position: Option<Position>,
    },
}

/// What came is not the protocol.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct Malformed(String);

/// The lines for the server that it does not have for certain yet, in order.
///
/// The first ones have been handed to the connection's protocol. A line leaves when the protocol is done
/// with it. What a lost connection cut short is sent again, whole, on the next one.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    lines: VecDeque<Line>,
    bytes: usize,
    handed_out: usize,
    next_id: u64,
}

#[derive(Debug)]
struct Line {
    id: u64,
    text: Vec<u8>,
}

impl Outgoing {
    /// A new connection: all lines are to be handed out again.
    pub(crate) fn restart(&mut self) {
        self.handed_out = 0;
    }

    pub(crate) fn push(&mut self, text: &[u8]) {
        self.bytes += text.len();
        self.next_id += 1;
        self.lines.push_back(Line {
            id: self.next_id,
            text: text.to_vec(),
        });
    }

    /// The next line that was not handed out yet, and its number.
    fn hand_out(&mut self) -> Option<(u64, &[u8])> {
        let line = self.lines.get(self.handed_out)?;
        self.handed_out += 1;
        Some((line.id, &line.text))
    }

    /// The line `id` has arrived, as far as the protocol tells. Returns whether it was waited for.
    pub(crate) fn done(&mut self, id: u64) -> bool {
        let handed_out = self.lines.iter().take(self.handed_out);
        let index = handed_out.map(|line| line.id).position(|of| of == id);
        if let Some(line) = index.and_then(|index| self.lines.remove(index)) {
            self.handed_out -= 1;
            self.bytes -= line.text.len();
        }
        index.is_some()
    }

    pub(crate) fn is_handed_out(&self) -> bool {
        self.handed_out == self.lines.len()
    }

    /// How many lines were handed out and are not done.
    pub(crate) const fn handed_out(&self) -> usize {
        self.handed_out
    }

    /// How many lines there are.
    pub(crate) fn lines(&self) -> usize {
        self.lines.len()
    }

    /// How much they hold, in bytes.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }
}
