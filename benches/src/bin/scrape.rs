//! What being scraped costs: the delivery p99 of a server whose metrics are read every second, by the
//! p99 of one whose metrics nobody reads, interleaved in one run. Both servers serve metrics; the
//! reading is done by the load generator (`--server-metrics`), on the same machine.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use benches::figure::{CPU, P50, P99};
use benches::{
    Against, Bound, Error, Limit, Output, Run, Scenario, Section, Study, Validity, process,
};
use clap::Parser;

/// Compare a server that is scraped every second with one whose metrics nobody reads
///
/// Exit status: 0 the median of the repeats meets the bound, 1 not possible, 2 wrong usage, 3 measured,
/// but the bound is missed or a run is invalid.
#[derive(Debug, Parser)]
#[command(name = "scrape", version, max_term_width = 100)]
struct Args {
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

const SCENARIO: &str = "scrape";
const UNWATCHED: &str = "not scraped";
const SCRAPED: &str = "scraped";

fn main() -> ExitCode {
    benches::main("scrape", compare)
}

fn compare(args: &Args) -> Result<bool, Error> {
    let groups = [vec![UNWATCHED, SCRAPED]];
    let comparison = study(args).carry_out(&args.output, &groups, |turn, &candidate| {
        let mut run = Run::new(turn.repeat, SCENARIO, candidate);
        let timeout = args.duration + process::OVERHEAD_MAX;
        let report = process::must_measure(&arguments(args, candidate), timeout)?;
        run.take_report(&report);
        Ok(vec![run])
    })?;
    args.output.write(&comparison)?;
    Ok(comparison.is_as_wanted())
}

fn study(args: &Args) -> Study {
    let bound = Bound::new(SCENARIO, SCRAPED, P99, Limit::AtMost(RATIO_MAX));
    Study {
        program: "scrape",
        title: "What a scrape a second costs",
        about: format!("Every run is {:?} on a fresh server.", args.duration),
        repeats: args.repeats,
        time_limit: Duration::MAX,
        validity: Validity::EveryRun,
        sections: vec![Section {
            title: SCENARIO.into(),
            about: format!("{} clients, {} messages/s.", args.clients, args.rate),
            figures: vec![P50, P99, CPU],
            scenarios: vec![Scenario {
                name: SCENARIO.into(),
                x: None,
                candidates: vec![UNWATCHED.into(), SCRAPED.into()],
            }],
        }],
        plots: Vec::new(),
        bounds: vec![bound.against(Against::Ratio(UNWATCHED.into()))],
        steady: Vec::new(),
    }
}

fn arguments(args: &Args, candidate: &str) -> Vec<String> {
    let metrics = match candidate {
        SCRAPED => "--server-metrics",
        _ => "--server-arg=--metrics-listen=127.0.0.1:0",
    };
    let mut arguments: Vec<String> = ["--quiet", "--spawn-server", metrics]
        .map(str::to_owned)
        .into();
    let server_args = args.server_arg.iter();
    arguments.extend(server_args.map(|argument| format!("--server-arg={argument}")));
    arguments.extend([
        format!("--clients={}", args.clients),
        format!("--rate={}", args.rate),
        format!("--duration={}ms", args.duration.as_millis()),
    ]);
    arguments
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_ratio_is_of_the_same_repeat() {
        let run = |candidate, p99: Option<f64>| {
            let mut run = Run::new(0, SCENARIO, candidate);
            run.set(&P99, p99);
            run
        };
        let ratio = |scraped| {
            let args = Args::parse_from(["scrape"]);
            let runs = [run(UNWATCHED, Some(80.0)), run(SCRAPED, scraped)];
            study(&args).bounds[0].judge(&runs).measured
        };
        assert_eq!(ratio(Some(84.0)).unwrap().median, 1.05);
        assert_eq!(ratio(None), None);
    }
}
