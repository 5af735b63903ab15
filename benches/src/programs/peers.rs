//! The server beside the brokers that people use for fan-out. Every run has a fresh server with its best
//! settings, which it confirms itself where it can.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::bound::{Against, Bound, Limit};
use crate::comparison::{Comparison, Plot, Remark, Section, Validity, name_of};
use crate::error::Result;
use crate::figure::{
    COMPLETION_P50, COMPLETION_P99, COMPLETION_P999, CPU_PER_DELIVERY, DRAIN, Figure, HIGHEST_RATE,
    LOST, P50, P99, P999, RATE, RSS,
};
use crate::host::raise_descriptors;
use crate::output::Output;
use crate::process;
use crate::run::{Run, with_unit};
use crate::study::{self, Study};
use crate::table::Table;

mod server;
mod verification;

use server::{Candidate, Serving};

/// Compare the server with Redis, NATS and Mosquitto, where they are installed
///
/// Every repeat measures each rate with each candidate, one right after the other, each on a fresh
/// server. Exit status: 0 every bound is met by the median of the repeats, 1 not possible, 2 wrong
/// usage, 3 measured, but a bound is missed or was not measured.
#[derive(Debug, Parser)]
#[command(name = "peers", version, max_term_width = 100)]
pub(super) struct Args {
    /// Connect N clients, each of which receives every message
    #[arg(long, value_name = "N", default_value_t = 5000,
          value_parser = clap::value_parser!(u32).range(2..=100_000))]
    clients: u32,

    /// Measure each of these rates, in messages a second in all [default: 20,100,500,1000; with --quick
    /// 100,500]
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
    #[arg(long, value_enum, value_delimiter = ',',
          default_values_t = Candidate::value_variants().to_vec())]
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

/// The load of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    /// Messages a second in all.
    Rate(u32),
    /// The highest rate that holds.
    FindMax,
}

/// Who collapsed at which rate in the first repeat, and how. Such a candidate is not measured at higher
/// rates, and at that rate only once more: it would take the time of all others and tell nothing new.
#[derive(Debug, Default)]
struct Collapses(Vec<(Candidate, u32, String)>);

/// Connections that send to a broker. More of them do not send more messages.
const PUBLISHERS: u32 = 4;

/// What a search for the highest rate demands, and what its scenario is called.
const OBJECTIVE: &str = "delivery.p99<250ms,lost==0";
const OBJECTIVE_IN_WORDS: &str = "p99 < 250 ms, none lost";

/// Where a search begins, in messages a second.
const SEARCH_FROM: u32 = 100;

/// What a run may take beyond what it measures: connecting, draining, reporting.
const OVERHEAD_MAX: Duration = Duration::from_secs(30);

/// What a search may take in all.
const SEARCH_MAX: Duration = Duration::from_secs(75);

/// Slower than this at the 99th percentile, in milliseconds, has collapsed.
const COLLAPSED_P99_MS: f64 = 1000.0;

/// Fewer messages than this share of those asked for is a collapse.
const COLLAPSED_RATE_SHARE: f64 = 0.9;

/// A candidate that collapsed is measured so often at that rate.
const RUNS_OF_COLLAPSED: u32 = 2;

/// A peer is said to win from this advantage on, as a share of the server's figure.
const WIN_SHARE: f64 = 0.01;

const OURS: &str = "uringcast";

/// The program.
pub fn main() -> ExitCode {
    study::main("peers", compare)
}

fn compare(args: &Args) -> Result<bool> {
    raise_descriptors(args.clients.saturating_add(PUBLISHERS))?;
    args.output.check()?;
    let (candidates, servers) = try_out(args);
    let group = |load| {
        candidates
            .iter()
            .map(|&candidate| (load, candidate))
            .collect()
    };
    let groups: Vec<Vec<(Load, Candidate)>> = args.loads().into_iter().map(group).collect();
    let study = study(args, &candidates);
    let mut collapses = Collapses::default();
    let mut comparison = study.carry_out(&args.output, &groups, |turn, &(load, candidate)| {
        let is_searched = load == Load::FindMax && turn.repeat >= args.searches();
        if is_searched || !collapses.is_due(turn.repeat, load, candidate) {
            return Ok(Vec::new());
        }
        let mut run = Run::new(turn.repeat, &load.name(), &name_of(&candidate));
        match measure(args, load, candidate, turn.left) {
            Ok(report) => load.take_report(candidate, &report, &mut run),
            Err(why) => run.failure = Some(why),
        }
        collapses.note(load, candidate, &run);
        Ok(vec![run])
    })?;
    let wins = wins(&comparison);
    for (title, text) in [
        ("Where a peer wins", wins),
        ("Collapsed", collapses.in_words()),
        ("Servers", servers.to_string()),
    ] {
        if !text.is_empty() {
            let title = title.to_owned();
            comparison.remarks.push(Remark { title, text });
        }
    }
    args.output.write(&comparison)
}

/// Starts each candidate once: those that run as they are meant to, and how each is set up.
fn try_out(args: &Args) -> (Vec<Candidate>, Table) {
    let mut quoted = Vec::new();
    let mut table = Table::new(["server", "version", "settings", "confirmed by"]);
    for &candidate in &args.candidates {
        let settings = candidate.settings(args.clients);
        let version = candidate.version();
        let serving = match version {
            Some(_) => Serving::start(candidate, &settings).map(|serving| serving.verified),
            None => Err("not installed".into()),
        };
        if serving.is_ok() {
            quoted.push(candidate);
        }
        let shown = settings.iter().map(|(name, value)| match &**value {
            "" => format!("`{name} \"\"`"),
            value => format!("`{name} {value}`"),
        });
        let shown = shown.collect::<Vec<_>>().join(", ");
        let left_out = |why| format!("**left out: {why}**");
        table.row([
            name_of(&candidate),
            version.unwrap_or_default(),
            format!("{shown}; {}", candidate.remark()),
            serving.unwrap_or_else(left_out),
        ]);
    }
    (quoted, table)
}

fn study(args: &Args, candidates: &[Candidate]) -> Study {
    let loads = args.loads();
    let bound = |load: Load, figure, limit| {
        let bound = Bound::new(&load.name(), OURS, figure, limit).against(Against::BestPeer);
        loads.contains(&load).then_some(bound)
    };
    let bounds = [
        bound(Load::Rate(100), P99, Limit::AtMost(0.6)),
        bound(Load::Rate(500), P99, Limit::AtMost(0.05)),
        bound(Load::FindMax, HIGHEST_RATE, Limit::AtLeast(4.0)),
        bound(Load::Rate(500), RSS, Limit::AtMost(0.05)),
    ];
    let plot = |file: &str, figure: Figure| Plot {
        file: file.into(),
        title: format!("{} by messages a second", figure.name),
        section: String::new(),
        x_label: "messages/s".into(),
        is_linear: false,
        figure,
        floor: None,
    };
    let about = format!(
        "{} clients, every run {:?} on a fresh server. {PUBLISHERS} publishers beside the clients send to a broker; clients of uringcast send themselves. A peer that lost deliveries is no measure: what is not delivered costs nothing. The bounds are meant for 5000 clients.",
        args.clients,
        args.duration()
    );
    Study {
        repeats: args.repeats(),
        time_limit: Duration::from_secs(60 * if args.quick { 4 } else { 14 }),
        validity: Validity::Bounds,
        sections: loads.iter().map(|load| load.section(candidates)).collect(),
        plots: vec![plot("p99.svg", P99), plot("rss.svg", RSS)],
        bounds: bounds.into_iter().flatten().collect(),
        ..Study::new(
            "peers",
            "The server beside Redis, NATS and Mosquitto",
            about,
        )
    }
}

/// Starts a server of its own and measures it, for `left` at most.
fn measure(
    args: &Args,
    load: Load,
    candidate: Candidate,
    left: Duration,
) -> std::result::Result<record::Report, String> {
    let serving = Serving::start(candidate, &candidate.settings(args.clients))?;
    let flags = load.flags(candidate, args.clients, args.duration());
    let arguments = [process::words(&flags), serving.flags()].concat();
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
        match (self.no_find_max, self.quick) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => self.repeats().min(3),
        }
    }
}

impl Load {
    fn name(self) -> String {
        match self {
            Self::Rate(rate) => format!("{rate} messages/s"),
            Self::FindMax => OBJECTIVE_IN_WORDS.into(),
        }
    }

    fn section(self, candidates: &[Candidate]) -> Section {
        let candidates = candidates.iter().map(name_of).collect();
        let latencies = [
            P50,
            P99,
            P999,
            COMPLETION_P50,
            COMPLETION_P99,
            COMPLETION_P999,
        ];
        let others = [RATE, LOST, DRAIN, CPU_PER_DELIVERY, RSS];
        match self {
            Self::Rate(rate) => {
                let about =
                    "Latencies count from the intended time, and are those of what arrived.";
                let figures = latencies.into_iter().chain(others).collect();
                let mut section = Section::new(&self.name(), about, figures, candidates);
                section.scenarios[0].x = Some(rate.into());
                section
            }
            Self::FindMax => {
                let about =
                    format!("The highest rate that keeps `{OBJECTIVE}`, found by a search.");
                let figures = vec![HIGHEST_RATE];
                let mut section = Section::new(&self.name(), about, figures, candidates);
                section.title = "Highest rate".into();
                section
            }
        }
    }

    /// What the load generator is told.
    fn flags(self, candidate: Candidate, clients: u32, duration: Duration) -> String {
        let publishers = match candidate {
            Candidate::Uringcast => String::new(),
            _ => format!("--publishers {PUBLISHERS}"),
        };
        let (protocol, ms) = (candidate.protocol(), duration.as_millis());
        let load = match self {
            Self::Rate(rate) => {
                format!("--rate {rate} --duration {ms}ms --warmup 500ms --drain-timeout 8s")
            }
            Self::FindMax => format!(
                "--rate {SEARCH_FROM} --duration {}ms --warmup 300ms --drain-timeout 2s --find-max --slo {OBJECTIVE}",
                ms.min(1500)
            ),
        };
        format!("--quiet --protocol {protocol} --clients {clients} {publishers} {load}")
    }

    /// Takes the figures of a report. What is INVALID is no measure: of the server never, of a peer only
    /// where it has collapsed, since then that is what was measured. Nor is a peer that lost anything.
    fn take_report(self, candidate: Candidate, report: &record::Report, run: &mut Run) {
        let found = report.steps.as_ref().and_then(|steps| steps.found.as_ref());
        if let (Self::FindMax, Some(found)) = (self, found) {
            // A search ends with a step that breaks what it demands.
            run.set(&HIGHEST_RATE, found.rate.unwrap_or(0.0));
            return;
        }
        run.take_report(report);
        let is_collapse = self.collapse(run).is_some();
        run.counts = Some(match candidate {
            Candidate::Uringcast => run.is_valid(),
            _ => report.lost == 0 && (run.is_valid() || is_collapse),
        });
    }

    /// Why it makes no sense to ask more of the candidate; `None` if it kept up.
    fn collapse(self, run: &Run) -> Option<String> {
        let Self::Rate(rate) = self else {
            return None;
        };
        let achieved = run.get(&RATE).unwrap_or_default();
        let lost = run.get(&LOST).unwrap_or_default();
        match run.get(&P99) {
            _ if run.failure.is_some() => run.failure.clone(),
            _ if lost > 0.0 => Some(format!("{lost:.1} % lost")),
            _ if achieved < COLLAPSED_RATE_SHARE * f64::from(rate) => {
                Some(format!("{achieved:.0} of {rate} messages/s"))
            }
            None => Some("no delivery".into()),
            Some(p99) => (p99 > COLLAPSED_P99_MS).then(|| format!("p99 {p99:.0} ms")),
        }
    }
}

impl Collapses {
    /// Takes notice of what came of a run.
    fn note(&mut self, load: Load, candidate: Candidate, run: &Run) {
        if let (Load::Rate(rate), Some(why), 0) = (load, load.collapse(run), run.repeat)
            && self.of(candidate).is_none()
        {
            self.0.push((candidate, rate, why));
        }
    }

    /// Whether a run is to be made.
    fn is_due(&self, repeat: u32, load: Load, candidate: Candidate) -> bool {
        match (load, self.of(candidate)) {
            (Load::FindMax, _) | (_, None) => true,
            (Load::Rate(rate), Some(at)) if rate == at => repeat < RUNS_OF_COLLAPSED,
            (Load::Rate(rate), Some(at)) => rate < at,
        }
    }

    fn of(&self, candidate: Candidate) -> Option<u32> {
        let mut all = self.0.iter();
        all.find_map(|(who, rate, _)| (*who == candidate).then_some(*rate))
    }

    fn in_words(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let told = self.0.iter().map(|(candidate, rate, why)| {
            format!("- {} at {rate} messages/s: {why}\n", name_of(candidate))
        });
        let rule = "A candidate that collapsed in the first repeat was measured at that rate at most twice, and not at higher rates.\n\n";
        rule.to_owned() + &told.collect::<String>()
    }
}

/// Where a peer that lost nothing does better by the medians.
fn wins(comparison: &Comparison) -> String {
    let mut text = String::new();
    for row in comparison.rows.iter().filter(|row| row.candidate != OURS) {
        let (scenario, peer) = (&row.scenario, &row.candidate);
        let mut figures = comparison
            .sections
            .iter()
            .flat_map(|section| &section.figures);
        let figure = figures.find(|figure| figure.id == row.figure);
        let own = figure.and_then(|figure| comparison.row(scenario, OURS, figure));
        let (Some(figure), Some(own)) = (figure, own) else {
            continue;
        };
        let runs = comparison.runs_of(scenario, peer);
        let has_lost = runs
            .iter()
            .any(|run| run.get(&LOST).is_some_and(|lost| lost > 0.0));
        let (theirs, own) = (row.spread.median, own.spread.median);
        let is_win = figure.is_better(theirs, own) && (own - theirs).abs() > WIN_SHARE * own.abs();
        if is_win && !has_lost {
            let [theirs, own] = [theirs, own].map(|value| with_unit(value, &figure.unit));
            text += &format!(
                "- {peer} at {scenario}, {}: {theirs} against {own}\n",
                figure.name
            );
        }
    }
    if text.is_empty() {
        return "Nowhere in what was measured.".into();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Host;
    use Candidate::{Mosquitto, Nats, Redis, Uringcast};

    fn args(flags: &str) -> Args {
        Args::parse_from(format!("peers --out x {flags}").split_whitespace())
    }

    /// A run that kept up with `rate`, with this p99.
    fn run(repeat: u32, candidate: Candidate, rate: u32, p99: f64) -> Run {
        let mut run = Run::new(repeat, &Load::Rate(rate).name(), &name_of(&candidate));
        for (figure, value) in [(RATE, f64::from(rate)), (LOST, 0.0), (P99, p99)] {
            run.set(&figure, value);
        }
        run
    }

    #[test]
    fn what_is_quick_is_less() {
        let [whole, quick] = ["", "--quick"].map(args);
        let extent = |args: &Args| (args.loads().len(), args.repeats(), args.searches());
        assert_eq!((extent(&whole), extent(&quick)), ((5, 5, 3), (3, 2, 1)));
        assert_eq!(study(&quick, &[Redis]).bounds.len(), 4);
    }

    #[test]
    fn what_is_given_is_taken_in_order() {
        let args = args("--rates 50,7,50 --candidates nats --no-find-max");
        assert_eq!(args.loads(), [Load::Rate(7), Load::Rate(50)]);
        assert_eq!(args.candidates, [Nats]);
        assert!(study(&args, &[Nats]).bounds.is_empty());
    }

    #[test]
    fn losing_lagging_or_sending_less_is_a_collapse() {
        let why = |spoil: &dyn Fn(&mut Run)| {
            let mut run = run(0, Nats, 100, 20.0);
            spoil(&mut run);
            Load::Rate(100).collapse(&run).unwrap_or_default()
        };
        assert_eq!(why(&|_| {}), "");
        assert_eq!(why(&|run| run.set(&P99, 1500.0)), "p99 1500 ms");
        assert_eq!(why(&|run| run.set(&LOST, 0.3)), "0.3 % lost");
        assert_eq!(why(&|run| run.set(&RATE, 80.0)), "80 of 100 messages/s");
        assert_eq!(why(&|run| run.unset(&P99)), "no delivery");
        assert_eq!(
            why(&|run| run.failure = Some("not over".into())),
            "not over"
        );
    }

    #[test]
    fn a_collapse_in_the_first_repeat_spares_the_rest() {
        let mut collapses = Collapses::default();
        collapses.note(Load::Rate(100), Redis, &run(0, Redis, 100, 20.0));
        collapses.note(Load::Rate(500), Redis, &run(0, Redis, 500, 4000.0));
        collapses.note(Load::Rate(500), Nats, &run(1, Nats, 500, 4000.0));
        let due = |repeat, rate| collapses.is_due(repeat, Load::Rate(rate), Redis);
        assert!(!due(0, 1000) && !due(4, 1000));
        assert!(due(1, 500) && !due(2, 500));
        assert!(due(4, 100));
        assert!(collapses.is_due(0, Load::FindMax, Redis));
        assert!(
            collapses.is_due(2, Load::Rate(1000), Nats),
            "in a later repeat"
        );
        let text = collapses.in_words();
        assert!(
            text.contains("- redis at 500 messages/s: p99 4000 ms"),
            "{text}"
        );
    }

    #[test]
    fn what_is_invalid_is_no_measure_unless_a_peer_collapsed_and_lost_nothing() {
        let json = include_str!("../../../loadgen/tests/data/run.json");
        let counts = |candidate: Candidate, p99, lost| {
            let mut report: record::Report = serde_json::from_str(json).unwrap();
            report.problems = vec!["the machine was busy".into()];
            (report.valid, report.lost, report.rate_achieved) = (false, lost, 100.0);
            report.latency_ms.delivery.p99 = Some(p99);
            let mut run = Run::default();
            Load::Rate(100).take_report(candidate, &report, &mut run);
            run.counts()
        };
        assert!(!counts(Redis, 400.0, 0) && counts(Redis, 1500.0, 0));
        assert!(!counts(Redis, 1500.0, 1) && !counts(Uringcast, 1500.0, 0));
    }

    #[test]
    fn brokers_are_given_publishers() {
        let flags = |load: Load, candidate| load.flags(candidate, 7, Duration::from_secs(1));
        let search = flags(Load::FindMax, Mosquitto);
        assert!(
            search.contains("mqtt") && search.contains(OBJECTIVE),
            "{search}"
        );
        assert!(search.contains("--publishers"), "{search}");
        let rate = flags(Load::Rate(5), Uringcast);
        assert!(
            !rate.contains("--publishers") && rate.contains("1000ms"),
            "{rate}"
        );
    }

    #[test]
    fn a_peer_that_lost_nothing_and_does_better_wins() {
        let mut lost = run(0, Redis, 500, 9.0);
        lost.set(&LOST, 25.0);
        let runs = vec![
            run(0, Uringcast, 100, 10.0),
            run(0, Redis, 100, 8.0),
            run(0, Uringcast, 500, 10.0),
            lost,
        ];
        let study = study(&args("--rates 100,500"), &[Uringcast, Redis]);
        let text = wins(&study.result(Host::this(), runs, Duration::ZERO, false));
        assert_eq!(
            text,
            "- redis at 100 messages/s, delivery p99: 8.00 ms against 10.0 ms\n"
        );
    }
}
