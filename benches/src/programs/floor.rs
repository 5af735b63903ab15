//! What a bare `send(2)` loop costs on this machine.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::comparison::{Section, Validity};
use crate::error::Result;
use crate::figure::{FLOOR, FLOOR_CPU};
use crate::floor::{self, COMPLETION, Plan, READER_CPU, READS, SENDS, WALL_PER_SEND};
use crate::output::Output;
use crate::run::Run;
use crate::study::{self, Study};

/// Measure what a bare send(2) loop over N connected loopback TCP sockets costs
///
/// A pass sends one frame to each socket while a second process reads. No server that sends to each
/// of N clients can be faster on this machine. Each repeat has new connections and a new reader.
/// Exit status: 0 measured, 1 not possible, 2 wrong usage.
#[derive(Debug, Parser)]
#[command(name = "floor", version, max_term_width = 100)]
pub(super) struct Args {
    /// Send to N sockets in each pass
    #[arg(long, alias = "clients", value_name = "N", default_value_t = 5000,
          value_parser = clap::value_parser!(u32).range(1..))]
    sockets: u32,

    /// Send frames of N bytes (the default is a 64-byte message as broadcast)
    #[arg(long, value_name = "N", default_value_t = 92,
          value_parser = clap::value_parser!(u32).range(1..=floor::BYTES_MAX as i64))]
    bytes: u32,

    /// Measure N times, each with new connections
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    repeats: u32,

    /// Measure N passes in each repeat
    #[arg(long, value_name = "N", default_value_t = 20,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    passes: u32,

    /// Make N passes before these without measuring: new connections cost more for the first 16
    #[arg(long, value_name = "N", default_value_t = floor::WARMUP_PASSES)]
    warmup_passes: u32,

    /// Begin passes at least TIME apart, as in 100ms (by default, as soon as all have read the one
    /// before). Sends cost more again after a silence of 200 ms
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = cli::duration)]
    interval: Duration,

    #[command(flatten)]
    output: Output,
}

/// The program.
pub fn main() -> ExitCode {
    study::main("floor", measure)
}

fn measure(args: &Args) -> Result<bool> {
    let plan = Plan {
        sockets: args.sockets,
        bytes: args.bytes as usize,
        passes: args.passes,
        warmup_passes: args.warmup_passes,
        interval: args.interval,
        reader: None,
    };
    let figures = vec![
        FLOOR,
        COMPLETION,
        WALL_PER_SEND,
        FLOOR_CPU,
        READER_CPU,
        SENDS,
        READS,
    ];
    let about = "F is the median pass of a repeat, from its first send until after its last.";
    let study = Study {
        repeats: args.repeats,
        validity: Validity::EveryCase,
        sections: vec![Section::new(
            "bare passes",
            about,
            figures,
            vec!["send(2)".into()],
        )],
        steady: vec![FLOOR, FLOOR_CPU],
        ..Study::new(
            "floor",
            "The floor: a bare send loop",
            format!(
                "{} sockets, {} passes of {} bytes.",
                args.sockets, args.passes, args.bytes
            ),
        )
    };
    let floor = study.carry_out(&args.output, &[vec![()]], |turn, ()| {
        let mut run = Run::new(turn.repeat, "bare passes", "send(2)");
        plan.measure(&mut run)?;
        Ok(vec![run])
    })?;
    args.output.write(&floor)
}
