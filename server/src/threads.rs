//! Threads: starting one, with what is wrong when the kernel gives none; and pinning each to a processor
//! of its own, among those that the process may use.

use std::io;
use std::thread::{Builder, JoinHandle};

use rustix::io::Errno;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Starts a thread of this name.
///
/// # Errors
/// When the kernel gives none; the text says what to do about it.
pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let spawned = Builder::new().name(name.into()).spawn(run);
    spawned.map_err(|error| {
        let remedy = match Errno::from_io_error(&error) {
            Some(Errno::AGAIN) => {
                "; raise the limit on threads (ulimit -u, TasksMax=), or lower --threads"
            }
            Some(Errno::PERM | Errno::ACCESS | Errno::NOSYS | Errno::OPNOTSUPP) => {
                "; a seccomp filter refuses clone3, such as that of a container"
            }
            Some(Errno::NOMEM) => "; free memory, or lower --threads",
            _ => "",
        };
        let text = format!("the kernel gives no thread ({name}): {error}{remedy}");
        io::Error::new(error.kind(), text)
    })
}

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
