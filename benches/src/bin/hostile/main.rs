//! Compares what healthy clients feel of a server beside hostile ones with what they feel without them,
//! interleaved in one run.
//!
//! Machines drift: a repeat measures each case right after the other, in an order that rotates from
//! repeat to repeat, and each ratio is of figures of the same repeat. The healthy are the load
//! generator's clients, whose ledger has to be clean; the hostile are its misbehaving ones, and a flooder
//! and broken peers of this program. All are processes of this one program, so that nothing that is
//! measured can be an old build.

#![forbid(unsafe_code)]

mod bounds;
mod broken;
mod case;
mod command_line;
mod figures;
mod flooder;
mod result;
mod run;

use std::process::ExitCode;

use benches::{Error, Host, Output, outcome, process, raise_descriptors, rotated};
use clap::Parser;

use command_line::CommandLine;
use result::Comparison;
use run::Run;

fn main() -> ExitCode {
    if let Some(status) = process::run_if_asked() {
        return status;
    }
    outcome(compare(&CommandLine::parse()))
}

/// Measures all that was asked for; says whether every bound is met.
fn compare(demand: &CommandLine) -> Result<bool, Error> {
    let cases = case::all(demand);
    let sockets = cases.iter().map(|case| case.sockets(demand)).max();
    raise_descriptors(sockets.unwrap_or_default())?;
    let output = Output::open(demand.json.as_deref())?;
    let host = Host::this();
    let mut runs = Vec::new();
    for repeat in 0..demand.repeats {
        for case in rotated(&cases, repeat) {
            let run = Run::measure(demand, repeat, case)?;
            eprintln!("repeat {} of {}: {run}", repeat + 1, demand.repeats);
            runs.push(run);
        }
    }
    let comparison = Comparison::new(demand, host, runs);
    if let Some(path) = &demand.markdown {
        std::fs::write(path, comparison.markdown()).map_err(|error| Error::Write {
            path: path.display().to_string(),
            error,
        })?;
    }
    output.write(&comparison.render(), &comparison)?;
    Ok(comparison.is_as_wanted())
}
