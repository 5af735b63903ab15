//! Two processes that read the same broadcast from the same server at the same time.
//!
//! Each has half of the clients. Every message goes to all of them in the same rounds of the server,
//! so what the machine does meanwhile happens to both alike, and their ratio is free of it. Both are
//! judged by the same time, which is the load generator's measured one: the bare readers are asked
//! all along what they have used, and what they said nearest to its beginning and its end counts.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use benches::Error;
use benches::process::Server;
use serde::Serialize;

use crate::CommandLine;
use crate::load::{self, Report, fault};
use crate::readers::{Readers, Used};

/// How often bare readers are asked what they have used.
const ASK_INTERVAL: Duration = Duration::from_millis(100);

/// The clients of the load generator that only sends.
const SENDERS: u32 = 2;

/// What one of the two spent, and on what.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Side {
    /// CPU of the whole process, user and system.
    pub(crate) ns_per_segment: f64,
    /// Reads that brought bytes.
    pub(crate) segments: u64,
    pub(crate) bytes_per_segment: f64,
    /// Returns of `epoll_wait`.
    pub(crate) turns: u64,
}

/// Two sides of one run.
#[derive(Debug, Serialize)]
pub(crate) struct Pair {
    /// The load generator; in the control, further bare readers in its place.
    pub(crate) judged: Side,
    pub(crate) bare: Side,
    /// What a segment costs the one by what it costs the other.
    pub(crate) ratio: f64,
    /// Of the load generator, by its own account.
    pub(crate) problems: Vec<String>,
}

impl Side {
    fn of_readers(before: Used, after: Used) -> Self {
        let segments = after.reads - before.reads;
        Self {
            ns_per_segment: (after.cpu_ns - before.cpu_ns) as f64 / segments as f64,
            segments,
            bytes_per_segment: (after.bytes - before.bytes) as f64 / segments as f64,
            turns: after.turns - before.turns,
        }
    }

    pub(crate) fn segments_per_turn(&self) -> f64 {
        self.segments as f64 / self.turns as f64
    }
}

impl Pair {
    fn new(judged: Side, bare: Side, problems: Vec<String>) -> Self {
        Self {
            ratio: judged.ns_per_segment / bare.ns_per_segment,
            judged,
            bare,
            problems,
        }
    }

    /// Bytes of a segment by those of the bare readers.
    pub(crate) fn likeness(&self) -> f64 {
        self.judged.bytes_per_segment / self.bare.bytes_per_segment
    }
}

/// The load generator beside bare readers, who come to the server first.
pub(crate) fn measured(demand: &CommandLine) -> Result<Pair, Error> {
    let server = Server::start(&demand.server_arg).map_err(fault)?;
    let half = demand.clients / 2;
    let mut readers = [Readers::start(server.addr(), half)?];
    let (report, [bare]) = watch(demand, server.addr(), demand.clients - half, &mut readers)?;
    let judged = Side {
        ns_per_segment: report.cpu_seconds()? * 1e9 / report.generator.reads as f64,
        segments: report.generator.reads,
        bytes_per_segment: report.bytes_per_segment(),
        turns: report.generator.turn_ms.count,
    };
    Ok(Pair::new(judged, bare, report.problems))
}

/// Bare readers beside bare readers, who come to the server in the same order: how far from 1 their
/// ratio is shows what the measurement itself adds.
pub(crate) fn control(demand: &CommandLine) -> Result<Pair, Error> {
    let server = Server::start(&demand.server_arg).map_err(fault)?;
    let half = demand.clients / 2;
    let mut readers = [
        Readers::start(server.addr(), half)?,
        Readers::start(server.addr(), (demand.clients - half - SENDERS).max(1))?,
    ];
    let (report, [bare, judged]) = watch(demand, server.addr(), SENDERS, &mut readers)?;
    Ok(Pair::new(judged, bare, report.problems))
}

/// Runs the load generator with `clients` clients; says what each of `readers` used in its measured
/// time.
fn watch<const N: usize>(
    demand: &CommandLine,
    server: SocketAddr,
    clients: u32,
    readers: &mut [Readers; N],
) -> Result<(Report, [Side; N]), Error> {
    let began = Instant::now();
    let mut said = Vec::new();
    let report = thread::scope(|scope| {
        let load = scope.spawn(|| load::run(demand, server, clients, demand.rate));
        while !load.is_finished() {
            let mut used = [Used::default(); N];
            for (used, readers) in used.iter_mut().zip(&mut *readers) {
                *used = readers.used()?;
            }
            said.push((began.elapsed(), used));
            thread::sleep(ASK_INTERVAL);
        }
        load.join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    let from = report.measures_from();
    let nearest = |time: Duration| {
        let nearest = said.iter().min_by_key(|(at, _)| at.abs_diff(time));
        nearest.map_or([Used::default(); N], |(_, used)| *used)
    };
    let (before, after) = (nearest(from), nearest(from + demand.duration));
    let sides = std::array::from_fn(|at| Side::of_readers(before[at], after[at]));
    Ok((report, sides))
}
