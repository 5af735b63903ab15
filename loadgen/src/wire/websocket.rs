//! WebSocket (RFC 6455) as a client: frames of its own, masked; those of a server, whole or in fragments.
//!
//! With uringcast a message is a JSON object, and a client has joined when it is told so. With any other
//! server it is whatever its `Dialect` says, and a client counts as joined once the kernel has what it says
//! first. A server's frames are not masked and are the same for all receivers, so they are known again by
//! their bytes; only the first receiver's are decoded.
//!
//! The code for this is small, and tungstenite would copy each message and keep buffers for each of
//! thousands of connections.

use protocol::Position;
use protocol::json::ServerObject;
use record::Protocol;

use super::codec::{Codec, Hello, PAYLOAD_BYTES_MAX, Publish, Undecodable};
use super::http::{self, ANSWER_BEGINS};
use super::identity::{Arrival, Identity};
use super::packets::{Packet, Packets, Scan, Stop, payload};

/// The key of the handshake, and what a server makes of it: the example of RFC 6455. With a key for each
/// connection it would have to be kept to check the answer.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The last frame of a message.
pub(crate) const FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
const PONG: u8 = 10;

/// In the second byte: a mask follows.
pub(crate) const MASKED: u8 = 0x80;

/// Longer lengths are in further bytes.
const SHORT_MAX: usize = 125;
const IN_TWO_BYTES: u8 = 126;
const IN_EIGHT_BYTES: u8 = 127;

/// The longest payload of a ping, a pong or a close.
const CONTROL_BYTES_MAX: usize = 125;

/// What one client hears of a WebSocket server.
#[derive(Debug)]
pub(crate) struct WebSocket {
    frames: Packets<Frames>,
    fragments: Fragments,
    /// The answer to what was given out last.
    answer: Vec<u8>,
    /// Set while it has not been given out itself.
    owes_answer: bool,
    /// What the server said last that was no message, in words.
    notice: String,
    comes_back: bool,
    position: Option<Position>,
}

/// The fragments of a message so far.
#[derive(Debug)]
struct Fragments {
    bytes: Option<Vec<u8>>,
    /// Set when the last one was added; the message has then been given out.
    is_complete: bool,
}

/// The stream of a server: the answer to the handshake, then frames.
#[derive(Debug)]
pub(crate) struct Frames;

/// What a packet of it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Opened,
    Refused,
    /// A message, or its first fragment.
    Data {
        is_final: bool,
    },
    Continuation {
        is_final: bool,
    },
    Ping,
    Pong,
    Close,
}

impl WebSocket {
    /// At the beginning of a stream, for a client that has come as far as `position`.
    pub(crate) const fn new(position: Option<Position>) -> Self {
        Self {
            frames: Packets::new(),
            fragments: Fragments {
                bytes: None,
                is_complete: false,
            },
            answer: Vec::new(),
            owes_answer: false,
            notice: String::new(),
            comes_back: position.is_some(),
            position,
        }
    }

    /// What `client` says once the server has taken the connection; nothing if it has nothing to say.
    pub(crate) fn join(identity: &Identity, client: u32) -> Vec<u8> {
        let dialect = identity.dialect.as_ref();
        let join = dialect.and_then(|dialect| dialect.join.as_ref());
        join.map_or_else(Vec::new, |join| {
            frame(FINAL | TEXT, &join.fill(client, b""))
        })
    }

    /// The last position that came.
    pub(crate) const fn position(&self) -> Option<Position> {
        self.position
    }
}

impl Codec for WebSocket {
    fn put_hello(out: &mut Vec<u8>, hello: &Hello<'_>) {
        let Identity { host, dialect, .. } = hello.identity;
        let path = match (dialect, hello.after) {
            (Some(dialect), _) => dialect.path.as_str().to_owned(),
            (None, None) => format!("/ws?name={}", hello.name),
            (None, Some(after)) => format!("/ws?name={}&after={after}", hello.name),
        };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
        );
        out.extend_from_slice(request.as_bytes());
    }

    fn put_payload(out: &mut Vec<u8>, identity: &Identity, said: &Publish<'_>) {
        let text = match &identity.dialect {
            Some(dialect) => dialect.message.fill(said.client, said.payload),
            // A payload has nothing that JSON would escape.
            None => {
                let id = said
                    .id
                    .map_or_else(String::new, |id| format!("\"id\":{id},"));
                let head = format!("{{{id}\"text\":\"");
                [head.as_bytes(), said.payload, b"\"}"].concat()
            }
        };
        put_frame(out, FINAL | TEXT, &text);
    }

    fn next<'d, 'i: 'd>(
        &'d mut self,
        input: &mut &'i [u8],
        identity: &Identity,
    ) -> Result<Option<Arrival<'d>>, Undecodable> {
        if std::mem::take(&mut self.owes_answer) {
            return Ok(Some(Arrival::Asked(&self.answer)));
        }
        let Some((kind, body)) = self.frames.packet(input)? else {
            return Ok(None);
        };
        let is_other = identity.dialect.is_some();
        Ok(Some(match kind {
            Kind::Data { .. } | Kind::Continuation { .. } => {
                match self.fragments.add(kind, body)? {
                    None => Arrival::Chatter,
                    Some(message) if is_other => identity.judge_anywhere(message),
                    Some(message) => {
                        let said = object(message)?;
                        self.position = said.position().or(self.position);
                        match said {
                            ServerObject::Joined(joined) if self.comes_back => {
                                Arrival::Resumed(joined.resumed)
                            }
                            said => arrival(&said, identity, &mut self.notice),
                        }
                    }
                }
            }
            Kind::Opened if is_other => Arrival::Opened,
            Kind::Opened | Kind::Pong => Arrival::Chatter,
            Kind::Refused => Arrival::Notice(body.trim_ascii_end()),
            Kind::Ping => {
                self.answer = frame(FINAL | PONG, body);
                Arrival::Asked(&self.answer)
            }
            Kind::Close => {
                self.answer = frame(FINAL | CLOSE, body.get(..2).unwrap_or_default());
                self.owes_answer = true;
                closed(body, identity, &mut self.notice)
            }
        }))
    }

    fn is_mid_message(&self) -> bool {
        self.frames.is_partial() || self.fragments.are_open()
    }
}

impl Fragments {
    /// The message that a data frame or a continuation completes; `None` if more of it is to come.
    fn add<'a>(&'a mut self, kind: Kind, body: &'a [u8]) -> Result<Option<&'a [u8]>, Undecodable> {
        if std::mem::take(&mut self.is_complete) {
            self.bytes = None;
        }
        let is_final = match (kind, &self.bytes) {
            (Kind::Data { .. }, Some(_)) => {
                return Err(malformed("a message ends before another begins"));
            }
            (Kind::Data { is_final: true }, None) => return Ok(Some(body)),
            (Kind::Continuation { .. }, None) => {
                return Err(malformed("a continuation has something to continue"));
            }
            (kind, _) => matches!(kind, Kind::Continuation { is_final: true }),
        };
        let bytes = self.bytes.get_or_insert_default();
        bytes.extend_from_slice(body);
        if bytes.len() > PAYLOAD_BYTES_MAX {
            return Err(Undecodable::TooLong { bytes: bytes.len() });
        }
        self.is_complete = is_final;
        Ok(is_final.then_some(bytes))
    }

    fn are_open(&self) -> bool {
        self.bytes.is_some() && !self.is_complete
    }
}

impl Scan for Frames {
    const PROTOCOL: Protocol = Protocol::WebSocket;
    type Kind = Kind;

    fn scan(bytes: &[u8]) -> Result<Packet<Kind>, Stop> {
        if bytes[0] == ANSWER_BEGINS {
            return handshake(bytes);
        }
        let &[first, second, ..] = bytes else {
            return Err(Stop::AtLeast(2));
        };
        if first & RESERVED != 0 {
            return Err(Self::malformed("no extension was asked for"));
        }
        if second & MASKED != 0 {
            return Err(Self::malformed("a server masks nothing"));
        }
        let is_final = first & FINAL != 0;
        let kind = match first & 0x0f {
            CONTINUATION => Kind::Continuation { is_final },
            TEXT | BINARY => Kind::Data { is_final },
            CLOSE => Kind::Close,
            PING => Kind::Ping,
            PONG => Kind::Pong,
            _ => return Err(Self::malformed("a frame is one of those of RFC 6455")),
        };
        let (head_bytes, length) = match second {
            IN_TWO_BYTES => (4, be_length(bytes, 2)?),
            IN_EIGHT_BYTES => (10, be_length(bytes, 8)?),
            short => (2, usize::from(short)),
        };
        if first & CLOSE != 0 && (!is_final || length > CONTROL_BYTES_MAX) {
            return Err(Self::malformed("a control frame is short and whole"));
        }
        let body = payload(bytes, head_bytes, length)?;
        Ok(Packet {
            kind,
            bytes: body.end,
            body,
        })
    }
}

/// The answer to the handshake.
fn handshake(bytes: &[u8]) -> Result<Packet<Kind>, Stop> {
    let answer = http::answer(bytes, Protocol::WebSocket)?;
    if answer.status != 101 {
        return answer.whole(bytes, Kind::Refused);
    }
    if answer.header("sec-websocket-accept") != Some(ACCEPT) {
        return Err(Frames::malformed(
            "a server proves that it has read the key",
        ));
    }
    Ok(Packet {
        kind: Kind::Opened,
        bytes: answer.bytes,
        body: 0..0,
    })
}

/// The length that stands in `count` bytes behind the first two.
fn be_length(bytes: &[u8], count: usize) -> Result<usize, Stop> {
    let digits = bytes.get(2..2 + count).ok_or(Stop::AtLeast(2 + count))?;
    let length = digits
        .iter()
        .fold(0, |sum, &byte| (sum << 8) | u64::from(byte));
    Ok(usize::try_from(length).unwrap_or(usize::MAX))
}

fn object(message: &[u8]) -> Result<ServerObject<'_>, Undecodable> {
    let text = str::from_utf8(message).ok();
    let object = text.and_then(|text| ServerObject::parse(text).ok());
    object.ok_or(malformed("a message is an object as docs/web.md has it"))
}

/// What it means that uringcast said this; `notice` takes what is to be told in words.
pub(super) fn arrival<'a>(
    said: &ServerObject<'_>,
    identity: &Identity,
    notice: &'a mut String,
) -> Arrival<'a> {
    match said {
        ServerObject::Joined(_) => Arrival::Joined,
        ServerObject::Message(message) => {
            let speaker = identity.names.speaker(message.name.as_bytes());
            let text = message.text.as_ref().map(|text| text.0.as_bytes());
            identity.judge_said(speaker, text.unwrap_or_default())
        }
        ServerObject::Accepted(accepted) => Arrival::Accepted(accepted.id),
        ServerObject::Missed(missed) => {
            told(notice, format!("missed {} messages", missed.messages))
        }
        ServerObject::Presence(who) if who.here.is_some() => Arrival::Chatter,
        ServerObject::Presence(_) => Arrival::Presence,
        ServerObject::Closing(closing) => told(notice, format!("closing: {}", closing.reason)),
    }
}

fn told(notice: &mut String, text: String) -> Arrival<'_> {
    *notice = text;
    Arrival::Notice(notice.as_bytes())
}

/// What a server says with a close frame. uringcast has said why before.
fn closed<'a>(body: &[u8], identity: &Identity, notice: &'a mut String) -> Arrival<'a> {
    match body {
        _ if identity.dialect.is_none() => Arrival::Chatter,
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            told(
                notice,
                format!("close {code}: {}", String::from_utf8_lossy(reason)),
            )
        }
        _ => told(notice, "close, without a code".to_owned()),
    }
}

/// A client's frame, whose first byte is `first`.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_frame(&mut out, first, payload);
    out
}

/// Appends a client's frame. Its mask is drawn anew, which no attacker behind a server's messages can
/// foresee.
fn put_frame(out: &mut Vec<u8>, first: u8, payload: &[u8]) {
    out.extend_from_slice(&head(first, MASKED, payload.len()));
    let mask: [u8; 4] = rand::random();
    out.extend_from_slice(&mask);
    let masks = mask.iter().cycle();
    out.extend(payload.iter().zip(masks).map(|(byte, mask)| byte ^ mask));
}

/// The head of a frame, but for the mask.
pub(crate) fn head(first: u8, masked: u8, payload_bytes: usize) -> Vec<u8> {
    let (short, further) = match (u8::try_from(payload_bytes), u16::try_from(payload_bytes)) {
        (Ok(short), _) if payload_bytes <= SHORT_MAX => (short, Vec::new()),
        (_, Ok(length)) => (IN_TWO_BYTES, length.to_be_bytes().to_vec()),
        _ => (
            IN_EIGHT_BYTES,
            (payload_bytes as u64).to_be_bytes().to_vec(),
        ),
    };
    [&[first, masked | short], &further[..]].concat()
}

fn malformed(what: &'static str) -> Undecodable {
    Undecodable::Malformed {
        protocol: Protocol::WebSocket,
        what,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::wire::dialect::Dialect;
    use crate::wire::identity::tests::identity_of;
    use crate::wire::inbox::tests::{fault, read, said};
    use crate::wire::stamp::{NAMELESS, Stamp};

    const OPENED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                          Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

    fn identity() -> Identity {
        identity_of(Protocol::WebSocket)
    }

    /// Of a server that is not uringcast.
    fn other() -> Identity {
        Identity {
            dialect: Some(Dialect {
                path: "/chat".parse().unwrap(),
                join: Some("I am %i".parse().unwrap()),
                message: "<%s>".parse().unwrap(),
            }),
            ..identity()
        }
    }

    fn payload(identity: &Identity, number: u32, author: u32) -> String {
        let stamp = Stamp {
            number,
            previous: None,
            intended_ns: 5,
            sent_ns: 6,
        };
        String::from_utf8(identity.stamper.message(&stamp, author, 70)).unwrap()
    }

    fn server_frame(first: u8, payload: &[u8]) -> Vec<u8> {
        [&head(first, 0, payload.len()), payload].concat()
    }

    fn object(text: &str) -> Vec<u8> {
        server_frame(FINAL | TEXT, text.as_bytes())
    }

    fn message(number: u32) -> String {
        let text = payload(&identity(), number, 3);
        format!(
            r#"{{"type":"message","position":"00000000000000aa.{number}","name":"load-00003","text":"{text}"}}"#
        )
    }

    pub(in crate::wire) fn conversation() -> Vec<u8> {
        let in_parts = message(2);
        let (first, second) = in_parts.as_bytes().split_at(40);
        [
            OPENED.as_bytes().to_vec(),
            object(
                r#"{"type":"joined","name":"a","position":"00000000000000aa.0","resumed":false}"#,
            ),
            object(&message(1)),
            server_frame(FINAL | PING, b"hey"),
            server_frame(TEXT, first),
            server_frame(FINAL | PONG, b""),
            server_frame(CONTINUATION, b""),
            server_frame(FINAL | CONTINUATION, second),
            object(
                r#"{"type":"message","position":"00000000000000aa.9","name":"ann","text":"hi"}"#,
            ),
            object(&message(4).replace("load-00003", "load-00004")),
            object(r#"{"type":"accepted","id":7,"position":"00000000000000aa.11"}"#),
            object(r#"{"type":"presence","joined":"bob"}"#),
            object(r#"{"type":"presence","here":["ann"],"count":1}"#),
            object(r#"{"type":"missed","messages":17,"position":"00000000000000aa.28"}"#),
            object(r#"{"type":"closing","reason":"too slow"}"#),
            server_frame(FINAL | CLOSE, b"\x03\xf0"),
        ]
        .concat()
    }

    #[test]
    fn each_kind_of_arrival_is_told_from_the_others() {
        let said = read(&identity(), &conversation(), &[]);
        let is_message = |at: usize, number: u32| {
            said[at].starts_with(&format!("Message(Stamp {{ number: {number},"))
        };
        assert_eq!(said[..2], ["Chatter", "Joined"]);
        assert!(is_message(2, 1) && is_message(7, 2), "{said:#?}");
        assert_eq!(said[3], "Asked for 9 bytes");
        assert_eq!(said[4..7], ["Chatter", "Chatter", "Chatter"]);
        assert_eq!(
            said[8..12],
            ["Foreign", "Corrupt", "Accepted(7)", "Presence"]
        );
        let notice = |text: &str| format!("{:?}", Arrival::Notice(text.as_bytes()));
        assert_eq!(
            said[12..16],
            [
                "Chatter",
                &notice("missed 17 messages"),
                &notice("closing: too slow"),
                "Chatter"
            ]
        );
        assert_eq!(said[16], "Asked for 8 bytes", "a close is answered");
    }

    #[test]
    fn a_client_that_comes_back_says_where_it_was_and_hears_whether_it_goes_on_there() {
        let identity = identity();
        let mut inbox = WebSocket::new(None);
        let stream = conversation();
        let mut input = &stream[..];
        while inbox.next(&mut input, &identity).unwrap().is_some() {}
        let position = inbox.position();
        assert_eq!(position.unwrap().to_string(), "00000000000000aa.28");
        let mut out = Vec::new();
        let hello = Hello {
            identity: &identity,
            name: "load-00003",
            receives: true,
            after: position,
        };
        WebSocket::put_hello(&mut out, &hello);
        assert!(out.starts_with(b"GET /ws?name=load-00003&after=00000000000000aa.28 HTTP/1.1\r\n"));
        let mut back = WebSocket::new(position);
        for resumed in [true, false] {
            let said = format!(
                r#"{{"type":"joined","name":"a","position":"00000000000000aa.28","resumed":{resumed}}}"#
            );
            let frame = object(&said);
            let arrival = back.next(&mut &frame[..], &identity).unwrap();
            assert_eq!(arrival, Some(Arrival::Resumed(resumed)));
        }
    }

    #[test]
    fn what_a_client_says_is_masked_and_says_what_it_should() {
        let unmasked = |out: &[u8]| {
            let mask = &out[2..6];
            let payload = out[6..].iter().zip(mask.iter().cycle());
            String::from_utf8(payload.map(|(byte, mask)| byte ^ mask).collect()).unwrap()
        };
        let mut out = Vec::new();
        WebSocket::put_payload(&mut out, &identity(), &said(b"abc"));
        assert_eq!(out[..2], [FINAL | TEXT, MASKED | 14]);
        assert_eq!(unmasked(&out), r#"{"text":"abc"}"#);
        out.clear();
        let asking = Publish {
            id: Some(7),
            ..said(b"abc")
        };
        WebSocket::put_payload(&mut out, &identity(), &asking);
        assert_eq!(unmasked(&out), r#"{"id":7,"text":"abc"}"#);
        out.clear();
        WebSocket::put_payload(&mut out, &other(), &said(b"abc"));
        assert_eq!(unmasked(&out), "<abc>");
        assert_eq!(unmasked(&WebSocket::join(&other(), 3)), "I am 3");
        assert!(WebSocket::join(&identity(), 3).is_empty());
    }

    #[test]
    fn a_stamp_is_found_anywhere_in_what_another_server_sends() {
        let other = other();
        let text = payload(&other, 1, NAMELESS);
        // What follows goes on like the payload.
        let wrapped = format!("{{\"m\":\"{text}o-more\"}}");
        let damaged = text.replacen('m', "n", 2).replacen('n', "m", 1);
        let stream = [
            OPENED.as_bytes(),
            &object(&wrapped),
            &object("hi"),
            &object(&format!("> {}", &text[..60])),
            &object(&damaged),
            &server_frame(FINAL | CLOSE, b"\x03\xf0slow"),
        ]
        .concat();
        let said = read(&other, &stream, &[]);
        assert_eq!(said[0], "Opened");
        assert!(
            said[1].starts_with("Message(Stamp { number: 1,"),
            "{said:#?}"
        );
        assert_eq!(said[2..4], ["Foreign", "Corrupt"]);
        let notice = format!("{:?}", Arrival::Notice(b"close 1008: slow"));
        assert_eq!(said[5], notice);
    }

    #[test]
    fn what_no_server_may_send_is_an_error_that_says_so() {
        let identity = identity();
        let refused = |stream: &[u8], why: &str| {
            let fault = fault(&identity, stream);
            assert!(fault.contains(why), "{fault}");
        };
        refused(
            b"HTTP/1.1 101 x\r\nSec-WebSocket-Accept: x\r\n\r\n",
            "read the key",
        );
        refused(b"Hello", "HTTP/1.1");
        refused(&[FINAL | TEXT, MASKED | 1, 0, 0, 0, 0, 0], "masks nothing");
        refused(&[FINAL | 0x40 | TEXT, 1, 0], "no extension");
        refused(&[FINAL | 3, 0], "RFC 6455");
        refused(&[PING, 0], "short and whole");
        refused(&[FINAL | PING, 126, 0, 200], "short and whole");
        refused(&[FINAL | CONTINUATION, 0], "something to continue");
        refused(&[TEXT, 0, TEXT, 0], "before another begins");
        refused(
            &[FINAL | TEXT, 127, 0, 0, 1, 0, 0, 0, 0, 0],
            "over the limit",
        );
        refused(&object("hello"), "an object");
    }

    #[test]
    fn a_handshake_that_is_refused_is_quoted() {
        let stream = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\nno origin\n\
                       HTTP/1.1 404 Not Found\r\n\r\n";
        let notice = |text: &[u8]| format!("{:?}", Arrival::Notice(text));
        assert_eq!(
            read(&identity(), stream, &[]),
            [notice(b"no origin"), notice(b"HTTP/1.1 404 Not Found")]
        );
    }
}
