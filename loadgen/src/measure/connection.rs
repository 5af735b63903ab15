//! One client: a socket, what it has yet to send, and what a read has partial.
//!
//! A client that is read is one of thousands, and what is known of it is rarely still in the cache. So
//! it is kept in a single line of it: between messages there is nothing of the stream to be kept, unless
//! it is to be resumed, and what a partial message leaves is elsewhere.

use std::io::{self, Read};
use std::time::Duration;

use mio::net::TcpStream;
use protocol::Position;
use socket2::SockRef;

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
    /// The stream, while it stands inside a message or if it is to be resumed.
    inbox: Option<Box<Inbox>>,
    socket: TcpStream,
    client: u32,
    /// Messages that the server was asked to confirm and has not.
    pub(crate) unconfirmed: u32,
    /// Whether the connection is known to stand.
    connected: bool,
    /// Whether the server has confirmed that the client has joined.
    pub(crate) joined: bool,
}

/// What a client takes with it from one connection to the next.
#[derive(Debug)]
pub(crate) struct Resumption {
    outbox: Outbox,
    position: Position,
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
            inbox: None,
            socket,
            client,
            unconfirmed: 0,
            connected: false,
            joined: false,
        }
    }

    /// A client that comes back.
    pub(crate) fn back(client: u32, socket: TcpStream, resumption: Resumption) -> Self {
        let Resumption {
            mut outbox,
            position,
        } = resumption;
        outbox.begin_anew(Item::Name {
            after: Some(position),
        });
        Self {
            outbox,
            inbox: Some(Box::new(Inbox::behind(position))),
            ..Self::new(client, socket)
        }
    }

    /// What a client that can come back takes with it; the end of its connection is then a reset. `None` if
    /// it could not.
    pub(crate) fn cut(&mut self) -> Option<Resumption> {
        let position = self.inbox.as_ref().and_then(|inbox| inbox.position());
        let position = position.filter(|_| self.joined && self.unconfirmed == 0)?;
        // Without it, the connection would be closed in order, which is no worse than it could be.
        let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
        let outbox = std::mem::take(&mut self.outbox);
        Some(Resumption { outbox, position })
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
        let inbox = self.inbox.take();
        let mut inbox = inbox.map_or_else(|| Inbox::new(identity.protocol), |inbox| *inbox);
        inbox.decode(bytes, identity, recent, book)?;
        if inbox.is_mid_message() || identity.resumes {
            self.inbox = Some(Box::new(inbox));
        }
        Ok(())
    }

    /// Whether the stream stands inside a message: an end here is a partial message.
    pub(crate) fn is_mid_message(&self) -> bool {
        self.inbox
            .as_ref()
            .is_some_and(|inbox| inbox.is_mid_message())
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
