//! A TCP broadcast server for Linux: one message in, one copy out to every other client.
//!
//! What a message costs is one append to a [log](hub::Log); what a subscriber costs is one cursor;
//! what a send carries is everything its receiver is owed. [`hub`] decides, without a socket or a
//! clock; a [`Driver`] moves the bytes; [`Server`] puts them together; [`run`] is the program.

mod command_line;
mod configuration;
mod control;
mod descriptors;
mod driver;
pub mod hub;
mod listener;
mod metrics;
mod pin;
mod server;
mod subcommands;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing::{info, warn};

use command_line::CommandLine;
use configuration::{Configuration, ConfigurationError, effective};

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
        Ok(configuration) => act(&configuration),
        Err(error) => refuse(&error),
    }
}

/// Does what the command line asks for: mostly, to serve.
fn act(configuration: &Configuration) -> ExitCode {
    let command_line = &configuration.command_line;
    if let Some(task) = &command_line.task {
        return task.carry_out();
    }
    if let Err(error) = command_line.check() {
        return refuse(&configuration.wrong(&["log-bytes", "max-message-bytes"], &error));
    }
    if command_line.print_config {
        // A reader that has gone away has read enough.
        let _ = io::stdout().write_all(effective(configuration).as_bytes());
    }
    if command_line.print_config || command_line.check_config {
        return ExitCode::SUCCESS;
    }
    match serve(configuration) {
        Ok(summary) => report(&summary),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// There is no configuration to run with.
fn refuse(error: &ConfigurationError) -> ExitCode {
    if let ConfigurationError::Usage(error) = error {
        let _ = error.print();
        return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
    }
    eprintln!("error: {error}");
    ExitCode::from(2)
}

fn serve(configuration: &Configuration) -> Result<Summary, ServerError> {
    let command_line: &CommandLine = &configuration.command_line;
    tracing_subscriber::fmt()
        .with_env_filter(command_line.log.clone())
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    for variable in &configuration.unknown_variables {
        warn!(variable, "the environment names no option by this");
    }
    let config = command_line.config()?;
    let server = Server::bind(config.clone())?;
    end_on_signals(server.handle())?;
    if let Some(address) = server.metrics_address() {
        eprintln!("metrics on http://{address}/metrics");
    }
    let descriptors = server.descriptors();
    server.run_and_tell(|address| {
        eprintln!(
            "listening on {address} (driver {}, {} {}, {descriptors} descriptors)",
            config.driver,
            config.threads,
            if config.threads == 1 {
                "thread"
            } else {
                "threads"
            },
        );
    })
}

/// The first signal drains, the second ends at once.
fn end_on_signals(handle: Handle) -> Result<(), ServerError> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let hear = move || {
        let mut heard = signals.forever();
        if heard.next().is_some() {
            info!("draining; a second signal ends at once");
            handle.drain();
        }
        if heard.next().is_some() {
            handle.stop();
        }
    };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(hear)?;
    Ok(())
}

fn report(summary: &Summary) -> ExitCode {
    let counters = &summary.counters;
    info!(
        connections = counters.accepted,
        messages = counters.messages,
        deliveries = counters.delivered,
        discarded = counters.discarded.total(),
        "ended"
    );
    match summary.undelivered() {
        0 => ExitCode::SUCCESS,
        undelivered => {
            warn!(undelivered, "ended before everything was delivered");
            ExitCode::FAILURE
        }
    }
}
