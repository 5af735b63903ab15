//! The other wires in the simulation's own words: what a browser or a program says over HTTP, WebSocket and
//! events, and a reader of what it is told, which shares nothing with the server's code but JSON.

use std::collections::VecDeque;

use protocol::presence::Presence;
use protocol::{SERVER_NAME, frame};
use rand::{Rng, RngExt};
use serde_json::{Value, json};

use super::peer::{Order, Peer, whole_notice};
use super::pick;

/// What a peer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speech {
    Frames,
    WebSocket,
    /// It only listens.
    Events,
    /// It only says something, by requests.
    Publishing,
}

impl Speech {
    pub(super) fn draw(rng: &mut impl Rng) -> Self {
        let all = [
            Self::Frames,
            Self::WebSocket,
            Self::Events,
            Self::Publishing,
        ];
        *pick(
            rng,
            &[
                all[0], all[0], all[0], all[1], all[1], all[1], all[2], all[3],
            ],
        )
    }
}

/// What a peer is told, whole.
#[derive(Debug)]
pub(super) enum Told {
    /// An answer of HTTP.
    Answer {
        status: u16,
        body: String,
    },
    /// An object of JSON, and the position that stands beside or in it.
    Object {
        object: Value,
        position: Option<Position>,
    },
    Ping,
    Pong(u8),
    Close(u16),
    /// A notice in frames: nothing had come from this peer that says what it speaks.
    Notice(String),
}

/// A position as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) text: String,
    pub(super) number: u64,
}

impl Position {
    fn of(text: &str) -> Self {
        let (_, number) = text.split_once('.').unwrap();
        Self {
            text: text.into(),
            number: number.parse().unwrap(),
        }
    }

    /// One of another life of the server.
    pub(super) fn foreign(&self) -> Self {
        let first = if self.text.starts_with('0') { "1" } else { "0" };
        Self {
            text: format!("{first}{}", &self.text[1..]),
            ..*self
        }
    }
}

/// What came to a peer and is not whole yet.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) bytes: Vec<u8>,
    /// How many of them were taken.
    taken: usize,
    mode: Mode,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Mode {
    #[default]
    Answers,
    WebSocket,
    Events,
}

impl Stream {
    pub(super) fn is_websocket(&self) -> bool {
        self.mode == Mode::WebSocket
    }

    pub(super) fn is_events(&self) -> bool {
        self.mode == Mode::Events
    }

    pub(super) fn next(&mut self) -> Option<Told> {
        let rest = &self.bytes[self.taken..];
        let found = match self.mode {
            Mode::Answers => answer(rest),
            Mode::WebSocket => frame(rest),
            Mode::Events => event(rest),
        };
        let Some((told, bytes, mode)) = found else {
            self.bytes.drain(..self.taken);
            self.taken = 0;
            return None;
        };
        self.mode = mode;
        self.taken += bytes;
        Some(told)
    }
}

fn answer(bytes: &[u8]) -> Option<(Told, usize, Mode)> {
    if bytes.first()?.is_ascii_digit() {
        let (text, bytes) = whole_notice(bytes)?;
        return Some((Told::Notice(text), bytes, Mode::Answers));
    }
    let end = 4 + bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = str::from_utf8(&bytes[..end]).unwrap();
    let status = head.strip_prefix("HTTP/1.1 ").unwrap()[..3]
        .parse()
        .unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "));
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    let body = bytes.get(end..end + length)?;
    let body = String::from_utf8(body.to_vec()).unwrap();
    let mode = match status {
        101 => Mode::WebSocket,
        _ if head.contains("text/event-stream") => Mode::Events,
        _ => Mode::Answers,
    };
    Some((Told::Answer { status, body }, end + length, mode))
}

fn frame(bytes: &[u8]) -> Option<(Told, usize, Mode)> {
    let &[first, length, ref rest @ ..] = bytes else {
        return None;
    };
    assert_eq!(length & 0x80, 0, "servers do not mask");
    let (length, header) = match length {
        126 => (u16::from_be_bytes(*rest.first_chunk()?).into(), 4),
        127 => (u64::from_be_bytes(*rest.first_chunk()?), 10),
        length => (length.into(), 2),
    };
    let end = header + usize::try_from(length).unwrap();
    let payload = bytes.get(header..end)?;
    let told = match first {
        0x81 => {
            let object: Value = serde_json::from_slice(payload).unwrap();
            let position = object["position"].as_str().map(Position::of);
            Told::Object { object, position }
        }
        0x88 => Told::Close(u16::from_be_bytes(*payload.first_chunk().unwrap())),
        0x89 => Told::Ping,
        0x8a => Told::Pong(payload[0]),
        _ => panic!("{first:#x} is no frame of ours"),
    };
    Some((told, end, Mode::WebSocket))
}

fn event(bytes: &[u8]) -> Option<(Told, usize, Mode)> {
    let end = 2 + bytes.windows(2).position(|two| two == b"\n\n")?;
    let event = str::from_utf8(&bytes[..end]).unwrap();
    if event == ":\n\n" {
        return Some((Told::Ping, end, Mode::Events));
    }
    let field = |name| event.lines().find_map(|line| line.strip_prefix(name));
    let mut object: Value = serde_json::from_str(field("data: ").unwrap()).unwrap();
    object["type"] = field("event: ").unwrap().into();
    let position = field("id: ").map(Position::of);
    Some((Told::Object { object, position }, end, Mode::Events))
}

/// The request with which a peer joins, and what it says behind it.
pub(super) fn join(
    speech: Speech,
    name: &str,
    after: Option<&Position>,
    rng: &mut impl Rng,
) -> Vec<u8> {
    let head = |path: &str, fields: &str| format!("GET {path} HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
    let query = || {
        let after = after.map_or(String::new(), |after| format!("&after={}", after.text));
        format!("?name={name}{after}")
    };
    match speech {
        Speech::Frames | Speech::Publishing => Vec::new(),
        Speech::Events => match after {
            Some(after) if rng.random_bool(0.5) => {
                let last = format!("Last-Event-ID: {}\r\n", after.text);
                head(&format!("/events?name={name}"), &last).into()
            }
            _ => head(&format!("/events{}", query()), "").into(),
        },
        Speech::WebSocket => {
            let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                           Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
            if rng.random_bool(0.5) {
                return head(&format!("/ws{}", query()), upgrade).into();
            }
            let mut object = json!({ "name": name });
            if let Some(after) = after {
                object["after"] = after.text.as_str().into();
            }
            let mut said: Vec<u8> = head("/ws", upgrade).into();
            said.extend(masked(0x81, object.to_string().as_bytes(), rng));
            said
        }
    }
}

/// A message over WebSocket, in one frame or in two with a ping between them; with the ping's payload.
pub(super) fn message(
    text: &str,
    id: Option<u64>,
    ping: u8,
    rng: &mut impl Rng,
) -> (Vec<u8>, bool) {
    let mut object = json!({ "text": text });
    if let Some(id) = id {
        object["id"] = id.into();
    }
    let object = object.to_string();
    if rng.random_bool(0.7) {
        return (masked(0x81, object.as_bytes(), rng), false);
    }
    let middle = object.len() / 2;
    let mut said = masked(0x01, &object.as_bytes()[..middle], rng);
    said.extend(masked(0x89, &[ping], rng));
    said.extend(masked(0x80, &object.as_bytes()[middle..], rng));
    (said, true)
}

/// A message in a request.
pub(super) fn post(name: &str, text: &str) -> Vec<u8> {
    let bytes = text.len();
    format!(
        "POST /messages?name={name} HTTP/1.1\r\nHost: h\r\nContent-Length: {bytes}\r\n\r\n{text}"
    )
    .into()
}

/// One frame of a client.
pub(super) fn masked(first: u8, payload: &[u8], rng: &mut impl Rng) -> Vec<u8> {
    let mask: [u8; 4] = std::array::from_fn(|_| rng.random_range(0..=255));
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(length @ ..126) => frame.push(0x80 | length),
        _ => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    frame
}

/// What ends the stay of one that speaks so.
pub(super) fn fault(speech: Speech, message_bytes_max: usize, rng: &mut impl Rng) -> Vec<u8> {
    if speech == Speech::Publishing {
        let too_long = post("peer", &"x".repeat(message_bytes_max + 1));
        let faults: [&[u8]; 6] = [
            &too_long,
            b"GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n",
            b"POST /messages?name=peer HTTP/1.1\r\nHost: h\r\n\r\nhi",
            b"POST /messages?name=peer HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n\xff",
            b"GET /events?name=peer HTTP/1.1\r\nHost: h\r\nOrigin: http://evil.example\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        ];
        return pick(rng, &faults).to_vec();
    }
    let too_long = json!({ "text": "x".repeat(message_bytes_max + 1) }).to_string();
    match rng.random_range(0..8) {
        0 => vec![0x81, 2, b'{', b'}'],
        1 => masked(0x81, too_long.as_bytes(), rng),
        2 => masked(0x81, b"[]", rng),
        3 => masked(0x82, b"bytes", rng),
        4 => masked(0x81, b"\"\xff\"", rng),
        5 => masked(0xc1, b"{}", rng),
        6 => masked(0x88, &1001u16.to_be_bytes(), rng),
        _ => masked(0x01, b"{\"te", rng),
    }
}

/// What a peer of another wire than frames knows of its connection.
#[derive(Debug)]
pub(super) struct Web {
    pub(super) stream: Stream,
    /// From where it wants to go on.
    pub(super) after: Option<Position>,
    /// The last position that it was told.
    pub(super) last: Option<Position>,
    /// The place behind the last message of another that came.
    heard_to: u64,
    /// For each message that was said and not accepted yet: the number that it gave it.
    pub(super) ids: VecDeque<Option<u64>>,
    /// The messages of it that were accepted and that it has to be told of: number in the order, and id.
    pub(super) to_be_told: VecDeque<(u64, Option<u64>)>,
    pub(super) last_id: u64,
    pub(super) pings: u8,
    pub(super) ponged: u8,
    /// Why the connection is closed, as it was told.
    pub(super) reason: Option<String>,
    pub(super) is_closed: bool,
}

impl Web {
    pub(super) fn new(after: Option<Position>) -> Self {
        Self {
            stream: Stream::default(),
            after,
            last: None,
            heard_to: 0,
            ids: VecDeque::new(),
            to_be_told: VecDeque::new(),
            last_id: 0,
            pings: 0,
            ponged: 0,
            reason: None,
            is_closed: false,
        }
    }
}

impl Peer {
    /// Bytes came to a peer of another wire than frames.
    pub(super) fn take_web(&mut self, bytes: &[u8], order: Order<'_>, rng: &mut impl Rng) {
        let Some(mut web) = self.web.take() else {
            unreachable!("only peers of other wires have it");
        };
        web.stream.bytes.extend_from_slice(bytes);
        while let Some(told) = web.stream.next() {
            assert!(!web.is_closed, "nothing comes after the last: {told:?}");
            match told {
                Told::Ping => {
                    if self.speech == Speech::WebSocket {
                        self.to_hub.extend(masked(0x8a, b"", rng));
                    }
                }
                Told::Pong(ping) => {
                    assert!(
                        web.ponged < ping && ping <= web.pings,
                        "each ping once, in order"
                    );
                    web.ponged = ping;
                }
                Told::Close(code) => {
                    let codes = [1001, 1002, 1007, 1008, 1009, 1013];
                    assert!(codes.contains(&code), "{code}");
                    web.is_closed = true;
                }
                Told::Notice(text) => web.close(&text, self.speech),
                Told::Answer { status, body } => self.hear_answer(&mut web, status, &body),
                Told::Object { object, position } => {
                    self.hear(&mut web, &object, position.as_ref(), order);
                    if position.is_some() {
                        web.last = position;
                    }
                }
            }
        }
        self.web = Some(web);
    }

    fn hear_answer(&self, web: &mut Web, status: u16, body: &str) {
        match (status, self.speech) {
            (101, Speech::WebSocket) | (200, Speech::Events) => {}
            (200, Speech::Publishing) => web.close("the page", self.speech),
            (202, Speech::Publishing) => {
                let body: Value = serde_json::from_str(body).unwrap();
                let position = Position::of(body["position"].as_str().unwrap());
                let (number, _) = web.to_be_told.pop_front().expect("it posted something");
                assert_eq!(position.number, number + 1);
            }
            _ => {
                assert!((400..600).contains(&status), "{status} {body}");
                web.close(body.trim_end(), self.speech);
            }
        }
    }

    fn hear(
        &mut self,
        web: &mut Web,
        object: &Value,
        position: Option<&Position>,
        order: Order<'_>,
    ) {
        let text = |name: &str| object[name].as_str().unwrap().to_owned();
        let kind = object["type"].as_str().unwrap();
        if kind == "closing" {
            web.close(&text("reason"), self.speech);
            return;
        }
        let Some(joined_at) = self.joined_at else {
            // It came and went in one breath.
            let is_greeting = kind == "joined" || object.get("here").is_some();
            assert!(is_greeting, "{object}");
            return;
        };
        match kind {
            "joined" => {
                let position = position.unwrap();
                assert_eq!(text("name"), self.name);
                assert!(position.number <= joined_at);
                // It may have been made to skip at once.
                self.joined_at = Some(position.number);
                let resumed = object["resumed"].as_bool().unwrap();
                if resumed {
                    assert_eq!(
                        web.after.as_ref(),
                        Some(position),
                        "it goes on where it was"
                    );
                }
            }
            "message" => {
                let broadcast = frame::broadcast(text("name").as_bytes(), text("text").as_bytes());
                let expected = self.next_expected(joined_at, order.messages);
                assert_eq!(expected, Some(&broadcast), "in order, each once");
                self.next += 1;
                web.heard_to = position.unwrap().number;
                assert_eq!(web.heard_to, self.next);
            }
            "accepted" => {
                let (number, id) = web.to_be_told.pop_front().expect("it said something");
                assert_eq!(id, object["id"].as_u64());
                let position = position.unwrap().number;
                let place = web.heard_to.max(number + 1);
                assert!(position >= place, "behind its own and what it has");
                self.next_expected(joined_at, order.messages);
                assert!(self.next >= position, "it has what is before");
            }
            "missed" => {
                let missed = object["messages"].as_u64().unwrap();
                self.miss(missed, order.messages);
                let first = self.next;
                self.next_expected(joined_at, order.messages);
                assert!((first..=self.next).contains(&position.unwrap().number));
            }
            "presence" => self.hear_presence(object, joined_at, order),
            other => panic!("{other} is unknown"),
        }
    }

    fn hear_presence(&mut self, object: &Value, joined_at: u64, order: Order<'_>) {
        let number = |name: &str| object[name].as_u64();
        if object.get("here").is_some() {
            self.hear_who_is_there(number("count").unwrap(), order);
            return;
        }
        let herd = || Presence::Herd {
            joined: number("joins").unwrap(),
            left: number("leaves").unwrap(),
            here: number("count").unwrap(),
        };
        let joined = object["joined"].as_str().map(Presence::Joined);
        let left = || object["left"].as_str().map(Presence::Left);
        let told = joined.or_else(left).unwrap_or_else(herd);
        let notice = frame::broadcast(SERVER_NAME.as_bytes(), told.to_string().as_bytes());
        let expected = self.next_expected(joined_at, order.messages);
        assert_eq!(expected, Some(&notice), "in order, each once");
        self.next += 1;
    }
}

impl Web {
    /// The peer is told why it has to go. Only WebSocket has a word behind that.
    fn close(&mut self, reason: &str, speech: Speech) {
        assert_eq!(self.reason, None, "it is told once");
        let reason = reason.strip_prefix("closing: ").unwrap_or(reason);
        self.reason = Some(reason.into());
        self.is_closed = !(speech == Speech::WebSocket && self.stream.is_websocket());
    }
}
