//! The `client` command: a person at a terminal, or a pipe, on one connection to the server.
//!
//! One thread runs the [`session`]: it alone owns the connection, and waits for it and for the
//! [`inbox`] at once. Helper threads only bring things to the inbox: the line [`editor`] or standard
//! input, the dialler, the signals. What is shown goes through an [`output::Output`]: the [`pipe`], or
//! the [`interactive`] one, whose bounded [`screen`] queue keeps a slow terminal off the socket.

#![forbid(unsafe_code)]

mod address;
mod command_line;
mod connection;
mod display;
mod editor;
mod history;
mod inbox;
mod interactive;
mod output;
mod pipe;
mod screen;
mod session;
mod status;
mod terminal;
mod wire;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use command_line::{Settings, login_name};
use inbox::Inbox;
use session::{Outcome, Session};

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    match Settings::parse(&words).and_then(|settings| run(&settings)) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        Ok(Outcome::Interrupted) => ExitCode::from(130),
        Err(answered) => answered,
    }
}

fn run(settings: &Settings) -> Result<Outcome, ExitCode> {
    let unable = |error: io::Error| fail(&format!("cannot start: {error}"), 1);
    let (inbox, sender) = Inbox::new().map_err(unable)?;
    sender.clone().forward_signals().map_err(unable)?;
    if settings.interactive {
        return interactive::run(settings, inbox, sender).map_err(unable);
    }
    let name = settings.name.clone().or_else(login_name);
    let name = name.ok_or_else(|| fail("no name to chat under: give one with --name", 2))?;
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
