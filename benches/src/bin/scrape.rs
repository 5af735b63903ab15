//! What being scraped costs: the delivery p99 of a server whose metrics are read every second, by the
//! p99 of one whose metrics nobody reads, interleaved in one run.
//!
//! Machines drift: each repeat measures both, one right after the other, in an order that alternates,
//! and the ratio is of figures of the same repeat. Both servers serve metrics; the reading is done by
//! the load generator (`--server-metrics`), on the same machine. Server and load generator are
//! processes of this one program, so that nothing that is measured can be an old build.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use benches::{Error, Host, Output, Spread, outcome, process};
use clap::Parser;
use serde::{Deserialize, Serialize};

/// What a run may take beyond what it measures: connecting, warming up, draining, reporting.
const OVERHEAD_MAX: Duration = Duration::from_secs(120);

/// What a scrape a second may cost: this share of the p99.
const COST_MAX: f64 = 0.05;

/// Compares a server that is scraped every second with one that nobody looks at.
///
/// Exit status: 0 the median of the repeats meets the bound, 1 not possible, 2 wrong usage, 3 measured,
/// but the bound is missed or a run is invalid.
#[derive(Debug, Parser)]
#[command(name = "scrape", version, max_term_width = 100)]
struct CommandLine {
    /// How often to measure both
    #[arg(long, value_name = "N", default_value_t = 7,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeats: u32,

    /// Clients
    #[arg(long, value_name = "N", default_value_t = 5000)]
    clients: u32,

    /// Messages a second in all
    #[arg(long, value_name = "R", default_value_t = 100)]
    rate: u32,

    /// How long each run measures, as in 10s
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    duration: Duration,

    /// Further arguments for the server, as in --server-arg=--driver=epoll
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    server_arg: Vec<String>,

    /// Write the result as JSON to a file, or to standard output with `-` (the table then goes to
    /// standard error)
    #[arg(long, value_name = "FILE|-")]
    json: Option<std::path::PathBuf>,
}

/// What is needed of the load generator's report; see its `--json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Report {
    valid: bool,
    problems: Vec<String>,
    latency_ms: Latencies,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Latencies {
    delivery: Percentiles,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Percentiles {
    p50: Option<f64>,
    p99: Option<f64>,
}

/// Both measurements of one repeat.
#[derive(Debug, Clone, Serialize)]
struct Pair {
    unwatched: Report,
    scraped: Report,
}

#[derive(Debug, Serialize)]
struct Comparison {
    host: Host,
    clients: u32,
    rate: u32,
    pairs: Vec<Pair>,
    /// p99 with a scrape a second by p99 without, repeat by repeat.
    ratio: Spread,
    ratio_max: f64,
    met: bool,
}

fn main() -> ExitCode {
    if let Some(status) = process::run_if_asked() {
        return status;
    }
    outcome(compare(&CommandLine::parse()))
}

/// Measures all pairs; says whether the bound is met and every run is to be believed.
fn compare(demand: &CommandLine) -> Result<bool, Error> {
    let output = Output::open(demand.json.as_deref())?;
    let host = Host::this();
    let mut pairs = Vec::new();
    for repeat in 0..demand.repeats {
        let pair = if repeat.is_multiple_of(2) {
            let unwatched = measure(demand, false)?;
            Pair {
                unwatched,
                scraped: measure(demand, true)?,
            }
        } else {
            let scraped = measure(demand, true)?;
            Pair {
                unwatched: measure(demand, false)?,
                scraped,
            }
        };
        eprintln!(
            "repeat {} of {}: {}",
            repeat + 1,
            demand.repeats,
            pair.line()
        );
        pairs.push(pair);
    }
    let ratios: Vec<f64> = pairs.iter().filter_map(Pair::ratio).collect();
    if ratios.is_empty() {
        let fault = "no run has a p99".to_owned();
        let command = "loadgen".to_owned();
        return Err(Error::LoadGenerator { command, fault });
    }
    let ratio = Spread::of(ratios);
    let valid = pairs
        .iter()
        .all(|it| it.unwatched.valid && it.scraped.valid);
    let comparison = Comparison {
        host,
        clients: demand.clients,
        rate: demand.rate,
        ratio,
        ratio_max: 1.0 + COST_MAX,
        met: ratio.median < 1.0 + COST_MAX && valid,
        pairs,
    };
    output.write(&comparison.render(), &comparison)?;
    Ok(comparison.met)
}

fn measure(demand: &CommandLine, scraped: bool) -> Result<Report, Error> {
    let mut arguments: Vec<String> = ["--quiet", "--spawn-server"].map(str::to_owned).into();
    arguments.push(if scraped {
        "--server-metrics".into()
    } else {
        "--server-arg=--metrics-listen=127.0.0.1:0".into()
    });
    let server_args = demand.server_arg.iter();
    arguments.extend(server_args.map(|argument| format!("--server-arg={argument}")));
    arguments.extend([
        format!("--clients={}", demand.clients),
        format!("--rate={}", demand.rate),
        format!("--duration={}ms", demand.duration.as_millis()),
    ]);
    process::measure(&arguments, demand.duration + OVERHEAD_MAX).map_err(|fault| {
        let command = format!("loadgen {}", arguments.join(" "));
        Error::LoadGenerator { command, fault }
    })
}

impl Pair {
    fn ratio(&self) -> Option<f64> {
        let p99 = |report: &Report| report.latency_ms.delivery.p99;
        Some(p99(&self.scraped)? / p99(&self.unwatched)?)
    }

    fn line(&self) -> String {
        let p99 = |report: &Report| {
            let p99 = report.latency_ms.delivery.p99;
            let text = p99.map_or_else(|| "-".to_owned(), |p99| format!("{p99:.1} ms"));
            let doubt = if report.valid { "" } else { " (INVALID)" };
            text + doubt
        };
        format!(
            "p99 {} unwatched, {} with a scrape a second",
            p99(&self.unwatched),
            p99(&self.scraped)
        )
    }
}

impl Comparison {
    fn render(&self) -> String {
        let Spread {
            min,
            q1,
            median,
            q3,
            max,
        } = self.ratio;
        let problems = self.pairs.iter().flat_map(|pair| {
            let of_both = pair.unwatched.problems.iter().chain(&pair.scraped.problems);
            of_both.map(|problem| format!("  - {problem}\n"))
        });
        let problems: String = problems.collect();
        format!(
            "{} clients, {} messages/s, {} pairs\n\
             p99 with a scrape a second by p99 without: median {median:.3} (quartiles {q1:.3} to \
             {q3:.3}, range {min:.3} to {max:.3}); bound {:.2}: {}\n{problems}",
            self.clients,
            self.rate,
            self.pairs.len(),
            self.ratio_max,
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

    #[test]
    fn the_ratio_is_of_the_same_repeat() {
        let report = |p99| Report {
            valid: true,
            problems: Vec::new(),
            latency_ms: Latencies {
                delivery: Percentiles { p50: None, p99 },
            },
        };
        let mut pair = Pair {
            unwatched: report(Some(80.0)),
            scraped: report(Some(84.0)),
        };
        assert_eq!(pair.ratio(), Some(1.05));
        pair.scraped = report(None);
        assert_eq!(pair.ratio(), None);
    }
}
