//! The host: what it must grant for thousands of sockets, and what a reader of figures must know of it.

use std::fs;
use std::net::Ipv4Addr;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

use crate::Error;

/// Descriptors beside the sockets': standard streams, epoll, listener, channel, with room.
const DESCRIPTORS_OTHER: u64 = 64;

/// Ports of each source address that are left to everybody else.
const PORTS_MARGIN: u32 = 500;

const PORT_RANGE_FILE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
const PORT_RANGE_USUAL: (u32, u32) = (32_768, 60_999);

/// What figures depend on.
#[derive(Debug, Clone, Serialize)]
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
}

/// Makes sure that this process, and what it starts, can have `sockets` sockets open at once.
///
/// # Errors
/// When the limit may not be raised as far as that; says how far it may.
pub fn raise_descriptors(sockets: u32) -> Result<(), Error> {
    let needed = u64::from(sockets) + DESCRIPTORS_OTHER;
    let limit = getrlimit(Resource::Nofile);
    let enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= needed);
    if enough(limit.current) {
        return Ok(());
    }
    let maximum = if enough(limit.maximum) {
        limit.maximum
    } else {
        Some(needed)
    };
    let raised = Rlimit {
        current: Some(needed),
        maximum,
    };
    setrlimit(Resource::Nofile, raised).map_err(|_| {
        let limit = limit.maximum.unwrap_or(u64::MAX);
        Error::Descriptors {
            sockets,
            needed,
            limit,
            possible: limit.saturating_sub(DESCRIPTORS_OTHER),
        }
    })
}

/// Loopback addresses whose ports suffice for `sockets` connections to one listener.
pub(crate) fn sources(sockets: u32) -> Vec<Ipv4Addr> {
    let range = fs::read_to_string(PORT_RANGE_FILE).unwrap_or_default();
    loopbacks(sockets, ports_each(port_range(&range)))
}

fn ports_each(range: Option<(u32, u32)>) -> u32 {
    let (first, last) = range.unwrap_or(PORT_RANGE_USUAL);
    (last + 1).saturating_sub(first + PORTS_MARGIN).max(1)
}

/// 127.0.0.1 and as many of its neighbours as are needed; all of 127.0.0.0/8 is this host.
fn loopbacks(sockets: u32, ports_each: u32) -> Vec<Ipv4Addr> {
    (Ipv4Addr::LOCALHOST.to_bits()..)
        .take(sockets.div_ceil(ports_each) as usize)
        .map(Ipv4Addr::from_bits)
        .collect()
}

fn port_range(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
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
    fn as_many_addresses_are_taken_as_the_ports_require() {
        let shown = |sockets| {
            let sources = loopbacks(sockets, 1000);
            sources.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(shown(1000), ["127.0.0.1"]);
        assert_eq!(shown(2001), ["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
    }

    #[test]
    fn some_ports_are_left_to_others() {
        assert_eq!(ports_each(Some((1000, 2999))), 1500);
        assert_eq!(ports_each(Some((1000, 1010))), 1);
        assert_eq!(ports_each(None), 27_732);
    }

    #[test]
    fn files_of_the_kernel_are_read_as_it_writes_them() {
        assert_eq!(port_range("32768\t60999\n"), Some((32_768, 60_999)));
        assert_eq!(port_range("x"), None);
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
