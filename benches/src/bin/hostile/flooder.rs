//! A flooder: one client that sends as fast as the server takes it, and reads all that it is sent.
//!
//! It begins a while after it has first heard somebody, when the load generator's clients have joined,
//! and ends with its owner.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use protocol::frame;

use crate::case::FLOOD_MESSAGE_BYTES;

/// Messages of one write.
const MESSAGES_AT_ONCE: usize = 64;

/// From the first message heard until it floods.
const BEGINS_AFTER: Duration = Duration::from_secs(1);

/// How long a write may take before it is looked whether the flood is over.
const WRITE_TIMEOUT: Duration = Duration::from_millis(100);

const READ_BUFFER_BYTES: usize = 1 << 20;

/// A flood under way.
#[derive(Debug)]
pub(crate) struct Flooder {
    stream: TcpStream,
    over: Arc<AtomicBool>,
    writing: JoinHandle<Flood>,
    reading: JoinHandle<()>,
}

/// What the server took of a flood.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Flood {
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
}

impl Flooder {
    /// Joins the server.
    ///
    /// # Errors
    /// When it cannot.
    pub(crate) fn join(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        (&stream).write_all(&frame::encode(b"flooder"))?;
        let over = Arc::new(AtomicBool::new(false));
        let (heard, hears) = std::sync::mpsc::channel();
        let mut from = stream.try_clone()?;
        let reading = thread::spawn(move || {
            let mut buffer = vec![0; READ_BUFFER_BYTES];
            while from.read(&mut buffer).is_ok_and(|bytes| bytes > 0) {
                // Only the first is waited for.
                let _ = heard.send(());
            }
        });
        let (to, is_over) = (stream.try_clone()?, Arc::clone(&over));
        let writing = thread::spawn(move || {
            if hears.recv().is_err() {
                return Flood::default();
            }
            drop(hears);
            thread::sleep(BEGINS_AFTER);
            flood(to, &is_over)
        });
        Ok(Self {
            stream,
            over,
            writing,
            reading,
        })
    }

    /// Ends the flood, and says what the server took of it.
    pub(crate) fn end(self) -> Flood {
        self.over.store(true, Ordering::Relaxed);
        // Wakes a reader that hears nothing; fails only when the server has closed the connection.
        let _ = self.stream.shutdown(Shutdown::Both);
        let flood = self.writing.join();
        let read = self.reading.join();
        match (flood, read) {
            (Ok(flood), Ok(())) => flood,
            (Err(panic), _) | (_, Err(panic)) => std::panic::resume_unwind(panic),
        }
    }
}

impl Flood {
    /// Messages a second.
    pub(crate) fn rate(self) -> Option<f64> {
        let message_bytes = (protocol::HEADER_BYTES + FLOOD_MESSAGE_BYTES) as f64;
        (self.seconds > 0.0).then(|| self.bytes as f64 / message_bytes / self.seconds)
    }
}

/// Writes until it is over, or the server lets go of it.
fn flood(mut to: TcpStream, over: &AtomicBool) -> Flood {
    let messages = frame::encode(&[b'f'; FLOOD_MESSAGE_BYTES]).repeat(MESSAGES_AT_ONCE);
    let began = Instant::now();
    let (mut bytes, mut written) = (0, 0);
    while !over.load(Ordering::Relaxed) {
        // What a write did not take is gone on with, so that every frame comes whole.
        match to.write(&messages[written..]) {
            Ok(taken) => {
                bytes += taken as u64;
                written = (written + taken) % messages.len();
            }
            Err(error) if is_full(&error) => {}
            Err(_) => break,
        }
    }
    Flood {
        bytes,
        seconds: began.elapsed().as_secs_f64(),
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn it_floods_once_it_was_spoken_to_and_ends_when_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let flooder = Flooder::join(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let mut name = [0; 17];
        server.read_exact(&mut name).unwrap();
        assert_eq!(&name, b"7         flooder");
        server.write_all(b"5         hello").unwrap();
        let mut message = [0; 1010];
        server.read_exact(&mut message).unwrap();
        assert!(message.starts_with(b"1000      fff"));
        let flood = flooder.end();
        assert!(flood.bytes >= 1010 && flood.rate().is_some(), "{flood:?}");
    }

    #[test]
    fn it_ends_although_nobody_ever_spoke() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let flooder = Flooder::join(listener.local_addr().unwrap()).unwrap();
        assert_eq!(flooder.end(), Flood::default());
    }
}
