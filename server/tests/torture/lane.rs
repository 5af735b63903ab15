//! How long a test goes on, and what has to be as before when it is over.

use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{Company, DEADLINE, Driver, Program, Setup};

/// How long the ordinary tests torture.
const SHORT: Duration = Duration::from_secs(3);

/// What allocator and kernel may keep of a crowd that has gone.
const KEPT_BYTES: u64 = 16 << 20;

pub(crate) const DRIVERS: [Driver; 3] = [Driver::Uring, Driver::TokioUring, Driver::Epoll];

/// How long to go on with each driver: a third of `URINGCAST_TORTURE`.
pub(crate) fn time_for_a_driver() -> Duration {
    let asked = std::env::var("URINGCAST_TORTURE").ok();
    let time = asked.map_or(SHORT, |text| {
        humantime::parse_duration(&text).expect("URINGCAST_TORTURE is a time, as in 10min")
    });
    time / u32::try_from(DRIVERS.len()).unwrap()
}

/// Whether this process may have so many descriptors; says so when it may not.
pub(crate) fn has_descriptors(wanted: u64) -> bool {
    let limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|most| most < wanted) {
        println!(
            "skipped: the limit on open files is {:?}, {wanted} are needed",
            limit.maximum
        );
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

/// A server at rest, with a company in it.
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

    /// Waits until the server has its descriptors and its memory back, talking all the while.
    pub(crate) fn wait_for(&self, server: &Program, company: &mut Company) {
        let patience = Instant::now() + DEADLINE;
        loop {
            company.talk();
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
