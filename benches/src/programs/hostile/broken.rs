//! Broken peers: what a server meets that is no client, or a client gone wrong.
//!
//! A few of a kind are there at the same time. Each connects, does what its kind does, stays for a
//! third of a second unless the server closes it sooner, and comes back. What the server says to them is
//! read and dropped, except where not to read is what the kind does.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use protocol::frame;
use socket2::{Domain, SockRef, Socket, Type};

/// What such a peer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Broken {
    /// Never says its name
    Silent,
    /// Sends a part of a header, and no more
    PartOfAHeader,
    /// Sends a message byte by byte
    Dribble,
    /// Announces a message of 9999999999 bytes
    HugeLength,
    /// Announces a message of -1 bytes
    NegativeLength,
    /// Sends letters where a length belongs
    NoDigits,
    /// Has a name that is not UTF-8
    NameNoText,
    /// Has a control character in its name
    NameOfControls,
    /// Takes a name of the server's
    NameReserved,
    /// Sends a message that is not UTF-8
    MessageNoText,
    /// Sends a message that is longer than the server takes
    MessageTooLong,
    /// Resets its connection inside a message
    ResetInAMessage,
    /// Joins, reads nothing, and resets its connection
    ResetUnread,
    /// Closes its sending side after its name
    HalfClosed,
    /// Closes its sending side inside a message
    HalfClosedInAMessage,
    /// Sends urgent data, which is missing in its stream
    Urgent,
    /// Has the smallest receive window that there is
    TinyWindow,
    /// Speaks TLS
    Tls,
    /// Speaks HTTP
    Http,
    /// Connects and resets at once
    PortScan,
}

/// How a peer goes on after what it has said.
#[derive(Debug, Clone, Copy)]
enum Then {
    /// It reads and drops what comes, as all do that have not reset their connection.
    Stay,
    StayUnread,
    HalfClose,
    /// It sends urgent data, and a message.
    Urgent,
    Reset,
    ResetUnread,
}

/// How many of a kind there are at a time.
pub(super) const COUNT: u32 = 20;

/// How long one stays that the server does not end.
const STAY: Duration = Duration::from_millis(300);

/// From the end of one to its next connection.
const PAUSE: Duration = Duration::from_millis(50);

/// Between two bytes of one that sends them one by one.
const DRIBBLE: Duration = Duration::from_millis(5);

const READ_BUFFER_BYTES: usize = 64 * 1024;

/// More than a server takes by default.
const TOO_LONG_BYTES: usize = 70_000;

/// Broken peers of one kind.
#[derive(Debug)]
pub(super) struct BrokenPeers {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<u64>>,
}

impl BrokenPeers {
    /// Starts [`COUNT`] peers of a kind, who connect to `addr` again and again.
    pub(super) fn start(kind: Broken, addr: SocketAddr) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let peer = || {
            let over = Arc::clone(&over);
            thread::spawn(move || {
                let mut connections = 0;
                while !over.load(Ordering::Relaxed) {
                    // However it ends: that the server closes such peers is what they are for.
                    if let Ok(socket) = kind.connect(addr) {
                        connections += 1;
                        let _ = kind.behave(&socket);
                    }
                    thread::sleep(PAUSE);
                }
                connections
            })
        };
        Self {
            threads: (0..COUNT).map(|_| peer()).collect(),
            over,
        }
    }

    /// Ends them; how often one of them connected.
    pub(super) fn end(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        let ended = self.threads.into_iter().map(JoinHandle::join);
        ended
            .map(|joined| joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .sum()
    }
}

impl Broken {
    fn connect(self, addr: SocketAddr) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
        if self == Self::TinyWindow {
            // The kernel makes it as small as it can.
            socket.set_recv_buffer_size(1)?;
        }
        socket.connect(&addr.into())?;
        let socket = TcpStream::from(socket);
        socket.set_write_timeout(Some(STAY))?;
        Ok(socket)
    }

    /// Whether it joins, what it says then, and how it goes on.
    fn script(self) -> (bool, Vec<u8>, Then) {
        let (joins, said, then): (bool, &[u8], Then) = match self {
            Self::Silent => (false, b"", Then::Stay),
            Self::PartOfAHeader => (false, b"12   ", Then::Stay),
            Self::Dribble => (true, b"7         dribble", Then::Stay),
            Self::HugeLength => (true, b"9999999999and so on", Then::Stay),
            Self::NegativeLength => (true, b"-1        and so on", Then::Stay),
            Self::NoDigits => (true, b"abcdefghijand so on", Then::Stay),
            Self::NameNoText => (false, b"2         \xff\xfe", Then::Stay),
            Self::NameOfControls => (false, b"4         \x1b[2J", Then::Stay),
            Self::NameReserved => (false, b"8         *server*", Then::Stay),
            Self::MessageNoText => (true, b"2         \xc3(", Then::Stay),
            Self::MessageTooLong => (true, &frame::encode(&[b'x'; TOO_LONG_BYTES]), Then::Stay),
            Self::ResetInAMessage => (true, b"100       not all of it", Then::Reset),
            Self::ResetUnread => (true, b"", Then::ResetUnread),
            Self::HalfClosed => (true, b"", Then::HalfClose),
            Self::HalfClosedInAMessage => (true, b"100       not all of it", Then::HalfClose),
            Self::Urgent => (true, b"", Then::Urgent),
            Self::TinyWindow => (true, b"", Then::StayUnread),
            // A record of a handshake: a client hello, cut short.
            Self::Tls => (
                false,
                b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03",
                Then::Stay,
            ),
            Self::Http => (
                false,
                b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
                Then::Stay,
            ),
            Self::PortScan => (false, b"", Then::Reset),
        };
        (joins, said.to_vec(), then)
    }

    /// Does what its kind does on `socket`, once.
    fn behave(self, socket: &TcpStream) -> io::Result<()> {
        let say = |bytes: &[u8]| {
            let mut to = socket;
            to.write_all(bytes)
        };
        let (joins, said, then) = self.script();
        if joins {
            say(&frame::encode(b"broken"))?;
        }
        if self == Self::Dribble {
            for byte in &said {
                say(&[*byte])?;
                thread::sleep(DRIBBLE);
            }
        } else {
            say(&said)?;
        }
        match then {
            Then::Stay => {}
            Then::StayUnread => thread::sleep(STAY),
            Then::HalfClose => socket.shutdown(Shutdown::Write)?,
            Then::Urgent => {
                SockRef::from(socket).send_out_of_band(b"!")?;
                say(&frame::encode(b"urgent"))?;
            }
            Then::ResetUnread => {
                thread::sleep(STAY);
                return reset(socket);
            }
            Then::Reset => return reset(socket),
        }
        stay(socket)
    }
}

/// Reads and drops what comes for as long as one stays, or until the server ends it.
fn stay(mut socket: &TcpStream) -> io::Result<()> {
    let until = Instant::now() + STAY;
    let mut buffer = vec![0; READ_BUFFER_BYTES];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        socket.set_read_timeout(Some(left))?;
        match socket.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// What is dropped now is reset.
fn reset(socket: &TcpStream) -> io::Result<()> {
    SockRef::from(socket).set_linger(Some(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What a server reads of one of this kind, to the end.
    fn sent_by(kind: Broken) -> io::Result<Vec<u8>> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = kind.connect(listener.local_addr().unwrap()).unwrap();
        let peer = thread::spawn(move || kind.behave(&peer));
        let (mut server, _) = listener.accept().unwrap();
        let mut bytes = Vec::new();
        let read = server.read_to_end(&mut bytes);
        drop(server);
        // The peer may have found its connection closed.
        let _ = peer.join().unwrap();
        read.map(|_| bytes)
    }

    #[test]
    fn each_kind_that_says_something_says_what_no_client_does() {
        let text = |kind| String::from_utf8(sent_by(kind).unwrap()).unwrap();
        assert_eq!(text(Broken::Silent), "");
        assert_eq!(text(Broken::PartOfAHeader), "12   ");
        assert_eq!(text(Broken::HalfClosed), "6         broken");
        assert_eq!(text(Broken::Dribble), "6         broken7         dribble");
        assert_eq!(text(Broken::NameReserved), "8         *server*");
        assert!(text(Broken::MessageTooLong).len() > TOO_LONG_BYTES);
        assert!(!sent_by(Broken::NameNoText).unwrap().is_ascii());
        for kind in [Broken::ResetInAMessage, Broken::PortScan] {
            let error = sent_by(kind).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{kind:?}");
        }
    }

    #[test]
    fn broken_peers_come_again_and_again_until_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peers = BrokenPeers::start(Broken::Http, listener.local_addr().unwrap());
        // More than there are at a time: some came back after they were closed.
        let closed = (0..2 * COUNT).map(|_| drop(listener.accept().unwrap()));
        let seen = u64::try_from(closed.count()).unwrap();
        assert!(peers.end() >= seen);
    }
}
