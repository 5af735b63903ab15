//! The listening socket, and what the sockets of its connections inherit from it: no delay, and the
//! watch for peers that are gone without a word.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// Longest queue of connections that wait to be accepted; the kernel cuts it to
/// `net.core.somaxconn`.
const BACKLOG: i32 = 65_535;

/// When the kernel gives up a peer that does not answer; connections inherit it from their listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadPeers {
    /// How long a connection may be silent before the kernel asks whether its peer is still there
    /// (TCP keepalive); whole seconds up to 32,767, 0 is never. Three questions without an answer, a quarter of
    /// this time apart, end it.
    pub keepalive: Duration,
    /// How long what was sent may stay unacknowledged (TCP_USER_TIMEOUT, see tcp(7)); whole
    /// milliseconds, 0 is as long as the kernel tries (some 15 minutes).
    pub user_timeout: Duration,
}

impl Default for DeadPeers {
    fn default() -> Self {
        Self {
            keepalive: Duration::from_secs(60),
            user_timeout: Duration::from_secs(60),
        }
    }
}

const KEEPALIVE_PROBES: u32 = 3;

/// A non-blocking listener on `address`; several share its port when `shared`.
///
/// # Errors
/// What the kernel says: the address is in use, or is not one of this machine's.
pub(crate) fn listen(
    address: SocketAddr,
    shared: bool,
    dead_peers: DeadPeers,
) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    dead_peers.watch_on(&socket)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Listeners for `threads` threads, all on the same port (also when `address` says port 0).
///
/// # Errors
/// As [`listen`].
pub(crate) fn listen_for(
    address: SocketAddr,
    threads: usize,
    dead_peers: DeadPeers,
) -> io::Result<Vec<TcpListener>> {
    let shared = threads > 1;
    let mut listeners = vec![listen(address, shared, dead_peers)?];
    let address = listeners[0].local_addr()?;
    while listeners.len() < threads {
        listeners.push(listen(address, shared, dead_peers)?);
    }
    Ok(listeners)
}

/// A listener for each of `threads` threads over sockets that listen already, in turn.
///
/// # Errors
/// When they are no TCP sockets, or the kernel has no descriptor left.
pub(crate) fn adopt(
    passed: &[TcpListener],
    threads: usize,
    dead_peers: DeadPeers,
) -> io::Result<Vec<TcpListener>> {
    for listener in passed {
        let socket = SockRef::from(listener);
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        dead_peers.watch_on(&socket)?;
    }
    let in_turn = passed.iter().cycle();
    in_turn.take(threads).map(TcpListener::try_clone).collect()
}

impl DeadPeers {
    fn watch_on(self, socket: &Socket) -> io::Result<()> {
        if !self.keepalive.is_zero() {
            let second = Duration::from_secs(1);
            let keepalive = TcpKeepalive::new()
                .with_time(self.keepalive.max(second))
                .with_interval((self.keepalive / 4).max(second))
                .with_retries(KEEPALIVE_PROBES);
            socket.set_tcp_keepalive(&keepalive)?;
        }
        if !self.user_timeout.is_zero() {
            socket.set_tcp_user_timeout(Some(self.user_timeout))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn connections_inherit_what_the_listener_was_told() {
        let dead_peers = DeadPeers {
            keepalive: Duration::from_secs(20),
            user_timeout: Duration::from_secs(7),
        };
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = listen(address, false, dead_peers).unwrap();
        let _peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let accepted = SockRef::from(&accepted);
        assert!(accepted.tcp_nodelay().unwrap() && accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_keepalive_time().unwrap(), dead_peers.keepalive);
        assert_eq!(
            accepted.tcp_keepalive_interval().unwrap(),
            Duration::from_secs(5)
        );
        assert_eq!(accepted.tcp_keepalive_retries().unwrap(), KEEPALIVE_PROBES);
        assert_eq!(
            accepted.tcp_user_timeout().unwrap(),
            Some(dead_peers.user_timeout)
        );
    }
}
