//! What the load generator itself costs: its CPU per received segment by that of a bare
//! epoll-and-recv reader of the same broadcast, and its user CPU per delivery.
//!
//! Each repeat has three runs, each with a server of its own:
//! - side by side: the load generator with one half of the clients and a bare reader
//!   (`reader.rs`) with the other, at the same time at the same server. Their ratio is judged.
//! - control: a bare reader in the load generator's place. Its ratio would be 1 if the measurement
//!   added nothing; how far it is from that, and how far repeats lie apart, is what to trust the
//!   judged one to.
//! - full rate: the load generator alone with all the clients, for its user CPU per delivery.
//!
//! Every message goes to both of a pair in the same rounds of the server, so what the machine does
//! meanwhile happens to both alike. A segment is what one read brings: on both sides every read that
//! brought bytes is counted, and the CPU is of the whole process, user and system. The ratio counts only
//! if the segments were of one size; the turns are shown, since who is woken less often pays less.
//!
//! Limits: the server and both readers share the processors, so that each pays for what the others
//! have pushed out of the caches. The more messages come in a segment, the more the load generator has
//! to do that the bare reader has not: the ratio is that of the rate given. What the bare readers used
//! is known every 100 ms, so that their time differs from the load generator's by as much at either end.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use record::Report;

use crate::bound::{Against, Bound, Limit};
use crate::comparison::Section;
use crate::error::{Error, Result};
use crate::figure::figures;
use crate::output::Output;
use crate::process::{self, Server};
use crate::reader::{Reader, Task, Used};
use crate::run::Run;
use crate::study::{self, Study};

/// Compare the load generator with a bare epoll-and-recv reader of the same broadcast, side by side
///
/// Exit status: 0 both medians meet their bounds, 1 not possible, 2 wrong usage, 3 measured, but a
/// bound is missed or a run is invalid.
#[derive(Debug, Parser)]
#[command(name = "own-cost", version, max_term_width = 100)]
pub(super) struct Args {
    /// Measure N times
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeats: u32,

    /// Connect N clients; for the cost of a segment, half of them are the load generator's
    #[arg(long, value_name = "N", default_value_t = 5000,
          value_parser = clap::value_parser!(u32).range(8..))]
    clients: u32,

    /// Send R messages a second in all, for the cost of a segment
    #[arg(long, value_name = "R", default_value_t = 100)]
    rate: u32,

    /// Send R messages a second in all, for the cost of a delivery
    #[arg(long, value_name = "R", default_value_t = 1000)]
    full_rate: u32,

    /// Measure for TIME in each run, as in 10s
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = cli::duration)]
    duration: Duration,

    /// Pass ARG to the servers, as in --server-arg=--driver=epoll
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    server_arg: Vec<String>,

    #[command(flatten)]
    output: Output,
}

/// What the load generator may cost per segment, by what the bare reader does.
const RATIO_MAX: f64 = 1.15;

/// How far the bytes of a segment may differ between the two of a pair.
const UNLIKE_MAX: f64 = 0.05;

/// What a delivery may cost of user CPU, in nanoseconds.
const USER_NS_MAX: f64 = 120.0;

/// Long enough that the kernel acknowledges as it does later on; see `benches::floor::WARMUP_PASSES`.
const WARMUP: Duration = Duration::from_secs(2);

/// How often bare readers are asked what they have used.
const ASK_INTERVAL: Duration = Duration::from_millis(100);

/// The clients of the load generator that only sends.
const SENDERS: u32 = 2;

/// A message on the wire: header and name, header and stamp of 64 bytes.
const BYTES_PER_DELIVERY: f64 = (2 * protocol::HEADER_BYTES + "load-00000".len() + 64) as f64;

figures! {
    NS_PER_SEGMENT: "ns_per_segment", "CPU per segment", "ns";
    SEGMENTS: "segments", "segments", "";
    BYTES_PER_SEGMENT: "bytes_per_segment", "bytes per segment", "";
    SEGMENTS_PER_TURN: "segments_per_turn", "segments per epoll_wait", "";
    USER_NS_PER_DELIVERY: "user_ns_per_delivery", "user CPU per delivery", "ns";
    DELIVERIES_PER_SEGMENT: "deliveries_per_segment", "deliveries per segment", "";
}

const PAIR: &str = "side by side";
const CONTROL: &str = "control";
const FULL: &str = "full rate";
const LOADGEN: &str = "load generator";
const BARE: &str = "bare reader";
const SECOND: &str = "second bare reader";

/// The program.
pub fn main() -> ExitCode {
    study::main("own-cost", compare)
}

fn compare(args: &Args) -> Result<bool> {
    let groups = [vec![PAIR], vec![CONTROL], vec![FULL]];
    let study = study(args);
    let comparison = study.carry_out(&args.output, &groups, |turn, &scenario| match scenario {
        PAIR => pair(args, turn.repeat),
        CONTROL => control(args, turn.repeat),
        _ => full(args, turn.repeat).map(|run| vec![run]),
    })?;
    args.output.write(&comparison)
}

fn study(args: &Args) -> Study {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let of_segments = vec![
        NS_PER_SEGMENT,
        SEGMENTS,
        BYTES_PER_SEGMENT,
        SEGMENTS_PER_TURN,
    ];
    let of_full = vec![USER_NS_PER_DELIVERY, NS_PER_SEGMENT, DELIVERIES_PER_SEGMENT];
    let halves = format!(
        "{} messages/s, each with half of {} clients.",
        args.rate, args.clients
    );
    let all = format!("{} messages/s, {} clients.", args.full_rate, args.clients);
    let ratio = |scenario, candidate, figure, limit| {
        Bound::new(scenario, candidate, figure, limit).against(Against::Ratio(BARE.into()))
    };
    let alike = Limit::Between(1.0 - UNLIKE_MAX, 1.0 + UNLIKE_MAX);
    Study {
        repeats: args.repeats,
        sections: vec![
            Section::new(
                PAIR,
                halves.clone(),
                of_segments.clone(),
                names(&[LOADGEN, BARE]),
            ),
            Section::new(CONTROL, halves, of_segments, names(&[SECOND, BARE])),
            Section::new(FULL, all, of_full, names(&[LOADGEN])),
        ],
        bounds: vec![
            ratio(PAIR, LOADGEN, NS_PER_SEGMENT, Limit::AtMost(RATIO_MAX)),
            ratio(PAIR, LOADGEN, BYTES_PER_SEGMENT, alike),
            ratio(CONTROL, SECOND, NS_PER_SEGMENT, Limit::Any),
            Bound::new(
                FULL,
                LOADGEN,
                USER_NS_PER_DELIVERY,
                Limit::AtMost(USER_NS_MAX),
            ),
        ],
        steady: vec![NS_PER_SEGMENT],
        ..Study::new(
            "own-cost",
            "What the load generator itself costs",
            format!("Every run is {:?}.", args.duration),
        )
    }
}

/// The load generator beside a bare reader, which comes to the server first.
fn pair(args: &Args, repeat: u32) -> Result<Vec<Run>> {
    let server = Server::start(&args.server_arg)?;
    let half = args.clients / 2;
    let mut readers = [reader(server.addr, half)?];
    let (report, [bare]) = watch(args, server.addr, args.clients - half, &mut readers)?;
    let generator = &report.generator;
    let mut judged = Run::new(repeat, PAIR, LOADGEN);
    let deliveries = report.delivered as f64;
    set_segments(
        &mut judged,
        cpu_seconds(&report)? * 1e9,
        generator.reads,
        deliveries * BYTES_PER_DELIVERY,
        generator.turn_ms.count,
    );
    judged.problems.clone_from(&report.problems);
    Ok(vec![judged, used_by(bare, repeat, PAIR, BARE)])
}

/// Bare readers beside bare readers, who come to the server in the same order.
fn control(args: &Args, repeat: u32) -> Result<Vec<Run>> {
    let server = Server::start(&args.server_arg)?;
    let half = args.clients / 2;
    let mut readers = [
        reader(server.addr, half)?,
        reader(server.addr, (args.clients - half - SENDERS).max(1))?,
    ];
    let (report, [bare, second]) = watch(args, server.addr, SENDERS, &mut readers)?;
    let mut second = used_by(second, repeat, CONTROL, SECOND);
    second.problems.clone_from(&report.problems);
    Ok(vec![second, used_by(bare, repeat, CONTROL, BARE)])
}

/// The load generator with all the clients, at the full rate.
fn full(args: &Args, repeat: u32) -> Result<Run> {
    let server = Server::start(&args.server_arg)?;
    let report = load(args, server.addr, args.clients, args.full_rate)?;
    let generator = &report.generator;
    let mut run = Run::new(repeat, FULL, LOADGEN);
    let reads = generator.reads as f64;
    run.set(&USER_NS_PER_DELIVERY, generator.user_ns_per_delivery);
    run.set(&NS_PER_SEGMENT, cpu_seconds(&report)? * 1e9 / reads);
    run.set(&DELIVERIES_PER_SEGMENT, report.delivered as f64 / reads);
    run.problems.clone_from(&report.problems);
    Ok(run)
}

fn reader(target: SocketAddr, sockets: u32) -> Result<Reader> {
    let task = Task {
        target,
        sockets,
        pass_bytes: 0,
        is_named: true,
    };
    Reader::start(&task, None, |_| Ok(()))
}

/// Runs the load generator with `clients` clients; what each of `readers` used before and after its
/// measured time, which is said nearest to its beginning and its end.
fn watch<const N: usize>(
    args: &Args,
    server: SocketAddr,
    clients: u32,
    readers: &mut [Reader; N],
) -> Result<(Report, [(Used, Used); N])> {
    let began = Instant::now();
    let mut said = Vec::new();
    let report = thread::scope(|scope| {
        let load = scope.spawn(|| load(args, server, clients, args.rate));
        while !load.is_finished() {
            let mut used = [Used::default(); N];
            for (used, reader) in used.iter_mut().zip(&mut *readers) {
                *used = reader.used()?;
            }
            said.push((began.elapsed(), used));
            thread::sleep(ASK_INTERVAL);
        }
        load.join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    // That the process itself has to start is left out: milliseconds in traffic that stays the same.
    let from = Duration::from_secs_f64(report.connect_seconds) + WARMUP;
    let nearest = |time: Duration| {
        let nearest = said.iter().min_by_key(|(at, _)| at.abs_diff(time));
        nearest.map_or([Used::default(); N], |(_, used)| *used)
    };
    let (before, after) = (nearest(from), nearest(from + args.duration));
    Ok((report, std::array::from_fn(|at| (before[at], after[at]))))
}

/// A run of the load generator with `clients` clients.
fn load(args: &Args, server: SocketAddr, clients: u32, rate: u32) -> Result<Report> {
    let flags = format!(
        "--quiet --addr {server} --clients {clients} --rate {rate} --warmup {}ms --duration {}ms",
        WARMUP.as_millis(),
        args.duration.as_millis()
    );
    process::must_measure(
        &process::words(&flags),
        args.duration + process::OVERHEAD_MAX,
    )
}

fn cpu_seconds(report: &Report) -> Result<f64> {
    let unknown = || Error::Run("the load generator does not know what it used".into());
    report.generator.consumption.cpu_seconds.ok_or_else(unknown)
}

fn used_by((before, after): (Used, Used), repeat: u32, scenario: &str, candidate: &str) -> Run {
    let mut run = Run::new(repeat, scenario, candidate);
    set_segments(
        &mut run,
        (after.cpu_ns - before.cpu_ns) as f64,
        after.reads - before.reads,
        (after.bytes - before.bytes) as f64,
        after.turns - before.turns,
    );
    run
}

fn set_segments(run: &mut Run, cpu_ns: f64, segments: u64, bytes: f64, turns: u64) {
    let segments = segments as f64;
    run.set(&NS_PER_SEGMENT, cpu_ns / segments);
    run.set(&SEGMENTS, segments);
    run.set(&BYTES_PER_SEGMENT, bytes / segments);
    run.set(&SEGMENTS_PER_TURN, segments / turns as f64);
}
