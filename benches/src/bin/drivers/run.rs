//! A run: the floor, then one driver under the load of one scenario.

use std::fmt;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use benches::{Error, Plan, Repeat, floor, process};
use serde::{Deserialize, Serialize};

use crate::command_line::{CommandLine, Driver};
use crate::idle::Idle;
use crate::scenario::{Load, Scenario, Setting};

/// Exit status of a measurement that was made, and is or is not valid.
const MADE: [i32; 2] = [0, 3];

/// What was measured of one driver in one scenario of one repeat.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    pub(crate) repeat: u32,
    pub(crate) scenario: Scenario,
    pub(crate) driver: Driver,
    pub(crate) setting: Setting,
    #[serde(flatten)]
    pub(crate) measured: Measured,
}

/// What there was to measure.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum Measured {
    /// A load, beside the floor.
    Load(Loaded),
    /// Clients that said nothing.
    Idle { idle: Idle },
}

/// A driver under load.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Loaded {
    /// One for each of the scenario's loads: over as many sockets, of as many bytes, right before it.
    pub(crate) floors: Vec<FloorFigures>,
    /// One for each of the scenario's loads.
    pub(crate) reports: Vec<Report>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct FloorFigures {
    pub(crate) pass_ms: f64,
    pub(crate) completion_ms: f64,
    pub(crate) cpu_us_per_send: f64,
}

/// What is needed of the load generator's report; see its `--json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) valid: bool,
    pub(crate) problems: Vec<String>,
    pub(crate) connect_seconds: f64,
    pub(crate) rate_achieved: f64,
    pub(crate) deliveries_per_second: f64,
    pub(crate) delivered: u64,
    pub(crate) latency_ms: Latencies,
    pub(crate) server: Consumption,
    pub(crate) generator: Consumption,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Latencies {
    pub(crate) delivery: Percentiles,
    pub(crate) completion: Percentiles,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Percentiles {
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
    pub(crate) max: Option<f64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Consumption {
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) cpu_user_seconds: Option<f64>,
    pub(crate) cpu_cores: Option<f64>,
    pub(crate) rss_peak_bytes: Option<u64>,
}

impl Run {
    /// Measures the floor and then the driver; without a load, the driver alone.
    pub(crate) fn measure(
        demand: &CommandLine,
        repeat: u32,
        scenario: Scenario,
        driver: Driver,
        setting: Setting,
    ) -> Result<Self, Error> {
        let measured = if scenario == Scenario::Idle {
            let idle = Idle::measure(driver, demand.idle_clients, demand.idle_duration)?;
            Measured::Idle { idle }
        } else {
            Measured::Load(Loaded::measure(demand, scenario, driver, setting)?)
        };
        Ok(Self {
            repeat,
            scenario,
            driver,
            setting,
            measured,
        })
    }

    /// What was measured under load, if there was one.
    fn loaded(&self) -> Option<&Loaded> {
        match &self.measured {
            Measured::Load(loaded) => Some(loaded),
            Measured::Idle { .. } => None,
        }
    }

    /// All reports of the load generator.
    fn reports(&self) -> &[Report] {
        self.loaded().map_or(&[], |loaded| &loaded.reports)
    }

    /// What the load generator found wrong.
    pub(crate) fn problems(&self) -> impl Iterator<Item = &str> {
        let invalid = self.reports().iter().filter(|report| !report.valid);
        invalid.flat_map(|report| report.problems.iter().map(String::as_str))
    }

    /// Whether messages came faster than they were delivered, so that one send may have carried
    /// several deliveries, and CPU per delivery says nothing of CPU per send.
    pub(crate) fn has_coalesced(&self) -> bool {
        let loads = self.scenario.loads();
        let (Some(load), Some(loaded)) = (loads.first(), self.loaded()) else {
            return false;
        };
        let between_messages_ms = 1000.0 / f64::from(load.rate);
        let p99 = loaded.report().latency_ms.delivery.p99;
        p99.is_none_or(|p99| p99 >= between_messages_ms)
    }

    /// Why a figure of this run is left out.
    pub(crate) fn doubt(&self) -> Option<&'static str> {
        (self.scenario == Scenario::Cpu && self.has_coalesced()).then_some(
            "p99 is longer than the time between messages, so sends were shared, and the CPU per delivery is left out: see what else runs here",
        )
    }

    /// Whether all reports are to be believed.
    pub(crate) fn is_valid(&self) -> bool {
        self.reports().iter().all(|report| report.valid)
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.scenario.name(), self.driver.name())?;
        if let Some(argument) = self.setting.argument() {
            write!(f, " {argument}")?;
        }
        match &self.measured {
            Measured::Load(loaded) => {
                let p99 = loaded.report().latency_ms.delivery.p99;
                let p99 = p99.map_or_else(|| "-".to_owned(), |p99| format!("{p99:.1}"));
                let floor = loaded.floor().pass_ms;
                write!(f, ": F {floor:.1} ms, p99 {p99} ms")?;
            }
            Measured::Idle { idle } => write!(
                f,
                ": {} clients, {:.2} KiB each, {} wake-ups in {:.1} s",
                idle.clients,
                idle.kib_per_client(),
                idle.wakeups,
                idle.seconds
            )?,
        }
        f.write_str(if self.is_valid() { "" } else { ", INVALID" })
    }
}

impl Loaded {
    fn measure(
        demand: &CommandLine,
        scenario: Scenario,
        driver: Driver,
        setting: Setting,
    ) -> Result<Self, Error> {
        let mut loaded = Self {
            floors: Vec::new(),
            reports: Vec::new(),
        };
        for load in scenario.loads() {
            let floor = FloorFigures::measure(&load, demand.passes, scenario.floor_interval())?;
            loaded.floors.push(floor);
            let report = measure_load(demand, driver, setting, &load)?;
            loaded.reports.push(report);
        }
        Ok(loaded)
    }

    /// The floor that the scenario's figures are beside.
    pub(crate) fn floor(&self) -> &FloorFigures {
        &self.floors[0]
    }

    /// The report that the scenario's figures are of.
    pub(crate) fn report(&self) -> &Report {
        &self.reports[0]
    }
}

impl FloorFigures {
    fn measure(load: &Load, passes: u32, interval: Duration) -> Result<Self, Error> {
        let plan = Plan {
            sockets: load.clients,
            bytes: floor::frame_bytes(load.message_bytes),
            repeats: 1,
            passes,
            warmup_passes: floor::WARMUP_PASSES,
            interval,
            reader: None,
        };
        let repeat = Repeat::measure(&plan)?;
        Ok(Self {
            pass_ms: repeat.pass_ms(),
            completion_ms: repeat.completion_ms(),
            cpu_us_per_send: repeat.cpu_us_per_send(),
        })
    }
}

/// Runs the load generator with a server of its own.
fn measure_load(
    demand: &CommandLine,
    driver: Driver,
    setting: Setting,
    load: &Load,
) -> Result<Report, Error> {
    let arguments = arguments(demand, driver, setting, load);
    let fault = |fault| Error::LoadGenerator {
        command: format!("loadgen {}", arguments.join(" ")),
        fault,
    };
    let output = std::env::current_exe()
        .and_then(|program| {
            Command::new(program)
                .arg(process::LOADGEN)
                .args(&arguments)
                .stdin(Stdio::null())
                .output()
        })
        .map_err(|error| fault(format!("cannot be started: {error}")))?;
    parse(&output).map_err(fault)
}

fn arguments(demand: &CommandLine, driver: Driver, setting: Setting, load: &Load) -> Vec<String> {
    let flags = format!(
        "--quiet --json - --spawn-server --server-arg=--driver={} --clients {} --rate {} --size {} --duration {} --warmup {}",
        driver.name(),
        load.clients,
        load.rate,
        load.message_bytes,
        demand.duration,
        demand.warmup,
    );
    let varied = setting
        .argument()
        .map(|argument| format!("--server-arg={argument}"));
    flags.split(' ').map(str::to_owned).chain(varied).collect()
}

/// The report in what the load generator wrote, or what it complained of.
fn parse(output: &Output) -> Result<Report, String> {
    if !output
        .status
        .code()
        .is_some_and(|code| MADE.contains(&code))
    {
        let said = String::from_utf8_lossy(&output.stderr);
        let mut lines = said.lines();
        let error = lines.find(|line| line.starts_with("error"));
        let said = error.or(said.lines().last()).unwrap_or("nothing").trim();
        return Err(format!("{} ({said})", output.status));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("its JSON is not understood: {error}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn output(code: i32, stdout: &str, stderr: &str) -> Output {
        Output {
            status: ExitStatus::from_raw(code << 8),
            stdout: stdout.into(),
            stderr: stderr.into(),
        }
    }

    #[test]
    fn a_failure_is_told_in_the_load_generators_words() {
        let said = "starting\nerror: no server\nbye\n";
        let error = parse(&output(1, "", said)).unwrap_err();
        assert_eq!(error, "exit status: 1 (error: no server)");
        let error = parse(&output(0, "{}", "")).unwrap_err();
        assert!(error.contains("JSON is not understood"), "{error}");
    }

    #[test]
    fn an_invalid_measurement_is_a_measurement() {
        let percentiles = r#"{"p50": 1.0, "p99": 2.0, "max": null}"#;
        let consumption = r#"{"cpu_seconds": 1.5, "cpu_user_seconds": null, "cpu_cores": null, "rss_peak_bytes": 7}"#;
        let json = format!(
            r#"{{"valid": false, "problems": ["x"], "connect_seconds": 1, "rate_achieved": 1,
            "deliveries_per_second": 2, "delivered": 3, "more": 0, "server": {consumption},
            "generator": {consumption},
            "latency_ms": {{"delivery": {percentiles}, "completion": {percentiles}}}}}"#
        );
        let report = parse(&output(3, &json, "")).unwrap();
        assert!(!report.valid);
        assert_eq!(report.latency_ms.delivery.p99, Some(2.0));
    }
}
