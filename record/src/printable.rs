//! Texts of others, such as names and notices, as they may be shown: nothing in them acts on a terminal,
//! changes the direction of what follows, or hides.

/// Letters without a shape, beside what Unicode calls a format or control character.
const BLANK_LETTERS: [char; 5] = ['\u{115f}', '\u{1160}', '\u{2800}', '\u{3164}', '\u{ffa0}'];

/// `text` with every character that is no visible one written as `\u{...}`. Line breaks and tabs stay.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' | '\'' | '"' | '\\' => shown.push(character),
            blank if BLANK_LETTERS.contains(&blank) => shown.extend(blank.escape_unicode()),
            // Behind a letter a combining mark is shown as it is.
            other => shown.extend(format!("a{other}").escape_debug().skip(1)),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_or_hides_is_written_out() {
        for (text, shown) in [
            ("\x1b[2J", r"\u{1b}[2J"),
            ("ann\u{202e}nna", r"ann\u{202e}nna"),
            (
                "a\u{2028}b\u{2066}c\u{200b}d",
                r"a\u{2028}b\u{2066}c\u{200b}d",
            ),
            (
                "a\u{ad}\u{3164}\u{feff}\u{e0041}",
                r"a\u{ad}\u{3164}\u{feff}\u{e0041}",
            ),
            ("\r\0", r"\r\0"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }

    #[test]
    fn what_is_visible_stays() {
        for text in [
            "it's \"a\\b\"\n\tc",
            "Zoe\u{308}",
            "\u{928}\u{93f}",
            "日本 €≥±",
        ] {
            assert_eq!(printable(text), text);
        }
    }
}
