//! The floor: what a broadcast costs when there is nothing but the kernel.
//!
//! This process holds one end of N connected loopback sockets, a [reading process](crate::reader)
//! the other. A pass is one `send(2)` of one frame to each socket. The next pass begins when the
//! reader has read the one before, so that each send meets an empty socket: none is short, none
//! waits, and each is one segment that wakes its reader.
//!
//! The measuring process has one thread while it sends. A second one would make the kernel count
//! references to each descriptor, which a server with one thread a ring does not pay either.

mod measurement;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use serde::{Serialize, Serializer};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::clock;
use crate::reader::{Reader, Report};
use crate::{Error, host};

pub use measurement::{Measurement, Repeat, measure};

/// The longest frame that is sent, in bytes.
pub const BYTES_MAX: usize = 1 << 20;

/// What a message has around it when it is broadcast: its header, and the author's name with its own.
const NAME_AND_HEADERS_BYTES: usize = 28;

/// Passes that a floor needs to come to rest.
///
/// The receiver of a TCP connection acknowledges its first 16 segments as they come
/// (`TCP_MAX_QUICKACKS` in Linux' `include/net/tcp.h`), and again 16 after a silence that is longer
/// than the retransmission timeout (200 ms and more), later ones as they are read. On loopback, what
/// is acknowledged as it comes is paid for by the sender: a quarter to a half more for each send.
pub const WARMUP_PASSES: u32 = 20;

/// What `listen` asks for; connects come in windows that are far smaller.
const BACKLOG: i32 = 1024;

/// The length of the frame in which a message of the load generator's is broadcast; of messages that
/// are too long for a floor, the longest that it sends.
#[must_use]
pub const fn frame_bytes(message_bytes: u32) -> usize {
    let bytes = message_bytes as usize + NAME_AND_HEADERS_BYTES;
    if bytes < BYTES_MAX { bytes } else { BYTES_MAX }
}

/// What is to be measured.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// Sockets, each with a reader of its own.
    pub sockets: u32,
    /// Length of the frame that each is sent in each pass, at most [`BYTES_MAX`].
    pub bytes: usize,
    /// How often everything is built up anew.
    pub repeats: u32,
    /// Measured passes of each repeat.
    pub passes: u32,
    /// Passes before these, which are not measured: see [`WARMUP_PASSES`].
    pub warmup_passes: u32,
    /// The least time from the beginning of a pass to that of the next, in seconds in the result.
    /// Zero begins the next pass as soon as all have read the one before.
    #[serde(rename = "interval_seconds", serialize_with = "seconds")]
    pub interval: Duration,
    /// The program that reads: one whose `main` begins with [`crate::reader::run_if_asked`]. This
    /// program itself, if it is `None`.
    #[serde(skip)]
    pub reader: Option<PathBuf>,
}

/// One frame to each socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// From before the first send until after the last: F.
    pub sending: Duration,
    /// From before the first send until the last receiver has read.
    pub completion: Duration,
    /// CPU time of the sending thread.
    pub send_cpu: Duration,
    /// CPU time of the reader since the pass before.
    pub read_cpu: Duration,
    /// Reads that returned bytes; as many as sockets, unless a frame came in parts.
    pub reads: u64,
}

/// Connected sockets, with a process that reads from them.
#[derive(Debug)]
pub struct Floor {
    sockets: Vec<TcpStream>,
    reader: Reader,
    frame: Vec<u8>,
    interval: Duration,
    /// When the last pass began.
    began: Duration,
}

impl Floor {
    /// Starts the reader and connects all sockets.
    ///
    /// # Errors
    /// When descriptors or source ports do not suffice, or the reader fails.
    pub fn connect(plan: &Plan) -> Result<Self, Error> {
        host::raise_descriptors(plan.sockets)?;
        let listener = listen().map_err(Error::system("listen on 127.0.0.1"))?;
        let target = listener
            .local_addr()
            .map_err(Error::system("read the listener's address"))?;
        let mut reader = Reader::start(plan, target, &host::sources(plan.sockets))?;
        let mut sockets = Vec::with_capacity(plan.sockets as usize);
        while sockets.len() < plan.sockets as usize {
            let Report::Connected { sockets: new } = reader.report()? else {
                return Err(Error::Reader("it reads before it is connected".into()));
            };
            for _ in 0..new {
                sockets.push(accept(&listener).map_err(Error::system("accept a socket"))?);
            }
            reader.go_on()?;
        }
        Ok(Self {
            sockets,
            reader,
            frame: vec![b'x'; plan.bytes],
            interval: plan.interval,
            began: Duration::ZERO,
        })
    }

    /// Waits until it is time, sends one frame to each socket, and waits until all are read.
    ///
    /// # Errors
    /// When the kernel does not take a frame whole, or the reader fails.
    pub fn pass(&mut self) -> Result<Pass, Error> {
        let early = (self.began + self.interval).saturating_sub(clock::monotonic());
        std::thread::sleep(early);
        let cpu_before = clock::thread_cpu();
        let begin = clock::monotonic();
        self.began = begin;
        for socket in &self.sockets {
            send_frame(socket, &self.frame)?;
        }
        let end = clock::monotonic();
        let send_cpu = clock::thread_cpu() - cpu_before;
        match self.reader.report()? {
            Report::Pass {
                read_at_ns,
                cpu_ns,
                reads,
            } => Ok(Pass {
                sending: end - begin,
                completion: Duration::from_nanos(read_at_ns).saturating_sub(begin),
                send_cpu,
                read_cpu: Duration::from_nanos(cpu_ns),
                reads,
            }),
            report => Err(Error::Reader(format!("{report:?} in the middle of a pass"))),
        }
    }
}

impl Drop for Floor {
    /// Resets the connections instead of closing them in good order, so that thousands of source
    /// ports are free at once and not in a minute. The reader ends as its channel closes.
    fn drop(&mut self) {
        for socket in &self.sockets {
            // What could not be set costs a port for a minute, no more.
            let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
        }
    }
}

fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

/// Hot: this is all that is measured.
fn send_frame(socket: impl AsFd, frame: &[u8]) -> Result<(), Error> {
    match send(socket, frame, SendFlags::NOSIGNAL) {
        Ok(sent) if sent == frame.len() => Ok(()),
        Ok(sent) => Err(Error::ShortSend {
            sent,
            bytes: frame.len(),
        }),
        Err(Errno::AGAIN) => Err(Error::ShortSend {
            sent: 0,
            bytes: frame.len(),
        }),
        Err(errno) => Err(Error::system("send")(errno)),
    }
}

fn listen() -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A socket as the servers have it.
fn accept(listener: &TcpListener) -> std::io::Result<TcpStream> {
    let (socket, _) = listener.accept()?;
    socket.set_nonblocking(true)?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_the_message_and_its_name_but_no_longer_than_is_sent() {
        assert_eq!(frame_bytes(64), 92);
        assert_eq!(frame_bytes(1 << 20), BYTES_MAX);
    }
}
