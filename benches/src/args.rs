//! The command line that all comparisons have.

use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Command, CommandFactory, FromArgMatches, Parser};

use crate::declared::Declared;
use crate::output::Output;

/// Every repeat measures each scenario with each candidate, one right after the other, each on a fresh server
/// of this same build. Exit status: 0 every bound is met by the median of the repeats, 1 not possible, 2 wrong
/// usage, 3 measured, but a bound is missed or a run is invalid.
#[derive(Debug, Clone, Default, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Args {
    /// Measure these scenarios
    #[arg(long, alias = "curves", value_name = "NAMES", value_delimiter = ',')]
    pub(crate) scenarios: Vec<String>,

    /// Measure these candidates [default: all]; one that is not installed is left out
    #[arg(long, aliases = ["drivers", "kinds", "broken"], value_name = "NAMES", value_delimiter = ',')]
    pub(crate) candidates: Vec<String>,

    /// Connect N clients; a scenario with another number than the default has as many in proportion
    #[arg(long, alias = "sockets", value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) clients: Option<u32>,

    /// Connect each of these numbers of clients in a scenario that varies them
    #[arg(long, value_name = "LIST", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub(crate) connections: Vec<u32>,

    /// Send at each of these rates, in messages a second in all; the first, where a scenario has only one
    #[arg(long, alias = "rate", value_name = "LIST", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rates: Vec<u32>,

    /// Send messages of each of these lengths, in bytes, in a scenario that varies them; 56 is the least that
    /// proves a delivery
    #[arg(long, value_name = "LIST", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(56..=1_048_576))]
    pub(crate) sizes: Vec<u32>,

    /// Measure each N times
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) repeats: Option<u32>,

    /// Measure for TIME in each run, as in 6s; some scenarios take a multiple of it
    #[arg(long, value_name = "TIME", value_parser = cli::duration)]
    pub(crate) duration: Option<Duration>,

    /// Send for TIME before that without measuring
    #[arg(long, value_name = "TIME", value_parser = cli::duration)]
    pub(crate) warmup: Option<Duration>,

    /// Make N passes for each floor
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) passes: Option<u32>,

    /// Pass ARG to the servers, as in --server-arg=--driver=epoll
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    pub(crate) server_arg: Vec<String>,

    /// Measure less, for a first look
    #[arg(long)]
    pub(crate) quick: bool,

    #[command(flatten)]
    pub(crate) output: Output,
}

impl Args {
    /// Reads `words`, the first of which is the program's name.
    pub(crate) fn read<W: Into<std::ffi::OsString> + Clone>(
        program: &str,
        declared: &Declared,
        words: impl IntoIterator<Item = W>,
    ) -> Result<Self, clap::Error> {
        let matches = command(program, declared).try_get_matches_from(words)?;
        Self::from_arg_matches(&matches)
    }
}

/// The command line, with the scenarios and candidates that are declared.
fn command(program: &str, declared: &Declared) -> Command {
    let mut scenarios: Vec<PossibleValue> = Vec::new();
    for section in &declared.sections {
        if scenarios.iter().all(|one| one.get_name() != section.name) {
            let help = section.about.clone();
            scenarios.push(PossibleValue::new(section.name.clone()).help(help));
        }
    }
    let names = declared
        .names()
        .into_iter()
        .map(|name| PossibleValue::new(name.to_owned()));
    let candidates: Vec<PossibleValue> = names.collect();
    let command = Args::command().name(program.to_owned());
    let about = command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default();
    command
        .about(declared.help.clone())
        .long_about(format!("{}\n\n{about}", declared.help))
        .mut_arg("scenarios", |it| {
            it.value_parser(PossibleValuesParser::new(scenarios))
        })
        .mut_arg("candidates", |it| {
            it.value_parser(PossibleValuesParser::new(candidates))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declared::ALL;

    #[test]
    fn every_command_line_is_consistent() {
        for (program, _) in ALL {
            command(program, &Declared::of(program)).debug_assert();
        }
    }
}
