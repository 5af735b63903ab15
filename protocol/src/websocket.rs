//! WebSocket (RFC 6455): an incremental decoder of messages, an encoder of frames, the accept key.
//!
//! The decoder gathers the payloads of a message and unmasks them in place: a payload is copied once,
//! because unmasking changes it. Control frames between fragments are handed out as they come. Lengths are
//! checked in the header, before memory is taken, which grows with the bytes that really came; text is
//! checked as it comes, so that what is not UTF-8 is refused at its first wrong byte.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

/// The longest payload of a control frame, in bytes.
pub const CONTROL_BYTES_MAX: usize = 125;

/// First byte, length of 64 bits, mask.
const HEADER_BYTES_MAX: usize = 14;

/// What a peer said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// A message of text.
    Text(&'a str),
    /// A message of bytes.
    Binary(&'a [u8]),
    /// Wants a pong with the same payload.
    Ping(&'a [u8]),
    /// Answers a ping, or says that it lives.
    Pong(&'a [u8]),
    /// It will send nothing more: a code and a reason, if it gives them.
    Close(Option<(u16, &'a str)>),
}

/// What a frame is, as its first byte says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of a message.
    Continuation = 0,
    /// A message of text, or its first fragment.
    Text = 1,
    /// A message of bytes, or its first fragment.
    Binary = 2,
    /// The end of what the sender sends.
    Close = 8,
    /// A question whether the peer lives.
    Ping = 9,
    /// The answer to it.
    Pong = 10,
}

/// Who sends what is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// Its frames are masked.
    Client,
    /// Its frames are not.
    Server,
}

/// Why a stream cannot be decoded further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Error {
    /// An extension that was not agreed on.
    #[error("WebSocket frame has reserved bits set; no extension was agreed on")]
    ReservedBits,
    /// Not in RFC 6455.
    #[error("WebSocket frame has the unknown opcode {0}")]
    UnknownOpcode(u8),
    /// A client has to mask what it sends.
    #[error("WebSocket frame is not masked; clients mask what they send")]
    NotMasked,
    /// A server must not.
    #[error("WebSocket frame is masked; servers do not mask what they send")]
    Masked,
    /// A control frame is one frame.
    #[error("WebSocket control frame is fragmented")]
    FragmentedControl,
    /// A control frame is short.
    #[error("WebSocket control frame is over the limit of {CONTROL_BYTES_MAX} bytes")]
    ControlTooLong,
    /// The length would have fitted into fewer bytes, or has its first bit set.
    #[error("WebSocket frame has its length in an encoding that is not the shortest")]
    Length,
    /// A continuation without a beginning.
    #[error("WebSocket continuation without a message to continue")]
    NothingToContinue,
    /// A new message before the end of the last.
    #[error("WebSocket message begins before the last one ended")]
    Interrupted,
    /// Text, or the reason of a close, is not UTF-8.
    #[error("WebSocket text is not UTF-8")]
    NotUtf8,
    /// A close with one byte, or a code that nobody may send.
    #[error("WebSocket close has no valid code")]
    CloseCode,
    /// The message is longer than the reader takes.
    #[error("WebSocket message of {message_bytes} bytes is over the limit of {message_bytes_max}")]
    TooLong {
        /// As far as its frames have announced.
        message_bytes: u64,
        /// The reader's limit.
        message_bytes_max: usize,
    },
}

impl Error {
    /// The code with which to close.
    #[must_use]
    pub const fn close_code(&self) -> u16 {
        match self {
            Self::NotUtf8 => 1007,
            Self::TooLong { .. } => 1009,
            _ => 1002,
        }
    }
}

/// Takes one peer's stream apart into messages.
///
/// ```
/// use protocol::websocket::{Decoder, Message, Opcode, Sender, encode};
/// let mut decoder = Decoder::new(Sender::Client, 1024);
/// let wire = encode(Opcode::Text, b"hello", Some([1, 2, 3, 4]));
/// let mut input = &wire[..];
/// assert_eq!(decoder.next(&mut input), Ok(Some(Message::Text("hello"))));
/// assert_eq!(decoder.next(&mut input), Ok(None));
/// ```
#[derive(Debug)]
pub struct Decoder {
    sender: Sender,
    message_bytes_max: usize,
    /// What came of a header.
    header: [u8; HEADER_BYTES_MAX],
    header_bytes: usize,
    /// The frame whose header came.
    frame: Option<Frame>,
    /// What the message is whose first fragment came.
    message: Option<Opcode>,
    /// Its payloads, unmasked.
    payload: Vec<u8>,
    /// How much of it is known to be UTF-8.
    checked_bytes: usize,
    /// `payload` was handed out and is to be freed.
    is_handed_out: bool,
    control: [u8; CONTROL_BYTES_MAX],
    control_bytes: usize,
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    opcode: Opcode,
    is_last: bool,
    mask: [u8; 4],
    /// What of its payload has not come.
    left_bytes: usize,
}

impl Decoder {
    /// A decoder behind the handshake, for messages of up to `message_bytes_max` bytes.
    #[must_use]
    pub const fn new(sender: Sender, message_bytes_max: usize) -> Self {
        Self {
            sender,
            message_bytes_max,
            header: [0; HEADER_BYTES_MAX],
            header_bytes: 0,
            frame: None,
            message: None,
            payload: Vec::new(),
            checked_bytes: 0,
            is_handed_out: false,
            control: [0; CONTROL_BYTES_MAX],
            control_bytes: 0,
        }
    }

    /// The next message, or `None` when `input` is used up. `input` is moved past what was taken.
    ///
    /// # Errors
    /// When the peer breaks the protocol or sends too much: see [`enum@Error`]. The stream is of no more use then.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Message<'_>>, Error> {
        self.release();
        let opcode = loop {
            let Some(frame) = self.take_frame(input)? else {
                return Ok(None);
            };
            if !self.take_payload(frame, input)? {
                return Ok(None);
            }
            self.frame = None;
            if frame.opcode.is_control() {
                break frame.opcode;
            }
            if frame.is_last {
                self.is_handed_out = true;
                break self.message.take().unwrap_or(frame.opcode);
            }
        };
        let control = &self.control[..self.control_bytes];
        Ok(Some(match opcode {
            Opcode::Text => Message::Text(utf8(&self.payload)?),
            Opcode::Binary | Opcode::Continuation => Message::Binary(&self.payload),
            Opcode::Ping => Message::Ping(control),
            Opcode::Pong => Message::Pong(control),
            Opcode::Close => Message::Close(close_of(control)?),
        }))
    }

    /// Gives the memory of the message that was handed out last back.
    pub fn release(&mut self) {
        if std::mem::take(&mut self.is_handed_out) {
            self.payload = Vec::new();
            self.checked_bytes = 0;
        }
    }

    /// Takes another limit, for the frames whose headers have not come.
    pub fn set_message_bytes_max(&mut self, message_bytes_max: usize) {
        self.message_bytes_max = message_bytes_max;
    }

    /// Whether the stream stands inside a frame or between the fragments of a message.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        self.header_bytes > 0 || self.frame.is_some() || self.message.is_some()
    }

    /// Whether a message was begun that further fragments continue.
    #[must_use]
    pub fn is_between_fragments(&self) -> bool {
        self.message.is_some()
    }

    /// How many bytes of memory are kept for a message.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        self.payload.capacity()
    }

    /// The frame in which the stream stands, once its header has come.
    fn take_frame(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, Error> {
        if let Some(frame) = self.frame {
            return Ok(Some(frame));
        }
        if !self.gather_header(input, 2) {
            return Ok(None);
        }
        let (opcode, is_last) = self.check_first(self.header[0], self.header[1])?;
        let length_bytes = match self.header[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask_bytes = if self.sender == Sender::Client { 4 } else { 0 };
        if !self.gather_header(input, 2 + length_bytes + mask_bytes) {
            return Ok(None);
        }
        self.header_bytes = 0;
        let left_bytes = self.check_length(opcode, length_bytes)?;
        let mut mask = [0; 4];
        mask[..mask_bytes].copy_from_slice(&self.header[2 + length_bytes..][..mask_bytes]);
        match opcode {
            Opcode::Continuation => {}
            Opcode::Text | Opcode::Binary => self.message = Some(opcode),
            Opcode::Close | Opcode::Ping | Opcode::Pong => self.control_bytes = 0,
        }
        self.frame = Some(Frame {
            opcode,
            is_last,
            mask,
            left_bytes,
        });
        Ok(self.frame)
    }

    /// Moves bytes from `input` until `bytes` of the header are there; says whether they are.
    fn gather_header(&mut self, input: &mut &[u8], bytes: usize) -> bool {
        let here = input.len().min(bytes.saturating_sub(self.header_bytes));
        let (taken, rest) = input.split_at(here);
        self.header[self.header_bytes..][..here].copy_from_slice(taken);
        self.header_bytes += here;
        *input = rest;
        self.header_bytes >= bytes
    }

    /// What the first two bytes say, if they may come now.
    fn check_first(&self, first: u8, second: u8) -> Result<(Opcode, bool), Error> {
        let is_last = first & 0x80 != 0;
        if first & 0x70 != 0 {
            return Err(Error::ReservedBits);
        }
        let opcode = Opcode::parse(first & 0x0f)?;
        match (self.sender, second & 0x80 != 0) {
            (Sender::Client, false) => return Err(Error::NotMasked),
            (Sender::Server, true) => return Err(Error::Masked),
            _ => {}
        }
        match opcode {
            _ if opcode.is_control() && !is_last => Err(Error::FragmentedControl),
            _ if opcode.is_control() && second & 0x7f > 125 => Err(Error::ControlTooLong),
            Opcode::Continuation if self.message.is_none() => Err(Error::NothingToContinue),
            Opcode::Text | Opcode::Binary if self.message.is_some() => Err(Error::Interrupted),
            _ => Ok((opcode, is_last)),
        }
    }

    /// The length of the payload, if it may be so long.
    fn check_length(&self, opcode: Opcode, length_bytes: usize) -> Result<usize, Error> {
        let extended = self.header[2..][..length_bytes].iter();
        let extended = extended.fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        let (bytes, least) = match length_bytes {
            0 => (u64::from(self.header[1] & 0x7f), 0),
            2 => (extended, 126),
            _ => (extended, 1 << 16),
        };
        if bytes < least || bytes >> 63 != 0 {
            return Err(Error::Length);
        }
        let before = match opcode {
            Opcode::Continuation => self.payload.len() as u64,
            _ => 0,
        };
        let message_bytes = before + bytes;
        let is_too_long = message_bytes > self.message_bytes_max as u64;
        usize::try_from(bytes)
            .ok()
            .filter(|_| opcode.is_control() || !is_too_long)
            .ok_or(Error::TooLong {
                message_bytes,
                message_bytes_max: self.message_bytes_max,
            })
    }

    /// Takes what `input` has of the payload of `frame`; says whether that was all.
    fn take_payload(&mut self, mut frame: Frame, input: &mut &[u8]) -> Result<bool, Error> {
        let (taken, rest) = input.split_at(input.len().min(frame.left_bytes));
        *input = rest;
        let new = if frame.opcode.is_control() {
            let new = &mut self.control[self.control_bytes..][..taken.len()];
            new.copy_from_slice(taken);
            self.control_bytes += taken.len();
            new
        } else {
            let begin = self.payload.len();
            self.payload.extend_from_slice(taken);
            &mut self.payload[begin..]
        };
        unmask(new, frame.mask);
        frame.mask.rotate_left(taken.len() % 4);
        frame.left_bytes -= taken.len();
        self.frame = Some(frame);
        let is_whole = frame.left_bytes == 0;
        let ends_message = is_whole && frame.is_last;
        if self.message == Some(Opcode::Text) && !frame.opcode.is_control() && !ends_message {
            self.check_text()?;
        }
        Ok(is_whole)
    }

    /// Refuses text that no further bytes can make UTF-8.
    fn check_text(&mut self) -> Result<(), Error> {
        let new = &self.payload[self.checked_bytes..];
        self.checked_bytes += match str::from_utf8(new) {
            Ok(_) => new.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => return Err(Error::NotUtf8),
        };
        Ok(())
    }
}

impl Opcode {
    const fn parse(opcode: u8) -> Result<Self, Error> {
        Ok(match opcode {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return Err(Error::UnknownOpcode(opcode)),
        })
    }

    const fn is_control(self) -> bool {
        self as u8 & 8 != 0
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, Error> {
    str::from_utf8(bytes).map_err(|_| Error::NotUtf8)
}

/// What a Close frame says.
fn close_of(payload: &[u8]) -> Result<Option<(u16, &str)>, Error> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return match payload {
            [] => Ok(None),
            _ => Err(Error::CloseCode),
        };
    };
    let code = u16::from_be_bytes(*code);
    match code {
        1000..=1003 | 1007..=1014 | 3000..=4999 => Ok(Some((code, utf8(reason)?))),
        _ => Err(Error::CloseCode),
    }
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    for chunk in payload.chunks_mut(4) {
        for (byte, mask) in chunk.iter_mut().zip(mask) {
            *byte ^= mask;
        }
    }
}

/// One frame that is a whole message, or a whole control frame. Clients mask what they send, with a mask
/// that nobody can foretell.
#[must_use]
pub fn encode(opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) -> Bytes {
    let mut wire = BytesMut::with_capacity(HEADER_BYTES_MAX + payload.len());
    put_header(&mut wire, 0x80 | opcode as u8, payload.len(), mask);
    let begin = wire.len();
    wire.put_slice(payload);
    if let Some(mask) = mask {
        unmask(&mut wire[begin..], mask);
    }
    wire.freeze()
}

/// A Close frame. Of `reason` goes out what fits.
#[must_use]
pub fn encode_close(code: u16, reason: &str, mask: Option<[u8; 4]>) -> Bytes {
    let mut payload = BytesMut::with_capacity(CONTROL_BYTES_MAX);
    payload.put_u16(code);
    let end = reason.floor_char_boundary(CONTROL_BYTES_MAX - 2);
    payload.put_slice(&reason.as_bytes()[..end]);
    encode(Opcode::Close, &payload, mask)
}

fn put_header(wire: &mut BytesMut, first: u8, payload_bytes: usize, mask: Option<[u8; 4]>) {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    wire.put_u8(first);
    match (u8::try_from(payload_bytes), u16::try_from(payload_bytes)) {
        (Ok(bytes @ ..126), _) => wire.put_u8(masked | bytes),
        (_, Ok(bytes)) => {
            wire.put_u8(masked | 126);
            wire.put_u16(bytes);
        }
        _ => {
            wire.put_u8(masked | 127);
            wire.put_u64(payload_bytes as u64);
        }
    }
    wire.put_slice(mask.as_ref().map_or(&[], |mask| &mask[..]));
}

/// How long the frame is that `wire` begins with, which is not masked; `None` while its header is not whole.
#[must_use]
pub fn frame_bytes(wire: &[u8]) -> Option<usize> {
    let length = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0, |sum, &byte| sum << 8 | usize::from(byte))
    };
    Some(match *wire.get(1)? {
        126 => 4 + length(wire.get(2..4)?),
        127 => 10 + length(wire.get(2..10)?),
        bytes => 2 + usize::from(bytes),
    })
}

/// What a server answers to the key of a handshake; `None` where that is not 16 bytes in base64.
#[must_use]
pub fn accept_key(key: &str) -> Option<String> {
    STANDARD.decode(key).ok().filter(|key| key.len() == 16)?;
    let text = [key, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat();
    Some(STANDARD.encode(sha1_smol::Sha1::from(text).digest().bytes()))
}
