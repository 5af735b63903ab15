//! Clocks. Monotonic time is the same in all processes of a host, so that one process can say when
//! something began and another when it ended.

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Time since some fixed moment, the same for all processes (`CLOCK_MONOTONIC`).
pub(crate) fn monotonic() -> Duration {
    since_zero(clock_gettime(ClockId::Monotonic))
}

/// CPU time of this thread, user and system (`CLOCK_THREAD_CPUTIME_ID`, see clock_gettime(2)).
pub(crate) fn thread_cpu() -> Duration {
    since_zero(clock_gettime(ClockId::ThreadCPUTime))
}

/// CPU time of this process, user and system.
pub(crate) fn process_cpu() -> Duration {
    since_zero(clock_gettime(ClockId::ProcessCPUTime))
}

fn since_zero(time: Timespec) -> Duration {
    time.try_into().expect("these clocks begin at zero")
}
