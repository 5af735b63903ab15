//! The kernel that we run on: a ring, its buffers, its table of files, and a listening socket.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Instant;

use bytes::Bytes;
use io_uring::{IoUring, cqueue};
use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown};
use tracing::debug;

use super::buffers::{Buffers, Filled, GROUP};
use super::kernel::{Completion, Event, Kernel};
use super::operation::{Operation, Target, Token};
use super::queue::{Queue, Wait};
use crate::descriptors;
use crate::driver::RingCounters;

/// Most entries of a ring's table of files. Connections beyond it go by their descriptors.
const FIXED_FILES_MAX: u32 = 1 << 17;

pub(super) struct Ring<'ring> {
    queue: Queue<'ring>,
    /// Registered with the ring until [`Kernel::free_buffers`], or for ever.
    buffers: Option<Buffers>,
    /// Places in the ring's table of files.
    fixed_files: u32,
    /// Closed by [`Kernel::stop_listening`].
    listener: Option<TcpListener>,
    /// Others listen on it, too.
    listener_is_adopted: bool,
}

impl<'ring> Ring<'ring> {
    /// Takes over a ring without operations in flight.
    ///
    /// # Errors
    /// When the kernel has no buffer rings, or no memory to pin.
    pub(super) fn new(
        ring: &'ring mut IoUring,
        buffers: Buffers,
        listener: TcpListener,
        listener_is_adopted: bool,
    ) -> io::Result<Self> {
        // SAFETY: they are freed by `free_buffers` alone, which unregisters them first and whose
        // callers promise that no receive is in flight; else they are leaked (see `drop`).
        unsafe { buffers.register(&ring.submitter()) }?;
        Ok(Self {
            fixed_files: register_files(ring),
            queue: Queue::new(ring),
            buffers: Some(buffers),
            listener: Some(listener),
            listener_is_adopted,
        })
    }

    pub(super) fn fixed_files(&self) -> u32 {
        self.fixed_files
    }
}

// SAFETY: the bytes of a `Bytes` are immutable, and stay where they are for as long as it lives.
unsafe impl Kernel for Ring<'_> {
    type Socket = OwnedFd;
    type Held = Bytes;
    type Filled = Filled;

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn push(&mut self, operation: Operation) {
        self.queue.push(operation);
    }

    fn enter(&mut self, wait: Wait) -> io::Result<()> {
        self.queue.enter(wait)
    }

    fn has_more(&mut self) -> bool {
        self.queue.has_more()
    }

    fn reap(&mut self) -> Option<Completion<Self>> {
        let entry = self.queue.reap()?;
        let result = entry.result();
        let result = u32::try_from(result).map_err(|_| Errno::from_raw_os_error(-result));
        let event = match Token::from_bits(entry.user_data()) {
            Token::Accept => Event::Accepted(result.map(|descriptor| {
                // SAFETY: the kernel has just opened it for us, and for nobody else.
                unsafe { OwnedFd::from_raw_fd(descriptor.cast_signed()) }
            })),
            Token::Waker => Event::Woken,
            Token::Cancel => Event::Cancelled,
            Token::Receive(id) => {
                let buffer = cqueue::buffer_select(entry.flags());
                // SAFETY: a completion has just named it.
                let filled =
                    buffer.map(|buffer| unsafe { Filled::new(buffer, result.unwrap_or(0)) });
                Event::Received(id, result, filled)
            }
            Token::Send(id) => Event::Sent(id, result),
        };
        let goes_on = cqueue::more(entry.flags());
        Some(Completion { event, goes_on })
    }

    fn counters(&self) -> RingCounters {
        self.queue.counters()
    }

    fn listener(&self) -> i32 {
        let listener = self.listener.as_ref();
        listener.expect("nobody accepts after the end").as_raw_fd()
    }

    fn stop_listening(&mut self) {
        if let Some(listener) = self.listener.take() {
            // The accept in flight holds on to the socket.
            // Others' sockets must not be shut down, and a confined process cannot.
            if self.listener_is_adopted || shutdown(&listener, Shutdown::Both).is_err() {
                self.push(Operation::stop_accepting());
            }
        }
    }

    fn peer(&self, socket: &OwnedFd) -> Option<SocketAddr> {
        let peer = rustix::net::getpeername(socket).ok()??;
        SocketAddr::try_from(peer).ok()
    }

    fn place(&mut self, socket: &OwnedFd, place: u32) -> Target {
        let descriptor = socket.as_raw_fd();
        let files = self.queue.submitter();
        if place < self.fixed_files && files.register_files_update(place, &[descriptor]).is_ok() {
            Target::Fixed(place)
        } else {
            Target::Descriptor(descriptor)
        }
    }

    fn displace(&mut self, target: Target) {
        if let Target::Fixed(place) = target {
            // The table holds on to the file: without this, closing would send no FIN.
            let files = self.queue.submitter();
            let _ = files.register_files_update(place, &[-1]);
        }
    }

    fn shutdown(&self, socket: &OwnedFd, how: Shutdown) {
        let _ = shutdown(socket, how);
    }

    fn hold(&mut self, bytes: Bytes) -> Bytes {
        bytes
    }

    fn buffers(&self) -> u16 {
        self.buffers.as_ref().map_or(0, Buffers::count)
    }

    fn filled<'a>(&'a self, filled: &'a Filled) -> &'a [u8] {
        let buffers = self.buffers.as_ref();
        buffers
            .expect("nothing is received after the end")
            .filled(filled)
    }

    fn give_back(&mut self, filled: Filled) {
        if let Some(buffers) = &mut self.buffers {
            buffers.give_back(filled);
        }
    }

    fn publish(&mut self) {
        if let Some(buffers) = &self.buffers {
            buffers.publish();
        }
    }

    unsafe fn free_buffers(&mut self) -> io::Result<()> {
        self.queue.submitter().unregister_buf_ring(GROUP)?;
        self.buffers = None;
        Ok(())
    }
}

impl Drop for Ring<'_> {
    fn drop(&mut self) {
        // Only an error or a panic leaves buffers behind: the kernel may still write to them.
        std::mem::forget(self.buffers.take());
    }
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
    let entries = descriptors::limit()
        .and_then(|limit| u32::try_from(limit).ok())
        .map_or(FIXED_FILES_MAX, |limit| limit.min(FIXED_FILES_MAX));
    match ring.submitter().register_files_sparse(entries) {
        Ok(()) => entries,
        Err(error) => {
            debug!(target: "server::driver", %error, "no fixed files");
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
