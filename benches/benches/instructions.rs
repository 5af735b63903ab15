//! The regression guard: how many instructions the hot paths take, against committed baselines. `--time`
//! says how long they take.
//!
//! Started by a person, it starts itself once for each case under callgrind, which counts what
//! [`counted_by_callgrind`] executes and nothing of what prepares it. Instructions repeat where
//! clocks do not, also on a busy machine: only more than a baseline and its tolerance fails.
//! [`RENEW`] writes the baselines anew.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

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

/// How often a case is timed; the fastest counts.
const TIMES: u32 = 50;

const SUBSCRIBERS: u16 = 1000;
const FRAMES: usize = 10_000;

/// Sends that a driver takes before it reports on them.
const CHUNK: usize = 128;

const LOG_BYTES_MAX: usize = 64 << 20;

/// How many operations a case had, and what they took.
type Counted = (u64, Duration);

/// A name, and what prepares its world, then has the hot part counted.
type Case = (&'static str, fn() -> Counted);

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

fn main() -> ExitCode {
    // `cargo bench` adds --bench.
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        [] => judge(),
        ["--update"] => update(),
        ["--time"] => {
            time();
            Ok(true)
        }
        [CASE, name] => run(name),
        _ => Err(format!("{words:?} is not understood; there are --update and --time").into()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Compares every case with its baseline; says whether none takes more than it may.
fn judge() -> Result<bool, Box<dyn Error>> {
    let baselines: Baselines = serde_json::from_slice(&fs::read(baselines_path())?)?;
    let rustc = rustc_version()?;
    let mut tolerance = TOLERANCE;
    if rustc != baselines.rustc {
        tolerance = TOLERANCE_OF_OTHER_COMPILER;
        println!(
            "the baselines are of {}, and this is {rustc}: up to {:.0} % more is let pass. To guard as closely as before, run `{RENEW}` on unchanged code and commit benches/baselines.json by itself",
            baselines.rustc,
            tolerance * 100.0
        );
    }
    let mut holds = true;
    for (name, _) in CASES {
        let baseline = baselines.instructions.get(name);
        let baseline = baseline.ok_or_else(|| format!("{name} has no baseline: `{RENEW}`"))?;
        let measured = count(name)?;
        let change = measured / baseline - 1.0;
        holds &= change <= tolerance;
        let remark = match change {
            _ if change > tolerance => format!("; REGRESSION: find the cause, or `{RENEW}`"),
            _ if change < -tolerance => format!("; guard what was gained: `{RENEW}`"),
            _ => String::new(),
        };
        println!(
            "{name}: {measured:.2} instructions per operation, baseline {baseline:.2}, {:+.2} % (limit +{:.0} %){remark}",
            change * 100.0,
            tolerance * 100.0
        );
    }
    Ok(holds)
}

/// Counts every case anew. The file is written when all were counted, or not at all.
fn update() -> Result<bool, Box<dyn Error>> {
    let mut instructions = BTreeMap::new();
    for (name, _) in CASES {
        let measured = count(name)?;
        println!("{name}: {measured:.2} instructions per operation");
        // A hundredth is less than any tolerance, and leaves no digits that nobody reads.
        instructions.insert(name.to_owned(), (measured * 100.0).round() / 100.0);
    }
    let rustc = rustc_version()?;
    let text = serde_json::to_string_pretty(&Baselines {
        rustc,
        instructions,
    })?;
    fs::write(baselines_path(), text + "\n")?;
    println!("written: {}", baselines_path().display());
    Ok(true)
}

/// How long each case takes here.
fn time() {
    for (name, case) in CASES {
        let ns = |(operations, took): Counted| took.as_nanos() as f64 / operations as f64;
        let fastest = (0..TIMES).map(|_| ns(case())).fold(f64::INFINITY, f64::min);
        println!("{name}: {fastest:.1} ns per operation");
    }
}

fn baselines_path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("baselines.json")
}

fn rustc_version() -> Result<String, Box<dyn Error>> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Instructions per operation of a case, counted in a process of its own.
fn count(name: &str) -> Result<f64, Box<dyn Error>> {
    eprintln!("{name}: counting, some 50 times slower than it runs ...");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*counted_by_callgrind*")
        .arg(std::env::current_exe()?)
        .args([CASE, name])
        .output()
        .map_err(|error| format!("valgrind: {error}: install it (apt-get install valgrind)"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    // The sum in its last words: `==1== Collected : 123`.
    let collected = said.split_once("Collected :").unwrap_or_default().1;
    let collected = collected.split_whitespace().next().unwrap_or_default();
    let operations = String::from_utf8_lossy(&output.stdout);
    let operations = operations.trim().parse::<f64>();
    match (collected.parse::<f64>(), operations) {
        (Ok(instructions), Ok(operations)) if instructions > 0.0 => Ok(instructions / operations),
        _ => Err(format!("{name} was not counted; valgrind said: {said}").into()),
    }
}

/// What callgrind watches: runs a case and says how many operations that was.
fn run(name: &str) -> Result<bool, Box<dyn Error>> {
    let case = CASES.iter().find(|(known, _)| *known == name);
    let (_, case) = case.ok_or_else(|| format!("there is no case {name}"))?;
    println!("{}", case().0);
    Ok(true)
}

fn timed(work: &mut dyn FnMut()) -> Duration {
    let began = Instant::now();
    counted_by_callgrind(work);
    began.elapsed()
}

/// What callgrind counts; it knows this function by its name.
#[inline(never)]
fn counted_by_callgrind(work: &mut dyn FnMut()) {
    work();
    // Keeps the call from becoming a jump, which callgrind would not see return.
    black_box(());
}

/// Per frame, two to a broadcast, cut into reads of `cut_bytes`.
fn decode(cut_bytes: usize) -> Counted {
    let wire = frame::broadcast(b"client42", &[b'x'; 64]).repeat(FRAMES / 2);
    let mut decoder = Decoder::new(64);
    let mut frames = 0;
    let took = timed(&mut || {
        for mut piece in wire.chunks(cut_bytes) {
            while let Some(payload) = decoder.next(&mut piece).expect("the stream is well formed") {
                black_box(payload);
                frames += 1;
            }
        }
    });
    assert_eq!(frames, FRAMES as u64);
    (frames, took)
}

/// Per client that connects and says its name.
fn join() -> Counted {
    let mut hub = Hub::new(Limits::default(), Log::new(LOG_BYTES_MAX));
    let names = names();
    let now = Instant::now();
    let mut joined = Vec::with_capacity(names.len());
    let took = timed(&mut || join_all(&mut hub, &names, &mut joined, now));
    (joined.len() as u64, took)
}

/// Per delivery of one message to everyone else, each a send of its own; reported on in chunks, as
/// the drivers do.
fn fan_out() -> Counted {
    let mut hub = Hub::new(Limits::default(), Log::new(LOG_BYTES_MAX));
    let now = Instant::now();
    let mut joined = Vec::new();
    join_all(&mut hub, &names(), &mut joined, now);
    let message = frame::encode(&[b'x'; 64]);
    let mut chunk = Vec::with_capacity(CHUNK);
    let mut sends = 0;
    let took = timed(&mut || {
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
    (sends, took)
}

/// Per delivery that the load generator decodes, proves and books; each read holds many.
fn book() -> Counted {
    let (clients, messages) = (100, 200);
    let mut deliveries = Deliveries::new(clients, messages);
    let mut booked = 0;
    let took = timed(&mut || booked = deliveries.book());
    assert_eq!(booked, u64::from((clients - 1) * messages));
    (booked, took)
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
