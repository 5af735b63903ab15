//! The two halves of a repeat, each with a server of its own.

use std::net::SocketAddr;
use std::time::Duration;

use benches::Error;
use benches::process::{self, Server};
use serde::{Deserialize, Serialize};

use crate::CommandLine;
use crate::readers::Readers;

/// What a run may take beyond what it measures: connecting, warming up, draining, reporting.
const OVERHEAD_MAX: Duration = Duration::from_secs(120);

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
    let server = Server::start(&demand.server_arg).map_err(fault)?;
    let report = load(demand, server.addr(), demand.clients, rate)?;
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
    let server = Server::start(&demand.server_arg).map_err(fault)?;
    let mut readers = Readers::start(
        server.addr(),
        demand.clients - SENDERS.min(demand.clients - 1),
    )?;
    let before = readers.used()?;
    let report = load(demand, server.addr(), SENDERS, demand.rate)?;
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
        format!("--addr={server}"),
        format!("--clients={clients}"),
        format!("--rate={rate}"),
        format!("--duration={}ms", demand.duration.as_millis()),
    ];
    process::measure(&arguments, demand.duration + OVERHEAD_MAX).map_err(fault)
}

fn fault(fault: String) -> Error {
    Error::LoadGenerator {
        command: "loadgen".to_owned(),
        fault,
    }
}
