//! One connection to the server: a non-blocking socket below, a protocol above it, and bytes between them.
//!
//! It ends in this order: everything is written, the server is told that no more comes
//! ([`Connection::finish`]), and what it still sends is read until it closes, too ([`Lost::Left`]). Closing
//! with unread bytes would reset the connection, and a reset may destroy what the server has not read.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{SockRef, TcpKeepalive};
use thiserror::Error;

use crate::address::Address;
use crate::display::{self, Tabs};
use crate::wire::frames::Frames;
use crate::wire::websocket::WebSocket;
use crate::wire::{Join, Malformed, Outgoing, Received, Wire};

/// How long one address may take to answer,
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// and how much later than that we notice unless the process or the machine stood still.
const LATE_MAX: Duration = Duration::from_secs(1);
/// A connection on which nothing comes is probed after so long, so that a vanished host is noticed.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);
const KEEPALIVE_TRIES: u32 = 4;
/// One turn reads at most so often, so that a flood does not keep lines from being sent.
const READS_PER_TURN_MAX: usize = 16;

/// Why there is no connection, and what to do.
#[derive(Debug, Error)]
pub(crate) enum DialError {
    #[error("cannot find {0}: {1}; check --addr")]
    Resolve(String, io::Error),
    /// What the kernel said of the last address tried.
    #[error("cannot connect to {0}: {1}; is the server running there? (--addr)")]
    Connect(String, io::Error),
    /// What answers does not let us in as a WebSocket.
    #[error("cannot join {0}: {1}")]
    Handshake(String, String),
}

/// How a connection ended.
#[derive(Debug, Error)]
pub(crate) enum Lost {
    /// The server closed it in order, after it was told that no more comes.
    #[error("the server took leave")]
    Left,
    /// The server closed it of its own accord, between two messages.
    #[error("the server closed the connection")]
    Closed,
    /// The server closed it within a message, which is lost.
    #[error("the server closed the connection in the middle of a message")]
    Cut,
    /// What comes is not the protocol.
    #[error("what answers does not speak the chat protocol: {0}; check --addr")]
    Garbage(#[from] Malformed),
    /// The kernel reports a failure.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Connects to `address`, trying all that it resolves to, and joins. Blocks.
pub(crate) fn dial(address: &Address, join: &Join) -> Result<Connection, DialError> {
    let resolved = address.host_and_port().to_socket_addrs();
    let resolved = resolved.map_err(|error| DialError::Resolve(address.to_string(), error))?;
    let unable = |error| DialError::Connect(address.to_string(), error);
    let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
    for candidate in resolved {
        match dial_one(&candidate) {
            Ok(mut stream) => {
                let wire = join_on(&mut stream, address, join)?;
                return Connection::new(stream, wire).map_err(unable);
            }
            Err(error) => last = error,
        }
    }
    Err(unable(last))
}

/// The protocol of `address` on a fresh `stream`.
fn join_on(
    stream: &mut TcpStream,
    address: &Address,
    join: &Join,
) -> Result<Box<dyn Wire>, DialError> {
    let Some(url) = address.url() else {
        return Ok(Box::new(Frames::new(join)));
    };
    let limited = stream.set_read_timeout(Some(DIAL_TIMEOUT));
    let joined = limited.map_err(Into::into);
    match joined.and_then(|()| WebSocket::connect(stream, url, join)) {
        Ok(wire) => Ok(Box::new(wire)),
        Err(error) => Err(DialError::Handshake(address.to_string(), refusal(&error))),
    }
}

/// Why a server did not agree to speak WebSocket.
fn refusal(error: &tungstenite::Error) -> String {
    match error {
        tungstenite::Error::Http(response) => {
            let said = response.body().as_deref().unwrap_or_default();
            let said = display::safe(said.trim_ascii(), Tabs::Spaces);
            format!("{}: {}", response.status(), display::clip(said, 200))
        }
        tungstenite::Error::Io(error) if error.kind() == ErrorKind::WouldBlock => {
            format!("no answer in {} s", DIAL_TIMEOUT.as_secs())
        }
        tungstenite::Error::Io(error) => error.to_string(),
        error => format!("what answers does not speak WebSocket: {error}; check --addr"),
    }
}

/// Tries again if the timeout was over while we stood still: it had no chance then.
fn dial_one(address: &SocketAddr) -> io::Result<TcpStream> {
    loop {
        let began = Instant::now();
        match TcpStream::connect_timeout(address, DIAL_TIMEOUT) {
            Err(error)
                if error.kind() == ErrorKind::TimedOut
                    && began.elapsed() > DIAL_TIMEOUT + LATE_MAX => {}
            result => return result,
        }
    }
}

pub(crate) struct Connection {
    stream: TcpStream,
    wire: Box<dyn Wire>,
    /// We have said that no more comes, and the server had not closed before.
    leaving: bool,
}

impl Connection {
    /// Takes over a fresh `stream`, on which `wire` is to be spoken.
    fn new(stream: TcpStream, wire: Box<dyn Wire>) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        SockRef::from(&stream).set_tcp_keepalive(
            &TcpKeepalive::new()
                .with_time(KEEPALIVE_AFTER)
                .with_interval(KEEPALIVE_EVERY)
                .with_retries(KEEPALIVE_TRIES),
        )?;
        Ok(Self {
            stream,
            wire,
            leaving: false,
        })
    }

    /// Adds what has come to `received`, using `buffer` to read into. Returns when nothing more is there, or
    /// after a fair share.
    pub(crate) fn receive(
        &mut self,
        buffer: &mut [u8],
        received: &mut Vec<Received>,
    ) -> Result<(), Lost> {
        for _ in 0..READS_PER_TURN_MAX {
            match self.stream.read(buffer) {
                Ok(0) if self.wire.is_mid_message() => return Err(Lost::Cut),
                Ok(0) if self.leaving => return Err(Lost::Left),
                Ok(0) => return Err(Lost::Closed),
                Ok(bytes) => self.wire.take(&buffer[..bytes], received)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Writes as much of `outgoing` as the kernel takes; returns how many lines are complete.
    pub(crate) fn transmit(&mut self, outgoing: &mut Outgoing) -> io::Result<usize> {
        let mut lines = 0;
        loop {
            let unwritten = self.wire.unwritten(outgoing);
            if unwritten.is_empty() {
                return Ok(lines);
            }
            match self.stream.write(unwritten) {
                Ok(bytes) => lines += self.wire.written(bytes, outgoing),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(lines),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether there is nothing to write, neither of `outgoing` nor our name.
    pub(crate) fn is_written(&self, outgoing: &Outgoing) -> bool {
        self.wire.is_written() && outgoing.is_handed_out()
    }

    /// Tells the server that nothing more comes. If it closes from now on, it has read everything.
    pub(crate) fn finish(&mut self) {
        self.leaving = !self.is_closed_by_server();
        if !self.wire.finish() {
            // A socket that cannot be shut down is gone already, and reading will say so.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }

    /// Whether the server has closed its side, be it that this is not read yet.
    fn is_closed_by_server(&self) -> bool {
        let mut fds = [PollFd::new(&self.stream, PollFlags::RDHUP)];
        poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
