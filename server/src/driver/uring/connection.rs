//! A connection: its socket, what the ring is asked to do for it, and what comes of that.
//!
//! A receive goes on by itself until the stream or the buffers end, or the hub wants no more. One send
//! is on its way at a time. What always holds: what an operation uses stays until it has come back.

use std::time::Instant;

use bytes::Bytes;
use rustix::io::Errno;
use tracing::debug;

use super::event_loop::EventLoop;
use super::kernel::Kernel;
use super::operation::{Operation, Target, Token};
use crate::driver::connections::passes;
use crate::hub::{ConnectionId, Disconnect, Reading};

/// At most one send and one receive are in flight.
pub(super) struct Connection<K: Kernel> {
    pub(super) socket: K::Socket,
    pub(super) target: Target,
    pub(super) sending: Sending<K::Held>,
    receiving: Receiving,
    /// How the receive was asked for.
    multishot: bool,
    /// The hub wants no more input for now.
    pub(super) paused: bool,
    /// The hub gave the connection up.
    pub(super) released: bool,
}

pub(super) enum Sending<H> {
    Idle,
    /// A send reads from these bytes.
    InFlight(H),
    /// A send found no memory. For the hub it is on its way; it is reported when it is due again.
    PutOff,
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

impl<K: Kernel> Connection<K> {
    pub(super) fn new(socket: K::Socket, target: Target) -> Self {
        Self {
            socket,
            target,
            sending: Sending::Idle,
            receiving: Receiving::Idle,
            multishot: false,
            paused: false,
            released: false,
        }
    }

    /// Whether the ring still has something of this connection.
    pub(super) fn is_in_flight(&self) -> bool {
        let sends = matches!(self.sending, Sending::InFlight(_));
        sends || matches!(self.receiving, Receiving::Armed | Receiving::Cancelling)
    }

    /// Whether a receive is to be asked for.
    fn wants_receive(&self) -> bool {
        self.receiving == Receiving::Idle && !self.paused && !self.released
    }
}

impl<K: Kernel> EventLoop<K> {
    /// Each buffer is given back, also when the connection is gone, which has nobody to tell.
    pub(super) fn received(
        &mut self,
        id: ConnectionId,
        result: Result<u32, Errno>,
        filled: Option<K::Filled>,
        goes_on: bool,
    ) {
        if let Some(connection) = self.connections.get_mut(id) {
            if !goes_on {
                connection.receiving = Receiving::Idle;
            }
            self.take_received(id, result, filled.as_ref());
        }
        if let Some(filled) = filled {
            self.kernel.give_back(filled);
        }
        if result != Err(Errno::NOBUFS) {
            self.arm_receive(id);
        }
        self.close_if_over(id);
    }

    fn take_received(
        &mut self,
        id: ConnectionId,
        result: Result<u32, Errno>,
        filled: Option<&K::Filled>,
    ) {
        let now = self.kernel.now();
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        match result {
            Ok(0) => {
                connection.receiving = Receiving::Ended;
                self.hub.disconnected(id, Disconnect::EndOfStream, now);
            }
            Ok(_) => {
                let filled = filled.expect("bytes come in a buffer");
                let reading = self.hub.receive(id, self.kernel.filled(filled), now);
                if reading == Reading::Pause {
                    connection.paused = true;
                    self.cancel_receive(id);
                }
            }
            Err(Errno::NOBUFS) => {
                self.no_buffer += 1;
                self.starved.push(id, self.hub.has_joined(id));
            }
            Err(Errno::CANCELED | Errno::INTR | Errno::AGAIN) => {}
            Err(Errno::INVAL) if connection.multishot => {
                debug!(target: "server::driver", "no multishot receive");
                self.multishot_receive = false;
            }
            Err(error) => {
                connection.receiving = Receiving::Ended;
                let how = Disconnect::Error(error.to_string());
                self.hub.disconnected(id, how, now);
            }
        }
    }

    /// Ends the receive in flight, if there is one; its completion tells.
    pub(super) fn cancel_receive(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id)
            && connection.receiving == Receiving::Armed
        {
            connection.receiving = Receiving::Cancelling;
            self.kernel.push(Operation::cancel(Token::Receive(id)));
        }
    }

    /// Asks for more input, unless that was done, or none is wanted, or none will come.
    ///
    /// One that goes on by itself may fill many buffers before it hears of a pause, so that it is asked for one
    /// at a time while the hub wants to be told little.
    pub(super) fn arm_receive(&mut self, id: ConnectionId) {
        let takes_any = self.hub.read_bytes_max() == usize::MAX;
        if let Some(connection) = self.connections.get_mut(id)
            && connection.wants_receive()
        {
            connection.receiving = Receiving::Armed;
            connection.multishot = self.multishot_receive && takes_any;
            self.kernel.push(if connection.multishot {
                Operation::receive_on(id, connection.target)
            } else {
                Operation::receive_once(id, connection.target)
            });
        }
    }

    pub(super) fn send(&mut self, id: ConnectionId, bytes: Bytes) {
        let Some(connection) = self.connections.get_mut(id) else {
            unreachable!("the hub sends to connections that it was not told are closed");
        };
        let idle = matches!(connection.sending, Sending::Idle);
        assert!(idle, "one send at a time");
        let held = self.kernel.hold(bytes);
        // SAFETY: `sending`, which was empty, holds these bytes until `sent` takes the completion;
        // the connection stays as long (see `close_if_over`), and is leaked where no completion is
        // waited for (see `drop`).
        let send = unsafe { Operation::send(id, connection.target, &held) };
        connection.sending = Sending::InFlight(held);
        self.kernel.push(send);
    }

    /// A send of a connection that is gone has nobody to tell.
    pub(super) fn sent(&mut self, id: ConnectionId, result: Result<u32, Errno>) {
        let now = self.kernel.now();
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        connection.sending = Sending::Idle;
        match result {
            Ok(bytes) => self.hub.transmitted(id, bytes as usize, now),
            Err(error) if passes(error) && !connection.released => {
                connection.sending = Sending::PutOff;
                self.retries.put_off(id, now);
            }
            Err(error) if passes(error) => self.hub.transmitted(id, 0, now),
            Err(error) => {
                let how = Disconnect::Error(error.to_string());
                self.hub.disconnected(id, how, now);
            }
        }
        self.close_if_over(id);
    }

    /// The hub goes on with sends that found no memory a while ago.
    pub(super) fn send_again(&mut self, now: Instant) {
        while let Some(id) = self.retries.poll(now) {
            self.report_put_off(id, now);
        }
    }

    /// Tells the hub of a send that was put off that nothing of it was sent.
    pub(super) fn report_put_off(&mut self, id: ConnectionId, now: Instant) {
        if let Some(connection) = self.connections.get_mut(id)
            && matches!(connection.sending, Sending::PutOff)
        {
            connection.sending = Sending::Idle;
            self.hub.transmitted(id, 0, now);
        }
    }
}
