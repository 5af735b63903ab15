//! What peers are sent, in the encoding of each.
//!
//! Frames say it in words, as the user `*server*`; the others in JSON. A WebSocket message is one frame, and
//! is not masked, so that all subscribers share it. What always holds: encodings of whole messages, one
//! behind another, are taken apart by [`first_message_bytes`].

use bytes::{BufMut, Bytes, BytesMut};
use protocol::json::{Accepted, Closing, Joined, Missed, ServerObject};
use protocol::presence::Presence;
use protocol::websocket::{self, Opcode};
use protocol::{HEADER_BYTES, Position, SERVER_NAME, frame, header};

use super::Encoding;

/// What the log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry<'a> {
    /// A message of somebody.
    Message {
        /// Its author.
        name: &'a str,
        /// What it says.
        text: &'a [u8],
    },
    /// What the server says about who comes and goes.
    Presence(Presence<'a>),
}

impl<'a> Entry<'a> {
    /// Reads what [`encode`] writes as frames.
    pub(crate) fn of_frames(frames: &'a [u8]) -> Self {
        let (name, text) = frames.split_at(frame_bytes(frames));
        let (name, text) = (&name[HEADER_BYTES..], &text[HEADER_BYTES..]);
        let name = str::from_utf8(name).expect("names are text");
        let by_server = str::from_utf8(text).ok().filter(|_| name == SERVER_NAME);
        match by_server.and_then(Presence::parse) {
            Some(presence) => Self::Presence(presence),
            None => Self::Message { name, text },
        }
    }
}

/// Why a connection is closed, as peers are told in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// The server ends.
    GoingAway,
    /// The peer sent what its protocol does not allow.
    Malformed,
    /// The peer sent what is not UTF-8.
    NotUtf8,
    /// What the peer asks for or does is not allowed: its name, its role, being slow.
    NotAllowed,
    /// The peer took too long to say something.
    Timeout,
    /// Something is over a limit on its size.
    TooLong,
    /// There is no place now.
    TryLater,
}

impl Code {
    /// As a Close frame says it.
    pub(super) const fn of_websocket(self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::Malformed => 1002,
            Self::NotUtf8 => 1007,
            Self::NotAllowed | Self::Timeout => 1008,
            Self::TooLong => 1009,
            Self::TryLater => 1013,
        }
    }

    /// As an answer of HTTP says it.
    pub(super) const fn of_http(self) -> u16 {
        match self {
            Self::GoingAway | Self::TryLater => 503,
            Self::Malformed | Self::NotUtf8 => 400,
            Self::NotAllowed => 403,
            Self::Timeout => 408,
            Self::TooLong => 413,
        }
    }
}

/// An entry whose end is at `position`.
pub(crate) fn encode(encoding: Encoding, entry: &Entry<'_>, position: Position) -> Bytes {
    let object = match (encoding, entry) {
        (Encoding::Frames, Entry::Message { name, text }) => {
            return frame::broadcast(name.as_bytes(), text);
        }
        (Encoding::Frames, Entry::Presence(presence)) => return notice(&presence.to_string()),
        (_, Entry::Message { name, text }) => ServerObject::message(name, text, position),
        (_, Entry::Presence(presence)) => ServerObject::presence(presence, position),
    };
    encode_object(encoding, object)
}

/// The answer to joining; frames have none. `position` is where what the peer is sent begins.
pub(crate) fn joined(encoding: Encoding, name: &str, position: Position, resumed: bool) -> Bytes {
    let object = Joined {
        name: name.into(),
        position,
        resumed,
    };
    match encoding {
        Encoding::Frames => Bytes::new(),
        _ => encode_object(encoding, ServerObject::Joined(object)),
    }
}

/// The answer to a message that came with `id` and now lies before `position`; only WebSocket has it.
pub(crate) fn accepted(encoding: Encoding, id: u64, position: Position) -> Bytes {
    match encoding {
        Encoding::WebSocket => {
            encode_object(encoding, ServerObject::Accepted(Accepted { id, position }))
        }
        Encoding::Frames | Encoding::Events => Bytes::new(),
    }
}

/// `messages` were skipped; the next lies behind `position`.
pub(crate) fn missed(encoding: Encoding, messages: u64, position: Position) -> Bytes {
    match encoding {
        Encoding::Frames => notice(&format!(
            "skipped {messages} messages: you were too far behind"
        )),
        _ => {
            let position = Some(position);
            encode_object(
                encoding,
                ServerObject::Missed(Missed { messages, position }),
            )
        }
    }
}

/// What keeps a connection in use that is sent nothing else; frames have nothing for it.
pub(crate) fn ping(encoding: Encoding) -> Bytes {
    match encoding {
        Encoding::Frames => Bytes::new(),
        Encoding::WebSocket => Bytes::from_static(&[0x89, 0]),
        Encoding::Events => Bytes::from_static(b":\n\n"),
    }
}

/// The last that a subscriber is told.
pub(super) fn closing(encoding: Encoding, code: Code, reason: &str) -> Bytes {
    if encoding == Encoding::Frames {
        return notice(&format!("closing: {reason}"));
    }
    let object = Closing {
        reason: reason.into(),
    };
    let told = encode_object(encoding, ServerObject::Closing(object));
    if encoding == Encoding::Events {
        return told;
    }
    let close = websocket::encode_close(code.of_websocket(), reason, None);
    [told, close].concat().into()
}

const BATCH: &str = "a batch holds the whole messages that we built";

/// How long the first message is of a batch of whole messages; also a ping, a reply or a notice is one.
pub(crate) fn first_message_bytes(encoding: Encoding, batch: &[u8]) -> usize {
    match encoding {
        Encoding::Frames => {
            let name = frame_bytes(batch);
            name + frame_bytes(&batch[name..])
        }
        Encoding::WebSocket => websocket::frame_bytes(batch).expect(BATCH),
        Encoding::Events => {
            let end = batch.windows(2).position(|pair| pair == b"\n\n");
            2 + end.expect(BATCH)
        }
    }
}

fn frame_bytes(frames: &[u8]) -> usize {
    frames
        .first_chunk()
        .and_then(|header| header::parse(header).ok())
        .and_then(|payload_bytes| usize::try_from(payload_bytes).ok())
        .map(|payload_bytes| HEADER_BYTES + payload_bytes)
        .expect(BATCH)
}

/// What the server says in frames.
fn notice(text: &str) -> Bytes {
    frame::broadcast(SERVER_NAME.as_bytes(), text.as_bytes())
}

fn encode_object(encoding: Encoding, object: ServerObject<'_>) -> Bytes {
    match encoding {
        Encoding::Frames => unreachable!("frames carry no JSON"),
        Encoding::WebSocket => websocket::encode(Opcode::Text, &object.json(), None),
        Encoding::Events => {
            let position = object.position();
            let (kind, data) = object.event_data();
            let id = position.map_or(String::new(), |position| format!("id: {position}\n"));
            let head = format!("{id}event: {kind}\ndata: ");
            let mut event = BytesMut::with_capacity(head.len() + data.len() + 2);
            event.put_slice(head.as_bytes());
            event.put_slice(&data);
            event.put_slice(b"\n\n");
            event.freeze()
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    const AT: Position = Position {
        epoch: 1,
        sequence: 2,
    };

    #[test]
    fn a_batch_is_taken_apart_into_its_messages() {
        let texts = [1, 125, 126, 200, 65_535, 65_536, 70_000].map(|bytes| "x\n".repeat(bytes / 2));
        for encoding in Encoding::ALL {
            let entries = texts.iter().map(|text| Entry::Message {
                name: "ann",
                text: text.as_bytes(),
            });
            let messages: Vec<Bytes> = entries.map(|it| encode(encoding, &it, AT)).collect();
            let batch = messages.concat();
            let mut rest = &batch[..];
            for message in messages {
                assert_eq!(first_message_bytes(encoding, rest), message.len());
                rest = &rest[message.len()..];
            }
        }
    }

    #[test]
    fn what_is_encoded_is_decoded_as_what_was_accepted() {
        for seed in 0..300 {
            let mut random = StdRng::seed_from_u64(seed);
            let mut bytes = vec![0; random.random_range(0..300)];
            random.fill(&mut bytes[..]);
            let text = match seed % 2 {
                0 => String::from_utf8_lossy(&bytes).into_owned().into_bytes(),
                _ => bytes,
            };
            let entry = Entry::Message {
                name: "\"ann\"\u{7f}",
                text: &text,
            };
            let [frames, websocket, event] = Encoding::ALL.map(|it| encode(it, &entry, AT));
            assert_eq!(Entry::of_frames(&frames), entry, "seed {seed}");
            let expected = ServerObject::message("\"ann\"\u{7f}", &text, AT);
            let mut decoder = websocket::Decoder::new(websocket::Sender::Server, 4096);
            match decoder.next(&mut &websocket[..]) {
                Ok(Some(websocket::Message::Text(json))) => {
                    assert_eq!(
                        ServerObject::parse(json),
                        Ok(expected.clone()),
                        "seed {seed}"
                    );
                }
                other => panic!("seed {seed}: {other:?}"),
            }
            let (kind, data) = expected.event_data();
            let lines: Vec<&[u8]> = event.split(|&byte| byte == b'\n').collect();
            let [id, event, line, b"", b""] = lines[..] else {
                panic!("seed {seed}: {lines:?}");
            };
            assert_eq!(id, format!("id: {AT}").as_bytes());
            assert_eq!(event, format!("event: {kind}").as_bytes());
            assert_eq!(line, [&b"data: "[..], &data].concat(), "seed {seed}");
        }
    }

    #[test]
    fn a_closing_says_the_reason_and_then_the_code() {
        let told = closing(Encoding::WebSocket, Code::TooLong, "too long");
        let mut decoder = websocket::Decoder::new(websocket::Sender::Server, 4096);
        let mut rest = &told[..];
        let first = decoder.next(&mut rest).unwrap();
        let object = "{\"type\":\"closing\",\"reason\":\"too long\"}";
        assert_eq!(first, Some(websocket::Message::Text(object)));
        let close = websocket::Message::Close(Some((1009, "too long")));
        assert_eq!(decoder.next(&mut rest), Ok(Some(close)));
        let event = closing(Encoding::Events, Code::TooLong, "too long");
        assert_eq!(
            &event[..],
            b"event: closing\ndata: {\"reason\":\"too long\"}\n\n"
        );
    }

    #[test]
    fn an_entry_is_read_from_its_frames() {
        let presence = Entry::Presence(Presence::Joined("ann"));
        let message = Entry::Message {
            name: "ann",
            text: b"*server* joined",
        };
        for entry in [presence, message] {
            let frames = encode(Encoding::Frames, &entry, AT);
            assert_eq!(Entry::of_frames(&frames), entry);
        }
    }
}
