//! Confines a ring to what the driver does with it: whatever else is asked of it, the kernel refuses
//! with EACCES, so a ring that falls into wrong hands opens no file and connects to nobody.
//!
//! Restrictions are taken by a ring that is not enabled yet, once, and hold until it is closed.

use std::io;

use io_uring::register::Restriction;
use io_uring::{IoUring, opcode, squeue};

/// What [`super::operation`] builds.
const OPERATIONS: [u8; 6] = [
    opcode::AcceptMulti::CODE,
    opcode::PollAdd::CODE,
    opcode::RecvMulti::CODE,
    opcode::Recv::CODE,
    opcode::Send::CODE,
    opcode::AsyncCancel::CODE,
];

/// `IOSQE_FIXED_FILE` of `linux/io_uring.h`, which the crate sets by itself.
const FIXED_FILE: u8 = 1;

/// `enum io_uring_register_op` of `linux/io_uring.h`: the table of files (FILES2, FILES_UPDATE), the
/// ring's own descriptor (RING_FDS and its end), the ring of buffers (PBUF_RING and its end).
const REGISTRATIONS: [u8; 6] = [13, 6, 20, 21, 22, 23];

/// Restricts and enables a ring that was made disabled; the calling thread becomes its only
/// submitter, where it may have but one. Says whether the kernel took the restrictions.
///
/// # Errors
/// When the ring cannot be enabled.
pub(super) fn restrict_and_enable(ring: &IoUring) -> io::Result<bool> {
    let flags = squeue::Flags::BUFFER_SELECT.bits() | FIXED_FILE;
    let mut allowed = vec![Restriction::sqe_flags_allowed(flags)];
    allowed.extend(OPERATIONS.map(Restriction::sqe_op));
    allowed.extend(REGISTRATIONS.map(Restriction::register_op));
    let is_restricted = ring.submitter().register_restrictions(&mut allowed).is_ok();
    ring.submitter().register_enable_rings()?;
    Ok(is_restricted)
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::super::queue::set_up;
    use super::*;

    /// What the kernel answers to an operation.
    fn answer(ring: &mut IoUring, entry: &squeue::Entry) -> i32 {
        // SAFETY: the entries of these tests name no memory.
        unsafe { ring.submission().push(entry) }.unwrap();
        ring.submit_and_wait(1).unwrap();
        ring.completion().next().unwrap().result()
    }

    #[test]
    fn an_operation_that_is_not_on_the_list_is_refused() {
        let (mut ring, features) = set_up(4, 8).unwrap();
        assert!(features.restricted, "this kernel (5.10 or later) can do it");
        let refused = -Errno::ACCESS.raw_os_error();
        let socket = opcode::Socket::new(2, 1, 0).build();
        assert_eq!(answer(&mut ring, &socket), refused);
        assert_eq!(answer(&mut ring, &opcode::Nop::new().build()), refused);
        let linked = opcode::AsyncCancel::new(7).build();
        let linked = linked.flags(squeue::Flags::ASYNC);
        assert_eq!(
            answer(&mut ring, &linked),
            refused,
            "a flag that is not on it"
        );
        let eventfd = ring.submitter().register_eventfd_async(0).unwrap_err();
        assert_eq!(Errno::from_io_error(&eventfd), Some(Errno::ACCESS));
    }

    #[test]
    fn an_operation_on_the_list_is_carried_out() {
        let (mut ring, _) = set_up(4, 8).unwrap();
        let nothing_there = -Errno::NOENT.raw_os_error();
        let cancel = opcode::AsyncCancel::new(7).build();
        assert_eq!(answer(&mut ring, &cancel), nothing_there);
    }
}
