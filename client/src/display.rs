//! The harmless form of text that comes from others: nothing that moves a cursor, rings, reorders
//! or hides reaches the terminal, and what was there stays visible.
//!
//! C0 controls and DEL are written `^[` (as `cat -v` does), C1 and bidirectional controls
//! `<U+202E>` and bytes that are not UTF-8 `<FF>` (as `less` does). All other text stays as it is.

use std::fmt::Write as _;

use jiff::ZonedDateTime;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What becomes of a horizontal tab, which is harmless but spoils a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tabs {
    /// Kept: the text goes to a program or a file.
    Keep,
    /// Four spaces: the text goes to a screen.
    Spaces,
    /// `^I`, as any other control: names.
    Show,
}

/// Appends the harmless form of `bytes` to `out`.
pub(crate) fn push(out: &mut String, bytes: &[u8], tabs: Tabs) {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            push_character(out, character, tabs);
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "<{byte:02X}>");
        }
    }
}

/// The harmless form of `bytes`.
pub(crate) fn safe(bytes: &[u8], tabs: Tabs) -> String {
    let mut out = String::with_capacity(bytes.len());
    push(&mut out, bytes, tabs);
    out
}

/// The harmless form of a name, cut to `columns_max` columns of a screen.
pub(crate) fn name(name: &[u8], columns_max: usize) -> String {
    clip(safe(name, Tabs::Show), columns_max)
}

/// Cuts `text` to `columns_max` columns; what was cut is said by an ellipsis. Never cuts between
/// a character and what combines with it.
pub(crate) fn clip(mut text: String, columns_max: usize) -> String {
    if text.width() <= columns_max {
        return text;
    }
    let mut columns = 0;
    let end = text
        .char_indices()
        .find(|(_, character)| {
            columns += character.width().unwrap_or(0);
            columns >= columns_max
        })
        .map_or(text.len(), |(index, _)| index);
    text.truncate(end);
    text.push('…');
    text
}

/// Whether a terminal may act on `character`, or a reader be deceived by it.
pub(crate) const fn is_harmful(character: char) -> bool {
    matches!(
        character,
        // C0, DEL and C1.
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        // Bidirectional marks, embeddings, overrides and isolates.
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        // Line and paragraph separators.
        | '\u{2028}' | '\u{2029}'
        // Invisible: zero width space, word joiner and its kin, byte order mark, annotations.
        | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
    )
}

fn push_character(out: &mut String, character: char, tabs: Tabs) {
    match (character, tabs) {
        ('\t', Tabs::Keep) => out.push('\t'),
        ('\t', Tabs::Spaces) => out.push_str("    "),
        ('\0'..='\u{1f}', _) => {
            out.push('^');
            out.extend(char::from_u32(character as u32 + 0x40));
        }
        ('\u{7f}', _) => out.push_str("^?"),
        (harmful, _) if is_harmful(harmful) => {
            let _ = write!(out, "<U+{:04X}>", harmful as u32);
        }
        (harmless, _) => out.push(harmless),
    }
}

/// `05:47:52`, in local time.
pub(crate) fn time_of_day() -> String {
    ZonedDateTime::now().strftime("%H:%M:%S").to_string()
}

/// `2026-11-24T05:47:52.123+01:00`, in local time.
pub(crate) fn timestamp() -> String {
    ZonedDateTime::now()
        .strftime("%Y-%m-%dT%H:%M:%S.%3f%:z")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_of_any_script_is_left_alone() {
        for text in ["hello", "Grüße", "日本語", "🦀 👩‍👩‍👧", "e\u{301}", "سلام"]
        {
            assert_eq!(safe(text.as_bytes(), Tabs::Show), text);
        }
    }

    #[test]
    fn controls_become_visible() {
        assert_eq!(safe(b"\x1b[2J\x07", Tabs::Show), "^[[2J^G");
        assert_eq!(safe(b"a\r\nb\x7f\0", Tabs::Show), "a^M^Jb^?^@");
        assert_eq!(safe("\u{9b}31m".as_bytes(), Tabs::Show), "<U+009B>31m");
        assert_eq!(
            safe("\u{202e}evil\u{2066}".as_bytes(), Tabs::Show),
            "<U+202E>evil<U+2066>"
        );
        assert_eq!(safe(b"ok\xff\xc3", Tabs::Show), "ok<FF><C3>");
    }

    #[test]
    fn no_control_of_any_kind_survives() {
        for code in (0..=0x10_ffff).filter_map(char::from_u32) {
            let shown = safe(code.to_string().as_bytes(), Tabs::Spaces);
            assert!(
                !shown.chars().any(|c| c.is_control() || is_harmful(c)),
                "{code:?} came through as {shown:?}"
            );
        }
    }

    #[test]
    fn tabs_go_where_they_are_of_use() {
        assert_eq!(safe(b"a\tb", Tabs::Keep), "a\tb");
        assert_eq!(safe(b"a\tb", Tabs::Spaces), "a    b");
        assert_eq!(safe(b"a\tb", Tabs::Show), "a^Ib");
    }

    #[test]
    fn long_names_are_cut_by_columns_and_not_by_bytes() {
        assert_eq!(name("日本語です".as_bytes(), 10), "日本語です");
        assert_eq!(name("日本語です".as_bytes(), 6), "日本…");
        assert_eq!(name(b"abcdefgh", 4), "abc…");
        assert_eq!(name("e\u{301}e\u{301}e\u{301}".as_bytes(), 2), "e\u{301}…");
    }
}
