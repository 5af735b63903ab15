//! The subcommands: what is done with runs that have been made, beside making one.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::command_line::CommandLine;
use crate::error::Error;
use crate::folder::{self, FolderError};
use crate::{compare, merge, summary};

/// Measures a TCP broadcast server under an open-loop load and proves every delivery.
///
/// Every client is a TCP connection of its own that receives all others' messages. Messages are
/// sent by the clock, whatever the server does, and latencies count from the time each message was
/// meant to be sent. Exit status: 0 the measurement is valid, 1 it could not be made, 2 wrong
/// usage, 3 it was made and is INVALID, with the reasons, 4 it is valid and breaks an --slo.
#[derive(Debug, Parser)]
#[command(
    name = "loadgen",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true
)]
pub(crate) struct Invocation {
    #[command(subcommand)]
    pub(crate) task: Option<Task>,
    #[command(flatten)]
    pub(crate) demand: CommandLine,
}

/// What to do instead of a run.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Print the summary of a run that --out has kept
    Show {
        /// A folder that --out has written, or one that holds several
        dir: PathBuf,
    },
    /// Tell what differs between two sets of runs, and how sure that is
    ///
    /// Each of A and B is a folder that --out has written, or one that holds several, which are then
    /// taken for repeats of the same measurement. Four repeats on both sides are the fewest that can
    /// show a difference with 95 % confidence.
    Compare {
        /// The runs to compare with
        a: PathBuf,
        /// The runs that are compared
        b: PathBuf,
        /// Write the comparison as a page, too
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
    /// Add up the histograms and the ledgers of several runs
    ///
    /// Runs at the same time count as several generators of one load, runs one after the other as
    /// repeats.
    Merge {
        /// Folders that --out has written, or that hold such folders
        #[arg(required = true)]
        dirs: Vec<PathBuf>,
        /// Where to write the sum
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page, in roff
    Man,
}

impl Task {
    /// Does it; `program` is what this program is called where it is installed.
    ///
    /// # Errors
    /// What keeps it from being done, in one line.
    pub(crate) fn carry_out(self, program: &str) -> Result<(), Error> {
        let text = match self {
            Self::Show { dir } => show(&dir)?,
            Self::Compare { a, b, html } => compare::run(&a, &b, html.as_deref())?,
            Self::Merge { dirs, out } => merge::run(&dirs, &out)?,
            Self::Completions { shell } => completions(program, shell),
            Self::Man => manual(program),
        };
        // A reader that has gone away has read enough.
        let _ = io::stdout().write_all(text.as_bytes());
        Ok(())
    }
}

fn show(folder: &Path) -> Result<String, FolderError> {
    let folders = folder::reported(folder)?;
    let mut parts = Vec::new();
    for one in &folders {
        let summary = summary::render(&folder::read_report(one)?);
        parts.push(match folders.len() {
            1 => summary,
            _ => format!("{}\n\n{summary}", one.display()),
        });
    }
    Ok(parts.join("\n"))
}

fn completions(program: &str, shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Invocation::command(), program, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

fn manual(program: &str) -> String {
    let mut page = Vec::new();
    clap_mangen::Man::new(Invocation::command().name(program.to_owned()))
        .render(&mut page)
        .expect("memory takes all that is written");
    String::from_utf8_lossy(&page).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Invocation::command().debug_assert();
    }

    #[test]
    fn a_run_needs_no_subcommand_and_a_subcommand_takes_no_flags_of_a_run() {
        let run = Invocation::try_parse_from(["loadgen", "--clients", "7"]).unwrap();
        assert!(run.task.is_none() && run.demand.clients == 7);
        let show = Invocation::try_parse_from(["loadgen", "show", "x"]).unwrap();
        assert!(matches!(show.task, Some(Task::Show { .. })));
        assert!(Invocation::try_parse_from(["loadgen", "--clients", "7", "show", "x"]).is_err());
        assert!(Invocation::try_parse_from(["loadgen", "merge", "--out", "x"]).is_err());
    }

    #[test]
    fn the_manual_and_the_completions_know_the_flags() {
        assert!(manual("loadgen").contains("\\-\\-spawn\\-server"));
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            assert!(
                completions("loadgen", shell).contains("spawn-server"),
                "{shell}"
            );
        }
    }
}
