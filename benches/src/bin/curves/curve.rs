//! Curves: what is varied, which points that makes, and where each stands.
//!
//! Pure. A point is a load and the server that bears it. The same point on several curves is measured
//! once in each repeat; points of one load are measured one right after the other.

use benches::{Figure, Run, Scenario, Section};
use clap::ValueEnum;

/// What a curve varies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Curve {
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
pub(crate) struct Load {
    pub(crate) clients: u32,
    /// Further clients that join and never read.
    pub(crate) stalled: u32,
    /// Messages a second in all.
    pub(crate) rate: u32,
    pub(crate) message_bytes: u32,
}

/// A load, and the server that bears it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) load: Load,
    pub(crate) driver: &'static str,
    pub(crate) threads: u32,
}

/// Messages a second where clients are varied.
const RATE_OF_CONNECTIONS: u32 = 20;

const MESSAGE_BYTES: u32 = 64;

/// How far the curves go.
#[derive(Debug, Clone)]
pub(crate) struct Extent {
    pub(crate) clients: u32,
    pub(crate) connections: Vec<u32>,
    pub(crate) rates: Vec<u32>,
    /// Of the curves that compare servers.
    pub(crate) rates_of_servers: Vec<u32>,
    pub(crate) sizes: Vec<u32>,
    pub(crate) stalled_percents: Vec<u32>,
}

/// The fastest first; it is the one on all other curves.
const DRIVERS: [&str; 3] = ["uring", "tokio-uring", "epoll"];

const CLIENTS_OF_SIZES: u32 = 200;

/// Messages a second of those sizes, if they are small enough.
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

impl Curve {
    /// What its files are called.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Rate => "rate",
            Self::Size => "size",
            Self::Stalled => "stalled",
            Self::Drivers => "drivers",
            Self::Threads => "threads",
        }
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Connections => "Connections",
            Self::Rate => "Rate",
            Self::Size => "Message size",
            Self::Stalled => "Stalled clients",
            Self::Drivers => "Drivers",
            Self::Threads => "Threads",
        }
    }

    /// What to know when reading it.
    const fn about(self) -> &'static str {
        match self {
            Self::Connections => {
                "A CPU time under 50 ms in all is left out: the kernel counts it in steps of 10 ms."
            }
            Self::Rate => {
                "Once messages come closer together than F, a server that sends each by itself falls behind without end."
            }
            Self::Size => {
                "56 bytes is the least that the load generator can prove a delivery with. Large messages come less often, so that all together stay under 256 MiB/s; the server is told --max-message-bytes where they are over 64 KiB."
            }
            Self::Stalled => {
                "The stalled clients join and never read. What they are sent fills the kernel's buffers within the run, and from then on stays with the server."
            }
            Self::Drivers => "The same loads on each driver, one right after the other.",
            Self::Threads => {
                "The second thread shares the processors with the load generator: where there are only two, it takes what the clients need."
            }
        }
    }

    /// Its scenarios, in which each of its lines is a candidate.
    pub(crate) fn section(self, extent: &Extent, figures: &[Figure]) -> Section {
        let mut scenarios: Vec<Scenario> = Vec::new();
        for point in self.points(extent) {
            let (name, line) = (self.scenario(point.load), self.line(&point).to_owned());
            match scenarios.iter_mut().find(|scenario| scenario.name == name) {
                Some(scenario) => scenario.candidates.push(line),
                None => scenarios.push(Scenario {
                    name,
                    x: Some(self.x(&point)),
                    candidates: vec![line],
                }),
            }
        }
        Section {
            title: self.title().into(),
            about: self.about().into(),
            figures: figures.to_vec(),
            scenarios,
        }
    }

    /// The name of a load on this curve.
    fn scenario(self, load: Load) -> String {
        let stalled = match load.stalled {
            0 => String::new(),
            stalled => format!(" and {stalled} stalled"),
        };
        let Load {
            clients,
            rate,
            message_bytes,
            ..
        } = load;
        let name = self.name();
        format!("{name}: {clients} clients{stalled} x {rate}/s of {message_bytes} bytes")
    }

    /// What the horizontal axis shows.
    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Self::Connections => "clients",
            Self::Rate | Self::Drivers | Self::Threads => "messages/s",
            Self::Size => "bytes a message",
            Self::Stalled => "% of connections stalled",
        }
    }

    /// All its points, from left to right on each line.
    pub(crate) fn points(self, extent: &Extent) -> Vec<Point> {
        let clients = extent.clients;
        let at_rates = |rates: &[u32]| -> Vec<Load> {
            let load = |&rate: &u32| Load::of(clients, rate);
            rates.iter().map(load).collect()
        };
        match self {
            Self::Connections => {
                let connections = extent.connections.iter();
                let load = |&clients| Load::of(clients, RATE_OF_CONNECTIONS);
                usual(connections.map(load))
            }
            Self::Rate => usual(at_rates(&extent.rates)),
            Self::Size => {
                let load = |&message_bytes| of_size(CLIENTS_OF_SIZES.min(clients), message_bytes);
                usual(extent.sizes.iter().map(load))
            }
            Self::Stalled => {
                let load = |&percent| of_stalled(OF_STALLED.clients.min(clients), percent);
                usual(extent.stalled_percents.iter().map(load))
            }
            Self::Drivers => {
                let loads = at_rates(&extent.rates_of_servers);
                let on = |driver| loads.iter().map(move |load| Point::of(*load, driver, 1));
                DRIVERS.into_iter().flat_map(on).collect()
            }
            Self::Threads => {
                let loads = at_rates(&extent.rates_of_servers);
                let with = |threads| {
                    let point = move |load: &Load| Point::of(*load, DRIVERS[0], threads);
                    loads.iter().map(point)
                };
                [1, 2].into_iter().flat_map(with).collect()
            }
        }
    }

    /// Where `point` stands on the horizontal axis.
    pub(crate) fn x(self, point: &Point) -> f64 {
        let load = point.load;
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
    pub(crate) const fn line(self, point: &Point) -> &'static str {
        match (self, point.threads) {
            (Self::Drivers, _) => point.driver,
            (Self::Threads, 1) => "1 thread",
            (Self::Threads, _) => "2 threads",
            _ => "server",
        }
    }
}

impl Extent {
    pub(crate) fn whole(clients: u32) -> Self {
        Self {
            clients,
            connections: vec![10, 100, 1000, 5000, 10_000, 18_000],
            rates: vec![10, 20, 50, 100, 200, 500, 1000, 2000],
            rates_of_servers: vec![10, 100, 1000],
            sizes: vec![56, 1024, 8192, 65_536, 262_144, 1_048_576],
            stalled_percents: vec![0, 1, 10, 25, 40, 50],
        }
    }

    pub(crate) fn quick(clients: u32) -> Self {
        Self {
            clients,
            connections: vec![10, 100, 1000, 5000],
            rates: vec![10, 100, 1000],
            rates_of_servers: vec![10, 1000],
            sizes: vec![56, 8192, 1_048_576],
            stalled_percents: vec![0, 25, 50],
        }
    }
}

impl Load {
    const fn of(clients: u32, rate: u32) -> Self {
        Self {
            clients,
            stalled: 0,
            rate,
            message_bytes: MESSAGE_BYTES,
        }
    }
}

impl Point {
    const fn of(load: Load, driver: &'static str, threads: u32) -> Self {
        Self {
            load,
            driver,
            threads,
        }
    }

    /// `run`, once for each of `curves` that this point is on.
    pub(crate) fn on_curves(
        &self,
        curves: &[Curve],
        extent: &Extent,
        repeat: u32,
        run: &Run,
    ) -> Vec<Run> {
        let is_on = |curve: &&Curve| curve.points(extent).contains(self);
        let on = |curve: &Curve| Run {
            repeat,
            scenario: curve.scenario(self.load),
            candidate: curve.line(self).into(),
            ..run.clone()
        };
        curves.iter().filter(is_on).map(on).collect()
    }
}

/// The points of all `curves`, each once, in groups of one load.
pub(crate) fn groups(curves: &[Curve], extent: &Extent) -> Vec<Vec<Point>> {
    let mut groups: Vec<Vec<Point>> = Vec::new();
    for point in curves.iter().flat_map(|curve| curve.points(extent)) {
        match groups.iter_mut().find(|group| group[0].load == point.load) {
            Some(group) if group.contains(&point) => {}
            Some(group) => group.push(point),
            None => groups.push(vec![point]),
        }
    }
    groups
}

/// With the server as it is unless told otherwise.
fn usual(loads: impl IntoIterator<Item = Load>) -> Vec<Point> {
    let point = |load| Point::of(load, DRIVERS[0], 1);
    loads.into_iter().map(point).collect()
}

fn of_size(clients: u32, message_bytes: u32) -> Load {
    let most = BYTES_PER_SECOND_MAX / (clients * message_bytes).max(1);
    Load {
        message_bytes,
        ..Load::of(clients, most.clamp(1, RATE_OF_SIZES))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_of_several_curves_is_measured_once() {
        let extent = Extent::whole(5000);
        let groups = groups(Curve::value_variants(), &extent);
        let points: Vec<_> = groups.iter().flatten().collect();
        let curves = Curve::value_variants().iter();
        let asked: Vec<_> = curves.flat_map(|curve| curve.points(&extent)).collect();
        assert!(points.len() < asked.len());
        for point in &asked {
            assert_eq!(points.iter().filter(|one| **one == point).count(), 1);
        }
        let at_100 = groups
            .iter()
            .find(|group| group[0].load == Load::of(5000, 100));
        assert_eq!(at_100.unwrap().len(), 4, "three drivers, and two threads");
        let usual = Point::of(Load::of(5000, 100), "uring", 1);
        let runs = usual.on_curves(Curve::value_variants(), &extent, 0, &Run::default());
        let lines: Vec<_> = runs.iter().map(|run| &*run.candidate).collect();
        assert_eq!(lines, ["server", "uring", "1 thread"]);
    }

    #[test]
    fn large_messages_come_seldom() {
        let rates = [56, 65_536, 262_144, 1 << 20].map(|bytes| of_size(200, bytes).rate);
        assert_eq!(rates, [50, 20, 5, 1]);
    }

    #[test]
    fn the_share_of_stalled_clients_is_of_all_connections() {
        let x = |percent| {
            let load = of_stalled(100, percent);
            Curve::Stalled.x(&Point::of(load, "uring", 1))
        };
        assert_eq!(x(0), 0.0);
        assert_eq!(x(50), 50.0);
        assert!((x(25) - 25.0).abs() < 0.5);
    }
}
