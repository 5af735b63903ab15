//! Admission: who may come in. All hubs of a server share one count of clients, in all and by
//! address, and one register of names.
//!
//! A lock is taken when a connection comes, names itself or goes, never for a delivery. What always
//! holds: everyone who was admitted is counted once, until its [`Admitted`] is dropped.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Limits;
use super::closing::CloseReason;
use super::names::keys;

#[derive(Debug, Default)]
pub(super) struct Admission(Mutex<Register>);

#[derive(Debug, Default)]
struct Register {
    clients: u32,
    /// Addresses that have at least one client.
    by_address: HashMap<IpAddr, u32>,
    /// The [`keys`] of names that are taken, of those who came while names had to be unique.
    names: HashSet<Arc<str>>,
}

/// The place of one client; dropping it makes the place free.
#[derive(Debug)]
pub(super) struct Admitted {
    admission: Arc<Admission>,
    address: IpAddr,
    name: Option<[Arc<str>; 2]>,
}

impl Admission {
    /// A place for a client from `address`.
    ///
    /// # Errors
    /// Which limit is reached.
    pub(super) fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        limits: &Limits,
    ) -> Result<Admitted, CloseReason> {
        let address = counted_as(address);
        let mut register = self.lock();
        if let Some(clients_max) = limits.clients_max
            && register.clients >= clients_max
        {
            return Err(CloseReason::Full { clients_max });
        }
        let here = register.by_address.entry(address).or_default();
        if let Some(clients_max) = limits.clients_per_address_max
            && *here >= clients_max
        {
            return Err(CloseReason::AddressFull { clients_max });
        }
        *here += 1;
        register.clients += 1;
        drop(register);
        Ok(Admitted {
            admission: Arc::clone(self),
            address,
            name: None,
        })
    }

    /// Whether somebody who is there has `name`, or one that looks like it.
    pub(super) fn is_taken(&self, name: &str) -> bool {
        let register = self.lock();
        keys(name).iter().any(|key| register.names.contains(key))
    }

    fn lock(&self) -> MutexGuard<'_, Register> {
        // The register is only ever changed by steps that cannot panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted {
    /// Takes `name`: nobody else may have it, or one that looks like it, as long as this place is kept.
    ///
    /// # Errors
    /// When somebody has it.
    pub(super) fn take_name(&mut self, name: &str) -> Result<(), CloseReason> {
        let keys = keys(name);
        let mut register = self.admission.lock();
        if keys.iter().any(|key| register.names.contains(key)) {
            return Err(CloseReason::NameTaken);
        }
        register.names.extend(keys.iter().cloned());
        self.name = Some(keys);
        Ok(())
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut register = self.admission.lock();
        register.clients -= 1;
        if let Entry::Occupied(mut here) = register.by_address.entry(self.address) {
            *here.get_mut() -= 1;
            if *here.get() == 0 {
                here.remove();
            }
        }
        for key in self.name.iter().flatten() {
            register.names.remove(key);
        }
        if register.clients == 0 {
            *register = Register::default();
        }
    }
}

/// One that has an IPv6 address has its whole /64; an IPv4 address is the same in both notations.
fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            clients_max: Some(3),
            clients_per_address_max: Some(2),
            ..Limits::default()
        }
    }

    #[test]
    fn places_are_limited_in_all_and_by_address_and_free_again_when_left() {
        let admission = Arc::new(Admission::default());
        let admit = |address: &str| admission.admit(address.parse().unwrap(), &limits());
        let first = admit("10.0.0.1").unwrap();
        let _second = admit("::ffff:10.0.0.1").unwrap();
        let refused = admit("10.0.0.1").unwrap_err();
        assert_eq!(refused, CloseReason::AddressFull { clients_max: 2 });
        let _third = admit("10.0.0.2").unwrap();
        let refused = admit("10.0.0.3").unwrap_err();
        assert_eq!(refused, CloseReason::Full { clients_max: 3 });
        drop(first);
        let _again = admit("10.0.0.1").unwrap();
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let admission = Arc::new(Admission::default());
        let admit = |address: &str| admission.admit(address.parse().unwrap(), &limits());
        let _kept = [admit("2001:db8::1").unwrap(), admit("2001:db8::2").unwrap()];
        assert!(admit("2001:db8::3").is_err());
        assert!(admit("2001:db8:0:1::1").is_ok());
    }

    #[test]
    fn a_name_is_taken_until_its_client_goes_and_nothing_is_kept_after_the_last() {
        let admission = Arc::new(Admission::default());
        let admit = || admission.admit([10, 0, 0, 1].into(), &limits()).unwrap();
        let (mut first, mut second) = (admit(), admit());
        first.take_name("ann").unwrap();
        for taken in ["ann", "Ann ", "\u{430}nn"] {
            assert_eq!(second.take_name(taken), Err(CloseReason::NameTaken));
        }
        drop(first);
        second.take_name("ann").unwrap();
        drop(second);
        let register = admission.lock();
        assert!(register.clients == 0 && register.names.is_empty());
        assert!(register.by_address.is_empty());
    }
}
