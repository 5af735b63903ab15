//! A message as one line of JSON, for `jq` and its like.
//!
//! `{"name":"ann","text":"hello"}`, with `"time"` in front when timestamps are asked for. What is
//! not UTF-8 is replaced in the text and kept in full, as hexadecimal, in `name_hex`/`text_hex`.
//! Characters that a terminal may act on are escaped, so the line is harmless on a screen as well.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::display;

/// The line for one message, without its newline.
pub(crate) fn line(time: Option<&str>, name: &[u8], text: &[u8]) -> String {
    let (name_hex, text_hex) = (hex_unless_utf8(name), hex_unless_utf8(text));
    let fields = [
        ("time", time.map(Cow::Borrowed)),
        ("name", Some(String::from_utf8_lossy(name))),
        ("text", Some(String::from_utf8_lossy(text))),
        ("name_hex", name_hex.map(Cow::Owned)),
        ("text_hex", text_hex.map(Cow::Owned)),
    ];
    let fields = fields.into_iter().filter_map(|(key, value)| {
        let value = serde_json::Value::from(value?);
        Some(format!("\"{key}\":{value}"))
    });
    escape_harmful(format!("{{{}}}", fields.collect::<Vec<_>>().join(",")))
}

fn hex_unless_utf8(bytes: &[u8]) -> Option<String> {
    str::from_utf8(bytes).is_err().then(|| {
        bytes.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    })
}

/// JSON must escape C0 only. The rest of what is harmful stands inside of strings here, where
/// `\uXXXX` says the same.
fn escape_harmful(json: String) -> String {
    if !json.chars().any(display::is_harmful) {
        return json;
    }
    json.chars().fold(String::new(), |mut out, character| {
        if display::is_harmful(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_as_documented() {
        assert_eq!(line(None, b"ann", b"hi"), r#"{"name":"ann","text":"hi"}"#);
        assert_eq!(
            line(Some("2026-01-02T03:04:05Z"), b"a\"b", b"tab\there\n"),
            r#"{"time":"2026-01-02T03:04:05Z","name":"a\"b","text":"tab\there\n"}"#
        );
        assert_eq!(
            line(None, b"x", b"ok\xff"),
            "{\"name\":\"x\",\"text\":\"ok\u{fffd}\",\"text_hex\":\"6f6bff\"}"
        );
        assert_eq!(
            line(None, b"x", "\u{9b}2J\u{7f}\u{202e}".as_bytes()),
            r#"{"name":"x","text":"\u009b2J\u007f\u202e"}"#
        );
    }

    #[test]
    fn what_lies_beyond_the_basic_plane_is_escaped_as_two_halves() {
        let json = line(None, b"x", "\u{e0061}".as_bytes());
        assert_eq!(json, r#"{"name":"x","text":"\udb40\udc61"}"#);
    }

    proptest! {
        #[test]
        fn any_text_comes_back_as_it_was(name in ".*", text in "\\PC*|.*") {
            let json = line(None, name.as_bytes(), text.as_bytes());
            let back: serde_json::Value = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(&back["name"], &name);
            prop_assert_eq!(&back["text"], &text);
            prop_assert!(!json.chars().any(display::is_harmful));
        }
    }
}
