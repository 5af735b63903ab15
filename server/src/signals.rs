//! What signals do: the first SIGTERM or SIGINT drains the server, the second ends it at once, whatever its
//! threads do, SIGHUP reads the configuration again.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing::info;

use crate::logging::Logging;
use crate::reload::Reloader;
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
