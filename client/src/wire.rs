//! What goes over a connection, whatever its bytes look like: lines to the server, messages and notices
//! from it. A file below is one protocol; it turns these into bytes and back and knows no socket.

pub(crate) mod frames;

use std::collections::VecDeque;

/// What came from the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// What another client says, as it came.
    Message { name: Vec<u8>, text: Vec<u8> },
    /// What the server itself says.
    Notice(Vec<u8>),
    /// A message that was stepped over, because it is over the limit.
    TooLong {
        /// Who wrote it; `None` when the name itself is over the limit.
        name: Option<Vec<u8>>,
        /// How long the longer part is, in bytes.
        bytes: u64,
    },
}

/// The lines for the server that it does not have for certain yet, in order.
///
/// The first ones have been handed to the connection's protocol. A line leaves when it is wholly sent, so
/// whatever a lost connection cut short is sent again, whole, on the next one.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    handed_out: usize,
}

impl Outgoing {
    /// A new connection: all lines are to be handed out again.
    pub(crate) fn restart(&mut self) {
        self.handed_out = 0;
    }

    pub(crate) fn push(&mut self, text: &[u8]) {
        self.bytes += text.len();
        self.lines.push_back(text.to_vec());
    }

    /// The next line that was not handed out yet.
    fn hand_out(&mut self) -> Option<&[u8]> {
        let line = self.lines.get(self.handed_out)?;
        self.handed_out += 1;
        Some(line)
    }

    /// The first line has arrived, as far as the protocol tells.
    fn done(&mut self) {
        self.handed_out -= 1;
        self.bytes -= self.lines.pop_front().map_or(0, |line| line.len());
    }

    pub(crate) fn is_handed_out(&self) -> bool {
        self.handed_out == self.lines.len()
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
