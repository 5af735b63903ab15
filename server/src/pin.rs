//! Pinning: each thread on a processor of its own, among those that the process may use.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Keeps the calling thread on the `index`-th processor that it may run on (counting round again
/// when there are fewer); returns the processor's number.
///
/// # Errors
/// What the kernel says.
pub(crate) fn pin_thread(index: usize) -> io::Result<usize> {
    let allowed = sched_getaffinity(None)?;
    let processors: Vec<usize> = (0..CpuSet::MAX_CPU)
        .filter(|&processor| allowed.is_set(processor))
        .collect();
    let processor = processors[index % processors.len()];
    let mut only = CpuSet::new();
    only.set(processor);
    sched_setaffinity(None, &only)?;
    Ok(processor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_may_run_on_one_processor() {
        let thread = std::thread::spawn(|| {
            let processor = pin_thread(7).unwrap();
            (processor, sched_getaffinity(None).unwrap())
        });
        let (processor, allowed) = thread.join().unwrap();
        assert_eq!(allowed.count(), 1);
        assert!(allowed.is_set(processor));
    }
}
