//! The queues of a ring: filled, entered, reaped.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{CompletionQueue, IoUring, SubmissionQueue, Submitter, cqueue};
use rustix::io::Errno;

use super::operation::Operation;
use crate::driver::RingCounters;

/// How long [`Queue::enter`] waits for a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// Not at all.
    No,
    /// Until one is there, but no longer than this if it says so.
    UpTo(Option<Duration>),
}

/// Both queues of a ring, in use by its thread.
pub(super) struct Queue<'ring> {
    submitter: Submitter<'ring>,
    submissions: SubmissionQueue<'ring>,
    completions: CompletionQueue<'ring>,
    /// Operations that found the submission queue full while the kernel would take none.
    backlog: VecDeque<Operation>,
    counters: RingCounters,
}

impl<'ring> Queue<'ring> {
    pub(super) fn new(ring: &'ring mut IoUring) -> Self {
        let (mut submitter, submissions, completions) = ring.split();
        // Saves a look-up for each entry into the kernel; older kernels do without.
        let _ = submitter.register_ring_fd();
        Self {
            submitter,
            submissions,
            completions,
            backlog: VecDeque::new(),
            counters: RingCounters::default(),
        }
    }

    /// How often a queue was too small.
    pub(super) fn counters(&self) -> RingCounters {
        self.counters
    }

    pub(super) fn submitter(&self) -> &Submitter<'ring> {
        &self.submitter
    }

    /// Puts an operation into the queue; it is submitted at the latest by the next
    /// [`Self::enter`].
    pub(super) fn push(&mut self, operation: Operation) {
        if !self.backlog.is_empty() || !self.try_push(&operation) {
            self.counters.submissions_full += 1;
            // Room is made by submitting what is there.
            let _ = self.submit(Wait::No);
            if !self.backlog.is_empty() || !self.try_push(&operation) {
                self.backlog.push_back(operation);
            }
        }
    }

    /// Submits all that was pushed, and waits for a completion as `wait` says.
    ///
    /// # Errors
    /// When the kernel takes no submission for a reason that waiting does not cure.
    pub(super) fn enter(&mut self, wait: Wait) -> io::Result<()> {
        loop {
            self.push_backlog();
            // With more to submit, waiting now could wait for something not yet asked for.
            let last = self.backlog.is_empty();
            self.submit(if last { wait } else { Wait::No })?;
            // A queue that stays full wants completions to be taken first.
            if last || !self.completions.is_empty() || self.submissions.is_full() {
                return Ok(());
            }
        }
    }

    /// Whether something is left to be submitted or to be completed: the kernel completes a part of
    /// what it could in each system call.
    pub(super) fn has_more(&mut self) -> bool {
        self.submissions.sync();
        let completes = self.submissions.taskrun() || self.submissions.cq_overflow();
        completes || !self.backlog.is_empty()
    }

    /// The next completion.
    pub(super) fn reap(&mut self) -> Option<cqueue::Entry> {
        if self.completions.is_empty() {
            self.completions.sync();
        }
        self.completions.next()
    }

    fn submit(&mut self, wait: Wait) -> io::Result<()> {
        self.submissions.sync();
        // The kernel takes this back once it has moved them into the queue.
        let overflows = self.submissions.cq_overflow();
        let submitted = match wait {
            Wait::No => self.submitter.submit_and_wait(0),
            Wait::UpTo(None) => self.submitter.submit_and_wait(1),
            Wait::UpTo(Some(time)) => {
                let time = Timespec::from(time);
                let limit = SubmitArgs::new().timespec(&time);
                self.submitter.submit_with_args(1, &limit)
            }
        };
        self.submissions.sync();
        self.completions.sync();
        self.counters.completions_overflow += u64::from(overflows);
        match submitted {
            Ok(_) => Ok(()),
            Err(error) => match Errno::from_io_error(&error) {
                // Time is up, a signal came, or completions have to be taken first.
                Some(Errno::TIME | Errno::INTR | Errno::BUSY | Errno::AGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    fn push_backlog(&mut self) {
        while let Some(operation) = self.backlog.front() {
            // SAFETY: as in `try_push`.
            if unsafe { self.submissions.push(&operation.entry()) }.is_err() {
                break;
            }
            self.backlog.pop_front();
        }
    }

    fn try_push(&mut self, operation: &Operation) -> bool {
        // SAFETY: an `Operation` names no memory but that of a send, which stays valid until its
        // completion as its constructor demands; descriptors are checked by the kernel.
        unsafe { self.submissions.push(&operation.entry()) }.is_ok()
    }
}
