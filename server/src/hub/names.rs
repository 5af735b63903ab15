//! Which names are one name to the eye, for servers on which no two clients may have the same.
//!
//! Names are compared by the skeleton of UTS 39, Unicode's own table of what looks alike, once as they
//! are and once in lower case; what does not show is left out, and space is one space between words. So
//! `ann`, ` Ann`, `a\u{200b}nn`, `ａｎｎ` and one with a Cyrillic letter are one name; so are `bill` and
//! `biIl`, and an `ö` of one character and of two. What looks alike only where the direction of writing is
//! turned is not found.

use std::sync::Arc;

use protocol::text::{is_blank, is_unseen};
use unicode_security::skeleton;

/// What a name is compared by: it is taken when somebody has one of these.
pub(super) fn keys(name: &str) -> [Arc<str>; 2] {
    let shown = name.trim_start_matches(is_unseen);
    [key(shown), key(&shown.to_lowercase())]
}

fn key(shown: &str) -> Arc<str> {
    let skeleton: String = skeleton(shown).collect();
    let words = skeleton.split(is_blank).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn are_one(a: &str, b: &str) -> bool {
        let others = keys(b);
        keys(a).iter().any(|key| others.contains(key))
    }

    #[test]
    fn names_that_look_alike_are_one() {
        for alike in [
            "ann",
            "ANN",
            "Ann",
            " ann",
            "ann ",
            "ann\u{a0}",
            "a\u{200b}nn",
            "ann\u{200d}",
            "\u{430}nn",
            "\u{410}NN",
            "ａｎｎ",
            "ann\u{fe0f}",
            "ann\u{e0061}",
            "ann\u{2800}",
            "\u{301}ann",
            "\u{feff}ann",
            "a\u{ad}nn",
        ] {
            assert!(are_one("ann", alike) && are_one(alike, "ann"), "{alike:?}");
        }
        for (a, b) in [
            ("J\u{f6}rg", "Jo\u{308}rg"),
            ("bill", "biIl"),
            ("bill", "BILL"),
            ("paypal", "раураl"),
            ("ann lee", "ann \u{200b}  lee"),
            ("", "  "),
            ("", "\u{3164}"),
        ] {
            assert!(are_one(a, b), "{a:?} {b:?}");
        }
    }

    #[test]
    fn names_that_do_not_look_alike_are_several() {
        for (a, b) in [
            ("ann", "anna"),
            ("ann", "an n"),
            ("Jorg", "J\u{f6}rg"),
            ("client-1", "client-10"),
            ("client-12", "client-21"),
            ("日本", "日木"),
            ("🦀", "🦞"),
            ("", "ann"),
        ] {
            assert!(!are_one(a, b), "{a:?} {b:?}");
        }
        let numbered: Vec<_> = (0..2000)
            .map(|number| keys(&format!("client-{number}")))
            .collect();
        let mut all: Vec<_> = numbered.iter().map(|keys| &keys[1]).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 2000);
    }
}
