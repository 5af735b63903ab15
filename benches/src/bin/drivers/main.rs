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
mod idle;
mod markdown;
mod result;
mod run;
mod scenario;

use std::process::ExitCode;

use benches::{Error, Host, Output, outcome, process, reader, rotated};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use command_line::{CommandLine, Driver};
use result::Result as Comparison;
use run::Run;
use scenario::{Scenario, Setting};

fn main() -> ExitCode {
    if let Some(status) = reader::run_if_asked().or_else(process::run_if_asked) {
        return status;
    }
    outcome(compare(&CommandLine::parse()))
}

/// Measures all that was asked for; says whether every bound is met.
fn compare(demand: &CommandLine) -> Result<bool, Error> {
    if demand.markdown.is_some() && !varies_a_setting(&demand.scenarios) {
        let needs = "--markdown needs --scenarios coalesce or threads";
        CommandLine::command()
            .error(ErrorKind::MissingRequiredArgument, needs)
            .exit();
    }
    let output = Output::open(demand.json.as_deref())?;
    let host = Host::this();
    let mut runs = Vec::new();
    for repeat in 0..demand.repeats {
        for &scenario in &demand.scenarios {
            for (driver, setting) in candidates(demand, scenario, repeat) {
                let run = Run::measure(demand, repeat, scenario, driver, setting)?;
                eprintln!("repeat {} of {}: {run}", repeat + 1, demand.repeats);
                runs.push(run);
            }
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

fn varies_a_setting(scenarios: &[Scenario]) -> bool {
    let varied = markdown::VARIED.map(|(scenario, _)| scenario);
    scenarios.iter().any(|scenario| varied.contains(scenario))
}

/// What is measured of a scenario in one repeat, in an order that rotates from repeat to repeat.
fn candidates(demand: &CommandLine, scenario: Scenario, repeat: u32) -> Vec<(Driver, Setting)> {
    let settings = scenario.settings();
    let candidates: Vec<_> = settings
        .iter()
        .flat_map(|&setting| demand.drivers.iter().map(move |&driver| (driver, setting)))
        .collect();
    rotated(&candidates, repeat)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_repeat_measures_each_driver_with_each_setting_and_begins_with_another() {
        let demand = CommandLine::parse_from(["drivers", "--drivers", "uring,epoll"]);
        let repeats: Vec<_> = (0..4)
            .map(|repeat| candidates(&demand, Scenario::Threads, repeat))
            .collect();
        let value = |at: usize| (repeats[at][0].0, repeats[at][0].1.value());
        let first: Vec<_> = (0..4).map(value).collect();
        let (uring, epoll) = (Driver::Uring, Driver::Epoll);
        assert_eq!(
            first,
            [(uring, "1"), (epoll, "1"), (uring, "2"), (epoll, "2")]
        );
        for candidate in &repeats[0] {
            assert!(repeats.iter().all(|repeat| repeat.contains(candidate)));
        }
        assert_eq!(candidates(&demand, Scenario::Low, 0).len(), 2);
    }
}
