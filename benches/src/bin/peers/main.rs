//! Compares the server with the brokers that people use for fan-out, interleaved in one run.
//!
//! Machines drift: what is compared is measured one right after the other, in an order that rotates
//! from repeat to repeat, and each ratio is of figures of the same repeat. Every run has a fresh
//! server with its best settings, which it confirms itself where it can. The project's server and
//! the load generator are processes of this one program, so that neither can be an old build.

#![forbid(unsafe_code)]

mod candidate;
mod command_line;
mod course;
mod figures;
mod plots;
mod ratios;
mod report;
mod result;
mod run;
mod serving;
mod verification;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use benches::{Error, Host, outcome, process, raise_descriptors, rotated};
use clap::Parser;

use candidate::Candidate;
use command_line::CommandLine;
use course::Course;
use result::{Circumstances, Comparison, Contender};
use run::{Load, PUBLISHERS, Run, Terms};
use serving::Serving;

fn main() -> ExitCode {
    if let Some(status) = process::run_if_asked() {
        return status;
    }
    outcome(compare(&CommandLine::parse()))
}

/// Measures all that was asked for and writes the report; says whether every bound is met.
fn compare(demand: &CommandLine) -> Result<bool, Error> {
    let began = Instant::now();
    raise_descriptors(demand.clients.saturating_add(PUBLISHERS))?;
    fs::create_dir_all(&demand.out).map_err(|error| unwritten(&demand.out, error))?;
    let host = Host::this();
    let (contenders, missing) = muster(demand);
    let candidates: Vec<Candidate> = contenders
        .iter()
        .filter(|contender| contender.verified.is_ok())
        .map(|contender| contender.candidate)
        .collect();
    let terms = Terms {
        clients: demand.clients,
        duration: demand.duration(),
    };
    let mut course = Course::default();
    let mut runs = Vec::new();
    let mut was_cut = false;
    for (repeat, load, candidate) in steps(demand, &candidates) {
        if !course.is_due(repeat, load, candidate) {
            continue;
        }
        let left = demand.time_limit().saturating_sub(began.elapsed());
        if left.is_zero() {
            was_cut = true;
            break;
        }
        let run = Run::measure(terms, (repeat, load, candidate), left);
        let name = candidate.name();
        eprintln!("repeat {}: {load:?}, {name}: {}", repeat + 1, run.outcome());
        course.note(&run);
        runs.push(run);
    }
    let circumstances = Circumstances {
        host,
        terms,
        repeats: demand.repeats(),
        took: began.elapsed(),
        was_cut,
        contenders,
        missing,
        collapses: course.into_collapses(),
        loads: loads(demand),
    };
    let comparison = Comparison::new(circumstances, runs);
    write(&demand.out, &comparison)?;
    Ok(comparison.is_as_wanted())
}

/// Who is there, each started once to see whether it runs as it is meant to; and who is not.
fn muster(demand: &CommandLine) -> (Vec<Contender>, Vec<Candidate>) {
    let (mut contenders, mut missing) = (Vec::new(), Vec::new());
    for &candidate in &demand.candidates {
        let name = candidate.name();
        let Some(version) = candidate.version() else {
            println!("skipped: {name} is not installed");
            missing.push(candidate);
            continue;
        };
        let settings = candidate.settings(demand.clients);
        let verified =
            Serving::start(candidate, &settings).map(|serving| serving.verified().to_owned());
        if let Err(why) = &verified {
            println!("{name} is not quoted: {why}");
        }
        contenders.push(Contender {
            candidate,
            version,
            settings,
            verified,
        });
    }
    (contenders, missing)
}

fn loads(demand: &CommandLine) -> Vec<Load> {
    let mut loads: Vec<Load> = demand.rates().into_iter().map(Load::Rate).collect();
    if demand.searches() > 0 {
        loads.push(Load::FindMax);
    }
    loads
}

/// Every run that may be made, in order.
fn steps(demand: &CommandLine, candidates: &[Candidate]) -> Vec<(u32, Load, Candidate)> {
    let mut steps = Vec::new();
    for repeat in 0..demand.repeats() {
        for load in loads(demand) {
            if load == Load::FindMax && repeat >= demand.searches() {
                continue;
            }
            let order = rotated(candidates, repeat);
            steps.extend(order.into_iter().map(|candidate| (repeat, load, candidate)));
        }
    }
    steps
}

fn write(folder: &Path, comparison: &Comparison) -> Result<(), Error> {
    let text = report::render(comparison);
    let mut json = serde_json::to_string(comparison)
        .map_err(|error| unwritten(&folder.join("data.json"), error.into()))?;
    json.push('\n');
    let files = [("report.md", text.clone()), ("data.json", json)];
    for (name, content) in files.into_iter().chain(plots::all(comparison)) {
        let path = folder.join(name);
        fs::write(&path, content).map_err(|error| unwritten(&path, error))?;
    }
    println!("{text}");
    Ok(())
}

fn unwritten(path: &Path, error: std::io::Error) -> Error {
    Error::Write {
        path: path.display().to_string(),
        error,
    }
}
