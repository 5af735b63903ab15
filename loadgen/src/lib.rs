//! An open-loop load generator that proves every delivery of a broadcast server.
//!
//! Thousands of clients connect over TCP and send by a schedule that waits for nothing
//! (`schedule`). Every message carries a stamp (`stamp`), every delivery is booked in a ledger
//! (`ledger`), and every latency counts from the time its message was meant to be sent (`latency`).
//! One epoll loop, or one on each of several threads, does it all (`engine`), shares nothing with the
//! server but the wire format, and says in the end whether its figures may be believed (`verdict`).

#![forbid(unsafe_code)]

mod barrier;
mod bench;
mod buckets;
mod campaign;
pub mod chart;
mod clock;
mod command_line;
mod compare;
mod completion;
mod connect;
mod connection;
mod deliveries;
mod departures;
mod engine;
mod environment;
mod error;
mod export;
mod figures;
mod folder;
mod histograms;
#[doc(hidden)]
pub mod host;
mod inbox;
mod latency;
mod ledger;
mod merge;
mod misbehaviour;
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
mod recent;
mod record;
mod report;
mod run_flags;
mod schedule;
mod search;
mod series;
mod server_view;
mod slo;
mod spawn;
mod stamp;
mod subcommands;
mod summary;
mod sweep;
mod turns;
mod usage;
mod verdict;
mod wire;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

#[doc(hidden)]
pub use crate::deliveries::Deliveries;
#[doc(hidden)]
pub use crate::environment::commit;

use crate::bench::Bench;
use crate::campaign::Finished;
use crate::command_line::CommandLine;
use crate::environment::Environment;
use crate::error::Error;
use crate::misbehaviour::Cast;
use crate::monitor::Monitor;
use crate::output::Output;
use crate::plan::Plan;
use crate::procfs::Process;
use crate::progress::Progress;
use crate::report::{Report, Surroundings};
use crate::server_view::{Reader, Site};
use crate::spawn::SpawnedServer;
use crate::subcommands::Invocation;

/// The exit status of a measurement that was made and is not to be believed.
const INVALID: u8 = 3;

/// The exit status of a measurement that is to be believed, and breaks a condition of --slo.
const SLO_BROKEN: u8 = 4;

/// Runs the load generator with `arguments` (the program's name first); returns the exit status:
/// 0 for a valid measurement, 1 if none could be made, 2 for wrong usage, 3 for an INVALID one, 4 for
/// one that breaks a service level objective.
pub fn run<I, T>(arguments: I) -> ExitCode
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    if arguments.get(1).is_some_and(|first| first == spawn::SERVE) {
        return spawn::serve(arguments.into_iter().skip(2));
    }
    let invocation = match Invocation::try_parse_from(&arguments) {
        Ok(invocation) => invocation,
        Err(answer) if !answer.use_stderr() => answer.exit(),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{}", usage::one_line(&error, "loadgen"));
            return ExitCode::from(2);
        }
    };
    let command = arguments
        .iter()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let done = match invocation.task {
        Some(task) => task
            .carry_out(&program_of(&arguments))
            .map(|()| ExitCode::SUCCESS),
        None => measure(&invocation.demand, command),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            // There is nowhere else to say it.
            let _ = writeln!(std::io::stderr(), "error: {error}");
            error.exit_code()
        }
    }
}

/// What this program was called as.
fn program_of(arguments: &[OsString]) -> String {
    let path = arguments.first().map(std::path::Path::new);
    let name = path.and_then(std::path::Path::file_name);
    name.map_or("loadgen".into(), |name| name.to_string_lossy().into_owned())
}

/// Carries out what was asked for; the exit status that says what came of it.
fn measure(demand: &CommandLine, command: Vec<String>) -> Result<ExitCode, Error> {
    let plan = Plan::new(demand)?;
    let output = Output::open(demand.json.as_deref(), demand.out.as_deref())?;
    let cast = demand.misbehaviour.cast(plan.clients);
    let further = cast.as_ref().map_or(0, Cast::sockets);
    preflight::raise_descriptors(plan.connections().saturating_add(further))?;
    let interrupted = monitor::watch_signals().map_err(Error::system("handle signals"))?;
    let spawned = if demand.spawn_server {
        Some(SpawnedServer::start(&demand.server_arguments())?)
    } else {
        None
    };
    let (addr, target) = match &spawned {
        Some(server) => (server.addr().to_string(), server.addr()),
        None => (demand.addr.clone(), preflight::resolve(&demand.addr)?),
    };
    let sources = preflight::sources(target, &demand.source_ip, plan.connections())?;
    let server = server_process(demand, spawned.as_ref())?;
    let metrics = metrics_site(demand, spawned.as_ref())?;
    let reader = metrics.map(|site| Reader::new(site, plan.clients));
    output.say(&summary::announcement(&plan, &addr))?;

    let ready_line = spawned.as_ref().map(SpawnedServer::ready_line);
    let mut bench = Bench {
        target,
        sources,
        cast,
        surroundings: Surroundings {
            addr,
            command,
            environment: Environment::look(target.ip(), ready_line),
        },
        monitor: Monitor::new(
            Progress::new(demand.quiet),
            server,
            reader.transpose()?,
            interrupted,
        ),
        warm: None,
    };
    let finished = campaign::carry_out(&plan, &demand.runs, &mut bench);
    bench.monitor.finish();
    let has_failed = finished.as_ref().map_or(true, |it| it.failure.is_some());
    if (has_failed || bench.monitor.server_ended())
        && let Some(server) = &spawned
    {
        server
            .log()
            .iter()
            .for_each(|line| eprintln!("server: {line}"));
    }
    let Finished { record, failure } = finished?;
    output.write(&record)?;
    failure.map_or_else(|| Ok(status(&record.report)), Err)
}

fn status(report: &Report) -> ExitCode {
    // What is not to be believed cannot keep or break a promise.
    match (report.valid, report.slo.iter().all(|judged| judged.held)) {
        (false, _) => ExitCode::from(INVALID),
        (true, false) => ExitCode::from(SLO_BROKEN),
        (true, true) => ExitCode::SUCCESS,
    }
}

/// Where the server's metrics are, if they are wanted.
fn metrics_site(
    demand: &CommandLine,
    spawned: Option<&SpawnedServer>,
) -> Result<Option<Site>, Error> {
    let url = match (&demand.server_metrics, spawned) {
        (None, _) => return Ok(None),
        (Some(Some(site)), _) => return Ok(Some(site.clone())),
        (Some(None), Some(server)) => server.metrics_url(),
        (Some(None), None) => None,
    };
    let site = url.and_then(|url| Site::parse(url).ok());
    site.map(Some).ok_or(Error::NoMetricsUrl)
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
