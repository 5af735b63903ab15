//! The harmless form of text that comes from others: nothing that moves a cursor, rings, reorders
//! or hides reaches the terminal, and what was there stays visible.
//!
//! C0 controls and DEL are written `^[` (as `cat -v` does); C1 controls, all that reorders text and all
//! that does not show `<U+202E>`, and bytes that are not UTF-8 `<FF>` (as `less` does). Joiners and
//! variation selectors stay where they belong, in emoji and in the scripts that need them. All other
//! text stays as it is. A name that could be taken for the server's is written out as well. The same name
//! always has the same colour.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};

use clap::ColorChoice;
use jiff::ZonedDateTime;
use protocol::{NameError, text};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Colours of the terminal's own palette that are readable on dark and on light ground.
const NAME_COLOURS: [u8; 10] = [31, 32, 34, 35, 36, 91, 92, 94, 95, 96];

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

/// Colours for names and notices. Where they are off every style writes nothing, so callers need no second
/// path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Colours {
    enabled: bool,
}

impl Colours {
    /// As `when` asks, for what goes to standard output.
    pub(crate) fn for_stdout(when: ColorChoice) -> Self {
        let wanted = |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty());
        let enabled = match when {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                io::stdout().is_terminal()
                    && wanted("NO_COLOR").is_none()
                    && wanted("TERM").is_some_and(|term| term != "dumb")
            }
        };
        Self { enabled }
    }

    pub(crate) fn name(self, name: &[u8], shown: &str) -> String {
        self.wrap(&colour_of(name).to_string(), shown)
    }

    pub(crate) fn server(self, shown: &str) -> String {
        self.wrap("1;33", shown)
    }

    pub(crate) fn aside(self, shown: &str) -> String {
        self.wrap("2", shown)
    }

    pub(crate) fn trouble(self, shown: &str) -> String {
        self.wrap("1;31", shown)
    }

    fn wrap(self, style: &str, shown: &str) -> String {
        if self.enabled {
            format!("\x1b[{style}m{shown}\x1b[0m")
        } else {
            shown.to_owned()
        }
    }
}

/// FNV-1a: the same in every run and on every machine, which std's hasher does not promise.
fn colour_of(name: &[u8]) -> u8 {
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let colours = NAME_COLOURS.len() as u64;
    NAME_COLOURS[usize::try_from((hash ^ (hash >> 32)) % colours).unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn long_names_are_cut_by_columns_and_not_by_bytes() {
        assert_eq!(name("日本語です".as_bytes(), 10), "日本語です");
        assert_eq!(name("日本語です".as_bytes(), 6), "日本…");
        assert_eq!(name(b"abcdefgh", 4), "abc…");
        assert_eq!(name("e\u{301}e\u{301}e\u{301}".as_bytes(), 2), "e\u{301}…");
    }
}
