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
            Request::Page { wants_body } => {
                self.state = State::Served;
                http::page_answer(wants_body)
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
            State::Head => !self.kept.is_empty(),
            State::Body { .. } => true,
            State::WebSocket {
                decoder,
                has_joined,
            } => !has_joined || decoder.is_unfinished(),
            State::Events | State::Served => false,
        }
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
        let is_at_rest = matches!(self.state, State::Head) && self.kept.is_empty();
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
