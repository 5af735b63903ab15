//! An open-loop load generator that proves every delivery of a broadcast server.
//!
//! Thousands of clients connect over TCP and send by a schedule that waits for nothing
//! (`schedule`). Every message carries a stamp (`stamp`), every delivery is booked in a ledger
//! (`ledger`), and every latency counts from the time its message was meant to be sent (`latency`).
//! One epoll loop does it all (`engine`), shares nothing with the server but the wire format, and
//! says in the end whether its figures may be believed (`verdict`).

#![forbid(unsafe_code)]

mod barrier;
mod clock;
mod command_line;
mod connect;
mod connection;
mod departures;
mod engine;
mod error;
mod figures;
mod inbox;
mod latency;
mod ledger;
mod monitor;
mod names;
mod observation;
mod outbox;
mod output;
mod phases;
mod plan;
mod preflight;
mod procfs;
mod progress;
mod report;
mod schedule;
mod spawn;
mod stamp;
mod summary;
mod turns;
mod verdict;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::command_line::CommandLine;
use crate::engine::Engine;
use crate::error::Error;
use crate::monitor::Monitor;
use crate::output::Output;
use crate::plan::Plan;
use crate::procfs::Process;
use crate::progress::Progress;
use crate::report::{Report, Surroundings};
use crate::spawn::SpawnedServer;

/// The exit status of a measurement that was made and is not to be believed.
const INVALID: u8 = 3;

/// Runs the load generator with `arguments` (the program's name first); returns the exit status:
/// 0 for a valid measurement, 1 if none could be made, 2 for wrong usage, 3 for an INVALID one.
pub fn run<I, T>(arguments: I) -> ExitCode
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    if arguments.get(1).is_some_and(|first| first == spawn::SERVE) {
        return spawn::serve(arguments.into_iter().skip(2));
    }
    let demand = match CommandLine::try_parse_from(&arguments) {
        Ok(demand) => demand,
        Err(error) => error.exit(),
    };
    let command = arguments
        .iter()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    match measure(&demand, command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(INVALID),
        Err(error) => {
            // There is nowhere else to say it.
            let _ = writeln!(std::io::stderr(), "error: {error}");
            error.exit_code()
        }
    }
}

/// Carries out what was asked for; says whether the result is valid.
fn measure(demand: &CommandLine, command: Vec<String>) -> Result<bool, Error> {
    let plan = Plan::new(demand)?;
    let output = Output::open(demand.json.as_deref(), demand.out.as_deref())?;
    preflight::raise_descriptors(plan.clients)?;
    let interrupted = monitor::watch_signals().map_err(Error::system("handle signals"))?;
    let spawned = if demand.spawn_server {
        Some(SpawnedServer::start(&demand.server_arg)?)
    } else {
        None
    };
    let (addr, target) = match &spawned {
        Some(server) => (server.addr().to_string(), server.addr()),
        None => (demand.addr.clone(), preflight::resolve(&demand.addr)?),
    };
    let sources = preflight::sources(target, &demand.source_ip, plan.clients)?;
    let server = server_process(demand, spawned.as_ref())?;
    output.say(&summary::announcement(&plan, &addr));

    let mut monitor = Monitor::new(Progress::new(demand.quiet), server, interrupted);
    let engine = Engine::new(&plan, target, sources, rand::random())?;
    let outcome = engine.run(&mut monitor);
    monitor.finish();
    if (outcome.is_err() || monitor.server_ended())
        && let Some(server) = &spawned
    {
        server
            .log()
            .iter()
            .for_each(|line| eprintln!("server: {line}"));
    }
    let (server, generator) = monitor.consumption();
    let surroundings = Surroundings {
        addr,
        command,
        server,
        generator,
        server_ended: monitor.server_ended(),
    };
    let report = Report::new(&plan, &outcome?, surroundings);
    output.write(&report)?;
    Ok(report.valid)
}

/// The server's process, where it is known.
fn server_process(
    demand: &CommandLine,
    spawned: Option<&SpawnedServer>,
) -> Result<Option<Process>, Error> {
    match spawned.map(SpawnedServer::pid).or(demand.server_pid) {
        None => Ok(None),
        Some(pid) => Process::find(pid).map(Some).ok_or(Error::NoProcess(pid)),
    }
}
