//! The two ring operations that the runtime's own API lacks: waiting for readiness, and OP_SEND
//! (which skips the file layer that OP_WRITE goes through).
//!
//! Each operation owns its connection (or whatever else the descriptor belongs to), so the
//! descriptor outlives the operation even when nobody waits for it any more.

use std::io;
use std::marker::PhantomData;
use std::os::fd::RawFd;

use bytes::Bytes;
use io_uring_06::{cqueue, opcode, types};
use rustix::event::PollFlags;
use rustix::net::SendFlags;
use tokio_uring::{OneshotOutputTransform, UnsubmittedOneshot};

/// Waits until `fd`, which `owner` keeps open, can be read from or has ended.
///
/// # Errors
/// When the kernel cannot watch the descriptor.
pub(super) async fn readable<O: Unpin + 'static>(fd: RawFd, owner: O) -> io::Result<()> {
    let events = PollFlags::IN | PollFlags::RDHUP;
    let entry = opcode::PollAdd::new(types::Fd(fd), u32::from(events.bits())).build();
    operate(owner, entry).await.map(|_| ())
}

/// Sends the beginning of `bytes` on `fd`, which `owner` keeps open; returns how many the kernel
/// took.
///
/// # Errors
/// When the connection broke.
pub(super) async fn send<O: Unpin + 'static>(
    fd: RawFd,
    owner: O,
    bytes: Bytes,
) -> io::Result<usize> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let flags = SendFlags::NOSIGNAL.bits().cast_signed();
    let entry = opcode::Send::new(types::Fd(fd), bytes.as_ptr(), length)
        .flags(flags)
        .build();
    operate((owner, bytes), entry).await
}

async fn operate<D: Unpin + 'static>(
    data: D,
    entry: io_uring_06::squeue::Entry,
) -> io::Result<usize> {
    UnsubmittedOneshot::new(data, Outcome(PhantomData), entry)
        .submit()
        .await
}

/// Turns a completion into a result and lets go of what the operation owned.
struct Outcome<D>(PhantomData<D>);

impl<D> OneshotOutputTransform for Outcome<D> {
    type Output = io::Result<usize>;
    type StoredData = D;

    fn transform_oneshot_output(self, _owned: D, completion: cqueue::Entry) -> Self::Output {
        let result = completion.result();
        usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
    }
}
