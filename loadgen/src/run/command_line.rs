//! The command line: a run with its options, or what is done with runs that have been made.

use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser, Subcommand};
use cli::{Describe, Section};

use super::args::Args;
use super::error::Error;
use super::output;
use crate::report::folder::{self, FolderError};
use crate::report::{compare, merge, summary};

/// Measure a TCP broadcast server under an open-loop load and prove every delivery
///
/// Every client is one connection that receives the messages of all others. Messages are sent on a fixed
/// schedule, whatever the server does, and latencies count from the intended send time. With --protocol
/// events or a broker (redis, nats, mqtt), clients only receive, and --publishers further connections send.
/// For a WebSocket server that is not uringcast, give --ws-path, --ws-join or --ws-message.
#[derive(Debug, Parser)]
#[command(
    name = "loadgen",
    version,
    max_term_width = 100,
    allow_negative_numbers = true,
    args_conflicts_with_subcommands = true,
    after_help = cli::help_sections(SECTIONS)
)]
pub(super) struct CommandLine {
    #[command(subcommand)]
    pub(super) task: Option<Task>,
    #[command(flatten)]
    pub(super) args: Args,
}

/// What to do instead of a run.
#[derive(Debug, Subcommand)]
pub(super) enum Task {
    /// Print the summary of a run that --out has written
    Show {
        /// A folder that --out has written, or a folder of such folders
        dir: PathBuf,
    },
    /// Compare two sets of runs, and say how sure each difference is
    ///
    /// Each of A and B is a folder that --out has written, or a folder of such folders, which count as
    /// repeats of the same measurement. To show a difference with 95 % confidence, give at least four
    /// repeats of each.
    Compare {
        /// The runs to compare with: before
        a: PathBuf,
        /// The runs to compare: after
        b: PathBuf,
        /// Write the comparison as an HTML page to FILE, too
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
    /// Merge several runs into one: add up their histograms and ledgers
    ///
    /// Runs that overlap in time count as one load from several generators. Runs one after the other count
    /// as repeats.
    Merge {
        /// Folders that --out has written, or folders of such folders
        #[arg(required = true)]
        dirs: Vec<PathBuf>,
        /// Write the merged run to folder DIR
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    #[command(flatten)]
    Describe(Describe),
}

const SECTIONS: &[Section] = &[
    Section {
        title: "Exit status",
        entries: &[
            ("0", "The measurement is valid, and every --slo holds."),
            (
                "1",
                "The run, or a step of --sweep or --find-max, failed. One line on standard error says why.",
            ),
            ("2", "Wrong usage."),
            (
                "3",
                "The measurement is INVALID: the summary and run.json say why.",
            ),
            ("4", "The measurement is valid, and an --slo is broken."),
            (
                "130",
                "Ctrl-C or SIGTERM cut the run short: what was measured until then is printed and written. A second signal ends it at once.",
            ),
        ],
    },
    Section {
        title: "Files",
        entries: &[(
            "--out DIR",
            "run.json, report.html, report.md, summary.txt, latency.hgrm, latency.hlog, timeseries.csv and the plots as SVG. results/schema.md in the source describes run.json.",
        )],
    },
    Section {
        title: "Environment",
        entries: &[("NO_COLOR", "If set, progress has no colours.")],
    },
];

impl Task {
    /// Does it; `program` is what this program is called where it is installed.
    ///
    /// # Errors
    /// What keeps it from being done, in one line.
    pub(super) fn carry_out(self, program: &str) -> Result<(), Error> {
        let text = match self {
            Self::Show { dir } => show(&dir)?,
            Self::Compare { a, b, html } => compare::run(&a, &b, html.as_deref())?,
            Self::Merge { dirs, out } => merge::run(&dirs, &out)?,
            Self::Describe(describe) => describe.text(CommandLine::command(), program, SECTIONS),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn a_run_needs_no_subcommand_and_a_subcommand_takes_no_options_of_a_run() {
        let run = CommandLine::try_parse_from(["loadgen", "--clients", "7"]).unwrap();
        assert!(run.task.is_none() && run.args.clients == 7);
        let show = CommandLine::try_parse_from(["loadgen", "show", "x"]).unwrap();
        assert!(matches!(show.task, Some(Task::Show { .. })));
        assert!(CommandLine::try_parse_from(["loadgen", "--clients", "7", "show", "x"]).is_err());
        assert!(CommandLine::try_parse_from(["loadgen", "merge", "--out", "x"]).is_err());
    }

    /// Every option and argument of every subcommand, as roff writes it.
    #[test]
    fn the_manual_has_all_options_of_all_subcommands() {
        let command = CommandLine::command();
        let page = Describe::Man.text(command.clone(), "loadgen", SECTIONS);
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
}
