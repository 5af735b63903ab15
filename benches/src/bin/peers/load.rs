//! The loads, and what came of them: who collapsed, and is not measured at higher rates.

use std::time::Duration;

use benches::figure::{
    COMPLETION_P50, COMPLETION_P99, COMPLETION_P999, CPU_PER_DELIVERY, DRAIN, HIGHEST_RATE, LOST,
    P50, P99, P999, RATE, RSS,
};
use benches::{Run, Scenario, Section};
use record::Report;

use crate::candidate::Candidate;

/// Connections that send to a broker. More of them do not send more messages.
pub(crate) const PUBLISHERS: u32 = 4;

/// What a search for the highest rate demands; its scenario is named after it.
pub(crate) const OBJECTIVE: &str = "delivery.p99<250ms,lost==0";

/// Where a search begins, in messages a second.
const SEARCH_FROM: u32 = 100;

/// Slower than this at the 99th percentile, in milliseconds, has collapsed.
const COLLAPSED_P99_MS: f64 = 1000.0;

/// Fewer messages than this share of those asked for is a collapse.
const COLLAPSED_RATE_SHARE: f64 = 0.9;

/// A candidate that collapsed is measured so often at that rate.
const RUNS_OF_COLLAPSED: u32 = 2;

/// The load of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// So many messages a second in all.
    Rate(u32),
    /// The highest rate that holds.
    FindMax,
}

/// Who collapsed at which rate in the first repeat, and how. Such a candidate is not measured at higher
/// rates, and at that rate only once more: it would take the time of all others and tell nothing new.
#[derive(Debug, Default)]
pub(crate) struct Collapses(pub(crate) Vec<(Candidate, u32, String)>);

impl Load {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Rate(rate) => format!("{rate} messages/s"),
            Self::FindMax => "p99 < 250 ms, none lost".into(),
        }
    }

    pub(crate) fn section(self, candidates: &[Candidate]) -> Section {
        let scenario = Scenario {
            name: self.name(),
            x: match self {
                Self::Rate(rate) => Some(rate.into()),
                Self::FindMax => None,
            },
            candidates: candidates.iter().map(|one| one.name().to_owned()).collect(),
        };
        let (title, about, figures) = match self {
            Self::Rate(_) => (
                self.name(),
                "Latencies count from the intended time, and are those of what arrived.".into(),
                vec![
                    P50,
                    P99,
                    P999,
                    COMPLETION_P50,
                    COMPLETION_P99,
                    COMPLETION_P999,
                    RATE,
                    LOST,
                    DRAIN,
                    CPU_PER_DELIVERY,
                    RSS,
                ],
            ),
            Self::FindMax => (
                "Highest rate".into(),
                format!("The highest rate that keeps `{OBJECTIVE}`, found by a search."),
                vec![HIGHEST_RATE],
            ),
        };
        Section {
            title,
            about,
            figures,
            scenarios: vec![scenario],
        }
    }

    /// What the load generator is told.
    pub(crate) fn arguments(
        self,
        candidate: Candidate,
        clients: u32,
        duration: Duration,
    ) -> Vec<String> {
        let duration_ms = duration.as_millis();
        let publishers = if candidate.has_publishers() {
            format!(" --publishers {PUBLISHERS}")
        } else {
            String::new()
        };
        let protocol = candidate.protocol();
        let common = format!("--quiet --protocol {protocol} --clients {clients}{publishers}");
        let flags = match self {
            Self::Rate(rate) => format!(
                "{common} --rate {rate} --duration {duration_ms}ms --warmup 500ms --drain-timeout 8s"
            ),
            Self::FindMax => format!(
                "{common} --rate {SEARCH_FROM} --duration {}ms --warmup 300ms --drain-timeout 2s --find-max --slo {OBJECTIVE}",
                duration_ms.min(1500)
            ),
        };
        flags.split(' ').map(str::to_owned).collect()
    }

    /// Takes the figures of a report. What is INVALID is no measure: of the server never, of a peer only
    /// where it has collapsed, since then that is what was measured. Nor is a peer that lost anything.
    pub(crate) fn take_report(self, candidate: Candidate, report: &Report, run: &mut Run) {
        let found = report.steps.as_ref().and_then(|steps| steps.found.as_ref());
        if let (Self::FindMax, Some(found)) = (self, found) {
            // A search ends with a step that breaks what it demands.
            run.set(&HIGHEST_RATE, found.rate.unwrap_or(0.0));
            return;
        }
        run.take_report(report);
        let has_lost = report.lost > 0;
        let has_collapsed = self.collapse(run).is_some();
        run.counts = Some(match candidate {
            Candidate::Uringcast => run.is_valid(),
            _ => !has_lost && (run.is_valid() || has_collapsed),
        });
    }

    /// Why it makes no sense to ask more of the candidate; `None` if it kept up.
    fn collapse(self, run: &Run) -> Option<String> {
        let Self::Rate(rate) = self else {
            return None;
        };
        if run.failure.is_some() {
            return run.failure.clone();
        }
        let achieved = run.get(&RATE).unwrap_or_default();
        match (run.get(&LOST), run.get(&P99)) {
            (Some(lost), _) if lost > 0.0 => Some(format!("{lost:.1} % lost")),
            _ if achieved < COLLAPSED_RATE_SHARE * f64::from(rate) => {
                Some(format!("{achieved:.0} of {rate} messages/s"))
            }
            (_, None) => Some("no delivery".into()),
            (_, Some(p99)) if p99 > COLLAPSED_P99_MS => Some(format!("p99 {p99:.0} ms")),
            _ => None,
        }
    }
}

impl Collapses {
    /// Takes notice of what came of a run.
    pub(crate) fn note(&mut self, load: Load, candidate: Candidate, run: &Run) {
        if let (Load::Rate(rate), Some(why), 0) = (load, load.collapse(run), run.repeat)
            && self.of(candidate).is_none()
        {
            self.0.push((candidate, rate, why));
        }
    }

    /// Whether a run is to be made.
    pub(crate) fn is_due(&self, repeat: u32, load: Load, candidate: Candidate) -> bool {
        match (load, self.of(candidate)) {
            (Load::FindMax, _) | (_, None) => true,
            (Load::Rate(rate), Some(at)) if rate == at => repeat < RUNS_OF_COLLAPSED,
            (Load::Rate(rate), Some(at)) => rate < at,
        }
    }

    fn of(&self, candidate: Candidate) -> Option<u32> {
        let mut all = self.0.iter();
        all.find_map(|(who, rate, _)| (*who == candidate).then_some(*rate))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use Candidate::{Mosquitto, Nats, Redis, Uringcast};

    /// A run that kept up with `rate`, with this p99.
    pub(crate) fn run(repeat: u32, candidate: Candidate, rate: u32, p99: f64) -> Run {
        let mut run = Run::new(repeat, &Load::Rate(rate).name(), candidate.name());
        run.set(&RATE, f64::from(rate));
        run.set(&LOST, 0.0);
        run.set(&P99, p99);
        run
    }

    #[test]
    fn losing_lagging_or_sending_less_is_a_collapse() {
        let why = |spoil: &dyn Fn(&mut Run)| {
            let mut run = run(0, Nats, 100, 20.0);
            spoil(&mut run);
            Load::Rate(100).collapse(&run)
        };
        assert_eq!(why(&|_| {}), None);
        assert_eq!(why(&|run| run.set(&P99, 1500.0)).unwrap(), "p99 1500 ms");
        assert_eq!(why(&|run| run.set(&LOST, 0.3)).unwrap(), "0.3 % lost");
        assert_eq!(
            why(&|run| run.set(&RATE, 80.0)).unwrap(),
            "80 of 100 messages/s"
        );
        assert_eq!(why(&|run| run.unset(&P99)).unwrap(), "no delivery");
        assert_eq!(
            why(&|run| run.failure = Some("not over".into())).unwrap(),
            "not over"
        );
    }

    #[test]
    fn a_collapse_in_the_first_repeat_spares_the_rest() {
        let mut collapses = Collapses::default();
        collapses.note(Load::Rate(100), Redis, &run(0, Redis, 100, 20.0));
        collapses.note(Load::Rate(500), Redis, &run(0, Redis, 500, 4000.0));
        collapses.note(Load::Rate(500), Nats, &run(1, Nats, 500, 4000.0));
        let due = |repeat, rate| collapses.is_due(repeat, Load::Rate(rate), Redis);
        assert!(!due(0, 1000) && !due(4, 1000));
        assert!(due(1, 500) && !due(2, 500));
        assert!(due(4, 100));
        assert!(collapses.is_due(0, Load::FindMax, Redis));
        assert!(
            collapses.is_due(2, Load::Rate(1000), Nats),
            "in a later repeat"
        );
        assert_eq!(collapses.0[0].2, "p99 4000 ms");
    }

    /// The report of a run that is invalid and lost nothing, with this p99.
    fn report(p99: f64, lost: u64) -> Report {
        let json = include_str!("../../../../loadgen/tests/data/run.json");
        let mut report: Report = serde_json::from_str(json).unwrap();
        report.problems = vec!["the machine was busy".into()];
        (report.valid, report.lost) = (false, lost);
        report.rate_achieved = 100.0;
        report.latency_ms.delivery.p99 = Some(p99);
        report
    }

    #[test]
    fn what_is_invalid_is_no_measure_unless_a_peer_collapsed_and_lost_nothing() {
        let counts = |candidate: Candidate, report: &Report| {
            let mut run = Run::new(0, "load", candidate.name());
            Load::Rate(100).take_report(candidate, report, &mut run);
            run.counts()
        };
        assert!(!counts(Redis, &report(400.0, 0)));
        assert!(counts(Redis, &report(1500.0, 0)));
        assert!(!counts(Redis, &report(1500.0, 1)));
        assert!(!counts(Uringcast, &report(1500.0, 0)));
    }

    #[test]
    fn brokers_are_given_publishers_and_no_argument_is_split_wrongly() {
        let second = Duration::from_secs(1);
        let words = Load::FindMax.arguments(Mosquitto, 7, second);
        assert!(words.contains(&"mqtt".into()) && words.contains(&OBJECTIVE.into()));
        assert!(words.contains(&"--publishers".into()));
        let words = Load::Rate(5).arguments(Uringcast, 7, second);
        assert!(!words.contains(&"--publishers".into()) && words.contains(&"1000ms".into()));
    }
}
