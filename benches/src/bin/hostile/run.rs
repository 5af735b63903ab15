//! A run: a fresh server in one case, measured by the load generator.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use benches::process::{self, Server};
use benches::{Error, Report, digits};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::broken::Crowd;
use crate::case::{Case, Hostile, LOG_BYTES};
use crate::command_line::CommandLine;
use crate::flooder::Flooder;

/// What a run may take beyond what it measures: connecting, warming up, draining, reporting.
const OVERHEAD_MAX: Duration = Duration::from_secs(45);

/// What the healthy felt in one case of one repeat.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    pub(crate) repeat: u32,
    #[serde(flatten)]
    pub(crate) case: Case,
    pub(crate) report: HealthyReport,
    /// Messages a second that the server took from the flooder, if there was one.
    pub(crate) flood_rate: Option<f64>,
    /// How often a broken peer came, if there were any.
    pub(crate) comings: Option<u64>,
}

/// Who is beside the load generator's clients, and none of them.
#[derive(Debug)]
enum Company {
    Flooder(Flooder),
    Crowd(Crowd),
}

/// What a company did.
#[derive(Debug, Default)]
struct Deeds {
    flood_rate: Option<f64>,
    comings: Option<u64>,
}

/// The load generator's report with the whole ledger; see `results/schema.md`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct HealthyReport {
    #[serde(flatten)]
    pub(crate) figures: Report,
    pub(crate) unsent: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    pub(crate) corrupt: u64,
    pub(crate) echoed: u64,
    pub(crate) departures: Departures,
    /// What became of the hostile, in the load generator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) misbehaviour: Option<Value>,
}

/// Healthy clients that the server let go of.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Departures {
    closed: u64,
    torn: u64,
    broken: u64,
    undecodable: u64,
}

impl Run {
    /// Measures once.
    pub(crate) fn measure(demand: &CommandLine, repeat: u32, case: Case) -> Result<Self, Error> {
        let mut arguments = case.arguments(demand);
        let measured = match case.hostile {
            Some(Hostile::Flooder) => measure_beside(demand, &mut arguments, Company::flooder),
            Some(Hostile::Broken(kind)) => measure_beside(demand, &mut arguments, |addr| {
                Ok(Company::Crowd(Crowd::gather(kind, addr)))
            }),
            _ => {
                arguments.push("--spawn-server".into());
                let to_server = server_arguments(demand).into_iter();
                arguments.extend(to_server.map(|argument| format!("--server-arg={argument}")));
                process::measure(&arguments, demand.duration + OVERHEAD_MAX)
                    .map(|report| (report, Deeds::default()))
            }
        };
        let (report, deeds) = measured.map_err(|fault| Error::LoadGenerator {
            command: format!("loadgen {}", arguments.join(" ")),
            fault,
        })?;
        Ok(Self {
            repeat,
            case,
            report,
            flood_rate: deeds.flood_rate,
            comings: deeds.comings,
        })
    }

    /// Whether its figures may be believed.
    pub(crate) fn is_valid(&self) -> bool {
        self.report.figures.valid
    }

    /// What the load generator found wrong, if it did.
    pub(crate) fn problems(&self) -> &[String] {
        match self.is_valid() {
            true => &[],
            false => &self.report.figures.problems,
        }
    }

    /// Whether each message came to each healthy client exactly once, in order, as it was sent.
    pub(crate) fn is_clean(&self) -> bool {
        let report = &self.report;
        let faults = [
            report.figures.lost,
            report.unsent,
            report.duplicated,
            report.reordered,
            report.corrupt,
            report.echoed,
            report.departures.count(),
        ];
        faults.iter().all(|&count| count == 0)
            && report.figures.delivered == report.figures.expected
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let delivery = &self.report.figures.latency_ms.delivery;
        let [p50, p99] =
            [delivery.p50, delivery.p99].map(|ms| ms.map_or_else(|| "-".to_owned(), digits));
        let (scenario, who) = (self.case.scenario.name(), self.case.name());
        write!(f, "{scenario} beside {who}: p50 {p50} ms, p99 {p99} ms")?;
        if let Some(rate) = self.flood_rate {
            write!(f, ", {rate:.0} messages/s of the flooder")?;
        }
        if let Some(comings) = self.comings {
            write!(f, ", {comings} came")?;
        }
        f.write_str(if self.is_clean() { "" } else { ", NOT CLEAN" })?;
        f.write_str(if self.is_valid() { "" } else { ", INVALID" })
    }
}

impl Departures {
    pub(crate) fn count(&self) -> u64 {
        self.closed + self.torn + self.broken + self.undecodable
    }
}

/// What the servers are told.
fn server_arguments(demand: &CommandLine) -> Vec<String> {
    let log = format!("--log-bytes={LOG_BYTES}");
    std::iter::once(log)
        .chain(demand.server_arg.iter().cloned())
        .collect()
}

/// The company is none of the load generator's clients, so the server is not its own, either.
fn measure_beside(
    demand: &CommandLine,
    arguments: &mut Vec<String>,
    company: impl FnOnce(SocketAddr) -> Result<Company, String>,
) -> Result<(HealthyReport, Deeds), String> {
    let server = Server::start(&server_arguments(demand))?;
    arguments.extend(["--addr".into(), server.addr().to_string()]);
    arguments.extend(["--server-pid".into(), server.pid().to_string()]);
    let company = company(server.addr())?;
    let report = process::measure(arguments, demand.duration + OVERHEAD_MAX);
    let deeds = company.end();
    Ok((report?, deeds?))
}

impl Company {
    fn flooder(addr: SocketAddr) -> Result<Self, String> {
        let flooder = Flooder::join(addr);
        let flooder = flooder.map_err(|error| format!("the flooder cannot join: {error}"))?;
        Ok(Self::Flooder(flooder))
    }

    /// Ends what it does; an error if it never did it.
    fn end(self) -> Result<Deeds, String> {
        match self {
            Self::Flooder(flooder) => {
                let rate = flooder.end().rate();
                Ok(Deeds {
                    flood_rate: Some(rate.ok_or("the flood has not begun")?),
                    ..Deeds::default()
                })
            }
            Self::Crowd(crowd) => match crowd.end() {
                0 => Err("no broken peer could connect".into()),
                comings => Ok(Deeds {
                    comings: Some(comings),
                    ..Deeds::default()
                }),
            },
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use benches::report::{Consumption, Latencies, Percentiles};

    use super::*;

    /// A valid run with a clean ledger and this p99.
    pub(crate) fn run(repeat: u32, case: Case, p99: f64) -> Run {
        let percentiles = Percentiles {
            p50: Some(p99 / 2.0),
            p99: Some(p99),
            p999: None,
        };
        let figures = Report {
            valid: true,
            problems: Vec::new(),
            rate_achieved: 50.0,
            drain_seconds: 0.0,
            expected: 1000,
            delivered: 1000,
            lost: 0,
            backlog_at_end: 0,
            latency_ms: Latencies {
                delivery: percentiles.clone(),
                completion: percentiles,
            },
            server: Consumption {
                cpu_seconds: Some(1.0),
                rss_peak_bytes: Some(16 << 20),
            },
            steps: None,
        };
        let report = HealthyReport {
            figures,
            unsent: 0,
            duplicated: 0,
            reordered: 0,
            corrupt: 0,
            echoed: 0,
            departures: Departures::default(),
            misbehaviour: None,
        };
        Run {
            repeat,
            case,
            report,
            flood_rate: None,
            comings: None,
        }
    }

    #[test]
    fn any_fault_in_the_ledger_makes_it_unclean() {
        let case = Case {
            scenario: crate::case::Scenario::Flood,
            hostile: None,
        };
        let clean = run(0, case, 1.0);
        assert!(clean.is_clean());
        let faults: [fn(&mut HealthyReport); 4] = [
            |report| report.figures.delivered -= 1,
            |report| report.duplicated = 1,
            |report| report.reordered = 1,
            |report| report.departures.closed = 1,
        ];
        for fault in faults {
            let mut run = clean.clone();
            fault(&mut run.report);
            assert!(!run.is_clean(), "{run}");
            assert!(run.to_string().ends_with("NOT CLEAN"), "{run}");
        }
    }
}
