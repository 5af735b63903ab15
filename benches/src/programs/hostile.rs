//! What healthy clients feel of a server beside hostile ones, and what they feel without them. The healthy
//! are the load generator's clients, whose ledger has to be clean; the hostile are its hostile clients, and
//! broken peers of this program.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use record::HostileKind;

use crate::error::{Error, Result};
use crate::figure::figures;
use crate::host::raise_descriptors;
use crate::output::Output;
use crate::process::{self, Server};
use crate::run::Run;
use crate::study::{self, Study};

mod attacks;
mod broken;
mod case;
mod kernel;

use attacks::Attacks;
use broken::{Broken, BrokenPeers};
use case::{Case, Hostile, Kind, Scenario};

/// Compare what healthy clients feel beside hostile ones with what they feel without them
///
/// Every repeat measures each case, with and without hostile clients, each on a fresh server, and each
/// ratio is of figures of one repeat. Exit status: 0 every bound is met by the median of the repeats,
/// and every ledger is clean, 1 not possible, 2 wrong usage, 3 measured, but a bound is missed, a ledger
/// is not clean, or a run is invalid.
#[derive(Debug, Parser)]
#[command(name = "hostile", version, max_term_width = 100)]
pub(super) struct Args {
    /// Measure these scenarios
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Scenario::USUAL)]
    scenarios: Vec<Scenario>,

    /// Add these hostile clients in the scenario `kinds`
    #[arg(long, value_enum, value_delimiter = ',',
          default_values_t = Kind::value_variants().to_vec())]
    kinds: Vec<Kind>,

    /// Add these broken peers in the scenario `broken` (default: each kind)
    #[arg(long, value_enum, value_delimiter = ',', hide_default_value = true,
          default_values_t = Broken::value_variants().to_vec())]
    broken: Vec<Broken>,

    /// Measure this much of the scenario `attacks`
    #[arg(long, value_enum, default_value_t = Attacks::Quick)]
    attacks: Attacks,

    /// Measure each N times
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeats: u32,

    /// Measure N healthy clients; `stalled` has 5 times as many, `memory` 4.5 times, `attacks` a fifth.
    /// The number of hostile ones grows with N, except in `broken` and `flood`
    #[arg(long, value_name = "N", default_value_t = 1000,
          value_parser = clap::value_parser!(u32).range(20..=20_000))]
    clients: u32,

    /// Measure for TIME in each run; in `memory` for 10 times as long
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = cli::duration)]
    duration: Duration,

    /// Pass ARG to the servers, as in --server-arg=--driver=epoll
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    server_arg: Vec<String>,

    #[command(flatten)]
    output: Output,
}

figures! {
    KERNEL_MEMORY: "kernel_socket_mib", "kernel socket memory", "MiB";
    FLOOD_RATE: "flood_rate", "messages of flooders", "/s";
    CONNECTIONS: "connections", "connections of broken peers", "";
}

/// The program.
pub fn main() -> ExitCode {
    study::main("hostile", compare)
}

fn compare(args: &Args) -> Result<bool> {
    let groups: Vec<Vec<Case>> = args
        .scenarios
        .iter()
        .flat_map(|one| one.groups(args))
        .collect();
    let sockets = groups.iter().flatten().map(|case| case.sockets).max();
    raise_descriptors(sockets.unwrap_or_default())?;
    let about = format!(
        "Every run is {:?} on a fresh server. `nobody` is the same load without hostile clients. Hostile clients, and what the kernel does for them, share the processors with server and healthy clients.",
        args.duration
    );
    let study = Study {
        repeats: args.repeats,
        sections: groups.iter().map(|group| case::section(group)).collect(),
        bounds: groups.iter().flatten().flat_map(Case::bounds).collect(),
        ..Study::new(
            "hostile",
            "What healthy clients feel beside hostile ones",
            about,
        )
    };
    let comparison = study.carry_out(&args.output, &groups, |turn, case| {
        Ok(vec![measure(args, turn.repeat, case)?])
    })?;
    args.output.write(&comparison)
}

/// Measures one case. The server is not the load generator's own, since broken peers come to it as well.
fn measure(args: &Args, repeat: u32, case: &Case) -> Result<Run> {
    let mut run = Run::new(repeat, &case.group, &case.candidate);
    let memory = kernel::SocketMemory::watch();
    let server = Server::start(&case.server_arguments(args))?;
    let arguments = [case.arguments(), server.flags().to_vec()].concat();
    let peers = match case.hostile {
        Hostile::Broken(kind) => Some(BrokenPeers::start(kind, server.addr)),
        Hostile::Nobody | Hostile::Flags(_) => None,
    };
    let report = process::must_measure(&arguments, case.duration + process::OVERHEAD_MAX);
    match peers.map(BrokenPeers::end) {
        Some(0) => return Err(Error::Run("no broken peer could connect".into())),
        Some(connections) => run.set(&CONNECTIONS, connections as f64),
        None => {}
    }
    let report = report?;
    run.set(&KERNEL_MEMORY, memory.peak_mib());
    run.take_report(&report);
    // What the healthy felt is the measure, whatever the load generator says of it.
    run.counts = Some(true);
    let hostile = report.hostile.unwrap_or_default();
    if let Some(flooders) = hostile.get(&HostileKind::Flooder) {
        if flooders.sent_messages == 0 {
            return Err(Error::Run("the flooders have sent nothing".into()));
        }
        let seconds = report.warmup_seconds + report.duration_seconds;
        run.set(&FLOOD_RATE, flooders.sent_messages as f64 / seconds);
    }
    let others = report.unsent + report.echoed + report.disconnects.count();
    if report.lost + report.duplicated + report.reordered + report.corrupt + others > 0 {
        run.problems.push(format!(
            "the ledger is not clean: {} lost, {} duplicated, {} reordered, {} corrupt, {} echoed, {} unsent, {} clients disconnected",
            report.lost,
            report.duplicated,
            report.reordered,
            report.corrupt,
            report.echoed,
            report.unsent,
            report.disconnects.count()
        ));
    }
    Ok(run)
}
