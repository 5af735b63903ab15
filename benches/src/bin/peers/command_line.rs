//! The command line of the comparison with other servers.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::candidate::Candidate;

/// Compares the server with Redis, NATS and Mosquitto, where they are installed.
///
/// Every repeat measures each rate with each candidate, one right after the other, each on a fresh
/// server, and writes one report folder. Exit status: 0 every bound is met by the median of the
/// repeats, 1 not possible, 2 wrong usage, 3 measured, but a bound is missed or was not measured.
#[derive(Debug, Parser)]
#[command(name = "peers", version, max_term_width = 100)]
pub(crate) struct CommandLine {
    /// Clients, each of which receives every message
    #[arg(long, value_name = "N", default_value_t = 5000,
          value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub(crate) clients: u32,

    /// Messages a second in all, one measurement each [default: 20,100,500,1000; with --quick 100,500]
    #[arg(long, value_name = "RATES", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rates: Vec<u32>,

    /// How often to measure each [default: 5; with --quick 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) repeats: Option<u32>,

    /// How long each run measures [default: 3s; with --quick 2s]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) duration: Option<Duration>,

    /// Servers to compare; one that is not installed is left out
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Candidate::ALL)]
    pub(crate) candidates: Vec<Candidate>,

    /// The folder for report.md, data.json and the plots
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,

    /// Search each candidate's highest rate too, in at most the first three repeats (the default)
    #[arg(long, overrides_with = "no_find_max")]
    pub(crate) find_max: bool,

    /// Do not search for the highest rates
    #[arg(long)]
    pub(crate) no_find_max: bool,

    /// Fewer repeats and rates: at most 4 minutes instead of 14
    #[arg(long)]
    pub(crate) quick: bool,
}

impl CommandLine {
    pub(crate) fn rates(&self) -> Vec<u32> {
        let mut rates = match (&self.rates[..], self.quick) {
            ([], false) => vec![20, 100, 500, 1000],
            ([], true) => vec![100, 500],
            (rates, _) => rates.to_vec(),
        };
        // Whoever collapses at one rate is not tried at those that follow.
        rates.sort_unstable();
        rates.dedup();
        rates
    }

    pub(crate) fn repeats(&self) -> u32 {
        self.repeats.unwrap_or(if self.quick { 2 } else { 5 })
    }

    pub(crate) fn duration(&self) -> Duration {
        let usual = Duration::from_secs(if self.quick { 2 } else { 3 });
        self.duration.unwrap_or(usual)
    }

    /// Repeats in which the highest rate is searched for.
    pub(crate) fn searches(&self) -> u32 {
        let most = if self.quick { 1 } else { 3 };
        if self.no_find_max {
            0
        } else {
            self.repeats().min(most)
        }
    }

    /// No measurement goes on for longer than this after the beginning.
    pub(crate) fn time_limit(&self) -> Duration {
        Duration::from_secs(60 * if self.quick { 4 } else { 14 })
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
    fn what_is_quick_is_less() {
        let demand = CommandLine::parse_from(["peers", "--out", "x"]);
        assert_eq!(demand.rates(), [20, 100, 500, 1000]);
        assert_eq!((demand.repeats(), demand.searches()), (5, 3));
        let demand = CommandLine::parse_from(["peers", "--out", "x", "--quick"]);
        assert_eq!(demand.rates(), [100, 500]);
        assert_eq!((demand.repeats(), demand.searches()), (2, 1));
    }

    #[test]
    fn what_is_asked_for_is_taken_in_order() {
        let flags = "peers --out x --rates 50,7,50 --candidates nats --no-find-max";
        let demand = CommandLine::parse_from(flags.split(' '));
        assert_eq!(demand.rates(), [7, 50]);
        assert_eq!(demand.candidates, [Candidate::Nats]);
        assert_eq!(demand.searches(), 0);
    }
}
