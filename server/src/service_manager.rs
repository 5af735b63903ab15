//! What the server tells a service manager, and takes from it: systemd, or any other that speaks
//! sd_notify(3) and sd_listen_fds(3). Without one, nothing of this happens.
//!
//! The watchdog is fed only while every serving thread answers: one that hangs has the service
//! restarted.

use std::env;
use std::io;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::OnceLock;
use std::thread;

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;
use sd_notify::NotifyState;
use tracing::warn;

use crate::server::Handle;
use crate::threads::spawn;

/// The listening sockets that were passed; none when the server is to open its own.
///
/// # Errors
/// When what was passed is no TCP listener.
pub(crate) fn passed_listeners() -> io::Result<Vec<TcpListener>> {
    let mut passed = ListenFd::from_env();
    let mut listeners = Vec::new();
    for index in 0..passed.len() {
        if let Some(listener) = passed.take_tcp_listener(index)? {
            if !socket_acceptconn(&listener)? {
                const WHY: &str =
                    "it does not listen; a socket unit passes one that does with Accept=no";
                return Err(io::Error::other(WHY));
            }
            listeners.push(listener);
        }
    }
    Ok(listeners)
}

/// The service manager, once connected to.
static MANAGER: OnceLock<UnixDatagram> = OnceLock::new();

/// Connects to the service manager, if there is one. A confined process can no longer do so: it calls
/// this before.
///
/// # Errors
/// When nobody listens where `NOTIFY_SOCKET` says.
pub(crate) fn connect() -> io::Result<()> {
    let Some(name) = env::var_os("NOTIFY_SOCKET").filter(|_| MANAGER.get().is_none()) else {
        return Ok(());
    };
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(&name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    MANAGER.get_or_init(|| socket);
    Ok(())
}

/// The server serves; `status` is for people.
pub(crate) fn tell_ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The server drains.
pub(crate) fn tell_stopping() {
    const STATUS: &str = "draining: everyone is sent what it is owed";
    tell(&[NotifyState::Stopping, NotifyState::Status(STATUS)]);
}

/// The configuration is about to be read again; [`tell_reloaded`] has to follow.
pub(crate) fn tell_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => {
            warn!(target: "server::systemd", %error, "cannot tell the service manager about a reload");
        }
    }
}

/// The configuration was read again, with or without success.
pub(crate) fn tell_reloaded() {
    tell(&[NotifyState::Ready]);
}

/// Feeds the watchdog as long as the server is alive, if the service manager wants that.
///
/// # Errors
/// When the kernel gives no thread.
pub(crate) fn feed_watchdog(server: Handle) -> io::Result<()> {
    let Some(period) = sd_notify::watchdog_enabled() else {
        return Ok(());
    };
    let feed = move || {
        loop {
            if server.is_alive(period / 4) {
                tell(&[NotifyState::Watchdog]);
            } else {
                warn!(target: "server::systemd", "a serving thread does not answer; the watchdog is not fed");
            }
            thread::sleep(period / 4);
        }
    };
    spawn("watchdog", feed)?;
    Ok(())
}

fn tell(state: &[NotifyState<'_>]) {
    let told = connect().and_then(|()| match MANAGER.get() {
        Some(manager) => {
            let lines: String = state.iter().map(|state| format!("{state}\n")).collect();
            manager.send(lines.as_bytes()).map(drop)
        }
        None => Ok(()),
    });
    if let Err(error) = told {
        warn!(target: "server::systemd", %error, "cannot tell the service manager (NOTIFY_SOCKET)");
    }
}
