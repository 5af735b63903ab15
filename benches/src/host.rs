//! The host: what it must grant for thousands of sockets, and what a reader of figures must know of it.

use std::fs;
use std::net::Ipv4Addr;

use loadgen::host;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What figures depend on.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let cpu = field(&read("/proc/cpuinfo"), "model name").unwrap_or("unknown".into());
        let load = read("/proc/loadavg");
        Self {
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            cpu,
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            load_average: first_number(&load).unwrap_or(0.0),
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

/// The value of a `name: value` line of a file in /proc.
pub(crate) fn field(text: &str, name: &str) -> Option<String> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(key, _)| key.trim() == name)?;
    Some(value.trim().to_owned())
}

/// The number that `text` begins with.
pub(crate) fn first_number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_kernel_are_read_as_it_writes_them() {
        let text = "processor\t: 0\nmodel name\t: Example CPU @ 2 GHz\nVmRSS:\t  2048 kB\n";
        assert_eq!(field(text, "model name").unwrap(), "Example CPU @ 2 GHz");
        assert_eq!(first_number(&field(text, "VmRSS").unwrap()), Some(2048));
        assert_eq!(field(text, "VmHWM"), None);
        assert_eq!(first_number("0.52 0.58 0.59 1/389 1234\n"), Some(0.52));
    }
}
