//! Packets: a stream taken apart, however it was cut.
//!
//! A protocol says by its scan what lies at the head of some bytes, or how much of it is missing. A
//! packet that lies whole in what was read is not copied; one that was partial by the end of a read is
//! put together first, and no more is copied than it needs. What is kept is at most one packet.

use std::marker::PhantomData;
use std::ops::Range;

use record::Protocol;

use super::codec::{Codec, Hello, PAYLOAD_BYTES_MAX, Publish, Undecodable};
use super::identity::{Arrival, Identity};

/// The longest line that is no payload.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// What a buffer for partial packets may keep of its size when it is empty.
const KEPT_BYTES_MAX: usize = 16 * 1024;

/// What ends a line.
pub(super) const LINE_END: &[u8] = b"\r\n";

/// A protocol whose stream is a row of packets.
pub(crate) trait Scan {
    const PROTOCOL: Protocol;

    /// What a packet means.
    type Kind;

    /// What lies at the head of `bytes`, which are never none. Hot: once per delivery.
    ///
    /// # Errors
    /// What is missing, or wrong.
    fn scan(bytes: &[u8]) -> Result<Packet<Self::Kind>, Stop>;

    /// What came breaks the protocol, of which `what` holds.
    fn malformed(what: &'static str) -> Stop {
        let protocol = Self::PROTOCOL;
        Stop::Undecodable(Undecodable::Malformed { protocol, what })
    }
}

/// The protocol of a broker: what a client writes, and what packets it reads.
pub(crate) trait Broker: Scan<Kind = Kind> {
    /// The answer to a packet of the kind [`Kind::Ping`]; empty where the broker never asks.
    const PONG: &'static [u8] = b"";

    /// Appends what a client says first; it is answered by a packet of the kind [`Kind::Joined`].
    fn put_hello(out: &mut Vec<u8>, hello: &Hello<'_>);

    /// Appends a message.
    fn put_payload(out: &mut Vec<u8>, identity: &Identity, said: &Publish<'_>);
}

/// What one client hears, taken apart.
#[derive(Debug)]
pub(crate) struct Packets<S> {
    /// The beginning of a packet whose end has not come, or one that has been given out.
    partial: Vec<u8>,
    is_given_out: bool,
    protocol: PhantomData<S>,
}

/// A whole packet at the head of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet<K> {
    pub(super) kind: K,
    /// Its length.
    pub(super) bytes: usize,
    /// Where in it the message or the text lies.
    pub(super) body: Range<usize>,
}

/// What a packet of a broker means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Message,
    Joined,
    Ping,
    /// The server says what is in the body.
    Notice,
    /// The server says this by a code.
    Code(&'static str),
    Chatter,
}

/// What a packet means and its body, or `None` if there is no whole one.
pub(super) type Taken<'a, K> = Option<(K, &'a [u8])>;

/// Why there is no whole packet.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It has so many bytes, or more.
    AtLeast(usize),
    /// A line of it has not ended.
    OpenLine,
    Undecodable(Undecodable),
}

impl<B: Broker> Codec for Packets<B> {
    fn put_hello(out: &mut Vec<u8>, hello: &Hello<'_>) {
        B::put_hello(out, hello);
    }

    fn put_payload(out: &mut Vec<u8>, identity: &Identity, said: &Publish<'_>) {
        B::put_payload(out, identity, said);
    }

    fn next<'d, 'i: 'd>(
        &'d mut self,
        input: &mut &'i [u8],
        identity: &Identity,
    ) -> Result<Option<Arrival<'d>>, Undecodable> {
        let packet = self.packet(input)?;
        Ok(packet.map(|(kind, body)| match kind {
            Kind::Message => identity.judge_nameless(body),
            Kind::Joined => Arrival::Joined,
            Kind::Ping => Arrival::Asked(B::PONG),
            Kind::Notice => Arrival::Notice(body),
            Kind::Code(text) => Arrival::Notice(text.as_bytes()),
            Kind::Chatter => Arrival::Chatter,
        }))
    }

    fn is_mid_message(&self) -> bool {
        self.is_partial()
    }
}

impl<S: Scan> Packets<S> {
    /// At the beginning of a stream.
    pub(crate) const fn new() -> Self {
        Self {
            partial: Vec::new(),
            is_given_out: false,
            protocol: PhantomData,
        }
    }

    /// The next packet in `input`, with its body, or `None` when that is used up.
    ///
    /// # Errors
    /// What breaks the protocol.
    pub(super) fn packet<'d, 'i: 'd>(
        &'d mut self,
        input: &mut &'i [u8],
    ) -> Result<Taken<'d, S::Kind>, Undecodable> {
        if self.is_given_out {
            self.is_given_out = false;
            self.partial.clear();
            self.partial.shrink_to(KEPT_BYTES_MAX);
        }
        if input.is_empty() {
            return Ok(None);
        }
        if self.partial.is_empty() {
            return match S::scan(input) {
                Ok(packet) => {
                    let (whole, rest) = input.split_at(packet.bytes);
                    *input = rest;
                    Ok(Some((packet.kind, &whole[packet.body])))
                }
                Err(Stop::Undecodable(error)) => Err(error),
                Err(Stop::AtLeast(_) | Stop::OpenLine) => {
                    self.partial.extend_from_slice(std::mem::take(input));
                    Ok(None)
                }
            };
        }
        let Some(packet) = self.complete(input)? else {
            return Ok(None);
        };
        self.is_given_out = true;
        Ok(Some((packet.kind, &self.partial[packet.body])))
    }

    /// Whether the stream stands inside a packet.
    pub(super) fn is_partial(&self) -> bool {
        !self.partial.is_empty() && !self.is_given_out
    }

    /// Adds what the partial packet is missing.
    fn complete(&mut self, input: &mut &[u8]) -> Result<Option<Packet<S::Kind>>, Undecodable> {
        loop {
            let missing_bytes = match S::scan(&self.partial) {
                Ok(packet) => return Ok(Some(packet)),
                Err(Stop::Undecodable(error)) => return Err(error),
                Err(Stop::AtLeast(bytes)) => bytes.saturating_sub(self.partial.len()).max(1),
                Err(Stop::OpenLine) => {
                    let end = input.iter().position(|&byte| byte == b'\n');
                    end.map_or(input.len(), |at| at + 1)
                }
            };
            if input.is_empty() {
                return Ok(None);
            }
            let (more, rest) = input.split_at(missing_bytes.min(input.len()));
            self.partial.extend_from_slice(more);
            *input = rest;
        }
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

/// Where a payload of `payload_bytes` that begins at `from` lies, if all of it has come.
pub(super) fn payload(
    bytes: &[u8],
    from: usize,
    payload_bytes: usize,
) -> Result<Range<usize>, Stop> {
    followed_payload(bytes, from, payload_bytes, 0)
}

/// Where a payload of `payload_bytes` that begins at `from` and ends a line lies, and where the next
/// line begins.
pub(super) fn payload_line<S: Scan>(
    bytes: &[u8],
    from: usize,
    payload_bytes: usize,
) -> Result<(Range<usize>, usize), Stop> {
    let payload = followed_payload(bytes, from, payload_bytes, LINE_END.len())?;
    let end = payload.end + LINE_END.len();
    if bytes[payload.end..end] != *LINE_END {
        return Err(S::malformed("a payload ends with its line"));
    }
    Ok((payload, end))
}

/// Where the payload lies, if all of it and of the `tail_bytes` behind it has come.
fn followed_payload(
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
