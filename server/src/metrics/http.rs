//! A small HTTP/1.1 server: one thread, one request a connection, everything bounded.
//!
//! A connection has [`DEADLINE`] to ask and to take its answer. Connections that have not asked yet,
//! those that have, and those that ask for the server's health have [`SEATS`] each; a newcomer without a
//! seat takes that of the oldest. So clients that hang, trickle or flood do not keep others from being
//! served. The thread waits for no answer: a request whose answer has to be collected waits in its
//! connection. One descriptor is held in reserve, so that a server whose clients hold all others still
//! answers. Heads are parsed by `httparse`; bodies of requests are not read.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustix::io::{DupFlags, dup3};
use slab::Slab;

use super::clock::{Clock, TICK};
use super::request::{self, Request, Response};

/// How long a connection may take from its first packet to its last.
const DEADLINE: Duration = Duration::from_secs(5);

/// Pause before accepting again when there was no descriptor.
const STARVED_PAUSE: Duration = Duration::from_millis(100);

/// How many connections of a [`Class`] are held.
const SEATS: usize = 64;

/// Connections that are accepted before the others are looked at again.
const ACCEPTS: usize = 32;

const LISTENER: Token = Token(usize::MAX);
/// The token of the waker that ends [`serve`], or says that answers have come.
pub(super) const WAKER: Token = Token(usize::MAX - 1);

/// What is served.
pub(super) trait Site {
    /// The answer to a request that came at `asked_at`; `None` while it has to be found out.
    fn answer(&mut self, request: &Request, asked_at: Instant, now: Instant) -> Option<Response>;

    /// When those who wait for an answer are to be looked at again, whether [`WAKER`] was woken or not.
    fn due(&self) -> Option<Instant>;
}

/// Serves until `ends` is set and the waker of [`WAKER`] woken.
///
/// # Errors
/// When the kernel refuses to watch the listener, or to wait.
pub(super) fn serve(
    (mut listener, reserve): (TcpListener, OwnedFd),
    poll: Poll,
    site: impl Site,
    ends: &AtomicBool,
) -> io::Result<()> {
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut event_loop = EventLoop {
        poll,
        reserve: Some(reserve),
        listener,
        accepting: Accepting::Waiting,
        more: false,
        connections: Slab::new(),
        clock: Clock::new(),
        site,
    };
    let mut events = Events::with_capacity(128);
    while !ends.load(Ordering::Acquire) {
        let patience = event_loop.patience();
        match event_loop.poll.poll(&mut events, patience) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => event_loop.turn(&events),
        }
    }
    Ok(())
}

struct EventLoop<S> {
    poll: Poll,
    listener: TcpListener,
    /// Holds a descriptor, unless a connection has it.
    reserve: Option<OwnedFd>,
    accepting: Accepting,
    /// An answer that is known was put off to the next turn.
    more: bool,
    connections: Slab<Connection>,
    clock: Clock,
    site: S,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accepting {
    /// The queue is empty until the listener's next event.
    Waiting,
    /// There may be more in the queue.
    Ready,
    /// There was no descriptor for a connection in the queue. A serving thread may have taken the one that
    /// was freed: accepting is tried again.
    Starved,
}

struct Connection {
    stream: TcpStream,
    /// When it came, by the loop's clock.
    since: Instant,
    class: Class,
    state: State,
}

/// Connections that compete for the same seats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Its request is not complete.
    Silent,
    /// It asks for something.
    Asking,
    /// It asks for the server's health.
    Probing,
}

enum State {
    /// What came of the request's head.
    Reading(Vec<u8>),
    /// The request, and when it was complete.
    Waiting(Request, Instant),
    /// What is left of the answer.
    Answering(Bytes, Bytes),
    /// The answer is sent. The peer closes first, so that no reset destroys what it has not read.
    Closing,
}

impl<S: Site> EventLoop<S> {
    /// Does what can be done, then ends connections that took too long: what came in time is read first.
    fn turn(&mut self, events: &Events) {
        let now = self.clock.now();
        for event in events {
            match event.token() {
                LISTENER => self.accepting = Accepting::Ready,
                WAKER => {}
                Token(key) => self.go_on(key, now),
            }
        }
        if self.accepting != Accepting::Waiting {
            self.accept(now);
        }
        self.answer_waiting(now);
        let late = self.connections.iter();
        let late = late.filter(|(_, it)| it.since + DEADLINE <= now);
        for key in late.map(|(key, _)| key).collect::<Vec<_>>() {
            self.end(key);
        }
    }

    /// How long to wait for events.
    fn patience(&mut self) -> Option<Duration> {
        match self.accepting {
            _ if self.more => return Some(Duration::ZERO),
            Accepting::Ready => return Some(Duration::ZERO),
            Accepting::Starved => return Some(STARVED_PAUSE),
            Accepting::Waiting if self.connections.is_empty() => return None,
            Accepting::Waiting => {}
        }
        let is_waiting = |it: &Connection| matches!(it.state, State::Waiting(..));
        let waits = self.connections.iter().any(|(_, it)| is_waiting(it));
        let now = self.clock.now();
        let due = self.site.due().filter(|_| waits);
        let due = due.map_or(TICK, |due| due.saturating_duration_since(now));
        Some(due.min(TICK))
    }

    fn accept(&mut self, now: Instant) {
        self.accepting = Accepting::Ready;
        for _ in 0..ACCEPTS {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.accepting = Accepting::Waiting;
                    return;
                }
                Err(error) if is_of_the_peer(&error) => continue,
                // The process may open no more: the next to come gets the reserve.
                Err(_) if self.reserve.take().is_some() => continue,
                // It is in use: the queue keeps who comes until that is over.
                Err(_) => {
                    self.accepting = Accepting::Starved;
                    return;
                }
            };
            self.make_room(Class::Silent);
            let entry = self.connections.vacant_entry();
            let interest = Interest::READABLE | Interest::WRITABLE;
            let key = entry.key();
            let registry = self.poll.registry();
            if registry.register(&mut stream, Token(key), interest).is_ok() {
                entry.insert(Connection {
                    stream,
                    since: now,
                    class: Class::Silent,
                    state: State::Reading(Vec::new()),
                });
                // Most requests come with their connection.
                self.go_on(key, now);
            }
        }
    }

    /// Ends the oldest of a class that has no seat left.
    fn make_room(&mut self, class: Class) {
        let alike = || self.connections.iter().filter(|(_, it)| it.class == class);
        if alike().count() >= SEATS
            && let Some((oldest, _)) = alike().min_by_key(|(_, it)| it.since)
        {
            self.end(oldest);
        }
    }

    /// Closes a connection; its descriptor becomes the reserve, if that is in use. It is never free
    /// in between, when a serving thread could take it for a client.
    fn end(&mut self, key: usize) {
        let stream = self.connections.remove(key).stream;
        if self.reserve.is_none() {
            let mut descriptor = OwnedFd::from(std::net::TcpStream::from(stream));
            self.reserve = dup3(&self.listener, &mut descriptor, DupFlags::CLOEXEC)
                .is_ok()
                .then_some(descriptor);
        }
    }

    /// Reads and writes until the connection would block, has to wait, or is over.
    fn go_on(&mut self, key: usize, now: Instant) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        let over = loop {
            match connection.step(now) {
                Ok(Step::On) => {}
                Ok(Step::Wait) => break false,
                Ok(Step::Over) => break true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break error.kind() != io::ErrorKind::WouldBlock,
            }
        };
        if over {
            self.end(key);
            return;
        }
        let connection = &mut self.connections[key];
        if let (Class::Silent, State::Waiting(request, _)) = (connection.class, &connection.state) {
            let class = if request.is_probe() {
                Class::Probing
            } else {
                Class::Asking
            };
            self.make_room(class);
            self.connections[key].class = class;
            if class == Class::Probing {
                self.try_answer(key, now);
            }
        }
    }

    /// Answers waiting requests whose answers are known, the oldest first, and at most one long answer a
    /// turn.
    fn answer_waiting(&mut self, now: Instant) {
        const LONG: usize = 64 * 1024;
        let mut waiting: Vec<(Instant, usize)> = Vec::new();
        for (key, connection) in &self.connections {
            if let State::Waiting(_, asked_at) = connection.state {
                waiting.push((asked_at, key));
            }
        }
        waiting.sort_unstable();
        let mut keys = waiting.iter().map(|&(_, key)| key);
        self.more = keys.any(|key| self.try_answer(key, now) > LONG);
    }

    /// Answers a waiting request if its answer is known; returns the answer's length.
    fn try_answer(&mut self, key: usize, now: Instant) -> usize {
        let connection = &mut self.connections[key];
        let State::Waiting(request, asked_at) = &connection.state else {
            return 0;
        };
        let Some(response) = self.site.answer(request, *asked_at, now) else {
            return 0;
        };
        let (head, body) = response.into_parts(request.wants_body);
        let bytes = body.len();
        connection.state = State::Answering(head, body);
        self.go_on(key, now);
        bytes
    }
}

/// What becomes of a connection after a step.
enum Step {
    On,
    Wait,
    Over,
}

impl Connection {
    /// One read or write.
    fn step(&mut self, now: Instant) -> io::Result<Step> {
        match &mut self.state {
            State::Reading(head) => {
                let mut buffer = [0; 1024];
                let bytes = self.stream.read(&mut buffer)?;
                if bytes == 0 {
                    return Ok(Step::Over);
                }
                head.extend_from_slice(&buffer[..bytes]);
                match request::parse(head) {
                    None => {}
                    Some(Ok(request)) => self.state = State::Waiting(request, now),
                    Some(Err(refusal)) => {
                        let (head, body) = refusal.into_parts(true);
                        self.state = State::Answering(head, body);
                    }
                }
            }
            State::Waiting(..) => return Ok(Step::Wait),
            State::Answering(head, body) => {
                let part = if head.has_remaining() { head } else { body };
                if part.has_remaining() {
                    let sent = self.stream.write(part)?;
                    part.advance(sent);
                } else {
                    self.stream.shutdown(Shutdown::Write)?;
                    self.state = State::Closing;
                }
            }
            State::Closing => {
                let bytes = self.stream.read(&mut [0; 1024])?;
                return Ok(if bytes == 0 { Step::Over } else { Step::On });
            }
        }
        Ok(Step::On)
    }
}

/// The connection at the head of the queue broke; the next may be fine.
fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
