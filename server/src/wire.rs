//! Wires: the protocols that one port speaks, between the bytes of a connection and what they mean.
//!
//! The first byte of a connection decides which it is. An [`Input`] takes the bytes of one peer and hands
//! out [`Event`]s, a frames message as a slice of what was read; [`output`] words what peers are sent. All of
//! it is bytes in and bytes out: no sockets, no clock, and no type of the hub.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod http;
mod output;
mod page;
mod web;

use bytes::Bytes;
use protocol::json::ObjectError;
use protocol::websocket;
use protocol::{DecodeError, Decoder, HeaderError, NameError, Position, text};
use thiserror::Error;

use web::Web;

pub(crate) use output::{Code, Entry, accepted, encode, first_message_bytes, joined, missed, ping};

/// How messages are encoded for a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Encoding {
    /// Two frames a message: the name and the text.
    Frames,
    /// A WebSocket text message of one JSON object.
    WebSocket,
    /// A server-sent event.
    Events,
}

impl Encoding {
    /// All of them, in the order of their index.
    pub(crate) const ALL: [Self; 3] = [Self::Frames, Self::WebSocket, Self::Events];
}

/// What peers may do, as far as their bytes say; the same for all connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Longest name.
    pub(crate) name_bytes_max: usize,
    /// Longest message.
    pub(crate) message_bytes_max: usize,
    /// Whether `/` is the chat page.
    pub(crate) has_page: bool,
    /// Origins, beside the server's own, whose pages may connect, as `https://chat.example`; `*` is any.
    pub(crate) origins: Vec<String>,
}

/// What a peer said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// It wants to be sent messages. [`Input::encoding`] says how from now on.
    Join {
        /// Its name, which [`text::name`] takes.
        name: &'a str,
        /// The last position that it has.
        after: Option<Position>,
        /// Goes out before [`joined`] and all else; may be empty.
        reply: Bytes,
    },
    /// It says something.
    Message {
        /// Not checked to be UTF-8.
        text: &'a [u8],
        /// The peer asks for [`accepted`] with this number.
        id: Option<u64>,
    },
    /// One that is no subscriber says something. The answer is [`Input::posted`] or [`Input::closing`].
    Post {
        /// As of [`Self::Join`].
        name: &'a str,
        /// Not checked to be UTF-8.
        text: &'a [u8],
        /// Another request may follow on this connection; else it is closed in order after the answer.
        keep_alive: bool,
    },
    /// It has to be answered; nothing, where `bytes` is empty.
    Reply {
        /// What goes out, at the next end of a message.
        bytes: Bytes,
        /// Whether the connection is closed in order after it.
        end: End,
    },
    /// It says that it leaves: the answer goes out, then the connection is closed in order.
    Left {
        /// What goes out.
        reply: Bytes,
    },
}

/// Whether a connection ends with a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It goes on.
    No,
    /// All that was asked for is answered.
    Served,
    /// What was asked for is refused with this status of HTTP.
    Refused(u16),
}

/// Why nothing more is taken from a peer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Fault {
    /// Ten bytes that are not a header.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A name that may not be taken.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A message over the limit.
    #[error("message of {payload_bytes} bytes is over the limit of {payload_bytes_max}")]
    TooLong {
        /// Its length.
        payload_bytes: u64,
        /// The limit.
        payload_bytes_max: usize,
    },
    /// What WebSocket does not allow.
    #[error(transparent)]
    WebSocket(#[from] websocket::Error),
    /// A WebSocket message of bytes.
    #[error("binary messages are not taken; send JSON as text, such as {{\"text\":\"hi\"}}")]
    Binary,
    /// A WebSocket message that is no object.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// A first object that names nobody, or says something already.
    #[error("first say who you are, and nothing else: {{\"name\":\"ann\"}}")]
    NoName,
    /// An object that says nothing.
    #[error("a message has a text: {{\"text\":\"hi\"}}")]
    NoText,
    /// The beginning of TLS.
    #[error("no TLS is spoken on this port; connect without it")]
    Tls,
}

/// What came from one peer and is not taken yet. A value that is not whole keeps its bytes here.
#[derive(Debug)]
pub(crate) struct Input {
    wire: Wire,
    /// Of frames.
    decoder: Decoder,
}

#[derive(Debug)]
enum Wire {
    /// Nothing came yet.
    New,
    /// Frames; the first is the name.
    Naming,
    /// The name was handed out, and may still lie in the decoder.
    Named,
    /// Every frame is a message.
    Frames,
    /// HTTP, and what it leads to.
    Web(Box<Web>),
    /// TLS, which is not spoken here.
    Tls,
    /// Nothing more is taken.
    Ended(Encoding),
}

impl Input {
    /// A connection of which nothing has come.
    pub(crate) const fn new() -> Self {
        Self {
            wire: Wire::New,
            decoder: Decoder::new(0),
        }
    }

    /// The next thing that the peer says, or `None` when `bytes` is used up. `bytes` is moved past what was
    /// taken. As long as some are left, there may be more; none is handed out without any.
    #[inline]
    pub(crate) fn next<'d, 'i: 'd>(
        &'d mut self,
        bytes: &mut &'i [u8],
        rules: &Rules,
    ) -> Result<Option<Event<'d>>, Fault> {
        if !matches!(self.wire, Wire::Frames) {
            return self.next_of_others(bytes, rules);
        }
        message_of_frames(&mut self.decoder, bytes)
    }

    fn next_of_others<'d, 'i: 'd>(
        &'d mut self,
        bytes: &mut &'i [u8],
        rules: &Rules,
    ) -> Result<Option<Event<'d>>, Fault> {
        if let Wire::New = self.wire
            && let Some(first) = bytes.first()
        {
            self.begin(*first, rules);
        }
        let wire = &mut self.wire;
        match wire {
            Wire::New => Ok(None),
            Wire::Web(web) => web.next(bytes, rules),
            Wire::Tls => Err(Fault::Tls),
            Wire::Naming => {
                let Some(payload) = self.decoder.next(bytes).map_err(of_name)? else {
                    return Ok(None);
                };
                *wire = Wire::Named;
                Ok(Some(Event::Join {
                    name: text::name(payload, rules.name_bytes_max)?,
                    after: None,
                    reply: Bytes::new(),
                }))
            }
            Wire::Named => {
                self.decoder = Decoder::new(rules.message_bytes_max);
                *wire = Wire::Frames;
                message_of_frames(&mut self.decoder, bytes)
            }
            Wire::Frames => message_of_frames(&mut self.decoder, bytes),
            Wire::Ended(_) => {
                *bytes = &[];
                Ok(None)
            }
        }
    }

    /// The first byte decides; what is of no protocol is refused as a header of frames.
    fn begin(&mut self, first: u8, rules: &Rules) {
        const CLIENT_HELLO: u8 = 0x16;
        self.wire = match first {
            b'A'..=b'Z' => Wire::Web(Box::new(Web::new())),
            CLIENT_HELLO => Wire::Tls,
            _ => {
                self.decoder = Decoder::new(rules.name_bytes_max);
                Wire::Naming
            }
        };
    }

    /// Whether the next event may be a message or a post, which need room. Each event may change it.
    #[inline]
    pub(crate) const fn may_be_message(&self) -> bool {
        match &self.wire {
            Wire::Frames | Wire::Named => true,
            Wire::Web(web) => web.may_be_message(),
            Wire::New | Wire::Naming | Wire::Tls | Wire::Ended(_) => false,
        }
    }

    /// Whether the peer owes the rest of something that it began: a frame, a request, a handshake.
    #[inline]
    pub(crate) fn is_unfinished(&self) -> bool {
        match &self.wire {
            Wire::Web(web) => web.is_unfinished(),
            _ => self.decoder.is_mid_frame(),
        }
    }

    /// Whether the peer is between two fragments of a message, where it may say something else.
    #[inline]
    pub(crate) fn is_between_fragments(&self) -> bool {
        match &self.wire {
            Wire::Web(web) => web.is_between_fragments(),
            _ => false,
        }
    }

    /// How many bytes of memory are kept for what came and is not handed out.
    #[inline]
    pub(crate) fn kept_bytes(&self) -> usize {
        match &self.wire {
            Wire::Web(web) => web.kept_bytes(),
            _ => self.decoder.kept_bytes(),
        }
    }

    /// How long the message is of which the beginning came under the rules of that time; 0 where there is
    /// none.
    pub(crate) fn unfinished_message_bytes(&self) -> usize {
        match &self.wire {
            Wire::Frames => self.decoder.unfinished_payload_bytes(),
            Wire::Web(web) => web.unfinished_message_bytes(),
            _ => 0,
        }
    }

    /// How messages are encoded for this peer, once it has joined.
    #[inline]
    pub(crate) fn encoding(&self) -> Encoding {
        match &self.wire {
            Wire::Ended(encoding) => *encoding,
            Wire::Web(web) => web.encoding().unwrap_or(Encoding::Frames),
            _ => Encoding::Frames,
        }
    }

    /// Whether the peer speaks HTTP, or what that led to.
    pub(crate) const fn is_web(&self) -> bool {
        matches!(self.wire, Wire::Web(_))
    }

    /// Takes other limits. A message that was begun under the old ones goes to its end.
    pub(crate) fn set_rules(&mut self, rules: &Rules) {
        match self.wire {
            Wire::Frames => self.decoder.set_payload_bytes_max(rules.message_bytes_max),
            Wire::Naming => self.decoder.set_payload_bytes_max(rules.name_bytes_max),
            Wire::New | Wire::Named | Wire::Web(_) | Wire::Tls | Wire::Ended(_) => {}
        }
    }

    /// Gives back the memory of the event that was handed out last. To be called when `bytes` was taken.
    #[inline]
    pub(crate) fn release_event(&mut self) {
        if let Wire::Web(web) = &mut self.wire {
            web.release_event();
        }
    }

    /// Nothing more is taken from the peer: gives the memory back.
    pub(crate) fn end(&mut self) {
        self.wire = Wire::Ended(self.encoding());
        self.decoder = Decoder::new(0);
    }

    /// The last that the peer is told, in its own protocol: why the connection is closed. To be asked for
    /// before [`Self::end`].
    pub(crate) fn closing(&self, code: Code, reason: &str) -> Bytes {
        /// A fatal alert: `handshake_failure` (RFC 5246, 7.2).
        const ALERT: &[u8] = &[0x15, 3, 1, 0, 2, 2, 40];
        match &self.wire {
            Wire::Web(web) => web.closing(code, reason),
            Wire::Tls => Bytes::from_static(ALERT),
            _ => output::closing(self.encoding(), code, reason),
        }
    }

    /// The answer to the last [`Event::Post`]: the message lies before `position`.
    pub(crate) fn posted(&mut self, position: Position) -> Bytes {
        match &mut self.wire {
            Wire::Web(web) => web.posted(position),
            _ => unreachable!("only HTTP posts"),
        }
    }
}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Header(error) => Self::Header(error),
            DecodeError::TooLong {
                payload_bytes,
                payload_bytes_max,
            } => Self::TooLong {
                payload_bytes,
                payload_bytes_max,
            },
        }
    }
}

#[inline]
fn message_of_frames<'d, 'i: 'd>(
    decoder: &'d mut Decoder,
    bytes: &mut &'i [u8],
) -> Result<Option<Event<'d>>, Fault> {
    let text = decoder.next(bytes)?;
    Ok(text.map(|text| Event::Message { text, id: None }))
}

/// A first frame over the limit is a name that is too long.
fn of_name(error: DecodeError) -> Fault {
    match error {
        DecodeError::TooLong {
            payload_bytes,
            payload_bytes_max,
        } => Fault::Name(NameError::TooLong {
            name_bytes: usize::try_from(payload_bytes).unwrap_or(usize::MAX),
            name_bytes_max: payload_bytes_max,
        }),
        DecodeError::Header(error) => Fault::Header(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        name_bytes_max: 8,
        message_bytes_max: 16,
        has_page: true,
        origins: Vec::new(),
    };

    #[test]
    fn frames_are_a_name_and_then_messages() {
        let mut input = Input::new();
        let mut bytes = &b"3         ann5         hello0         "[..];
        let join = Event::Join {
            name: "ann",
            after: None,
            reply: Bytes::new(),
        };
        assert!(!input.may_be_message());
        assert_eq!(input.next(&mut bytes, &RULES), Ok(Some(join)));
        for text in [&b"hello"[..], b""] {
            assert!(input.may_be_message());
            let message = Event::Message { text, id: None };
            assert_eq!(input.next(&mut bytes, &RULES), Ok(Some(message)));
        }
        assert_eq!(input.next(&mut bytes, &RULES), Ok(None));
        assert_eq!(input.encoding(), Encoding::Frames);
        let mut bytes = &b"17        "[..];
        let fault = input.next(&mut bytes, &RULES).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "message of 17 bytes is over the limit of 16"
        );
    }

    #[test]
    fn the_first_byte_decides() {
        let told = |mut bytes: &[u8]| {
            let mut input = Input::new();
            let fault = input.next(&mut bytes, &RULES).unwrap_err().to_string();
            (input.closing(Code::Malformed, &fault), fault)
        };
        let (alert, fault) = told(b"\x16\x03\x01\x02\x00");
        assert_eq!(&alert[..], [0x15, 3, 1, 0, 2, 2, 40]);
        assert!(fault.contains("no TLS"), "{fault}");
        let (notice, fault) = told(b"hello, you there");
        assert_eq!(fault, "header byte 1 is 'h', not a digit or a space");
        assert!(notice.starts_with(b"8         *server*"), "{notice:?}");
        let mut input = Input::new();
        let refused = input.next(&mut &b"HELLO\r\n"[..], &RULES);
        let is_refused = |event: &Event<'_>| {
            matches!(
                event,
                Event::Reply {
                    end: End::Refused(400),
                    ..
                }
            )
        };
        assert!(refused.unwrap().as_ref().is_some_and(is_refused));
    }
}
