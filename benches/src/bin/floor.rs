//! The floor's program: what a bare `send(2)` loop costs on this machine.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use benches::{Error, Output, Plan, floor, reader};
use clap::Parser;

/// Measures what a bare send(2) loop over N connected loopback TCP sockets costs.
///
/// A pass sends one frame to each socket while a second process reads; no server that sends to each
/// of N clients can be faster on this machine. Each repeat has new connections and a new reader.
/// Exit status: 0 measured, 1 not possible, 2 wrong usage.
#[derive(Debug, Parser)]
#[command(name = "floor", version, max_term_width = 100)]
struct CommandLine {
    /// Sockets that each pass sends to
    #[arg(long, alias = "clients", value_name = "N", default_value_t = 5000,
          value_parser = clap::value_parser!(u32).range(1..))]
    sockets: u32,

    /// Length of the frame that is sent, in bytes (the default is a 64-byte message as broadcast)
    #[arg(long, value_name = "N", default_value_t = 92,
          value_parser = clap::value_parser!(u32).range(1..=floor::BYTES_MAX as i64))]
    bytes: u32,

    /// How often to measure, each time with new connections
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    repeats: u32,

    /// Measured passes of each repeat
    #[arg(long, value_name = "N", default_value_t = 20,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    passes: u32,

    /// Passes before these, which are not measured: new connections cost more for the first 16
    #[arg(long, value_name = "N", default_value_t = floor::WARMUP_PASSES)]
    warmup_passes: u32,

    /// Least time between the beginnings of two passes, as in 100ms (otherwise a pass begins when
    /// all have read the one before). Sends cost more again after a silence of 200 ms
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    interval: Duration,

    /// Write the result as JSON to a file, or to standard output with `-` (the table then goes to
    /// standard error)
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    if let Some(status) = reader::run_if_asked() {
        return status;
    }
    match measure(&CommandLine::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(demand: &CommandLine) -> Result<(), Error> {
    let plan = Plan {
        sockets: demand.sockets,
        bytes: demand.bytes as usize,
        repeats: demand.repeats,
        passes: demand.passes,
        warmup_passes: demand.warmup_passes,
        interval: demand.interval,
        reader: None,
    };
    let output = Output::open(demand.json.as_deref())?;
    output.say(&format!(
        "{} sockets, {} repeats of {} passes",
        plan.sockets, plan.repeats, plan.passes
    ));
    let measurement = floor::measure(&plan)?;
    output.write(&measurement.render(), &measurement)
}
