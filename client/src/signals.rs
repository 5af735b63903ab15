//! Signals that ask the client to leave, brought to the session as events.

use std::io;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::inbox::{Event, Sender};

/// From now on SIGTERM, SIGHUP and SIGINT become events of `sender`.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn forward(sender: Sender) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT])?;
    thread::spawn(move || {
        for signal in signals.forever() {
            sender.event(Event::Signal(signal));
        }
    });
    Ok(())
}
