//! The protocol of WebSocket: a text message of one JSON object each, in both directions.
//!
//! tungstenite reads and writes a [`Buffer`] instead of a socket, so this is bytes in and bytes out, as
//! frames are. Each line has a number, and leaves [`Outgoing`] when the server has accepted it.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf as _, BytesMut};
use protocol::Position;
use protocol::json::{self, ClientObject, ServerObject, Text};
use protocol::presence::Presence;
use serde_json::Value;
use tungstenite::client::IntoClientRequest as _;
use tungstenite::error::ProtocolError;
use tungstenite::handshake::client::ClientHandshake;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, HandshakeError, Message as Frame};

use super::{Join, Malformed, Message, Outgoing, Received, Wire};

/// Lines become frames while less than this is to be written, in bytes.
const UNWRITTEN_BYTES_MAX: usize = 64 * 1024;
/// No frame is longer than this, in bytes, unless `--max-message-bytes` asks for it.
const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What a byte of a message takes at most, in bytes: `\u0001`.
const ESCAPED_BYTES_MAX: usize = 6;
/// The types of objects that are understood. Others may come, and are passed over.
const TYPES: [&str; 6] = [
    "joined", "message", "accepted", "missed", "presence", "closing",
];

pub(crate) struct WebSocket {
    socket: tungstenite::WebSocket<Buffer>,
    message_bytes_max: usize,
}

/// What came and was not read, and what was said and is not written. It blocks like a socket.
#[derive(Default)]
struct Buffer {
    input: BytesMut,
    output: BytesMut,
}

impl WebSocket {
    /// Asks for `url` on a fresh `transport`, and joins when the server has agreed.
    pub(crate) fn connect(
        transport: &mut (impl Read + Write),
        url: &str,
        join: &Join,
    ) -> Result<Self, Error> {
        let frame_bytes_max = join.message_bytes_max.saturating_mul(ESCAPED_BYTES_MAX);
        let frame_bytes_max = Some(frame_bytes_max.max(FRAME_BYTES_MAX));
        let config = WebSocketConfig::default()
            .write_buffer_size(0)
            .max_message_size(frame_bytes_max)
            .max_frame_size(frame_bytes_max);
        let request = url.into_client_request()?;
        let mut handshake = ClientHandshake::start(Buffer::default(), request, Some(config))?;
        let mut input = [0; 4096];
        loop {
            match handshake.handshake() {
                Ok((socket, _)) => return Ok(Self::join(socket, join)),
                Err(HandshakeError::Failure(error)) => return Err(error),
                Err(HandshakeError::Interrupted(interrupted)) => handshake = interrupted,
            }
            let buffer = handshake.get_mut().get_mut();
            transport.write_all(&buffer.output.split())?;
            match transport.read(&mut input)? {
                0 => return Err(ProtocolError::HandshakeIncomplete.into()),
                bytes => buffer.input.extend_from_slice(&input[..bytes]),
            }
        }
    }

    fn join(socket: tungstenite::WebSocket<Buffer>, join: &Join) -> Self {
        let mut joined = Self {
            socket,
            message_bytes_max: join.message_bytes_max,
        };
        joined.say(&ClientObject {
            name: Some(join.name.as_str().into()),
            after: join.after.map(|after| Text(after.to_string().into())),
            ..ClientObject::default()
        });
        joined
    }

    fn say(&mut self, object: &ClientObject<'_>) {
        let text = String::from_utf8_lossy(&object.json()).into_owned();
        // The buffer takes everything, until the server has closed: then nobody would read it.
        let _ = self.socket.write(Frame::text(text));
    }

    /// What `text` says, if it is of a type that is understood.
    fn understand(&self, text: &str) -> Result<Option<Received>, Malformed> {
        let object = match ServerObject::parse(text) {
            Ok(object) => object,
            Err(_) if is_unknown(text) => return Ok(None),
            Err(error) => return Err(Malformed(error.to_string())),
        };
        Ok(Some(match object {
            ServerObject::Joined(joined) => Received::Joined {
                resumed: joined.resumed,
                position: joined.position,
            },
            ServerObject::Message(message) => self.message(message)?,
            ServerObject::Accepted(accepted) => Received::Accepted {
                id: accepted.id,
                position: accepted.position,
            },
            ServerObject::Missed(missed) => Received::Missed {
                messages: missed.messages,
                position: missed.position,
            },
            ServerObject::Presence(who) => {
                let presence = presence(&who);
                return Ok(presence.map(|told| Received::Notice(told.to_string().into_bytes())));
            }
            ServerObject::Closing(closing) => {
                Received::Notice(format!("closing: {}", closing.reason).into_bytes())
            }
        }))
    }

    fn message(&self, message: json::Message<'_>) -> Result<Received, Malformed> {
        let name = message.name.into_owned().into_bytes();
        let text = match (message.text, message.base64) {
            (Some(text), _) => text.0.into_owned().into_bytes(),
            (None, Some(base64)) => STANDARD
                .decode(base64)
                .map_err(|error| Malformed(error.to_string()))?,
            (None, None) => return Err(Malformed("a message without text".to_owned())),
        };
        if text.len() > self.message_bytes_max {
            return Ok(Received::TooLong {
                name: Some(name),
                bytes: text.len() as u64,
            });
        }
        Ok(Received::Message(Message {
            name,
            text,
            position: message.position,
        }))
    }
}

impl Wire for WebSocket {
    fn take(&mut self, input: &[u8], received: &mut Vec<Received>) -> Result<(), Malformed> {
        self.socket.get_mut().input.extend_from_slice(input);
        loop {
            match self.socket.read() {
                Ok(Frame::Text(text)) => received.extend(self.understand(&text)?),
                Ok(Frame::Binary(_)) => {
                    return Err(Malformed("a message that is not text".to_owned()));
                }
                // tungstenite has answered it.
                Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Close(_) | Frame::Frame(_)) => {}
                // All is read, or the end of the stream comes next.
                Err(Error::Io(_) | Error::ConnectionClosed | Error::AlreadyClosed) => {
                    return Ok(());
                }
                Err(error) => return Err(Malformed(error.to_string())),
            }
        }
    }

    fn is_mid_message(&self) -> bool {
        // Nobody tells, and what was not taken is not lost if it is asked for again.
        false
    }

    fn unwritten(&mut self, outgoing: &mut Outgoing) -> &[u8] {
        while self.socket.can_write()
            && self.socket.get_ref().output.len() < UNWRITTEN_BYTES_MAX
            && let Some((id, line)) = outgoing.hand_out()
        {
            let line = String::from_utf8_lossy(line);
            self.say(&ClientObject {
                text: Some(Text(line)),
                id: Some(id),
                ..ClientObject::default()
            });
        }
        &self.socket.get_ref().output
    }

    fn written(&mut self, bytes: usize, _outgoing: &mut Outgoing) -> usize {
        self.socket.get_mut().output.advance(bytes);
        // That, the server says: see `Received::Accepted`.
        0
    }

    fn is_written(&self) -> bool {
        self.socket.get_ref().output.is_empty()
    }

    fn finish(&mut self) -> bool {
        // What cannot be closed is closed already.
        let _ = self.socket.close(None);
        true
    }
}

impl Read for Buffer {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.input.len().min(into.len()) {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            bytes => {
                self.input.copy_to_slice(&mut into[..bytes]);
                Ok(bytes)
            }
        }
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether `text` is an object of a type that servers have learned since.
fn is_unknown(text: &str) -> bool {
    let object: Option<Value> = serde_json::from_str(text).ok();
    let kind = object.as_ref().and_then(|object| object["type"].as_str());
    kind.is_some_and(|kind| !TYPES.contains(&kind))
}

/// As a notice in frames says it.
fn presence<'a>(who: &'a json::Who<'_>) -> Option<Presence<'a>> {
    let count = who.count.unwrap_or_default();
    match (&who.joined, &who.left, &who.here) {
        (Some(name), ..) => Some(Presence::Joined(&name.0)),
        (_, Some(name), _) => Some(Presence::Left(&name.0)),
        (_, _, Some(names)) => Some(Presence::Here {
            here: count.max(names.len() as u64),
            names: names.iter().map(|name| &*name.0).collect(),
        }),
        _ => who.count.map(|here| Presence::Herd {
            joined: who.joins.unwrap_or_default(),
            left: who.leaves.unwrap_or_default(),
            here,
        }),
    }
}

/// How far a client has got in the order of messages, over all of its connections.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    after: Option<Position>,
    /// Its own messages behind that place, as sequence numbers: a server that resumes sends them back.
    own: BTreeSet<u64>,
}

impl Progress {
    /// What a new connection is to go on behind; `None` before the first.
    pub(crate) const fn after(&self) -> Option<Position> {
        self.after
    }

    /// What comes next is behind `position`.
    pub(crate) fn go_to(&mut self, position: Position) {
        match self.is_in(position) {
            true => self.own = self.own.split_off(&(position.sequence + 1)),
            false => self.own.clear(),
        }
        self.after = Some(position);
        self.pass_own();
    }

    /// A message that ends at `position` has come. Says whether it is news, and not an own one that was
    /// sent back.
    pub(crate) fn is_news(&mut self, position: Position) -> bool {
        let is_passed = |after: Position| position.sequence <= after.sequence;
        let is_in = self.is_in(position);
        if is_in && self.after.is_some_and(is_passed) {
            return false;
        }
        let is_own = is_in && self.own.contains(&position.sequence);
        self.go_to(position);
        !is_own
    }

    /// The client's own message ends at `position`.
    pub(crate) fn accepted(&mut self, position: Position) {
        let is_passed = |after: Position| position.sequence <= after.sequence;
        if self.is_in(position) && !self.after.is_some_and(is_passed) {
            self.own.insert(position.sequence);
            self.pass_own();
        }
    }

    /// Whether `position` is of the order in which this client is.
    fn is_in(&self, position: Position) -> bool {
        self.after
            .is_some_and(|after| after.epoch == position.epoch)
    }

    /// Nothing comes between `after` and an own message that is the next.
    fn pass_own(&mut self) {
        while let Some(after) = &mut self.after
            && self.own.remove(&(after.sequence + 1))
        {
            after.sequence += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tungstenite::protocol::Role;

    use super::*;

    const fn at(epoch: u64, sequence: u64) -> Position {
        Position { epoch, sequence }
    }

    #[test]
    fn own_messages_are_known_when_they_come_back_and_forgotten_when_they_cannot() {
        let mut progress = Progress::default();
        progress.go_to(at(1, 7));
        // Nothing lies between.
        (8..100).for_each(|sequence| progress.accepted(at(1, sequence)));
        assert_eq!(progress.after(), Some(at(1, 99)));
        // The messages at 100 and 102 have not come yet.
        progress.accepted(at(1, 101));
        progress.accepted(at(1, 103));
        assert_eq!(progress.after(), Some(at(1, 99)));
        // Resumed: all comes back.
        progress.go_to(at(1, 99));
        let news = (100..=104).filter(|sequence| progress.is_news(at(1, *sequence)));
        assert_eq!(news.collect::<Vec<_>>(), [100, 102, 104]);
        assert_eq!(
            (progress.after(), progress.own.len()),
            (Some(at(1, 104)), 0)
        );
        // Some were skipped.
        progress.accepted(at(1, 106));
        progress.accepted(at(1, 109));
        progress.go_to(at(1, 107));
        assert!(progress.is_news(at(1, 108)));
        assert_eq!(progress.after(), Some(at(1, 109)));
        // Another life of the server.
        progress.accepted(at(1, 111));
        progress.go_to(at(2, 3));
        assert!(progress.own.is_empty() && progress.is_news(at(2, 4)));
    }

    proptest! {
        #[test]
        fn garbage_is_refused_and_never_a_panic(
            text in r#"\{"type":"(joined|message|missed|presence|x)"(,"[a-z]{1,8}":("[^"\\\\]{0,9}"|7|null))*\}|.*"#,
            garbage in prop::collection::vec(any::<u8>(), 0..50),
            pieces in 1usize..50,
        ) {
            let frame = tungstenite::protocol::frame::Frame::message(
                text,
                tungstenite::protocol::frame::coding::OpCode::Data(
                    tungstenite::protocol::frame::coding::Data::Text,
                ),
                true,
            );
            let mut wire = Vec::new();
            frame.format(&mut wire).unwrap();
            wire.extend(garbage);
            let read = |pieces| {
                let socket = tungstenite::WebSocket::from_raw_socket(Buffer::default(), Role::Client, None);
                let mut socket = WebSocket { socket, message_bytes_max: 4 };
                let mut received = Vec::new();
                let end = wire.chunks(pieces).try_for_each(|piece| socket.take(piece, &mut received));
                (end.map_err(|error| error.to_string()), received)
            };
            prop_assert_eq!(read(pieces), read(wire.len()));
        }
    }
}
