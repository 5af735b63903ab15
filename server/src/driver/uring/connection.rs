//! The driver's side of a connection: its socket, and what the ring is asked to do for it.

use super::kernel::Kernel;
use super::operation::Target;

/// At most one send and one receive are in flight. What they use stays until both have come back.
pub(super) struct Connection<K: Kernel> {
    pub(super) socket: K::Socket,
    pub(super) target: Target,
    pub(super) sending: Sending<K::Held>,
    pub(super) receiving: Receiving,
    /// How the receive was asked for.
    pub(super) multishot: bool,
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
pub(super) enum Receiving {
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
    pub(super) fn wants_receive(&self) -> bool {
        self.receiving == Receiving::Idle && !self.paused && !self.released
    }
}
