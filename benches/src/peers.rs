//! What is told of other servers: how each is set up, and where one does better than ours.

use crate::args::Args;
use crate::comparison::Comparison;
use crate::declared::{Candidate, Declared};
use crate::figure::LOST;
use crate::run::with_unit;
use crate::serving::Serving;
use crate::table::Table;

/// A peer is said to win from this advantage on, as a share of the server's figure.
const WIN_SHARE: f64 = 0.01;

/// Where candidates are other servers: starts each once, leaves out those that do not run as they are meant
/// to, and says how each is set up.
pub(crate) fn try_out(declared: &mut Declared, args: &Args) -> Option<Table> {
    if declared.candidates.iter().all(|one| one.program.is_none()) {
        return None;
    }
    let clients = args.clients.unwrap_or(declared.clients);
    let mut table = Table::new(["server", "version", "settings", "confirmed by"]);
    declared.candidates.retain(|candidate| {
        let is_wanted = args.candidates.is_empty() || args.candidates.contains(&candidate.name);
        is_wanted && is_measured(candidate, clients, &mut table)
    });
    Some(table)
}

/// Whether a candidate can be measured; adds it to the table of servers.
fn is_measured(candidate: &Candidate, clients: u32, table: &mut Table) -> bool {
    let version = candidate.version();
    let serving = match version {
        Some(_) => Serving::start(candidate, clients).map(|serving| serving.verified),
        None => Err("not installed".into()),
    };
    let is_measured = serving.is_ok();
    let settings = candidate.settings(clients);
    let settings: Vec<String> = settings.iter().map(|it| format!("`{it}`")).collect();
    table.row([
        candidate.name.clone(),
        version.unwrap_or_default(),
        format!("{}; {}", settings.join(", "), candidate.remark),
        serving.unwrap_or_else(|why| format!("**left out: {why}**")),
    ]);
    is_measured
}

/// Where a peer that lost nothing does better than the first candidate by the medians.
pub(crate) fn wins(comparison: &Comparison) -> String {
    let mut text = String::new();
    for (scenario, peer, figure) in comparison.told() {
        let ours = comparison.row(&scenario.name, &scenario.candidates[0], figure);
        let theirs = comparison.row(&scenario.name, peer, figure);
        let (Some(ours), Some(theirs)) = (ours, theirs) else {
            continue;
        };
        let runs = comparison.runs_of(&scenario.name, peer);
        let has_lost = runs
            .iter()
            .any(|run| run.get(&LOST).is_some_and(|lost| lost > 0.0));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::P99;
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
}
