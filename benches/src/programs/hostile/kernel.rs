//! Kernel memory of all TCP sockets of this host: the peak over a run, as /proc/net/sockstat tells it.

use std::fs;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::run::MIB;

/// How often the kernel is asked.
const INTERVAL: Duration = Duration::from_millis(100);

/// A watch that is kept until its end.
#[derive(Debug)]
pub(super) struct SocketMemory {
    before: u64,
    /// Ends the watch when it is dropped.
    watched: Sender<()>,
    watch: JoinHandle<u64>,
}

impl SocketMemory {
    /// Begins to watch.
    pub(super) fn watch() -> Self {
        let (watched, ended) = channel();
        let before = pages_now();
        let watch = thread::spawn(move || {
            let mut most = before;
            while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                most = most.max(pages_now());
            }
            most
        });
        Self {
            before,
            watched,
            watch,
        }
    }

    /// Ends the watch; how much more than before there was at most.
    pub(super) fn peak_mib(self) -> f64 {
        drop(self.watched);
        let most = self
            .watch
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (most - self.before) as f64 * rustix::param::page_size() as f64 / MIB
    }
}

fn pages_now() -> u64 {
    let sockstat = fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    pages(&sockstat).unwrap_or(0)
}

fn pages(sockstat: &str) -> Option<u64> {
    let line = sockstat
        .lines()
        .find_map(|line| line.strip_prefix("TCP:"))?;
    line.split_once(" mem ")?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_are_those_of_tcp() {
        let text = "sockets: used 300\nTCP: inuse 13 orphan 0 tw 2 alloc 17 mem 42\nUDP: mem 7\n";
        assert_eq!(pages(text), Some(42));
        assert_eq!(pages("UDP: inuse 0 mem 7\n"), None);
        assert!(SocketMemory::watch().peak_mib() >= 0.0);
    }
}
