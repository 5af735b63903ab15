//! One connection that began with HTTP: requests, then a WebSocket or an event stream, if one asks for it.

use bytes::Bytes;
use protocol::json::{ClientObject, Text};
use protocol::websocket::{self, Decoder, Message, Opcode, Sender};
use protocol::{Position, text};

use super::http::{self, HEAD_BYTES_MAX, Post, Request};
use super::output::{self, Code};
use super::{Encoding, End, Event, Fault, Rules};

/// What came from a peer that speaks HTTP, and what it asked for.
#[derive(Debug)]
pub(super) struct Web {
    state: State,
    /// What came of a head or a body that the input cut.
    kept: Vec<u8>,
    /// The last of its messages that was posted.
    post: Option<Post>,
    /// That one has no answer yet.
    awaits_answer: bool,
    /// A name or a text that was handed out and did not lie in the input as it is meant.
    text: String,
    /// `kept` or `text` were handed out and are to be freed.
    is_handed_out: bool,
}

#[derive(Debug)]
enum State {
    /// The head of a request.
    Head,
    /// The message that is posted. The last byte of the head was left, so that there is something to take
    /// when the body is empty.
    Body { is_behind_head: bool },
    /// Messages of WebSocket; the first says who it is, unless the request did.
    WebSocket {
        decoder: Box<Decoder>,
        has_joined: bool,
    },
    /// It only listens.
    Events,
    /// Its last request came.
    Served,
}

/// What an object of a client may take beside its text: fields, a position, what we do not know.
const OBJECT_BYTES_MAX: usize = 8 * 1024;

/// How long JSON may make a byte: `\u0000`.
const ESCAPED_BYTES: usize = 6;

impl Web {
    pub(super) const fn new() -> Self {
        Self {
            state: State::Head,
            kept: Vec::new(),
            post: None,
            awaits_answer: false,
            text: String::new(),
            is_handed_out: false,
        }
    }

    /// As of [`super::Input::next`].
    pub(super) fn next<'d, 'i: 'd>(
        &'d mut self,
        bytes: &mut &'i [u8],
        rules: &Rules,
    ) -> Result<Option<Event<'d>>, Fault> {
        self.release_event();
        match self.state {
            _ if bytes.is_empty() => Ok(None),
            State::Head => Ok(self.take_head(bytes, rules)),
            State::Body { .. } => Ok(self.take_body(bytes)),
            State::WebSocket { .. } => self.take_message(bytes, rules),
            State::Events | State::Served => {
                *bytes = &[];
                Ok(None)
            }
        }
    }

    fn take_head(&mut self, bytes: &mut &[u8], rules: &Rules) -> Option<Event<'_>> {
        let before = self.kept.len();
        let parsed = if before == 0 {
            http::parse(bytes, rules)
        } else {
            let more = bytes.len().min(HEAD_BYTES_MAX - before);
            self.kept.extend_from_slice(&bytes[..more]);
            http::parse(&self.kept, rules)
        };
        match parsed {
            Ok(None) => {
                if before == 0 {
                    self.kept = bytes.to_vec();
                }
                *bytes = &[];
                None
            }
            Ok(Some((head_bytes, request))) => {
                self.kept = Vec::new();
                let is_post = matches!(request, Request::Post(_));
                *bytes = &bytes[head_bytes - before - usize::from(is_post)..];
                Some(self.begin(request, rules))
            }
            Err(refusal) => {
                self.kept = Vec::new();
                self.state = State::Served;
                *bytes = &[];
                Some(refusal.event())
            }
        }
    }

    fn begin(&mut self, request: Request, rules: &Rules) -> Event<'_> {
        match request {
            Request::Page { wants_body, fields } => {
                self.state = State::Served;
                http::page_answer(wants_body, &fields)
            }
            Request::Events { name, after, reply } => {
                self.state = State::Events;
                self.join(name, after, reply)
            }
            Request::WebSocket { name, after, reply } => {
                self.state = State::WebSocket {
                    decoder: Box::new(Decoder::new(Sender::Client, rules.message_bytes_max)),
                    has_joined: name.is_some(),
                };
                match name {
                    Some(name) => self.join(name, after, reply),
                    None => answered(reply),
                }
            }
            Request::Post(post) => {
                let reply = if post.expects_continue {
                    http::CONTINUE
                } else {
                    ""
                };
                self.state = State::Body {
                    is_behind_head: false,
                };
                self.post = Some(post);
                answered(reply.into())
            }
        }
    }

    fn join(&mut self, name: String, after: Option<Position>, reply: Bytes) -> Event<'_> {
        self.text = name;
        self.is_handed_out = true;
        let name = &*self.text;
        Event::Join { name, after, reply }
    }

    fn take_body<'d, 'i: 'd>(&'d mut self, bytes: &mut &'i [u8]) -> Option<Event<'d>> {
        if let State::Body { is_behind_head } = &mut self.state
            && !std::mem::replace(is_behind_head, true)
        {
            *bytes = &bytes[1..];
        }
        let post = self.post.as_ref()?;
        let more = bytes.len().min(post.body_bytes - self.kept.len());
        let (taken, rest) = bytes.split_at(more);
        *bytes = rest;
        if taken.len() < post.body_bytes {
            self.kept.extend_from_slice(taken);
            if self.kept.len() < post.body_bytes {
                return None;
            }
            self.is_handed_out = true;
        }
        self.awaits_answer = true;
        self.state = if post.keep_alive {
            State::Head
        } else {
            State::Served
        };
        Some(Event::Post {
            name: &post.name,
            text: if self.is_handed_out {
                &self.kept
            } else {
                taken
            },
            keep_alive: post.keep_alive,
        })
    }

    fn take_message(
        &mut self,
        bytes: &mut &[u8],
        rules: &Rules,
    ) -> Result<Option<Event<'_>>, Fault> {
        let State::WebSocket {
            decoder,
            has_joined,
        } = &mut self.state
        else {
            unreachable!("only a WebSocket has messages");
        };
        let text_bytes_max = match has_joined {
            true => rules.message_bytes_max,
            false => rules.name_bytes_max,
        };
        decoder.set_message_bytes_max(ESCAPED_BYTES * text_bytes_max + OBJECT_BYTES_MAX);
        let Some(message) = decoder.next(bytes)? else {
            return Ok(None);
        };
        let reply = match message {
            Message::Text(json) => {
                self.is_handed_out = true;
                let object = ClientObject::parse(json)?;
                return match std::mem::replace(has_joined, true) {
                    true => said(object, &mut self.text, rules),
                    false => named(object, &mut self.text, rules),
                }
                .map(Some);
            }
            Message::Binary(_) => return Err(Fault::Binary),
            Message::Ping(payload) => websocket::encode(Opcode::Pong, payload, None),
            Message::Pong(_) => Bytes::new(),
            Message::Close(close) => {
                let reply = match close {
                    Some((code, _)) => websocket::encode_close(code, "", None),
                    None => websocket::encode(Opcode::Close, b"", None),
                };
                return Ok(Some(Event::Left { reply }));
            }
        };
        Ok(Some(answered(reply)))
    }

    pub(super) const fn may_be_message(&self) -> bool {
        match self.state {
            State::Body { .. } => true,
            State::WebSocket { has_joined, .. } => has_joined,
            State::Head | State::Events | State::Served => false,
        }
    }

    pub(super) fn is_unfinished(&self) -> bool {
        match &self.state {
            State::Head => self.has_begun_head(),
            State::Body { .. } => true,
            State::WebSocket {
                decoder,
                has_joined,
            } => !has_joined || decoder.is_unfinished(),
            State::Events | State::Served => false,
        }
    }

    pub(super) fn is_between_fragments(&self) -> bool {
        match &self.state {
            State::WebSocket { decoder, .. } => decoder.is_between_fragments(),
            _ => false,
        }
    }

    fn has_begun_head(&self) -> bool {
        !self.kept.is_empty() && !self.is_handed_out
    }

    pub(super) fn kept_bytes(&self) -> usize {
        let messages = match &self.state {
            State::WebSocket { decoder, .. } => decoder.kept_bytes(),
            _ => 0,
        };
        self.kept.capacity() + self.text.capacity() + messages
    }

    pub(super) fn unfinished_message_bytes(&self) -> usize {
        match (&self.state, &self.post) {
            (State::Body { .. }, Some(post)) => post.body_bytes,
            _ => 0,
        }
    }

    /// How messages are encoded for it; `None` for one that is sent none.
    pub(super) const fn encoding(&self) -> Option<Encoding> {
        match self.state {
            State::WebSocket { .. } => Some(Encoding::WebSocket),
            State::Events => Some(Encoding::Events),
            State::Head | State::Body { .. } | State::Served => None,
        }
    }

    pub(super) fn release_event(&mut self) {
        if std::mem::take(&mut self.is_handed_out) {
            self.kept = Vec::new();
            self.text = String::new();
            if let State::WebSocket { decoder, .. } = &mut self.state {
                decoder.release();
            }
        }
    }

    pub(super) fn closing(&self, code: Code, reason: &str) -> Bytes {
        if let Some(encoding) = self.encoding() {
            return output::closing(encoding, code, reason);
        }
        let is_at_rest = matches!(self.state, State::Head) && !self.has_begun_head();
        if is_at_rest && !self.awaits_answer {
            // It would be taken for the answer to what the client has yet to ask.
            return Bytes::new();
        }
        http::answer(code.of_http(), reason, "")
    }

    pub(super) fn posted(&mut self, position: Position) -> Bytes {
        self.awaits_answer = false;
        let post = self
            .post
            .as_ref()
            .expect("only what was posted is answered");
        http::posted(position, post)
    }
}

/// The first object: who it is.
fn named<'d>(
    object: ClientObject<'d>,
    place: &'d mut String,
    rules: &Rules,
) -> Result<Event<'d>, Fault> {
    let Some(name) = object.name.filter(|_| object.text.is_none()) else {
        return Err(Fault::NoName);
    };
    let name = kept(name, place);
    text::name(name.as_bytes(), rules.name_bytes_max)?;
    Ok(Event::Join {
        name,
        after: http::position(object.after.as_ref().map(|after| &*after.0)),
        reply: Bytes::new(),
    })
}

/// A later object: a message.
fn said<'d>(
    object: ClientObject<'d>,
    place: &'d mut String,
    rules: &Rules,
) -> Result<Event<'d>, Fault> {
    let text = kept(object.text.ok_or(Fault::NoText)?, place).as_bytes();
    if text.len() > rules.message_bytes_max {
        return Err(Fault::TooLong {
            payload_bytes: text.len() as u64,
            payload_bytes_max: rules.message_bytes_max,
        });
    }
    let id = object.id;
    Ok(Event::Message { text, id })
}

/// A string that JSON says with escapes needs a place.
fn kept<'d>(text: Text<'d>, place: &'d mut String) -> &'d str {
    match text.0 {
        std::borrow::Cow::Borrowed(text) => text,
        std::borrow::Cow::Owned(text) => {
            *place = text;
            place
        }
    }
}

fn answered(bytes: Bytes) -> Event<'static> {
    let end = End::No;
    Event::Reply { bytes, end }
}

#[cfg(test)]
mod tests {
    use protocol::websocket::encode;

    use super::super::{Input, Rules};
    use super::*;

    /// A peer, and what it said and was answered so far, a line each.
    struct Peer {
        input: Input,
        rules: Rules,
        seen: Vec<String>,
    }

    impl Peer {
        fn new() -> Self {
            let rules = Rules {
                name_bytes_max: 8,
                message_bytes_max: 16,
                has_page: true,
                origins: vec!["https://chat.example".into()],
            };
            Self {
                input: Input::new(),
                rules,
                seen: Vec::new(),
            }
        }

        /// What came of `bytes`, a line each; of answers the first line and the last.
        fn say(&mut self, bytes: impl AsRef<[u8]>) -> Vec<String> {
            let mut bytes = bytes.as_ref();
            while !bytes.is_empty() {
                let line = match self.input.next(&mut bytes, &self.rules) {
                    Ok(None) => break,
                    Ok(Some(Event::Join { name, after, reply })) => {
                        let after = after.map_or(String::new(), |after| format!(" after {after}"));
                        format!("join {name:?}{after} {}", shown(&reply))
                    }
                    Ok(Some(Event::Message { text, id })) => {
                        format!("message {:?} {id:?}", String::from_utf8_lossy(text))
                    }
                    Ok(Some(Event::Post {
                        name,
                        text,
                        keep_alive,
                    })) => {
                        let text = String::from_utf8_lossy(text).into_owned();
                        let line = format!("post {name:?} {text:?} {keep_alive}");
                        let at = Position {
                            epoch: 1,
                            sequence: 2,
                        };
                        format!("{line} {}", shown(&self.input.posted(at)))
                    }
                    Ok(Some(Event::Reply { bytes, .. })) if bytes.is_empty() => continue,
                    Ok(Some(Event::Reply { bytes, end })) => format!("{end:?} {}", shown(&bytes)),
                    Ok(Some(Event::Left { reply })) => format!("left {reply:?}"),
                    Err(fault) => {
                        let told = self.input.closing(Code::Malformed, &fault.to_string());
                        self.seen.push(format!("{fault}: {}", shown(&told)));
                        break;
                    }
                };
                self.seen.push(line);
            }
            std::mem::take(&mut self.seen)
        }
    }

    fn shown(reply: &[u8]) -> String {
        let text = String::from_utf8_lossy(reply);
        let status = text.strip_prefix("HTTP/1.1 ").and_then(|it| it.get(..3));
        let Some(status) = status else {
            return text.escape_debug().to_string();
        };
        let (_, body) = text.split_once("\r\n\r\n").expect("a whole head");
        format!("{status} {body}").trim_end().to_owned()
    }

    fn answer_to(head: &str) -> String {
        let seen = Peer::new().say(format!("{head}\r\nHost: here:9989\r\n\r\n"));
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen[0].clone()
    }

    const UPGRADE: &str = "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

    fn text(json: &str) -> Bytes {
        encode(Opcode::Text, json.as_bytes(), Some([1, 2, 3, 4]))
    }

    #[test]
    fn a_websocket_says_who_it_is_and_then_messages() {
        let mut peer = Peer::new();
        let head = format!("GET /ws HTTP/1.1\r\nHost: here\r\n{UPGRADE}\r\n\r\n");
        assert_eq!(peer.say(head), ["No 101"]);
        assert!(peer.input.is_unfinished(), "it owes its name");
        let object = r#"{"name":"\u0061nn","after":"00000000000000ff.7"}"#;
        let joined = peer.say(text(object));
        assert_eq!(joined, ["join \"ann\" after 00000000000000ff.7 "]);
        let said = peer.say([text(r#"{"text":"hi"}"#), text(r#"{"text":"\n","id":3}"#)].concat());
        assert_eq!(said, [r#"message "hi" None"#, r#"message "\n" Some(3)"#]);
        assert_eq!(peer.input.encoding(), Encoding::WebSocket);
        let ping = encode(Opcode::Ping, b"?", Some([0; 4]));
        assert_eq!(peer.say(ping), ["No \u{fffd}\\u{1}?"]);
        peer.input.release_event();
        assert_eq!(peer.input.kept_bytes(), 0);
        let close = encode(Opcode::Close, &[3, 0xe8, b'x'], Some([0; 4]));
        assert_eq!(peer.say(close), [r#"left b"\x88\x02\x03\xe8""#]);
    }

    #[test]
    fn the_request_may_say_who_it_is() {
        let head = format!("GET /ws?after=x&name=a%20%C3%A9+b HTTP/1.1\r\n{UPGRADE}");
        assert_eq!(answer_to(&head), "join \"a é b\" 101");
        assert_eq!(answer_to("GET /events HTTP/1.1"), "join \"\" 200");
        let events = "GET /events?name=ann&after=0000000000000001.1 HTTP/1.1";
        assert_eq!(
            answer_to(events),
            "join \"ann\" after 0000000000000001.1 200"
        );
        let again = format!("{events}\r\nLast-Event-ID: 0000000000000001.2");
        assert_eq!(
            answer_to(&again),
            "join \"ann\" after 0000000000000001.2 200"
        );
    }

    #[test]
    fn a_websocket_that_says_something_else_is_told_what_is_expected() {
        let head = format!("GET /ws HTTP/1.1\r\nHost: here\r\n{UPGRADE}\r\n\r\n");
        let told = |name: &str, then: Bytes| {
            let mut peer = Peer::new();
            peer.say(head.replace("/ws", &format!("/ws{name}")));
            peer.say(then).remove(0)
        };
        for (name, object, expected) in [
            ("", r#"{"text":"hi"}"#, "first say who you are"),
            ("", r#"{"name":"ann","text":"hi"}"#, "first say who you are"),
            ("", r#"{"name":"*server*"}"#, "name begins with '*'"),
            (
                "",
                r#"{"name":"123456789"}"#,
                "name of 9 bytes is over the limit of 8",
            ),
            ("?name=ann", r#"{"name":"ann"}"#, "a message has a text"),
            ("?name=ann", r#"["hi"]"#, "not a JSON object"),
            (
                "?name=ann",
                r#"{"text":"01234567890123456"}"#,
                "message of 17 bytes is over the limit of 16",
            ),
        ] {
            let told = told(name, text(object));
            assert!(told.starts_with(expected), "{told}");
            assert!(
                told.contains(r#"{\"type\":\"closing\",\"reason\":\""#),
                "{told}"
            );
        }
        let binary = told("?name=ann", encode(Opcode::Binary, b"hi", Some([0; 4])));
        assert!(
            binary.starts_with("binary messages are not taken"),
            "{binary}"
        );
        let plain = told("?name=ann", encode(Opcode::Text, b"hi", None));
        assert!(
            plain.starts_with("WebSocket frame is not masked"),
            "{plain}"
        );
    }

    #[test]
    fn messages_are_posted_one_behind_another() {
        let post = "POST /messages?name=ann HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n";
        let expected = r#"post "ann" "hi" true 202 {"position":"0000000000000001.2"}"#;
        assert_eq!(Peer::new().say(format!("{post}hi{post}hi")), [expected; 2]);
        let mut peer = Peer::new();
        let seen = format!("{post}hi{post}hi");
        let seen: Vec<String> = seen.bytes().flat_map(|byte| peer.say([byte])).collect();
        assert_eq!(seen, [expected; 2]);
        assert!(!peer.input.is_unfinished());
        assert!(
            peer.input.closing(Code::GoingAway, "bye").is_empty(),
            "nothing was asked"
        );
        let empty = post.replace(": 2", ": 0");
        assert_eq!(
            peer.say(empty.replace("1.1", "1.0")),
            [r#"post "ann" "" false 202 {"position":"0000000000000001.2"}"#]
        );
        assert!(peer.say(post).is_empty(), "it was the last");
        let old = post
            .replace("1.1", "1.0")
            .replace("Host", "Expect: 100-continue\r\nHost");
        assert!(
            Peer::new().say(old).is_empty(),
            "nothing that HTTP/1.0 has no word for"
        );
        let mut peer = Peer::new();
        let waits = post.replace("Host", "Expect: 100-continue\r\nHost");
        assert_eq!(peer.say(waits), ["No 100"]);
        assert!(peer.input.may_be_message());
        assert_eq!(
            shown(&peer.input.closing(Code::TryLater, "full")),
            "503 full"
        );
    }

    #[test]
    fn what_is_refused_says_what_to_do() {
        for (head, expected) in [
            (
                "GET /favicon.ico HTTP/1.1",
                "404 nothing is here; ask for /, /ws, /events or /messages",
            ),
            ("POST / HTTP/1.1", "405 / takes GET, HEAD; use that"),
            (
                "GET /messages HTTP/1.1",
                "405 /messages takes POST; use that",
            ),
            (
                "GET http://here/ws HTTP/1.1",
                "400 the target of a request is a path such as /ws; ask for one",
            ),
            (
                "GET / HTTP/2.0",
                "505 only HTTP/1.1 and HTTP/1.0 are spoken here; send one of them",
            ),
            (
                "GET / HTTP/1.1\r\nContent-Length: 3",
                "400 no body is taken here; send none",
            ),
            (
                "POST /messages HTTP/1.1\r\nContent-Length: 3",
                "400 say who you are: POST /messages?name=YOU",
            ),
            (
                "POST /messages?name=a HTTP/1.1",
                "411 the length of the message is missing; send it as Content-Length, not chunked",
            ),
            (
                "POST /messages?name=a HTTP/1.1\r\nContent-Length: 17",
                "413 message of 17 bytes is over the limit of 16; send less",
            ),
            (
                "POST /messages?name=a HTTP/1.1\r\nContent-Length: +1",
                "400 Content-Length is not a number; send the bytes of the body",
            ),
            (
                "GET /ws HTTP/1.1",
                "426 here is a WebSocket; connect to it with ws://",
            ),
            ("GET /ws?name=%ff HTTP/1.1", "426"),
            (
                "GET /events?name=%f HTTP/1.1",
                "400 ?name= is not percent-encoded UTF-8; correct it",
            ),
            (
                "GET /events?name=a&name=b HTTP/1.1",
                "400 ?name= comes twice; send it once",
            ),
            (
                "GET /events?name=*a HTTP/1.1",
                "400 name begins with '*', which is kept for the server; choose another",
            ),
            (
                "GET / HTTP/1.1\r\nA b: c",
                "400 not an HTTP/1.1 request: invalid header name; correct it",
            ),
            ("HELLO", "400 not an HTTP/1.1 request"),
        ] {
            let answer = answer_to(head);
            let expected = format!("Refused({}) {expected}", &expected[..3]);
            assert!(answer.starts_with(&expected), "{head}: {answer}");
        }
        let no_host = Peer::new().say("GET / HTTP/1.1\r\n\r\n");
        assert_eq!(
            no_host,
            ["Refused(400) 400 the Host field is missing; send it"]
        );
        let long = Peer::new().say(format!("GET /{}", "x".repeat(HEAD_BYTES_MAX)));
        assert!(long[0].starts_with("Refused(431)"), "{long:?}");
        let many = answer_to(&format!("GET / HTTP/1.1{}", "\r\na: b".repeat(64)));
        assert!(many.starts_with("Refused(431)"), "{many}");
    }

    #[test]
    fn a_head_that_two_readers_could_understand_differently_is_refused() {
        for fields in [
            "Content-Length: 2\r\nContent-Length: 2",
            "Content-Length: 2, 2",
            "Content-Length: 2\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\ncontent-length: 2",
            "Content-Length : 2",
            "Content-Length: 2\r\n folded: x",
            "Content-Length: 2\nX: y",
            "Content-Length: 0x2",
            "Content-Length: \u{a0}2",
            "Content-Length: 2\r\nHost: other",
        ] {
            let head = format!("POST /messages?name=a HTTP/1.1\r\n{fields}");
            let answer = answer_to(&head);
            assert!(answer.starts_with("Refused(400)"), "{fields}: {answer}");
        }
    }

    #[test]
    fn pages_of_other_origins_may_not_connect() {
        let answer = |origin: &str| answer_to(&format!("GET /events HTTP/1.1\r\nOrigin: {origin}"));
        for own in [
            "http://here:9989",
            "https://HERE:9989",
            "https://chat.example",
        ] {
            assert_eq!(answer(own), "join \"\" 200", "{own}");
        }
        for other in [
            "http://here",
            "https://evil.example",
            "null",
            "here:9989",
            "http://here:9989.evil.example",
        ] {
            let answer = answer(other);
            assert!(
                answer.starts_with("Refused(403) 403 pages of"),
                "{other}: {answer}"
            );
        }
        for (host, origin) in [
            ("a:80", "http://a"),
            ("a", "https://a:443"),
            ("a:443", "https://a"),
        ] {
            let head = format!("GET /events HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n\r\n");
            assert_eq!(Peer::new().say(head), ["join \"\" 200"]);
        }
    }
}
