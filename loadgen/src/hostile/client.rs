//! One hostile client: its connection, and how far it has got.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;

use mio::net::TcpStream;
use record::HostileKind;

use super::web::{self, Pace};
use crate::host::clock::nanoseconds;
use crate::host::socket;
use crate::wire::codec::{Hello, Undecodable};
use crate::wire::disconnects::CloseReason;
use crate::wire::identity::{Arrival, Identity};
use crate::wire::inbox::Inbox;
use crate::wire::outbox::{Item, frame_of, hello};
use crate::wire::recent::Recent;

/// Clients that do not read have small buffers, so that it is the server that feels it.
const RECEIVE_BUFFER_BYTES: usize = 4096;

/// A slow client has room for what it reads in this time, so that it can keep to its rate.
const BUFFERED_SECONDS: f64 = 0.1;

/// Longest segment that they take, as on Ethernet. A kernel sizes its send buffer by the segments: with
/// those of the loopback, it would hold more than a megabyte for each of them.
const SEGMENT_BYTES: u32 = 1400;

/// What has never been a header.
const GARBAGE: &[u8] = b"\xff\x00GET / HTTP/1.1\r\n\r\n";

/// How much a half-open client says of what it was to say first: of uringcast's, a part of a header.
const PART_OF_A_HELLO_BYTES: usize = 3;

/// A connection of a hostile client.
#[derive(Debug)]
pub(super) struct HostileClient {
    pub(super) kind: HostileKind,
    pub(super) socket: TcpStream,
    identity: Rc<Identity>,
    inbox: Inbox,
    is_connected: bool,
    /// Tells it from all others; later ones have higher numbers.
    pub(super) number: u64,
    /// When it was begun.
    pub(super) began_ns: u64,
    /// What a slow client may read by now.
    pub(super) allowance_bytes: f64,
    /// What one that floods has written.
    pub(super) flooded_bytes: u64,
    /// Whether anybody's message has come.
    pub(super) has_heard: bool,
    /// What it has yet to say first.
    opening: Vec<u8>,
    /// How it says that, if not at once.
    pace: Option<Pace>,
    paced_ns: u64,
}

/// What reading came to.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) bytes: u64,
    /// Set if the connection is over.
    pub(super) end: Option<CloseReason>,
    /// What the server said.
    pub(super) notices: Vec<Vec<u8>>,
}

impl HostileClient {
    /// Begins to connect. `number` tells the clients of a kind apart.
    pub(super) fn connect(
        kind: HostileKind,
        number: u64,
        target: SocketAddr,
        now_ns: u64,
        identity: Rc<Identity>,
        slow_bytes_per_second: f64,
    ) -> io::Result<Self> {
        let socket = socket::for_target(target)?;
        if let Some(bytes) = receive_buffer_bytes(kind, slow_bytes_per_second) {
            socket.set_recv_buffer_size(bytes)?;
            socket.set_tcp_mss(SEGMENT_BYTES)?;
        }
        Ok(Self {
            kind,
            socket: socket::begin_connect(socket, target)?,
            inbox: Inbox::new(identity.protocol),
            is_connected: false,
            number,
            began_ns: now_ns,
            allowance_bytes: 0.0,
            flooded_bytes: 0,
            has_heard: false,
            opening: opening(kind, number, &identity),
            pace: web::pace(kind),
            paced_ns: 0,
            identity,
        })
    }

    /// Looks whether the connection stands; says whether it does since now. It then says what
    /// clients of its kind say, which is short enough for any socket to take at once.
    ///
    /// # Errors
    /// Why the connection could not be made, or is over already.
    pub(super) fn check_connected(&mut self) -> io::Result<bool> {
        if self.is_connected {
            return Ok(false);
        }
        if !socket::is_connected(&self.socket)? {
            return Ok(false);
        }
        self.is_connected = true;
        if self.pace.is_none() {
            self.socket.write_all(&std::mem::take(&mut self.opening))?;
        }
        Ok(true)
    }

    /// Says a bit more of what it says first, if it does so bit by bit and it is time.
    ///
    /// # Errors
    /// Whatever the socket says.
    pub(super) fn say_more(&mut self, now_ns: u64) -> io::Result<()> {
        let Some(pace) = self.pace.filter(|_| self.is_connected) else {
            return Ok(());
        };
        if self.opening.is_empty() || now_ns < self.paced_ns + nanoseconds(pace.pause) {
            return Ok(());
        }
        self.paced_ns = now_ns;
        let rest = self.opening.split_off(pace.bytes.min(self.opening.len()));
        let bit = std::mem::replace(&mut self.opening, rest);
        self.socket.write_all(&bit)
    }

    /// Reads until nothing is there, or `limit_bytes` are read.
    pub(super) fn read(&mut self, buffer: &mut [u8], limit_bytes: usize) -> Reading {
        let mut reading = Reading {
            bytes: 0,
            end: None,
            notices: Vec::new(),
        };
        let mut left_bytes = limit_bytes;
        while left_bytes > 0 {
            let room = left_bytes.min(buffer.len());
            match self.socket.read(&mut buffer[..room]) {
                Ok(0) => {
                    reading.end = Some(if self.inbox.is_mid_message() {
                        CloseReason::Partial
                    } else {
                        CloseReason::Closed
                    });
                    break;
                }
                Ok(bytes) => {
                    left_bytes -= bytes;
                    reading.bytes += bytes as u64;
                    if let Err(error) = self.decode(&buffer[..bytes], &mut reading) {
                        reading.end = Some(CloseReason::Undecodable(error));
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    reading.end = Some(CloseReason::Broken(error));
                    break;
                }
            }
        }
        reading
    }

    /// Writes `flood` over and over, until the socket is full or `limit_bytes` are written.
    ///
    /// # Errors
    /// Whatever the socket says, except that it is full.
    pub(super) fn flood(&mut self, flood: &[u8], limit_bytes: usize) -> io::Result<()> {
        let mut left_bytes = limit_bytes;
        while self.is_connected && left_bytes > 0 {
            let at = usize::try_from(self.flooded_bytes % flood.len() as u64).unwrap_or(0);
            match self.socket.write(&flood[at..]) {
                Ok(bytes) => {
                    self.flooded_bytes += bytes as u64;
                    left_bytes = left_bytes.saturating_sub(bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn decode(&mut self, bytes: &[u8], reading: &mut Reading) -> Result<(), Undecodable> {
        let identity = &*self.identity;
        let (mut has_heard, mut answers) = (self.has_heard, Vec::new());
        let recent = &mut Recent::none();
        self.inbox
            .decode(bytes, identity, recent, |arrival| match arrival {
                Arrival::Notice(text) => reading.notices.push(text.to_vec()),
                Arrival::Opened => answers.push(frame_of(identity, &Item::Join, 0, 0)),
                Arrival::Asked(answer) => answers.push(answer.to_vec()),
                Arrival::Joined | Arrival::Resumed(_) | Arrival::Accepted(_) => {}
                Arrival::Presence | Arrival::Chatter => {}
                Arrival::Message(_)
                | Arrival::Probe { .. }
                | Arrival::Foreign
                | Arrival::Corrupt => {
                    has_heard = true;
                }
            })?;
        self.has_heard = has_heard;
        for answer in answers {
            // A socket that takes no few bytes is one of a client that the server is about to lose.
            let _ = self.socket.write(&answer);
        }
        Ok(())
    }
}

/// The receive buffer of a client that reads little; `None` leaves it to the kernel.
fn receive_buffer_bytes(kind: HostileKind, slow_bytes_per_second: f64) -> Option<usize> {
    match kind {
        HostileKind::Stalled
        | HostileKind::DeafJoiner
        | HostileKind::BurstReader
        | HostileKind::PingFlood => Some(RECEIVE_BUFFER_BYTES),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the rate is bounded where it is read"
        )]
        HostileKind::Slow => {
            let bytes = (slow_bytes_per_second * BUFFERED_SECONDS) as usize;
            Some(bytes.max(RECEIVE_BUFFER_BYTES))
        }
        _ => None,
    }
}

/// What a client of `kind` says first. Every other one that is to send garbage joins before it.
fn opening(kind: HostileKind, number: u64, identity: &Identity) -> Vec<u8> {
    // Brokers drive out one of two clients of the same name.
    let name = if identity.protocol.is_broker() {
        format!("m{number}")
    } else {
        kind.to_string().replace(' ', "-")
    };
    // A Redis connection that subscribes cannot publish, nor can a listener of events.
    let receives = kind != HostileKind::Flooder || !identity.protocol.has_publishers();
    let joining = hello(&Hello {
        identity,
        name: &name,
        receives,
        after: None,
    });
    match kind {
        HostileKind::HalfOpen => joining[..PART_OF_A_HELLO_BYTES].to_vec(),
        HostileKind::Garbage if number.is_multiple_of(2) => GARBAGE.to_vec(),
        HostileKind::Garbage => [&joining[..], GARBAGE].concat(),
        _ => web::opening(kind, number, &identity.host, joining),
    }
}
