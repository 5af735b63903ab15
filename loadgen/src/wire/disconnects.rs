//! How connections end, and what the server says before: what both kinds of clients put into the record.

use std::io;

use record::{Disconnects, Notices, printable};

use super::codec::Undecodable;

/// How many kinds of notices are kept apart; a server that says more is quoted no further.
const REASONS_MAX: usize = 32;

/// How long a quoted notice may be, in characters.
const QUOTE_CHARACTERS_MAX: usize = 200;

/// How a connection ended.
#[derive(Debug)]
pub(crate) enum CloseReason {
    /// The server closed it between two messages.
    Closed,
    /// The server closed it in the middle of a message.
    Partial,
    /// It broke.
    Broken(io::Error),
    /// What it carried broke the protocol.
    Undecodable(Undecodable),
}

/// Books that a client was disconnected.
pub(crate) fn disconnected(disconnects: &mut Disconnects, reason: &CloseReason) {
    let (count, words) = match reason {
        CloseReason::Closed => (&mut disconnects.closed, None),
        CloseReason::Partial => (
            &mut disconnects.partial,
            Some("closed inside a message".to_owned()),
        ),
        CloseReason::Broken(error) => (&mut disconnects.broken, Some(error.to_string())),
        CloseReason::Undecodable(error) => (&mut disconnects.undecodable, Some(error.to_string())),
    };
    *count += 1;
    if disconnects.example.is_none() {
        disconnects.example = words;
    }
}

/// Books what the server said, which anybody may have put.
pub(crate) fn noticed(disconnects: &mut Disconnects, text: &[u8]) {
    let text = quotable(text);
    let reason = without_numbers(&text);
    if disconnects.notices.len() >= REASONS_MAX && !disconnects.notices.contains_key(&reason) {
        return;
    }
    let notices = disconnects.notices.entry(reason).or_insert(Notices {
        count: 0,
        example: text,
    });
    notices.count += 1;
}

fn quotable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let line = text.chars().take(QUOTE_CHARACTERS_MAX);
    let line = line.map(|it| if it == '\n' { ' ' } else { it });
    printable(&line.collect::<String>())
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
        let mut disconnects = Disconnects::default();
        noticed(
            &mut disconnects,
            b"closing: 1200 messages behind, over the limit of 1000",
        );
        noticed(
            &mut disconnects,
            b"closing: 1311 messages behind, over the limit of 1000",
        );
        noticed(&mut disconnects, b"closing: shutting down");
        assert_eq!(disconnects.notices.len(), 2);
        let slow = &disconnects.notices["closing: N messages behind, over the limit of N"];
        assert_eq!(slow.count, 2);
        assert!(slow.example.contains("1200"));
    }

    #[test]
    fn a_server_that_never_repeats_itself_does_not_fill_the_memory() {
        let mut disconnects = Disconnects::default();
        for length in 1..100 {
            noticed(&mut disconnects, "x".repeat(length).as_bytes());
        }
        assert_eq!(disconnects.notices.len(), REASONS_MAX);
    }

    #[test]
    fn what_would_reach_a_terminal_raw_is_made_harmless() {
        let mut disconnects = Disconnects::default();
        noticed(&mut disconnects, b"\x1b[2J\xff\n\xe2\x80\xaex");
        let said = disconnects.notices.values().next().unwrap();
        assert_eq!(said.example, "\\u{1b}[2J\u{fffd} \\u{202e}x");
    }

    #[test]
    fn causes_are_counted_apart_and_the_first_unusual_one_is_quoted() {
        let mut disconnects = Disconnects::default();
        disconnected(&mut disconnects, &CloseReason::Closed);
        disconnected(
            &mut disconnects,
            &CloseReason::Broken(io::ErrorKind::ConnectionReset.into()),
        );
        disconnected(&mut disconnects, &CloseReason::Partial);
        assert_eq!(disconnects.count(), 3);
        assert_eq!(disconnects.example.unwrap(), "connection reset");
    }
}
