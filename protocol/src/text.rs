//! Which names and messages the server relays: text that harms nobody's terminal or decoder.

use std::borrow::Cow;

use thiserror::Error;
use unicode_width::UnicodeWidthChar;

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
    let shown = name.trim_start_matches(is_unseen);
    if shown.starts_with(is_asterisk) {
        return Err(NameError::Reserved);
    }
    match name.chars().find(|character| character.is_control()) {
        Some(character) => Err(NameError::Control { character }),
        None => Ok(name),
    }
}

/// Whether `character` is an asterisk to the eye. Stars, snowflakes and flowers are not.
const fn is_asterisk(character: char) -> bool {
    matches!(
        character,
        RESERVED_PREFIX | '\u{66d}' | '\u{2042}' | '\u{204e}' | '\u{2051}' | '\u{2055}' | '\u{2217}'
        | '\u{229b}' | '\u{2722}'..='\u{2725}' | '\u{2731}'..='\u{2733}' | '\u{273a}'..='\u{273d}'
        | '\u{2749}'..='\u{274b}' | '\u{29c6}' | '\u{2a6e}' | '\u{a673}' | '\u{fe61}' | '\u{ff0a}'
        | '\u{1031f}' | '\u{1f7af}'..='\u{1f7bf}'
    )
}

/// Whether `character` is space to the eye: also where Unicode calls it a letter, a symbol or a pattern,
/// or leaves it to fonts (private use).
#[must_use]
pub fn is_blank(character: char) -> bool {
    matches!(
        character,
        '\u{2800}' | '\u{fffc}' | '\u{1d159}' | '\u{13441}' | '\u{13442}' | '\u{16fe4}'
        | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}'
    ) || character.is_whitespace()
}

/// Whether nobody sees `character` at the beginning of a text: blanks, what is invisible, and marks that
/// have nothing to stand on.
#[must_use]
pub fn is_unseen(character: char) -> bool {
    if character.is_ascii_graphic() {
        return false;
    }
    let is_mark = character.width() == Some(0) && !character.is_control();
    is_blank(character) || is_invisible(character) || is_mark
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

/// The first control character in `text` that a message may not hold: C0 but tab and newline, DEL, C1.
#[must_use]
pub fn control_character(text: &str) -> Option<char> {
    if !may_hold_control_character(text.as_bytes()) {
        return None;
    }
    text.chars().find(|&character| is_unwanted(character))
}

/// `text` with U+FFFD, the replacement character, for each [`control_character`].
#[must_use]
pub fn without_control_characters(text: &str) -> Cow<'_, str> {
    if control_character(text).is_none() {
        return Cow::Borrowed(text);
    }
    let replaced = |it| {
        if is_unwanted(it) {
            char::REPLACEMENT_CHARACTER
        } else {
            it
        }
    };
    Cow::Owned(text.chars().map(replaced).collect())
}

fn is_unwanted(character: char) -> bool {
    character.is_control() && !matches!(character, '\t' | '\n')
}

/// Looks at bytes alone, as each message that is relayed is looked at: no branch, so that compilers make
/// it a few instructions for 16 bytes or more. C1 is 0xc2 and another byte.
fn may_hold_control_character(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |found, &byte| {
        found | (byte < b' ' && byte != b'\t' && byte != b'\n') | (byte == 0x7f) | (byte == 0xc2)
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
    /// A control character (C0 but tab and newline, DEL, C1), which would reach terminals raw.
    #[error("message holds the control character {}", character.escape_unicode())]
    Control {
        /// The character.
        character: char,
    },
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
        for ok in [
            "ann",
            "",
            "Jörg Müller",
            "日本",
            "a*b",
            "🦀",
            "★vip★",
            "e\u{301}",
        ] {
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
            "\u{2800}",
            "\u{301}",
            "\u{20dd}",
            "\u{34f}",
            "\u{1d159}",
            "\u{180b}",
            "\u{332}",
            "\u{13441}",
            "\u{16fe4}",
            "\u{e000}",
            "\u{fffc}",
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
    fn a_name_of_the_server_with_other_asterisks_is_refused() {
        for asterisk in "＊∗⁎✱﹡٭⁕✲✳✻❋⊛⧆🞯".chars() {
            let taken = format!(" {asterisk}server{asterisk}");
            assert_eq!(
                name(taken.as_bytes(), 64),
                Err(NameError::Reserved),
                "{taken:?}"
            );
        }
    }

    #[test]
    fn control_characters_are_found_and_replaced() {
        for harmless in ["", "tab\tand\nnewline", "Grüße 🦀 ©", "\u{2028}"] {
            assert_eq!(control_character(harmless), None);
            let kept = without_control_characters(harmless);
            assert!(matches!(kept, Cow::Borrowed(text) if text == harmless));
        }
        for (text, first, replaced) in [
            ("a\x1b[2Jb", '\x1b', "a\u{fffd}[2Jb"),
            ("\r\n", '\r', "\u{fffd}\n"),
            ("\0", '\0', "\u{fffd}"),
            ("é\u{9b}31m\u{7f}", '\u{9b}', "é\u{fffd}31m\u{fffd}"),
        ] {
            assert_eq!(control_character(text), Some(first));
            assert_eq!(without_control_characters(text), replaced);
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
