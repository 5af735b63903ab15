//! The body of the fuzz target `decoder`: any stream, cut anywhere, against a reference that sees the
//! whole stream at once.
//!
//! An input is the limit (one byte), the number of cuts (one byte, modulo 16), the length of each piece
//! (a byte each), then the stream.

use crate::{DecodeError, Decoder, HEADER_BYTES, HeaderError, frame, header};

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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    #[test]
    fn every_input_of_the_corpus_is_decoded_alike_however_it_was_cut() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/decoder");
        let mut frames = 0;
        for entry in fs::read_dir(&corpus).expect("the corpus is part of the repository") {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            frames += super::decoder(&fs::read(&path).unwrap());
        }
        assert!(frames > 0, "the corpus holds frames");
    }
}
