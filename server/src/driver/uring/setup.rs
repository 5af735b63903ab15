//! Setting up a ring: with what the kernel has, confined to what the driver does with it.

use std::fmt;
use std::io;

use io_uring::register::Restriction;
use io_uring::{IoUring, opcode, squeue};
use rustix::io::Errno;

use super::RingSizes;
use super::buffers::Buffers;
use super::operation::Operation;

/// Finds out whether a ring of these sizes, with its buffers, can be had; keeps nothing.
///
/// # Errors
/// As [`set_up`], and what the kernel says to the ring of buffers.
pub(in crate::driver) fn probe(sizes: RingSizes) -> io::Result<()> {
    let buffers = Buffers::new(sizes.buffers, sizes.buffer_bytes);
    let (ring, _) = set_up(sizes.submissions, sizes.completions)?;
    // SAFETY: no receive is ever submitted, and the ring is closed before the buffers are freed.
    unsafe { buffers.register(&ring.submitter()) }?;
    drop(ring);
    Ok(())
}

/// A ring that works, with as many features as the kernel has, stepping down as long as it answers EINVAL.
///
/// The ring belongs to the calling thread, and is confined to what the driver does with it: whatever
/// else is asked of it, the kernel refuses with EACCES, so a ring that falls into wrong hands opens no
/// file and connects to nobody.
///
/// # Errors
/// Any other answer, or EINVAL to the plainest ring.
pub(in crate::driver) fn set_up(
    submissions: u32,
    completions: u32,
) -> io::Result<(IoUring, Features)> {
    let mut refusal = io::Error::from(io::ErrorKind::Unsupported);
    for features in Features::STEPS {
        match features.build(submissions, completions) {
            Ok(mut ring) => {
                let restricted = restrict_and_enable(&ring)?;
                operate(&mut ring)?;
                let features = Features {
                    restricted,
                    ..features
                };
                return Ok((ring, features));
            }
            Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => refusal = error,
            Err(error) => return Err(error),
        }
    }
    Err(refusal)
}

/// Carries out an operation: a filter may let a ring be made, and not used.
fn operate(ring: &mut IoUring) -> io::Result<()> {
    let cancel = Operation::stop_accepting();
    // SAFETY: it names no memory. It finds nothing to cancel.
    let pushed = unsafe { ring.submission().push(&cancel.entry()) };
    pushed.expect("there is room for one");
    while ring.completion().next().is_none() {
        match ring.submit_and_wait(1) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// What of the kernel's offers a ring was set up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::driver) struct Features {
    /// Since 6.6: no indirection between the queue and its entries.
    pub(super) no_sqarray: bool,
    /// Since 6.1 (with SINGLE_ISSUER, 6.0): completions are worked off when we ask, all at once.
    pub(super) defer_taskrun: bool,
    /// Since 5.18/5.19: no interrupt for a completion; a bad entry does not end a submission.
    pub(super) coop_taskrun: bool,
    /// Since 5.10: the ring does nothing but what this driver asks of it.
    pub(super) restricted: bool,
}

impl Features {
    /// From the most that any kernel offers to the least that every kernel does.
    const STEPS: [Self; 4] = [
        Self::new(true, true, true),
        Self::new(false, true, true),
        Self::new(false, false, true),
        Self::new(false, false, false),
    ];

    const fn new(no_sqarray: bool, defer_taskrun: bool, coop_taskrun: bool) -> Self {
        Self {
            no_sqarray,
            defer_taskrun,
            coop_taskrun,
            restricted: false,
        }
    }

    fn build(self, submissions: u32, completions: u32) -> io::Result<IoUring> {
        let mut builder = IoUring::builder();
        builder.setup_clamp().setup_cqsize(completions).dontfork();
        // Until it is restricted.
        builder.setup_r_disabled();
        if self.coop_taskrun {
            builder
                .setup_submit_all()
                .setup_coop_taskrun()
                .setup_taskrun_flag();
        }
        if self.defer_taskrun {
            builder.setup_single_issuer().setup_defer_taskrun();
        }
        if self.no_sqarray {
            builder.setup_no_sqarray();
        }
        builder.build(submissions)
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (self.defer_taskrun, "SINGLE_ISSUER DEFER_TASKRUN"),
            (self.coop_taskrun, "COOP_TASKRUN SUBMIT_ALL"),
            (self.no_sqarray, "NO_SQARRAY"),
            (self.restricted, "RESTRICTED"),
        ];
        let taken: Vec<&str> = names
            .iter()
            .filter(|(taken, _)| *taken)
            .map(|(_, name)| *name)
            .collect();
        f.write_str(&taken.join(" "))
    }
}

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
fn restrict_and_enable(ring: &IoUring) -> io::Result<bool> {
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
