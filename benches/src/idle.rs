//! Idle: what clients cost that have joined and say nothing.
//!
//! A server is started, its memory read, then clients join, which are a bare reader's. That all have joined is
//! proved: each has received a message, which only those get who have. Then nobody says anything for a
//! while, and what the server did in it is read from the kernel (proc(5)): any tick of CPU time and
//! any wait that one of its threads ended is a wake-up that nobody needed.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use loadgen::host::{Process, Usage};
use protocol::frame;

use crate::cases::Case;
use crate::error::{Error, Result};
use crate::figure;
use crate::reader::Reader;
use crate::run::{MIB, Run};
use crate::serving::Serving;

/// In which the kernel counts CPU time.
const TICKS_PER_SECOND: f64 = 100.0;

/// How the names of the threads begin that serve clients.
const SERVING: &str = "serve-";

/// What the joining left to be done is done by then. The longest is that the server waits 2 s for the
/// closing of the client that spoke and left, and then looks whether anything else is due.
const SETTLING: Duration = Duration::from_secs(4);

/// Clients that had not joined by the first message receive another.
const MESSAGES_MAX: u32 = 60;
const MESSAGE_INTERVAL: Duration = Duration::from_secs(1);

/// Lets the clients of `case` join the server, and watches it for as long as a run takes.
pub(crate) fn measure(case: &Case, server: &Serving, run: &mut Run) -> Result<()> {
    let clients = case.load.clients;
    let process = Process::find(server.pid()).ok_or_else(has_ended)?;
    let usage = || process.usage().ok_or_else(has_ended);
    let kib = |usage: &Usage| usage.rss_bytes.unwrap_or_default() as f64 / 1024.0;
    let kib_without_clients = kib(&usage()?);
    let joined = join(server.addr(), clients)?;
    thread::sleep(SETTLING);
    let (before, serving_before) = (usage()?, wakeups(server.pid())?);
    thread::sleep(case.duration);
    let (after, serving_after) = (usage()?, wakeups(server.pid())?);
    drop(joined);
    let seconds = |usage: &Usage| usage.user_seconds + usage.system_seconds;
    let all = |usage: &Usage| usage.switches.unwrap_or_default().voluntary;
    let serving = serving_after.saturating_sub(serving_before);
    let others = (all(&after) - all(&before)).saturating_sub(serving);
    run.set(&figure::IDLE_CLIENTS, f64::from(clients));
    run.set(&figure::IDLE_RSS, kib(&after) * 1024.0 / MIB);
    let per_client = (kib(&after) - kib_without_clients) / f64::from(clients);
    let ticks = (seconds(&after) - seconds(&before)) * TICKS_PER_SECOND;
    run.set(&figure::IDLE_PER_CLIENT, per_client);
    run.set(&figure::IDLE_CPU, ticks.round());
    run.set(&figure::IDLE_WAKEUPS, serving as f64);
    run.set(&figure::IDLE_WAKEUPS_OF_OTHERS, others as f64);
    Ok(())
}

/// How often threads that serve clients have waited for something.
fn wakeups(pid: u32) -> Result<u64> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"))?;
    let of = |status: String| wakeups_of_serving(&status);
    let status = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("status")).ok();
    match threads.flatten().filter_map(status).filter_map(of).sum() {
        0 => Err(fault(
            "none of its threads is called serve-N, or has ever waited",
        )),
        wakeups => Ok(wakeups),
    }
}

/// The same of the thread of which the kernel says `status`; `None` if it serves nobody.
fn wakeups_of_serving(status: &str) -> Option<u64> {
    let value = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    value("Name:").filter(|name| name.trim().starts_with(SERVING))?;
    value("voluntary_ctxt_switches:")?.trim().parse().ok()
}

/// Clients that have all joined: each has received one of the messages of another.
fn join(addr: SocketAddr, clients: u32) -> Result<Reader> {
    let mut joined = Reader::of_clients(addr, clients)?;
    let mut speaker = TcpStream::connect(addr)?;
    speaker.write_all(&frame::encode(b"speaker"))?;
    for _ in 0..MESSAGES_MAX {
        let before = joined.used()?.reads;
        speaker.write_all(&frame::encode(b"hello"))?;
        thread::sleep(MESSAGE_INTERVAL);
        if joined.used()?.reads - before >= u64::from(clients) {
            return Ok(joined);
        }
    }
    Err(fault(&format!("not all of {clients} clients have joined")))
}

fn has_ended() -> Error {
    fault("it has ended")
}

fn fault(fault: &str) -> Error {
    Error::Run(format!("the server with idle clients: {fault}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wake_ups_of_threads_that_serve_are_counted_apart() {
        let of = |name: &str| {
            let switches = "voluntary_ctxt_switches:\t3\nnonvoluntary_ctxt_switches:\t9\n";
            wakeups_of_serving(&format!("Name:\t{name}\n{switches}"))
        };
        assert_eq!([of("serve-0"), of("serve-11")], [Some(3), Some(3)]);
        assert_eq!([of("log"), of("signals")], [None, None]);
    }
}
