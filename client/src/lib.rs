//! The chat client: a person at a terminal, or a pipe, on one connection to the server.
//!
//! One thread runs the [`session`]: it alone owns the connection, and waits for it and for the
//! [`inbox`] at once. Helper threads only bring things to the inbox: the line [`editor`] or standard
//! input, the dialler, the signals. What is shown goes through a [`face::Face`]: the [`pipe`], or
//! the [`interactive`] one, whose bounded [`screen`] queue keeps a slow terminal off the socket.

#![forbid(unsafe_code)]

pub mod backoff;
pub mod clock;
pub mod colours;
pub mod command_line;
pub mod commands;
pub mod company;
pub mod connection;
pub mod display;
pub mod editor;
pub mod face;
pub mod history;
pub mod inbox;
pub mod incoming;
pub mod interactive;
pub mod json;
pub mod outgoing;
pub mod pipe;
pub mod screen;
pub mod session;
pub mod signals;
pub mod stats;
pub mod terminal;

use std::io;

use command_line::{Settings, Stop, login_name};
use inbox::Inbox;
use session::{Outcome, Session};

/// Runs the client as `settings` ask.
///
/// # Errors
/// When no session could be begun, in one line that says what to do.
pub fn run(settings: &Settings) -> Result<Outcome, Stop> {
    let unable = |error: io::Error| Stop::Unable(format!("cannot start: {error}"));
    let (inbox, sender) = Inbox::new().map_err(unable)?;
    signals::forward(sender.clone()).map_err(unable)?;
    if settings.interactive {
        return interactive::run(settings, inbox, sender).map_err(unable);
    }
    let name = settings.name.clone().map_or_else(login_name, Ok)?;
    if settings.send {
        pipe::read_stdin(settings, sender.clone());
    }
    let pipe = pipe::Pipe::new(settings);
    Ok(Session::new(settings, name, inbox, sender, pipe).run().0)
}
