//! What signals do: the first SIGTERM or SIGINT drains the server, the second ends it at once, SIGHUP
//! reads the configuration again.

use std::io;
use std::sync::Arc;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing::info;

use crate::logging::Logging;
use crate::reload::Reloader;
use crate::server::Handle;
use crate::service_manager;

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
                _ if drains => server.stop(),
                _ => {
                    info!(target: "server", "draining; a second signal ends at once");
                    drains = true;
                    service_manager::tell_stopping();
                    server.drain();
                }
            }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(hear)?;
    Ok(())
}
