//! One client: a socket, what it has yet to send, and what a read has partial.
//!
//! A client that is read is one of thousands, and what is known of it is rarely still in the cache. So
//! it is kept in a single line of it: between messages there is nothing of the stream to be kept, and
//! what a partial message leaves is elsewhere.

use std::io::{self, Read};

use mio::net::TcpStream;

use crate::host::clock::Clock;
use crate::host::socket;
use crate::wire::codec::Undecodable;
use crate::wire::identity::{Arrival, Identity};
use crate::wire::inbox::Inbox;
use crate::wire::outbox::{Item, Outbox, frame_of};
use crate::wire::recent::Recent;

/// What most processors fetch from memory at once.
const CACHE_LINE_BYTES: usize = 64;

/// A client that is connected, or about to be.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Connection {
    pub(crate) outbox: Outbox,
    /// The stream, while it stands inside a message.
    partial: Option<Box<Inbox>>,
    socket: TcpStream,
    client: u32,
    /// Whether the connection is known to stand.
    connected: bool,
}

// mio's sockets are larger where assertions are on.
const _: () =
    assert!(cfg!(debug_assertions) || size_of::<Option<Connection>>() == CACHE_LINE_BYTES);

impl Connection {
    /// A client whose connection is under way; it makes itself known first.
    pub(crate) fn new(client: u32, socket: TcpStream) -> Self {
        let mut outbox = Outbox::default();
        outbox.push(Item::Name { after: None });
        Self {
            outbox,
            partial: None,
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
        self.connected = socket::is_connected(&self.socket)?;
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

    /// Tells `book` of all that `bytes`, which were read, complete. Hot: once per read.
    ///
    /// # Errors
    /// As [`Inbox::decode`].
    pub(crate) fn decode(
        &mut self,
        bytes: &[u8],
        identity: &Identity,
        recent: &mut Recent,
        book: impl FnMut(&Arrival<'_>),
    ) -> Result<(), Undecodable> {
        let partial = self.partial.take();
        let mut inbox = partial.map_or_else(|| Inbox::new(identity.protocol), |inbox| *inbox);
        inbox.decode(bytes, identity, recent, book)?;
        if inbox.is_mid_message() {
            self.partial = Some(Box::new(inbox));
        }
        Ok(())
    }

    /// Whether the stream stands inside a message: an end here is a partial message.
    pub(crate) fn is_mid_message(&self) -> bool {
        self.partial.is_some()
    }

    /// Sends what the socket takes; `sent` is told of each item that it took whole, and when that was
    /// handed over, as [`Outbox::flush`] has it.
    ///
    /// # Errors
    /// Whatever the socket says, except that it is full.
    pub(crate) fn flush(
        &mut self,
        identity: &Identity,
        clock: Clock,
        sent: impl FnMut(&Item, u64),
    ) -> io::Result<()> {
        let client = self.client;
        self.outbox.flush(
            &mut self.socket,
            || clock.now_ns(),
            |item, now_ns| frame_of(identity, item, client, now_ns),
            sent,
        )
    }
}
