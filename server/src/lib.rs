//! A TCP broadcast server for Linux: one message in, one copy out to every other client.
//!
//! What a message costs is one append to a [log](hub::Log); what a subscriber costs is one cursor;
//! what a send carries is everything its receiver is owed. [`hub`] decides, without a socket or a
//! clock; a [`Driver`] moves the bytes; [`Server`] puts them together; [`run`] is the program.

mod command;
mod command_line;
mod configuration;
mod confinement;
mod control;
mod descriptors;
mod driver;
pub mod hub;
mod listener;
mod logging;
mod memory;
mod metrics;
mod server;
mod service_manager;
mod signals;
mod threads;
mod wire;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use tracing::{info, warn};

use command_line::{SECTIONS, Task};
use configuration::{Configuration, ConfigurationError, command, commented_defaults, effective};
use confinement::{confine_calls, confine_ports, confine_reach};
use logging::Logging;
use memory::MemoryLimit;
use service_manager::passed_listeners;
use signals::Reloader;

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub use wire::fuzz::wire as fuzz_wire;

pub use driver::{Driver, NoRing, RingSizes};
pub use listener::DeadPeers;
pub use server::{Config, Handle, Server, ServerError, Summary};

/// Runs the server's program with `arguments`, the program's name first.
///
/// The exit status is 0 when everything that was accepted was delivered, 1 when not or when the
/// server cannot run, 2 when the arguments are wrong.
pub fn run<I, T>(arguments: I) -> ExitCode
where
    I: IntoIterator<Item = T>,
    T: Into<OsString>,
{
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    match Configuration::load(&arguments) {
        Ok(configuration) => act(arguments, configuration),
        Err(error) => refuse(&error),
    }
}

/// Does what the command line asks for: mostly, to serve.
fn act(arguments: Vec<OsString>, configuration: Configuration) -> ExitCode {
    let command_line = &configuration.command_line;
    if let Some(task) = &command_line.task {
        let text = match task {
            Task::DefaultConfig => commented_defaults(&command()),
            Task::Describe(describe) => {
                let program = cli::program(&arguments, "server");
                describe.text(command(), &program, SECTIONS)
            }
        };
        return cli::print_or_fail(&text, "error");
    }
    if let Err(error) = configuration.check() {
        return refuse(&error);
    }
    if command_line.print_config || command_line.check_config {
        for variable in &configuration.unknown_variables {
            eprintln!("warning: {UNKNOWN_VARIABLE}: {variable}");
        }
        return match command_line.print_config {
            true => cli::print_or_fail(&effective(&configuration), "error"),
            false => ExitCode::SUCCESS,
        };
    }
    let summary = serve(arguments, configuration);
    if let Err(error) = &summary {
        eprintln!("error: {error}");
    }
    match summary {
        Ok(summary) if summary.undelivered() == 0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// What is wrong with a variable that looks like ours.
const UNKNOWN_VARIABLE: &str = "no option has a variable of this name; it is not looked at";

/// There is no configuration to run with.
fn refuse(error: &ConfigurationError) -> ExitCode {
    if let ConfigurationError::Usage(error) = error {
        return cli::refuse(error, "error", "server");
    }
    eprintln!("error: {error}");
    ExitCode::from(2)
}

/// Serves until a signal says that it is over.
fn serve(arguments: Vec<OsString>, configuration: Configuration) -> Result<Summary, ServerError> {
    let command_line = &configuration.command_line;
    // Read before it is out of reach.
    let memory_limit = MemoryLimit::read();
    if command_line.confine {
        // When that fails, it is said when there is something to tell.
        let _ = service_manager::connect();
        confine_reach()?;
    }
    let logging = Logging::start(command_line.log.clone(), command_line.log_format)?;
    let logging = Arc::new(logging);
    let summary = serve_logging(arguments, configuration, memory_limit.as_ref(), &logging);
    if let Ok(summary) = &summary {
        tell_end(summary);
    }
    logging.finish();
    summary
}

fn serve_logging(
    arguments: Vec<OsString>,
    configuration: Configuration,
    memory_limit: Option<&MemoryLimit>,
    logging: &Arc<Logging>,
) -> Result<Summary, ServerError> {
    for variable in &configuration.unknown_variables {
        warn!(target: "server::config", variable, "{UNKNOWN_VARIABLE}");
    }
    let config = configuration.command_line.config()?;
    if let Some(limit) = memory_limit {
        limit.warn_if_short(
            server::bound_of(config.log_bytes_max),
            config.limits.input_bytes_max,
            config.threads,
        );
    }
    let is_confined = configuration.command_line.confine;
    let server = match &passed_listeners().map_err(ServerError::NoListener)?[..] {
        [] => Server::bind(config.clone())?,
        passed => Server::adopt(config.clone(), passed)?,
    };
    if is_confined {
        confine_ports()?;
        if config.driver == Driver::TokioUring {
            warn!(
                target: "server::confinement",
                "the ring of tokio-uring is not confined; choose --driver uring or epoll"
            );
        }
    }
    let reloader = Reloader {
        arguments,
        settings: configuration.settings,
        server: server.handle(),
    };
    signals::hear(server.handle(), reloader, Arc::clone(logging))?;
    service_manager::feed_watchdog(server.handle())?;
    if let Some(address) = server.metrics_address() {
        logging.say(&format!("metrics on http://{address}/metrics"));
    }
    let descriptors = match server.descriptors() {
        Some(limit) => limit.to_string(),
        None => "an unknown number of".into(),
    };
    let listeners = server.listeners();
    server.run_and_tell(|address| {
        if is_confined {
            confine_calls(config.driver, &listeners)?;
        }
        let threads = match config.threads {
            1 => "1 thread".into(),
            threads => format!("{threads} threads"),
        };
        let driver = config.driver;
        let status = format!(
            "listening on {address} (driver {driver}, {threads}, {descriptors} descriptors)"
        );
        logging.say(&status);
        service_manager::tell_ready(&status);
        Ok(())
    })
}

fn tell_end(summary: &Summary) {
    let counters = &summary.counters;
    info!(
        target: "server",
        connections = counters.accepted,
        messages = counters.messages,
        deliveries = counters.delivered,
        discarded = counters.discarded.total(),
        "ended"
    );
    let undelivered = summary.undelivered();
    if undelivered > 0 {
        warn!(target: "server", undelivered, "ended before everything was delivered");
    }
}
