//! What the host must grant for thousands of sockets: descriptors and source ports.

use std::fs;
use std::net::Ipv4Addr;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors beside the sockets': standard streams, epoll, listener, timer, pipes, files, with room.
const DESCRIPTORS_OTHER: u64 = 64;

/// Ports of each source address that are left to everybody else.
const PORTS_MARGIN: u32 = 500;

const PORT_RANGE_FILE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
const PORT_RANGE_USUAL: (u32, u32) = (32_768, 60_999);

/// The limit on descriptors is too low and cannot be raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooFewDescriptors {
    /// Descriptors that the sockets and the rest of a process need.
    pub needed: u64,
    /// The hard limit.
    pub limit: u64,
    /// Sockets that the limit allows.
    pub possible: u64,
}

/// Makes sure that this process, and what it starts, can have `sockets` sockets open at once.
///
/// # Errors
/// When the limit may not be raised as far as that; says how far it may.
pub fn raise_descriptors(sockets: u32) -> Result<(), TooFewDescriptors> {
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
        TooFewDescriptors {
            needed,
            limit,
            possible: limit.saturating_sub(DESCRIPTORS_OTHER),
        }
    })
}

/// How many sockets of each source address may connect to one listener. At least 1.
#[must_use]
pub fn ports_each() -> u32 {
    let range = fs::read_to_string(PORT_RANGE_FILE).unwrap_or_default();
    ports_of(port_range(&range).unwrap_or(PORT_RANGE_USUAL))
}

/// How many ports are given out where Linux was not told otherwise.
#[cfg(test)]
pub(crate) fn ports_usual() -> u32 {
    ports_of(PORT_RANGE_USUAL)
}

/// 127.0.0.1 and as many of its neighbours as make `count`; all of 127.0.0.0/8 is this host.
pub fn loopbacks(count: usize) -> impl Iterator<Item = Ipv4Addr> {
    let addresses = Ipv4Addr::LOCALHOST.to_bits()..;
    addresses.take(count).map(Ipv4Addr::from_bits)
}

fn ports_of((first, last): (u32, u32)) -> u32 {
    (last + 1).saturating_sub(first + PORTS_MARGIN).max(1)
}

fn port_range(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_ports_are_left_to_others() {
        assert_eq!(ports_of((1000, 2999)), 1500);
        assert_eq!(ports_of((1000, 1010)), 1);
        assert_eq!(ports_usual(), 27_732);
    }

    #[test]
    fn the_port_range_is_read_as_the_kernel_writes_it() {
        assert_eq!(port_range("32768\t60999\n"), Some((32_768, 60_999)));
        assert_eq!(port_range("x"), None);
    }

    #[test]
    fn loopback_has_as_many_addresses_as_are_asked_for() {
        let shown: Vec<_> = loopbacks(3).map(|ip| ip.to_string()).collect();
        assert_eq!(shown, ["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
    }
}
