//! The listening socket.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Longest queue of connections that wait to be accepted; the kernel cuts it to
/// `net.core.somaxconn`.
const BACKLOG: i32 = 65_535;

/// A non-blocking listener on `address`; several share its port when `shared`.
///
/// # Errors
/// What the kernel says: the address is in use, or is not one of this machine's.
pub(crate) fn listen(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Listeners for `threads` threads, all on the same port (also when `address` says port 0).
///
/// # Errors
/// As [`listen`].
pub(crate) fn listen_for(address: SocketAddr, threads: usize) -> io::Result<Vec<TcpListener>> {
    let shared = threads > 1;
    let mut listeners = vec![listen(address, shared)?];
    let address = listeners[0].local_addr()?;
    while listeners.len() < threads {
        listeners.push(listen(address, shared)?);
    }
    Ok(listeners)
}
