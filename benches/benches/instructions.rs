//! The regression guard: how many instructions the hot paths take, against committed baselines.
//!
//! Started by a person, it starts itself once for each case under callgrind, which counts what
//! [`counted_by_callgrind`] executes and nothing of what prepares it. Instructions repeat where
//! clocks do not, also on a busy machine: only more than a baseline and its tolerance fails. A
//! compiler other than the baselines' own is given [`TOLERANCE_OF_OTHER_COMPILER`].
//! [`RENEW`] writes the baselines anew.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

use bytes::Bytes;
use loadgen::Deliveries;
use protocol::{Decoder, frame};
use serde::{Deserialize, Serialize};
use server::hub::{ConnectionId, Hub, Limits, Log};

/// How much more a case may cost than its baseline. Counts repeat to the digit, but what the compiler
/// puts inline moves with code that has nothing to do with the case.
const TOLERANCE: f64 = 0.05;

/// The same where another rustc built this than the baselines are of: it still finds work that is
/// done once too often.
const TOLERANCE_OF_OTHER_COMPILER: f64 = 0.20;

/// How the baselines are renewed.
const RENEW: &str = "cargo bench -p benches --bench instructions -- --update";

/// As the first argument, makes this program the one that callgrind watches. Not for users.
const CASE: &str = "__case";

const SUBSCRIBERS: u16 = 1000;
const FRAMES: usize = 10_000;

/// Sends that a driver takes before it reports on them.
const CHUNK: usize = 128;

const LOG_BYTES_MAX: usize = 64 << 20;

/// A name, and what is counted under it.
type Case = (&'static str, fn() -> u64);

/// Each prepares its world, then has the hot part counted; they return how many operations that was.
const CASES: [Case; 5] = [
    ("decoder-small-frames", || decode(64 * 1024)),
    ("decoder-cut-frames", || decode(61)),
    ("hub-join", join),
    ("hub-fan-out", fan_out),
    ("ledger-delivery", book),
];

/// The committed file.
#[derive(Debug, Serialize, Deserialize)]
struct Baselines {
    /// As `rustc --version` says it.
    rustc: String,
    /// Instructions per operation, by case.
    instructions: BTreeMap<String, f64>,
}

/// What a count says beside its baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Holds,
    Regression,
    /// Less than it was by more than the tolerance: what was gained is not guarded yet.
    Improvement,
}

impl Verdict {
    fn of(measured: f64, baseline: f64, tolerance: f64) -> Self {
        match measured / baseline - 1.0 {
            change if change > tolerance => Self::Regression,
            change if change < -tolerance => Self::Improvement,
            _ => Self::Holds,
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [asked, name] = arguments.as_slice()
        && asked == CASE
    {
        return run_case(name);
    }
    // `cargo bench` adds --bench.
    let asked: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|&argument| argument != "--bench")
        .collect();
    let result = match asked.as_slice() {
        [] => judge(),
        ["--update"] => write_baselines(),
        other => Err(format!("{other:?} is not understood; there is --update")),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Compares every case with its baseline; says whether none takes more than it may.
fn judge() -> Result<bool, String> {
    let path = baselines_path();
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let baselines: Baselines =
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let tolerance = tolerance(&baselines, &rustc_version()?);
    let mut holds = true;
    for (name, _) in CASES {
        let baseline = *baselines
            .instructions
            .get(name)
            .ok_or_else(|| format!("{name} has no baseline: `{RENEW}`"))?;
        let measured = count(name)?;
        let verdict = Verdict::of(measured, baseline, tolerance);
        holds &= verdict != Verdict::Regression;
        let remark = match verdict {
            Verdict::Holds => String::new(),
            Verdict::Regression => "; REGRESSION: find the cause, or renew the baseline".to_owned(),
            Verdict::Improvement => format!("; guard what was gained: `{RENEW}`"),
        };
        println!(
            "{name}: {measured:.2} instructions per operation, baseline {baseline:.2}, {:+.2} % (limit +{:.0} %){remark}",
            (measured / baseline - 1.0) * 100.0,
            tolerance * 100.0
        );
    }
    if !holds {
        println!(
            "if the cost is wanted: `{RENEW}`, and commit benches/baselines.json with the reason"
        );
    }
    Ok(holds)
}

/// How far above its baseline a count may be with this compiler.
fn tolerance(baselines: &Baselines, rustc: &str) -> f64 {
    if rustc == baselines.rustc {
        return TOLERANCE;
    }
    println!(
        "the baselines are of {}, and this is {rustc}: up to {:.0} % more is let pass. To guard as closely as before, run `{RENEW}` on unchanged code and commit benches/baselines.json by itself",
        baselines.rustc,
        TOLERANCE_OF_OTHER_COMPILER * 100.0
    );
    TOLERANCE_OF_OTHER_COMPILER
}

/// Counts every case anew. The file is written when all were counted, or not at all.
fn write_baselines() -> Result<bool, String> {
    let mut baselines = Baselines {
        rustc: rustc_version()?,
        instructions: BTreeMap::new(),
    };
    for (name, _) in CASES {
        let measured = count(name)?;
        println!("{name}: {measured:.2} instructions per operation");
        // A hundredth is less than any tolerance, and leaves no digits that nobody reads.
        let rounded = (measured * 100.0).round() / 100.0;
        baselines.instructions.insert(name.to_owned(), rounded);
    }
    let text = serde_json::to_string_pretty(&baselines)
        .map_err(|error| format!("the baselines cannot be put as JSON: {error}"))?;
    let path = baselines_path();
    std::fs::write(&path, text + "\n")
        .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    println!("written: {}", path.display());
    Ok(true)
}

fn baselines_path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("baselines.json")
}

fn rustc_version() -> Result<String, String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .arg("--version")
        .output()
        .map_err(|error| format!("cannot ask rustc for its version: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Instructions per operation of a case, counted in a process of its own.
fn count(name: &str) -> Result<f64, String> {
    eprintln!("{name}: counting, some 50 times slower than it runs ...");
    let program =
        std::env::current_exe().map_err(|error| format!("cannot find myself: {error}"))?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*counted_by_callgrind*")
        .arg(program)
        .args([CASE, name])
        .output()
        .map_err(|error| {
            format!("cannot start valgrind: {error}: install it (apt-get install valgrind)")
        })?;
    let said = String::from_utf8_lossy(&output.stderr);
    let operations = String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse::<u64>();
    match (output.status.success(), collected(&said), operations) {
        (true, Some(instructions), Ok(operations)) if instructions > 0 => {
            Ok(instructions as f64 / operations as f64)
        }
        _ => Err(format!("{name} was not counted; valgrind said: {said}")),
    }
}

/// The sum in callgrind's last words: `==1== Collected : 123`.
fn collected(said: &str) -> Option<u64> {
    let (_, rest) = said.split_once("Collected :")?;
    rest.split_whitespace().next()?.parse().ok()
}

fn run_case(name: &str) -> ExitCode {
    let Some((_, case)) = CASES.iter().find(|(known, _)| *known == name) else {
        eprintln!("error: there is no case {name}");
        return ExitCode::FAILURE;
    };
    println!("{}", case());
    ExitCode::SUCCESS
}

/// What callgrind counts; it knows this function by its name.
#[inline(never)]
fn counted_by_callgrind(work: &mut dyn FnMut()) {
    work();
    // Keeps the call from becoming a jump, which callgrind would not see return.
    black_box(());
}

/// Per frame, two to a broadcast, cut into reads of `cut_bytes`.
fn decode(cut_bytes: usize) -> u64 {
    let wire = frame::broadcast(b"client42", &[b'x'; 64]).repeat(FRAMES / 2);
    let mut decoder = Decoder::new(64);
    let mut frames = 0;
    counted_by_callgrind(&mut || {
        for mut piece in wire.chunks(cut_bytes) {
            while let Some(payload) = decoder.next(&mut piece).expect("the stream is well formed") {
                black_box(payload);
                frames += 1;
            }
        }
    });
    assert_eq!(frames, FRAMES as u64);
    frames
}

/// Per client that connects and says its name.
fn join() -> u64 {
    let mut hub = Hub::new(Limits::default(), Log::new(LOG_BYTES_MAX));
    let names = names();
    let now = Instant::now();
    let mut joined = Vec::with_capacity(names.len());
    counted_by_callgrind(&mut || join_all(&mut hub, &names, &mut joined, now));
    joined.len() as u64
}

/// Per delivery of one message to everyone else, each a send of its own; reported on in chunks, as
/// the drivers do.
fn fan_out() -> u64 {
    let mut hub = Hub::new(Limits::default(), Log::new(LOG_BYTES_MAX));
    let now = Instant::now();
    let mut joined = Vec::new();
    join_all(&mut hub, &names(), &mut joined, now);
    let message = frame::encode(&[b'x'; 64]);
    let mut chunk = Vec::with_capacity(CHUNK);
    let mut sends = 0;
    counted_by_callgrind(&mut || {
        let _ = hub.receive(joined[0], &message, now);
        loop {
            for _ in 0..CHUNK {
                let Some(transmit) = hub.poll_transmit(now) else {
                    break;
                };
                chunk.push((transmit.id, transmit.bytes.len()));
            }
            if chunk.is_empty() {
                break;
            }
            for (id, bytes) in chunk.drain(..) {
                hub.transmitted(id, bytes, now);
                sends += 1;
            }
        }
    });
    assert_eq!(sends, u64::from(SUBSCRIBERS) - 1, "each is sent to once");
    sends
}

/// Per delivery that the load generator decodes, proves and books; each read holds many.
fn book() -> u64 {
    let (clients, messages) = (100, 200);
    let mut deliveries = Deliveries::new(clients, messages);
    let mut booked = 0;
    counted_by_callgrind(&mut || booked = deliveries.book());
    assert_eq!(booked, u64::from((clients - 1) * messages));
    booked
}

fn names() -> Vec<Bytes> {
    (0..SUBSCRIBERS)
        .map(|number| frame::encode(format!("bench{number:05}").as_bytes()))
        .collect()
}

fn join_all(hub: &mut Hub, names: &[Bytes], joined: &mut Vec<ConnectionId>, now: Instant) {
    for (name, port) in names.iter().zip(1..) {
        let id = hub.accept(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), now);
        let _ = hub.receive(id, name, now);
        joined.push(id);
    }
}
