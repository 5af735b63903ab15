//! What the server says about who comes and goes, where it is told to: notices under its own name.
//!
//! `ann joined` and `ann left` tell of one; `* 120 joined, 3 left, 4512 here` of many at once; and
//! `* 2 here:` with a name on each further line tells a newcomer who is there. No name begins with
//! `*` or holds a line break, so none can be mistaken for another form, and a name may well end in
//! ` joined`: the last word decides. Names may occur twice.

use std::fmt;

/// One notice about who is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence<'a> {
    /// Somebody joined.
    Joined(&'a str),
    /// Somebody left.
    Left(&'a str),
    /// Many came and went, too many to name.
    Herd {
        /// How many joined since the last notice.
        joined: u64,
        /// How many left.
        left: u64,
        /// How many are there now.
        here: u64,
    },
    /// To a newcomer: who is there.
    Here {
        /// How many are there, those included that are not named.
        here: u64,
        /// Some of them, or all.
        names: Vec<&'a str>,
    },
}

impl<'a> Presence<'a> {
    /// Understands a notice of the server; `None` if it is about something else.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let Some(rest) = text.strip_prefix("* ") else {
            let joined = text.strip_suffix(" joined").map(Self::Joined);
            return joined.or_else(|| text.strip_suffix(" left").map(Self::Left));
        };
        let mut lines = rest.split('\n');
        let first = lines.next()?;
        if let Some(here) = first.strip_suffix(" here:") {
            return Some(Self::Here {
                here: here.parse().ok()?,
                names: lines.collect(),
            });
        }
        let mut parts = first.split(", ");
        let mut part = |suffix| parts.next()?.strip_suffix(suffix)?.parse().ok();
        Some(Self::Herd {
            joined: part(" joined")?,
            left: part(" left")?,
            here: part(" here")?,
        })
    }
}

impl fmt::Display for Presence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joined(name) => write!(f, "{name} joined"),
            Self::Left(name) => write!(f, "{name} left"),
            Self::Herd { joined, left, here } => {
                write!(f, "* {joined} joined, {left} left, {here} here")
            }
            Self::Here { here, names } => {
                write!(f, "* {here} here:")?;
                names.iter().try_for_each(|name| write!(f, "\n{name}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_whatever_the_names() {
        for name in [
            "ann",
            "",
            "bob joined",
            " left",
            "120",
            "closing: x",
            "a, b",
            "日本",
        ] {
            assert!(crate::text::name(name.as_bytes(), 64).is_ok());
            for notice in [
                Presence::Joined(name),
                Presence::Left(name),
                Presence::Here {
                    here: 7,
                    names: vec![name, "ann", name],
                },
            ] {
                assert_eq!(Presence::parse(&notice.to_string()), Some(notice));
            }
        }
        let herd = Presence::Herd {
            joined: 120,
            left: 3,
            here: 4512,
        };
        assert_eq!(Presence::parse(&herd.to_string()), Some(herd));
        let nobody = Presence::Here {
            here: 0,
            names: vec![],
        };
        assert_eq!(Presence::parse(&nobody.to_string()), Some(nobody));
    }

    #[test]
    fn other_notices_are_left_alone() {
        for text in [
            "closing: server is shutting down",
            "skipped 3 messages: you were too far behind",
            "* x joined, 3 left, 1 here",
            "* many here:",
            "",
        ] {
            assert_eq!(Presence::parse(text), None, "{text}");
        }
    }
}
