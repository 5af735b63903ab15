//! What the driver asks of the operating system: its ring, the sockets it accepts, and the time.
//!
//! The driver is generic over it. [`Ring`](super::ring::Ring) is the kernel that we run on; the
//! simulation is one that completes operations late, short, in any order and with any error.

use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::time::Instant;

use bytes::Bytes;
use rustix::net::Shutdown;

use super::operation::{Completion, Operation, Target};
use super::queue::Wait;
use crate::driver::RingCounters;

pub(super) trait Kernel {
    /// A connection's descriptor, which is closed when this is dropped. No operation may be in flight
    /// on it then.
    type Socket;
    /// Bytes that a send reads from. They stay where they are until this is dropped, which may not
    /// be before the completion of the send was taken.
    type Held: Deref<Target = [u8]>;

    fn now(&self) -> Instant;

    /// Has an operation submitted, at the latest by the next [`Self::enter`].
    fn push(&mut self, operation: Operation);

    /// Submits what was pushed, and waits for a completion as `wait` says.
    ///
    /// # Errors
    /// When the kernel takes no submission for a reason that waiting does not cure.
    fn enter(&mut self, wait: Wait) -> io::Result<()>;

    /// The next completion.
    fn reap(&mut self) -> Option<Completion>;

    fn counters(&self) -> RingCounters;

    /// Where newcomers wait.
    fn listener(&self) -> i32;

    /// Ends what accepts, and refuses whoever comes from now on, unless others listen there as well.
    /// The accept in flight still has to complete.
    fn stop_listening(&mut self);

    /// Refuses those who wait, although there is no descriptor left.
    fn refuse_waiting(&mut self, refusal: impl FnMut() -> Bytes);

    /// There are descriptors: one is put aside for [`Self::refuse_waiting`], if none is.
    fn refill_reserve(&mut self);

    /// Takes over a descriptor.
    ///
    /// # Safety
    /// A completion of an accept has just brought it, and nobody else has it.
    unsafe fn adopt(&mut self, descriptor: u32) -> Self::Socket;

    /// Whose socket it is; `None` when the peer is gone already.
    fn peer(&self, socket: &Self::Socket) -> Option<SocketAddr>;

    /// How operations name the socket from now on, until it is displaced. No two sockets may have the
    /// same place.
    fn place(&mut self, socket: &Self::Socket, place: u32) -> Target;

    /// Takes a socket from its place, which has to be done before it is closed.
    fn displace(&mut self, target: Target);

    /// Fails only when the connection is broken, which receiving tells.
    fn shutdown(&self, socket: &Self::Socket, how: Shutdown);

    /// Keeps bytes where they are.
    fn hold(&mut self, bytes: Bytes) -> Self::Held;

    /// How many receive buffers there are.
    fn buffers(&self) -> u16;

    /// The first `bytes` of a buffer that a completion named.
    fn filled(&self, buffer: u16, bytes: u32) -> &[u8];

    /// Puts back a buffer that a completion named. The kernel sees it after [`Self::publish`].
    fn give_back(&mut self, buffer: u16);

    /// Shows the kernel the buffers that were given back.
    fn publish(&mut self);

    /// Frees the buffers. No receive may be in flight.
    ///
    /// # Errors
    /// When the kernel does not let go of them.
    fn free_buffers(&mut self) -> io::Result<()>;
}
