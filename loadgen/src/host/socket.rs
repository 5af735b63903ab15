//! Sockets of clients: connecting without waiting, and finding out whether that has been done.

use std::io;
use std::net::SocketAddr;

use mio::net::TcpStream;
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

/// A socket that is to connect to `target`.
///
/// # Errors
/// When the system has none left.
pub(crate) fn for_target(target: SocketAddr) -> io::Result<Socket> {
    let kind = Type::STREAM.nonblocking();
    Socket::new(Domain::for_address(target), kind, Some(Protocol::TCP))
}

/// Begins to connect, which is done when the socket becomes writable and [`is_connected`].
///
/// # Errors
/// Whatever the system says, except that the connection is under way.
pub(crate) fn begin_connect(socket: Socket, target: SocketAddr) -> io::Result<TcpStream> {
    match socket.connect(&target.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => Err(error),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

/// Whether the connection stands.
///
/// # Errors
/// Why it could not be made.
pub(crate) fn is_connected(socket: &TcpStream) -> io::Result<bool> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    match socket.peer_addr() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}
