//! The driver on a raw io_uring: one ring a thread, everything batched into few system calls.
//!
//! Accepting and receiving are multishot: asked for once, they answer again and again. Sends are
//! pushed by the chunk and submitted together with the wait for what comes next. What always holds:
//! a connection has at most one send and one receive in flight, and its descriptor, its slot and
//! the bytes it sends stay until the ring has returned both.

mod accepting;
mod buffer_queue;
mod buffers;
mod closing;
mod connection;
mod kernel;
mod operation;
mod queue;
mod receiving;
mod restriction;
mod ring;
mod sending;
#[cfg(test)]
mod simulation;

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use tracing::info;

use super::connections::Connections;
use super::retry::Retries;
use super::{CHUNK, RingCounters, Worker, drain, end_turn, handle_wake};
use crate::command::Commands;
use crate::control::{Control, Stage};
use crate::hub::{Hub, Snapshot};
use accepting::Accepting;
use buffer_queue::BufferQueue;
use buffers::Buffers;
use connection::Connection;
use kernel::Kernel;
use operation::{Completion, Operation, Token};
use queue::Wait;
use ring::Ring;

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
    let adopted = worker.listener_is_adopted;
    let kernel = Ring::new(&mut ring, buffers, worker.listener, adopted)?;
    let fixed_files = kernel.fixed_files();
    info!(thread = worker.thread, %features, fixed_files, "ring");
    // Nobody listens any more when another thread has failed.
    let _ = worker.begun.send(());
    let mut shell = Shell::new(
        kernel,
        worker.thread,
        worker.control,
        worker.commands,
        worker.hub,
    );
    shell.multishot_receive = sizes.multishot_receive;
    shell.serve()?;
    shell.wind_down()?;
    Ok(shell.hub.snapshot())
}

/// A hub at work on a kernel.
struct Shell<K: Kernel> {
    kernel: K,
    thread: usize,
    control: Arc<Control>,
    hub: Hub,
    commands: Commands,
    connections: Connections<Connection<K>>,
    accepting: Accepting,
    /// The ring still has the accept, which may bring a descriptor.
    accept_in_flight: bool,
    /// The operator was told that there is no descriptor left.
    starving: bool,
    /// The kernel has multishot receive (6.0).
    multishot_receive: bool,
    /// Connections that are to receive once there are buffers.
    starved: BufferQueue,
    /// Receives that found no buffer.
    no_buffer: u64,
    /// Connections whose send found no memory.
    retries: Retries,
}

impl<K: Kernel> Shell<K> {
    fn new(kernel: K, thread: usize, control: Arc<Control>, commands: Commands, hub: Hub) -> Self {
        Self {
            kernel,
            thread,
            control,
            hub,
            commands,
            connections: Connections::new(),
            accepting: Accepting::Armed,
            accept_in_flight: false,
            starving: false,
            multishot_receive: true,
            starved: BufferQueue::default(),
            no_buffer: 0,
            retries: Retries::default(),
        }
    }

    fn serve(&mut self) -> io::Result<()> {
        self.watch_waker();
        self.arm_accept();
        loop {
            match self.control.stage() {
                Stage::Serving => {}
                Stage::Draining => {
                    self.stop_accepting();
                    drain(&mut self.hub, &self.control, self.kernel.now());
                }
                Stage::Stopped => return Ok(()),
            }
            let wait = self.turn();
            if self.hub.is_draining() && self.hub.is_empty() {
                return Ok(());
            }
            self.kernel.enter(wait)?;
            self.reap();
        }
    }

    /// One turn of the event loop: pushes what is due, and says how long to wait for what comes.
    fn turn(&mut self) -> Wait {
        let now = self.kernel.now();
        self.hub.handle_timeout(now);
        self.send_again(now);
        for _ in 0..CHUNK {
            let Some(transmit) = self.hub.poll_transmit(now) else {
                break;
            };
            self.send(transmit.id, transmit.bytes);
        }
        self.close();
        self.resume();
        self.feed_the_starved();
        end_turn(&mut self.hub, &self.control, self.thread);
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
        while let Some(completion) = self.kernel.reap() {
            match completion.token {
                Token::Accept => self.accepted(completion),
                Token::Waker => self.woken(completion),
                Token::Cancel => {}
                Token::Receive(id) => self.received(id, completion),
                Token::Send(id) => self.sent(id, completion),
            }
        }
        self.kernel.publish();
    }

    fn woken(&mut self, completion: Completion) {
        let now = self.kernel.now();
        let ring = RingCounters {
            no_buffer: self.no_buffer,
            ..self.kernel.counters()
        };
        let (hub, commands) = (&mut self.hub, &mut self.commands);
        handle_wake(hub, &self.control, commands, self.thread, Some(ring), now);
        if !completion.goes_on {
            self.watch_waker();
        }
    }

    fn watch_waker(&mut self) {
        let waker = self.control.waker(self.thread).as_raw_fd();
        self.kernel.push(Operation::watch_waker(waker));
    }

    /// Ends all connections and waits for the ring to return what is in flight, so that nothing it
    /// reads or writes is freed under it, and no newcomer's descriptor is lost in it.
    fn wind_down(&mut self) -> io::Result<()> {
        self.stop_accepting();
        self.hub.abandon(self.kernel.now());
        self.close();
        while self.accept_in_flight || !self.connections.is_empty() {
            self.kernel.enter(Wait::UpTo(None))?;
            self.reap();
        }
        self.kernel.free_buffers()
    }
}

impl<K: Kernel> Drop for Shell<K> {
    fn drop(&mut self) {
        // Only an error or a panic leaves sends behind: the kernel may still use their bytes.
        for id in self.connections.ids() {
            if let Some(connection) = self.connections.remove(id) {
                std::mem::forget(connection.sending);
            }
        }
    }
}
