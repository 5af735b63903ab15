//! The command line of the comparison.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use serde::Serialize;

use crate::scenario::Scenario;

/// Compares the server's drivers with each other and with a bare send(2) loop.
///
/// Every repeat measures, for each scenario and driver, first the floor and then a server under the
/// load of the scenario. Exit status: 0 every bound is met by the median of the repeats, 1 not
/// possible, 2 wrong usage, 3 measured, but a bound is missed or a run is invalid.
#[derive(Debug, Parser)]
#[command(name = "drivers", version, max_term_width = 100)]
pub(crate) struct CommandLine {
    /// Drivers to compare
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Driver::ALL)]
    pub(crate) drivers: Vec<Driver>,

    /// Loads to compare them under
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Scenario::USUAL)]
    pub(crate) scenarios: Vec<Scenario>,

    /// How often to measure each
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) repeats: u32,

    /// How long each run of the load generator measures, as in 6s
    #[arg(long, value_name = "TIME", default_value = "6s")]
    pub(crate) duration: String,

    /// How long each run of the load generator sends before it measures
    #[arg(long, value_name = "TIME", default_value = "1s")]
    pub(crate) warmup: String,

    /// Passes of each floor
    #[arg(long, value_name = "N", default_value_t = 15,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) passes: u32,

    /// Clients of the scenario `idle`
    #[arg(long, value_name = "N", default_value_t = 5000,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) idle_clients: u32,

    /// How long idle clients are watched, as in 10s
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    pub(crate) idle_duration: Duration,

    /// Write the medians of `coalesce` and `threads` as Markdown tables to a file
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,

    /// Write the result as JSON to a file, or to standard output with `-` (the tables then go to
    /// standard error)
    #[arg(long, value_name = "FILE|-")]
    pub(crate) json: Option<PathBuf>,
}

/// The drivers, as the server's `--driver` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Driver {
    Uring,
    TokioUring,
    Epoll,
}

impl Driver {
    pub(crate) const ALL: [Self; 3] = [Self::Uring, Self::TokioUring, Self::Epoll];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Uring => "uring",
            Self::TokioUring => "tokio-uring",
            Self::Epoll => "epoll",
        }
    }
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
    fn drivers_are_named_as_they_are_written() {
        let demand = CommandLine::parse_from(["drivers", "--drivers", "epoll,tokio-uring"]);
        let names: Vec<_> = demand.drivers.iter().map(|driver| driver.name()).collect();
        assert_eq!(names, ["epoll", "tokio-uring"]);
    }
}
