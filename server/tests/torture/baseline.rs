//! How long a test goes on, and what has to be as before when it is over.

use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{DEADLINE, Driver, Program, Roster, Setup, samples};

/// How long the ordinary tests torture.
const SHORT: Duration = Duration::from_secs(3);

/// What allocator and kernel may keep of clients that have gone.
const KEPT_BYTES: u64 = 16 << 20;

const DRIVERS: &[Driver] = &[
    Driver::Uring,
    #[cfg(feature = "tokio-uring")]
    Driver::TokioUring,
    Driver::Epoll,
];

/// The drivers to torture: all, or that which `URINGCAST_TORTURE_DRIVER` names.
pub(crate) fn drivers() -> Vec<Driver> {
    let Ok(name) = std::env::var("URINGCAST_TORTURE_DRIVER") else {
        return DRIVERS.to_vec();
    };
    let named = DRIVERS.iter().find(|driver| driver.to_string() == name);
    vec![*named.expect("URINGCAST_TORTURE_DRIVER is uring, tokio-uring or epoll")]
}

/// How long to go on with each driver.
pub(crate) fn time_for_a_driver() -> Duration {
    asked_time_for_a_driver().unwrap_or_else(|| share_of_a_driver(SHORT))
}

/// The same, if `URINGCAST_TORTURE` says so: the drivers share that time.
pub(crate) fn asked_time_for_a_driver() -> Option<Duration> {
    let text = std::env::var("URINGCAST_TORTURE").ok()?;
    let time = cli::duration(&text).expect("URINGCAST_TORTURE is a time, as in 10min");
    Some(share_of_a_driver(time))
}

fn share_of_a_driver(time: Duration) -> Duration {
    time / u32::try_from(drivers().len()).unwrap()
}

/// Whether this process may have so many descriptors; says so when it may not.
pub(crate) fn has_descriptors(wanted: u64) -> bool {
    let limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|most| most < wanted) {
        testing::skip(format!(
            "the limit on open files is {:?}, {wanted} are needed",
            limit.maximum
        ));
        return false;
    }
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).is_ok()
}

/// A server on one thread.
pub(crate) fn start(driver: Driver, arguments: &[&str]) -> Program {
    let mut all = vec!["--log", "warn"];
    all.extend(arguments);
    Program::start(Setup::of(driver, 1), &all)
}

/// A server at rest, with a roster in it.
pub(crate) struct Baseline {
    descriptors: usize,
    memory: u64,
}

impl Baseline {
    pub(crate) fn of(server: &Program) -> Self {
        Self {
            descriptors: server.descriptors(),
            memory: server.memory("VmRSS"),
        }
    }

    /// How the server is now, by how it was, in words.
    pub(crate) fn beside(&self, server: &Program) -> String {
        format!(
            "{} descriptors after {}, {} KiB resident after {}",
            server.descriptors(),
            self.descriptors,
            server.memory("VmRSS") >> 10,
            self.memory >> 10
        )
    }

    /// Waits until the server has its descriptors and its memory back, talking all the while.
    pub(crate) fn wait_for(&self, server: &Program, roster: &mut Roster) {
        let patience = Instant::now() + DEADLINE;
        loop {
            roster.talk();
            let descriptors = server.descriptors();
            let memory = server.memory("VmRSS");
            if descriptors <= self.descriptors && memory <= self.memory + KEPT_BYTES {
                return;
            }
            assert!(
                Instant::now() < patience,
                "{descriptors} descriptors, {} at first; {memory} bytes resident, {} at first",
                self.descriptors,
                self.memory
            );
        }
    }
}

/// Waits until so many connections are left, and nothing is owed to them; all the while everything that was
/// owed is accounted for: delivered, pending, or discarded.
pub(crate) fn wait_for_balance(server: &Program, connections: usize) {
    let patience = Instant::now() + DEADLINE;
    loop {
        let seen = samples(server.metrics.expect("metrics are served"));
        let discarded = seen
            .iter()
            .filter(|(name, _)| name.starts_with("uringcast_deliveries_discarded_total"))
            .map(|(_, value)| value);
        let accounted = seen["uringcast_deliveries_total"]
            + seen["uringcast_deliveries_pending"]
            + discarded.sum::<f64>();
        assert_eq!(
            seen["uringcast_deliveries_owed_total"], accounted,
            "{seen:?}"
        );
        if seen["uringcast_connections"] == connections as f64
            && seen["uringcast_deliveries_pending"] == 0.0
        {
            return;
        }
        assert!(Instant::now() < patience, "{seen:?}");
    }
}
