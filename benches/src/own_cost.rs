//! What the load generator itself costs: beside a bare reader (`reader.rs`) at the same time at the same
//! server, every message goes to both in the same rounds of the server, so what the machine does meanwhile
//! happens to both alike. A segment is what one read brings: on both sides every read that brought bytes is
//! counted, and the CPU is of the whole process, user and system.

use std::thread;
use std::time::{Duration, Instant};

use record::Report;

use crate::cases::Case;
use crate::error::{Error, Result};
use crate::figure::{BYTES_PER_SEGMENT, NS_PER_SEGMENT, SEGMENTS, SEGMENTS_PER_TURN};
use crate::process;
use crate::reader::{Reader, Used};
use crate::run::Run;
use crate::serving::Serving;

/// How often bare readers are asked what they have used.
const ASK_INTERVAL: Duration = Duration::from_millis(100);

/// The clients of the load generator that only sends.
const SENDERS: u32 = 2;

/// A message on the wire: header and name, header and stamp of 64 bytes.
const BYTES_PER_DELIVERY: f64 = (2 * protocol::HEADER_BYTES + "load-00000".len() + 64) as f64;

/// Who is beside the candidate.
pub(crate) const BARE: &str = "bare reader";

/// The load generator beside a bare reader, which comes to the server first; the run of that.
pub(crate) fn pair(case: &Case, judged: &mut Run) -> Result<Run> {
    let half = case.load.clients / 2;
    let (report, [bare]) = watch(case, case.load.clients - half, [half])?;
    let generator = &report.generator;
    let unknown = || Error::Run("the load generator does not know what it used".into());
    let cpu_seconds = generator.consumption.cpu_seconds.ok_or_else(unknown)?;
    let bytes = report.delivered as f64 * BYTES_PER_DELIVERY;
    let turns = generator.turn_ms.count;
    set_segments(judged, cpu_seconds * 1e9, generator.reads, bytes, turns);
    judged.problems = report.problems;
    Ok(used_by(bare))
}

/// A bare reader beside a bare reader, who come to the server in the same order.
pub(crate) fn control(case: &Case, second: &mut Run) -> Result<Run> {
    let half = case.load.clients / 2;
    let others = (case.load.clients - half).saturating_sub(SENDERS).max(1);
    let (report, [bare, used]) = watch(case, SENDERS, [half, others])?;
    second.figures = used_by(used).figures;
    second.problems = report.problems;
    Ok(used_by(bare))
}

/// Runs the load generator with `clients` clients beside bare readers with these numbers of sockets; what
/// each of them used before and after its measured time, which is said nearest to its beginning and its end.
fn watch<const N: usize>(
    case: &Case,
    clients: u32,
    sockets: [u32; N],
) -> Result<(Report, [(Used, Used); N])> {
    let server = Serving::start(&case.candidate, case.load.clients)?;
    let start = |sockets| Reader::of_clients(server.addr(), sockets);
    let readers: Result<Vec<Reader>> = sockets.into_iter().map(start).collect();
    let mut readers = readers?;
    let mut load = case.clone();
    load.load.clients = clients;
    let flags = server.flags(&load.flags());
    let began = Instant::now();
    let mut said = Vec::new();
    let report = thread::scope(|scope| {
        let load = scope.spawn(|| process::measure(&flags, case.duration + process::OVERHEAD_MAX));
        while !load.is_finished() {
            let mut used = [Used::default(); N];
            for (used, reader) in used.iter_mut().zip(&mut readers) {
                *used = reader.used()?;
            }
            said.push((began.elapsed(), used));
            thread::sleep(ASK_INTERVAL);
        }
        load.join().expect("it says why it fails")
    })?;
    // That the process itself has to start is left out: milliseconds in traffic that stays the same.
    let from = Duration::from_secs_f64(report.connect_seconds + report.warmup_seconds);
    let nearest = |time: Duration| {
        let nearest = said.iter().min_by_key(|(at, _)| at.abs_diff(time));
        nearest.map_or([Used::default(); N], |(_, used)| *used)
    };
    let (before, after) = (nearest(from), nearest(from + case.duration));
    Ok((report, std::array::from_fn(|at| (before[at], after[at]))))
}

fn used_by((before, after): (Used, Used)) -> Run {
    let mut run = Run::default();
    let cpu_ns = (after.cpu_ns - before.cpu_ns) as f64;
    let bytes = (after.bytes - before.bytes) as f64;
    let turns = after.turns - before.turns;
    set_segments(&mut run, cpu_ns, after.reads - before.reads, bytes, turns);
    run
}

fn set_segments(run: &mut Run, cpu_ns: f64, segments: u64, bytes: f64, turns: u64) {
    let segments = segments as f64;
    run.set(&NS_PER_SEGMENT, cpu_ns / segments);
    run.set(&SEGMENTS, segments);
    run.set(&BYTES_PER_SEGMENT, bytes / segments);
    run.set(&SEGMENTS_PER_TURN, segments / turns as f64);
}
