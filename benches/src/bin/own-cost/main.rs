//! What the load generator itself costs: its CPU per received segment by that of a bare
//! epoll-and-recv reader of the same traffic, and its user CPU per delivery, interleaved in one run.
//!
//! Each repeat has a server of its own. In one half the load generator has all the clients. In the
//! other, bare readers (`readers`) have them, and a load generator of two clients sends the same
//! messages at the same rate. A segment is what one read brings: on both sides every read that
//! brought bytes is counted, and the CPU is of the whole process, user and system. The order of the
//! halves alternates, and the ratio is of figures of the same repeat.
//!
//! A reader that is slower finds more in its sockets, so that under a load that fills the machine the
//! two would not read the same segments. The ratio is therefore measured at a rate that leaves room,
//! and counts only if the segments were of one size. What a delivery costs is measured at a rate that
//! does fill the machine.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use benches::{Error, Host, Output, Spread, Table, process};
use clap::Parser;
use serde::Serialize;

mod halves;
mod readers;

use halves::{Bare, Whole};

/// Measured, but a bound is missed or a run is invalid.
const MISSED: u8 = 3;

/// What the load generator may cost per segment, by what the bare reader does.
const RATIO_MAX: f64 = 1.15;

/// How far the bytes of a segment may differ between the halves.
const UNLIKE_MAX: f64 = 0.1;

/// What a delivery may cost of user CPU, in nanoseconds.
const USER_NS_MAX: f64 = 120.0;

/// Compares the load generator with a bare epoll-and-recv reader of the same traffic.
///
/// Exit status: 0 both medians meet their bounds, 1 not possible, 2 wrong usage, 3 measured, but a
/// bound is missed or a run is invalid.
#[derive(Debug, Parser)]
#[command(name = "own-cost", version, max_term_width = 100)]
struct CommandLine {
    /// How often to measure both
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeats: u32,

    /// Clients
    #[arg(long, value_name = "N", default_value_t = 5000,
          value_parser = clap::value_parser!(u32).range(2..))]
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

/// Both halves of one repeat, and the load generator at the full rate.
#[derive(Debug, Serialize)]
struct Repeat {
    whole: Whole,
    bare: Bare,
    ratio: f64,
    full: Whole,
}

#[derive(Debug, Serialize)]
struct Comparison {
    host: Host,
    clients: u32,
    rate: u32,
    full_rate: u32,
    repeats: Vec<Repeat>,
    /// CPU of the load generator per segment by that of the bare reader, repeat by repeat.
    ratio: Spread,
    ratio_max: f64,
    /// Bytes of a segment by those of the bare reader.
    likeness: Spread,
    user_ns_per_delivery: Spread,
    user_ns_per_delivery_max: f64,
    met: bool,
}

fn main() -> ExitCode {
    if let Some(status) = readers::run_if_asked().or_else(process::run_if_asked) {
        return status;
    }
    match compare(&CommandLine::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(MISSED),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures all repeats; says whether the bounds are met and every run is to be believed.
fn compare(demand: &CommandLine) -> Result<bool, Error> {
    let output = Output::open(demand.json.as_deref())?;
    let host = Host::this();
    let mut repeats = Vec::new();
    for number in 0..demand.repeats {
        let repeat = repeat(demand, number)?;
        eprintln!(
            "repeat {} of {}: {}",
            number + 1,
            demand.repeats,
            repeat.line()
        );
        repeats.push(repeat);
    }
    let ratio = Spread::of(repeats.iter().map(|repeat| repeat.ratio));
    let user_ns = Spread::of(
        repeats
            .iter()
            .map(|repeat| repeat.full.user_ns_per_delivery),
    );
    let likeness = Spread::of(repeats.iter().map(Repeat::likeness));
    let alike = (likeness.median - 1.0).abs() <= UNLIKE_MAX;
    let valid = repeats.iter().all(Repeat::is_valid);
    let comparison = Comparison {
        host,
        clients: demand.clients,
        rate: demand.rate,
        full_rate: demand.full_rate,
        likeness,
        ratio,
        ratio_max: RATIO_MAX,
        user_ns_per_delivery: user_ns,
        user_ns_per_delivery_max: USER_NS_MAX,
        met: ratio.median <= RATIO_MAX && user_ns.median <= USER_NS_MAX && alike && valid,
        repeats,
    };
    output.write(&comparison.render(), &comparison)?;
    Ok(comparison.met)
}

fn repeat(demand: &CommandLine, number: u32) -> Result<Repeat, Error> {
    let (whole, bare) = if number.is_multiple_of(2) {
        let whole = halves::whole(demand, demand.rate)?;
        (whole, halves::bare(demand)?)
    } else {
        let bare = halves::bare(demand)?;
        (halves::whole(demand, demand.rate)?, bare)
    };
    Ok(Repeat {
        ratio: whole.ns_per_segment / bare.ns_per_segment,
        whole,
        bare,
        full: halves::whole(demand, demand.full_rate)?,
    })
}

impl Repeat {
    fn is_valid(&self) -> bool {
        self.problems().next().is_none()
    }

    fn problems(&self) -> impl Iterator<Item = &String> {
        let (whole, full) = (&self.whole.problems, &self.full.problems);
        whole.iter().chain(&self.bare.problems).chain(full)
    }

    fn likeness(&self) -> f64 {
        self.whole.bytes_per_segment / self.bare.bytes_per_segment
    }

    fn line(&self) -> String {
        format!(
            "{:.0} ns a segment of {:.1} deliveries, {:.0} ns bare, ratio {:.3}; {:.0} ns user a delivery{}",
            self.whole.ns_per_segment,
            self.whole.deliveries_per_segment,
            self.bare.ns_per_segment,
            self.ratio,
            self.full.user_ns_per_delivery,
            if self.is_valid() { "" } else { " (INVALID)" }
        )
    }
}

impl Comparison {
    fn render(&self) -> String {
        let mut table = Table::new(["", "min", "q1", "median", "q3", "max"]);
        let whole = |of: fn(&Whole) -> f64| self.repeats.iter().map(move |it| of(&it.whole));
        let bare = |of: fn(&Bare) -> f64| self.repeats.iter().map(move |it| of(&it.bare));
        let ns = Spread::of(whole(|it| it.ns_per_segment));
        table.row_of("load generator, ns per segment", ns, 0);
        let ns = Spread::of(bare(|it| it.ns_per_segment));
        table.row_of("bare reader, ns per segment", ns, 0);
        table.row_of("ratio", self.ratio, 3);
        let bytes = Spread::of(whole(|it| it.bytes_per_segment));
        table.row_of("load generator, bytes per segment", bytes, 0);
        let bytes = Spread::of(bare(|it| it.bytes_per_segment));
        table.row_of("bare reader, bytes per segment", bytes, 0);
        let likeness = "segments, by those of the bare reader";
        table.row_of(likeness, self.likeness, 3);
        table.row_of(
            "full rate, user ns per delivery",
            self.user_ns_per_delivery,
            1,
        );
        let problems = self.repeats.iter().flat_map(Repeat::problems);
        let problems: String = problems.map(|problem| format!("  - {problem}\n")).collect();
        format!(
            "{} clients, {} and {} messages/s, {} repeats\n{table}bounds: ratio {RATIO_MAX} with segments alike to {UNLIKE_MAX}, user {USER_NS_MAX} ns per delivery: {}\n{problems}",
            self.clients,
            self.rate,
            self.full_rate,
            self.repeats.len(),
            if self.met { "met" } else { "not met" },
        )
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
