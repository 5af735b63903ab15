//! The body of the fuzz target `wire`: any bytes of one peer, cut anywhere.
//!
//! An input is the number of cuts (one byte, modulo 16), the length of each piece (a byte each), then the
//! stream. However it is cut, the peer says the same and is answered the same.

use bytes::Bytes;
use protocol::{Position, websocket};

use super::{Code, Encoding, End, Event, Fault, Input, Rules};

/// What a peer said, on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Join(String, Option<Position>, Encoding),
    Message(Vec<u8>, Option<u64>),
    Post(String, Vec<u8>, bool),
    Ends(End),
    Left,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    said: Vec<Said>,
    replies: Vec<u8>,
    /// The last that is said to a peer that breaks the rules.
    fault: Option<(Fault, Bytes)>,
    is_unfinished: bool,
}

/// Takes what `input` describes in several ways, and returns how many events it holds.
///
/// # Panics
/// When two ways do not agree, or the rules of [`Input`] are broken.
pub fn wire(input: &[u8]) -> usize {
    let [cuts, rest @ ..] = input else {
        return 0;
    };
    let cuts = usize::from(cuts % 16).min(rest.len());
    let (cuts, stream) = rest.split_at(cuts);
    let whole = take(stream, &mut std::iter::empty());
    let as_cut = take(stream, &mut cuts.iter().map(|bytes| usize::from(*bytes)));
    assert_eq!(as_cut, whole, "as cut");
    let by_bytes = take(stream, &mut stream.iter().map(|_| 1));
    assert_eq!(by_bytes, whole, "byte by byte");
    whole.said.len()
}

fn take(mut stream: &[u8], pieces: &mut dyn Iterator<Item = usize>) -> Outcome {
    let rules = Rules {
        name_bytes_max: 12,
        message_bytes_max: 200,
        has_page: true,
        origins: vec!["https://chat.example".into()],
    };
    let mut input = Input::new();
    let mut outcome = Outcome::default();
    for bytes in pieces.chain([usize::MAX]) {
        let (piece, rest) = stream.split_at(bytes.min(stream.len()));
        stream = rest;
        if !take_piece(&mut input, piece, &rules, &mut outcome) {
            return outcome;
        }
    }
    outcome.is_unfinished = input.is_unfinished();
    outcome
}

/// Whether the peer may go on.
fn take_piece(input: &mut Input, mut piece: &[u8], rules: &Rules, outcome: &mut Outcome) -> bool {
    while !piece.is_empty() {
        let (may_be_message, left) = (input.may_be_message(), piece.len());
        let mut said = match input.next(&mut piece, rules) {
            Ok(None) => {
                assert!(piece.is_empty(), "None means that the input is used up");
                break;
            }
            Ok(Some(event)) => {
                let needs_room = matches!(event, Event::Message { .. } | Event::Post { .. });
                assert!(may_be_message || !needs_room, "room is reserved before");
                owned(event, &mut outcome.replies)
            }
            Err(fault) => {
                let told = input.closing(Code::Malformed, &fault.to_string());
                assert!(!told.is_empty());
                outcome.fault = Some((fault, told));
                return false;
            }
        };
        let went_on = piece.len() < left || input.may_be_message() != may_be_message;
        assert!(
            went_on,
            "an event takes something, or is the head of a post"
        );
        match said {
            None => continue,
            Some(Said::Ends(_) | Said::Left) => {
                outcome.said.extend(said);
                return false;
            }
            Some(Said::Post(..)) => {
                let (epoch, sequence) = (1, outcome.said.len() as u64);
                let answer = input.posted(Position { epoch, sequence });
                outcome.replies.extend_from_slice(&answer);
            }
            Some(Said::Join(.., ref mut encoding)) => *encoding = input.encoding(),
            Some(Said::Message(..)) => {}
        }
        outcome.said.extend(said);
    }
    input.release_event();
    assert!(input.kept_bytes() < 32 * 1024);
    true
}

fn owned(event: Event<'_>, replies: &mut Vec<u8>) -> Option<Said> {
    match event {
        Event::Join { name, after, reply } => {
            replies.extend_from_slice(&reply);
            Some(Said::Join(name.into(), after, Encoding::Frames))
        }
        Event::Message { text, id } => Some(Said::Message(text.into(), id)),
        Event::Post {
            name,
            text,
            keep_alive,
        } => Some(Said::Post(name.into(), text.into(), keep_alive)),
        Event::Reply { bytes, end } => {
            replies.extend_from_slice(&bytes);
            (end != End::No).then_some(Said::Ends(end))
        }
        Event::Left { reply } => {
            assert_eq!(websocket::frame_bytes(&reply), Some(reply.len()));
            replies.extend_from_slice(&reply);
            Some(Said::Left)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    #[test]
    fn every_input_of_the_corpus_is_taken_alike_however_it_was_cut() {
        let events: usize = corpus().iter().map(|input| super::wire(input)).sum();
        assert!(events > 10, "{events}");
    }

    /// Set `WIRE_RUNS` for more.
    #[test]
    fn inputs_of_the_corpus_gone_wrong_are_taken_alike_however_they_were_cut() {
        let runs = std::env::var("WIRE_RUNS").ok();
        let runs: u64 = runs.map_or(20_000, |runs| runs.parse().unwrap());
        let corpus = corpus();
        let mut events = 0;
        for seed in 0..runs {
            let mut random = StdRng::seed_from_u64(seed);
            let mut input = corpus[random.random_range(..corpus.len())].clone();
            for _ in 0..random.random_range(1..6) {
                mutate(&mut input, &corpus, &mut random);
            }
            let outcome = std::panic::catch_unwind(|| super::wire(&input));
            events +=
                outcome.unwrap_or_else(|_| panic!("seed {seed}, input {}", input.escape_ascii()));
        }
        assert!(events > 0);
    }

    /// Changes, doubles, removes or adds a few bytes, or goes on as another input does.
    fn mutate(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut StdRng) {
        let at = random.random_range(..=input.len());
        let to = (at + random.random_range(0..20_usize)).min(input.len());
        let other = &corpus[random.random_range(..corpus.len())];
        let from = random.random_range(..=other.len());
        match random.random_range(0..6) {
            0 if at < input.len() => input[at] ^= 1 << random.random_range(0..8),
            1 => drop(input.drain(at..to)),
            2 => input.extend_from_within(at..to),
            3 => input.splice(at..to, *b"\r\n").for_each(drop),
            4 => input.splice(at.., other[from..].to_vec()).for_each(drop),
            _ => input.insert(at, random.random()),
        }
    }

    fn corpus() -> Vec<Vec<u8>> {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/wire");
        let entries = fs::read_dir(&corpus).expect("the corpus is part of the repository");
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort_unstable();
        let read = |path| fs::read(path).unwrap();
        paths.iter().map(read).collect()
    }
}
