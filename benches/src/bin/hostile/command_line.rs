//! The command line of the comparison.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::broken::Broken;
use crate::case::{Hostile, Scenario};

/// Compares what healthy clients feel of a server beside hostile ones with what they feel without them.
///
/// Every repeat measures each case, with and without hostile clients, each on a fresh server, and each
/// ratio is of figures of one repeat. Exit status: 0 every bound is met by the median of the repeats,
/// and every ledger is clean, 1 not possible, 2 wrong usage, 3 measured, but a bound is missed, a ledger
/// is not clean, or a run is invalid.
#[derive(Debug, Parser)]
#[command(name = "hostile", version, max_term_width = 100)]
pub(crate) struct CommandLine {
    /// What to measure
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Scenario::ALL)]
    pub(crate) scenarios: Vec<Scenario>,

    /// Hostile clients of the scenario `kinds`
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Hostile::KINDS)]
    pub(crate) kinds: Vec<Hostile>,

    /// Broken peers of the scenario `broken` (default: each kind)
    #[arg(long, value_enum, value_delimiter = ',', hide_default_value = true,
          default_values_t = Broken::value_variants().to_vec())]
    pub(crate) broken: Vec<Broken>,

    /// How often to measure each
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) repeats: u32,

    /// Healthy clients; the scenario `stalled` has five times as many. The numbers of hostile ones go
    /// with them
    #[arg(long, value_name = "N", default_value_t = 1000,
          value_parser = clap::value_parser!(u32).range(20..=20_000))]
    pub(crate) clients: u32,

    /// How long each run measures
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = humantime::parse_duration)]
    pub(crate) duration: Duration,

    /// Pass an argument to the servers, as in --server-arg=--driver=epoll
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    pub(crate) server_arg: Vec<String>,

    /// Write the tables as Markdown to a file
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,

    /// Write the result as JSON to a file, or to standard output with `-` (the tables then go to
    /// standard error)
    #[arg(long, value_name = "FILE|-")]
    pub(crate) json: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn a_flooder_is_no_kind_of_its_own_scenario_aside() {
        let flags = ["hostile", "--kinds", "half-open,flooder"];
        assert!(CommandLine::try_parse_from(flags).is_err());
        assert_eq!(
            CommandLine::parse_from(&flags[..1]).kinds,
            Hostile::KINDS.to_vec()
        );
    }
}
