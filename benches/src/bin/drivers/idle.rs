//! Idle: what clients cost that have joined and say nothing.
//!
//! A server is started, its memory read, then clients join from this process. That all have joined is
//! proved: each has received a message, which only those get who have. Then nobody says anything for a
//! while, and what the server did in it is read from the kernel (proc(5)): any tick of CPU time and
//! any wait that one of its threads ended is a wake-up that nobody needed.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use benches::process::Server;
use benches::{Error, Figure, MIB, Run, raise_descriptors};
use protocol::frame;

/// The server's resident memory with clients that are idle.
pub(crate) const RSS: Figure = Figure::new("idle_rss_mib", "RSS with idle clients", "MiB");
/// What each idle client adds to it.
pub(crate) const KIB_PER_CLIENT: Figure =
    Figure::new("idle_kib_per_client", "memory per idle client", "KiB");
/// CPU time that a server of idle clients took, in ticks of the kernel's clock.
pub(crate) const CPU_TICKS: Figure = Figure::new("idle_cpu_ticks", "CPU while idle", "ticks");
/// How often one of its threads that serve clients went to sleep again.
pub(crate) const WAKEUPS: Figure =
    Figure::new("idle_wakeups", "wake-ups of serving threads while idle", "");
/// The same of its other threads: log, signals.
pub(crate) const WAKEUPS_OF_OTHERS: Figure = Figure::new(
    "idle_wakeups_of_others",
    "wake-ups of other threads while idle",
    "",
);
/// Clients that had joined and said nothing.
pub(crate) const CLIENTS: Figure = Figure::more("idle_clients", "idle clients", "");

/// How the names of the threads begin that serve clients.
const SERVING: &str = "serve-";

/// What the joining left to be done is done by then. The longest is that the server waits 2 s for the
/// closing of the client that spoke and left, and then looks whether anything else is due.
const SETTLING: Duration = Duration::from_secs(4);

/// Within it all clients have joined.
const JOIN_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a client waits for a message before another is sent; clients that had not joined by the
/// first receive the next.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(1);

/// Lets `clients` clients join a server with `driver`, and watches it for `duration`.
pub(crate) fn measure(
    run: &mut Run,
    driver: &str,
    clients: u32,
    duration: Duration,
) -> Result<(), Error> {
    raise_descriptors(clients)?;
    let server = Watched(Server::start(&["--driver", driver].map(str::to_owned))?);
    let rss_without_clients = server.rss_bytes()?;
    let joined = join(server.0.addr(), clients)?;
    thread::sleep(SETTLING);
    let before = server.activity()?;
    thread::sleep(duration);
    let after = server.activity()?;
    let rss = server.rss_bytes()?;
    drop(joined);
    let count = |of: fn(&Activity) -> u64| of(&after).saturating_sub(of(&before)) as f64;
    run.set(&CLIENTS, f64::from(clients));
    run.set(&RSS, rss as f64 / MIB);
    run.set(
        &KIB_PER_CLIENT,
        kib_per_client(rss_without_clients, rss, clients),
    );
    run.set(&CPU_TICKS, count(|activity| activity.cpu_ticks));
    run.set(&WAKEUPS, count(|activity| activity.wakeups));
    run.set(
        &WAKEUPS_OF_OTHERS,
        count(|activity| activity.wakeups_of_others),
    );
    Ok(())
}

/// What one more client adds to the server's memory.
fn kib_per_client(without: u64, with: u64, clients: u32) -> f64 {
    (with as f64 - without as f64) / f64::from(clients) / 1024.0
}

/// A server of which the kernel is asked what it uses.
struct Watched(Server);

#[derive(Debug, Default, PartialEq)]
struct Activity {
    cpu_ticks: u64,
    wakeups: u64,
    wakeups_of_others: u64,
}

impl Watched {
    fn rss_bytes(&self) -> Result<u64, Error> {
        let status = self.read("status")?;
        let kib = number_after(&status, "VmRSS:").ok_or_else(|| fault("it has ended"))?;
        Ok(kib * 1024)
    }

    fn activity(&self) -> Result<Activity, Error> {
        let stat = self.read("stat")?;
        let cpu_ticks = cpu_ticks(&stat).ok_or_else(|| fault("its CPU time cannot be read"))?;
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0.pid()))
            .map_err(Error::system("list the server's threads"))?;
        let mut activity = Activity {
            cpu_ticks,
            ..Activity::default()
        };
        for status in
            tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok())
        {
            activity.add(&status);
        }
        if activity.wakeups == 0 {
            return Err(fault(
                "none of its threads is called serve-N, or has ever waited",
            ));
        }
        Ok(activity)
    }

    fn read(&self, file: &str) -> Result<String, Error> {
        fs::read_to_string(format!("/proc/{}/{file}", self.0.pid()))
            .map_err(Error::system("read what the server uses"))
    }
}

impl Activity {
    /// Adds the thread of which the kernel says `status`.
    fn add(&mut self, status: &str) {
        let name = status.lines().find_map(|line| line.strip_prefix("Name:"));
        let is_serving = name.is_some_and(|name| name.trim().starts_with(SERVING));
        let wakeups = number_after(status, "voluntary_ctxt_switches:").unwrap_or(0);
        if is_serving {
            self.wakeups += wakeups;
        } else {
            self.wakeups_of_others += wakeups;
        }
    }
}

/// Clients that have all joined.
fn join(addr: SocketAddr, clients: u32) -> Result<Vec<TcpStream>, Error> {
    let connect = |number: u32| -> std::io::Result<TcpStream> {
        let mut client = TcpStream::connect(addr)?;
        client.set_read_timeout(Some(MESSAGE_TIMEOUT))?;
        client.set_nodelay(true)?;
        client.write_all(&frame::encode(format!("idle-{number:05}").as_bytes()))?;
        Ok(client)
    };
    let mut joined = (0..clients)
        .map(connect)
        .collect::<Result<Vec<_>, _>>()
        .map_err(Error::system("connect a client to the server"))?;
    let deadline = Instant::now() + JOIN_TIMEOUT;
    let mut speaker = connect(clients).map_err(Error::system("connect a client to the server"))?;
    let mut without = 0;
    while without < joined.len() {
        if Instant::now() > deadline {
            return Err(fault(&format!(
                "{without} of {clients} clients joined within {JOIN_TIMEOUT:?}"
            )));
        }
        speaker
            .write_all(&frame::encode(b"hello"))
            .map_err(Error::system("say something to the server"))?;
        let received = joined[without..].iter_mut().map_while(receives_something);
        without += received.count();
    }
    Ok(joined)
}

/// Whether something came before the time was up.
fn receives_something(client: &mut TcpStream) -> Option<()> {
    let bytes = client.read(&mut [0; 1024]).ok()?;
    (bytes > 0).then_some(())
}

/// The first number behind `field` at the beginning of a line.
fn number_after(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// User and system time; fields are counted from behind the name, which ends at the last `)`.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut number = || fields.next()?.parse::<u64>().ok();
    Some(number()? + number()?)
}

fn fault(fault: &str) -> Error {
    Error::Run(format!("the server with idle clients: {fault}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_figures_are_found() {
        let status = "Name:\tx\nVmRSS:\t    2048 kB\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t9\n";
        assert_eq!(number_after(status, "VmRSS:"), Some(2048));
        assert_eq!(number_after(status, "voluntary_ctxt_switches:"), Some(7));
        assert_eq!(number_after(status, "VmHWM:"), None);
        let stat = "77 (a) b (c) S 1 77 77 0 -1 4194560 90 0 0 0 250 125 0 0 20 0 1 0 4242 9 9";
        assert_eq!(cpu_ticks(stat), Some(375));
        assert_eq!(cpu_ticks(""), None);
    }

    #[test]
    fn wake_ups_of_threads_that_serve_are_counted_apart() {
        let mut activity = Activity::default();
        for (name, switches) in [("serve-0", 3), ("log", 5), ("serve-11", 4), ("signals", 1)] {
            activity.add(&format!(
                "Name:\t{name}\nvoluntary_ctxt_switches:\t{switches}\n"
            ));
        }
        assert_eq!((activity.wakeups, activity.wakeups_of_others), (7, 6));
    }

    #[test]
    fn memory_per_client_is_what_they_added() {
        let mib = 1 << 20;
        assert_eq!(kib_per_client(mib, mib + 150 * 1024, 100), 1.5);
    }
}
