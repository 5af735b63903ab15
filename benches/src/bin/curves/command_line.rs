//! The command line of the scaling curves.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use serde::Serialize;

use crate::curve::Curve;

/// The clients of the curves over rates, and the most of all others but `connections`.
const CLIENTS: u32 = 5000;

/// Draws how the server's cost per delivery and its p99 grow, beside a bare send(2) loop.
///
/// Every repeat measures, for each load, first the floor over as many sockets and then the servers
/// under it, and writes one report folder. Exit status: 0 measured, and each point has a valid run,
/// 1 not possible, 2 wrong usage, 3 measured, but a point has none.
#[derive(Debug, Parser)]
#[command(name = "curves", version, max_term_width = 100)]
pub(crate) struct CommandLine {
    /// What to vary
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Curve::ALL)]
    pub(crate) curves: Vec<Curve>,

    /// Clients of the curves rate, drivers and threads; at most so many of size and stalled
    #[arg(long, value_name = "N", default_value_t = CLIENTS,
          value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub(crate) clients: u32,

    /// Clients of the curve connections [default: 10 to 18000; with --quick to 5000]
    #[arg(long, value_name = "LIST", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub(crate) connections: Vec<u32>,

    /// Messages a second of the curve rate [default: 10 to 2000]
    #[arg(long, value_name = "LIST", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rates: Vec<u32>,

    /// Bytes a message of the curve size; 56 is the least that proves a delivery [default: 56 to 1048576]
    #[arg(long, value_name = "LIST", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(56..=1_048_576))]
    pub(crate) sizes: Vec<u32>,

    /// How often to measure each point [default: 3; with --quick 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) repeats: Option<u32>,

    /// How long each run measures [default: 2s; with --quick 1s]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) duration: Option<Duration>,

    /// The folder for report.md, data.json and the plots
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,

    /// Fewer points and repeats: at most 3 minutes instead of 12
    #[arg(long)]
    pub(crate) quick: bool,
}

/// How far the curves go.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Extent {
    pub(crate) clients: u32,
    pub(crate) connections: Vec<u32>,
    pub(crate) rates: Vec<u32>,
    /// Of the curves that compare servers.
    pub(crate) rates_of_servers: Vec<u32>,
    pub(crate) sizes: Vec<u32>,
    pub(crate) stalled_percents: Vec<u32>,
}

impl CommandLine {
    pub(crate) fn extent(&self) -> Extent {
        let usual = if self.quick {
            Extent::quick(self.clients)
        } else {
            Extent::whole(self.clients)
        };
        let mut extent = Extent {
            connections: or(&self.connections, usual.connections),
            rates_of_servers: or(&self.rates, usual.rates_of_servers),
            rates: or(&self.rates, usual.rates),
            sizes: or(&self.sizes, usual.sizes),
            ..usual
        };
        for values in [
            &mut extent.connections,
            &mut extent.rates,
            &mut extent.rates_of_servers,
            &mut extent.sizes,
        ] {
            values.sort_unstable();
            values.dedup();
        }
        extent
    }

    pub(crate) fn repeats(&self) -> u32 {
        self.repeats.unwrap_or(if self.quick { 2 } else { 3 })
    }

    pub(crate) fn duration(&self) -> Duration {
        let usual = Duration::from_secs(if self.quick { 1 } else { 2 });
        self.duration.unwrap_or(usual)
    }

    /// No measurement goes on for longer than this after the beginning.
    pub(crate) fn time_limit(&self) -> Duration {
        Duration::from_secs(if self.quick { 175 } else { 710 })
    }
}

impl Extent {
    pub(crate) fn whole(clients: u32) -> Self {
        Self {
            clients,
            connections: vec![10, 100, 1000, 5000, 10_000, 18_000],
            rates: vec![10, 20, 50, 100, 200, 500, 1000, 2000],
            rates_of_servers: vec![10, 100, 1000],
            sizes: vec![56, 1024, 8192, 65_536, 262_144, 1_048_576],
            stalled_percents: vec![0, 1, 10, 25, 40, 50],
        }
    }

    fn quick(clients: u32) -> Self {
        Self {
            clients,
            connections: vec![10, 100, 1000, 5000],
            rates: vec![10, 100, 1000],
            rates_of_servers: vec![10, 1000],
            sizes: vec![56, 8192, 1_048_576],
            stalled_percents: vec![0, 25, 50],
        }
    }
}

fn or(given: &[u32], usual: Vec<u32>) -> Vec<u32> {
    if given.is_empty() {
        usual
    } else {
        given.to_vec()
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
        let whole = CommandLine::parse_from(["curves", "--out", "x"]);
        let quick = CommandLine::parse_from(["curves", "--out", "x", "--quick"]);
        assert!(quick.extent().connections.len() < whole.extent().connections.len());
        assert!(quick.repeats() < whole.repeats());
        assert!(quick.time_limit() < whole.time_limit());
    }

    #[test]
    fn what_is_asked_for_is_taken_in_order() {
        let flags = "curves --out x --rates 50,7,50 --connections 9 --curves rate";
        let demand = CommandLine::parse_from(flags.split(' '));
        assert_eq!(demand.extent().rates, [7, 50]);
        assert_eq!(demand.extent().rates_of_servers, [7, 50]);
        assert_eq!(demand.extent().connections, [9]);
        assert_eq!(demand.curves, [Curve::Rate]);
    }
}
