//! The limit on open files: raised by the server itself, as far as the system allows.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a server asks for when the system would let it have any number.
const WANTED: u64 = 1 << 20;

/// Raises the limit on open files (`RLIMIT_NOFILE`) as far as possible; returns the limit in force.
///
/// An ordinary user can go up to the hard limit, root up to `fs.nr_open`.
pub(crate) fn raise_limit() -> u64 {
    let before = getrlimit(Resource::Nofile);
    let nr_open = std::fs::read_to_string("/proc/sys/fs/nr_open")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(WANTED);
    let hard = before.maximum.unwrap_or(u64::MAX);
    let wanted = WANTED.min(nr_open).max(hard.min(nr_open));
    for maximum in [wanted, hard] {
        let raised = Rlimit {
            current: Some(maximum),
            maximum: Some(maximum.max(hard)),
        };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            break;
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
