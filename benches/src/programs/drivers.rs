//! The server's drivers beside each other and the floor. Each run of a driver comes right after a floor
//! over as many sockets with frames as long.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::bound::{Against, Bound, Limit};
use crate::comparison::{Section, help_of, name_of};
use crate::error::Result;
use crate::figure::{
    COMPLETION_P50, CONNECT, CPU, CPU_BY_FLOOR, CPU_PER_DELIVERY, DELIVERY_RATE, FLOOR, FLOOR_CPU,
    Figure, P50, P99, P99_BY_FLOOR, RSS, USER_SHARE, figures,
};
use crate::floor::Plan;
use crate::output::Output;
use crate::process;
use crate::run::Run;
use crate::study::{self, Study};

mod idle;

/// Compare the server's drivers with each other and with a bare send(2) loop
///
/// Every repeat measures, for each scenario and driver, first the floor and then a server under the
/// load of the scenario. Exit status: 0 every bound is met by the median of the repeats, 1 not
/// possible, 2 wrong usage, 3 measured, but a bound is missed or a run is invalid.
#[derive(Debug, Parser)]
#[command(name = "drivers", version, max_term_width = 100)]
pub(super) struct Args {
    /// Compare these drivers
    #[arg(long, value_enum, value_delimiter = ',',
          default_values_t = Driver::value_variants().to_vec())]
    drivers: Vec<Driver>,

    /// Compare them under these loads
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Scenario::USUAL)]
    scenarios: Vec<Scenario>,

    /// Measure each N times
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeats: u32,

    /// Measure for TIME in each run of the load generator, as in 6s
    #[arg(long, value_name = "TIME", default_value = "6s", value_parser = cli::duration)]
    duration: Duration,

    /// Send for TIME before that without measuring
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = cli::duration)]
    warmup: Duration,

    /// Make N passes for each floor
    #[arg(long, value_name = "N", default_value_t = 15,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    passes: u32,

    /// Let N clients join in the scenario `idle`
    #[arg(long, value_name = "N", default_value_t = 5000,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    idle_clients: u32,

    /// Watch idle clients for TIME, as in 10s
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = cli::duration)]
    idle_duration: Duration,

    #[command(flatten)]
    output: Output,
}

/// The drivers, as the server's `--driver` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Driver {
    Uring,
    TokioUring,
    Epoll,
}

/// A named load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// 5000 clients, 10 messages/s: nothing can be coalesced, each delivery is a send
    Cpu,
    /// 5000 clients, 100 messages/s
    P99,
    /// 5000 clients, 1000 messages/s: 5 million deliveries/s
    Flood,
    /// 1000 clients, 100 messages/s of 8 KiB, and the same at 64 bytes
    Large,
    /// 100 clients, 10 messages/s
    Low,
    /// 18,000 clients, 20 messages/s
    Many,
    /// 10,000 clients join
    Join,
    /// 5000 clients that have joined and say nothing (--idle-clients)
    Idle,
    /// 5000 clients, 100 messages/s, with each --coalesce of 0s, auto, 10ms, 30ms, 50ms, 100ms
    Coalesce,
    /// 5000 clients, 100 messages/s, with --threads 1 and 2
    Threads,
}

/// A driver under a load, with the option that the scenario varies.
#[derive(Debug, Clone, PartialEq)]
struct Case {
    scenario: Scenario,
    driver: Driver,
    option: Option<&'static str>,
}

figures! {
    COMPLETION_BY_FLOOR: "completion_by_floor", "completion p50 / F", "x";
    P99_BY_SMALL: "p99_by_small", "delivery p99 / delivery p99 at 64 B", "x";
    FLOOR_BY_SMALL: "floor_by_small", "F / F at 64 B", "x";
    P99_BY_ALLOWANCE: "p99_by_allowance", "delivery p99 / (1.3 F + 0.5 ms)", "x";
}

/// The program.
pub fn main() -> ExitCode {
    study::main("drivers", compare)
}

fn compare(args: &Args) -> Result<bool> {
    let groups = args.scenarios.iter().map(|&scenario| cases(args, scenario));
    let groups: Vec<Vec<Case>> = groups.collect();
    let comparison = study(args).carry_out(&args.output, &groups, |turn, case| {
        Ok(vec![case.measure(args, turn.repeat)?])
    })?;
    args.output.write(&comparison)
}

fn study(args: &Args) -> Study {
    let section = |&scenario: &Scenario| {
        let candidates = cases(args, scenario).iter().map(Case::candidate).collect();
        let figures = scenario.figures();
        Section::new(&name_of(&scenario), help_of(&scenario), figures, candidates)
    };
    let about = format!(
        "Every run is {:?} on a fresh server, right after a **floor**: passes of a bare `send(2)` loop over as many sockets with frames as long. **F** is one such pass: no server that sends to each client can be faster.",
        args.duration
    );
    Study {
        repeats: args.repeats,
        sections: args.scenarios.iter().map(section).collect(),
        bounds: args
            .scenarios
            .iter()
            .flat_map(|one| one.bounds(&args.drivers))
            .collect(),
        ..Study::new(
            "drivers",
            "The server's drivers beside a bare send loop",
            about,
        )
    }
}

/// What is measured of a scenario: each driver, with each value of the option that it varies.
fn cases(args: &Args, scenario: Scenario) -> Vec<Case> {
    let mut cases = Vec::new();
    for option in scenario.options() {
        cases.extend(args.drivers.iter().map(|&driver| Case {
            scenario,
            driver,
            option,
        }));
    }
    cases
}

impl Scenario {
    /// Those that are measured when none is named.
    const USUAL: [Self; 5] = [Self::Cpu, Self::P99, Self::Flood, Self::Large, Self::Low];

    /// Clients, messages a second in total, and their bytes.
    const fn load(self) -> (u32, u32, u32) {
        match self {
            Self::Cpu => (5000, 10, 64),
            Self::P99 | Self::Coalesce | Self::Threads | Self::Idle => (5000, 100, 64),
            Self::Flood => (5000, 1000, 64),
            Self::Large => (1000, 100, 8192),
            Self::Low => (100, 10, 64),
            Self::Many => (18_000, 20, 64),
            Self::Join => (10_000, 1, 64),
        }
    }

    /// What the server is told beside its driver: a run with each, one after the other.
    fn options(self) -> Vec<Option<&'static str>> {
        match self {
            Self::Coalesce => vec![
                Some("--coalesce=0s"),
                Some("--coalesce=auto"),
                Some("--coalesce=10ms"),
                Some("--coalesce=30ms"),
                Some("--coalesce=50ms"),
                Some("--coalesce=100ms"),
            ],
            Self::Threads => vec![Some("--threads=1"), Some("--threads=2")],
            _ => vec![None],
        }
    }

    fn figures(self) -> Vec<Figure> {
        match self {
            Self::Cpu => {
                let cpu = [FLOOR_CPU, CPU_PER_DELIVERY, CPU_BY_FLOOR, USER_SHARE];
                cpu.into_iter().chain([P50, P99, RSS]).collect()
            }
            Self::P99 => {
                let completion = [COMPLETION_P50, COMPLETION_BY_FLOOR, CPU, RSS];
                let delivery = [FLOOR, P50, P99, P99_BY_FLOOR];
                delivery.into_iter().chain(completion).collect()
            }
            Self::Flood => vec![FLOOR, P50, P99, P99_BY_FLOOR, DELIVERY_RATE, CPU, RSS],
            Self::Large => vec![FLOOR, FLOOR_BY_SMALL, P50, P99, P99_BY_SMALL, CPU],
            Self::Low => vec![FLOOR, P50, P99, P99_BY_ALLOWANCE],
            Self::Many => vec![FLOOR, P50, P99, P99_BY_FLOOR, CONNECT, RSS],
            Self::Join => vec![CONNECT, RSS],
            Self::Idle => idle::FIGURES.to_vec(),
            Self::Coalesce | Self::Threads => vec![CPU, P50, P99],
        }
    }

    /// What has to hold, of those drivers that are measured.
    fn bounds(self, drivers: &[Driver]) -> Vec<Bound> {
        let limits = match self {
            Self::Cpu => vec![(CPU_BY_FLOOR, 1.0), (USER_SHARE, 0.04), (RSS, 16.0)],
            Self::P99 => vec![(P99_BY_FLOOR, 1.5), (COMPLETION_BY_FLOOR, 1.5), (RSS, 24.0)],
            Self::Flood => vec![(P99_BY_FLOOR, 4.0)],
            Self::Large => vec![(P99_BY_SMALL, 1.3)],
            Self::Low => vec![(P99_BY_ALLOWANCE, 1.0)],
            Self::Join => vec![(CONNECT, 5.0)],
            Self::Idle => idle::LIMITS.to_vec(),
            Self::Many | Self::Coalesce | Self::Threads => Vec::new(),
        };
        let name = name_of(&self);
        let mut bounds = Vec::new();
        for (who, by, most) in [
            (Driver::Uring, Driver::Epoll, 0.90),
            (Driver::TokioUring, Driver::Uring, 1.25),
        ] {
            if self == Self::Cpu && drivers.contains(&who) && drivers.contains(&by) {
                let most = Limit::AtMost(most);
                let bound = Bound::new(&name, &name_of(&who), CPU_PER_DELIVERY, most);
                bounds.push(bound.against(Against::Ratio(name_of(&by))));
            }
        }
        if drivers.contains(&Driver::Uring) {
            let bound = |(figure, most)| Bound::new(&name, "uring", figure, Limit::AtMost(most));
            bounds.extend(limits.into_iter().map(bound));
        }
        bounds
    }

    /// Sets what is seen beside the floor. Where messages came faster than they were delivered, one
    /// send may have carried several deliveries, and CPU per delivery says nothing of CPU per send.
    fn set_ratios(self, run: &mut Run) {
        let between_messages_ms = 1000.0 / f64::from(self.load().1);
        if run.get(&P99).is_none_or(|p99| p99 >= between_messages_ms) {
            run.unset(&CPU_PER_DELIVERY);
            if self == Self::Cpu {
                run.warnings.push("p99 is longer than the time between messages, so sends were shared, and the CPU per delivery is left out: see what else runs here".into());
            }
        }
        run.set_ratio(&CPU_BY_FLOOR, &CPU_PER_DELIVERY, &FLOOR_CPU);
        run.set_ratio(&P99_BY_FLOOR, &P99, &FLOOR);
        run.set_ratio(&COMPLETION_BY_FLOOR, &COMPLETION_P50, &FLOOR);
        let both = run.get(&P99).zip(run.get(&FLOOR));
        run.set(
            &P99_BY_ALLOWANCE,
            both.map(|(p99, floor)| p99 / (1.3 * floor + 0.5)),
        );
    }
}

impl Case {
    fn candidate(&self) -> String {
        let name = name_of(&self.driver);
        let option = self.option.map(|option| format!("{name} {option}"));
        option.unwrap_or(name)
    }

    fn measure(&self, args: &Args, repeat: u32) -> Result<Run> {
        let mut run = Run::new(repeat, &name_of(&self.scenario), &self.candidate());
        if self.scenario == Scenario::Idle {
            let driver = name_of(&self.driver);
            idle::measure(&mut run, &driver, args.idle_clients, args.idle_duration)?;
            return Ok(run);
        }
        let (clients, rate, bytes) = self.scenario.load();
        self.measure_load(args, (clients, rate, bytes), &mut run)?;
        self.scenario.set_ratios(&mut run);
        if self.scenario == Scenario::Large {
            let mut small = Run::default();
            self.measure_load(args, (clients, rate, 64), &mut small)?;
            for (ratio, figure) in [(P99_BY_SMALL, P99), (FLOOR_BY_SMALL, FLOOR)] {
                let both = run.get(&figure).zip(small.get(&figure));
                run.set(&ratio, both.map(|(large, small)| large / small));
            }
            run.problems.extend(small.problems);
        }
        Ok(run)
    }

    /// The floor, and then the server with a load generator of its own.
    fn measure_load(&self, args: &Args, load: (u32, u32, u32), run: &mut Run) -> Result<()> {
        let (clients, rate, bytes) = load;
        // Where CPU time is compared, passes are as far apart as messages: what the kernel does in
        // between for the sockets (acknowledge, wake, sleep) is then the same.
        let interval = match self.scenario {
            Scenario::Cpu | Scenario::Low => Duration::from_secs(1) / rate,
            _ => Duration::ZERO,
        };
        let mut floor = Run::default();
        Plan::new(clients, bytes, args.passes, interval).measure(&mut floor)?;
        run.figures.append(&mut floor.figures);
        let flags = format!(
            "--quiet --spawn-server --server-arg=--driver={} --clients {clients} --rate {rate} --size {bytes} --duration {}ms --warmup {}ms",
            name_of(&self.driver),
            args.duration.as_millis(),
            args.warmup.as_millis(),
        );
        let option = self.option.map(|option| format!("--server-arg={option}"));
        let arguments: Vec<String> = process::words(&flags).into_iter().chain(option).collect();
        let timeout = args.warmup + args.duration + process::OVERHEAD_MAX;
        run.take_report(&process::must_measure(&arguments, timeout)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_measures_each_driver_with_each_value_of_its_option() {
        let args = Args::parse_from(["drivers", "--drivers", "uring,tokio-uring"]);
        let names: Vec<_> = cases(&args, Scenario::Threads)
            .iter()
            .map(Case::candidate)
            .collect();
        let expected = [
            "uring --threads=1",
            "tokio-uring --threads=1",
            "uring --threads=2",
            "tokio-uring --threads=2",
        ];
        assert_eq!(names, expected);
        assert_eq!(cases(&args, Scenario::Low).len(), 2);
    }

    #[test]
    fn bounds_are_of_what_is_measured() {
        let count = |flags: &str| study(&Args::parse_from(flags.split(' '))).bounds.len();
        assert_eq!(count("drivers --scenarios cpu"), 5);
        assert_eq!(count("drivers --scenarios cpu --drivers uring"), 3);
        assert_eq!(count("drivers --scenarios coalesce"), 0);
    }

    #[test]
    fn cpu_per_delivery_is_left_out_where_sends_were_shared() {
        let run = |p99| {
            let mut run = Run::new(0, "cpu", "uring");
            for (figure, value) in [(P99, p99), (FLOOR_CPU, 8.0), (CPU_PER_DELIVERY, 8.0)] {
                run.set(&figure, value);
            }
            Scenario::Cpu.set_ratios(&mut run);
            run
        };
        assert_eq!(run(99.0).get(&CPU_BY_FLOOR), Some(1.0));
        assert!(run(99.0).warnings.is_empty());
        assert_eq!(run(100.0).get(&CPU_PER_DELIVERY), None);
        assert_eq!(run(100.0).warnings.len(), 1);
    }
}
