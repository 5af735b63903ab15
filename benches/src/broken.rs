//! Broken peers: what a server meets that is no client, or a client gone wrong.
//!
//! A few of a kind are there at the same time. Each connects, does what its kind does, stays for a
//! third of a second unless the server closes it sooner, and comes back. What the server says to them is
//! read and dropped, except where not to read is what the kind does.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use protocol::frame;
use serde::Deserialize;
use socket2::{Domain, SockRef, Socket, Type};

use crate::process::bytes_of;

/// What such a peer does.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Script {
    /// Whether it says its name first, as a client does.
    joins: bool,
    /// Bytes, a character each.
    say: String,
    /// Further bytes behind these.
    padding: usize,
    then: Then,
}

/// How a peer goes on after what it has said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Then {
    /// It reads and drops what comes, as all do that have not reset their connection.
    #[default]
    Stay,
    /// It says it byte by byte.
    Dribble,
    HalfClose,
    /// It sends urgent data, which is missing in its stream, and a message.
    Urgent,
    /// It has the smallest receive window that there is, and reads late.
    TinyWindow,
    Reset,
    ResetUnread,
}

/// How many of a kind there are at a time.
const COUNT: u32 = 20;

/// How long one stays that the server does not end.
const STAY: Duration = Duration::from_millis(300);

/// From the end of one to its next connection.
const PAUSE: Duration = Duration::from_millis(50);

/// Between two bytes of one that sends them one by one.
const DRIBBLE: Duration = Duration::from_millis(5);

/// Does `work` beside [`COUNT`] peers with this script, who connect to `addr` again and again; how often one
/// of them connected.
pub(crate) fn beside<T>(script: &Script, addr: SocketAddr, work: impl FnOnce() -> T) -> (T, u64) {
    let (over, connections) = (AtomicBool::new(false), AtomicU64::new(0));
    let peer = || {
        while !over.load(Ordering::Relaxed) {
            // However it ends: that the server closes such peers is what they are for.
            if let Ok(socket) = script.connect(addr) {
                connections.fetch_add(1, Ordering::Relaxed);
                let _ = script.behave(&socket);
            }
            thread::sleep(PAUSE);
        }
    };
    let done = thread::scope(|scope| {
        (0..COUNT).for_each(|_| drop(scope.spawn(peer)));
        let done = work();
        over.store(true, Ordering::Relaxed);
        done
    });
    (done, connections.into_inner())
}

impl Script {
    fn connect(&self, addr: SocketAddr) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
        if self.then == Then::TinyWindow {
            // The kernel makes it as small as it can.
            socket.set_recv_buffer_size(1)?;
        }
        socket.connect(&addr.into())?;
        let socket = TcpStream::from(socket);
        socket.set_write_timeout(Some(STAY))?;
        Ok(socket)
    }

    /// Does what is written on `socket`, once.
    fn behave(&self, mut socket: &TcpStream) -> io::Result<()> {
        if self.joins {
            socket.write_all(&frame::encode(b"broken"))?;
        }
        let said = [bytes_of(&self.say), vec![b'x'; self.padding]].concat();
        if self.then == Then::Dribble {
            for byte in &said {
                socket.write_all(&[*byte])?;
                thread::sleep(DRIBBLE);
            }
        } else {
            socket.write_all(&said)?;
        }
        match self.then {
            Then::Stay | Then::Dribble => {}
            Then::TinyWindow => thread::sleep(STAY),
            Then::HalfClose => socket.shutdown(Shutdown::Write)?,
            Then::Urgent => {
                SockRef::from(socket).send_out_of_band(b"!")?;
                socket.write_all(&frame::encode(b"urgent"))?;
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
    let mut buffer = vec![0; 64 * 1024];
    socket.set_read_timeout(Some(STAY))?;
    while Instant::now() < until && socket.read(&mut buffer)? > 0 {}
    Ok(())
}

/// What is dropped now is reset.
fn reset(socket: &TcpStream) -> io::Result<()> {
    SockRef::from(socket).set_linger(Some(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::TcpListener;

    use super::*;
    use crate::cases::tests::cases;

    fn script(kind: &str) -> Script {
        let broken = cases("hostile", &format!("--scenarios broken --broken {kind}")).remove(1);
        broken.candidate.broken.unwrap()
    }

    /// What a server reads of one of this kind, to the end.
    fn sent_by(kind: &str) -> io::Result<Vec<u8>> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let script = script(kind);
        let peer = script.connect(listener.local_addr().unwrap()).unwrap();
        let peer = thread::spawn(move || script.behave(&peer));
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
        assert_eq!(text("silent"), "");
        assert_eq!(text("part-of-a-header"), "12   ");
        assert_eq!(text("half-closed"), "6         broken");
        assert_eq!(text("dribble"), "6         broken7         dribble");
        assert_eq!(text("name-reserved"), "8         *server*");
        assert!(text("message-too-long").len() > 70_000);
        assert_eq!(sent_by("name-no-text").unwrap(), b"2         \xff\xfe");
        assert_eq!(sent_by("tls").unwrap()[..3], [0x16, 3, 1]);
        for kind in ["reset-in-a-message", "port-scan"] {
            let error = sent_by(kind).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{kind}");
        }
    }

    #[test]
    fn broken_peers_come_again_and_again_until_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        // More than there are at a time: some came back after they were closed.
        let accepted = (0..2 * u64::from(COUNT)).map(|_| drop(listener.accept().unwrap()));
        let close = || accepted.count();
        let (closed, connections) = beside(&script("http"), addr, close);
        assert!(connections >= closed as u64);
    }
}
