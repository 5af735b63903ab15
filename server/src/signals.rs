//! What signals do: the first SIGTERM or SIGINT drains the server, the second ends it at once, whatever its
//! threads do, SIGHUP reads the configuration again and changes what a running server can change.
//!
//! Every option that differs is told in a line of its own: from what to what, or that it needs a
//! restart. A configuration that is wrong changes nothing.

use std::ffi::OsString;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing::{error, info, warn};

use crate::configuration::{Configuration, Setting, command_line_of};
use crate::logging::Logging;
use crate::server::Handle;
use crate::service_manager;
use crate::threads::spawn;

/// How long threads may take to end at once.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Hears signals from now on, on a thread of its own.
///
/// # Errors
/// When the kernel refuses the handlers or the thread.
pub(crate) fn hear(
    server: Handle,
    mut reloader: Reloader,
    logging: Arc<Logging>,
) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let hear = move || {
        let mut drains = false;
        for signal in signals.forever() {
            match signal {
                SIGHUP => {
                    service_manager::tell_reloading();
                    reloader.reload(&logging);
                    service_manager::tell_reloaded();
                }
                _ if drains => {
                    server.stop();
                    // The process is gone by then, unless the kernel lets a thread hang.
                    thread::sleep(STOP_TIMEOUT);
                    logging.say("error: a thread does not end; everything is given up");
                    logging.finish();
                    std::process::exit(1);
                }
                _ => {
                    info!(target: "server", "draining; a second signal ends at once");
                    drains = true;
                    service_manager::tell_stopping();
                    server.drain();
                }
            }
        }
    };
    spawn("signals", hear)?;
    Ok(())
}

/// What a running server was configured with, and how to change it.
#[derive(Debug)]
pub(crate) struct Reloader {
    /// The command line, which names the file.
    pub(crate) arguments: Vec<OsString>,
    /// What is in force.
    pub(crate) settings: Vec<Setting>,
    /// The server.
    pub(crate) server: Handle,
}

impl Reloader {
    /// Reads the configuration again.
    fn reload(&mut self, logging: &Logging) {
        if let Err(problem) = self.try_reload(logging) {
            error!(target: "server::config", "the configuration stays as it was: {problem}");
        }
    }

    fn try_reload(&mut self, logging: &Logging) -> Result<(), Box<dyn std::error::Error>> {
        let new = Configuration::load(&self.arguments)?;
        // Also what only a restart changes: it should find a server that starts.
        new.check()?;
        let changed: Vec<(Setting, Setting)> = self
            .settings
            .iter()
            .cloned()
            .zip(new.settings)
            .filter(|(old, new)| old.values != new.values)
            .collect();
        let merged: Vec<Setting> = self
            .settings
            .iter()
            .map(|old| {
                let mut changed = changed.iter().map(|(_, new)| new);
                let new = changed.find(|new| new.option == old.option && new.reloadable);
                new.unwrap_or(old).clone()
            })
            .collect();
        let command_line = command_line_of(&merged)?;
        if !self.server.set_limits(&command_line.limits())? {
            warn!(target: "server::config", "a serving thread is stuck: it takes the new limits once it answers again");
        }
        logging.set_filter(command_line.log.clone());
        self.settings = merged;
        for (old, new) in &changed {
            tell(old, new);
        }
        info!(target: "server::config", changed = changed.len(), "the configuration was read again");
        Ok(())
    }
}

fn tell(old: &Setting, new: &Setting) {
    let Setting {
        option,
        origin,
        reloadable,
        ..
    } = new;
    let (from, to) = (old.text(), new.text());
    if *reloadable {
        info!(target: "server::config", option, from, to, %origin, "changed");
    } else {
        warn!(target: "server::config", option, from, to, %origin, "cannot be changed while the server runs: restart it");
    }
}
