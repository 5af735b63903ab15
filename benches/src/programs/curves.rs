//! Scaling curves: what a delivery costs, and its p99, beside a bare send loop. Points of one load are
//! measured one right after the other, right after the load's floor; a point of several curves once.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::comparison::{Plot, Scenario, Section, Validity, name_of};
use crate::error::Result;
use crate::figure::{
    CPU_BY_FLOOR, CPU_PER_DELIVERY, FLOOR, FLOOR_CPU, Figure, P50, P99, P99_BY_FLOOR,
};
use crate::floor::Plan;
use crate::output::Output;
use crate::process;
use crate::run::Run;
use crate::study::{self, Study};

/// Draw how the server's cost per delivery and its p99 grow, beside a bare send(2) loop
///
/// Every repeat measures, for each load, first the floor over as many sockets and then the servers
/// under it. Exit status: 0 measured, and each point has a valid run, 1 not possible, 2 wrong usage,
/// 3 measured, but a point has none.
#[derive(Debug, Parser)]
#[command(name = "curves", version, max_term_width = 100)]
pub(super) struct Args {
    /// Vary these
    #[arg(long, value_enum, value_delimiter = ',',
          default_values_t = Curve::value_variants().to_vec())]
    curves: Vec<Curve>,

    /// Connect N clients in the curves rate, drivers and threads; at most N in size and stalled
    #[arg(long, value_name = "N", default_value_t = 5000,
          value_parser = clap::value_parser!(u32).range(2..=100_000))]
    clients: u32,

    /// Connect each of these numbers of clients in the curve connections [default: 10 to 18000; with
    /// --quick to 5000]
    #[arg(long, value_name = "LIST", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(2..=100_000))]
    connections: Vec<u32>,

    /// Measure each of these rates, in messages/s, in the curve rate [default: 10 to 2000]
    #[arg(long, value_name = "LIST", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rates: Vec<u32>,

    /// Measure messages of each of these lengths, in bytes, in the curve size; 56 is the least that
    /// proves a delivery [default: 56 to 1048576]
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

/// What a curve varies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Curve {
    /// Clients, at 20 messages/s
    Connections,
    /// Messages/s
    Rate,
    /// Length of the messages, to 200 clients
    Size,
    /// Share of all connections that never read, beside 100 clients
    Stalled,
    /// Messages/s with each driver
    Drivers,
    /// Messages/s with --threads 1 and 2
    Threads,
}

/// What the load generator does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Load {
    clients: u32,
    /// Further clients that join and never read.
    stalled: u32,
    /// Messages a second in all.
    rate: u32,
    message_bytes: u32,
}

/// A load, and the server that bears it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Point {
    load: Load,
    driver: &'static str,
    threads: u32,
}

/// Messages a second where clients are varied.
const RATE_OF_CONNECTIONS: u32 = 20;

/// Clients, and messages a second if they are small enough, where sizes are varied.
const CLIENTS_OF_SIZES: u32 = 200;
const RATE_OF_SIZES: u32 = 50;

/// Large messages come so seldom that all of them together are at most this, in bytes a second.
const BYTES_PER_SECOND_MAX: u32 = 256 << 20;

/// Where stalled clients are varied: so large and so often that the kernel's buffers for one (2.6 MB
/// on loopback) are full, and what it is owed stays with the server, well within the shortest run.
const OF_STALLED: Load = Load {
    clients: 100,
    stalled: 0,
    rate: 200,
    message_bytes: 16 << 10,
};

/// The fastest first; it is the one on all other curves.
const DRIVERS: [&str; 3] = ["uring", "tokio-uring", "epoll"];

/// Passes of a floor that are measured.
const PASSES: u32 = 7;

/// Passes follow each other as messages do, but never this far apart: after a silence of 200 ms
/// sends cost more, and the pass is to be the least there is.
const INTERVAL_MAX: Duration = Duration::from_millis(100);

/// Longer messages than this are to be allowed to the server.
const MESSAGE_BYTES_USUAL: u32 = 65_536;

/// The kernel counts a process' CPU time in steps of 10 ms: less than this in all says nothing about a
/// delivery.
const CPU_SECONDS_MIN: f64 = 0.05;

/// The program.
pub fn main() -> ExitCode {
    study::main("curves", draw)
}

fn draw(args: &Args) -> Result<bool> {
    let groups = groups(args);
    let mut floor: Option<(u32, Load, Run)> = None;
    let comparison = study(args).carry_out(&args.output, &groups, |turn, point| {
        let of_point = (turn.repeat, point.load);
        let known = floor
            .take()
            .filter(|(repeat, load, _)| (*repeat, *load) == of_point);
        let (_, _, beside) = floor.insert(known.unwrap_or_else(|| {
            let mut run = Run::default();
            if let Err(why) = plan(point.load).measure(&mut run) {
                run.warnings.push(format!("no floor: {why}"));
            }
            (turn.repeat, point.load, run)
        }));
        let mut run = beside.clone();
        run.repeat = turn.repeat;
        let timeout = turn.left.min(args.duration() + process::OVERHEAD_MAX);
        point.measure(args.duration(), timeout, &mut run);
        Ok(on_curves(args, point, &run))
    })?;
    args.output.write(&comparison)
}

fn study(args: &Args) -> Study {
    let about = format!(
        "Every run is {:?} on a fresh server. **F** is one pass of a bare `send(2)` loop over as many sockets with frames as long, measured right before: no server that sends to each client can hand out a message in less. A p99 near F is at the limit. CPU per delivery falls below that of a bare send where one send carries several messages, which happens when messages come faster than a round of all clients takes. A point without a valid run is a cross in the plots.",
        args.duration()
    );
    Study {
        repeats: args.repeats.unwrap_or(if args.quick { 2 } else { 3 }),
        time_limit: Duration::from_secs(if args.quick { 175 } else { 710 }),
        validity: Validity::EveryCase,
        sections: args
            .curves
            .iter()
            .map(|curve| curve.section(args))
            .collect(),
        plots: args.curves.iter().flat_map(|curve| curve.plots()).collect(),
        ..Study::new("curves", "How it scales", about)
    }
}

/// The points of all curves, each once, in groups of one load.
fn groups(args: &Args) -> Vec<Vec<Point>> {
    let mut groups: Vec<Vec<Point>> = Vec::new();
    for point in args.curves.iter().flat_map(|curve| curve.points(args)) {
        match groups.iter_mut().find(|group| group[0].load == point.load) {
            Some(group) if group.contains(&point) => {}
            Some(group) => group.push(point),
            None => groups.push(vec![point]),
        }
    }
    groups
}

/// `run`, once for each curve that `point` is on.
fn on_curves(args: &Args, point: &Point, run: &Run) -> Vec<Run> {
    let curves = args.curves.iter();
    let curves = curves.filter(|curve| curve.points(args).contains(point));
    let on = |curve: &Curve| Run {
        scenario: curve.scenario(point.load),
        candidate: curve.line(point).into(),
        ..run.clone()
    };
    curves.map(on).collect()
}

/// A bare send loop over as many sockets as the load has clients, with frames as long as its.
fn plan(load: Load) -> Plan {
    let interval = INTERVAL_MAX.min(Duration::from_secs(1) / load.rate);
    Plan::new(load.clients, load.message_bytes, PASSES, interval)
}

impl Args {
    fn duration(&self) -> Duration {
        let usual = Duration::from_secs(if self.quick { 1 } else { 2 });
        self.duration.unwrap_or(usual)
    }

    /// What was given, in order, or else what is usual.
    fn values(&self, given: &[u32], quick: &[u32], whole: &[u32]) -> Vec<u32> {
        let mut values = match (given, self.quick) {
            ([], true) => quick.to_vec(),
            ([], false) => whole.to_vec(),
            (given, _) => given.to_vec(),
        };
        values.sort_unstable();
        values.dedup();
        values
    }
}

impl Curve {
    /// All its points, from left to right on each line.
    fn points(self, args: &Args) -> Vec<Point> {
        let usual = |loads: Vec<Load>| -> Vec<Point> {
            loads
                .into_iter()
                .map(|load| Point::new(load, DRIVERS[0], 1))
                .collect()
        };
        let at_rates = |quick: &[u32], whole: &[u32]| -> Vec<Load> {
            let rates = args.values(&args.rates, quick, whole).into_iter();
            rates.map(|rate| Load::new(args.clients, rate)).collect()
        };
        let of_servers = || at_rates(&[10, 1000], &[10, 100, 1000]);
        match self {
            Self::Connections => {
                let whole = [10, 100, 1000, 5000, 10_000, 18_000];
                let connections = args.values(&args.connections, &whole[..4], &whole);
                let loads = connections.into_iter();
                usual(
                    loads
                        .map(|clients| Load::new(clients, RATE_OF_CONNECTIONS))
                        .collect(),
                )
            }
            Self::Rate => {
                let whole = [10, 20, 50, 100, 200, 500, 1000, 2000];
                usual(at_rates(&[10, 100, 1000], &whole))
            }
            Self::Size => {
                let whole = [56, 1024, 8192, 65_536, 262_144, 1_048_576];
                let sizes = args.values(&args.sizes, &[56, 8192, 1_048_576], &whole);
                let clients = CLIENTS_OF_SIZES.min(args.clients);
                usual(
                    sizes
                        .into_iter()
                        .map(|bytes| of_size(clients, bytes))
                        .collect(),
                )
            }
            Self::Stalled => {
                let percents = args.values(&[], &[0, 25, 50], &[0, 1, 10, 25, 40, 50]);
                let clients = OF_STALLED.clients.min(args.clients);
                usual(
                    percents
                        .into_iter()
                        .map(|percent| of_stalled(clients, percent))
                        .collect(),
                )
            }
            Self::Drivers => {
                let loads = of_servers();
                let on = |driver| loads.iter().map(move |&load| Point::new(load, driver, 1));
                DRIVERS.into_iter().flat_map(on).collect()
            }
            Self::Threads => {
                let loads = of_servers();
                let with = |threads| {
                    loads
                        .iter()
                        .map(move |&load| Point::new(load, DRIVERS[0], threads))
                };
                [1, 2].into_iter().flat_map(with).collect()
            }
        }
    }

    /// The heading, what the horizontal axis shows, and what to know.
    const fn texts(self) -> [&'static str; 3] {
        match self {
            Self::Connections => [
                "Connections",
                "clients",
                "A CPU time under 50 ms in all is left out: the kernel counts it in steps of 10 ms.",
            ],
            Self::Rate => [
                "Rate",
                "messages/s",
                "Once messages come closer together than F, a server that sends each by itself falls behind without end.",
            ],
            Self::Size => [
                "Message size",
                "bytes a message",
                "56 bytes is the least that the load generator can prove a delivery with. Large messages come less often, so that all together stay under 256 MiB/s; the server is told --max-message-bytes where they are over 64 KiB.",
            ],
            Self::Stalled => [
                "Stalled clients",
                "% of connections stalled",
                "The stalled clients join and never read. What they are sent fills the kernel's buffers within the run, and from then on stays with the server.",
            ],
            Self::Drivers => [
                "Drivers",
                "messages/s",
                "The same loads on each driver, one right after the other.",
            ],
            Self::Threads => [
                "Threads",
                "messages/s",
                "The second thread shares the processors with the load generator: where there are only two, it takes what the clients need.",
            ],
        }
    }

    /// Its scenarios, in which each of its lines is a candidate.
    fn section(self, args: &Args) -> Section {
        let [title, _, about] = self.texts();
        let figures = [
            FLOOR,
            P50,
            P99,
            P99_BY_FLOOR,
            FLOOR_CPU,
            CPU_PER_DELIVERY,
            CPU_BY_FLOOR,
        ];
        let mut scenarios: Vec<Scenario> = Vec::new();
        for point in self.points(args) {
            let (name, line) = (self.scenario(point.load), self.line(&point).to_owned());
            match scenarios.iter_mut().find(|scenario| scenario.name == name) {
                Some(scenario) => scenario.candidates.push(line),
                None => scenarios.push(Scenario {
                    name,
                    x: Some(self.x(point.load)),
                    candidates: vec![line],
                }),
            }
        }
        Section {
            title: title.into(),
            about: about.into(),
            figures: figures.to_vec(),
            scenarios,
        }
    }

    /// Two plots of each curve, each with its floor.
    fn plots(self) -> [Plot; 2] {
        let [title, x_label, _] = self.texts();
        let plot = |kind: &str, figure: Figure, floor, floor_name: &str| Plot {
            file: format!("{}-{kind}.svg", name_of(&self)),
            title: format!("{} and {floor_name}, by {x_label}", figure.name),
            section: title.into(),
            x_label: x_label.into(),
            is_linear: self == Self::Stalled,
            figure,
            floor: Some((floor, floor_name.into())),
        };
        [
            plot("p99", P99, FLOOR, "F"),
            plot("cpu", CPU_PER_DELIVERY, FLOOR_CPU, "bare send"),
        ]
    }

    /// The name of a load on this curve.
    fn scenario(self, load: Load) -> String {
        let stalled = match load.stalled {
            0 => String::new(),
            stalled => format!(" and {stalled} stalled"),
        };
        format!(
            "{}: {} clients{stalled} x {}/s of {} bytes",
            name_of(&self),
            load.clients,
            load.rate,
            load.message_bytes
        )
    }

    /// Where a load is on the horizontal axis.
    fn x(self, load: Load) -> f64 {
        match self {
            Self::Connections => f64::from(load.clients),
            Self::Rate | Self::Drivers | Self::Threads => f64::from(load.rate),
            Self::Size => f64::from(load.message_bytes),
            Self::Stalled => {
                100.0 * f64::from(load.stalled) / f64::from(load.clients + load.stalled)
            }
        }
    }

    /// Which of the curve's lines `point` is on.
    const fn line(self, point: &Point) -> &'static str {
        match (self, point.threads) {
            (Self::Drivers, _) => point.driver,
            (Self::Threads, 1) => "1 thread",
            (Self::Threads, _) => "2 threads",
            _ => "server",
        }
    }
}

impl Load {
    const fn new(clients: u32, rate: u32) -> Self {
        Self {
            clients,
            stalled: 0,
            rate,
            message_bytes: 64,
        }
    }
}

fn of_size(clients: u32, message_bytes: u32) -> Load {
    let most = BYTES_PER_SECOND_MAX / (clients * message_bytes).max(1);
    Load {
        message_bytes,
        ..Load::new(clients, most.clamp(1, RATE_OF_SIZES))
    }
}

/// `percent` of all connections are stalled.
fn of_stalled(clients: u32, percent: u32) -> Load {
    let stalled = (clients * percent).div_ceil(100 - percent);
    Load {
        clients,
        stalled,
        ..OF_STALLED
    }
}

impl Point {
    const fn new(load: Load, driver: &'static str, threads: u32) -> Self {
        Self {
            load,
            driver,
            threads,
        }
    }

    /// Measures the point; `run` has the figures of its floor.
    fn measure(&self, duration: Duration, timeout: Duration, run: &mut Run) {
        match process::measure(&self.arguments(duration), timeout) {
            Ok(report) => {
                run.take_report(&report);
                let cpu_seconds = report.server.cpu_seconds.unwrap_or_default();
                if cpu_seconds < CPU_SECONDS_MIN {
                    run.unset(&CPU_PER_DELIVERY);
                }
            }
            Err(why) => run.failure = Some(why),
        }
        run.set_ratio(&P99_BY_FLOOR, &P99, &FLOOR);
        run.set_ratio(&CPU_BY_FLOOR, &CPU_PER_DELIVERY, &FLOOR_CPU);
    }

    fn arguments(&self, duration: Duration) -> Vec<String> {
        let bytes = self.load.message_bytes;
        let mut flags = format!(
            "--quiet --spawn-server --server-arg=--driver={} --server-arg=--threads={} --clients {} --stalled-clients {} --rate {} --size {bytes} --duration {}ms --warmup 500ms --drain-timeout 8s",
            self.driver,
            self.threads,
            self.load.clients,
            self.load.stalled,
            self.load.rate,
            duration.as_millis()
        );
        if bytes > MESSAGE_BYTES_USUAL {
            flags += &format!(" --server-arg=--max-message-bytes={bytes}");
        }
        process::words(&flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(flags: &str) -> Args {
        Args::parse_from(format!("curves {flags}").split_whitespace())
    }

    #[test]
    fn what_is_quick_is_less() {
        let (whole, quick) = (args(""), args("--quick"));
        assert!(groups(&quick).len() < groups(&whole).len());
        let (whole, quick) = (study(&whole), study(&quick));
        assert!(quick.repeats < whole.repeats && quick.time_limit < whole.time_limit);
    }

    #[test]
    fn what_is_given_is_taken_in_order() {
        let args = args("--rates 50,7,50 --connections 9 --curves rate,threads");
        let rates = |curve: Curve| -> Vec<u32> {
            curve
                .points(&args)
                .iter()
                .map(|point| point.load.rate)
                .collect()
        };
        assert_eq!(rates(Curve::Rate), [7, 50]);
        assert_eq!(rates(Curve::Threads), [7, 50, 7, 50]);
        assert_eq!(Curve::Connections.points(&args)[0].load.clients, 9);
        assert_eq!(args.curves, [Curve::Rate, Curve::Threads]);
    }

    #[test]
    fn a_point_of_several_curves_is_measured_once_and_told_on_each() {
        let args = args("");
        let points: Vec<Point> = groups(&args).concat();
        let asked = args.curves.iter().flat_map(|curve| curve.points(&args));
        let asked: Vec<Point> = asked.collect();
        assert!(points.len() < asked.len());
        for point in &asked {
            assert_eq!(points.iter().filter(|one| *one == point).count(), 1);
        }
        let load = Load::new(5000, 100);
        let groups = groups(&args);
        let at_100 = groups.iter().find(|group| group[0].load == load);
        assert_eq!(at_100.unwrap().len(), 4, "three drivers, and two threads");
        let runs = on_curves(&args, &Point::new(load, "uring", 1), &Run::default());
        let lines: Vec<_> = runs.iter().map(|run| &*run.candidate).collect();
        assert_eq!(lines, ["server", "uring", "1 thread"]);
    }

    #[test]
    fn large_messages_come_seldom_and_are_allowed_to_the_server() {
        let rates = [56, 65_536, 262_144, 1 << 20].map(|bytes| of_size(200, bytes).rate);
        assert_eq!(rates, [50, 20, 5, 1]);
        let point = Point::new(of_size(9, 1 << 20), "epoll", 2);
        let flags = point.arguments(Duration::from_millis(1500)).join(" ");
        for part in [
            "--max-message-bytes=1048576",
            "--driver=epoll",
            "--threads=2",
            "1500ms",
        ] {
            assert!(flags.contains(part), "{part}: {flags}");
        }
    }

    #[test]
    fn the_share_of_stalled_clients_is_of_all_connections() {
        let x = |percent| Curve::Stalled.x(of_stalled(100, percent));
        assert_eq!((x(0), x(50)), (0.0, 50.0));
        assert!((x(25) - 25.0).abs() < 0.5);
    }
}
