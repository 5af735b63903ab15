//! Preflight: what would make a run fail half-way is found, and where possible mended, before it.
//!
//! Descriptors are raised to what the clients need. Source ports are counted; towards a loopback
//! server as many source addresses as it takes are chosen (all of 127.0.0.0/8 is this host).

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::error::Error;
use crate::host::{self, TooFewDescriptors};

/// How long an address may take to answer when a name has several.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// The address that `addr` names, as HOST:PORT. Of several (`localhost` is often both `::1` and
/// `127.0.0.1`) it is the first at which somebody listens.
pub(crate) fn resolve(addr: &str) -> Result<SocketAddr, Error> {
    let unresolved = |error| Error::Resolve {
        addr: addr.to_owned(),
        error,
    };
    let found: Vec<_> = addr.to_socket_addrs().map_err(unresolved)?.collect();
    let answers = |addr: &&SocketAddr| TcpStream::connect_timeout(addr, ANSWER_TIMEOUT).is_ok();
    let chosen = match &found[..] {
        [] => return Err(unresolved(io::ErrorKind::NotFound.into())),
        [only] => only,
        [first, ..] => found.iter().find(answers).unwrap_or(first),
    };
    Ok(*chosen)
}

/// Makes sure that `clients` sockets can be open at once.
pub(crate) fn raise_descriptors(clients: u32) -> Result<(), Error> {
    let refused = |refusal| {
        let TooFewDescriptors {
            needed,
            limit,
            possible,
        } = refusal;
        Error::Descriptors {
            clients,
            needed,
            limit,
            possible,
        }
    };
    host::raise_descriptors(clients).map_err(refused)
}

/// The addresses to connect from; an empty list leaves the choice to the kernel.
pub(crate) fn sources(
    target: SocketAddr,
    given: &[IpAddr],
    clients: u32,
) -> Result<Vec<IpAddr>, Error> {
    choose_sources(target, given, clients, host::ports_each())
}

fn choose_sources(
    target: SocketAddr,
    given: &[IpAddr],
    clients: u32,
    ports: u32,
) -> Result<Vec<IpAddr>, Error> {
    let foreign = given.iter().find(|ip| ip.is_ipv4() != target.is_ipv4());
    if let Some(&source_ip) = foreign {
        return Err(Error::Family { source_ip, target });
    }
    let needed = clients.div_ceil(ports) as usize;
    if !given.is_empty() && given.len() >= needed {
        return Ok(given.to_vec());
    }
    match target.ip() {
        _ if given.is_empty() && needed == 1 => Ok(Vec::new()),
        IpAddr::V4(ip) if given.is_empty() && ip.is_loopback() => {
            Ok(host::loopbacks(needed).map(IpAddr::V4).collect())
        }
        _ => Err(Error::Ports {
            clients,
            ports,
            sources: given.len().max(1),
            needed,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(target: &str, given: &[&str], clients: u32) -> Result<Vec<IpAddr>, Error> {
        let given: Vec<_> = given.iter().map(|ip| ip.parse().unwrap()).collect();
        choose_sources(target.parse().unwrap(), &given, clients, 1000)
    }

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    #[test]
    fn one_address_is_left_to_the_kernel() {
        assert_eq!(choose("127.0.0.1:1", &[], 1000).unwrap(), ips(&[]));
        assert_eq!(choose("10.0.0.1:1", &[], 1000).unwrap(), ips(&[]));
    }

    #[test]
    fn on_loopback_further_addresses_are_chosen() {
        let wanted = ips(&["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
        assert_eq!(choose("127.0.0.1:1", &[], 2001).unwrap(), wanted);
    }

    /// With the ports that Linux gives out unless it is told otherwise.
    #[test]
    fn more_clients_than_there_are_ports_go_over_several_addresses_of_this_host() {
        let ports = host::ports_usual();
        let target = "127.0.0.1:9989".parse().unwrap();
        for (clients, addresses) in [(27_732, 0), (27_733, 2), (65_536, 3), (1_000_000, 37)] {
            let sources = choose_sources(target, &[], clients, ports).unwrap();
            assert_eq!(sources.len(), addresses, "{clients} clients");
            let distinct: std::collections::BTreeSet<_> = sources.iter().collect();
            assert_eq!(distinct.len(), addresses);
            assert!(sources.iter().all(IpAddr::is_loopback));
            // Taken in turn, as they are, no address has more clients than ports.
            let most = clients.div_ceil(u32::try_from(addresses.max(1)).unwrap());
            assert!(most <= ports, "{most} clients of one address");
        }
    }

    #[test]
    fn elsewhere_the_remedy_is_named() {
        let error = choose("10.0.0.1:1", &[], 2001).unwrap_err().to_string();
        assert!(error.contains("give 3 with --source-ip"), "{error}");
        let error = choose("127.0.0.1:1", &["127.0.0.9"], 2001).unwrap_err();
        assert!(error.to_string().contains("1000 of each of 1 source"));
    }

    #[test]
    fn given_addresses_are_taken_if_they_suffice_and_fit() {
        let given = ["10.0.0.2", "10.0.0.3"];
        assert_eq!(choose("10.0.0.1:1", &given, 2000).unwrap(), ips(&given));
        let error = choose("10.0.0.1:1", &["::1"], 1).unwrap_err();
        assert!(matches!(error, Error::Family { .. }));
    }

    #[test]
    fn descriptors_that_no_host_has_are_refused_with_the_remedy() {
        let error = raise_descriptors(u32::MAX).unwrap_err().to_string();
        assert!(error.contains("`ulimit -n 4294967359`"), "{error}");
    }

    #[test]
    fn an_unknown_host_is_one_line() {
        let error = resolve("no-port").unwrap_err().to_string();
        assert!(error.contains("as in 127.0.0.1:9989") && !error.contains('\n'));
    }
}
