//! What being scraped costs: the delivery p99 of a server whose metrics are read every second, by the
//! p99 of one whose metrics nobody reads. Both servers serve metrics; the reading is done by the load
//! generator (`--server-metrics`), on the same machine.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::bound::{Against, Bound, Limit};
use crate::comparison::Section;
use crate::error::Result;
use crate::figure::{CPU, P50, P99};
use crate::output::Output;
use crate::process;
use crate::run::Run;
use crate::study::{self, Study};

/// Compare a server that is scraped every second with one whose metrics nobody reads
///
/// Exit status: 0 the median of the repeats meets the bound, 1 not possible, 2 wrong usage, 3 measured,
/// but the bound is missed or a run is invalid.
#[derive(Debug, Parser)]
#[command(name = "scrape", version, max_term_width = 100)]
pub(super) struct Args {
    /// Measure both N times
    #[arg(long, value_name = "N", default_value_t = 7,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeats: u32,

    /// Connect N clients
    #[arg(long, value_name = "N", default_value_t = 5000)]
    clients: u32,

    /// Send R messages a second in all
    #[arg(long, value_name = "R", default_value_t = 100)]
    rate: u32,

    /// Measure for TIME in each run, as in 10s
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = cli::duration)]
    duration: Duration,

    /// Pass ARG to the servers, as in --server-arg=--driver=epoll
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    server_arg: Vec<String>,

    #[command(flatten)]
    output: Output,
}

/// p99 with a scrape a second, by that without.
const RATIO_MAX: f64 = 1.05;

const UNWATCHED: &str = "not scraped";
const SCRAPED: &str = "scraped";

/// The program.
pub fn main() -> ExitCode {
    study::main("scrape", compare)
}

fn compare(args: &Args) -> Result<bool> {
    let candidates = vec![UNWATCHED.into(), SCRAPED.into()];
    let about = format!("{} clients, {} messages/s.", args.clients, args.rate);
    let study = Study {
        repeats: args.repeats,
        sections: vec![Section::new(
            "scrape",
            about,
            vec![P50, P99, CPU],
            candidates,
        )],
        bounds: vec![bound()],
        ..Study::new(
            "scrape",
            "What a scrape a second costs",
            format!("Every run is {:?} on a fresh server.", args.duration),
        )
    };
    let groups = [vec![UNWATCHED, SCRAPED]];
    let comparison = study.carry_out(&args.output, &groups, |turn, &candidate| {
        let metrics = match candidate {
            SCRAPED => "--server-metrics",
            _ => "--server-arg=--metrics-listen=127.0.0.1:0",
        };
        let flags = format!(
            "--quiet --spawn-server {metrics} --clients {} --rate {} --duration {}ms",
            args.clients,
            args.rate,
            args.duration.as_millis()
        );
        let mut arguments = process::words(&flags);
        let server_args = args.server_arg.iter();
        arguments.extend(server_args.map(|argument| format!("--server-arg={argument}")));
        let timeout = args.duration + process::OVERHEAD_MAX;
        let mut run = Run::new(turn.repeat, "scrape", candidate);
        run.take_report(&process::must_measure(&arguments, timeout)?);
        Ok(vec![run])
    })?;
    args.output.write(&comparison)
}

fn bound() -> Bound {
    let bound = Bound::new("scrape", SCRAPED, P99, Limit::AtMost(RATIO_MAX));
    bound.against(Against::Ratio(UNWATCHED.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_of_the_same_repeat() {
        let ratio = |scraped: Option<f64>| {
            let mut runs = [UNWATCHED, SCRAPED].map(|who| Run::new(0, "scrape", who));
            runs[0].set(&P99, 80.0);
            runs[1].set(&P99, scraped);
            bound().judge(&runs).measured
        };
        assert_eq!(ratio(Some(84.0)).unwrap().median, 1.05);
        assert_eq!(ratio(None), None);
    }
}
