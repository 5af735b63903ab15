//! Curves: what is varied, which points that makes, and where each stands.
//!
//! Pure. A point is a load and the server that bears it. The same point on several curves is measured
//! once in each repeat; points of one load are measured one right after the other.

use clap::ValueEnum;
use serde::Serialize;

use crate::command_line::Extent;

/// What a curve varies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Load {
    pub(crate) clients: u32,
    /// Further clients that join and never read.
    pub(crate) stalled: u32,
    /// Messages a second in all.
    pub(crate) rate: u32,
    pub(crate) message_bytes: u32,
}

/// A load, and the server that bears it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Point {
    #[serde(flatten)]
    pub(crate) load: Load,
    pub(crate) driver: &'static str,
    pub(crate) threads: u32,
}

/// Messages a second where clients are varied.
const RATE_OF_CONNECTIONS: u32 = 20;

const MESSAGE_BYTES: u32 = 64;

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
    pub(crate) const ALL: [Self; 6] = [
        Self::Connections,
        Self::Rate,
        Self::Size,
        Self::Stalled,
        Self::Drivers,
        Self::Threads,
    ];

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
        let groups = groups(&Curve::ALL, &extent);
        let points: Vec<_> = groups.iter().flatten().collect();
        let asked = Curve::ALL.map(|curve| curve.points(&extent)).concat();
        assert!(points.len() < asked.len());
        for point in &asked {
            assert_eq!(points.iter().filter(|one| **one == point).count(), 1);
        }
        let at_100 = groups
            .iter()
            .find(|group| group[0].load == Load::of(5000, 100));
        assert_eq!(at_100.unwrap().len(), 4, "three drivers, and two threads");
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
