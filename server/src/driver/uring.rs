//! The driver on a raw io_uring: one ring a thread, everything batched into few system calls.
//!
//! Accepting and receiving are multishot: asked for once, they answer again and again. Sends are
//! pushed by the chunk and submitted together with the wait for what comes next. What always holds:
//! a connection has at most one send and one receive in flight, and its descriptor, its slot and
//! the bytes it sends stay until the ring has returned both.

mod buffers;
mod operation;
mod queue;

use std::collections::VecDeque;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use io_uring::IoUring;
use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown};
use tracing::{debug, info};

use super::connections::Connections;
use super::reserve::Reserve;
use super::retry::{self, Retries};
use super::{ACCEPT_PAUSE, AcceptError, CHUNK, RingCounters, Worker, answer_bell, drain};
use crate::control::{Control, Stage};
use crate::hub::{Close, ConnectionId, Disconnect, Hub, Reading, Snapshot};
use crate::metrics::Reporter;
use buffers::{Buffers, GROUP};
use operation::{Completion, Operation, SLOTS_MAX, Target, Token};
use queue::{Queue, Wait};

/// How large the queues and buffers of a ring are. The defaults suit all but tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingSizes {
    /// Entries of the submission queue; a power of two.
    pub submissions: u32,
    /// Entries of the completion queue; a power of two. A burst of more takes a detour through the
    /// kernel's memory.
    pub completions: u32,
    /// Receive buffers of a thread; a power of two, at most 2^15. Each read takes one, however
    /// little came.
    pub buffers: u16,
    /// Size of a receive buffer. The kernel fills up to 32 in one go for one connection, and so much
    /// may come of one whose reading is to pause.
    pub buffer_bytes: u32,
    /// Let a receive go on by itself, as kernels can since 6.0. Older ones are found out.
    pub multishot_receive: bool,
}

impl Default for RingSizes {
    fn default() -> Self {
        Self {
            submissions: 512,
            completions: 16_384,
            buffers: 128,
            buffer_bytes: 8 * 1024,
            multishot_receive: true,
        }
    }
}

/// Most entries of a ring's table of files. Connections beyond it go by their descriptors.
const FIXED_FILES_MAX: u32 = 1 << 17;

/// Finds out whether a ring of these sizes, with its buffers, can be had; keeps nothing.
///
/// # Errors
/// What the kernel says to `io_uring_setup` or to the ring of buffers.
pub(super) fn probe(sizes: RingSizes) -> io::Result<()> {
    let buffers = Buffers::new(sizes.buffers, sizes.buffer_bytes);
    let (ring, _) = queue::set_up(sizes.submissions, sizes.completions)?;
    // SAFETY: no receive is ever submitted, and the ring is closed before the buffers are freed.
    unsafe { buffers.register(&ring.submitter()) }?;
    drop(ring);
    Ok(())
}

/// Serves on this thread until the control says stop, or all is drained.
///
/// # Errors
/// When the kernel refuses the ring or its buffers, or takes no more submissions.
pub(super) fn run(worker: Worker) -> io::Result<Snapshot> {
    let sizes = worker.ring;
    let (mut ring, features) = queue::set_up(sizes.submissions, sizes.completions)?;
    let buffers = Buffers::new(sizes.buffers, sizes.buffer_bytes);
    // SAFETY: `Shell::wind_down` waits until no receive is in flight, and `unregister` follows,
    // before the buffers are dropped; on the way of an error they are leaked.
    unsafe { buffers.register(&ring.submitter()) }?;
    let fixed_files = register_files(&ring);
    info!(thread = worker.thread, %features, fixed_files, "ring");
    worker.tell_begun();
    let mut shell = Shell {
        thread: worker.thread,
        control: worker.control,
        hub: worker.hub,
        reporter: worker.reporter,
        no_buffer: 0,
        listener: Some(worker.listener),
        listener_is_adopted: worker.listener_is_adopted,
        queue: Queue::new(&mut ring),
        buffers: Some(buffers),
        connections: Connections::new(),
        fixed_files,
        multishot_receive: sizes.multishot_receive,
        starved: VecDeque::new(),
        retries: Retries::default(),
        accepting: Accepting::Armed,
        starving: false,
        reserve: Reserve::new(),
    };
    shell.serve()?;
    shell.wind_down()?;
    Ok(shell.hub.snapshot())
}

/// Gives the ring a table of files, one place for each slot; returns its size (0: there is none).
///
/// Before 6.13 a receive in flight kept every file that left the table after it was armed
/// (<https://github.com/axboe/liburing/issues/1192>): one quiet subscriber would have held on to all
/// connections that came and went. There we do without.
fn register_files(ring: &IoUring) -> u32 {
    if kernel_version() < (6, 13) {
        return 0;
    }
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let entries = descriptors
        .and_then(|limit| u32::try_from(limit).ok())
        .map_or(FIXED_FILES_MAX, |limit| limit.min(FIXED_FILES_MAX));
    match ring.submitter().register_files_sparse(entries) {
        Ok(()) => entries,
        Err(error) => {
            debug!(%error, "no fixed files");
            0
        }
    }
}

/// The kernel's major and minor version; (0, 0) when it does not say.
fn kernel_version() -> (u32, u32) {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let mut numbers = release
        .split(|character: char| !character.is_ascii_digit())
        .map_while(|digits| digits.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

struct Shell<'ring> {
    thread: usize,
    control: Arc<Control>,
    hub: Hub,
    reporter: Option<Reporter>,
    /// Receives that found no buffer.
    no_buffer: u64,
    /// Closed when draining begins.
    listener: Option<TcpListener>,
    /// Others listen on it, too.
    listener_is_adopted: bool,
    queue: Queue<'ring>,
    /// There until [`Shell::wind_down`], or for ever.
    buffers: Option<Buffers>,
    connections: Connections<Connection>,
    fixed_files: u32,
    /// The kernel has multishot receive (6.0).
    multishot_receive: bool,
    /// Connections whose receive found no buffer.
    starved: VecDeque<ConnectionId>,
    /// Connections whose send found no memory.
    retries: Retries,
    accepting: Accepting,
    /// The operator was told that there is no descriptor left.
    starving: bool,
    reserve: Reserve,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accepting {
    Armed,
    /// No descriptor was left: to be armed again at this time.
    Pausing(Instant),
    /// Draining.
    Over,
}

/// The driver's side of a connection.
struct Connection {
    socket: OwnedFd,
    target: Target,
    sending: Sending,
    receiving: Receiving,
    /// How the receive was asked for.
    multishot: bool,
    /// The hub wants no more input for now.
    paused: bool,
    /// The hub gave the connection up.
    released: bool,
}

#[derive(Debug)]
enum Sending {
    /// A send reads from these bytes.
    InFlight(#[expect(dead_code, reason = "the kernel reads them")] Bytes),
    /// A send found no memory. For the hub it is on its way; it is reported when it is due again.
    PutOff,
    Idle,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Receiving {
    Armed,
    /// A cancel was submitted; the receive has not ended yet.
    Cancelling,
    /// None is in flight.
    Idle,
    /// The stream has ended; there is nothing to arm again.
    Ended,
}

impl Receiving {
    fn is_in_flight(self) -> bool {
        matches!(self, Self::Armed | Self::Cancelling)
    }
}

impl Connection {
    fn is_in_flight(&self) -> bool {
        matches!(self.sending, Sending::InFlight(_)) || self.receiving.is_in_flight()
    }
}

impl Shell<'_> {
    fn serve(&mut self) -> io::Result<()> {
        let bell = self.control.bell(self.thread).as_raw_fd();
        self.queue.push(Operation::watch_bell(bell));
        self.arm_accept();
        loop {
            match self.control.stage() {
                Stage::Serving => {}
                Stage::Draining => {
                    self.stop_accepting();
                    drain(&mut self.hub, &self.control);
                }
                Stage::Stopped => return Ok(()),
            }
            let wait = self.turn();
            if self.hub.is_draining() && self.hub.is_empty() {
                return Ok(());
            }
            self.queue.enter(wait)?;
            self.reap();
        }
    }

    /// One turn of the conveyor: pushes what is due, and says how long to wait for what comes.
    fn turn(&mut self) -> Wait {
        let now = Instant::now();
        self.hub.handle_timeout(now);
        self.send_again(now);
        for _ in 0..CHUNK {
            let Some(transmit) = self.hub.poll_transmit(now) else {
                break;
            };
            self.send(transmit.id, transmit.bytes);
        }
        self.close_and_resume();
        self.feed_the_starved();
        if self.hub.takes_back_wake_of_others() {
            self.control.ring_others(self.thread);
        }
        // Looked at in every turn: under load there may be no wait to come back from.
        let accept_again = self.accept_again(now);
        if self.hub.has_transmits() || !self.starved.is_empty() {
            return Wait::No;
        }
        let deadlines = [self.hub.poll_timeout(), accept_again, self.retries.next()];
        let next = deadlines.into_iter().flatten().min();
        Wait::UpTo(next.map(|at| at.saturating_duration_since(now)))
    }

    fn reap(&mut self) {
        while let Some(completion) = self.queue.reap() {
            match completion.token {
                Token::Accept => self.accepted(completion),
                Token::Bell => self.bell_rang(completion),
                Token::Cancel => {}
                Token::Receive(id) => self.received(id, completion),
                Token::Send(id) => self.sent(id, completion),
            }
        }
        if let Some(buffers) = &self.buffers {
            buffers.publish();
        }
    }

    fn accepted(&mut self, completion: Completion) {
        match completion.result {
            Ok(fd) => {
                self.starving = false;
                self.reserve.refill();
                // SAFETY: the kernel has just opened this descriptor for us, and for nobody else.
                let socket = unsafe { OwnedFd::from_raw_fd(fd.cast_signed()) };
                if self.listener.is_some() {
                    self.connect(socket);
                }
            }
            Err(_) if self.listener.is_none() => {}
            Err(error) => {
                let error = AcceptError::from(io::Error::from(error));
                if let AcceptError::Starved(starved) = error {
                    if !std::mem::replace(&mut self.starving, true) {
                        starved.warn();
                    }
                    if let Some(listener) = &self.listener {
                        self.reserve.refuse_waiting(listener, || self.hub.refuse());
                    }
                    self.accepting = Accepting::Pausing(Instant::now() + ACCEPT_PAUSE);
                    return;
                }
            }
        }
        if !completion.goes_on {
            self.arm_accept();
        }
    }

    fn connect(&mut self, socket: OwnedFd) {
        // Fails when the peer is gone already.
        let Ok(Some(peer)) = rustix::net::getpeername(&socket) else {
            return;
        };
        let Ok(peer) = std::net::SocketAddr::try_from(peer) else {
            return;
        };
        let id = self.hub.accept(peer, Instant::now());
        assert!(id.slot < SLOTS_MAX, "too many connections for one thread");
        let fd = socket.as_raw_fd();
        let files = self.queue.submitter();
        let fixed =
            id.slot < self.fixed_files && files.register_files_update(id.slot, &[fd]).is_ok();
        let connection = Connection {
            socket,
            target: if fixed {
                Target::Fixed(id.slot)
            } else {
                Target::Descriptor(fd)
            },
            sending: Sending::Idle,
            receiving: Receiving::Idle,
            multishot: false,
            paused: false,
            released: false,
        };
        self.connections.insert(id, connection);
        self.arm_receive(id);
    }

    fn bell_rang(&mut self, completion: Completion) {
        let now = Instant::now();
        answer_bell(&mut self.hub, &self.control, self.thread, now);
        if let Some(reporter) = &mut self.reporter {
            let ring = RingCounters {
                no_buffer: self.no_buffer,
                ..self.queue.counters()
            };
            reporter.report(&self.hub, Some(ring), now);
        }
        if !completion.goes_on {
            let bell = self.control.bell(self.thread).as_raw_fd();
            self.queue.push(Operation::watch_bell(bell));
        }
    }

    fn received(&mut self, id: ConnectionId, completion: Completion) {
        let now = Instant::now();
        let Some(connection) = self.connections.get_mut(id) else {
            unreachable!("a connection stays until its receive has ended");
        };
        if !completion.goes_on {
            connection.receiving = Receiving::Idle;
        }
        match completion.result {
            Ok(0) => {
                connection.receiving = Receiving::Ended;
                self.hub.disconnected(id, Disconnect::EndOfStream, now);
            }
            Ok(bytes) => self.take_in(id, completion.buffer, bytes, now),
            Err(Errno::NOBUFS) => {
                self.no_buffer += 1;
                self.starved.push_back(id);
            }
            Err(Errno::CANCELED | Errno::INTR | Errno::AGAIN) => {}
            Err(Errno::INVAL) if connection.multishot => {
                debug!("no multishot receive");
                self.multishot_receive = false;
            }
            Err(error) => {
                connection.receiving = Receiving::Ended;
                let how = Disconnect::Error(error.to_string());
                self.hub.disconnected(id, how, now);
            }
        }
        if let (Some(buffers), Some(buffer)) = (&mut self.buffers, completion.buffer) {
            buffers.give_back(buffer);
        }
        if completion.result != Err(Errno::NOBUFS) {
            self.arm_receive(id);
        }
        self.close_if_over(id);
    }

    /// Hands received bytes to the hub, and stops receiving if it wants no more.
    fn take_in(&mut self, id: ConnectionId, buffer: Option<u16>, bytes: u32, now: Instant) {
        let (Some(buffers), Some(buffer)) = (&self.buffers, buffer) else {
            unreachable!("bytes come in a buffer");
        };
        let reading = self.hub.receive(id, buffers.filled(buffer, bytes), now);
        if reading == Reading::Pause
            && let Some(connection) = self.connections.get_mut(id)
        {
            connection.paused = true;
            if connection.receiving == Receiving::Armed {
                connection.receiving = Receiving::Cancelling;
                self.queue.push(Operation::cancel(Token::Receive(id)));
            }
        }
    }

    fn send(&mut self, id: ConnectionId, bytes: Bytes) {
        let Some(connection) = self.connections.get_mut(id) else {
            unreachable!("the hub sends to connections that it was not told are closed");
        };
        assert!(
            matches!(connection.sending, Sending::Idle),
            "one send at a time"
        );
        // SAFETY: `sending`, which was empty, keeps these bytes, which are immutable, until `sent`
        // takes the completion; the connection stays as long (see `close_if_over`).
        let send = unsafe { Operation::send(id, connection.target, &bytes) };
        connection.sending = Sending::InFlight(bytes);
        self.queue.push(send);
    }

    fn sent(&mut self, id: ConnectionId, completion: Completion) {
        let now = Instant::now();
        let Some(connection) = self.connections.get_mut(id) else {
            unreachable!("a connection stays until its send has ended");
        };
        connection.sending = Sending::Idle;
        match completion.result {
            Ok(bytes) => self.hub.transmitted(id, bytes as usize, now),
            Err(error) if retry::passes(error) => {
                connection.sending = Sending::PutOff;
                self.retries.put_off(id, now);
            }
            Err(error) => {
                let how = Disconnect::Error(error.to_string());
                self.hub.disconnected(id, how, now);
            }
        }
        self.close_if_over(id);
    }

    /// The hub goes on with sends that found no memory a while ago.
    fn send_again(&mut self, now: Instant) {
        while let Some(id) = self.retries.poll(now) {
            if let Some(connection) = self.connections.get_mut(id)
                && matches!(connection.sending, Sending::PutOff)
            {
                connection.sending = Sending::Idle;
                self.hub.transmitted(id, 0, now);
            }
        }
    }

    fn close_and_resume(&mut self) {
        while let Some(close) = self.hub.poll_close() {
            match close {
                Close::ShutdownWrite(id) => {
                    if let Some(connection) = self.connections.get_mut(id) {
                        // Fails only when the connection is broken, which receiving tells.
                        let _ = shutdown(&connection.socket, Shutdown::Write);
                    }
                }
                Close::Release(id) => self.release(id),
            }
        }
        while let Some(id) = self.hub.poll_resume() {
            if let Some(connection) = self.connections.get_mut(id) {
                connection.paused = false;
                self.arm_receive(id);
            }
        }
    }

    /// Ends what is in flight for a connection, which closes it.
    fn release(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.released = true;
            if matches!(connection.sending, Sending::PutOff) {
                connection.sending = Sending::Idle;
                self.hub.transmitted(id, 0, Instant::now());
            }
            // Completes a send that waits for room, and a receive that waits for bytes.
            let _ = shutdown(&connection.socket, Shutdown::Both);
            if connection.receiving == Receiving::Armed {
                connection.receiving = Receiving::Cancelling;
                self.queue.push(Operation::cancel(Token::Receive(id)));
            }
            self.close_if_over(id);
        }
    }

    /// Closes a connection that was released, once the ring has returned all that is its.
    fn close_if_over(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        if !connection.released || connection.is_in_flight() {
            return;
        }
        if let Target::Fixed(index) = connection.target {
            // The table holds on to the file: without this, closing would send no FIN.
            let files = self.queue.submitter();
            let _ = files.register_files_update(index, &[-1]);
        }
        self.connections.remove(id);
        self.hub.closed(id);
    }

    /// Asks for more input, unless that was done, or none is wanted, or none will come.
    fn arm_receive(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id)
            && connection.receiving == Receiving::Idle
            && !connection.paused
            && !connection.released
        {
            connection.receiving = Receiving::Armed;
            connection.multishot = self.multishot_receive;
            self.queue.push(if connection.multishot {
                Operation::receive_on(id, connection.target, GROUP)
            } else {
                Operation::receive_once(id, connection.target, GROUP)
            });
        }
    }

    /// Lets as many of those who found no buffer try again as there are buffers.
    fn feed_the_starved(&mut self) {
        let buffers = self.buffers.as_ref().map_or(0, Buffers::count);
        for _ in 0..buffers {
            let Some(id) = self.starved.pop_front() else {
                return;
            };
            self.arm_receive(id);
        }
    }

    fn arm_accept(&mut self) {
        if let Some(listener) = &self.listener {
            self.accepting = Accepting::Armed;
            self.queue.push(Operation::accept(listener.as_raw_fd()));
        }
    }

    /// Arms accepting again when its pause is over, else says when that will be.
    fn accept_again(&mut self, now: Instant) -> Option<Instant> {
        match self.accepting {
            Accepting::Pausing(until) if until > now => Some(until),
            Accepting::Pausing(_) => {
                self.arm_accept();
                None
            }
            Accepting::Armed | Accepting::Over => None,
        }
    }

    fn stop_accepting(&mut self) {
        if let Some(listener) = self.listener.take() {
            self.accepting = Accepting::Over;
            // Ends the accept in flight, which holds on to the socket, and refuses whoever comes.
            if self.listener_is_adopted {
                self.queue.push(Operation::cancel(Token::Accept));
            } else {
                let _ = shutdown(&listener, Shutdown::Both);
            }
        }
    }

    /// Ends all connections and waits for the ring to return what is in flight, so that nothing it
    /// reads or writes is freed under it.
    fn wind_down(&mut self) -> io::Result<()> {
        self.stop_accepting();
        self.hub.abandon(Instant::now());
        self.close_and_resume();
        while !self.connections.is_empty() {
            self.queue.enter(Wait::UpTo(None))?;
            self.reap();
        }
        self.queue.submitter().unregister_buf_ring(GROUP)?;
        self.buffers = None;
        Ok(())
    }
}

impl Drop for Shell<'_> {
    fn drop(&mut self) {
        // Only an error or a panic leaves buffers and sends behind: the kernel may still use them.
        std::mem::forget(self.buffers.take());
        for id in self.connections.ids() {
            if let Some(connection) = self.connections.remove(id) {
                std::mem::forget(connection.sending);
            }
        }
    }
}
