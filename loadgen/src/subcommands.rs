//! The subcommands: what is done with runs that have been made, beside making one.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::command_line::CommandLine;
use crate::error::Error;
use crate::folder::{self, FolderError};
use crate::{compare, merge, output, summary};

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
    allow_negative_numbers = true,
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
        output::print(&text)
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

/// One page: the program's own, with a section for each subcommand.
fn manual(program: &str) -> String {
    let mut command = Invocation::command().name(program.to_owned());
    command.build();
    let mut page = page_of(&command, clap_mangen::Man::render);
    for task in command
        .get_subcommands()
        .filter(|task| task.get_name() != "help")
    {
        let name = format!("{program} {}", task.get_name());
        page.push_str(&format!(".SH \"{}\"\n", name.to_uppercase()));
        // Its own sections are parts of this one.
        page.push_str(&page_of(task, render_task).replace(".SH ", ".SS "));
    }
    page.push_str(FURTHER_SECTIONS);
    page
}

const FURTHER_SECTIONS: &str = "\
.SH \"EXIT STATUS\"
.TP
0
The measurement is valid, and every \\-\\-slo held.
.TP
1
It could not be made, or a step of several could not. One line on standard error says why.
.TP
2
Wrong usage.
.TP
3
It was made and is INVALID: the reasons are in the summary and in run.json.
.TP
4
It is valid and breaks a condition of \\-\\-slo.
.SH FILES
.TP
\\-\\-out DIR
run.json, report.html, report.md, summary.txt, latency.hgrm, latency.hlog, timeseries.csv and the plots as SVG.
results/schema.md of the source describes run.json.
.SH ENVIRONMENT
.TP
NO_COLOR
If set, progress has no colours.
";

fn render_task(task: &clap_mangen::Man, page: &mut dyn Write) -> io::Result<()> {
    task.render_synopsis_section(page)?;
    task.render_description_section(page)?;
    task.render_options_section(page)
}

fn page_of(
    command: &clap::Command,
    render: impl FnOnce(&clap_mangen::Man, &mut dyn Write) -> io::Result<()>,
) -> String {
    let mut page = Vec::new();
    render(&clap_mangen::Man::new(command.clone()), &mut page)
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

    /// Every flag and argument of every subcommand, as roff writes it.
    #[test]
    fn the_manual_is_one_page_with_all_flags_of_all_subcommands() {
        let page = manual("loadgen");
        let command = Invocation::command();
        assert_eq!(page.matches(".TH ").count(), 1);
        for section in [
            "EXIT STATUS",
            "LOADGEN COMPARE",
            "LOADGEN MERGE",
            "LOADGEN SHOW",
        ] {
            assert!(page.contains(&format!(".SH \"{section}\"")), "{section}");
        }
        let arguments = command
            .get_subcommands()
            .flat_map(clap::Command::get_arguments);
        for argument in arguments.chain(command.get_arguments()) {
            let written = match argument.get_long() {
                Some(long) => format!("\\-\\-{}", long.replace('-', "\\-")),
                None => argument.get_id().to_string().to_uppercase(),
            };
            assert!(page.contains(&written), "{written}");
        }
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
