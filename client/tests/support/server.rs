//! Servers for the tests: the tutorial's on a thread, and one whose every byte the test decides.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread::JoinHandle;

use super::DEADLINE;
use super::tutorial::{self, Seen};

/// The tutorial's server, running until it is dropped.
pub(crate) struct Tutorial {
    pub(crate) address: SocketAddr,
    seen: mpsc::Receiver<Seen>,
    stop: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl Tutorial {
    pub(crate) fn start() -> Self {
        let (listener, address) = tutorial::listen();
        let (stop, stopped) = UnixStream::pair().unwrap();
        let (saw, seen) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            tutorial::serve(&listener, &stopped, |event| drop(saw.send(event)));
        });
        Self {
            address,
            seen,
            stop,
            thread: Some(thread),
        }
    }

    /// The next thing the server saw.
    pub(crate) fn next(&self) -> Seen {
        self.seen
            .recv_timeout(DEADLINE)
            .expect("the server saw nothing more")
    }

    /// Waits until `name` has joined.
    pub(crate) fn joined(&self, name: &str) {
        assert_eq!(self.next(), Seen::Joined(name.to_owned()));
    }

    pub(crate) fn said(&self, name: &str, text: &str) {
        assert_eq!(self.next(), Seen::Said(name.to_owned(), text.to_owned()));
    }

    pub(crate) fn left(&self, name: &str) {
        assert_eq!(self.next(), Seen::Left(name.to_owned()));
    }

    /// A peer that has joined as `name`.
    pub(crate) fn peer(&self, name: &str) -> Peer {
        let mut peer = Peer(TcpStream::connect(self.address).unwrap());
        peer.send(name.as_bytes());
        self.joined(name);
        peer
    }
}

impl Drop for Tutorial {
    fn drop(&mut self) {
        let _ = self.stop.write_all(b"!");
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One end of a connection, spoken by hand.
pub(crate) struct Peer(pub(crate) TcpStream);

impl Peer {
    /// Writes one frame.
    pub(crate) fn send(&mut self, payload: &[u8]) {
        self.0.write_all(&frame(payload)).unwrap();
    }

    /// Writes a message as a server does.
    pub(crate) fn relay(&mut self, name: &str, text: &[u8]) {
        let pair = [frame(name.as_bytes()), frame(text)].concat();
        self.0.write_all(&pair).unwrap();
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Reads one frame, blocking, as the tutorial's client does.
    pub(crate) fn read(&mut self) -> String {
        let mut header = [0; 10];
        self.0.set_read_timeout(Some(DEADLINE)).unwrap();
        self.0.read_exact(&mut header).expect("a header");
        let length = str::from_utf8(&header).unwrap().trim().parse().unwrap();
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).expect("a payload");
        String::from_utf8(payload).unwrap()
    }

    /// Reads one frame, or nothing at an orderly end between two frames.
    pub(crate) fn read_any(&mut self) -> Option<String> {
        self.0.set_read_timeout(Some(DEADLINE)).unwrap();
        (self.0.peek(&mut [0]).unwrap() > 0).then(|| self.read())
    }

    /// Reads whatever comes until the other side's end of the stream.
    pub(crate) fn read_all(&mut self) {
        self.0.set_read_timeout(Some(DEADLINE)).unwrap();
        let _ = self.0.read_to_end(&mut Vec::new());
    }

    /// Waits for the other side's end of the stream.
    pub(crate) fn read_end(&mut self) {
        self.0.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).expect("an orderly end");
        assert_eq!(rest, b"", "something came before the end");
    }

    pub(crate) fn close(self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// A frame, written here on its own so that a fault in the client's own code cannot hide.
pub(crate) fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = format!("{:<10}", payload.len()).into_bytes();
    frame.extend_from_slice(payload);
    frame
}

/// A server whose every byte the test decides.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    listener: TcpListener,
}

impl Scripted {
    pub(crate) fn start() -> Self {
        let (listener, address) = tutorial::listen();
        Self { address, listener }
    }

    /// A server where one has been before.
    pub(crate) fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        Self { address, listener }
    }

    /// The next client, after it has given `name`.
    pub(crate) fn accept(&self, name: &str) -> Peer {
        let mut peer = self.accept_any();
        assert_eq!(peer.read(), name);
        peer
    }

    /// The next connection.
    pub(crate) fn accept_any(&self) -> Peer {
        Peer(self.listener.accept().unwrap().0)
    }
}
