//! The host: what it must grant for thousands of sockets, and what a reader of figures must know of it.

use std::fs;
use std::net::Ipv4Addr;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use loadgen::host;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::run::MIB;

/// What figures depend on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Host {
    kernel: String,
    cpu: String,
    /// Processors that this program may use.
    cpus: usize,
    /// Programs that wanted to run in the last minute (proc_loadavg(5)), before the measurement.
    pub(crate) load_average: f64,
}

impl Host {
    /// This host, now.
    pub(crate) fn this() -> Self {
        let environment = host::look(Ipv4Addr::LOCALHOST.into(), None);
        let unknown = || "unknown".to_owned();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split_ascii_whitespace().next().map(str::parse);
        Self {
            kernel: environment.kernel.unwrap_or_else(unknown),
            cpu: environment.cpu.unwrap_or_else(unknown),
            cpus: environment.cores.unwrap_or(1),
            load_average: load.and_then(std::result::Result::ok).unwrap_or(0.0),
        }
    }

    pub(crate) fn in_words(&self) -> String {
        format!("{} x {}, Linux {}", self.cpus, self.cpu, self.kernel)
    }
}

/// Makes sure that this process, and what it starts, can have `sockets` sockets open at once.
pub(crate) fn raise_descriptors(sockets: u32) -> Result<()> {
    host::raise_descriptors(sockets).map_err(|limit| Error::Descriptors { sockets, limit })
}

/// Loopback addresses whose ports suffice for `sockets` connections to one listener.
pub(crate) fn sources(sockets: u32) -> Vec<Ipv4Addr> {
    let needed = sockets.div_ceil(host::ports_each());
    host::loopbacks(needed as usize).collect()
}

/// Does `work`; how much more memory than before the kernel had for all TCP sockets of this host meanwhile,
/// at most, in MiB.
pub(crate) fn socket_memory_of<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let (working, ended) = channel::<()>();
    let before = pages_now();
    thread::scope(|scope| {
        let watch = scope.spawn(move || {
            let (mut most, interval) = (before, Duration::from_millis(100));
            while ended.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                most = most.max(pages_now());
            }
            most
        });
        let done = work();
        drop(working);
        let most = watch.join().expect("a watch that only reads a file");
        let bytes = (most - before) as f64 * rustix::param::page_size() as f64;
        (done, bytes / MIB)
    })
}

fn pages_now() -> u64 {
    let sockstat = fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    pages(&sockstat).unwrap_or(0)
}

fn pages(sockstat: &str) -> Option<u64> {
    let mut lines = sockstat.lines();
    let line = lines.find_map(|line| line.strip_prefix("TCP:"))?;
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
        let (done, mib) = socket_memory_of(|| 7);
        assert!(done == 7 && mib >= 0.0);
    }
}
