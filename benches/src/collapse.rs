//! Collapses: a candidate that lost deliveries, lagged or sent less in the first repeat is not measured at
//! higher rates, and at that rate only once more. It would take the time of all others and tell nothing new.

use crate::cases::Case;
use crate::declared::Vary;
use crate::figure::{LOST, P99, RATE};
use crate::run::Run;

/// Slower than this at the 99th percentile, in milliseconds, has collapsed.
const P99_MS_MAX: f64 = 1000.0;

/// Fewer messages than this share of those asked for is a collapse.
const RATE_SHARE_MIN: f64 = 0.9;

/// A candidate that collapsed is measured so often at that rate.
const RUNS_OF_COLLAPSED: u32 = 2;

/// Who collapsed at which rate, and how.
#[derive(Debug, Default)]
pub(crate) struct Collapses(Vec<(String, u32, String)>);

/// Why it makes no sense to ask more of the candidate; `None` if it kept up.
pub(crate) fn of(case: &Case, run: &Run) -> Option<String> {
    let rate = rate(case)?;
    let achieved = run.get(&RATE).unwrap_or_default();
    let lost = run.get(&LOST).unwrap_or_default();
    match run.get(&P99) {
        _ if run.failure.is_some() => run.failure.clone(),
        _ if lost > 0.0 => Some(format!("{lost:.1} % lost")),
        _ if achieved < RATE_SHARE_MIN * f64::from(rate) => {
            Some(format!("{achieved:.0} of {rate} messages/s"))
        }
        None => Some("no delivery".into()),
        Some(p99) => (p99 > P99_MS_MAX).then(|| format!("p99 {p99:.0} ms")),
    }
}

/// The rate, where rates are compared.
fn rate(case: &Case) -> Option<u32> {
    (case.section.vary == Some(Vary::Rate)).then_some(case.load.rate)
}

impl Collapses {
    /// Takes notice of what came of a run.
    pub(crate) fn note(&mut self, repeat: u32, case: &Case, run: &Run) {
        let name = &case.candidate.name;
        if let (Some(rate), Some(why), 0, None) = (rate(case), of(case, run), repeat, self.at(name))
        {
            self.0.push((name.clone(), rate, why));
        }
    }

    /// Whether a run is to be made.
    pub(crate) fn is_due(&self, repeat: u32, case: &Case) -> bool {
        match (rate(case), self.at(&case.candidate.name)) {
            (None, _) | (_, None) => true,
            (Some(rate), Some(at)) if rate == at => repeat < RUNS_OF_COLLAPSED,
            (Some(rate), Some(at)) => rate < at,
        }
    }

    fn at(&self, candidate: &str) -> Option<u32> {
        let collapsed = self.0.iter().find(|(name, ..)| name == candidate);
        collapsed.map(|(_, rate, _)| *rate)
    }

    pub(crate) fn in_words(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let told = self
            .0
            .iter()
            .map(|(name, rate, why)| format!("- {name} at {rate} messages/s: {why}\n"));
        let rule = "A candidate that collapsed in the first repeat was measured at that rate at most twice, and not at higher rates.\n\n";
        rule.to_owned() + &told.collect::<String>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::tests::cases;

    /// The case of a candidate at a rate, and a run of it that kept up.
    fn kept_up(candidate: &str, rate: u32) -> (Case, Run) {
        let flags = format!("--scenarios rates --rates {rate} --candidates {candidate}");
        let case = cases("peers", &flags).remove(0);
        let mut run = Run::default();
        for (figure, value) in [(RATE, f64::from(rate)), (LOST, 0.0), (P99, 20.0)] {
            run.set(&figure, value);
        }
        (case, run)
    }

    #[test]
    fn losing_lagging_or_sending_less_is_a_collapse() {
        let why = |spoil: &dyn Fn(&mut Run)| {
            let (case, mut run) = kept_up("nats", 100);
            spoil(&mut run);
            of(&case, &run).unwrap_or_default()
        };
        assert_eq!(why(&|_| {}), "");
        assert_eq!(why(&|run| run.set(&P99, 1500.0)), "p99 1500 ms");
        assert_eq!(why(&|run| run.set(&LOST, 0.3)), "0.3 % lost");
        assert_eq!(why(&|run| run.set(&RATE, 80.0)), "80 of 100 messages/s");
        assert_eq!(why(&|run| run.unset(&P99)), "no delivery");
        assert_eq!(
            why(&|run| run.failure = Some("not over".into())),
            "not over"
        );
    }

    #[test]
    fn a_collapse_in_the_first_repeat_spares_the_rest() {
        let mut collapses = Collapses::default();
        for (repeat, candidate, rate, p99) in [
            (0, "redis", 100, 20.0),
            (0, "redis", 500, 4000.0),
            (1, "nats", 500, 4000.0),
        ] {
            let (case, mut run) = kept_up(candidate, rate);
            run.set(&P99, p99);
            collapses.note(repeat, &case, &run);
        }
        let due = |repeat, name, rate| collapses.is_due(repeat, &kept_up(name, rate).0);
        assert!(!due(0, "redis", 1000) && !due(4, "redis", 1000));
        assert!(due(1, "redis", 500) && !due(2, "redis", 500));
        assert!(due(4, "redis", 100));
        assert!(due(2, "nats", 1000), "in a later repeat");
        let search = cases("peers", "--scenarios highest --candidates redis").remove(0);
        assert!(collapses.is_due(0, &search));
        let text = collapses.in_words();
        assert!(
            text.contains("- redis at 500 messages/s: p99 4000 ms"),
            "{text}"
        );
    }
}
