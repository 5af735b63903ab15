//! The driver on epoll, by way of `mio`: for hosts where io_uring is switched off.
//!
//! Sockets are watched edge-triggered and once for all, so a connection at rest costs no wake-up and
//! a send no system call but itself. What always holds: the bytes that no event will announce again
//! are remembered in `unread`, and a send that found no room is kept until the socket is writable.

use std::collections::VecDeque;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};

use super::accepting::{AcceptError, Accepting};
use super::connections::{Connections, Retries, passes};
use super::{
    ACCEPTS, CHUNK, Deadlines, READ_BYTES, TurnEnd, Worker, drain, handle_wake, tell_begun,
};
use crate::command::Commands;
use crate::control::{Control, Stage};
use crate::hub::{Close, ConnectionId, Disconnect, Hub, Reading, Snapshot};

/// Events that one system call returns.
const EVENTS: usize = 1024;

const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);

/// Serves on this thread until the control says stop, or all is drained.
///
/// # Errors
/// When the kernel refuses an epoll descriptor, or memory to watch the listener.
pub(super) fn run(worker: Worker) -> io::Result<Snapshot> {
    let poll = Poll::new()?;
    watch(&poll, &worker.listener, LISTENER, Interest::READABLE)?;
    let waker = worker.control.waker(worker.thread);
    watch(&poll, &waker, WAKER, Interest::READABLE)?;
    tell_begun(&worker.begun);
    let mut event_loop = EventLoop {
        thread: worker.thread,
        control: worker.control,
        hub: worker.hub,
        commands: worker.commands,
        poll,
        accepting: Accepting::new(),
        somebody_waits: true,
        listener: Some(worker.listener),
        connections: Connections::new(),
        unread: VecDeque::new(),
        retries: Retries::default(),
        deadlines: Deadlines::default(),
        turn_end: TurnEnd::default(),
        read_buffer: vec![0; READ_BYTES],
    };
    event_loop.serve()?;
    Ok(event_loop.hub.snapshot())
}

struct EventLoop {
    thread: usize,
    control: Arc<Control>,
    hub: Hub,
    commands: Commands,
    poll: Poll,
    /// Closed when draining begins.
    listener: Option<TcpListener>,
    accepting: Accepting,
    /// There may be somebody in the queue of the listener, of whom no event tells.
    somebody_waits: bool,
    connections: Connections<Connection>,
    /// Connections that are to be read from although no event says so.
    unread: VecDeque<ConnectionId>,
    /// Connections whose `blocked` waits for memory, not for room.
    retries: Retries,
    deadlines: Deadlines,
    turn_end: TurnEnd,
    read_buffer: Vec<u8>,
}

/// The driver's side of a connection.
struct Connection {
    stream: TcpStream,
    /// A transmit that found no room, until the socket is writable.
    blocked: Option<Bytes>,
    /// The hub wants no more input for now.
    paused: bool,
    /// It is in `unread`.
    unread: bool,
}

impl EventLoop {
    fn serve(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            match self.control.stage() {
                Stage::Serving => {}
                Stage::Draining => {
                    // Refuses whoever comes now.
                    self.listener = None;
                    drain(&mut self.hub, &self.control, Instant::now());
                }
                Stage::Stopped => return Ok(()),
            }
            let caught_up = self.unread.is_empty() && events.iter().count() < EVENTS;
            let patience = if self.turn(caught_up) {
                Some(Duration::ZERO)
            } else {
                self.patience()
            };
            if self.hub.is_draining() && self.hub.is_empty() {
                return Ok(());
            }
            match self.poll.poll(&mut events, patience) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => self.handle(&events),
            }
        }
    }

    /// One turn; says whether to look at what came without waiting.
    fn turn(&mut self, caught_up: bool) -> bool {
        let now = Instant::now();
        let deadlines = &mut self.deadlines;
        let look_again = deadlines.handle(&mut self.hub, caught_up, EVENTS as u64, now);
        while let Some(id) = self.retries.poll(now) {
            self.send_blocked(id, now);
        }
        for _ in 0..CHUNK {
            let Some(transmit) = self.hub.poll_transmit(now) else {
                break;
            };
            self.send(transmit.id, transmit.bytes, now);
        }
        self.close_and_resume();
        let (hub, control) = (&mut self.hub, &self.control);
        self.turn_end.end_turn(hub, control, self.thread);
        look_again
    }

    /// How long to wait for the next event; `None` is for ever.
    fn patience(&self) -> Option<Duration> {
        if self.hub.has_transmits() || !self.unread.is_empty() {
            return Some(Duration::ZERO);
        }
        let now = Instant::now();
        let accept_again = if self.somebody_waits && self.listener.is_some() {
            self.accepting.pause(now).or(Some(now))
        } else {
            None
        };
        let deadlines = [self.hub.poll_timeout(), accept_again, self.retries.next()];
        let next = deadlines.into_iter().flatten().min()?;
        Some(next.saturating_duration_since(now))
    }

    fn handle(&mut self, events: &Events) {
        let now = Instant::now();
        // What this turn leaves unread is for the next, after the others had theirs.
        for _ in 0..self.unread.len() {
            self.read_on(now);
        }
        for event in events {
            match event.token() {
                LISTENER => self.somebody_waits = true,
                WAKER => {
                    let (hub, commands) = (&mut self.hub, &mut self.commands);
                    handle_wake(hub, &self.control, commands, self.thread, None, now);
                }
                token => self.handle_connection(id_of(token), event, now),
            }
        }
        self.accept(now);
    }

    fn handle_connection(&mut self, id: ConnectionId, event: &Event, now: Instant) {
        if event.is_writable() {
            self.send_blocked(id, now);
        }
        if event.is_readable() {
            // The last bytes and the end of the stream may share this event.
            let to_the_end = event.is_read_closed() || event.is_error();
            self.read(id, to_the_end, now);
        }
    }

    fn send(&mut self, id: ConnectionId, bytes: Bytes, now: Instant) {
        let Some(connection) = self.connections.get_mut(id) else {
            unreachable!("the hub sends to connections that it was not told are closed");
        };
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match send(&connection.stream, &bytes, flags) {
            Ok(sent) => self.hub.transmitted(id, sent, now),
            Err(Errno::AGAIN) => connection.blocked = Some(bytes),
            Err(error) if passes(error) => {
                connection.blocked = Some(bytes);
                self.retries.put_off(id, now);
            }
            Err(error) => {
                let how = Disconnect::Error(error.to_string());
                self.hub.disconnected(id, how, now);
            }
        }
    }

    /// Tries again what found no room, if the connection is still there and has not got rid of it.
    fn send_blocked(&mut self, id: ConnectionId, now: Instant) {
        if let Some(connection) = self.connections.get_mut(id)
            && let Some(bytes) = connection.blocked.take()
        {
            self.send(id, bytes, now);
        }
    }

    /// Reads from the connection that has waited longest for it.
    fn read_on(&mut self, now: Instant) {
        if let Some(id) = self.unread.pop_front()
            && let Some(connection) = self.connections.get_mut(id)
        {
            connection.unread = false;
            self.read(id, true, now);
        }
    }

    /// Takes what there is, up to a bufferful. An event comes for what arrives after it; what is
    /// left over is remembered. Reading on `to_the_end` looks for it although the socket seems empty.
    fn read(&mut self, id: ConnectionId, to_the_end: bool, now: Instant) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        if connection.paused {
            return;
        }
        let most = READ_BYTES.min(self.hub.read_bytes_max());
        let received = recv(
            &connection.stream,
            &mut self.read_buffer[..most],
            RecvFlags::DONTWAIT,
        );
        match received {
            Ok((0, _)) => self.hub.disconnected(id, Disconnect::EndOfStream, now),
            Ok((bytes, _)) => match self.hub.receive(id, &self.read_buffer[..bytes], now) {
                Reading::Continue if to_the_end || bytes == most => {
                    self.remember_unread(id);
                }
                Reading::Continue => {}
                Reading::Pause => connection.paused = true,
            },
            Err(Errno::AGAIN) => {}
            Err(Errno::INTR) => self.remember_unread(id),
            Err(error) => {
                let how = Disconnect::Error(error.to_string());
                self.hub.disconnected(id, how, now);
            }
        }
    }

    fn remember_unread(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id)
            && !std::mem::replace(&mut connection.unread, true)
        {
            self.unread.push_back(id);
        }
    }

    fn close_and_resume(&mut self) {
        while let Some(close) = self.hub.poll_close() {
            match close {
                Close::ShutdownWrite(id) => {
                    if let Some(connection) = self.connections.get(id) {
                        // Fails only when the connection is broken, which reading tells.
                        let _ = shutdown(&connection.stream, Shutdown::Write);
                    }
                }
                Close::Release(id) => {
                    // Nothing is in flight: closing takes the socket out of the epoll set, too.
                    self.connections.remove(id);
                    self.hub.closed(id);
                }
            }
        }
        while let Some(id) = self.hub.poll_resume() {
            if let Some(connection) = self.connections.get_mut(id) {
                connection.paused = false;
                self.remember_unread(id);
            }
        }
    }

    /// Takes connections off the queue, unless none is left or it has to pause.
    fn accept(&mut self, now: Instant) {
        if !self.somebody_waits || self.accepting.pause(now).is_some() {
            return;
        }
        for _ in 0..ACCEPTS {
            let Some(listener) = &self.listener else {
                return;
            };
            match listener.accept().map_err(AcceptError::from) {
                Ok((stream, peer)) => {
                    if let Some(stream) = self.accepting.admit(stream, &mut self.hub, now) {
                        let id = self.hub.accept(peer, now);
                        self.connect(id, stream, now);
                    }
                }
                Err(AcceptError::PeerGaveUp) => {}
                Err(AcceptError::NobodyWaits) => {
                    self.somebody_waits = false;
                    return;
                }
                Err(AcceptError::Starved(error)) => {
                    self.accepting.starve(&error, now);
                    return;
                }
            }
        }
    }

    fn connect(&mut self, id: ConnectionId, stream: TcpStream, now: Instant) {
        let interest = Interest::READABLE | Interest::WRITABLE;
        let watched = watch(&self.poll, &stream, token_of(id), interest);
        let connection = Connection {
            stream,
            blocked: None,
            paused: false,
            unread: false,
        };
        self.connections.insert(id, connection);
        if let Err(error) = watched {
            let how = Disconnect::Error(error.to_string());
            self.hub.disconnected(id, how, now);
        }
    }
}

/// Watches a descriptor, edge-triggered, until it is closed.
fn watch(poll: &Poll, source: &impl AsRawFd, token: Token, interest: Interest) -> io::Result<()> {
    let fd = source.as_raw_fd();
    poll.registry()
        .register(&mut SourceFd(&fd), token, interest)
}

const GENERATION_SHIFT: u32 = 32;
const _: () = assert!(
    usize::BITS >= 64,
    "a token holds a slot and a generation of 32 bits each"
);

/// A token names a connection as its identifier does, so that a stale event finds nothing.
fn token_of(id: ConnectionId) -> Token {
    Token((id.generation as usize) << GENERATION_SHIFT | id.slot as usize)
}

fn id_of(token: Token) -> ConnectionId {
    #[expect(clippy::cast_possible_truncation, reason = "each half is 32 bits")]
    ConnectionId {
        slot: token.0 as u32,
        generation: (token.0 >> GENERATION_SHIFT) as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_name_connections() {
        for (slot, generation) in [(0, 0), (1, 2), (u32::MAX - 2, u32::MAX), (7, 1 << 31)] {
            let id = ConnectionId { slot, generation };
            assert_eq!(id_of(token_of(id)), id);
            assert!(![LISTENER, WAKER].contains(&token_of(id)));
        }
    }
}
