//! The incremental decoder: takes a byte stream apart into payloads, however it was cut.
//!
//! A frame that lies whole in the input is handed out as a slice of the input, without a copy.
//! Only a frame that the input cuts is gathered in a buffer, which grows with the bytes that really
//! came (never with what a header promises) and is given back with the frame.

use thiserror::Error;

use crate::header::{self, HEADER_BYTES, HeaderError};

/// Takes one peer's byte stream apart into frames.
///
/// ```
/// let mut decoder = protocol::Decoder::new(1024);
/// let mut input: &[u8] = b"3         ann5         hel";
/// assert_eq!(decoder.next(&mut input), Ok(Some(&b"ann"[..])));
/// assert_eq!(decoder.next(&mut input), Ok(None));
/// let mut input: &[u8] = b"lo";
/// assert_eq!(decoder.next(&mut input), Ok(Some(&b"hello"[..])));
/// ```
#[derive(Debug)]
pub struct Decoder {
    payload_bytes_max: usize,
    state: State,
    /// What came of a header or a payload that the input cut; empty between frames.
    gathered: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waiting for the (rest of the) header.
    Header,
    /// Waiting for the (rest of the) payload.
    Payload { bytes: usize },
    /// `gathered` holds a payload that was handed out and is to be freed.
    HandedOut,
    /// Throwing away a payload that was over the limit.
    Skip { bytes: u64 },
}

/// Why a stream cannot be decoded further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The stream has lost its frame boundaries; nothing after this can be trusted.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The frame is longer than the reader takes. [`Decoder::skip`] steps over it.
    #[error("message of {payload_bytes} bytes is over the limit of {payload_bytes_max}")]
    TooLong {
        /// What the header announced.
        payload_bytes: u64,
        /// The reader's limit.
        payload_bytes_max: usize,
    },
}

impl Decoder {
    /// A decoder at the beginning of a stream, for payloads of up to `payload_bytes_max` bytes.
    #[must_use]
    pub const fn new(payload_bytes_max: usize) -> Self {
        Self {
            payload_bytes_max,
            state: State::Header,
            gathered: Vec::new(),
        }
    }

    /// The next payload, or `None` when `input` is used up. `input` is moved past what was taken.
    ///
    /// # Errors
    /// A malformed header or a frame over the limit. The payload of neither was taken from `input`.
    /// After a [`DecodeError::Header`] the stream is of no more use.
    #[inline]
    pub fn next<'d, 'i: 'd>(
        &'d mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<&'d [u8]>, DecodeError> {
        match self.whole(input)? {
            Some(payload) => Ok(Some(payload)),
            None => self.next_of_pieces(input),
        }
    }

    /// The next payload if it lies whole in `input` with its header. Hot: once per frame.
    #[inline]
    fn whole<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<&'i [u8]>, DecodeError> {
        if self.state != State::Header || !self.gathered.is_empty() {
            return Ok(None);
        }
        let Some((header, rest)) = input.split_first_chunk() else {
            return Ok(None);
        };
        *input = rest;
        let bytes = self.check(header::parse(header)?)?;
        let Some((payload, rest)) = rest.split_at_checked(bytes) else {
            self.state = State::Payload { bytes };
            return Ok(None);
        };
        *input = rest;
        Ok(Some(payload))
    }

    /// The next payload, from the state in which earlier input left the stream.
    fn next_of_pieces<'d, 'i: 'd>(
        &'d mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<&'d [u8]>, DecodeError> {
        loop {
            match self.state {
                State::HandedOut => {
                    self.gathered = Vec::new();
                    self.state = State::Header;
                }
                State::Skip { bytes } => {
                    let here = input
                        .len()
                        .min(usize::try_from(bytes).unwrap_or(usize::MAX));
                    *input = &input[here..];
                    match bytes - here as u64 {
                        0 => self.state = State::Header,
                        bytes => {
                            self.state = State::Skip { bytes };
                            return Ok(None);
                        }
                    }
                }
                State::Header => {
                    let Some(header) = self.take_header(input) else {
                        return Ok(None);
                    };
                    let bytes = self.check(header::parse(&header)?)?;
                    self.state = State::Payload { bytes };
                }
                State::Payload { bytes } if self.gathered.is_empty() && input.len() >= bytes => {
                    let (payload, rest) = input.split_at(bytes);
                    *input = rest;
                    self.state = State::Header;
                    return Ok(Some(payload));
                }
                State::Payload { bytes } => {
                    if !self.gather(input, bytes) {
                        return Ok(None);
                    }
                    self.state = State::HandedOut;
                    return Ok(Some(&self.gathered));
                }
            }
        }
    }

    /// After [`DecodeError::TooLong`]: steps over that payload, so that the next call of
    /// [`Self::next`] goes on behind it.
    pub fn skip(&mut self, payload_bytes: u64) {
        debug_assert_eq!(self.state, State::Header, "only a refused frame is skipped");
        self.state = State::Skip {
            bytes: payload_bytes,
        };
    }

    /// Takes another limit. A frame whose header was taken under the old one goes to its end.
    pub fn set_payload_bytes_max(&mut self, payload_bytes_max: usize) {
        self.payload_bytes_max = payload_bytes_max;
    }

    /// How long the payload is in which the stream stands; 0 when it stands in none.
    #[must_use]
    pub fn unfinished_payload_bytes(&self) -> usize {
        match self.state {
            State::Payload { bytes } => bytes,
            State::Header | State::HandedOut | State::Skip { .. } => 0,
        }
    }

    /// How many bytes of memory the decoder keeps for what came of an unfinished frame.
    #[must_use]
    #[inline]
    pub fn kept_bytes(&self) -> usize {
        self.gathered.capacity()
    }

    /// Whether the stream stands inside a frame: an end here leaves a partial frame.
    #[must_use]
    pub fn is_mid_frame(&self) -> bool {
        match self.state {
            State::Header => !self.gathered.is_empty(),
            State::Payload { .. } | State::Skip { .. } => true,
            State::HandedOut => false,
        }
    }

    /// The whole header, from the input alone or together with what was gathered before.
    fn take_header(&mut self, input: &mut &[u8]) -> Option<[u8; HEADER_BYTES]> {
        if self.gathered.is_empty()
            && let Some((header, rest)) = input.split_first_chunk()
        {
            *input = rest;
            return Some(*header);
        }
        if !self.gather(input, HEADER_BYTES) {
            return None;
        }
        let header = self.gathered.as_slice().try_into().ok();
        self.gathered.clear();
        header
    }

    /// Moves bytes from `input` until `bytes` are gathered; says whether they are.
    fn gather(&mut self, input: &mut &[u8], bytes: usize) -> bool {
        let here = input.len().min(bytes - self.gathered.len());
        let (taken, rest) = input.split_at(here);
        self.gathered.extend_from_slice(taken);
        *input = rest;
        self.gathered.len() == bytes
    }

    fn check(&self, payload_bytes: u64) -> Result<usize, DecodeError> {
        usize::try_from(payload_bytes)
            .ok()
            .filter(|&bytes| bytes <= self.payload_bytes_max)
            .ok_or(DecodeError::TooLong {
                payload_bytes,
                payload_bytes_max: self.payload_bytes_max,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_frame_is_a_slice_of_the_input() {
        let wire = crate::frame::encode(b"hello");
        let mut decoder = Decoder::new(5);
        let mut input = &wire[..];
        let payload = decoder.next(&mut input).unwrap().unwrap();
        assert_eq!(payload.as_ptr(), wire[HEADER_BYTES..].as_ptr());
    }

    #[test]
    fn memory_follows_the_bytes_that_came_and_not_the_promise() {
        let mut decoder = Decoder::new(1 << 30);
        assert_eq!(decoder.next(&mut &b"1000000000abc"[..]), Ok(None));
        assert!(decoder.gathered.capacity() < 1024);
    }

    #[test]
    fn nothing_is_held_between_frames() {
        let mut decoder = Decoder::new(100);
        assert_eq!(decoder.next(&mut &b"5         he"[..]), Ok(None));
        assert!(decoder.is_mid_frame());
        let mut input = &b"llo"[..];
        assert_eq!(decoder.next(&mut input), Ok(Some(&b"hello"[..])));
        assert_eq!(decoder.next(&mut input), Ok(None));
        assert_eq!(decoder.gathered.capacity(), 0);
        assert!(!decoder.is_mid_frame());
    }

    #[test]
    fn an_empty_payload_is_a_frame() {
        let mut decoder = Decoder::new(0);
        let mut input = &b"0         0"[..];
        assert_eq!(decoder.next(&mut input), Ok(Some(&b""[..])));
        assert_eq!(decoder.next(&mut input), Ok(None));
        assert!(decoder.is_mid_frame());
    }

    #[test]
    fn another_limit_holds_from_the_next_header_on() {
        let mut decoder = Decoder::new(5);
        assert_eq!(decoder.next(&mut &b"5         he"[..]), Ok(None));
        decoder.set_payload_bytes_max(4);
        assert_eq!(decoder.unfinished_payload_bytes(), 5);
        let mut input = &b"llo5         again"[..];
        assert_eq!(decoder.next(&mut input), Ok(Some(&b"hello"[..])));
        assert!(decoder.next(&mut input).is_err());
        assert_eq!(decoder.unfinished_payload_bytes(), 0);
    }

    #[test]
    fn a_frame_over_the_limit_is_named_and_can_be_stepped_over() {
        let mut decoder = Decoder::new(4);
        let mut input = &b"5         hello2         ok"[..];
        let error = decoder.next(&mut input).unwrap_err();
        assert_eq!(
            error.to_string(),
            "message of 5 bytes is over the limit of 4"
        );
        decoder.skip(5);
        assert_eq!(decoder.next(&mut input), Ok(Some(&b"ok"[..])));
    }
}
