//! One connection to the server: a non-blocking socket, and what of the stream is unfinished.
//!
//! Ends in order: first everything is written, then the server is told that no more will come
//! ([`Connection::finish`]), then what it still sends is read until it closes too. Closing with
//! unread bytes would reset the connection, and a reset may destroy what the server has not read.

use std::io::{self, Read as _};
use std::net::{Shutdown, TcpStream, ToSocketAddrs as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use protocol::HeaderError;
use socket2::{SockRef, TcpKeepalive};
use thiserror::Error;

use crate::incoming::{Incoming, Received};
use crate::outgoing::Outgoing;

/// How long one address may take to answer.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection on which nothing comes is probed after so long, so that a vanished host is noticed.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);
const KEEPALIVE_TRIES: u32 = 4;
/// One turn reads at most so often, so that a flood does not keep lines from being sent.
const READS_PER_TURN_MAX: usize = 16;

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum DialError {
    /// The name of the host is not known.
    #[error("cannot find {address}: {error}; check --addr")]
    Resolve {
        /// What was looked for.
        address: String,
        /// What the resolver said.
        error: io::Error,
    },
    /// Nobody answers there.
    #[error("cannot connect to {address}: {error}; is the server running there? (--addr)")]
    Connect {
        /// Where nobody answers.
        address: String,
        /// What the kernel said of the last address tried.
        error: io::Error,
    },
}

/// How a connection ended.
#[derive(Debug, Error)]
pub enum Lost {
    /// The server closed it, between two messages.
    #[error("the server closed the connection")]
    Closed,
    /// The server closed it within a message, which is lost.
    #[error("the server closed the connection in the middle of a message")]
    Cut,
    /// What comes is not the protocol.
    #[error("what answers does not speak the chat protocol: {0}; check --addr")]
    Garbage(#[from] HeaderError),
    /// The kernel reports a failure.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Connects to `address` (`HOST:PORT`), trying all that it resolves to. Blocks.
///
/// # Errors
/// When nothing could be connected to.
pub fn dial(address: &str) -> Result<TcpStream, DialError> {
    let resolved = address
        .to_socket_addrs()
        .map_err(|error| DialError::Resolve {
            address: address.to_owned(),
            error,
        })?;
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for candidate in resolved {
        match TcpStream::connect_timeout(&candidate, DIAL_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(DialError::Connect {
        address: address.to_owned(),
        error: last,
    })
}

/// A connection that stands.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    incoming: Incoming,
}

impl Connection {
    /// Takes over a fresh `stream`; shows frames of up to `payload_bytes_max` bytes.
    ///
    /// # Errors
    /// When the socket refuses its options.
    pub fn new(stream: TcpStream, payload_bytes_max: usize) -> io::Result<Self> {
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
            incoming: Incoming::new(payload_bytes_max),
        })
    }

    /// Hands what has come to `sink`, using `buffer` to read into. Returns when nothing more is
    /// there, or after a fair share.
    ///
    /// # Errors
    /// When the connection has ended, one way or the other.
    pub fn receive(
        &mut self,
        buffer: &mut [u8],
        sink: &mut dyn FnMut(Received<'_>),
    ) -> Result<(), Lost> {
        for _ in 0..READS_PER_TURN_MAX {
            match self.stream.read(buffer) {
                Ok(0) if self.incoming.is_mid_message() => return Err(Lost::Cut),
                Ok(0) => return Err(Lost::Closed),
                Ok(bytes) => {
                    self.incoming.take(&buffer[..bytes], sink)?;
                    if bytes < buffer.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Writes as much of `outgoing` as the kernel takes; returns how many messages are complete.
    ///
    /// # Errors
    /// When the connection has broken.
    pub fn transmit(&mut self, outgoing: &mut Outgoing) -> Result<usize, Lost> {
        Ok(outgoing.write_to(&mut self.stream)?)
    }

    /// Tells the server that nothing more will come.
    pub fn finish(&self) {
        // A socket that cannot be shut down is gone already, and reading will say so.
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
