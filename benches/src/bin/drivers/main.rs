//! Compares the server's drivers with each other and with the floor, interleaved in one run. Each run
//! of a driver comes right after a floor over as many sockets with frames as long.

#![forbid(unsafe_code)]

mod idle;
mod scenario;

use std::process::ExitCode;
use std::time::Duration;

use benches::{Error, Output, Plan, Run, Study, Validity, process};
use clap::{Parser, ValueEnum};

use scenario::{Load, Scenario};

/// Compare the server's drivers with each other and with a bare send(2) loop
///
/// Every repeat measures, for each scenario and driver, first the floor and then a server under the
/// load of the scenario. Exit status: 0 every bound is met by the median of the repeats, 1 not
/// possible, 2 wrong usage, 3 measured, but a bound is missed or a run is invalid.
#[derive(Debug, Parser)]
#[command(name = "drivers", version, max_term_width = 100)]
pub(crate) struct Args {
    /// Compare these drivers
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Driver::ALL)]
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

/// A driver under a load, with the option that the scenario varies.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Case {
    scenario: Scenario,
    driver: Driver,
    option: Option<&'static str>,
}

fn main() -> ExitCode {
    benches::main("drivers", compare)
}

fn compare(args: &Args) -> Result<bool, Error> {
    let groups: Vec<Vec<Case>> = args.scenarios.iter().map(|&one| cases(args, one)).collect();
    let comparison = study(args).carry_out(&args.output, &groups, |turn, case| {
        case.measure(args, turn.repeat).map(|run| vec![run])
    })?;
    args.output.write(&comparison)?;
    Ok(comparison.is_as_wanted())
}

fn study(args: &Args) -> Study {
    let section = |&one: &Scenario| {
        let cases = cases(args, one).into_iter();
        one.section(cases.map(Case::candidate).collect())
    };
    let has = |scenario: &str, candidate: &str| {
        let scenario = args.scenarios.iter().find(|one| one.name() == scenario);
        let mut cases = scenario
            .map_or_else(Vec::new, |&one| cases(args, one))
            .into_iter();
        cases.any(|case| case.candidate() == candidate)
    };
    Study {
        program: "drivers",
        title: "The server's drivers beside a bare send loop",
        about: format!(
            "Every run is {:?} on a fresh server, right after a **floor**: passes of a bare `send(2)` loop over as many sockets with frames as long. **F** is one such pass: no server that sends to each client can be faster.",
            args.duration
        ),
        repeats: args.repeats,
        time_limit: Duration::MAX,
        validity: Validity::EveryRun,
        sections: args.scenarios.iter().map(section).collect(),
        plots: Vec::new(),
        bounds: scenario::bounds(has),
        steady: Vec::new(),
    }
}

/// What is measured of a scenario: each driver, with each value of the option that it varies.
fn cases(args: &Args, scenario: Scenario) -> Vec<Case> {
    let options = scenario.options();
    let with = |&option| {
        let drivers = args.drivers.iter();
        drivers.map(move |&driver| Case {
            scenario,
            driver,
            option,
        })
    };
    options.iter().flat_map(with).collect()
}

impl Driver {
    const ALL: [Self; 3] = [Self::Uring, Self::TokioUring, Self::Epoll];

    const fn name(self) -> &'static str {
        match self {
            Self::Uring => "uring",
            Self::TokioUring => "tokio-uring",
            Self::Epoll => "epoll",
        }
    }
}

impl Case {
    fn candidate(self) -> String {
        let name = self.driver.name();
        self.option
            .map_or_else(|| name.into(), |option| format!("{name} {option}"))
    }

    fn measure(self, args: &Args, repeat: u32) -> Result<Run, Error> {
        let mut run = Run::new(repeat, self.scenario.name(), &self.candidate());
        if self.scenario == Scenario::Idle {
            idle::measure(
                &mut run,
                self.driver.name(),
                args.idle_clients,
                args.idle_duration,
            )?;
            return Ok(run);
        }
        let loads = self.scenario.loads();
        self.measure_load(args, loads[0], &mut run)?;
        self.scenario.set_ratios(&mut run);
        if let Some(&small) = loads.get(1) {
            let mut beside = Run::new(repeat, "", "");
            self.measure_load(args, small, &mut beside)?;
            scenario::set_small(&mut run, &beside);
        }
        Ok(run)
    }

    /// The floor, and then the server with a load generator of its own.
    fn measure_load(self, args: &Args, load: Load, run: &mut Run) -> Result<(), Error> {
        let interval = self.scenario.floor_interval();
        let plan = Plan::new(load.clients, load.message_bytes, args.passes, interval);
        let mut floor = Run::default();
        plan.measure(&mut floor)?;
        run.figures.append(&mut floor.figures);
        let report = process::must_measure(
            &self.arguments(args, load),
            args.warmup + args.duration + process::OVERHEAD_MAX,
        )?;
        run.take_report(&report);
        run.problems.dedup();
        Ok(())
    }

    fn arguments(self, args: &Args, load: Load) -> Vec<String> {
        let flags = format!(
            "--quiet --spawn-server --server-arg=--driver={} --clients {} --rate {} --size {} --duration {}ms --warmup {}ms",
            self.driver.name(),
            load.clients,
            load.rate,
            load.message_bytes,
            args.duration.as_millis(),
            args.warmup.as_millis(),
        );
        let option = self.option.map(|option| format!("--server-arg={option}"));
        flags.split(' ').map(str::to_owned).chain(option).collect()
    }
}

#[cfg(test)]
mod tests {
    use benches::figure::{self, FLOOR, P50, P99};
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_scenario_measures_each_driver_with_each_value_of_its_option() {
        let args = Args::parse_from(["drivers", "--drivers", "uring,tokio-uring"]);
        let names: Vec<_> = cases(&args, Scenario::Threads)
            .into_iter()
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
        let count = |words: &str| study(&Args::parse_from(words.split(' '))).bounds.len();
        assert_eq!(count("drivers --scenarios cpu"), 5);
        assert_eq!(count("drivers --scenarios cpu --drivers uring"), 3);
        assert_eq!(count("drivers --scenarios coalesce"), 0);
    }

    #[test]
    fn cpu_per_delivery_is_left_out_where_sends_were_shared() {
        let mut run = Run::new(0, "cpu", "uring");
        for (figure, value) in [
            (FLOOR, 40.0),
            (P50, 20.0),
            (P99, 99.0),
            (figure::FLOOR_CPU, 8.0),
            (figure::CPU_PER_DELIVERY, 8.0),
        ] {
            run.set(&figure, value);
        }
        let mut shared = run.clone();
        Scenario::Cpu.set_ratios(&mut run);
        assert_eq!(run.get(&figure::CPU_BY_FLOOR), Some(1.0));
        assert!(run.warnings.is_empty());
        shared.set(&P99, 100.0);
        Scenario::Cpu.set_ratios(&mut shared);
        assert_eq!(shared.get(&figure::CPU_PER_DELIVERY), None);
        assert_eq!(shared.warnings.len(), 1);
    }
}
