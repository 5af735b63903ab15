//! Bounds: what the figures have to show, each judged by the median over the repeats.

use benches::Spread;
use serde::Serialize;

use crate::command_line::Driver;
use crate::figures::Figure;
use crate::run::Run;
use crate::scenario::Scenario;

/// A figure of one driver, or its ratio to that of another, and the most that it may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    scenario: Scenario,
    figure: Figure,
    driver: Driver,
    /// The driver whose figure in the same repeat is the measure.
    by: Option<Driver>,
    at_most: f64,
}

/// A bound, and what was measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Judged {
    pub(crate) scenario: Scenario,
    pub(crate) name: String,
    pub(crate) at_most: f64,
    /// Over the repeats.
    pub(crate) measured: Spread,
    pub(crate) is_met: bool,
}

/// Every bound there is.
pub(crate) const ALL: [Bound; 18] = [
    Bound::of(Scenario::Cpu, Figure::CpuUsPerDelivery, 0.90).by(Driver::Epoll),
    Bound::of(Scenario::Cpu, Figure::CpuByFloor, 1.00),
    Bound {
        driver: Driver::TokioUring,
        ..Bound::of(Scenario::Cpu, Figure::CpuUsPerDelivery, 1.25).by(Driver::Uring)
    },
    Bound::of(Scenario::Cpu, Figure::UserShare, 0.04),
    Bound::of(Scenario::Cpu, Figure::RssMib, 16.0),
    Bound::of(Scenario::P99, Figure::P99ByFloor, 1.5),
    Bound::of(Scenario::P99, Figure::CompletionByFloor, 1.5),
    Bound::of(Scenario::P99, Figure::RssMib, 24.0),
    Bound::of(Scenario::Flood, Figure::Problems, 0.0),
    Bound::of(Scenario::Flood, Figure::P99ByFloor, 4.0),
    Bound::of(Scenario::Large, Figure::P99ByP99OfSmall, 1.3),
    Bound::of(Scenario::Low, Figure::P99ByAllowance, 1.0),
    Bound::of(Scenario::Many, Figure::Problems, 0.0),
    Bound::of(Scenario::Join, Figure::ConnectSeconds, 5.0),
    Bound::of(Scenario::Idle, Figure::IdleRssMib, 16.0),
    Bound::of(Scenario::Idle, Figure::IdleKibPerClient, 1.5),
    Bound::of(Scenario::Idle, Figure::IdleCpuTicks, 0.0),
    Bound::of(Scenario::Idle, Figure::IdleWakeups, 0.0),
];

impl Bound {
    /// A bound on the fastest driver.
    const fn of(scenario: Scenario, figure: Figure, at_most: f64) -> Self {
        Self {
            scenario,
            figure,
            driver: Driver::Uring,
            by: None,
            at_most,
        }
    }

    /// The same as a ratio to another driver.
    const fn by(self, driver: Driver) -> Self {
        Self {
            by: Some(driver),
            ..self
        }
    }

    /// Judges the bound; `None` when what it speaks of was not measured.
    pub(crate) fn judge(&self, runs: &[Run]) -> Option<Judged> {
        let values: Vec<f64> = runs
            .iter()
            .filter(|run| run.scenario == self.scenario && run.driver == self.driver)
            .filter_map(|run| self.value(run, runs))
            .collect();
        if values.is_empty() {
            return None;
        }
        let measured = Spread::of(values);
        Some(Judged {
            scenario: self.scenario,
            name: self.name(),
            at_most: self.at_most,
            measured,
            is_met: measured.median <= self.at_most,
        })
    }

    fn value(&self, run: &Run, runs: &[Run]) -> Option<f64> {
        let value = self.figure.of(run)?;
        let Some(by) = self.by else {
            return Some(value);
        };
        let other = runs.iter().find(|other| {
            (other.repeat, other.scenario, other.driver, other.setting)
                == (run.repeat, run.scenario, by, run.setting)
        })?;
        Some(value / self.figure.of(other)?)
    }

    fn name(&self) -> String {
        let (figure, driver) = (self.figure.name(), self.driver.name());
        match self.by {
            None => format!("{figure}: {driver}"),
            Some(by) => format!("{figure}: {driver} / {}", by.name()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::run::{Consumption, FloorFigures, Latencies, Loaded, Measured, Percentiles, Report};
    use crate::scenario::Setting;

    /// A run of 1,000,000 deliveries for which the server took `cpu_seconds`.
    pub(crate) fn run(repeat: u32, driver: Driver, cpu_seconds: f64) -> Run {
        let consumption = Consumption {
            cpu_seconds: Some(cpu_seconds),
            cpu_user_seconds: Some(cpu_seconds / 50.0),
            cpu_cores: None,
            rss_peak_bytes: Some(8 << 20),
        };
        let percentiles = Percentiles {
            p50: None,
            p99: Some(40.0),
            max: None,
        };
        let report = Report {
            valid: true,
            problems: Vec::new(),
            connect_seconds: 1.0,
            rate_achieved: 10.0,
            deliveries_per_second: 1.0,
            delivered: 1_000_000,
            latency_ms: Latencies {
                delivery: percentiles.clone(),
                completion: percentiles,
            },
            server: consumption.clone(),
            generator: consumption,
        };
        let floor = FloorFigures {
            pass_ms: 40.0,
            completion_ms: 41.0,
            cpu_us_per_send: 8.0,
        };
        Run {
            repeat,
            scenario: Scenario::Cpu,
            driver,
            setting: Setting::USUAL,
            measured: Measured::Load(Loaded {
                floors: vec![floor],
                reports: vec![report],
            }),
        }
    }

    #[test]
    fn drivers_are_compared_within_their_repeat() {
        let runs = [
            run(0, Driver::Uring, 8.0),
            run(0, Driver::Epoll, 10.0),
            run(1, Driver::Epoll, 20.0),
            run(1, Driver::Uring, 16.0),
        ];
        let judged = ALL[0].judge(&runs).unwrap();
        assert_eq!((judged.measured.min, judged.measured.max), (0.8, 0.8));
        assert_eq!(judged.name, "CPU per delivery, us: uring / epoll");
        assert!(judged.is_met);
    }

    #[test]
    fn the_median_decides() {
        let runs = [8.0, 7.0, 30.0].map(|cpu_seconds| run(0, Driver::Uring, cpu_seconds));
        let judged = ALL[1].judge(&runs).unwrap();
        assert_eq!(judged.measured.median, 1.0);
        assert!(judged.is_met);
        let runs = [8.1, 7.0, 30.0].map(|cpu_seconds| run(0, Driver::Uring, cpu_seconds));
        assert!(!ALL[1].judge(&runs).unwrap().is_met);
    }

    #[test]
    fn cpu_per_delivery_is_left_out_where_sends_were_shared() {
        let mut runs = [run(0, Driver::Uring, 8.0), run(1, Driver::Uring, 1.0)];
        if let Measured::Load(loaded) = &mut runs[1].measured {
            loaded.reports[0].latency_ms.delivery.p99 = Some(100.0);
        }
        assert!(runs[0].doubt().is_none() && runs[1].doubt().is_some());
        assert_eq!(ALL[1].judge(&runs).unwrap().measured.min, 1.0);
        assert!(ALL[1].judge(&runs[1..]).is_none());
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        let runs = [run(0, Driver::Uring, 8.0)];
        assert!(ALL[0].judge(&runs).is_none(), "there is no epoll");
        assert!(ALL[5].judge(&runs).is_none(), "there is no such scenario");
    }
}
