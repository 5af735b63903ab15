//! The two halves of a repeat, each with a server of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use benches::Error;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::CommandLine;
use crate::readers::Readers;

/// As the first argument, makes this program the load generator. Not for users.
pub(crate) const LOADGEN: &str = "__loadgen";

/// As the first argument, makes the load generator the server.
const SERVE: &str = "__serve";

/// Exit status of a measurement that was made, and is or is not valid.
const MADE: [i32; 2] = [0, 3];

/// The clients of the load generator that only sends.
const SENDERS: u32 = 2;

/// A message on the wire: header and name, header and stamp of 64 bytes.
const BYTES_PER_DELIVERY: f64 = (2 * protocol::HEADER_BYTES + "load-00000".len() + 64) as f64;

/// The load generator has all the clients.
#[derive(Debug, Serialize)]
pub(crate) struct Whole {
    pub(crate) ns_per_segment: f64,
    pub(crate) deliveries_per_segment: f64,
    pub(crate) bytes_per_segment: f64,
    pub(crate) user_ns_per_delivery: f64,
    pub(crate) problems: Vec<String>,
}

/// Bare readers have them.
#[derive(Debug, Serialize)]
pub(crate) struct Bare {
    pub(crate) ns_per_segment: f64,
    pub(crate) bytes_per_segment: f64,
    /// Of the load generator that sent.
    pub(crate) problems: Vec<String>,
}

/// What is needed of the load generator's report; see its `--json`.
#[derive(Debug, Deserialize)]
struct Report {
    problems: Vec<String>,
    delivered: u64,
    generator: Generator,
}

#[derive(Debug, Deserialize)]
struct Generator {
    cpu_seconds: Option<f64>,
    user_ns_per_delivery: Option<f64>,
    reads: u64,
}

/// Measures the load generator with all the clients.
pub(crate) fn whole(demand: &CommandLine, rate: u32) -> Result<Whole, Error> {
    let server = Server::start(&demand.server_arg)?;
    let report = load(demand, server.addr, demand.clients, rate)?;
    let generator = &report.generator;
    let (Some(cpu_seconds), Some(user_ns_per_delivery)) =
        (generator.cpu_seconds, generator.user_ns_per_delivery)
    else {
        return Err(fault("it does not know what it used".into()));
    };
    let reads = generator.reads as f64;
    let deliveries_per_segment = report.delivered as f64 / reads;
    Ok(Whole {
        ns_per_segment: cpu_seconds * 1e9 / reads,
        deliveries_per_segment,
        bytes_per_segment: deliveries_per_segment * BYTES_PER_DELIVERY,
        user_ns_per_delivery,
        problems: report.problems,
    })
}

/// Measures bare readers of the same traffic.
pub(crate) fn bare(demand: &CommandLine) -> Result<Bare, Error> {
    let server = Server::start(&demand.server_arg)?;
    let mut readers = Readers::start(
        server.addr,
        demand.clients - SENDERS.min(demand.clients - 1),
    )?;
    let before = readers.used()?;
    let report = load(demand, server.addr, SENDERS, demand.rate)?;
    let after = readers.used()?;
    let reads = (after.reads - before.reads) as f64;
    Ok(Bare {
        ns_per_segment: (after.cpu_ns - before.cpu_ns) as f64 / reads,
        bytes_per_segment: (after.bytes - before.bytes) as f64 / reads,
        problems: report.problems,
    })
}

/// A run of the load generator with `clients` clients.
fn load(
    demand: &CommandLine,
    server: SocketAddr,
    clients: u32,
    rate: u32,
) -> Result<Report, Error> {
    let arguments = [
        "--quiet".to_owned(),
        "--json=-".to_owned(),
        format!("--addr={server}"),
        format!("--clients={clients}"),
        format!("--rate={rate}"),
        format!("--duration={}", demand.duration),
    ];
    let output = this_program()
        .and_then(|mut command| {
            command.arg(LOADGEN).args(&arguments).stdin(Stdio::null());
            command.output()
        })
        .map_err(Error::system("start this program once more"))?;
    let code = output.status.code();
    if !code.is_some_and(|code| MADE.contains(&code)) {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or("nothing");
        return Err(fault(format!("{} ({last})", output.status)));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| fault(format!("its JSON is not understood: {error}")))
}

/// A server that ends when this is dropped.
struct Server {
    child: Child,
    addr: SocketAddr,
}

impl Server {
    fn start(arguments: &[String]) -> Result<Self, Error> {
        let mut child = this_program()
            .and_then(|mut command| {
                command
                    .args([SERVE, &std::process::id().to_string()])
                    .args(["--listen", "127.0.0.1:0", "--log", "warn"])
                    .args(arguments)
                    .stdin(Stdio::null())
                    .stderr(Stdio::piped());
                command.spawn()
            })
            .map_err(Error::system("start this program once more"))?;
        let said = child.stderr.take().map(BufReader::new);
        let mut lines = said
            .into_iter()
            .flat_map(BufRead::lines)
            .map_while(Result::ok);
        let addr = lines.find_map(|line| {
            let (_, rest) = line.split_once("listening on ")?;
            rest.split_ascii_whitespace().next()?.parse().ok()
        });
        let Some(addr) = addr else {
            let _ = child.wait();
            return Err(fault("its server does not listen".into()));
        };
        // So that the server never waits for a reader of what it says.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, addr })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that it has ended meanwhile.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

fn this_program() -> std::io::Result<Command> {
    std::env::current_exe().map(Command::new)
}

fn fault(fault: String) -> Error {
    Error::LoadGenerator {
        command: "loadgen".to_owned(),
        fault,
    }
}
