//! Packets: a broker's stream taken apart, however it was cut.
//!
//! A protocol says by its scan what lies at the head of some bytes, or how much of it is missing. A
//! packet that lies whole in what was read is not copied; one that was torn by the end of a read is
//! put together first, and no more is copied than it needs. What is kept is at most one packet.

use std::ops::Range;

use super::{PAYLOAD_BYTES_MAX, Undecodable};
use crate::inbox::{Arrival, Identity};

/// The longest line that is no payload.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// What a buffer for torn packets may keep of its size when it is empty.
const KEPT_BYTES_MAX: usize = 16 * 1024;

/// Takes a stream apart.
#[derive(Debug)]
pub(super) struct Packets {
    /// The beginning of a packet whose end has not come, or one that has been given out.
    torn: Vec<u8>,
    is_given_out: bool,
}

/// A whole packet at the head of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) kind: Kind,
    /// Its length.
    pub(super) bytes: usize,
    /// Where in it the message or the text lies.
    pub(super) body: Range<usize>,
}

/// What a packet means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    Joined,
    Ping,
    /// The server says what is in the body.
    Notice,
    /// The server says this by a code.
    Code(&'static str),
    Chatter,
}

/// Why there is no whole packet.
#[derive(Debug)]
pub(super) enum Stop {
    /// It has so many bytes, or more.
    AtLeast(usize),
    /// A line of it has not ended.
    OpenLine,
    Undecodable(Undecodable),
}

impl Packets {
    pub(super) const fn new() -> Self {
        Self {
            torn: Vec::new(),
            is_given_out: false,
        }
    }

    /// The next arrival in `input`, or `None` when that is used up. Hot: once per delivery.
    pub(super) fn next<'d, 'i: 'd>(
        &'d mut self,
        input: &mut &'i [u8],
        identity: &Identity,
        scan: fn(&[u8]) -> Result<Packet, Stop>,
    ) -> Result<Option<Arrival<'d>>, Undecodable> {
        if self.is_given_out {
            self.is_given_out = false;
            self.torn.clear();
            self.torn.shrink_to(KEPT_BYTES_MAX);
        }
        if input.is_empty() {
            return Ok(None);
        }
        if self.torn.is_empty() {
            return match scan(input) {
                Ok(packet) => {
                    let (whole, rest) = input.split_at(packet.bytes);
                    *input = rest;
                    Ok(Some(arrival(packet.kind, &whole[packet.body], identity)))
                }
                Err(Stop::Undecodable(error)) => Err(error),
                Err(Stop::AtLeast(_) | Stop::OpenLine) => {
                    self.torn.extend_from_slice(std::mem::take(input));
                    Ok(None)
                }
            };
        }
        let Some(packet) = self.complete(input, scan)? else {
            return Ok(None);
        };
        self.is_given_out = true;
        Ok(Some(arrival(
            packet.kind,
            &self.torn[packet.body],
            identity,
        )))
    }

    /// Adds what the torn packet is missing.
    fn complete(
        &mut self,
        input: &mut &[u8],
        scan: fn(&[u8]) -> Result<Packet, Stop>,
    ) -> Result<Option<Packet>, Undecodable> {
        loop {
            let missing_bytes = match scan(&self.torn) {
                Ok(packet) => return Ok(Some(packet)),
                Err(Stop::Undecodable(error)) => return Err(error),
                Err(Stop::AtLeast(bytes)) => bytes.saturating_sub(self.torn.len()).max(1),
                Err(Stop::OpenLine) => {
                    let end = input.iter().position(|&byte| byte == b'\n');
                    end.map_or(input.len(), |at| at + 1)
                }
            };
            if input.is_empty() {
                return Ok(None);
            }
            let (more, rest) = input.split_at(missing_bytes.min(input.len()));
            self.torn.extend_from_slice(more);
            *input = rest;
        }
    }

    /// Whether the stream stands inside a packet.
    pub(super) fn is_mid_packet(&self) -> bool {
        !self.torn.is_empty() && !self.is_given_out
    }
}

fn arrival<'a>(kind: Kind, body: &'a [u8], identity: &Identity) -> Arrival<'a> {
    match kind {
        Kind::Message => identity.judge_nameless(body),
        Kind::Joined => Arrival::Joined,
        Kind::Ping => Arrival::Ping,
        Kind::Notice => Arrival::Notice(body),
        Kind::Code(text) => Arrival::Notice(text.as_bytes()),
        Kind::Chatter => Arrival::Chatter,
    }
}

/// The line that begins at `from`, without its end, and where the next one begins.
pub(super) fn line(bytes: &[u8], from: usize) -> Result<(Range<usize>, usize), Stop> {
    let rest = bytes.get(from..).unwrap_or_default();
    match rest
        .iter()
        .take(LINE_BYTES_MAX)
        .position(|&byte| byte == b'\n')
    {
        Some(at) => {
            let end = from + at;
            let has_return = at > 0 && bytes[end - 1] == b'\r';
            Ok((from..end - usize::from(has_return), end + 1))
        }
        None if rest.len() >= LINE_BYTES_MAX => Err(Stop::Undecodable(Undecodable::TooLong {
            bytes: rest.len(),
        })),
        None => Err(Stop::OpenLine),
    }
}

/// Where a payload of `payload_bytes` that begins at `from` lies, if all of it and of the
/// `tail_bytes` behind it has come.
pub(super) fn payload(
    bytes: &[u8],
    from: usize,
    payload_bytes: usize,
    tail_bytes: usize,
) -> Result<Range<usize>, Stop> {
    if payload_bytes > PAYLOAD_BYTES_MAX {
        return Err(Stop::Undecodable(Undecodable::TooLong {
            bytes: payload_bytes,
        }));
    }
    let end = from + payload_bytes;
    if bytes.len() < end + tail_bytes {
        return Err(Stop::AtLeast(end + tail_bytes));
    }
    Ok(from..end)
}

/// A decimal number that fits in 32 bits.
pub(super) fn decimal(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > 10 {
        return None;
    }
    let mut number = 0_usize;
    for digit in digits {
        let value = digit.wrapping_sub(b'0');
        if value > 9 {
            return None;
        }
        number = number * 10 + usize::from(value);
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_digits_and_nothing_else() {
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"4294967295"), Some(4_294_967_295));
        for text in [&b""[..], b"-1", b"1 ", b"99999999999", b"x"] {
            assert_eq!(decimal(text), None);
        }
    }

    #[test]
    fn a_line_without_an_end_is_waited_for_up_to_a_limit() {
        assert_eq!(line(b"ab\r\ncd", 0).unwrap(), (0..2, 4));
        assert_eq!(line(b"ab\ncd\n", 3).unwrap(), (3..5, 6));
        assert!(matches!(line(b"ab", 0), Err(Stop::OpenLine)));
        assert!(matches!(line(b"ab", 7), Err(Stop::OpenLine)));
        let endless = vec![b'x'; LINE_BYTES_MAX];
        assert!(matches!(line(&endless, 0), Err(Stop::Undecodable(_))));
    }
}
