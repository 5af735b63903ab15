//! The driver on a raw io_uring: one ring a thread, everything batched into few system calls.
//!
//! Accepting and receiving are multishot: asked for once, they answer again and again. Sends are
//! pushed by the chunk and submitted together with the wait for what comes next. What always holds:
//! a connection has at most one send and one receive in flight, and its descriptor, its slot and
//! the bytes it sends stay until the ring has returned both.
//!
//! [`event_loop`] and [`connection`] are the loop; they see the kernel through [`kernel`], which
//! [`ring`] is on a real one.

mod buffer_queue;
mod buffers;
mod connection;
mod event_loop;
mod kernel;
mod operation;
mod queue;
mod ring;
mod setup;
#[cfg(test)]
mod simulation;

use std::io;

use tracing::info;

use super::{Worker, tell_begun};
use crate::hub::Snapshot;
use buffers::Buffers;
use event_loop::EventLoop;
use ring::Ring;

pub(super) use setup::{probe, set_up};

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

/// Serves on this thread until the control says stop, or all is drained.
///
/// # Errors
/// When the kernel refuses the ring or its buffers, or takes no more submissions.
pub(super) fn run(worker: Worker) -> io::Result<Snapshot> {
    let sizes = worker.ring;
    let (mut ring, features) = set_up(sizes.submissions, sizes.completions)?;
    let buffers = Buffers::new(sizes.buffers, sizes.buffer_bytes);
    let adopted = worker.listener_is_adopted;
    let kernel = Ring::new(&mut ring, buffers, worker.listener, adopted)?;
    let fixed_files = kernel.fixed_files();
    info!(target: "server::driver", thread = worker.thread, %features, fixed_files, "ring");
    tell_begun(&worker.begun);
    let mut event_loop = EventLoop::new(
        kernel,
        worker.thread,
        worker.control,
        worker.commands,
        worker.hub,
    );
    event_loop.multishot_receive = sizes.multishot_receive;
    event_loop.serve()?;
    event_loop.wind_down()?;
    Ok(event_loop.hub.snapshot())
}
