//! Compares the server's drivers with each other and with the floor, interleaved in one run.
//!
//! Machines drift: what is compared is measured one right after the other, in an order that rotates
//! from repeat to repeat, and each ratio is of figures of the same repeat. The server, the load
//! generator and the floor's reader are all processes of this one program, so that nothing that is
//! measured can be an old build.

#![forbid(unsafe_code)]

mod bounds;
mod command_line;
mod figures;
mod result;
mod run;
mod scenario;

use std::ffi::OsString;
use std::process::ExitCode;

use benches::{Error, Host, Output, reader};
use clap::Parser;

use command_line::CommandLine;
use result::Result as Comparison;
use run::Run;

/// Measured, but a bound is missed or a run is invalid.
const MISSED: u8 = 3;

fn main() -> ExitCode {
    if let Some(status) = reader::run_if_asked().or_else(run_loadgen_if_asked) {
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

/// Runs the load generator, if that is what this process was started for; it starts this program
/// once more for the server.
fn run_loadgen_if_asked() -> Option<ExitCode> {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let first = arguments.get(1)?.to_str()?;
    if first == run::LOADGEN {
        arguments.remove(1);
    } else if !first.starts_with("__") {
        return None;
    }
    Some(loadgen::run(arguments))
}

/// Measures all that was asked for; says whether every bound is met.
fn compare(demand: &CommandLine) -> Result<bool, Error> {
    let output = Output::open(demand.json.as_deref())?;
    let host = Host::this();
    let mut runs = Vec::new();
    for repeat in 0..demand.repeats {
        for &scenario in &demand.scenarios {
            let mut drivers = demand.drivers.clone();
            drivers.rotate_left(repeat as usize % demand.drivers.len());
            for driver in drivers {
                let run = Run::measure(demand, repeat, scenario, driver)?;
                eprintln!("repeat {} of {}: {run}", repeat + 1, demand.repeats);
                runs.push(run);
            }
        }
    }
    let comparison = Comparison::new(demand, host, runs);
    output.write(&comparison.render(), &comparison)?;
    Ok(comparison.is_as_wanted())
}
