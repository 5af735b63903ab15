//! What a process has used, as the kernel tells it under /proc (see proc(5)).

use std::fs;

use record::Consumption;
use rustix::param::clock_ticks_per_second;

/// A process, told apart from a later one that got the same id.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    pid: u32,
    /// When it started, in the kernel's own count.
    started_ticks: u64,
}

/// What a process has used since it started.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// CPU time in its own code.
    pub user_seconds: f64,
    /// CPU time in the kernel.
    pub system_seconds: f64,
    /// The most memory it ever had resident; `None` where the kernel does not say.
    pub rss_peak_bytes: Option<u64>,
    /// The memory it has resident now.
    pub rss_bytes: Option<u64>,
    /// Descriptors it has open now; `None` where it may not be looked at.
    pub descriptors: Option<u64>,
    /// Of all threads that it has now; `None` where it may not be looked at.
    pub switches: Option<Switches>,
}

/// How often threads gave up their processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Switches {
    /// They had to wait for something.
    pub voluntary: u64,
    /// Their time was up, or somebody more urgent came.
    pub involuntary: u64,
}

/// How a thread spent its time (see "schedstat" in proc(5) and the kernel's sched-stats).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scheduled {
    /// It ran.
    pub(crate) ran_ns: u64,
    /// It was ready to run, and others had the processors.
    pub(crate) waited_ns: u64,
}

impl Scheduled {
    /// Of the thread that asks, since it started; `None` where the kernel does not say.
    pub(crate) fn of_this_thread() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/thread-self/schedstat").ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split_ascii_whitespace().map(str::parse);
        Some(Self {
            ran_ns: numbers.next()?.ok()?,
            waited_ns: numbers.next()?.ok()?,
        })
    }

    /// What was added since `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            ran_ns: self.ran_ns.saturating_sub(before.ran_ns),
            waited_ns: self.waited_ns.saturating_sub(before.waited_ns),
        }
    }
}

impl Process {
    /// The process with this id; `None` if there is none.
    #[must_use]
    pub fn find(pid: u32) -> Option<Self> {
        let stat = Stat::read(pid)?;
        Some(Self {
            pid,
            started_ticks: stat.started_ticks,
        })
    }

    /// This process.
    pub(crate) fn this() -> Option<Self> {
        Self::find(std::process::id())
    }

    /// What it has used; `None` if it has ended.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        let stat = Stat::read(self.pid).filter(|stat| stat.started_ticks == self.started_ticks)?;
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let ticks_per_second = clock_ticks_per_second() as f64;
        Some(Usage {
            user_seconds: stat.user_ticks as f64 / ticks_per_second,
            system_seconds: stat.system_ticks as f64 / ticks_per_second,
            rss_peak_bytes: bytes_of(&status, "VmHWM:"),
            rss_bytes: bytes_of(&status, "VmRSS:"),
            descriptors: self.descriptors(),
            switches: self.switches(),
        })
    }

    /// The size of /proc/PID/fd is their number since Linux 6.2; before it was 0, and they are counted.
    fn descriptors(&self) -> Option<u64> {
        let path = format!("/proc/{}/fd", self.pid);
        match fs::metadata(&path).ok()?.len() {
            0 => Some(fs::read_dir(path).ok()?.count() as u64),
            count => Some(count),
        }
    }

    /// The kernel counts them by the thread. One that has ended takes its count along.
    fn switches(&self) -> Option<Switches> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid)).ok()?;
        let mut switches = Switches::default();
        for thread in threads.flatten() {
            // A thread that has just ended has no status any more.
            let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            let count = |field| number_of(&status, field).unwrap_or(0);
            switches.voluntary += count("voluntary_ctxt_switches:");
            switches.involuntary += count("nonvoluntary_ctxt_switches:");
        }
        Some(switches)
    }
}

impl Switches {
    /// How many there were since `before`; none if threads have ended and taken more along.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            voluntary: self.voluntary.saturating_sub(before.voluntary),
            involuntary: self.involuntary.saturating_sub(before.involuntary),
        }
    }
}

/// What was used between two readings that lie `seconds` apart.
pub(crate) fn consumption(
    before: Option<Usage>,
    after: Option<Usage>,
    seconds: f64,
) -> Consumption {
    let rss_peak_bytes = after.or(before).and_then(|usage| usage.rss_peak_bytes);
    let descriptors = after.and_then(|usage| usage.descriptors);
    let (Some(before), Some(after)) = (before, after) else {
        return Consumption {
            rss_peak_bytes,
            descriptors,
            ..Consumption::default()
        };
    };
    let switches = || Some(after.switches?.since(before.switches?));
    let user = after.user_seconds - before.user_seconds;
    let system = after.system_seconds - before.system_seconds;
    Consumption {
        cpu_seconds: Some(user + system),
        cpu_cores: (seconds > 0.0).then(|| (user + system) / seconds),
        cpu_user_seconds: Some(user),
        cpu_system_seconds: Some(system),
        rss_peak_bytes,
        descriptors,
        voluntary_switches: switches().map(|switches| switches.voluntary),
        involuntary_switches: switches().map(|switches| switches.involuntary),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    user_ticks: u64,
    system_ticks: u64,
    started_ticks: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Fields are counted from behind the name, which may hold anything but ends at the last `)`.
    fn parse(text: &str) -> Option<Self> {
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<_> = fields.split_ascii_whitespace().collect();
        let ended = matches!(*fields.first()?, "Z" | "X" | "x");
        let number = |at: usize| fields.get(at)?.parse().ok();
        (!ended).then_some(Self {
            user_ticks: number(11)?,
            system_ticks: number(12)?,
            started_ticks: number(19)?,
        })
    }
}

/// The memory that a line of /proc/PID/status tells, in bytes.
fn bytes_of(status: &str, field: &str) -> Option<u64> {
    let kibibytes: u64 = value_of(status, field)?
        .strip_suffix("kB")?
        .trim()
        .parse()
        .ok()?;
    Some(kibibytes * 1024)
}

/// The number that a line of /proc/PID/status tells.
fn number_of(status: &str, field: &str) -> Option<u64> {
    value_of(status, field)?.parse().ok()
}

fn value_of<'a>(status: &'a str, field: &str) -> Option<&'a str> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "77 (a) b (c) R 1 77 77 0 -1 4194560 90 0 0 0 250 125 0 0 20 0 1 0 4242 9 9";

    #[test]
    fn a_name_with_brackets_and_spaces_confuses_nobody() {
        assert_eq!(
            Stat::parse(STAT),
            Some(Stat {
                user_ticks: 250,
                system_ticks: 125,
                started_ticks: 4242
            })
        );
    }

    #[test]
    fn a_process_that_has_ended_has_no_usage_even_before_it_is_reaped() {
        assert_eq!(Stat::parse(&STAT.replace(" R ", " Z ")), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn a_threads_time_is_read_as_the_kernel_writes_it() {
        let of = |text| Scheduled::parse(text);
        let known = Scheduled {
            ran_ns: 500,
            waited_ns: 70,
        };
        assert_eq!(of("500 70 3\n"), Some(known));
        assert_eq!(of("0\n"), None);
        let later = of("900 75 4\n").unwrap();
        assert_eq!(
            (later.since(known).ran_ns, later.since(known).waited_ns),
            (400, 5)
        );
    }

    #[test]
    fn the_peak_of_resident_memory_is_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1024 kB\n";
        assert_eq!(bytes_of(status, "VmHWM:"), Some(2048 * 1024));
        assert_eq!(bytes_of("Name:\tx\n", "VmHWM:"), None);
    }

    #[test]
    fn this_process_is_found_and_another_with_its_id_is_not_taken_for_it() {
        let this = Process::this().unwrap();
        assert!(this.usage().unwrap().rss_peak_bytes > Some(0));
        let other = Process {
            started_ticks: this.started_ticks + 1,
            ..this
        };
        assert_eq!(other.usage(), None);
    }

    #[test]
    fn descriptors_are_counted_as_they_come_and_go() {
        let this = Process::this().unwrap();
        let before = this.usage().unwrap();
        // Other tests of this process open files, too: more of them than there are tests are ours.
        let files: Vec<_> = (0..500)
            .map(|_| fs::File::open("/dev/null").unwrap())
            .collect();
        let after = this.usage().unwrap();
        assert!(after.descriptors.unwrap() >= before.descriptors.unwrap() + 300);
        drop(files);
        assert!(after.switches.unwrap().voluntary > 0);
    }

    #[test]
    fn what_is_unknown_stays_unknown() {
        let usage = |user_seconds, switches: u64| Usage {
            user_seconds,
            system_seconds: 1.0,
            rss_peak_bytes: Some(5),
            rss_bytes: Some(4),
            descriptors: Some(9),
            switches: Some(Switches {
                voluntary: 10 * switches,
                involuntary: switches,
            }),
        };
        let known = consumption(Some(usage(1.0, 2)), Some(usage(3.0, 5)), 4.0);
        assert_eq!(known.cpu_cores, Some(0.5));
        assert_eq!(known.voluntary_switches, Some(30));
        assert_eq!(known.involuntary_switches, Some(3));
        let ended = consumption(Some(usage(1.0, 2)), None, 4.0);
        assert_eq!((ended.cpu_seconds, ended.rss_peak_bytes), (None, Some(5)));
        assert_eq!((ended.descriptors, ended.voluntary_switches), (None, None));
    }
}
