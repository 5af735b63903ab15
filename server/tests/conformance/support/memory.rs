//! How much memory a server may take for what its clients do.

use super::{Program, Setup};

/// What is said in a program's `status` file, in bytes.
const KIB: u64 = 1024;

/// What a log may hold here, instead of its 64 MiB. Half of it is how far a receiver may be behind: enough
/// for one that the busy machine of a test leaves without a processor while the others read a flood.
pub(crate) const SMALL_LOG_BYTES: u64 = 8 << 20;

/// What every connection may cost: an unfinished frame in each direction, the batch of its send in
/// flight, one read while its reading is paused, and the rest of what is kept for it.
const CONNECTION_BYTES: u64 = (2 * 66 + 64 + 256 + 16) * KIB;

/// What every thread may cost beside: receive buffers (touched when first used), and the queues of a ring.
const THREAD_BYTES: u64 = 3 << 20;

/// What the allocator may keep of what was freed, for each thread.
const SLACK_BYTES: u64 = 4 << 20;

/// Looks at a program's memory from now on.
#[derive(Debug)]
pub(crate) struct Memory {
    baseline: u64,
    threads: u64,
}

impl Memory {
    /// The program is at rest.
    pub(crate) fn at_rest(server: &Program, setup: Setup) -> Self {
        Self {
            baseline: server.memory("VmRSS"),
            threads: setup.threads as u64,
        }
    }

    /// The most that was ever resident has to be within
    /// `baseline + log + connections x 468 KiB + threads x (3 MiB + 4 MiB)`.
    pub(crate) fn assert_bounded(&self, server: &Program, connections: usize) {
        let bound = self.baseline
            + SMALL_LOG_BYTES
            + connections as u64 * CONNECTION_BYTES
            + self.threads * (THREAD_BYTES + SLACK_BYTES);
        let peak = server.memory("VmHWM");
        assert!(
            peak <= bound,
            "{peak} bytes were resident, {bound} are allowed ({self:?}, {connections} connections)"
        );
    }
}
