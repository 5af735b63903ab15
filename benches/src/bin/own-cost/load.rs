//! A run of the load generator, and what is needed of its report.

use std::net::SocketAddr;
use std::time::Duration;

use benches::Error;
use benches::process::{self, Server};
use serde::{Deserialize, Serialize};

use crate::CommandLine;

/// What a run may take beyond what it measures: connecting, warming up, draining, reporting.
const OVERHEAD_MAX: Duration = Duration::from_secs(120);

/// Long enough that the kernel acknowledges as it does later on; see `benches::floor::WARMUP_PASSES`.
const WARMUP: Duration = Duration::from_secs(2);

/// A message on the wire: header and name, header and stamp of 64 bytes.
const BYTES_PER_DELIVERY: f64 = (2 * protocol::HEADER_BYTES + "load-00000".len() + 64) as f64;

/// See the load generator's `--json`.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    pub(crate) problems: Vec<String>,
    pub(crate) generator: Generator,
    delivered: u64,
    connect_seconds: f64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Generator {
    cpu_seconds: Option<f64>,
    user_ns_per_delivery: Option<f64>,
    pub(crate) reads: u64,
    pub(crate) turn_ms: Turns,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Turns {
    pub(crate) count: u64,
}

/// The load generator alone with all the clients.
#[derive(Debug, Serialize)]
pub(crate) struct Full {
    pub(crate) ns_per_segment: f64,
    pub(crate) deliveries_per_segment: f64,
    pub(crate) user_ns_per_delivery: f64,
    pub(crate) problems: Vec<String>,
}

impl Report {
    /// CPU of the measured time, user and system.
    ///
    /// # Errors
    /// When it is not known.
    pub(crate) fn cpu_seconds(&self) -> Result<f64, Error> {
        self.generator.cpu_seconds.ok_or_else(unknown)
    }

    pub(crate) fn bytes_per_segment(&self) -> f64 {
        self.deliveries_per_segment() * BYTES_PER_DELIVERY
    }

    fn deliveries_per_segment(&self) -> f64 {
        self.delivered as f64 / self.generator.reads as f64
    }

    /// When its measured time began, counted from its start. That the process itself has to start is
    /// left out, which is a matter of milliseconds in traffic that stays the same.
    pub(crate) fn measures_from(&self) -> Duration {
        Duration::from_secs_f64(self.connect_seconds) + WARMUP
    }
}

/// Measures the load generator with all the clients, at the full rate.
pub(crate) fn full(demand: &CommandLine) -> Result<Full, Error> {
    let server = Server::start(&demand.server_arg).map_err(fault)?;
    let report = run(demand, server.addr(), demand.clients, demand.full_rate)?;
    let user_ns_per_delivery = report.generator.user_ns_per_delivery;
    Ok(Full {
        ns_per_segment: report.cpu_seconds()? * 1e9 / report.generator.reads as f64,
        deliveries_per_segment: report.deliveries_per_segment(),
        user_ns_per_delivery: user_ns_per_delivery.ok_or_else(unknown)?,
        problems: report.problems,
    })
}

/// A run of the load generator with `clients` clients.
pub(crate) fn run(
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
        format!("--warmup={}ms", WARMUP.as_millis()),
        format!("--duration={}ms", demand.duration.as_millis()),
    ];
    process::measure(&arguments, demand.duration + OVERHEAD_MAX).map_err(fault)
}

fn unknown() -> Error {
    fault("it does not know what it used".into())
}

pub(crate) fn fault(fault: String) -> Error {
    Error::LoadGenerator {
        command: "loadgen".to_owned(),
        fault,
    }
}
