//! Draws scaling curves: what a delivery costs, and its p99, beside a bare send loop. Points of one load
//! are measured one right after the other, right after the load's floor.

#![forbid(unsafe_code)]

mod curve;

use std::process::ExitCode;
use std::time::Duration;

use benches::figure::{CPU_BY_FLOOR, CPU_PER_DELIVERY, FLOOR, FLOOR_CPU, P50, P99, P99_BY_FLOOR};
use benches::{Error, Figure, Output, Plan, Plot, Run, Section, Study, Validity, process};
use clap::{Parser, ValueEnum};

use curve::{Curve, Extent, Load, Point};

/// Draw how the server's cost per delivery and its p99 grow, beside a bare send(2) loop
///
/// Every repeat measures, for each load, first the floor over as many sockets and then the servers
/// under it. Exit status: 0 measured, and each point has a valid run, 1 not possible, 2 wrong usage,
/// 3 measured, but a point has none.
#[derive(Debug, Parser)]
#[command(name = "curves", version, max_term_width = 100)]
pub(crate) struct Args {
    /// Vary these
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Curve::value_variants().to_vec())]
    curves: Vec<Curve>,

    /// Connect N clients in the curves rate, drivers and threads; at most N in size and stalled
    #[arg(long, value_name = "N", default_value_t = 5000,
          value_parser = clap::value_parser!(u32).range(2..=100_000))]
    clients: u32,

    /// Connect so many clients in the curve connections [default: 10 to 18000; with --quick to 5000]
    #[arg(long, value_name = "LIST", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(2..=100_000))]
    connections: Vec<u32>,

    /// Send so many messages a second in the curve rate [default: 10 to 2000]
    #[arg(long, value_name = "LIST", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rates: Vec<u32>,

    /// Send messages of so many bytes in the curve size; 56 is the least that proves a delivery
    /// [default: 56 to 1048576]
    #[arg(long, value_name = "LIST", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(56..=1_048_576))]
    sizes: Vec<u32>,

    /// Measure each point N times [default: 3; with --quick 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    repeats: Option<u32>,

    /// Measure for TIME in each run [default: 2s; with --quick 1s]
    #[arg(long, value_name = "TIME", value_parser = cli::duration)]
    duration: Option<Duration>,

    /// Measure fewer points and repeats: at most 3 minutes instead of 12
    #[arg(long)]
    quick: bool,

    #[command(flatten)]
    output: Output,
}

/// Passes of a floor that are measured.
const PASSES: u32 = 7;

/// Passes follow each other as messages do, but never this far apart: after a silence of 200 ms
/// sends cost more (see [`benches::floor::WARMUP_PASSES`]), and the pass is to be the least there is.
const INTERVAL_MAX: Duration = Duration::from_millis(100);

/// Longer messages than this are to be allowed to the server.
const MESSAGE_BYTES_USUAL: u32 = 65_536;

/// The kernel counts a process' CPU time in steps of 10 ms: less than this in all says nothing about a
/// delivery.
const CPU_SECONDS_MIN: f64 = 0.05;

const FIGURES: [Figure; 7] = [
    FLOOR,
    P50,
    P99,
    P99_BY_FLOOR,
    FLOOR_CPU,
    CPU_PER_DELIVERY,
    CPU_BY_FLOOR,
];

fn main() -> ExitCode {
    benches::main("curves", draw)
}

fn draw(args: &Args) -> Result<bool, Error> {
    let groups = curve::groups(&args.curves, &args.extent());
    let mut floor: Option<(u32, Load, Run)> = None;
    let comparison = study(args).carry_out(&args.output, &groups, |turn, point| {
        let is_known = floor
            .as_ref()
            .is_some_and(|(repeat, load, _)| (*repeat, *load) == (turn.repeat, point.load));
        if !is_known {
            let mut run = Run::default();
            if let Err(why) = plan(point.load).measure(&mut run) {
                run.warnings.push(format!("no floor: {why}"));
            }
            floor = Some((turn.repeat, point.load, run));
        }
        let beside = floor
            .as_ref()
            .map(|(_, _, run)| run.clone())
            .unwrap_or_default();
        let timeout = turn.left.min(args.duration() + process::OVERHEAD_MAX);
        let run = measure(point, args.duration(), timeout, beside);
        Ok(point.on_curves(&args.curves, &args.extent(), turn.repeat, &run))
    })?;
    args.output.write(&comparison)?;
    Ok(comparison.is_as_wanted())
}

fn study(args: &Args) -> Study {
    let extent = args.extent();
    let sections: Vec<Section> = args
        .curves
        .iter()
        .map(|curve| curve.section(&extent, &FIGURES))
        .collect();
    Study {
        program: "curves",
        title: "How it scales",
        about: format!(
            "Every run is {:?} on a fresh server. **F** is one pass of a bare `send(2)` loop over as many sockets with frames as long, measured right before: no server that sends to each client can hand out a message in less. A p99 near F is at the limit. CPU per delivery falls below that of a bare send where one send carries several messages, which happens when messages come faster than a round of all clients takes. A point without a valid run is a cross in the plots.",
            args.duration()
        ),
        repeats: args.repeats.unwrap_or(if args.quick { 2 } else { 3 }),
        time_limit: Duration::from_secs(if args.quick { 175 } else { 710 }),
        validity: Validity::EveryCase,
        sections,
        plots: args.curves.iter().flat_map(|&curve| plots(curve)).collect(),
        bounds: Vec::new(),
        steady: Vec::new(),
    }
}

/// Two plots of each curve, each with its floor.
fn plots(curve: Curve) -> [Plot; 2] {
    let plot = |kind: &str, figure: Figure, floor, floor_name: &str| Plot {
        file: format!("{}-{kind}.svg", curve.name()),
        title: format!("{} and {floor_name}, by {}", figure.name, curve.unit()),
        section: curve.title().into(),
        x_label: curve.unit().into(),
        is_linear: curve == Curve::Stalled,
        figure,
        floor: Some((floor, floor_name.into())),
    };
    [
        plot("p99", P99, FLOOR, "F"),
        plot("cpu", CPU_PER_DELIVERY, FLOOR_CPU, "bare send"),
    ]
}

/// A bare send loop over as many sockets as the load has clients, with frames as long as its.
fn plan(load: Load) -> Plan {
    let interval = INTERVAL_MAX.min(Duration::from_secs(1) / load.rate);
    Plan::new(load.clients, load.message_bytes, PASSES, interval)
}

/// Measures a point; `run` has the figures of its floor.
fn measure(point: &Point, duration: Duration, timeout: Duration, mut run: Run) -> Run {
    match process::measure(&arguments(point, duration), timeout) {
        Ok(report) => {
            run.take_report(&report);
            leave_out_ticks(&mut run, report.server.cpu_seconds);
        }
        Err(why) => run.failure = Some(why),
    }
    run.set_ratio(&P99_BY_FLOOR, &P99, &FLOOR);
    run.set_ratio(&CPU_BY_FLOOR, &CPU_PER_DELIVERY, &FLOOR_CPU);
    run
}

fn leave_out_ticks(run: &mut Run, cpu_seconds: Option<f64>) {
    if cpu_seconds.is_none_or(|seconds| seconds < CPU_SECONDS_MIN) {
        run.unset(&CPU_PER_DELIVERY);
    }
}

fn arguments(point: &Point, duration: Duration) -> Vec<String> {
    let Load {
        clients,
        stalled,
        rate,
        message_bytes,
    } = point.load;
    let duration_ms = duration.as_millis();
    let mut flags = format!(
        "--quiet --spawn-server --server-arg=--driver={} --server-arg=--threads={} --clients {clients} --stalled-clients {stalled} --rate {rate} --size {message_bytes} --duration {duration_ms}ms --warmup 500ms --drain-timeout 8s",
        point.driver, point.threads
    );
    if message_bytes > MESSAGE_BYTES_USUAL {
        flags += &format!(" --server-arg=--max-message-bytes={message_bytes}");
    }
    flags.split(' ').map(str::to_owned).collect()
}

impl Args {
    fn duration(&self) -> Duration {
        let usual = Duration::from_secs(if self.quick { 1 } else { 2 });
        self.duration.unwrap_or(usual)
    }

    fn extent(&self) -> Extent {
        let usual = if self.quick {
            Extent::quick(self.clients)
        } else {
            Extent::whole(self.clients)
        };
        Extent {
            connections: given_or(&self.connections, usual.connections),
            rates_of_servers: given_or(&self.rates, usual.rates_of_servers),
            rates: given_or(&self.rates, usual.rates),
            sizes: given_or(&self.sizes, usual.sizes),
            ..usual
        }
    }
}

/// What was given, in order, or else what is usual.
fn given_or(given: &[u32], usual: Vec<u32>) -> Vec<u32> {
    if given.is_empty() {
        return usual;
    }
    let mut values = given.to_vec();
    values.sort_unstable();
    values.dedup();
    values
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_is_quick_is_less() {
        let whole = Args::parse_from(["curves", "--out", "x"]);
        let quick = Args::parse_from(["curves", "--out", "x", "--quick"]);
        assert!(quick.extent().connections.len() < whole.extent().connections.len());
        let (whole, quick) = (study(&whole), study(&quick));
        assert!(quick.repeats < whole.repeats && quick.time_limit < whole.time_limit);
    }

    #[test]
    fn what_is_given_is_taken_in_order() {
        let flags = "curves --out x --rates 50,7,50 --connections 9 --curves rate";
        let args = Args::parse_from(flags.split(' '));
        assert_eq!(args.extent().rates, [7, 50]);
        assert_eq!(args.extent().rates_of_servers, [7, 50]);
        assert_eq!(args.extent().connections, [9]);
        assert_eq!(args.curves, [Curve::Rate]);
    }

    #[test]
    fn cpu_time_that_the_kernel_cannot_tell_is_left_out() {
        let mut run = Run::default();
        run.set(&CPU_PER_DELIVERY, 1.0);
        leave_out_ticks(&mut run, Some(1.0));
        assert_eq!(run.get(&CPU_PER_DELIVERY), Some(1.0));
        leave_out_ticks(&mut run, Some(0.04));
        assert_eq!(run.get(&CPU_PER_DELIVERY), None);
    }

    #[test]
    fn long_messages_are_allowed_to_the_server() {
        let point = Point {
            load: Load {
                clients: 9,
                stalled: 3,
                rate: 1,
                message_bytes: 1 << 20,
            },
            driver: "epoll",
            threads: 2,
        };
        let words = arguments(&point, Duration::from_millis(1500));
        for word in [
            "--server-arg=--max-message-bytes=1048576",
            "--server-arg=--driver=epoll",
            "--server-arg=--threads=2",
            "1500ms",
        ] {
            assert!(words.contains(&word.to_owned()), "{word}: {words:?}");
        }
    }
}
