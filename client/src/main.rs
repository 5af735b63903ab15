//! The `client` command: a person at a terminal, or a pipe, on one connection to the server.
//!
//! One thread runs the [`session`]: it alone owns the connection, and waits for it and for the
//! [`inbox`] at once. Helper threads only bring things to the inbox: the line [`editor`] or standard
//! input, the dialler, the signals. What is shown goes through an [`output::Output`]: the [`pipe`], or
//! the [`interactive`] one, whose bounded [`screen`] queue keeps a slow terminal off the socket.

#![forbid(unsafe_code)]

mod colours;
mod command_line;
mod commands;
mod connection;
mod display;
mod editor;
mod history;
mod inbox;
mod incoming;
mod interactive;
mod json;
mod outgoing;
mod output;
mod pipe;
mod roster;
mod screen;
mod session;
mod stats;
mod terminal;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use command_line::{Settings, Stop, login_name};
use inbox::Inbox;
use session::{Outcome, Session};

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let ended = Settings::parse_words(&words).and_then(|settings| run(&settings));
    match ended {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::from(1),
        Ok(Outcome::Interrupted) => ExitCode::from(130),
        Err(Stop::Answer(text)) => cli::print_or_fail(&text, "client"),
        Err(Stop::Unable(text)) => fail(&text, 1),
        Err(Stop::Usage(text)) => fail(&text, 2),
    }
}

fn run(settings: &Settings) -> Result<Outcome, Stop> {
    let unable = |error: io::Error| Stop::Unable(format!("cannot start: {error}"));
    let (inbox, sender) = Inbox::new().map_err(unable)?;
    sender.clone().forward_signals().map_err(unable)?;
    if settings.interactive {
        return interactive::run(settings, inbox, sender).map_err(unable);
    }
    let name = settings.name.clone().map_or_else(login_name, Ok)?;
    if settings.sends() {
        pipe::read_stdin(settings, sender.clone());
    }
    let pipe = pipe::Pipe::new(settings);
    Ok(Session::new(settings, name, inbox, sender, pipe).run().0)
}

fn fail(problem: &str, status: u8) -> ExitCode {
    // There is nowhere else to say it.
    let _ = writeln!(io::stderr(), "client: {problem}");
    ExitCode::from(status)
}
