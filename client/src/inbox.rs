//! Where the helper threads (keyboard or standard input, dialler, signals) leave what they have for the
//! session, which waits for its socket and for this in one `poll`.
//!
//! Lines are bounded: a reader that is faster than the socket waits here, so a large file is never held
//! in memory. Events are few and not bounded.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, mpsc};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::connection::{Connection, DialError};

/// A reader waits while this many lines are not taken.
pub(crate) const LINES_MAX: usize = 64;

pub(crate) enum Event {
    Dialled(Result<Connection, DialError>),
    Signal(i32),
}

/// What was typed, or read from standard input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
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
pub(crate) struct Inbox {
    events: mpsc::Receiver<Event>,
    typed: mpsc::Receiver<Typed>,
    wakeups: UnixStream,
}

/// A helper's end.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    events: mpsc::Sender<Event>,
    typed: mpsc::SyncSender<Typed>,
    waker: Arc<UnixStream>,
}

impl Inbox {
    pub(crate) fn new() -> io::Result<(Self, Sender)> {
        let (wakeups, waker) = UnixStream::pair()?;
        wakeups.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let (leave_event, events) = mpsc::channel();
        let (leave_typed, typed) = mpsc::sync_channel(LINES_MAX);
        let sender = Sender {
            events: leave_event,
            typed: leave_typed,
            waker: Arc::new(waker),
        };
        let inbox = Self {
            events,
            typed,
            wakeups,
        };
        Ok((inbox, sender))
    }

    pub(crate) fn event(&self) -> Option<Event> {
        self.events.try_recv().ok()
    }

    /// The next thing typed; makes room for the reader.
    pub(crate) fn typed(&self) -> Option<Typed> {
        self.typed.try_recv().ok()
    }

    pub(crate) fn wait(&self) {
        let _ = poll(&mut [PollFd::new(self, PollFlags::IN)], None);
    }

    /// Forgets that it was woken. To be called before the queues are looked at.
    pub(crate) fn acknowledge(&mut self) {
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
    /// From now on SIGTERM, SIGHUP and SIGINT become events.
    pub(crate) fn forward_signals(self) -> io::Result<()> {
        let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT])?;
        thread::spawn(move || {
            for signal in signals.forever() {
                self.event(Event::Signal(signal));
            }
        });
        Ok(())
    }

    pub(crate) fn event(&self, event: Event) {
        // Without a session nobody needs it.
        let _ = self.events.send(event);
        self.wake();
    }

    /// Leaves what was typed; waits while there is no room.
    pub(crate) fn typed(&self, typed: Typed) {
        let _ = self.typed.send(typed);
        self.wake();
    }

    fn wake(&self) {
        // A full pipe is a wakeup as well; a closed one means that nobody waits any more.
        let _ = (&*self.waker).write(b"!");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
