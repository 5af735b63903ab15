//! A TCP broadcast server for Linux: one message in, one copy out to every other client.
//!
//! What a message costs is one append to a [log](hub::Log); what a subscriber costs is one cursor;
//! what a send carries is everything its receiver is owed. [`hub`] decides, without a socket or a
//! clock; a [`Driver`] moves the bytes; [`Server`] puts them together; [`run`] is the program.

mod command_line;
mod control;
mod descriptors;
mod driver;
pub mod hub;
mod listener;
mod metrics;
mod pin;
mod server;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing::{info, warn};

use command_line::CommandLine;

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
    T: Into<OsString> + Clone,
{
    let command_line = match CommandLine::try_parse_from(arguments) {
        Ok(command_line) => command_line,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match serve(&command_line) {
        Ok(summary) => report(&summary),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(command_line: &CommandLine) -> Result<Summary, ServerError> {
    tracing_subscriber::fmt()
        .with_env_filter(command_line.log.clone())
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
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
