//! Colours: the same name always has the same one, and none are used where they are not wanted.
//!
//! Without colours every style writes nothing, so callers need no second path.

use std::io::IsTerminal as _;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum When {
    /// On a terminal, unless `NO_COLOR` is set or the terminal is dumb.
    #[default]
    Auto,
    /// Also into a pipe or a file.
    Always,
    /// Not at all.
    Never,
}

/// Colours of the terminal's own palette that are readable on dark and on light ground.
const NAME_COLOURS: [u8; 10] = [31, 32, 34, 35, 36, 91, 92, 94, 95, 96];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Colours {
    enabled: bool,
}

impl Colours {
    /// As `when` asks, for what goes to standard output.
    pub(crate) fn for_stdout(when: When) -> Self {
        let wanted = |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty());
        Self::new(match when {
            When::Always => true,
            When::Never => false,
            When::Auto => {
                std::io::stdout().is_terminal()
                    && wanted("NO_COLOR").is_none()
                    && wanted("TERM").is_some_and(|term| term != "dumb")
            }
        })
    }

    pub(crate) const fn new(enabled: bool) -> Self {
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
    fn a_name_keeps_its_colour_for_ever() {
        // Pinned: a change would recolour everybody between two versions.
        let colours = ["ann", "bob", "cid"].map(|name| colour_of(name.as_bytes()));
        assert_eq!(colours, [32, 32, 34]);
    }

    #[test]
    fn names_spread_over_all_colours() {
        let mut used: Vec<u8> = (0..200)
            .map(|number| colour_of(format!("user{number}").as_bytes()))
            .collect();
        used.sort_unstable();
        used.dedup();
        assert_eq!(used.len(), NAME_COLOURS.len());
    }

    #[test]
    fn nothing_is_written_where_colours_are_off() {
        let off = Colours::new(false);
        assert_eq!(off.name(b"ann", "ann"), "ann");
        assert_eq!(off.server("x"), "x");
        assert_eq!(Colours::new(true).aside("x"), "\x1b[2mx\x1b[0m");
    }
}
