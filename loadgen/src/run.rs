//! The run itself: the command line, one run or several, what is watched meanwhile, and where results
//! go.

mod args;
mod campaign;
mod command_line;
mod error;
mod monitor;
mod output;
mod preflight;
mod progress;
mod runner;
mod search;
mod series;
mod server_view;
mod slo;
mod spawn;
mod sweep;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use record::{Report, printable};

use crate::host::procfs::Process;
use crate::host::{environment, refused};
use crate::hostile::HostilePlan;
use crate::measure::plan::Plan;
use crate::report::measurement::Surroundings;
use crate::report::summary;
use args::Args;
use campaign::Finished;
use command_line::CommandLine;
use error::{Error, INTERRUPTED};
use monitor::Monitor;
use output::Output;
use progress::Progress;
use runner::WarmRunner;
use server_view::{MetricsUrl, ServerMetrics};
use spawn::SpawnedServer;

/// The exit status of a measurement that was made and is not to be believed.
const INVALID: u8 = 3;

/// The exit status of a measurement that is to be believed, and breaks a condition of --slo.
const SLO_BROKEN: u8 = 4;

/// Runs the load generator with `words` (the program's name first); returns the exit status: 0 for a
/// valid measurement, 1 if none could be made, 2 for wrong usage, 3 for an INVALID one, 4 for one that
/// breaks a service level objective, 130 for one that a signal cut short.
pub fn run<I, T>(words: I) -> ExitCode
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
    if words.get(1).is_some_and(|first| first == spawn::SERVE) {
        return spawn::serve(words.into_iter().skip(2));
    }
    let command_line = match CommandLine::try_parse_from(&words) {
        Ok(command_line) => command_line,
        Err(error) => return cli::refuse(&error, "error", "loadgen"),
    };
    let done = match command_line.task {
        Some(task) => task
            .carry_out(&cli::program(&words, "loadgen"))
            .map(|()| ExitCode::SUCCESS),
        None => {
            let words = words.iter().map(|word| word.to_string_lossy().into_owned());
            measure(&command_line.args, words.collect())
        }
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            // There is nowhere else to say it.
            let line = printable(&error.to_string());
            let _ = writeln!(std::io::stderr(), "error: {line}");
            error.exit_code()
        }
    }
}

/// Measures; the exit status.
fn measure(args: &Args, command: Vec<String>) -> Result<ExitCode, Error> {
    let plan = Plan {
        login: args.login()?,
        ..args.plan()?
    };
    let output = Output::open(args.json.as_deref(), args.out.as_deref())?;
    let hostile = args.hostile.plan(plan.clients);
    let further = hostile.as_ref().map_or(0, HostilePlan::sockets);
    preflight::raise_descriptors(plan.connections().saturating_add(further))?;
    let interrupted = monitor::watch_signals().map_err(refused("handle signals"))?;
    let spawned = if args.spawn_server {
        Some(SpawnedServer::start(&args.server_arguments())?)
    } else {
        None
    };
    let (addr, target) = match &spawned {
        Some(server) => (server.addr().to_string(), server.addr()),
        None => (args.addr.clone(), preflight::resolve(&args.addr)?),
    };
    let sources = preflight::sources(target, &args.source_ip, plan.connections())?;
    let server = server_process(args, spawned.as_ref())?;
    let metrics = metrics_url(args, spawned.as_ref())?;
    let metrics = metrics.map(|url| ServerMetrics::new(url, plan.clients));
    output.say(&summary::announcement(&plan, &addr))?;

    let ready_line = spawned.as_ref().map(SpawnedServer::ready_line);
    let mut runner = WarmRunner {
        target,
        sources,
        hostile,
        surroundings: Surroundings {
            addr,
            command,
            environment: environment::look(target.ip(), ready_line),
        },
        monitor: Monitor::new(
            Progress::new(args.quiet),
            server,
            metrics.transpose()?,
            interrupted,
        ),
        warm: None,
    };
    let finished = campaign::carry_out(&plan, &args.runs, &mut runner);
    runner.monitor.finish();
    let has_failed = finished.as_ref().map_or(true, |it| it.failure.is_some());
    if (has_failed || runner.monitor.server_ended())
        && let Some(server) = &spawned
    {
        server
            .log()
            .iter()
            .for_each(|line| eprintln!("server: {}", printable(line)));
    }
    let Finished {
        measurement,
        failure,
    } = finished?;
    output.write(&measurement)?;
    failure.map_or_else(|| Ok(status(&measurement.report)), Err)
}

fn status(report: &Report) -> ExitCode {
    // What is not to be believed cannot keep or break a promise.
    match (report.cut_short, report.valid, report.held()) {
        (true, _, _) => ExitCode::from(INTERRUPTED),
        (_, false, _) => ExitCode::from(INVALID),
        (_, true, false) => ExitCode::from(SLO_BROKEN),
        (_, true, true) => ExitCode::SUCCESS,
    }
}

/// Where the server's metrics are, if they are wanted.
fn metrics_url(args: &Args, spawned: Option<&SpawnedServer>) -> Result<Option<MetricsUrl>, Error> {
    let url = match (&args.server_metrics, spawned) {
        (None, _) => return Ok(None),
        (Some(Some(url)), _) => return Ok(Some(url.clone())),
        (Some(None), Some(server)) => server.metrics_url(),
        (Some(None), None) => None,
    };
    let url = url.and_then(|url| MetricsUrl::parse(url).ok());
    url.map(Some).ok_or(Error::NoMetricsUrl)
}

/// The server's process, where it is known.
fn server_process(args: &Args, spawned: Option<&SpawnedServer>) -> Result<Option<Process>, Error> {
    match spawned.map(SpawnedServer::pid).or(args.server_pid) {
        None => Ok(None),
        Some(pid) => Process::find(pid).map(Some).ok_or(Error::NoProcess(pid)),
    }
}
