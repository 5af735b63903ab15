//! Other servers: how each is set up, when one has collapsed, and where one does better than ours.

use std::collections::BTreeMap;

use crate::args::Args;
use crate::cases::Case;
use crate::comparison::Comparison;
use crate::declared::{Candidate, Declared, Section, Vary};
use crate::figure::{LOST, P99, RATE};
use crate::page::Table;
use crate::run::{Run, with_unit};
use crate::serving::Serving;

/// A peer is said to win from this advantage on, as a share of the server's figure.
const WIN_SHARE: f64 = 0.01;

/// Where candidates are other servers: starts each once, leaves out those that do not run as they are meant
/// to, and says how each is set up.
pub(crate) fn try_out(declared: &mut Declared, args: &Args) -> Option<Table> {
    let clients = args.clients.unwrap_or(declared.clients);
    let all = declared.clone();
    let chosen = |section: &Section| all.is_chosen(section, args);
    let is_shared = |section: &Section| section.candidates.is_none() && chosen(section);
    let shared = all.sections.iter().any(is_shared);
    let sections = declared.sections.iter_mut().filter(|it| chosen(it));
    let own = sections.filter_map(|section| section.candidates.as_mut());
    let mut lists: Vec<_> = own
        .chain(shared.then_some(&mut declared.candidates))
        .collect();
    lists.retain(|list| list.iter().any(|one| one.program.is_some()));
    let mut table = Table::new(["server", "version", "settings", "confirmed by"]);
    for list in &mut lists {
        list.retain(|one| is_measured(one, clients, &mut table));
    }
    (!lists.is_empty()).then_some(table)
}

/// Whether a candidate can be measured; adds it to the table of servers.
fn is_measured(candidate: &Candidate, clients: u32, table: &mut Table) -> bool {
    let version = candidate.version();
    let serving = version.as_ref().map(|_| Serving::start(candidate, clients));
    let is_measured = matches!(serving, Some(Ok(_)));
    table.row([
        candidate.name.clone(),
        version.unwrap_or_default(),
        format!("{}; {}", candidate.settings(clients), candidate.remark),
        match serving {
            None => "**left out: not installed**".into(),
            Some(Err(why)) => format!("**left out: {why}**"),
            Some(Ok(serving)) => serving.verified,
        },
    ]);
    is_measured
}

/// Where a peer that lost nothing does better than the first candidate by the medians.
pub(crate) fn wins(comparison: &Comparison) -> String {
    let mut text = String::new();
    for (scenario, peer, figure) in comparison.told() {
        let ours = comparison.row(scenario, &scenario.candidates[0], figure);
        let theirs = comparison.row(scenario, peer, figure);
        let (Some(ours), Some(theirs)) = (ours, theirs) else {
            continue;
        };
        let lost = comparison.row(scenario, peer, &LOST);
        let has_lost = lost.is_some_and(|lost| lost.spread.max > 0.0);
        let (theirs, ours) = (theirs.spread.median, ours.spread.median);
        let advantage = (ours - theirs).abs() / ours.abs();
        if figure.is_better(theirs, ours) && advantage > WIN_SHARE && !has_lost {
            let [theirs, ours] = [theirs, ours].map(|value| with_unit(value, &figure.unit));
            let (load, figure) = (&scenario.name, &figure.name);
            text += &format!("- {peer} at {load}, {figure}: {theirs} against {ours}\n");
        }
    }
    if text.is_empty() {
        return "Nowhere in what was measured.".into();
    }
    text
}

/// Slower than this at the 99th percentile, in milliseconds, has collapsed.
const P99_MS_MAX: f64 = 1000.0;

/// Fewer messages than this share of those asked for is a collapse.
const RATE_SHARE_MIN: f64 = 0.9;

/// A candidate that collapsed is measured so often at that rate.
const RUNS_OF_COLLAPSED: u32 = 2;

/// Who collapsed at which rate, and how. A candidate that lost deliveries, lagged or sent less in the first
/// repeat is not measured at higher rates, and at that rate only once more: it would take the time of all
/// others and tell nothing new.
#[derive(Debug, Default)]
pub(crate) struct Collapses(BTreeMap<String, (u32, String)>);

/// Why it makes no sense to ask more of the candidate; `None` if it kept up.
pub(crate) fn collapse(case: &Case, run: &Run) -> Option<String> {
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
        if let (Some(rate), Some(why), 0) = (rate(case), collapse(case, run), repeat) {
            let name = case.candidate.name.clone();
            self.0.entry(name).or_insert((rate, why));
        }
    }

    /// Whether a run is to be made.
    pub(crate) fn is_due(&self, repeat: u32, case: &Case) -> bool {
        let at = self.0.get(&case.candidate.name);
        let at = at.map_or(u32::MAX, |(at, _)| *at);
        let is_due = |rate| rate < at || rate == at && repeat < RUNS_OF_COLLAPSED;
        rate(case).is_none_or(is_due)
    }

    pub(crate) fn in_words(&self) -> String {
        let line = |(name, (rate, why)): (&String, &(u32, String))| {
            format!("- {name} at {rate} messages/s: {why}\n")
        };
        self.0.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::tests::cases;
    use crate::study::tests::comparison;

    #[test]
    fn a_peer_that_lost_nothing_and_does_better_wins() {
        let text = |lost: f64, p99: f64| {
            wins(&comparison(|run| {
                run.set(&LOST, lost);
                if run.candidate == "theirs" {
                    run.set(&P99, p99);
                }
            }))
        };
        let win = "- theirs at load, delivery p99: 8.00 ms against 11.0 ms\n";
        assert_eq!(text(0.0, 8.0), win);
        for none in [text(0.0, 11.0), text(25.0, 8.0)] {
            assert_eq!(none, "Nowhere in what was measured.");
        }
    }

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
            collapse(&case, &run).unwrap_or_default()
        };
        assert_eq!(why(&|_| {}), "");
        assert_eq!(why(&|run| run.set(&P99, 1500.0)), "p99 1500 ms");
        assert_eq!(why(&|run| run.set(&LOST, 0.3)), "0.3 % lost");
        assert_eq!(why(&|run| run.set(&RATE, 80.0)), "80 of 100 messages/s");
        assert_eq!(why(&|run| run.unset(&P99)), "no delivery");
        let failed = why(&|run| run.failure = Some("not over".into()));
        assert_eq!(failed, "not over");
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
        assert_eq!(text, "- redis at 500 messages/s: p99 4000 ms\n");
    }
}
