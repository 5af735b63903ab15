//! The subcommands by which a program describes itself: `completions SHELL` and `man`.
//!
//! The manual is one page: the program's own options, each subcommand, then the [`Section`]s, which
//! `--help` ends with as well.

use std::io::{self, Write};

use clap::{Command, Subcommand};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// What to print instead of running.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Describe {
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page, in roff
    Man,
}

/// One section at the end of the manual page and of `--help`, such as the exit statuses.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// As a heading: `Exit status`.
    pub title: &'static str,
    /// A term and what it means; without a term, a paragraph.
    pub entries: &'static [(&'static str, &'static str)],
}

impl Describe {
    /// The text to print about `command`, which is called `program` where it is installed.
    #[must_use]
    pub fn text(self, mut command: Command, program: &str, sections: &[Section]) -> String {
        let mut text = Vec::new();
        match self {
            Self::Completions { shell } => {
                clap_complete::generate(shell, &mut command, program, &mut text);
            }
            Self::Man => {
                let mut command = command.name(program.to_owned());
                command.build();
                manual(&mut text, &command, program, sections)
                    .unwrap_or_else(|error| unreachable!("memory takes all: {error}"));
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// `sections` as the end of `--help`.
#[must_use]
pub fn help_sections(sections: &[Section]) -> String {
    /// A longer term has a line of its own.
    const TERM_COLUMNS: usize = 4;
    let mut text = String::new();
    for section in sections {
        let blank_line = if text.is_empty() { "" } else { "\n" };
        text += &format!("{blank_line}{}:\n", section.title);
        for (term, meaning) in section.entries {
            text += &match (*term, *meaning) {
                ("", meaning) => format!("  {meaning}\n"),
                (term, "") => format!("  {term}\n"),
                (term, meaning) if term.len() <= TERM_COLUMNS => {
                    format!("  {term:TERM_COLUMNS$} {meaning}\n")
                }
                (term, meaning) => format!("  {term}\n          {meaning}\n"),
            };
        }
    }
    text.truncate(text.trim_end().len());
    text
}

fn manual(
    page: &mut dyn Write,
    command: &Command,
    program: &str,
    sections: &[Section],
) -> io::Result<()> {
    let man = Man::new(command.clone());
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    let shown = |task: &&Command| task.get_name() != "help" && !task.is_hide_set();
    for task in command.get_subcommands().filter(shown) {
        let man = Man::new(task.clone());
        let mut part = Vec::new();
        man.render_synopsis_section(&mut part)?;
        man.render_description_section(&mut part)?;
        man.render_options_section(&mut part)?;
        let title = format!("{program} {}", task.get_name()).to_uppercase();
        let heading = Roff::new().control("SH", [title.as_str()]).to_roff();
        page.write_all(heading.as_bytes())?;
        // Its sections are parts of this one.
        let part = String::from_utf8_lossy(&part).replace(".SH ", ".SS ");
        page.write_all(part.as_bytes())?;
    }
    for section in sections {
        page.write_all(render(section).to_roff().as_bytes())?;
    }
    match command.get_version() {
        Some(_) => man.render_version_section(page),
        None => Ok(()),
    }
}

fn render(section: &Section) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [section.title.to_uppercase().as_str()]);
    for (term, meaning) in section.entries {
        if term.is_empty() {
            roff.control("PP", []);
        } else {
            roff.control("TP", []).text([bold(*term)]);
        }
        roff.text([roman(*meaning)]);
    }
    roff
}

#[cfg(test)]
mod tests {
    use clap::{Arg, ValueEnum};

    use super::*;

    const SECTIONS: &[Section] = &[
        Section {
            title: "Exit status",
            entries: &[("0", "Done"), ("130", "Interrupted")],
        },
        Section {
            title: "Files",
            entries: &[("", "None but --out."), ("--out DIR", "run.json")],
        },
    ];

    fn command() -> Command {
        let show = Command::new("show")
            .about("Show a run")
            .arg(Arg::new("dir").required(true));
        let hidden = Command::new("secret").hide(true);
        let command = Command::new("example").about("Does things").version("1");
        let command = command.arg(Arg::new("addr").long("addr-of-it"));
        Describe::augment_subcommands(command.subcommands([show, hidden]))
    }

    #[test]
    fn the_manual_is_one_page_with_every_subcommand_and_section() {
        let page = Describe::Man.text(command(), "uringcast-example", SECTIONS);
        assert_eq!(page.matches(".TH ").count(), 1);
        for expected in [
            "uringcast\\-example",
            "\\-\\-addr\\-of\\-it",
            ".SH \"URINGCAST-EXAMPLE SHOW\"",
            ".SH \"URINGCAST-EXAMPLE COMPLETIONS\"",
            ".SH \"EXIT STATUS\"",
            ".SH FILES",
            "run.json",
            ".SH VERSION",
        ] {
            assert!(page.contains(expected), "{expected} in {page}");
        }
        assert!(
            !page.contains("SECRET") && !page.contains("EXAMPLE HELP"),
            "{page}"
        );
    }

    #[test]
    fn completions_know_the_flags_for_every_shell() {
        for &shell in Shell::value_variants() {
            let script = Describe::Completions { shell }.text(command(), "uringcast-example", &[]);
            assert!(script.contains("addr-of-it"), "{shell}");
        }
    }

    #[test]
    fn help_ends_with_the_same_sections() {
        let expected = "Exit status:\n  0    Done\n  130  Interrupted\n\n\
                        Files:\n  None but --out.\n  --out DIR\n          run.json";
        assert_eq!(help_sections(SECTIONS), expected);
    }
}
