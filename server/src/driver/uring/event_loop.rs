//! The event loop: what is due is pushed, one system call submits it and waits, and what completed is
//! handed to the hub.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::Shutdown;

use super::buffer_queue::BufferQueue;
use super::connection::Connection;
use super::kernel::{Completion, Event, Kernel};
use super::operation::{Operation, SLOTS_MAX};
use super::queue::Wait;
use crate::command::Commands;
use crate::control::{Control, Stage};
use crate::driver::accepting::{AcceptError, Accepting};
use crate::driver::connections::{Connections, Retries};
use crate::driver::{CHUNK, Deadlines, RingCounters, TurnEnd, drain, handle_wake};
use crate::hub::{Close, ConnectionId, Hub};

/// Buffers that one receive fills before others have their turn, at most.
const BUFFERS_A_RECEIVE: u16 = 32;

/// A hub at work on a kernel.
pub(super) struct EventLoop<K: Kernel> {
    pub(super) kernel: K,
    thread: usize,
    control: Arc<Control>,
    pub(super) hub: Hub,
    commands: Commands,
    pub(super) connections: Connections<Connection<K>>,
    accepting: Accepting,
    /// Draining: nobody is accepted any more.
    stopped_accepting: bool,
    /// The ring still has the accept, which may bring a descriptor.
    accept_in_flight: bool,
    /// The kernel has multishot receive (6.0).
    pub(super) multishot_receive: bool,
    /// Connections that are to receive once there are buffers.
    pub(super) starved: BufferQueue,
    /// Receives that found no buffer.
    pub(super) no_buffer: u64,
    /// Connections whose send found no memory.
    pub(super) retries: Retries,
    deadlines: Deadlines,
    turn_end: TurnEnd,
}

impl<K: Kernel> EventLoop<K> {
    pub(super) fn new(
        kernel: K,
        thread: usize,
        control: Arc<Control>,
        commands: Commands,
        hub: Hub,
    ) -> Self {
        Self {
            kernel,
            thread,
            control,
            hub,
            commands,
            connections: Connections::new(),
            accepting: Accepting::new(),
            stopped_accepting: false,
            accept_in_flight: false,
            multishot_receive: true,
            starved: BufferQueue::default(),
            no_buffer: 0,
            retries: Retries::default(),
            deadlines: Deadlines::default(),
            turn_end: TurnEnd::default(),
        }
    }

    pub(super) fn serve(&mut self) -> io::Result<()> {
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

    /// One turn: pushes what is due, and says how long to wait for what comes.
    pub(super) fn turn(&mut self) -> Wait {
        let now = self.kernel.now();
        let caught_up = self.starved.is_empty() && !self.kernel.has_more();
        // One connection may take that many buffers at once.
        let a_look = (self.kernel.buffers() / BUFFERS_A_RECEIVE).max(1);
        let deadlines = &mut self.deadlines;
        let look_again = deadlines.handle(&mut self.hub, caught_up, a_look.into(), now);
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
        let (hub, control) = (&mut self.hub, &self.control);
        self.turn_end.end_turn(hub, control, self.thread);
        // Looked at in every turn: under load there may be no wait to come back from.
        let accept_again = self.accept_again(now);
        if look_again || self.hub.has_transmits() || !self.starved.is_empty() {
            return Wait::No;
        }
        let deadlines = [self.hub.poll_timeout(), accept_again, self.retries.next()];
        let next = deadlines.into_iter().flatten().min();
        Wait::UpTo(next.map(|at| at.saturating_duration_since(now)))
    }

    pub(super) fn reap(&mut self) {
        while let Some(Completion { event, goes_on }) = self.kernel.reap() {
            match event {
                Event::Accepted(accepted) => self.accepted(accepted, goes_on),
                Event::Woken => self.woken(goes_on),
                Event::Cancelled => {}
                Event::Received(id, result, filled) => self.received(id, result, filled, goes_on),
                Event::Sent(id, result) => self.sent(id, result),
            }
        }
        self.kernel.publish();
    }

    fn watch_waker(&mut self) {
        let waker = self.control.waker(self.thread).as_raw_fd();
        self.kernel.push(Operation::watch_waker(waker));
    }

    fn woken(&mut self, goes_on: bool) {
        let now = self.kernel.now();
        let ring = RingCounters {
            no_buffer: self.no_buffer,
            ..self.kernel.counters()
        };
        let (hub, commands) = (&mut self.hub, &mut self.commands);
        handle_wake(hub, &self.control, commands, self.thread, Some(ring), now);
        if !goes_on {
            self.watch_waker();
        }
    }

    /// A newcomer, or the end of a multishot accept, which is armed again unless it has to pause.
    fn accepted(&mut self, accepted: Result<K::Socket, Errno>, goes_on: bool) {
        self.accept_in_flight = goes_on;
        let now = self.kernel.now();
        match accepted {
            _ if self.stopped_accepting => return,
            Ok(socket) => {
                if let Some(socket) = self.accepting.admit(socket, &mut self.hub, now) {
                    self.connect(socket);
                }
            }
            Err(error) => {
                if let AcceptError::Starved(error) = error.into() {
                    self.accepting.starve(&error, now);
                }
            }
        }
        if !goes_on && self.accepting.pause(now).is_none() {
            self.arm_accept();
        }
    }

    fn connect(&mut self, socket: K::Socket) {
        let Some(peer) = self.kernel.peer(&socket) else {
            return;
        };
        let id = self.hub.accept(peer, self.kernel.now());
        assert!(id.slot < SLOTS_MAX, "too many connections for one thread");
        let target = self.kernel.place(&socket, id.slot);
        self.connections.insert(id, Connection::new(socket, target));
        // Before the next wait, unless more came at once than there are buffers for.
        self.starved.push(id, false);
    }

    pub(super) fn arm_accept(&mut self) {
        self.accept_in_flight = true;
        let listener = self.kernel.listener();
        self.kernel.push(Operation::accept(listener));
    }

    /// Arms accepting again when its pause is over, else says when that will be.
    fn accept_again(&mut self, now: Instant) -> Option<Instant> {
        if self.accept_in_flight || self.stopped_accepting {
            return None;
        }
        let pause = self.accepting.pause(now);
        if pause.is_none() {
            self.arm_accept();
        }
        pause
    }

    fn stop_accepting(&mut self) {
        if !std::mem::replace(&mut self.stopped_accepting, true) {
            self.kernel.stop_listening();
        }
    }

    /// Lets as many of those who wait for a buffer receive as there are buffers.
    fn feed_the_starved(&mut self) {
        for id in self.starved.take(self.kernel.buffers()) {
            self.arm_receive(id);
        }
    }

    /// Receives again for those whom the hub wants to hear again.
    fn resume(&mut self) {
        while let Some(id) = self.hub.poll_resume() {
            if let Some(connection) = self.connections.get_mut(id) {
                connection.paused = false;
                self.arm_receive(id);
            }
        }
    }

    fn close(&mut self) {
        while let Some(close) = self.hub.poll_close() {
            match close {
                Close::ShutdownWrite(id) => {
                    if let Some(connection) = self.connections.get(id) {
                        self.kernel.shutdown(&connection.socket, Shutdown::Write);
                    }
                }
                Close::Release(id) => self.release(id),
            }
        }
    }

    /// Ends what is in flight for a connection, which closes it.
    fn release(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.released = true;
            // Completes a send that waits for room, and a receive that waits for bytes.
            self.kernel.shutdown(&connection.socket, Shutdown::Both);
            self.cancel_receive(id);
            self.report_put_off(id, self.kernel.now());
            self.close_if_over(id);
        }
    }

    /// Closes a connection that was released, once the ring has returned all that is its. It leaves the
    /// table of files first; then its slot may be used again.
    pub(super) fn close_if_over(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get(id)
            && connection.released
            && !connection.is_in_flight()
        {
            self.kernel.displace(connection.target);
            self.connections.remove(id);
            self.hub.closed(id);
        }
    }

    /// Ends all connections and waits for the ring to return what is in flight, so that nothing it
    /// reads or writes is freed under it, and no newcomer's descriptor is lost in it.
    pub(super) fn wind_down(&mut self) -> io::Result<()> {
        self.stop_accepting();
        self.hub.abandon(self.kernel.now());
        self.close();
        while self.accept_in_flight || !self.connections.is_empty() {
            self.kernel.enter(Wait::UpTo(None))?;
            self.reap();
        }
        // SAFETY: a receive is of a connection, and there is none left.
        unsafe { self.kernel.free_buffers() }
    }
}

impl<K: Kernel> Drop for EventLoop<K> {
    fn drop(&mut self) {
        // Only an error or a panic leaves sends behind: the kernel may still use their bytes.
        for id in self.connections.ids() {
            if let Some(connection) = self.connections.remove(id) {
                std::mem::forget(connection.sending);
            }
        }
    }
}
