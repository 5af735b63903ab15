//! One client: a socket, what it has yet to send, and how far it has read.

use std::io;
use std::io::Read;

use mio::net::TcpStream;

use crate::clock::Clock;
use crate::inbox::{Identity, Inbox};
use crate::outbox::{Item, Outbox};
use crate::wire::Protocol;

/// A client that is connected, or about to be.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) inbox: Inbox,
    pub(crate) outbox: Outbox,
    socket: TcpStream,
    client: u32,
    /// Whether the connection is known to stand.
    connected: bool,
}

impl Connection {
    /// A client whose connection is under way; it makes itself known first.
    pub(crate) fn new(client: u32, socket: TcpStream, protocol: Protocol) -> Self {
        let mut outbox = Outbox::default();
        outbox.push(Item::Name);
        Self {
            inbox: Inbox::new(protocol),
            outbox,
            socket,
            client,
            connected: false,
        }
    }

    /// Whether the connection stands.
    ///
    /// # Errors
    /// Why it could not be made.
    pub(crate) fn check_connected(&mut self) -> io::Result<bool> {
        if self.connected {
            return Ok(true);
        }
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        match self.socket.peer_addr() {
            Ok(_) => self.connected = true,
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
            Err(error) => return Err(error),
        }
        Ok(self.connected)
    }

    /// Whether the kernel has taken the client's name.
    pub(crate) fn is_named(&self) -> bool {
        !self.outbox.holds_name()
    }

    /// Reads once; `None` when there is nothing to read now. Hot: once per segment.
    ///
    /// # Errors
    /// Whatever the socket says, except that it is empty.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match self.socket.read(buffer) {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends what the socket takes; `sent` is told of each item that it took whole, and when.
    ///
    /// # Errors
    /// Whatever the socket says, except that it is full.
    pub(crate) fn flush(
        &mut self,
        identity: &Identity,
        clock: Clock,
        mut sent: impl FnMut(Item, u64),
    ) -> io::Result<()> {
        let client = self.client;
        self.outbox.flush(
            &mut self.socket,
            |item| identity.frame_of(item, client, clock.now_ns()),
            |item| sent(item, clock.now_ns()),
        )
    }
}
