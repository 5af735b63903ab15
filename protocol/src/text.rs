//! Which names and messages the server relays: text that harms nobody's terminal or decoder.

use thiserror::Error;

/// The name under which the server itself speaks.
pub const SERVER_NAME: &str = "*server*";

/// The sign that begins names no client may take.
pub const RESERVED_PREFIX: char = '*';

/// The name in `payload`, if it is one that a client may take.
///
/// # Errors
/// Says which rule the name breaks: see [`NameError`].
pub fn name(payload: &[u8], name_bytes_max: usize) -> Result<&str, NameError> {
    if payload.len() > name_bytes_max {
        return Err(NameError::TooLong {
            name_bytes: payload.len(),
            name_bytes_max,
        });
    }
    let name = str::from_utf8(payload).map_err(|error| NameError::NotUtf8 {
        position: error.valid_up_to(),
    })?;
    // What is before it and does not show would not tell the name from one of the server's.
    let shown = name.trim_start_matches(|first: char| first.is_whitespace() || is_invisible(first));
    if shown.starts_with(RESERVED_PREFIX) {
        return Err(NameError::Reserved);
    }
    match name.chars().find(|character| character.is_control()) {
        Some(character) => Err(NameError::Control { character }),
        None => Ok(name),
    }
}

/// Whether `character` deceives whoever reads it raw: it controls a terminal, is not seen, turns the
/// direction of what follows, or ends a line for some programs and not for others. Tab and newline count.
/// Logs, reports and terminals show it escaped.
#[must_use]
pub fn is_deceptive(character: char) -> bool {
    let is_separator = matches!(character, '\u{2028}' | '\u{2029}');
    character.is_control() || is_separator || is_invisible(character)
}

/// Whether nothing is shown of `character`: what Unicode lists as `Default_Ignorable_Code_Point` in
/// `DerivedCoreProperties.txt`, and the marks of interlinear annotation.
const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}'
    )
}

/// The text in `payload`.
///
/// # Errors
/// When it is not UTF-8: clients that decode it as such would die of it.
pub fn message(payload: &[u8]) -> Result<&str, MessageError> {
    str::from_utf8(payload).map_err(|error| MessageError::NotUtf8 {
        position: error.valid_up_to(),
    })
}

/// Why a name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NameError {
    /// Over the server's limit.
    #[error("name of {name_bytes} bytes is over the limit of {name_bytes_max}")]
    TooLong {
        /// Length of the name that came.
        name_bytes: usize,
        /// The limit.
        name_bytes_max: usize,
    },
    /// Not text.
    #[error("name is not UTF-8 (byte {})", position + 1)]
    NotUtf8 {
        /// Index of the first byte that is wrong.
        position: usize,
    },
    /// A name that only the server may use.
    #[error("name begins with '{RESERVED_PREFIX}', which is kept for the server")]
    Reserved,
    /// A control character (C0, DEL or C1), which would reach terminals raw.
    #[error("name holds the control character {}", character.escape_unicode())]
    Control {
        /// The character.
        character: char,
    },
}

/// Why a message was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MessageError {
    /// Not text.
    #[error("message is not UTF-8 (byte {})", position + 1)]
    NotUtf8 {
        /// Index of the first byte that is wrong.
        position: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_pass() {
        for ok in ["ann", "", "Jörg Müller", "日本", "a*b", "🦀"] {
            assert_eq!(name(ok.as_bytes(), 64), Ok(ok));
        }
    }

    #[test]
    fn a_name_of_the_server_behind_what_does_not_show_is_refused() {
        for hidden in [
            "\u{200b}",
            "\u{feff} ",
            "\u{202e}",
            "\u{3164}",
            "\u{e0001}\u{a0}",
        ] {
            let taken = format!("{hidden}{SERVER_NAME}");
            assert_eq!(
                name(taken.as_bytes(), 64),
                Err(NameError::Reserved),
                "{taken:?}"
            );
            // Elsewhere such characters make up letters of many scripts, and emoji.
            let harmless = format!("a{hidden}b");
            assert_eq!(name(harmless.as_bytes(), 64), Ok(&*harmless));
        }
    }

    #[test]
    fn refusals_name_the_rule() {
        let refusal = |payload: &[u8]| name(payload, 8).unwrap_err().to_string();
        assert_eq!(
            refusal(b"123456789"),
            "name of 9 bytes is over the limit of 8"
        );
        assert_eq!(refusal(b"ab\xff"), "name is not UTF-8 (byte 3)");
        assert_eq!(
            refusal(b"*server*"),
            "name begins with '*', which is kept for the server"
        );
        assert_eq!(
            refusal(" *x".as_bytes()),
            "name begins with '*', which is kept for the server"
        );
        assert_eq!(
            refusal(b"a\x1b[2J"),
            "name holds the control character \\u{1b}"
        );
        assert_eq!(
            refusal("a\u{85}".as_bytes()),
            "name holds the control character \\u{85}"
        );
        assert_eq!(
            message(b"ok\xc3").unwrap_err().to_string(),
            "message is not UTF-8 (byte 3)"
        );
    }
}
