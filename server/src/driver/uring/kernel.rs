//! What the driver asks of the operating system: its ring, the sockets it accepts, and the time.
//!
//! The driver is generic over it. [`Ring`](super::ring::Ring) is the kernel that we run on; the
//! simulation is one that completes operations late, short, in any order and with any error.

use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::time::Instant;

use bytes::Bytes;
use rustix::io::Errno;
use rustix::net::Shutdown;

use super::operation::{Operation, Target};
use super::queue::Wait;
use crate::driver::RingCounters;
use crate::driver::accepting::Newcomer;
use crate::hub::ConnectionId;

/// # Safety
/// Bytes that are held stay where they are and unchanged until their [`Self::Held`] is dropped: the
/// driver has operations point into them.
pub(super) unsafe trait Kernel: Sized {
    /// A connection's descriptor, which is closed when this is dropped. No operation may be in flight
    /// on it then.
    type Socket: Newcomer;
    /// Bytes that a send reads from.
    type Held: Deref<Target = [u8]>;
    /// A receive buffer that was filled; it is the driver's until it gives it back.
    type Filled;

    fn now(&self) -> Instant;

    /// Has an operation submitted, at the latest by the next [`Self::enter`].
    fn push(&mut self, operation: Operation);

    /// Submits what was pushed, and waits for a completion as `wait` says.
    ///
    /// # Errors
    /// When the kernel takes no submission for a reason that waiting does not cure.
    fn enter(&mut self, wait: Wait) -> io::Result<()>;

    /// Whether the kernel has more to tell than the last [`Self::enter`] brought.
    fn has_more(&mut self) -> bool;

    /// The next completion.
    fn reap(&mut self) -> Option<Completion<Self>>;

    fn counters(&self) -> RingCounters;

    /// Where newcomers wait.
    fn listener(&self) -> i32;

    /// Ends what accepts, and refuses whoever comes from now on, unless others listen there as well.
    /// The accept in flight still has to complete.
    fn stop_listening(&mut self);

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

    /// What came.
    fn filled<'a>(&'a self, filled: &'a Self::Filled) -> &'a [u8];

    /// Puts a buffer back. The kernel sees it after [`Self::publish`].
    fn give_back(&mut self, filled: Self::Filled);

    /// Shows the kernel the buffers that were given back.
    fn publish(&mut self);

    /// Frees the buffers.
    ///
    /// # Errors
    /// When the kernel does not let go of them.
    ///
    /// # Safety
    /// No receive may be in flight.
    unsafe fn free_buffers(&mut self) -> io::Result<()>;
}

/// What the kernel says of an operation.
pub(super) struct Completion<K: Kernel> {
    pub(super) event: Event<K>,
    /// The operation goes on: more completions of it will come.
    pub(super) goes_on: bool,
}

/// Which operation it was, and what came of it.
pub(super) enum Event<K: Kernel> {
    /// A connection was accepted, or accepting ended.
    Accepted(Result<K::Socket, Errno>),
    /// The waker became readable.
    Woken,
    /// An operation was cancelled, or was over before that; the operation itself tells.
    Cancelled,
    /// Bytes came, in a buffer, or receiving ended.
    Received(ConnectionId, Result<u32, Errno>, Option<K::Filled>),
    /// The one send of a connection is done.
    Sent(ConnectionId, Result<u32, Errno>),
}
