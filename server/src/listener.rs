//! The listening socket, and what the sockets of its connections inherit from it: no delay, bounds on what
//! the kernel holds, and the watch for peers that are gone without a word.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// Longest queue of connections that wait to be accepted; the kernel cuts it to
/// `net.core.somaxconn`.
const BACKLOG: i32 = 65_535;

/// What the kernel takes of a send that it cannot send yet (TCP_NOTSENT_LOWAT, see tcp(7)). What a peer
/// is behind by lies in the log, once for all, and not in a copy for each.
const UNSENT_BYTES: u32 = 64 * 1024;

/// What the kernel holds of what a peer sent and we have not read (SO_RCVBUF, see socket(7); the kernel
/// doubles it, for what it needs itself). Without it a client whose reading pauses may fill 6 MiB.
const RECEIVE_BYTES: usize = 128 * 1024;

/// How long an address that is in use is tried again: the kernel takes a moment to free that of a process
/// that was killed.
const BIND_PATIENCE: Duration = Duration::from_secs(1);
const BIND_PAUSE: Duration = Duration::from_millis(10);

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

/// Listeners for `threads` threads, all on the same port (also when `address` says port 0).
///
/// # Errors
/// What the kernel says: the address is in use, also by another server whose threads share it, or is not
/// one of this machine's.
pub(crate) fn listen_for(
    address: SocketAddr,
    threads: usize,
    dead_peers: DeadPeers,
) -> io::Result<Vec<TcpListener>> {
    let shared = threads > 1;
    // Bound alone at first: a shared port would let a second server in, which nobody would notice.
    let alone = bind_patiently(address)?;
    let address = alone.local_addr()?.as_socket().unwrap_or(address);
    if !shared {
        return Ok(vec![listen(alone, dead_peers)?]);
    }
    drop(alone);
    let one = |_| listen(bind(address, true)?, dead_peers);
    (0..threads).map(one).collect()
}

/// A socket on `address` that nobody else has, as soon as nobody does.
fn bind_patiently(address: SocketAddr) -> io::Result<Socket> {
    let give_up = Instant::now() + BIND_PATIENCE;
    loop {
        match bind(address, false) {
            Err(error)
                if Errno::from_io_error(&error) == Some(Errno::ADDRINUSE)
                    && Instant::now() < give_up =>
            {
                thread::sleep(BIND_PAUSE);
            }
            bound => return bound,
        }
    }
}

/// A socket on `address`, which several may have when it is `shared`.
fn bind(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Begins to listen, without blocking.
fn listen(socket: Socket, dead_peers: DeadPeers) -> io::Result<TcpListener> {
    prepare(&socket, dead_peers)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// What the connections of a listener inherit.
fn prepare(socket: &Socket, dead_peers: DeadPeers) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
    socket.set_recv_buffer_size(RECEIVE_BYTES)?;
    dead_peers.watch_on(socket)
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
        prepare(&SockRef::from(listener), dead_peers)?;
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
        let listener = listen_for(address, 1, dead_peers).unwrap().remove(0);
        let _peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let accepted = SockRef::from(&accepted);
        assert!(accepted.tcp_nodelay().unwrap() && accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_notsent_lowat().unwrap(), UNSENT_BYTES);
        assert_eq!(accepted.recv_buffer_size().unwrap(), 2 * RECEIVE_BYTES);
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

    #[test]
    fn a_port_that_another_server_listens_on_is_refused_however_many_threads_share_it() {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let there = listen_for(anywhere, 2, DeadPeers::default()).unwrap();
        let address = there[0].local_addr().unwrap();
        assert_eq!(there[1].local_addr().unwrap(), address);
        for threads in [1, 2] {
            let error = listen_for(address, threads, DeadPeers::default()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        }
        // It is taken as soon as it is free.
        let waits = thread::spawn(move || listen_for(address, 2, DeadPeers::default()));
        drop(there);
        waits.join().unwrap().unwrap();
    }
}
