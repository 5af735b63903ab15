//! Draws scaling curves: what a delivery costs, and its p99, beside a bare send loop.
//!
//! Repeats are outermost, so that every point is measured early and late in the run, and time that
//! runs out costs repeats, not points. Points of one load follow each other right after its floor, in
//! an order that rotates. Server, load generator and the floor's reader are processes of this one
//! program, so that nothing that is measured can be an old build.

#![forbid(unsafe_code)]

mod command_line;
mod curve;
mod plots;
mod report;
mod result;
mod run;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use benches::{Error, Host, outcome, process, reader, rotated};
use clap::Parser;

use command_line::CommandLine;
use curve::Point;
use result::Scaling;
use run::{Floor, Run};

fn main() -> ExitCode {
    if let Some(status) = reader::run_if_asked().or_else(process::run_if_asked) {
        return status;
    }
    outcome(draw(&CommandLine::parse()))
}

/// Measures all that was asked for and writes the report; says whether every point has a valid run.
fn draw(demand: &CommandLine) -> Result<bool, Error> {
    fs::create_dir_all(&demand.out).map_err(|error| unwritten(&demand.out, error))?;
    let (began, host) = (Instant::now(), Host::this());
    let (runs, was_cut) = measure(demand, began);
    let scaling = Scaling::new(demand, host, runs, began.elapsed(), was_cut);
    write(&demand.out, &scaling)?;
    Ok(scaling.is_valid())
}

/// All runs, and whether the time was over before the last.
fn measure(demand: &CommandLine, began: Instant) -> (Vec<Run>, bool) {
    let groups = curve::groups(&demand.curves, &demand.extent());
    let mut runs = Vec::new();
    for repeat in 0..demand.repeats() {
        for group in &groups {
            let left = || demand.time_limit().saturating_sub(began.elapsed());
            if left().is_zero() {
                return (runs, true);
            }
            let floor = floor(group[0]);
            for point in rotated(group, repeat) {
                let run = Run::measure((repeat, point), floor, demand.duration(), left());
                eprintln!("repeat {}: {}: {}", repeat + 1, name(point), run.outcome());
                runs.push(run);
            }
        }
    }
    (runs, false)
}

/// The floor of a point's load, if it can be measured.
fn floor(point: Point) -> Option<Floor> {
    Floor::measure(point.load)
        .inspect_err(|why| eprintln!("no floor for {}: {why}", name(point)))
        .ok()
}

fn name(point: Point) -> String {
    let load = point.load;
    format!(
        "{} clients, {} stalled, {}/s of {} bytes, {}, {} threads",
        load.clients, load.stalled, load.rate, load.message_bytes, point.driver, point.threads
    )
}

fn write(folder: &Path, scaling: &Scaling) -> Result<(), Error> {
    let text = report::render(scaling);
    let mut json = serde_json::to_string(scaling)
        .map_err(|error| unwritten(&folder.join("data.json"), error.into()))?;
    json.push('\n');
    println!("{text}");
    let files = [("report.md".to_owned(), text), ("data.json".into(), json)];
    for (name, content) in files.into_iter().chain(plots::all(scaling)) {
        let path = folder.join(name);
        fs::write(&path, content).map_err(|error| unwritten(&path, error))?;
    }
    Ok(())
}

fn unwritten(path: &Path, error: std::io::Error) -> Error {
    Error::Write {
        path: path.display().to_string(),
        error,
    }
}
