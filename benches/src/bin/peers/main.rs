//! Compares the server with the brokers that people use for fan-out, interleaved in one run. Every run has
//! a fresh server with its best settings, which it confirms itself where it can.

#![forbid(unsafe_code)]

mod candidate;
mod load;
mod page;
mod serving;
mod verification;

use std::process::ExitCode;
use std::time::Duration;

use benches::figure::{HIGHEST_RATE, P99, RSS};
use benches::{
    Against, Bound, Error, Limit, Output, Plot, Run, Study, Validity, process, raise_descriptors,
};
use clap::Parser;

use candidate::Candidate;
use load::{Collapses, Load, PUBLISHERS};
use page::Contender;
use serving::Serving;

/// Compare the server with Redis, NATS and Mosquitto, where they are installed
///
/// Every repeat measures each rate with each candidate, one right after the other, each on a fresh
/// server. Exit status: 0 every bound is met by the median of the repeats, 1 not possible, 2 wrong
/// usage, 3 measured, but a bound is missed or was not measured.
#[derive(Debug, Parser)]
#[command(name = "peers", version, max_term_width = 100)]
pub(crate) struct Args {
    /// Connect N clients, each of which receives every message
    #[arg(long, value_name = "N", default_value_t = 5000,
          value_parser = clap::value_parser!(u32).range(2..=100_000))]
    clients: u32,

    /// Send so many messages a second in all, one measurement each [default: 20,100,500,1000; with
    /// --quick 100,500]
    #[arg(long, value_name = "RATES", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rates: Vec<u32>,

    /// Measure each N times [default: 5; with --quick 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    repeats: Option<u32>,

    /// Measure for TIME in each run [default: 3s; with --quick 2s]
    #[arg(long, value_name = "TIME", value_parser = cli::duration)]
    duration: Option<Duration>,

    /// Compare these servers; one that is not installed is left out
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Candidate::ALL)]
    candidates: Vec<Candidate>,

    /// Search each candidate's highest rate too, in at most the first three repeats (the default)
    #[arg(long, overrides_with = "no_find_max")]
    find_max: bool,

    /// Do not search for the highest rates
    #[arg(long)]
    no_find_max: bool,

    /// Measure fewer repeats and rates: at most 4 minutes instead of 14
    #[arg(long)]
    quick: bool,

    #[command(flatten)]
    output: Output,
}

/// What a run may take beyond what it measures: connecting, draining, reporting.
const OVERHEAD_MAX: Duration = Duration::from_secs(30);

/// What a search may take in all.
const SEARCH_MAX: Duration = Duration::from_secs(75);

fn main() -> ExitCode {
    benches::main("peers", compare)
}

fn compare(args: &Args) -> Result<bool, Error> {
    raise_descriptors(args.clients.saturating_add(PUBLISHERS))?;
    args.output.check()?;
    let contenders: Vec<Contender> = args
        .candidates
        .iter()
        .map(|&one| Contender::try_out(one, args.clients))
        .collect();
    let quoted = contenders.iter().filter(|contender| contender.is_quoted());
    let candidates: Vec<Candidate> = quoted.map(|contender| contender.candidate).collect();
    let groups: Vec<Vec<(Load, Candidate)>> = args
        .loads()
        .into_iter()
        .map(|load| {
            candidates
                .iter()
                .map(|&candidate| (load, candidate))
                .collect()
        })
        .collect();
    let mut collapses = Collapses::default();
    let mut comparison =
        study(args, &candidates).carry_out(&args.output, &groups, |turn, &(load, candidate)| {
            let is_over = load == Load::FindMax && turn.repeat >= args.searches();
            if is_over || !collapses.is_due(turn.repeat, load, candidate) {
                return Ok(Vec::new());
            }
            let mut run = Run::new(turn.repeat, &load.name(), candidate.name());
            match measure(args, load, candidate, turn.left) {
                Ok(report) => load.take_report(candidate, &report, &mut run),
                Err(why) => run.failure = Some(why),
            }
            collapses.note(load, candidate, &run);
            Ok(vec![run])
        })?;
    comparison
        .remarks
        .extend(page::remarks(&comparison, &collapses, &contenders));
    args.output.write(&comparison)?;
    Ok(comparison.is_as_wanted())
}

fn study(args: &Args, candidates: &[Candidate]) -> Study {
    let ours = Candidate::Uringcast.name();
    let loads = args.loads();
    let bound = |load: Load, figure, limit| {
        let bound = Bound::new(&load.name(), ours, figure, limit).against(Against::BestPeer);
        loads.contains(&load).then_some(bound)
    };
    let bounds = [
        bound(Load::Rate(100), P99, Limit::AtMost(0.6)),
        bound(Load::Rate(500), P99, Limit::AtMost(0.05)),
        bound(Load::FindMax, HIGHEST_RATE, Limit::AtLeast(4.0)),
        bound(Load::Rate(500), RSS, Limit::AtMost(0.05)),
    ];
    let plot = |file: &str, figure: benches::Figure| Plot {
        file: file.into(),
        title: format!("{} by messages a second", figure.name),
        section: String::new(),
        x_label: "messages/s".into(),
        is_linear: false,
        figure,
        floor: None,
    };
    Study {
        program: "peers",
        title: "The server beside Redis, NATS and Mosquitto",
        about: format!(
            "{} clients, every run {:?} on a fresh server. {PUBLISHERS} publishers beside the clients send to a broker; clients of uringcast send themselves. A peer that lost deliveries is no measure: what is not delivered costs nothing. The bounds are meant for 5000 clients.",
            args.clients,
            args.duration()
        ),
        repeats: args.repeats(),
        time_limit: Duration::from_secs(60 * if args.quick { 4 } else { 14 }),
        validity: Validity::Bounds,
        sections: loads.iter().map(|load| load.section(candidates)).collect(),
        plots: vec![plot("p99.svg", P99), plot("rss.svg", RSS)],
        bounds: bounds.into_iter().flatten().collect(),
        steady: Vec::new(),
    }
}

/// Starts a server of its own and measures it, for `left` at most.
fn measure(
    args: &Args,
    load: Load,
    candidate: Candidate,
    left: Duration,
) -> Result<record::Report, String> {
    let serving = Serving::start(candidate, &candidate.settings(args.clients))?;
    let mut arguments = load.arguments(candidate, args.clients, args.duration());
    arguments.extend(["--addr".into(), serving.addr().to_string()]);
    arguments.extend(["--server-pid".into(), serving.pid().to_string()]);
    let most = match load {
        Load::Rate(_) => args.duration() + OVERHEAD_MAX,
        Load::FindMax => SEARCH_MAX,
    };
    process::measure(&arguments, most.min(left))
}

impl Args {
    /// In order, since a candidate that collapses at one rate is not measured at those that follow.
    fn loads(&self) -> Vec<Load> {
        let mut rates = match (&self.rates[..], self.quick) {
            ([], false) => vec![20, 100, 500, 1000],
            ([], true) => vec![100, 500],
            (rates, _) => rates.to_vec(),
        };
        rates.sort_unstable();
        rates.dedup();
        let search = (self.searches() > 0).then_some(Load::FindMax);
        rates.into_iter().map(Load::Rate).chain(search).collect()
    }

    fn repeats(&self) -> u32 {
        self.repeats.unwrap_or(if self.quick { 2 } else { 5 })
    }

    fn duration(&self) -> Duration {
        let usual = Duration::from_secs(if self.quick { 2 } else { 3 });
        self.duration.unwrap_or(usual)
    }

    /// Repeats in which the highest rate is searched for.
    fn searches(&self) -> u32 {
        let most = if self.quick { 1 } else { 3 };
        if self.no_find_max {
            0
        } else {
            self.repeats().min(most)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn args(flags: &str) -> Args {
        Args::parse_from(format!("peers --out x {flags}").split_whitespace())
    }

    #[test]
    fn the_definition_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_is_quick_is_less() {
        let (whole, quick) = (args(""), args("--quick"));
        assert_eq!(
            (whole.loads().len(), whole.repeats(), whole.searches()),
            (5, 5, 3)
        );
        assert_eq!(
            (quick.loads().len(), quick.repeats(), quick.searches()),
            (3, 2, 1)
        );
        let bounds = |args: &Args| study(args, &Candidate::ALL).bounds.len();
        assert_eq!((bounds(&whole), bounds(&quick)), (4, 4));
    }

    #[test]
    fn what_is_given_is_taken_in_order() {
        let args = args("--rates 50,7,50 --candidates nats --no-find-max");
        assert_eq!(args.loads(), [Load::Rate(7), Load::Rate(50)]);
        assert_eq!(args.candidates, [Candidate::Nats]);
        assert!(study(&args, &[Candidate::Nats]).bounds.is_empty());
    }
}
