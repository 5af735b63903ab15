//! Idle: what clients cost that have joined and say nothing.
//!
//! A server is started, its memory read, then clients join from this process. That all have joined is
//! proved: each has received a message, which only those get who have. Then nobody says anything for a
//! while, and what the server did in it is read from the kernel (proc(5)): any tick of CPU time and
//! any wait that one of its threads ended is a wake-up that nobody needed.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use protocol::frame;

use crate::error::{Error, Result};
use crate::figure::{Figure, figures};
use crate::host::{field, first_number, raise_descriptors};
use crate::process::Server;
use crate::run::{MIB, Run};

figures! {
    CLIENTS: "idle_clients", "idle clients", "";
    RSS: "idle_rss_mib", "RSS with idle clients", "MiB";
    KIB_PER_CLIENT: "idle_kib_per_client", "memory per idle client", "KiB";
    CPU_TICKS: "idle_cpu_ticks", "CPU while idle", "ticks";
    WAKEUPS: "idle_wakeups", "wake-ups of serving threads while idle", "";
    WAKEUPS_OF_OTHERS: "idle_wakeups_of_others", "wake-ups of other threads while idle", "";
}

pub(super) const FIGURES: [Figure; 5] =
    [RSS, KIB_PER_CLIENT, CPU_TICKS, WAKEUPS, WAKEUPS_OF_OTHERS];

/// What each may be at most.
pub(super) const LIMITS: [(Figure, f64); 4] = [
    (RSS, 16.0),
    (KIB_PER_CLIENT, 1.5),
    (CPU_TICKS, 0.0),
    (WAKEUPS, 0.0),
];

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

/// What the kernel counts of a server.
#[derive(Debug, Default, PartialEq)]
struct Activity {
    cpu_ticks: u64,
    wakeups: u64,
    wakeups_of_others: u64,
}

/// Lets `clients` clients join a server with `driver`, and watches it for `duration`.
pub(super) fn measure(run: &mut Run, driver: &str, clients: u32, duration: Duration) -> Result<()> {
    raise_descriptors(clients)?;
    let server = Server::start(&["--driver", driver].map(str::to_owned))?;
    let without_clients = rss_kib(&server)?;
    let joined = join(server.addr, clients)?;
    thread::sleep(SETTLING);
    let before = Activity::of(&server)?;
    thread::sleep(duration);
    let after = Activity::of(&server)?;
    let with_clients = rss_kib(&server)?;
    drop(joined);
    let count = |of: fn(&Activity) -> u64| of(&after).saturating_sub(of(&before)) as f64;
    run.set(&CLIENTS, f64::from(clients));
    run.set(&RSS, with_clients * 1024.0 / MIB);
    run.set(
        &KIB_PER_CLIENT,
        (with_clients - without_clients) / f64::from(clients),
    );
    run.set(&CPU_TICKS, count(|activity| activity.cpu_ticks));
    run.set(&WAKEUPS, count(|activity| activity.wakeups));
    run.set(
        &WAKEUPS_OF_OTHERS,
        count(|activity| activity.wakeups_of_others),
    );
    Ok(())
}

fn rss_kib(server: &Server) -> Result<f64> {
    let rss = field(&proc(server, "status")?, "VmRSS");
    rss.and_then(|rss| first_number(&rss))
        .ok_or_else(|| fault("it has ended"))
}

fn proc(server: &Server, file: &str) -> Result<String> {
    fs::read_to_string(format!("/proc/{}/{file}", server.pid()))
        .map_err(Error::system("read what the server uses"))
}

impl Activity {
    fn of(server: &Server) -> Result<Self> {
        let cpu_ticks = cpu_ticks(&proc(server, "stat")?);
        let mut activity = Self {
            cpu_ticks: cpu_ticks.ok_or_else(|| fault("its CPU time cannot be read"))?,
            ..Self::default()
        };
        let tasks = fs::read_dir(format!("/proc/{}/task", server.pid()));
        for task in tasks.map_err(Error::system("list the server's threads"))? {
            let status = task.and_then(|task| fs::read_to_string(task.path().join("status")));
            activity.add(&status.unwrap_or_default());
        }
        if activity.wakeups == 0 {
            return Err(fault(
                "none of its threads is called serve-N, or has ever waited",
            ));
        }
        Ok(activity)
    }

    /// Adds the thread of which the kernel says `status`.
    fn add(&mut self, status: &str) {
        let name = field(status, "Name").unwrap_or_default();
        let wakeups = field(status, "voluntary_ctxt_switches");
        let wakeups = wakeups.and_then(|text| first_number(&text)).unwrap_or(0);
        if name.starts_with(SERVING) {
            self.wakeups += wakeups;
        } else {
            self.wakeups_of_others += wakeups;
        }
    }
}

/// Clients that have all joined.
fn join(addr: SocketAddr, clients: u32) -> Result<Vec<TcpStream>> {
    let connect = |number: u32| -> io::Result<TcpStream> {
        let mut client = TcpStream::connect(addr)?;
        client.set_read_timeout(Some(MESSAGE_TIMEOUT))?;
        client.set_nodelay(true)?;
        client.write_all(&frame::encode(format!("idle-{number:05}").as_bytes()))?;
        Ok(client)
    };
    let cannot_connect = Error::system("connect a client to the server");
    let joined: io::Result<Vec<TcpStream>> = (0..clients).map(connect).collect();
    let mut joined = joined.map_err(&cannot_connect)?;
    let mut speaker = connect(clients).map_err(&cannot_connect)?;
    let deadline = Instant::now() + JOIN_TIMEOUT;
    let mut heard = 0;
    while heard < joined.len() {
        if Instant::now() > deadline {
            let fewer = format!("{heard} of {clients} clients joined within {JOIN_TIMEOUT:?}");
            return Err(fault(&fewer));
        }
        let spoken = speaker.write_all(&frame::encode(b"hello"));
        spoken.map_err(Error::system("say something to the server"))?;
        let hears = |client: &mut TcpStream| client.read(&mut [0; 1024]).ok().filter(|it| *it > 0);
        heard += joined[heard..].iter_mut().map_while(hears).count();
    }
    Ok(joined)
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
    fn cpu_time_is_found_behind_any_name() {
        let stat = "77 (a) b (c) S 1 77 77 0 -1 4194560 90 0 0 0 250 125 0 0 20 0 1 0 4242 9 9";
        assert_eq!(cpu_ticks(stat), Some(375));
        assert_eq!(cpu_ticks(""), None);
    }

    #[test]
    fn wake_ups_of_threads_that_serve_are_counted_apart() {
        let mut activity = Activity::default();
        for (name, switches) in [("serve-0", 3), ("log", 5), ("serve-11", 4), ("signals", 1)] {
            let switches = format!("voluntary_ctxt_switches:\t{switches}\nnon");
            activity.add(&format!(
                "Name:\t{name}\n{switches}voluntary_ctxt_switches:\t9\n"
            ));
        }
        assert_eq!((activity.wakeups, activity.wakeups_of_others), (7, 6));
    }
}
