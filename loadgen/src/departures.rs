//! Departures: clients that the server let go of, how, and what it said.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use crate::wire::Undecodable;

/// How many kinds of notices are kept apart; a server that says more is quoted no further.
const REASONS_MAX: usize = 32;

/// How long a quoted notice may be, in characters.
const QUOTE_CHARACTERS_MAX: usize = 200;

/// How a connection ended.
#[derive(Debug)]
pub(crate) enum Cause {
    /// The server closed it between two messages.
    Closed,
    /// The server closed it in the middle of a message.
    Torn,
    /// It broke.
    Broken(io::Error),
    /// What it carried broke the protocol.
    Undecodable(Undecodable),
}

/// All departures of a run and all that the server said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Departures {
    pub(crate) closed: u64,
    pub(crate) torn: u64,
    pub(crate) broken: u64,
    pub(crate) undecodable: u64,
    /// The first departure that was more than a close, in words.
    pub(crate) example: Option<String>,
    /// What the server said, by reason: its text, with every number taken out.
    pub(crate) notices: BTreeMap<String, Notices>,
}

/// Notices that differ in numbers only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notices {
    pub(crate) count: u64,
    /// The first of them, as it came.
    pub(crate) example: String,
}

impl Departures {
    /// How many clients have gone.
    pub(crate) fn count(&self) -> u64 {
        self.closed + self.torn + self.broken + self.undecodable
    }

    /// How they went and what was said, in words.
    pub(crate) fn in_words(&self) -> String {
        let causes = [
            (self.closed, "closed by the server"),
            (self.torn, "closed inside a message"),
            (self.broken, "broken"),
            (self.undecodable, "not decodable"),
        ];
        let causes = causes
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, cause)| format!("{count} {cause}"));
        let example = self.example.iter().map(|words| format!("e.g. {words}"));
        let notices = self
            .notices
            .values()
            .map(|notices| format!("{} x \"{}\"", notices.count, notices.example));
        let words: Vec<_> = causes.chain(example).chain(notices).collect();
        words.join(", ")
    }

    /// What the server said, to be put behind what came of it; empty if it said nothing.
    pub(crate) fn quoted(&self) -> String {
        let quoted = self.notices.values();
        let quoted: Vec<_> = quoted.map(|said| format!("\"{}\"", said.example)).collect();
        if quoted.is_empty() {
            return String::new();
        }
        format!(", and said {}", quoted.join(", "))
    }

    /// Adds those of another run.
    pub(crate) fn add(&mut self, other: &Self) {
        self.closed += other.closed;
        self.torn += other.torn;
        self.broken += other.broken;
        self.undecodable += other.undecodable;
        if self.example.is_none() {
            self.example.clone_from(&other.example);
        }
        for (reason, notices) in &other.notices {
            let sum = self.notices.entry(reason.clone()).or_insert(Notices {
                count: 0,
                example: notices.example.clone(),
            });
            sum.count += notices.count;
        }
    }

    /// Books that a client has gone.
    pub(crate) fn departed(&mut self, cause: &Cause) {
        let (count, words) = match cause {
            Cause::Closed => (&mut self.closed, None),
            Cause::Torn => (&mut self.torn, Some("closed inside a message".to_owned())),
            Cause::Broken(error) => (&mut self.broken, Some(error.to_string())),
            Cause::Undecodable(error) => (&mut self.undecodable, Some(error.to_string())),
        };
        *count += 1;
        if self.example.is_none() {
            self.example = words;
        }
    }

    /// Books what the server said, which anybody may have put into its mouth.
    pub(crate) fn noticed(&mut self, text: &[u8]) {
        let text = quotable(text);
        let reason = without_numbers(&text);
        if self.notices.len() >= REASONS_MAX && !self.notices.contains_key(&reason) {
            return;
        }
        let notices = self.notices.entry(reason).or_insert(Notices {
            count: 0,
            example: text,
        });
        notices.count += 1;
    }
}

fn quotable(text: &[u8]) -> String {
    String::from_utf8_lossy(text)
        .chars()
        .map(|character| {
            if character.is_control() {
                '.'
            } else {
                character
            }
        })
        .take(QUOTE_CHARACTERS_MAX)
        .collect()
}

/// `text` with each run of digits as one `N`.
fn without_numbers(text: &str) -> String {
    let mut reason = String::with_capacity(text.len());
    let mut in_number = false;
    for character in text.chars() {
        let is_digit = character.is_ascii_digit();
        if !is_digit {
            reason.push(character);
        } else if !in_number {
            reason.push('N');
        }
        in_number = is_digit;
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_that_differ_in_numbers_are_one_reason_and_the_first_is_quoted() {
        let mut departures = Departures::default();
        departures.noticed(b"closing: 1200 messages behind, over the limit of 1000");
        departures.noticed(b"closing: 1311 messages behind, over the limit of 1000");
        departures.noticed(b"closing: shutting down");
        assert_eq!(departures.notices.len(), 2);
        let slow = &departures.notices["closing: N messages behind, over the limit of N"];
        assert_eq!(slow.count, 2);
        assert!(slow.example.contains("1200"));
    }

    #[test]
    fn a_server_that_never_repeats_itself_does_not_fill_the_memory() {
        let mut departures = Departures::default();
        for length in 1..100 {
            departures.noticed("x".repeat(length).as_bytes());
        }
        assert_eq!(departures.notices.len(), REASONS_MAX);
    }

    #[test]
    fn what_would_reach_a_terminal_raw_is_made_harmless() {
        let mut departures = Departures::default();
        departures.noticed(b"\x1b[2J\xff");
        assert!(departures.notices.contains_key(".[NJ\u{fffd}"));
    }

    #[test]
    fn causes_are_counted_apart_and_the_first_unusual_one_is_quoted() {
        let mut departures = Departures::default();
        departures.departed(&Cause::Closed);
        departures.departed(&Cause::Broken(io::ErrorKind::ConnectionReset.into()));
        departures.departed(&Cause::Torn);
        assert_eq!(departures.count(), 3);
        assert_eq!(departures.example.unwrap(), "connection reset");
    }
}
