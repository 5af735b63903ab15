//! Who is there, as far as the server tells: kept from its notices, shown by `/who`.
//!
//! A newcomer gets a list, which may be cut, and then hears of everyone who comes and goes; of a
//! herd it hears numbers only. So the number is right, and names may be missing.

use std::collections::BTreeMap;

use protocol::presence::Presence;

use crate::display;

const NAME_COLUMNS_MAX: usize = 32;
/// More names are counted, not shown.
const NAMES_SHOWN_MAX: usize = 50;

#[derive(Debug, Default)]
pub(crate) struct Roster {
    /// `None` until the server has told.
    here: Option<u64>,
    /// Those of whom the name is known; several may have the same.
    names: BTreeMap<String, u64>,
}

impl Roster {
    pub(crate) fn take(&mut self, notice: &Presence<'_>) {
        match notice {
            Presence::Joined(name) => {
                self.here = self.here.map(|here| here + 1);
                *self.names.entry((*name).to_owned()).or_default() += 1;
            }
            Presence::Left(name) => {
                self.here = self.here.map(|here| here.saturating_sub(1));
                if let Some(times) = self.names.get_mut(*name) {
                    *times -= 1;
                    if *times == 0 {
                        self.names.remove(*name);
                    }
                }
            }
            Presence::Herd { here, .. } => self.here = Some(*here),
            Presence::Here { here, names } => {
                self.here = Some(*here);
                self.names.clear();
                for &name in names {
                    *self.names.entry(name.to_owned()).or_default() += 1;
                }
            }
        }
    }

    /// The connection is a new one: what was known of the old one is not.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn line(&self) -> String {
        let Some(here) = self.here else {
            return "the server does not tell who is here (it would with --announce-presence)"
                .into();
        };
        let names = self.names.iter();
        let names = names.flat_map(|(name, &times)| (0..times).map(move |_| name));
        let shown: Vec<String> = names
            .take(NAMES_SHOWN_MAX)
            .map(|name| display::name(name.as_bytes(), NAME_COLUMNS_MAX))
            .collect();
        let further = here.saturating_sub(shown.len() as u64);
        let shown = shown.join(", ");
        match (shown.is_empty(), further) {
            (true, _) => format!("{here} here"),
            (false, 0) => format!("{here} here: {shown}"),
            (false, further) => format!("{here} here: {shown} and {further} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_follows_the_notices() {
        let mut roster = Roster::default();
        assert!(roster.line().contains("does not tell"));
        for text in ["* 2 here:\nann\nann", "bob joined", "ann left", "zoe left"] {
            roster.take(&Presence::parse(text).unwrap());
        }
        assert_eq!(roster.line(), "1 here: ann, bob");
        roster.take(&Presence::parse("* 120 joined, 3 left, 118 here").unwrap());
        assert_eq!(roster.line(), "118 here: ann, bob and 116 more");
        roster.forget();
        assert!(roster.line().contains("does not tell"));
    }

    #[test]
    fn names_are_harmless_and_not_endless() {
        let names: Vec<String> = (0..200).map(|n| format!("\u{202e}{n}")).collect();
        let mut roster = Roster::default();
        roster.take(&Presence::Here {
            here: 200,
            names: names.iter().map(String::as_str).collect(),
        });
        let line = roster.line();
        assert!(
            line.contains("<U+202E>0, ") && line.ends_with(" and 150 more"),
            "{line}"
        );
    }
}
