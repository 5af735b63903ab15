//! Memory: whether the system gives as much as the server may use, and what the allocator keeps of a log
//! that was long, which goes back to the system.
//!
//! A message is two small allocations, and glibc keeps what was freed of them: its heaps shrink from the
//! top alone, where something else was put meanwhile, so that no setting of its thresholds helps. Nothing
//! here is called for a message, only when the log, or what clients sent and waits, shrank by megabytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tracing::{debug, warn};

/// What a server takes beside its log and the input that waits: the program, what the allocator keeps, and the first thousands of
/// clients.
const PROCESS_BYTES: u64 = 24 << 20;

/// What each thread takes: its ring, its buffers and its stack.
const THREAD_BYTES: u64 = 2 << 20;

/// The most of something that was held, since so much of it was freed that the memory is worth giving back.
#[derive(Debug, Default)]
pub(crate) struct Peak(AtomicUsize);

impl Peak {
    /// By how much what is held has to shrink, in bytes.
    pub(crate) const SHRUNK_BYTES: usize = 8 << 20;

    /// Whether `bytes`, which are held now, are at most half of the peak and [`Self::SHRUNK_BYTES`] below it.
    /// To be asked now and then; of all threads that ask, one is told, once.
    pub(crate) fn has_shrunk(&self, bytes: usize) -> bool {
        let most = self.0.load(Ordering::Relaxed);
        if bytes > most {
            self.0.fetch_max(bytes, Ordering::Relaxed);
            return false;
        }
        most - bytes >= Self::SHRUNK_BYTES.max(most / 2)
            && self
                .0
                .compare_exchange(most, bytes, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

/// The memory limit of a control group.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MemoryLimit {
    bytes: u64,
    /// The file that sets it.
    file: PathBuf,
}

impl MemoryLimit {
    /// The lowest limit that holds for this process; `None` without one, and where it cannot be read.
    pub(crate) fn read() -> Option<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        Self::read_below(Path::new("/sys/fs/cgroup"), &groups)
    }

    /// `groups` is what /proc/self/cgroup says: see cgroups(7).
    fn read_below(mount: &Path, groups: &str) -> Option<Self> {
        let limits = groups.lines().filter_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (_, controllers, group) = (parts.next()?, parts.next()?, parts.next()?);
            let (folder, file) = match controllers {
                "" => (mount.to_owned(), "memory.max"),
                v1 if v1.split(',').any(|it| it == "memory") => {
                    (mount.join("memory"), "memory.limit_in_bytes")
                }
                _ => return None,
            };
            // In a container, the folder may be that of the group itself.
            let group = Path::new(group).strip_prefix("/").ok()?;
            let limits = group.ancestors().filter_map(|group| {
                let file = folder.join(group).join(file);
                let bytes = fs::read_to_string(&file).ok()?.trim().parse().ok()?;
                Some(Self { bytes, file })
            });
            limits.min_by_key(|limit| limit.bytes)
        });
        // Version 1 writes no limit as the largest number of pages.
        let limits = limits.filter(|limit| limit.bytes < 1 << 62);
        limits.min_by_key(|limit| limit.bytes)
    }

    /// Warns if a server may use more than that. `log_bytes_max` is `None` for a log without a bound.
    pub(crate) fn warn_if_short(
        &self,
        log_bytes_max: Option<usize>,
        input_bytes_max: usize,
        threads: usize,
    ) {
        let Self { bytes, file } = self;
        let Some(log_bytes_max) = log_bytes_max else {
            warn!(
                target: "server",
                limit_bytes = bytes,
                limit = %file.display(),
                "the log has no bound, and memory has: the kernel may kill the server; set --log-bytes"
            );
            return;
        };
        if let Some(needed_bytes) = self.shortfall(log_bytes_max, input_bytes_max, threads) {
            warn!(
                target: "server",
                limit_bytes = bytes,
                needed_bytes,
                limit = %file.display(),
                "the memory limit is below what the server may use: the kernel may kill it; raise the limit \
                 or lower --log-bytes and --max-input-bytes"
            );
        }
    }

    /// What the server may use, if it is more than the limit.
    fn shortfall(
        &self,
        log_bytes_max: usize,
        input_bytes_max: usize,
        threads: usize,
    ) -> Option<u64> {
        let threads = THREAD_BYTES.saturating_mul(threads as u64);
        let needed = (log_bytes_max as u64)
            .saturating_add(input_bytes_max as u64)
            .saturating_add(PROCESS_BYTES + threads);
        (needed > self.bytes).then_some(needed)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    /// The limit where these files say so, to a process in these groups.
    fn limit(files: &[(&str, &str)], groups: &str) -> Option<u64> {
        let mount = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let file = mount.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        MemoryLimit::read_below(mount.path(), groups).map(|limit| limit.bytes)
    }

    #[test]
    fn the_lowest_limit_of_the_group_and_those_above_it_counts() {
        let v2 = "0::/a/b\n";
        let files = [("a/memory.max", "1000\n"), ("a/b/memory.max", "max\n")];
        assert_eq!(limit(&files, v2), Some(1000));
        let files = [("a/memory.max", "1000\n"), ("a/b/memory.max", "900\n")];
        assert_eq!(limit(&files, v2), Some(900));
        assert_eq!(limit(&[("a/memory.max", "max\n")], v2), None);
        assert_eq!(limit(&[], "no groups"), None);

        let v1 = "5:cpu,memory:/docker/1\n1:pids:/x\n0::/\n";
        let none = "9223372036854771712\n";
        let files = [
            ("memory/docker/1/memory.limit_in_bytes", "2000\n"),
            ("memory/memory.limit_in_bytes", none),
        ];
        assert_eq!(limit(&files, v1), Some(2000));
        assert_eq!(limit(&files[1..], v1), None);
        // The container sees its own group alone.
        let files = [("memory/memory.limit_in_bytes", "3000\n")];
        assert_eq!(limit(&files, v1), Some(3000));
    }

    #[test]
    fn what_the_server_may_use_is_its_log_the_input_that_waits_and_what_it_is_itself() {
        let limit = |bytes| MemoryLimit {
            bytes,
            file: PathBuf::new(),
        };
        let (log, input) = (64 << 20, 32 << 20);
        assert!(limit(96 << 20).shortfall(log, input, 1).is_some());
        assert_eq!(limit(128 << 20).shortfall(log, input, 1), None);
        assert!(limit(128 << 20).shortfall(log, input, 16).is_some());
        assert!(
            limit(u64::MAX - 1)
                .shortfall(usize::MAX, input, 1)
                .is_some()
        );
    }
}
