//! Citations: a figure in a text is a link to the place in a report's data that it was read off.
//!
//! `[67.4 ms](results/peers/data.json#/rows/3/spread/median)`: the fragment is a JSON pointer (RFC 6901)
//! into the file, and the number that the link's text begins with is what stands there, rounded to the
//! digits shown. Code spans, code blocks and comments hold no figures: settings are written as code. Any
//! other word that begins with a digit is a figure, and one without such a link is a fault.

use std::fmt;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// What is wrong with a figure in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A number that does not say where it comes from.
    Uncited {
        /// The word.
        word: String,
    },
    /// The data of a citation cannot be read, or has no number there.
    NoData {
        /// The link's target.
        target: String,
    },
    /// The text says something else than the data.
    Differs {
        /// The link's text.
        text: String,
        /// The link's target.
        target: String,
        /// What it should begin with.
        expected: String,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uncited { word } => write!(
                f,
                "`{word}` is a figure without a link to the report it comes from: write [{word}](results/FOLDER/data.json#/POINTER), or `{word}` as code if it is a setting"
            ),
            Self::NoData { target } => {
                write!(
                    f,
                    "{target}: no number there: measure again, or correct the link"
                )
            }
            Self::Differs {
                text,
                target,
                expected,
            } => write!(f, "[{text}]({target}): the report says {expected}"),
        }
    }
}

/// All that is wrong with the figures in `text`, whose links are relative to `folder`.
#[must_use]
pub fn faults(text: &str, folder: &Path) -> Vec<Fault> {
    let prose = without_code(text);
    let mut faults = Vec::new();
    let mut rest = prose.as_str();
    while let Some(link) = Link::first_in(rest) {
        uncited(&rest[..link.begins], &mut faults);
        match link.target.split_once("#/") {
            Some((file, pointer)) if file.ends_with(".json") => {
                faults.extend(check(&link, &folder.join(file), &format!("/{pointer}")));
            }
            _ => uncited(link.text, &mut faults),
        }
        rest = &rest[link.ends..];
    }
    uncited(rest, &mut faults);
    faults
}

/// The part of `text` under the heading `## heading`; nothing if there is no such heading.
#[must_use]
pub fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let head = format!("\n## {heading}\n");
    let Some(begins) = text.find(&head).map(|at| at + head.len()) else {
        return "";
    };
    let section = &text[begins..];
    section.find("\n## ").map_or(section, |at| &section[..at])
}

/// `[text](target)`.
struct Link<'a> {
    text: &'a str,
    target: &'a str,
    begins: usize,
    ends: usize,
}

impl<'a> Link<'a> {
    fn first_in(text: &'a str) -> Option<Self> {
        let middle = text.find("](")?;
        let begins = text[..middle].rfind('[')?;
        let length = text[middle..].find(')')?;
        Some(Self {
            text: &text[begins + 1..middle],
            target: &text[middle + 2..middle + length],
            begins,
            ends: middle + length + 1,
        })
    }
}

fn check(link: &Link<'_>, file: &Path, pointer: &str) -> Option<Fault> {
    let target = link.target.to_owned();
    let data = fs::read(file).ok();
    let data = data.and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    let Some(value) = data.and_then(|data| data.pointer(pointer)?.as_f64()) else {
        return Some(Fault::NoData { target });
    };
    let shown: String = link.text.split(' ').next().unwrap_or_default().into();
    let shown = shown.replace(',', "");
    let decimals = shown.split_once('.').map_or(0, |(_, after)| after.len());
    let expected = format!("{value:.decimals$}");
    (shown != expected).then(|| Fault::Differs {
        text: link.text.to_owned(),
        target,
        expected,
    })
}

fn uncited(prose: &str, faults: &mut Vec<Fault>) {
    let words = prose.split(|letter: char| letter.is_whitespace() || letter == '|');
    let words = words.map(|word| word.trim_matches(|letter: char| !letter.is_alphanumeric()));
    let figures = words.filter(|word| word.starts_with(|letter: char| letter.is_ascii_digit()));
    faults.extend(figures.map(|word| Fault::Uncited {
        word: word.to_owned(),
    }));
}

/// Without comments, code blocks and code spans.
fn without_code(text: &str) -> String {
    let text = without(text, "<!--", "-->");
    without(&without(&text, "```", "```"), "`", "`")
}

/// Without what stands between `opening` and `closing`; an opening one that nothing closes stays.
fn without(text: &str, opening: &str, closing: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(begins) = rest.find(opening) {
        let inner = &rest[begins + opening.len()..];
        let Some(ends) = inner.find(closing) else {
            break;
        };
        kept += &rest[..begins];
        rest = &inner[ends + closing.len()..];
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(text: &str) -> Vec<Fault> {
        let folder = tempfile::tempdir().unwrap();
        let data = r#"{"rows": [{"p99": 67.36, "lost": 0, "rate": 12345.6}]}"#;
        fs::write(folder.path().join("data.json"), data).unwrap();
        faults(text, folder.path())
    }

    #[test]
    fn a_figure_agrees_with_what_it_cites() {
        let good = "p99 is [67.4 ms](data.json#/rows/0/p99), lost [0](data.json#/rows/0/lost), [12,346/s](data.json#/rows/0/rate), [all](data.json)";
        // The unit is a word of its own.
        assert_eq!(faults_of(&good.replace("/s", " /s")), []);
        let bad = faults_of("[67.3 ms](data.json#/rows/0/p99)");
        let expected = Fault::Differs {
            text: "67.3 ms".into(),
            target: "data.json#/rows/0/p99".into(),
            expected: "67.4".into(),
        };
        assert_eq!(bad, [expected]);
    }

    #[test]
    fn a_figure_without_a_citation_is_a_fault() {
        for text in [
            "it takes 67 ms",
            "| p99 | 67.4 |",
            "(0.9)",
            "a factor of **50**",
            "[67 ms](report.md)",
            "10x",
        ] {
            let faults = faults_of(text);
            assert!(
                matches!(faults[..], [Fault::Uncited { .. }]),
                "{text}: {faults:?}"
            );
        }
    }

    #[test]
    fn a_citation_of_nothing_is_a_fault() {
        for target in [
            "data.json#/rows/1/p99",
            "other.json#/rows/0/p99",
            "data.json#/rows",
        ] {
            let faults = faults_of(&format!("[67 ms]({target})"));
            assert!(
                matches!(faults[..], [Fault::NoData { .. }]),
                "{target}: {faults:?}"
            );
        }
    }

    #[test]
    fn settings_are_code_and_no_figures() {
        let text = "p99 of io_uring at `5000 x 100`, <!-- 7 --> F\n```sh\nrun 9\n```\nmin/max";
        assert_eq!(faults_of(text), []);
    }

    #[test]
    fn a_section_ends_where_the_next_begins() {
        let text = "# a\n\n## Results\n\nnone\n### deep\n\n## Next\n\n5\n";
        assert_eq!(section(text, "Results"), "\nnone\n### deep\n");
        assert_eq!(section(text, "Other"), "");
    }
}
