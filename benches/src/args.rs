//! The command line that all comparisons have, and where their results go: figures for a person, and files
//! where they were asked for. A file is replaced at once or not at all.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Command, CommandFactory, FromArgMatches, Parser};
use loadgen::host::{check, check_folder, replace};

use crate::comparison::Comparison;
use crate::error::Result;
use crate::page;

/// Every repeat measures each scenario with each candidate, one right after the other, each on a fresh server
/// of this same build. Exit status: 0 the median of the repeats meets every bound, 1 it could not be
/// measured, 2 wrong usage, 3 a bound is missed or a run is invalid.
#[derive(Debug, Clone, Default, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Args {
    /// Measure only these scenarios
    #[arg(long, alias = "curves", value_name = "NAMES", value_delimiter = ',')]
    pub(crate) scenarios: Vec<String>,

    /// Measure only these candidates [default: all that are installed]
    #[arg(long, aliases = ["drivers", "kinds", "broken"], value_name = "NAMES", value_delimiter = ',')]
    pub(crate) candidates: Vec<String>,

    /// Connect N clients; scenarios with more or fewer than the default are scaled in proportion
    #[arg(long, alias = "sockets", value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) clients: Option<u32>,

    /// Connect these numbers of clients, one after the other, in scenarios that vary the clients
    #[arg(long, value_name = "LIST", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub(crate) connections: Vec<u32>,

    /// Send at these rates, in messages a second over all clients; scenarios with one rate take the first
    #[arg(long, alias = "rate", value_name = "LIST", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rates: Vec<u32>,

    /// Send messages of these sizes, in bytes, at least 56 (the stamp), in scenarios that vary the size
    #[arg(long, value_name = "LIST", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(56..=1_048_576))]
    pub(crate) sizes: Vec<u32>,

    /// Repeat each measurement N times
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) repeats: Option<u32>,

    /// Measure for TIME in each run, as in 6s; some scenarios take a multiple
    #[arg(long, value_name = "TIME", value_parser = cli::duration)]
    pub(crate) duration: Option<Duration>,

    /// Send for TIME before each measurement, without measuring
    #[arg(long, value_name = "TIME", value_parser = cli::duration)]
    pub(crate) warmup: Option<Duration>,

    /// Make N passes of the bare send(2) loop for each floor
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) passes: Option<u32>,

    /// Pass ARG to the uringcast servers, as in --server-arg=--driver=epoll; repeatable
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    pub(crate) server_arg: Vec<String>,

    /// Measure fewer repeats and points, for a first look
    #[arg(long)]
    pub(crate) quick: bool,

    /// Write the result as JSON to FILE, or to standard output with `-` (the tables then go to
    /// standard error)
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,

    /// Write the tables as Markdown to FILE
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,

    /// Write report.md, data.json and the plots to the folder DIR
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Args {
    /// Reads `words`, the first of which is the program's name.
    pub(crate) fn read<W: Into<std::ffi::OsString> + Clone>(
        declared: impl FnOnce(Command) -> Command,
        words: impl IntoIterator<Item = W>,
    ) -> std::result::Result<Self, clap::Error> {
        let matches = declared(Self::command()).try_get_matches_from(words)?;
        Self::from_arg_matches(&matches)
    }

    /// Makes sure that results can be written, before anything is measured.
    pub(crate) fn check_output(&self) -> Result<()> {
        if let Some(folder) = &self.out {
            check_folder(folder)?;
        }
        let mut files = [&self.json, &self.markdown].into_iter().flatten();
        Ok(files.try_for_each(|path| if path == "-" { Ok(()) } else { check(path) })?)
    }

    /// Writes the result, in words and as files; says whether it is as wanted.
    pub(crate) fn output(&self, comparison: &Comparison) -> Result<bool> {
        let text = page::page(comparison);
        let json = comparison.to_json();
        // A closed terminal is no reason to lose the files.
        let _ = match self.json.as_deref() {
            Some(path) if path == "-" => writeln!(io::stderr(), "{text}")
                .and_then(|()| io::stdout().write_all(json.as_bytes())),
            _ => writeln!(io::stdout(), "{text}"),
        };
        if let Some(path) = &self.markdown {
            replace(path, text.as_bytes())?;
        }
        if let Some(path) = self.json.as_ref().filter(|path| *path != "-") {
            replace(path, json.as_bytes())?;
        }
        if let Some(folder) = &self.out {
            replace(&folder.join("data.json"), json.as_bytes())?;
            write_pages(folder, comparison)?;
        }
        Ok(comparison.is_as_wanted())
    }
}

/// Writes all that is made of data.json: report.md and the plots.
pub(crate) fn write_pages(folder: &Path, comparison: &Comparison) -> Result<()> {
    replace(&folder.join("report.md"), page::page(comparison).as_bytes())?;
    for one in &comparison.plots {
        let svg = page::svg(comparison, one);
        replace(&folder.join(&one.file), svg.as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::declared::{ALL, Declared};

    #[test]
    fn every_command_line_is_consistent() {
        for (program, _) in ALL {
            Declared::of(program)
                .command(program, Args::command())
                .debug_assert();
        }
    }

    #[test]
    fn what_cannot_be_written_destroys_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.json");
        fs::write(&path, "old").unwrap();
        let args = Args {
            json: Some(path.clone()),
            out: Some(path.join("below")),
            ..Args::default()
        };
        assert!(args.check_output().is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    }
}
