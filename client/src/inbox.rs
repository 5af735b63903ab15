//! Where the helper threads (keyboard or standard input, dialler, signals) leave what they have
//! for the session, which waits for its socket and for this in one `poll`.
//!
//! Lines are bounded: a reader that is faster than the socket waits here, so a large file is never
//! held in memory. Events are few and not bounded.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, poll};

use crate::connection::DialError;

/// A reader waits while this many lines are not taken,
const LINES_MAX: usize = 1024;
/// or this many bytes of lines.
const LINES_BYTES_MAX: usize = 1024 * 1024;

/// What happened beside the socket.
#[derive(Debug)]
pub enum Event {
    /// The dialler is done.
    Dialled(Result<TcpStream, DialError>),
    /// A signal came.
    Signal(i32),
}

/// What was typed, or read from standard input.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    /// The name that was asked for.
    Name(String),
    /// One line, without its end.
    Line(Vec<u8>),
    /// A line that cannot be sent, and why.
    Refused(String),
    /// No more lines will come, for this reason if it is not the ordinary end.
    Ended(Option<String>),
}

/// The session's end.
#[derive(Debug)]
pub struct Inbox {
    shared: Arc<Shared>,
    wakeups: UnixStream,
}

/// A helper's end.
#[derive(Debug, Clone)]
pub struct Sender {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queues: Mutex<Queues>,
    room: Condvar,
    waker: UnixStream,
}

#[derive(Debug, Default)]
struct Queues {
    events: VecDeque<Event>,
    typed: VecDeque<Typed>,
    typed_bytes: usize,
}

impl Inbox {
    /// An empty inbox, and the end for the helpers.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub fn new() -> io::Result<(Self, Sender)> {
        let (wakeups, waker) = UnixStream::pair()?;
        wakeups.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            queues: Mutex::default(),
            room: Condvar::new(),
            waker,
        });
        let sender = Sender {
            shared: Arc::clone(&shared),
        };
        Ok((Self { shared, wakeups }, sender))
    }

    /// The next event.
    pub fn event(&self) -> Option<Event> {
        self.shared.lock().events.pop_front()
    }

    /// The next thing typed; makes room for the reader.
    pub fn typed(&self) -> Option<Typed> {
        let mut queues = self.shared.lock();
        let typed = queues.typed.pop_front()?;
        queues.typed_bytes -= typed.bytes();
        self.shared.room.notify_all();
        Some(typed)
    }

    /// How many lines wait to be taken.
    #[must_use]
    pub fn lines(&self) -> usize {
        let queues = self.shared.lock();
        let is_line = |typed: &&Typed| matches!(typed, Typed::Line(_));
        queues.typed.iter().filter(is_line).count()
    }

    /// Waits until something was left.
    pub fn wait(&self) {
        let _ = poll(&mut [PollFd::new(self, PollFlags::IN)], None);
    }

    /// Forgets that it was woken. To be called before the queues are looked at.
    pub fn acknowledge(&mut self) {
        let mut sink = [0; 256];
        while matches!(self.wakeups.read(&mut sink), Ok(bytes) if bytes == sink.len()) {}
    }
}

impl AsFd for Inbox {
    /// Readable when something was left.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wakeups.as_fd()
    }
}

impl Sender {
    /// Leaves an event.
    pub fn event(&self, event: Event) {
        self.shared.lock().events.push_back(event);
        self.shared.wake();
    }

    /// Leaves what was typed; waits while there is no room.
    pub fn typed(&self, typed: Typed) {
        let mut queues = self.shared.lock();
        while queues.is_full() {
            queues = self
                .shared
                .room
                .wait(queues)
                .unwrap_or_else(PoisonError::into_inner);
        }
        queues.typed_bytes += typed.bytes();
        queues.typed.push_back(typed);
        drop(queues);
        self.shared.wake();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        // A full pipe is a wakeup as well; a closed one means that nobody waits any more.
        let _ = (&self.waker).write(b"!");
    }
}

impl Queues {
    fn is_full(&self) -> bool {
        self.typed.len() >= LINES_MAX || self.typed_bytes >= LINES_BYTES_MAX
    }
}

impl Typed {
    const fn bytes(&self) -> usize {
        match self {
            Self::Line(line) => line.len(),
            Self::Name(_) | Self::Refused(_) | Self::Ended(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_is_too_fast_waits_and_loses_nothing() {
        let (inbox, sender) = Inbox::new().unwrap();
        let lines = 10 * LINES_MAX;
        let reader = std::thread::spawn(move || {
            for number in 0..lines {
                sender.typed(Typed::Line(number.to_string().into_bytes()));
            }
        });
        for number in 0..lines {
            let line = loop {
                match inbox.typed() {
                    Some(line) => break line,
                    None => std::thread::yield_now(),
                }
            };
            assert_eq!(line, Typed::Line(number.to_string().into_bytes()));
            assert!(inbox.shared.lock().typed.len() <= LINES_MAX);
        }
        reader.join().unwrap();
    }

    #[test]
    fn a_wakeup_can_be_seen_until_it_is_acknowledged() {
        let (mut inbox, sender) = Inbox::new().unwrap();
        for _ in 0..10_000 {
            sender.event(Event::Signal(1));
        }
        assert_eq!(inbox.wakeups.read(&mut [0]).unwrap(), 1);
        inbox.acknowledge();
        let error = inbox.wakeups.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
