//! Memory: what the allocator keeps of a log that was long goes back to the system.
//!
//! A message is two small allocations, and glibc keeps what was freed of them: its heaps shrink from the
//! top alone, where something else was put meanwhile, so that no setting of its thresholds helps. Nothing
//! here is called for a message, only when the log has become shorter by megabytes.

use std::time::Instant;

use tracing::debug;

/// Gives back all whole pages that are free, wherever they lie, of all threads. What asks for memory waits
/// meanwhile: milliseconds for a full log of 64 MiB.
pub(crate) fn give_back() {
    let began = Instant::now();
    trim();
    debug!(target: "server::driver", took = ?began.elapsed(), "the log is shorter: free memory was given back to the system");
}

#[cfg(target_env = "gnu")]
fn trim() {
    // SAFETY: takes no pointer and touches nothing but free memory, under the allocator's own locks;
    // malloc_trim(3) says that any thread may call it.
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators have no such call.
#[cfg(not(target_env = "gnu"))]
const fn trim() {}
