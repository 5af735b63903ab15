//! Time: nanoseconds since the run began, on the monotonic clock, and an alarm that keeps to them.
//!
//! epoll's own timeout counts in milliseconds, which would decide the accuracy of the schedule; so
//! the schedule hangs on a timer of the kernel (`timerfd_create(2)`) that epoll watches.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// Nanoseconds in a second.
pub(crate) const SECOND_NS: u64 = 1_000_000_000;

/// Nanoseconds in a millisecond.
pub(crate) const MILLISECOND_NS: u64 = 1_000_000;

/// Reads the time of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that reads zero now.
    pub(crate) fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// Nanoseconds since the run began.
    pub(crate) fn now_ns(&self) -> u64 {
        nanoseconds(self.origin.elapsed())
    }
}

/// `duration` in nanoseconds, which 64 bits hold for 584 years.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A longer time between two looks is one in which this process did not run: it was stopped, or others had
/// the processors.
pub(crate) const GAP_MAX: Duration = Duration::from_millis(500);

/// How long something has been waited for, without the time in which this process did not run. To be
/// asked more often than every [`GAP_MAX`].
#[derive(Debug)]
pub(crate) struct Waiting {
    looked: Instant,
    waited: Duration,
}

impl Waiting {
    /// The wait begins.
    pub(crate) fn since(now: Instant) -> Self {
        Self {
            looked: now,
            waited: Duration::ZERO,
        }
    }

    /// How long it has lasted.
    pub(crate) fn until(&mut self, now: Instant) -> Duration {
        self.waited += now.saturating_duration_since(self.looked).min(GAP_MAX);
        self.looked = now;
        self.waited
    }
}

/// A descriptor that becomes readable at a time set to the nanosecond.
///
/// Nothing reads it: arming it anew clears it, and an edge-triggered poll reports each expiry once.
#[derive(Debug)]
pub(crate) struct Alarm {
    timer: OwnedFd,
    armed_for_ns: Option<u64>,
}

impl Alarm {
    /// An alarm that is not set.
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Self {
            timer: timerfd_create(TimerfdClockId::Monotonic, flags)?,
            armed_for_ns: None,
        })
    }

    /// Sets the alarm to go off at `due_ns`; at once if that has passed.
    pub(crate) fn arm(&mut self, due_ns: u64, now_ns: u64) -> io::Result<()> {
        if self.armed_for_ns == Some(due_ns) {
            return Ok(());
        }
        // A value of zero would switch the timer off.
        let wait = Duration::from_nanos(due_ns.saturating_sub(now_ns).max(1));
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec::try_from(wait).map_err(|_| io::ErrorKind::InvalidInput)?,
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        self.armed_for_ns = Some(due_ns);
        Ok(())
    }
}

impl AsRawFd for Alarm {
    fn as_raw_fd(&self) -> RawFd {
        self.timer.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use mio::unix::SourceFd;
    use mio::{Events, Interest, Poll, Token};

    use super::*;

    #[test]
    fn a_wait_does_not_grow_while_the_process_is_stopped() {
        let begin = Instant::now();
        let at = |milliseconds| begin + Duration::from_millis(milliseconds);
        let mut waiting = Waiting::since(begin);
        assert_eq!(waiting.until(at(300)), Duration::from_millis(300));
        assert_eq!(waiting.until(at(60_000)), Duration::from_millis(800));
        assert_eq!(waiting.until(at(60_100)), Duration::from_millis(900));
    }

    fn waiting_for(alarm: &Alarm) -> (Poll, Events) {
        let poll = Poll::new().unwrap();
        let fd = alarm.as_raw_fd();
        let mut source = SourceFd(&fd);
        poll.registry()
            .register(&mut source, Token(7), Interest::READABLE)
            .unwrap();
        (poll, Events::with_capacity(4))
    }

    #[test]
    fn the_alarm_never_goes_off_early_and_goes_off_again_when_armed_again() {
        let clock = Clock::start();
        let mut alarm = Alarm::new().unwrap();
        let (mut poll, mut events) = waiting_for(&alarm);
        for _ in 0..3 {
            let now_ns = clock.now_ns();
            alarm.arm(now_ns + 300_000, now_ns).unwrap();
            poll.poll(&mut events, None).unwrap();
            assert_eq!(events.iter().next().unwrap().token(), Token(7));
            assert!(clock.now_ns() >= now_ns + 300_000);
        }
    }

    #[test]
    fn a_time_that_has_passed_goes_off_at_once() {
        let clock = Clock::start();
        let mut alarm = Alarm::new().unwrap();
        let (mut poll, mut events) = waiting_for(&alarm);
        alarm.arm(0, clock.now_ns()).unwrap();
        poll.poll(&mut events, None).unwrap();
        assert!(!events.is_empty());
    }
}
