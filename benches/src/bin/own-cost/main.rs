//! What the load generator itself costs: its CPU per received segment by that of a bare
//! epoll-and-recv reader of the same broadcast, and its user CPU per delivery.
//!
//! Each repeat has three runs, each with a server of its own:
//! - the pair: the load generator with one half of the clients and bare readers (`readers`) with the
//!   other, at the same time at the same server. Their ratio is judged.
//! - the control: bare readers in the load generator's place. Its ratio would be 1 if the measurement
//!   added nothing; how far it is from that, and how far repeats lie apart, is what to trust the
//!   judged one to.
//! - the full rate: the load generator alone with all the clients, for its user CPU per delivery.
//!
//! A segment is what one read brings: on both sides every read that brought bytes is counted, and the
//! CPU is of the whole process, user and system, so that the load generator's sending, clocks, ledger
//! and looks at /proc are in it. What the two found in their sockets is compared, too: bytes per
//! segment, how many segments, and segments per return of `epoll_wait`. The ratio counts only if the
//! segments were of one size; the turns are printed, since whoever is woken less often pays less.
//!
//! Limits: the server and both readers share the processors, so that each pays for what the others
//! have pushed out of the caches. The more messages come in a segment, the more the load generator has
//! to do that the bare reader has not: the ratio is that of the rate given. What the bare readers used
//! is known every 100 ms, so that their time differs from the load generator's by as much at either end.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use benches::{Doubt, Error, Host, Output, Spread, Table, outcome, process};
use clap::Parser;
use serde::Serialize;

mod load;
mod pair;
mod readers;

use load::Full;
use pair::{Pair, Side};

/// What the load generator may cost per segment, by what the bare reader does.
const RATIO_MAX: f64 = 1.15;

/// How far the bytes of a segment may differ between the two of a pair.
const UNLIKE_MAX: f64 = 0.05;

/// What a delivery may cost of user CPU, in nanoseconds.
const USER_NS_MAX: f64 = 120.0;

/// Compares the load generator with a bare epoll-and-recv reader of the same broadcast, side by side.
///
/// Exit status: 0 both medians meet their bounds, 1 not possible, 2 wrong usage, 3 measured, but a
/// bound is missed or a run is invalid.
#[derive(Debug, Parser)]
#[command(name = "own-cost", version, max_term_width = 100)]
struct CommandLine {
    /// How often to measure
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeats: u32,

    /// Clients; for the cost of a segment, half of them are the load generator's
    #[arg(long, value_name = "N", default_value_t = 5000,
          value_parser = clap::value_parser!(u32).range(8..))]
    clients: u32,

    /// Messages a second in all, for the cost of a segment
    #[arg(long, value_name = "R", default_value_t = 100)]
    rate: u32,

    /// Messages a second in all, for the cost of a delivery
    #[arg(long, value_name = "R", default_value_t = 1000)]
    full_rate: u32,

    /// How long each run measures, as in 10s
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    duration: Duration,

    /// Further arguments for the server, as in --server-arg=--driver=epoll
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    server_arg: Vec<String>,

    /// Write the result as JSON to a file, or to standard output with `-` (the table then goes to
    /// standard error)
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
}

/// What was measured once.
#[derive(Debug, Serialize)]
struct Repeat {
    pair: Pair,
    control: Pair,
    full: Full,
}

#[derive(Debug, Serialize)]
struct Comparison {
    host: Host,
    clients: u32,
    rate: u32,
    full_rate: u32,
    repeats: Vec<Repeat>,
    /// CPU of the load generator per segment by that of the bare reader beside it.
    ratio: Spread,
    ratio_max: f64,
    /// The same of bare readers in the load generator's place.
    control: Spread,
    /// Bytes of a segment by those of the bare reader.
    likeness: Spread,
    user_ns_per_delivery: Spread,
    user_ns_per_delivery_max: f64,
    doubts: Vec<Doubt>,
    met: bool,
}

fn main() -> ExitCode {
    if let Some(status) = readers::run_if_asked().or_else(process::run_if_asked) {
        return status;
    }
    outcome(compare(&CommandLine::parse()))
}

/// Measures all repeats; says whether the bounds are met and every run is to be believed.
fn compare(demand: &CommandLine) -> Result<bool, Error> {
    let output = Output::open(demand.json.as_deref())?;
    let host = Host::this();
    let mut repeats = Vec::new();
    for number in 0..demand.repeats {
        let repeat = repeat(demand)?;
        eprintln!(
            "repeat {} of {}: {}",
            number + 1,
            demand.repeats,
            repeat.line()
        );
        repeats.push(repeat);
    }
    let comparison = Comparison::new(demand, host, repeats);
    output.write(&comparison.render(), &comparison)?;
    Ok(comparison.met)
}

fn repeat(demand: &CommandLine) -> Result<Repeat, Error> {
    Ok(Repeat {
        pair: pair::measured(demand)?,
        control: pair::control(demand)?,
        full: load::full(demand)?,
    })
}

impl Repeat {
    fn is_valid(&self) -> bool {
        self.problems().next().is_none()
    }

    fn problems(&self) -> impl Iterator<Item = &String> {
        let (pair, control) = (&self.pair.problems, &self.control.problems);
        pair.iter().chain(control).chain(&self.full.problems)
    }

    fn line(&self) -> String {
        format!(
            "{:.0} ns a segment of {:.0} bytes beside {:.0} ns bare, ratio {:.3}, control {:.3}; {:.0} ns user a delivery{}",
            self.pair.judged.ns_per_segment,
            self.pair.judged.bytes_per_segment,
            self.pair.bare.ns_per_segment,
            self.pair.ratio,
            self.control.ratio,
            self.full.user_ns_per_delivery,
            if self.is_valid() { "" } else { " (INVALID)" }
        )
    }
}

impl Comparison {
    fn new(demand: &CommandLine, host: Host, repeats: Vec<Repeat>) -> Self {
        let spread = |of: fn(&Repeat) -> f64| Spread::of(repeats.iter().map(of));
        let ratio = spread(|repeat| repeat.pair.ratio);
        let likeness = spread(|repeat| repeat.pair.likeness());
        let user_ns_per_delivery = spread(|repeat| repeat.full.user_ns_per_delivery);
        let alike = (likeness.median - 1.0).abs() <= UNLIKE_MAX;
        let valid = repeats.iter().all(Repeat::is_valid);
        Self {
            host,
            clients: demand.clients,
            rate: demand.rate,
            full_rate: demand.full_rate,
            ratio,
            ratio_max: RATIO_MAX,
            control: spread(|repeat| repeat.control.ratio),
            likeness,
            user_ns_per_delivery,
            user_ns_per_delivery_max: USER_NS_MAX,
            doubts: Doubt::unsteady("ratio", ratio).into_iter().collect(),
            met: ratio.median <= RATIO_MAX
                && user_ns_per_delivery.median <= USER_NS_MAX
                && alike
                && valid,
            repeats,
        }
    }

    fn render(&self) -> String {
        format!(
            "{} clients, {} and {} messages/s, {} repeats\n\
             load generator and bare reader side by side, half of the clients each; control: two bare readers\n\
             {}bounds: ratio {RATIO_MAX} with segments alike to {UNLIKE_MAX}, user {USER_NS_MAX} ns per delivery: {}\n{}",
            self.clients,
            self.rate,
            self.full_rate,
            self.repeats.len(),
            self.table(),
            if self.met { "met" } else { "not met" },
            self.remarks(),
        )
    }

    fn table(&self) -> Table {
        let mut table = Table::new(["", "min", "q1", "median", "q3", "max"]);
        let mut both = |what: &str, of: fn(&Side) -> f64, decimals| {
            let judged = self.repeats.iter().map(|repeat| of(&repeat.pair.judged));
            let bare = self.repeats.iter().map(|repeat| of(&repeat.pair.bare));
            let name = |who| format!("{who}, {what}");
            table.row_of(&name("load generator"), Spread::of(judged), decimals);
            table.row_of(&name("bare reader"), Spread::of(bare), decimals);
        };
        both("ns per segment", |side| side.ns_per_segment, 0);
        both("segments", |side| side.segments as f64, 0);
        both("bytes per segment", |side| side.bytes_per_segment, 0);
        both("segments per epoll_wait", Side::segments_per_turn, 1);
        table.row_of("ratio of ns per segment", self.ratio, 3);
        table.row_of("ratio of bytes per segment", self.likeness, 3);
        table.row_of("control, ratio of ns per segment", self.control, 3);
        let user_ns = self.user_ns_per_delivery;
        table.row_of("full rate, user ns per delivery", user_ns, 1);
        table
    }

    /// Why not to believe it.
    fn remarks(&self) -> String {
        let problems = self.repeats.iter().flat_map(Repeat::problems).cloned();
        let doubts = self.doubts.iter().map(ToString::to_string);
        let remarks = problems.chain(doubts);
        remarks.map(|remark| format!("  - {remark}\n")).collect()
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
}
