//! The host: what it must grant for thousands of sockets, and what a reader of figures must know of it.

use std::fs;
use std::net::Ipv4Addr;

use loadgen::host::{self, TooFewDescriptors};
use serde::{Deserialize, Serialize};

use crate::Error;

/// What figures depend on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Host {
    /// Version of the kernel.
    pub kernel: String,
    /// Name of the processor.
    pub cpu: String,
    /// Processors that this program may use.
    pub cpus: usize,
    /// Programs that wanted to run in the last minute (proc_loadavg(5)), before the measurement.
    pub load_average: f64,
}

impl Host {
    /// This host, now.
    #[must_use]
    pub fn this() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self {
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            cpu: cpu_name(&read("/proc/cpuinfo"))
                .unwrap_or("unknown")
                .to_owned(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            load_average: first_number(&read("/proc/loadavg")).unwrap_or(0.0),
        }
    }

    /// The machine, as a person names it.
    #[must_use]
    pub fn in_words(&self) -> String {
        let Self {
            kernel, cpu, cpus, ..
        } = self;
        format!("{cpus} x {cpu}, Linux {kernel}")
    }
}

/// Makes sure that this process, and what it starts, can have `sockets` sockets open at once.
///
/// # Errors
/// When the limit may not be raised as far as that; says how far it may.
pub fn raise_descriptors(sockets: u32) -> Result<(), Error> {
    let refused = |refusal| {
        let TooFewDescriptors {
            needed,
            limit,
            possible,
        } = refusal;
        Error::Descriptors {
            sockets,
            needed,
            limit,
            possible,
        }
    };
    host::raise_descriptors(sockets).map_err(refused)
}

/// Loopback addresses whose ports suffice for `sockets` connections to one listener.
pub(crate) fn sources(sockets: u32) -> Vec<Ipv4Addr> {
    let needed = sockets.div_ceil(host::ports_each());
    host::loopbacks(needed as usize).collect()
}

fn cpu_name(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

fn first_number(text: &str) -> Option<f64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_kernel_are_read_as_it_writes_them() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Example CPU @ 2 GHz\n";
        assert_eq!(cpu_name(cpuinfo), Some("Example CPU @ 2 GHz"));
        assert_eq!(first_number("0.52 0.58 0.59 1/389 1234\n"), Some(0.52));
    }

    #[test]
    fn descriptors_that_no_host_has_are_refused_with_the_remedy() {
        let error = raise_descriptors(u32::MAX).unwrap_err().to_string();
        assert!(error.contains("`ulimit -n 4294967359`"), "{error}");
    }
}
