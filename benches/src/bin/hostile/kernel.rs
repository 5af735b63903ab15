//! Kernel memory of TCP sockets: the peak over a run, as /proc/net/sockstat tells it in pages.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use benches::MIB;

/// How often the kernel is asked.
const INTERVAL: Duration = Duration::from_millis(100);

/// A watch that is kept until its end.
#[derive(Debug)]
pub(crate) struct SocketMemory {
    over: Arc<AtomicBool>,
    /// Gives the pages before, and the most since.
    watching: JoinHandle<Option<(u64, u64)>>,
}

impl SocketMemory {
    /// Begins to watch.
    pub(crate) fn watch() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let before = pages_now();
        let watching = thread::spawn(move || {
            let before = before?;
            let mut most = before;
            while !is_over.load(Ordering::Relaxed) {
                most = most.max(pages_now()?);
                thread::sleep(INTERVAL);
            }
            Some((before, most))
        });
        Self { over, watching }
    }

    /// Ends the watch; how much more than before there was at most. `None` if the kernel did not tell.
    pub(crate) fn peak_mib(self) -> Option<f64> {
        self.over.store(true, Ordering::Relaxed);
        let (before, most) = self.watching.join().ok()??;
        Some((most - before) as f64 * rustix::param::page_size() as f64 / MIB)
    }
}

fn pages_now() -> Option<u64> {
    pages(&fs::read_to_string("/proc/net/sockstat").ok()?)
}

fn pages(sockstat: &str) -> Option<u64> {
    let line = sockstat
        .lines()
        .find_map(|line| line.strip_prefix("TCP:"))?;
    let mut words = line.split_ascii_whitespace();
    words.find(|word| *word == "mem")?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_are_those_of_tcp() {
        let text =
            "sockets: used 300\nTCP: inuse 13 orphan 0 tw 2 alloc 17 mem 42\nUDP: inuse 0 mem 7\n";
        assert_eq!(pages(text), Some(42));
        assert_eq!(pages("UDP: inuse 0 mem 7\n"), None);
    }

    #[test]
    fn a_watch_ends_with_what_was_seen() {
        assert!(SocketMemory::watch().peak_mib().unwrap() >= 0.0);
    }
}
