//! A run: a fresh server of one candidate under one load, measured by the load generator.

use std::time::Duration;

use benches::{Report, process};
use serde::Serialize;

use crate::candidate::Candidate;
use crate::serving::Serving;

/// Connections that send to a broker. More of them do not send more messages.
pub(crate) const PUBLISHERS: u32 = 4;

/// What a search for the highest rate demands.
pub(crate) const OBJECTIVE: &str = "delivery.p99<250ms,lost==0";

/// Where a search begins, in messages a second.
const SEARCH_FROM: u32 = 100;

/// What a run may take beyond what it measures: connecting, draining, reporting.
const OVERHEAD_MAX: Duration = Duration::from_secs(30);

/// What a search may take in all.
const SEARCH_MAX: Duration = Duration::from_secs(75);

/// Slower than this at the 99th percentile, in milliseconds, has collapsed.
const COLLAPSED_P99_MS: f64 = 1000.0;

/// Fewer messages than this share of those asked for is a collapse.
const COLLAPSED_RATE_SHARE: f64 = 0.9;

/// The load of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Load {
    /// So many messages a second in all.
    Rate(u32),
    /// The highest rate that holds.
    FindMax,
}

/// What came of one candidate under one load in one repeat.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    pub(crate) repeat: u32,
    pub(crate) candidate: Candidate,
    pub(crate) load: Load,
    /// Absent when none could be made, for the reason that `failure` says.
    pub(crate) report: Option<Report>,
    pub(crate) failure: Option<String>,
}

/// What all runs have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) clients: u32,
    pub(crate) duration: Duration,
}

impl Run {
    /// Measures, for `left` at most.
    pub(crate) fn measure(
        terms: Terms,
        (repeat, load, candidate): (u32, Load, Candidate),
        left: Duration,
    ) -> Self {
        let measured = Serving::start(candidate, &candidate.settings(terms.clients))
            .and_then(|serving| measure(terms, load, candidate, &serving, left));
        let (report, failure) = match measured {
            Ok(report) => (Some(report), None),
            Err(failure) => (None, Some(failure)),
        };
        Self {
            repeat,
            candidate,
            load,
            report,
            failure,
        }
    }

    /// Why it makes no sense to ask more of the candidate; `None` if it kept up.
    pub(crate) fn collapse(&self) -> Option<String> {
        let Load::Rate(rate) = self.load else {
            return None;
        };
        let Some(report) = &self.report else {
            return self.failure.clone();
        };
        let p99 = report.latency_ms.delivery.p99;
        if report.lost > 0 {
            Some(format!("{} of {} lost", report.lost, report.expected))
        } else if report.rate_achieved < COLLAPSED_RATE_SHARE * f64::from(rate) {
            Some(format!("{:.0} of {rate} messages/s", report.rate_achieved))
        } else if p99.is_none_or(|p99| p99 > COLLAPSED_P99_MS) {
            let p99 = p99.map_or_else(|| "no delivery".into(), |p99| format!("p99 {p99:.0} ms"));
            Some(p99)
        } else {
            None
        }
    }

    /// Whether its figures may be believed. A search is, whatever became of its last step.
    pub(crate) fn is_valid(&self) -> bool {
        self.found().is_some() || self.report.as_ref().is_some_and(|report| report.valid)
    }

    /// Whether deliveries of a rate were lost. A search goes on until some are.
    pub(crate) fn has_lost(&self) -> bool {
        self.found().is_none() && self.report.as_ref().is_some_and(|report| report.lost > 0)
    }

    /// The highest rate that a search found; zero if none held.
    pub(crate) fn found(&self) -> Option<f64> {
        let found = self.report.as_ref()?.steps.as_ref()?.found.as_ref()?;
        Some(found.rate.unwrap_or(0.0))
    }

    /// What a person is told as soon as it is over.
    pub(crate) fn outcome(&self) -> String {
        let (Some(report), None) = (&self.report, &self.failure) else {
            return self.failure.clone().unwrap_or_default();
        };
        if let Some(rate) = self.found() {
            return format!("holds {rate:.0} messages/s");
        }
        let p99 = report.latency_ms.delivery.p99;
        let p99 = p99.map_or_else(|| "not measured".into(), |p99| format!("{p99:.1} ms"));
        let verdict = if report.valid { "" } else { ", INVALID" };
        let collapse = self.collapse().map(|why| format!(", collapsed: {why}"));
        format!("p99 {p99}{verdict}{}", collapse.unwrap_or_default())
    }
}

fn measure(
    terms: Terms,
    load: Load,
    candidate: Candidate,
    serving: &Serving,
    left: Duration,
) -> Result<Report, String> {
    let mut arguments = arguments(terms, load, candidate);
    arguments.extend(["--addr".into(), serving.addr().to_string()]);
    arguments.extend(["--server-pid".into(), serving.pid().to_string()]);
    let most = match load {
        Load::Rate(_) => terms.duration + OVERHEAD_MAX,
        Load::FindMax => SEARCH_MAX,
    };
    process::measure(&arguments, most.min(left))
}

fn arguments(terms: Terms, load: Load, candidate: Candidate) -> Vec<String> {
    let (clients, protocol) = (terms.clients, candidate.protocol());
    let duration_ms = terms.duration.as_millis();
    let mut flags = format!("--quiet --protocol {protocol} --clients {clients}");
    if candidate.has_publishers() {
        flags += &format!(" --publishers {PUBLISHERS}");
    }
    flags += &match load {
        Load::Rate(rate) => {
            format!(" --rate {rate} --duration {duration_ms}ms --warmup 500ms --drain-timeout 8s")
        }
        Load::FindMax => format!(
            " --rate {SEARCH_FROM} --duration {}ms --warmup 300ms --drain-timeout 2s --find-max --slo {OBJECTIVE}",
            duration_ms.min(1500)
        ),
    };
    flags.split(' ').map(str::to_owned).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use benches::report::{Consumption, Found, Latencies, Percentiles, Steps};

    use super::*;

    /// A run that kept up, with this p99.
    pub(crate) fn run(repeat: u32, candidate: Candidate, load: Load, p99: f64) -> Run {
        let percentiles = Percentiles {
            p50: Some(p99 / 2.0),
            p99: Some(p99),
            p999: Some(p99 * 2.0),
        };
        let steps = (load == Load::FindMax).then_some(Steps {
            found: Some(Found { rate: Some(p99) }),
        });
        let rate_achieved = match load {
            Load::Rate(rate) => f64::from(rate),
            Load::FindMax => p99,
        };
        let report = Report {
            valid: true,
            problems: Vec::new(),
            rate_achieved,
            drain_seconds: 0.1,
            expected: 1000,
            delivered: 1000,
            lost: 0,
            backlog_at_end: 0,
            latency_ms: Latencies {
                delivery: percentiles.clone(),
                completion: percentiles,
            },
            server: Consumption {
                cpu_seconds: Some(0.008),
                rss_peak_bytes: Some(16 << 20),
            },
            steps,
        };
        Run {
            repeat,
            candidate,
            load,
            report: Some(report),
            failure: None,
        }
    }

    #[test]
    fn losing_lagging_or_sending_less_is_a_collapse() {
        let good = run(0, Candidate::Nats, Load::Rate(100), 20.0);
        assert_eq!(good.collapse(), None);
        let late = run(0, Candidate::Nats, Load::Rate(100), 1500.0);
        assert_eq!(late.collapse().unwrap(), "p99 1500 ms");
        let mut losing = good.clone();
        losing.report.as_mut().unwrap().lost = 3;
        assert_eq!(losing.collapse().unwrap(), "3 of 1000 lost");
        let mut slow = good.clone();
        slow.report.as_mut().unwrap().rate_achieved = 80.0;
        assert_eq!(slow.collapse().unwrap(), "80 of 100 messages/s");
        let mut none = good;
        (none.report, none.failure) = (None, Some("not over".into()));
        assert_eq!(none.collapse().unwrap(), "not over");
    }

    #[test]
    fn brokers_are_given_publishers_and_no_argument_is_split_wrongly() {
        let terms = Terms {
            clients: 7,
            duration: Duration::from_secs(1),
        };
        let words = arguments(terms, Load::FindMax, Candidate::Mosquitto);
        assert!(words.contains(&"mqtt".into()) && words.contains(&OBJECTIVE.into()));
        assert!(words.contains(&"--publishers".into()));
        let words = arguments(terms, Load::Rate(5), Candidate::Uringcast);
        assert!(!words.contains(&"--publishers".into()) && words.contains(&"1000ms".into()));
    }
}
