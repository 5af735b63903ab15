//! The limit on open files: raised by the server itself, as far as the system allows.
//!
//! The limits are read from /proc, not asked for with prlimit64(2): a filter that refuses the call would
//! leave us with a number that nobody gave.

use std::fs::read_to_string;

use rustix::process::{Resource, Rlimit, setrlimit};

/// What a server asks for when the system would let it have any number.
const WANTED: u64 = 1 << 20;

/// Raises the limit on open files (`RLIMIT_NOFILE`) as far as possible; returns the limit in force, if
/// it can be found out.
///
/// An ordinary user can go up to the hard limit, root up to `fs.nr_open`.
pub(crate) fn raise_limit() -> Option<u64> {
    let nr_open = read_to_string("/proc/sys/fs/nr_open");
    let nr_open = nr_open.ok().and_then(|text| text.trim().parse().ok());
    let nr_open = nr_open.unwrap_or(WANTED);
    let (_, hard) = limits()?;
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
    limit()
}

/// The limit in force; `None` when it is unknown.
pub(crate) fn limit() -> Option<u64> {
    limits().map(|(soft, _)| soft)
}

/// The soft and the hard limit.
fn limits() -> Option<(u64, u64)> {
    let limits = read_to_string("/proc/self/limits").ok()?;
    parse(&limits)
}

/// See proc_pid_limits(5).
fn parse(limits: &str) -> Option<(u64, u64)> {
    let mut lines = limits.lines();
    let figures = lines.find_map(|line| line.strip_prefix("Max open files"))?;
    let figure = |text: &str| match text {
        "unlimited" => Some(u64::MAX),
        _ => text.parse().ok(),
    };
    let mut figures = figures.split_whitespace().map(figure);
    Some((figures.next()??, figures.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_read_as_the_kernel_says_it() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             unlimited            unlimited            processes \n\
                      Max open files            1024                 524288               files     \n";
        assert_eq!(parse(limits), Some((1024, 524_288)));
        assert_eq!(
            parse("Max open files unlimited unlimited files"),
            Some((u64::MAX, u64::MAX))
        );
        assert_eq!(parse(""), None);
        let limit = limit().unwrap();
        let asked = rustix::process::getrlimit(Resource::Nofile).current;
        assert_eq!(limit, asked.unwrap_or(u64::MAX));
    }
}
