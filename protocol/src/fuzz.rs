//! The bodies of the fuzz targets `decoder`, `websocket` and `json`: any stream, cut anywhere, against a
//! reference that sees the whole stream at once; any text, understood and said again.
//!
//! An input of the first two is the limit (one byte), the number of cuts (one byte, modulo 16), the length of each piece
//! (a byte each), then the stream.

use crate::json::{ClientObject, ServerObject};
use crate::websocket::{self, Opcode};
use crate::{DecodeError, Decoder, HEADER_BYTES, HeaderError, Position, frame, header};

/// What a stream decodes to.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    Payload(Vec<u8>),
    /// Over the limit, and stepped over.
    TooLong(u64),
    Broken(HeaderError),
}

/// Decodes what `input` describes in several ways, and returns how many frames it holds.
///
/// # Panics
/// When two ways do not agree.
pub fn decoder(input: &[u8]) -> usize {
    let [limit, cuts, rest @ ..] = input else {
        return 0;
    };
    let payload_bytes_max = usize::from(*limit);
    let cuts = usize::from(cuts % 16).min(rest.len());
    let (cuts, stream) = rest.split_at(cuts);
    let (expected, mid_frame) = reference(stream, payload_bytes_max);
    let as_cut = cuts.iter().map(|bytes| usize::from(*bytes));
    for (way, found) in [
        ("whole", decode(stream, [].into_iter(), payload_bytes_max)),
        ("as cut", decode(stream, as_cut, payload_bytes_max)),
        (
            "byte by byte",
            decode(stream, stream.iter().map(|_| 1), payload_bytes_max),
        ),
    ] {
        assert_eq!(found.0, expected, "{way}");
        assert_eq!(
            found.1, mid_frame,
            "{way}: whether the end leaves a partial frame"
        );
    }
    encode_again(&expected, payload_bytes_max);
    expected.len()
}

/// Feeds pieces of the given lengths, then the rest; says also whether it ends inside a frame.
fn decode(
    mut stream: &[u8],
    pieces: impl Iterator<Item = usize>,
    payload_bytes_max: usize,
) -> (Vec<Event>, bool) {
    let mut decoder = Decoder::new(payload_bytes_max);
    let mut events = Vec::new();
    for bytes in pieces.chain([usize::MAX]) {
        let (mut piece, rest) = stream.split_at(bytes.min(stream.len()));
        stream = rest;
        loop {
            match decoder.next(&mut piece) {
                Ok(Some(payload)) => {
                    events.push(Event::Payload(payload.to_vec()));
                    continue;
                }
                Ok(None) => break,
                Err(DecodeError::TooLong {
                    payload_bytes,
                    payload_bytes_max: limit,
                }) => {
                    assert!(limit == payload_bytes_max && payload_bytes > limit as u64);
                    events.push(Event::TooLong(payload_bytes));
                    decoder.skip(payload_bytes);
                }
                Err(DecodeError::Header(error)) => {
                    events.push(Event::Broken(error));
                    return (events, false);
                }
            }
        }
        assert!(piece.is_empty(), "None means that the input is used up");
        assert!(decoder.unfinished_payload_bytes() <= payload_bytes_max);
    }
    (events, decoder.is_mid_frame())
}

/// The format as one reads it with the whole stream at hand.
fn reference(mut stream: &[u8], payload_bytes_max: usize) -> (Vec<Event>, bool) {
    let mut events = Vec::new();
    while let Some((header, rest)) = stream.split_first_chunk::<HEADER_BYTES>() {
        let bytes = match header::parse(header) {
            Ok(bytes) => bytes,
            Err(error) => {
                assert!(!is_number(header), "{header:?} is a number: {error}");
                events.push(Event::Broken(error));
                return (events, false);
            }
        };
        assert!(is_number(header), "{header:?} is no number");
        let is_too_long = bytes > payload_bytes_max as u64;
        if is_too_long {
            events.push(Event::TooLong(bytes));
        }
        let Some((payload, after)) = usize::try_from(bytes)
            .ok()
            .and_then(|bytes| rest.split_at_checked(bytes))
        else {
            return (events, true);
        };
        if !is_too_long {
            events.push(Event::Payload(payload.to_vec()));
        }
        stream = after;
    }
    (events, !stream.is_empty())
}

/// Digits with nothing but white space around them, which is what `int(text.strip())` takes.
fn is_number(header: &[u8]) -> bool {
    let is_white_space = |byte: &u8| b" \t\n\r\x0b\x0c".contains(byte);
    let begins = header.iter().position(|byte| !is_white_space(byte));
    let ends = header.iter().rposition(|byte| !is_white_space(byte));
    match (begins, ends) {
        (Some(first), Some(last)) => header[first..=last].iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// What was decoded says the same once it is encoded again.
fn encode_again(events: &[Event], payload_bytes_max: usize) {
    let payloads = events.iter().filter_map(|event| match event {
        Event::Payload(payload) => Some(payload),
        Event::TooLong(_) | Event::Broken(_) => None,
    });
    let stream: Vec<u8> = payloads
        .clone()
        .flat_map(|payload| frame::encode(payload))
        .collect();
    let (again, mid_frame) = decode(&stream, [].into_iter(), payload_bytes_max);
    assert!(!mid_frame, "whole frames end at a frame's end");
    assert_eq!(again.len(), payloads.clone().count());
    for (payload, event) in payloads.zip(&again) {
        assert!(matches!(event, Event::Payload(found) if found == payload));
    }
}

/// Decodes a stream of WebSocket frames in several ways, and returns how many messages it holds.
///
/// # Panics
/// When two ways do not agree, or what was decoded is not the same once it is encoded again.
pub fn websocket(input: &[u8]) -> usize {
    let [limit, cuts, rest @ ..] = input else {
        return 0;
    };
    let sender = match limit % 2 {
        0 => websocket::Sender::Client,
        _ => websocket::Sender::Server,
    };
    let decode = |stream, pieces: &mut dyn Iterator<Item = usize>| {
        decode_websocket(stream, pieces, sender, usize::from(*limit))
    };
    let cuts = usize::from(cuts % 16).min(rest.len());
    let (cuts, stream) = rest.split_at(cuts);
    let whole = decode(stream, &mut std::iter::empty());
    let as_cut = decode(stream, &mut cuts.iter().map(|bytes| usize::from(*bytes)));
    assert_eq!(as_cut, whole, "as cut");
    let by_bytes = decode(stream, &mut stream.iter().map(|_| 1));
    assert_eq!(by_bytes, whole, "byte by byte");
    let mask = (sender == websocket::Sender::Client).then_some([7, 0, 0xff, 0x80]);
    let (messages, _) = &whole;
    let encode = |(opcode, payload): &(Opcode, Vec<u8>)| websocket::encode(*opcode, payload, mask);
    let again: Vec<u8> = messages.iter().flat_map(encode).collect();
    let again = decode(&again, &mut std::iter::empty());
    assert_eq!(again, (messages.clone(), Ok(false)));
    messages.len()
}

/// The messages, and the fault or whether the stream ends inside one.
type Decoded = (Vec<(Opcode, Vec<u8>)>, Result<bool, websocket::Error>);

fn decode_websocket(
    mut stream: &[u8],
    pieces: &mut dyn Iterator<Item = usize>,
    sender: websocket::Sender,
    message_bytes_max: usize,
) -> Decoded {
    let mut decoder = websocket::Decoder::new(sender, message_bytes_max);
    let mut messages = Vec::new();
    for bytes in pieces.chain([usize::MAX]) {
        let (mut piece, rest) = stream.split_at(bytes.min(stream.len()));
        stream = rest;
        loop {
            match decoder.next(&mut piece) {
                Ok(Some(message)) => messages.push(owned(message)),
                Ok(None) => break,
                Err(error) => return (messages, Err(error)),
            }
        }
        assert!(piece.is_empty(), "None means that the input is used up");
        assert!(decoder.kept_bytes() <= 2 * message_bytes_max.max(8));
    }
    (messages, Ok(decoder.is_unfinished()))
}

fn owned(message: websocket::Message<'_>) -> (Opcode, Vec<u8>) {
    use websocket::Message;
    match message {
        Message::Text(text) => (Opcode::Text, text.into()),
        Message::Binary(bytes) => (Opcode::Binary, bytes.into()),
        Message::Ping(payload) => (Opcode::Ping, payload.into()),
        Message::Pong(payload) => (Opcode::Pong, payload.into()),
        Message::Close(None) => (Opcode::Close, Vec::new()),
        Message::Close(Some((code, reason))) => (
            Opcode::Close,
            [&code.to_be_bytes(), reason.as_bytes()].concat(),
        ),
    }
}

/// Understands a text as either side does, and says a message of any bytes. Returns how many of the three
/// had a meaning.
///
/// # Panics
/// When what was understood is not the same once it is said again, or what is said is not understood.
pub fn json(input: &[u8]) -> usize {
    let position = Position {
        epoch: input.len() as u64,
        sequence: u64::from(input.first().copied().unwrap_or_default()),
    };
    let message = ServerObject::message("ann", input, position);
    let said = String::from_utf8(message.json()).expect("JSON is UTF-8");
    assert_eq!(ServerObject::parse(&said), Ok(message.clone()));
    let (_, data) = message.event_data();
    assert!(!data.contains(&b'\n') && !data.contains(&b'\r'), "one line");
    let Ok(text) = str::from_utf8(input) else {
        return 1;
    };
    let of_client = ClientObject::parse(text).ok();
    if let Some(object) = &of_client {
        let said = String::from_utf8(object.json()).expect("JSON is UTF-8");
        assert_eq!(ClientObject::parse(&said).as_ref(), Ok(object));
    }
    let of_server = ServerObject::parse(text).ok();
    if let Some(object) = &of_server {
        let said = String::from_utf8(object.json()).expect("JSON is UTF-8");
        assert_eq!(ServerObject::parse(&said).as_ref(), Ok(object));
    }
    1 + usize::from(of_client.is_some()) + usize::from(of_server.is_some())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// Runs `body` on every input of a corpus, and says what all of them yield.
    fn run_corpus(name: &str, body: fn(&[u8]) -> usize) -> usize {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../fuzz/corpus")
            .join(name);
        let entries = fs::read_dir(&corpus).expect("the corpus is part of the repository");
        let yields = entries.map(|entry| {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            body(&fs::read(&path).unwrap())
        });
        yields.sum()
    }

    #[test]
    fn every_input_of_the_corpus_is_decoded_alike_however_it_was_cut() {
        assert!(run_corpus("decoder", super::decoder) > 0);
        assert!(run_corpus("websocket", super::websocket) > 0);
    }

    #[test]
    fn every_text_of_the_corpus_says_the_same_again() {
        assert!(run_corpus("json", super::json) > 10);
    }
}
