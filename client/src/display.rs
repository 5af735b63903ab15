//! The harmless form of text that comes from others: nothing that moves a cursor, rings, reorders
//! or hides reaches the terminal, and what was there stays visible.
//!
//! C0 controls and DEL are written `^[` (as `cat -v` does); C1 controls, all that reorders text and all
//! that does not show `<U+202E>`, and bytes that are not UTF-8 `<FF>` (as `less` does). Joiners and
//! variation selectors stay where they belong, in emoji and in the scripts that need them. All other
//! text stays as it is. A name that could be taken for the server's is written out as well.

use std::fmt::Write as _;

use jiff::ZonedDateTime;
use protocol::{NameError, text};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

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

/// The harmless form of `bytes`.
pub(crate) fn safe(bytes: &[u8], tabs: Tabs) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        let mut before = None;
        let mut characters = chunk.valid().chars().peekable();
        while let Some(character) = characters.next() {
            let next = characters.peek().copied();
            if is_in_place(character, before, next) {
                out.push(character);
            } else {
                push(&mut out, character, tabs);
            }
            before = Some(character);
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "<{byte:02X}>");
        }
    }
    out
}

/// The harmless form of an author's name. In one that begins, for the eye, with an asterisk, as the
/// server's does and no client's may, every sign is written out: `<U+FF0A>server<U+FF0A>`.
pub(crate) fn author(name: &[u8]) -> String {
    let shown = safe(name, Tabs::Show);
    let name = String::from_utf8_lossy(name);
    let name = name.trim_start_matches(is_harmful);
    if text::name(name.as_bytes(), usize::MAX) != Err(NameError::Reserved) {
        return shown;
    }
    shown.chars().fold(String::new(), |mut out, character| {
        match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | ' ' | '<' | '>' | '+' | '^' => out.push(character),
            sign => push_code(&mut out, sign),
        }
        out
    })
}

/// [`author`], cut to `columns_max` columns of a screen.
pub(crate) fn name(name: &[u8], columns_max: usize) -> String {
    clip(author(name), columns_max)
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
pub(crate) fn is_harmful(character: char) -> bool {
    text::is_deceptive(character) || (text::is_blank(character) && !character.is_whitespace())
}

/// Zero width joiners and variation selectors: invisible by themselves, and needed by some neighbours.
const fn is_joiner(character: char) -> bool {
    matches!(
        character,
        '\u{200c}' | '\u{200d}' | '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{e0100}'..='\u{e01ef}'
    )
}

/// Whether `character` is a joiner where one has a use: a selector behind a visible character beyond
/// ASCII, or in a keycap; a zero width joiner between two such characters.
fn is_in_place(character: char, before: Option<char>, next: Option<char>) -> bool {
    const KEYCAP: char = '\u{20e3}';
    const VARIATIONS: [char; 2] = ['\u{fe0e}', '\u{fe0f}'];
    let is_shown = |character: char| !character.is_ascii() && !is_harmful(character);
    match character {
        '\u{200c}' | '\u{200d}' => {
            before.is_some_and(|before| is_shown(before) || VARIATIONS.contains(&before))
                && next.is_some_and(is_shown)
        }
        selector if is_joiner(selector) => before.is_some_and(is_shown) || next == Some(KEYCAP),
        _ => false,
    }
}

fn push(out: &mut String, character: char, tabs: Tabs) {
    match (character, tabs) {
        ('\t', Tabs::Keep) => out.push('\t'),
        ('\t', Tabs::Spaces) => out.push_str("    "),
        ('\0'..='\u{1f}', _) => {
            out.push('^');
            out.extend(char::from_u32(character as u32 + 0x40));
        }
        ('\u{7f}', _) => out.push_str("^?"),
        (harmful, _) if is_harmful(harmful) => push_code(out, harmful),
        (harmless, _) => out.push(harmless),
    }
}

fn push_code(out: &mut String, character: char) {
    let _ = write!(out, "<U+{:04X}>", character as u32);
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
        for text in [
            "hello",
            "Grüße",
            "日本語",
            "葛\u{e0100}",
            "🦀 👩‍👩‍👧 ❤\u{fe0f}\u{200d}🔥 1\u{fe0f}\u{20e3}",
            "e\u{301}",
            "سلام",
            "می\u{200c}خواهم",
        ] {
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
    fn what_does_not_show_is_written_out() {
        let text = "a\u{ad}b\u{3164}c\u{2028}d\u{e0061}e\u{200d}f\u{2800}g\u{fe0f}";
        let shown = "a<U+00AD>b<U+3164>c<U+2028>d<U+E0061>e<U+200D>f<U+2800>g<U+FE0F>";
        assert_eq!(safe(text.as_bytes(), Tabs::Spaces), shown);
        // A joiner with nothing to join makes a second name of one.
        assert_eq!(safe("日\u{200d}".as_bytes(), Tabs::Show), "日<U+200D>");
        assert_eq!(
            safe("日\u{200d}\u{200d}本".as_bytes(), Tabs::Show),
            "日<U+200D><U+200D>本"
        );
    }

    #[test]
    fn no_name_looks_like_the_servers() {
        for (name, shown) in [
            ("*server*", "<U+002A>server<U+002A>"),
            ("＊server＊", "<U+FF0A>server<U+FF0A>"),
            ("\u{2800}*server*", "<U+2800><U+002A>server<U+002A>"),
            ("\u{301}*server*", "<U+0301><U+002A>server<U+002A>"),
            (
                "\u{3000} ⁎ѕerver⁎",
                "<U+3000> <U+204E><U+0455>erver<U+204E>",
            ),
            ("\u{ad}\x1b✱x", "<U+00AD>^[<U+2731>x"),
        ] {
            let found = author(name.as_bytes()).replace("<U+005B>", "[");
            assert_eq!(found, shown, "{name:?}");
        }
        for name in ["a*b", "server", "ann ＊", "日本", ""] {
            assert_eq!(author(name.as_bytes()), name);
        }
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
