//! What else the page tells: where a peer wins, who collapsed, and how the servers were set up.

use benches::figure::LOST;
use benches::{Comparison, Remark, Table, with_unit};

use crate::candidate::{Candidate, Setting};
use crate::load::Collapses;
use crate::serving::Serving;

/// A peer is said to win from this advantage on, as a share of the server's figure.
const WIN_SHARE: f64 = 0.01;

/// A server as it was run.
#[derive(Debug, Clone)]
pub(crate) struct Contender {
    pub(crate) candidate: Candidate,
    /// `None` if it is not installed.
    version: Option<String>,
    settings: Vec<Setting>,
    /// What it said of its settings, or why it is not quoted.
    verified: Result<String, String>,
}

impl Contender {
    /// Starts it once, to see whether it runs as it is meant to.
    pub(crate) fn try_out(candidate: Candidate, clients: u32) -> Self {
        let settings = candidate.settings(clients);
        let version = candidate.version();
        let verified = match version {
            None => Err("not installed".to_owned()),
            Some(_) => Serving::start(candidate, &settings).map(|it| it.verified().to_owned()),
        };
        if let Err(why) = &verified {
            eprintln!("{} is left out: {why}", candidate.name());
        }
        Self {
            candidate,
            version,
            settings,
            verified,
        }
    }

    pub(crate) const fn is_quoted(&self) -> bool {
        self.verified.is_ok()
    }
}

pub(crate) fn remarks(
    comparison: &Comparison,
    collapses: &Collapses,
    contenders: &[Contender],
) -> Vec<Remark> {
    let remark = |title: &str, text| Remark {
        title: title.into(),
        text,
    };
    let mut remarks = vec![remark("Where a peer wins", wins(comparison))];
    if !collapses.0.is_empty() {
        let told = collapses.0.iter().map(|(candidate, rate, why)| {
            format!("- {} at {rate} messages/s: {why}\n", candidate.name())
        });
        let rule = "A candidate that collapsed in the first repeat was measured at that rate at most twice, and not at higher rates.\n\n";
        remarks.push(remark(
            "Collapsed",
            rule.to_owned() + &told.collect::<String>(),
        ));
    }
    remarks.push(remark("Servers", servers(contenders).to_string()));
    remarks
}

/// Where a peer that lost nothing does better by the medians.
fn wins(comparison: &Comparison) -> String {
    let ours = Candidate::Uringcast.name();
    let mut text = String::new();
    for section in &comparison.sections {
        let scenario = &section.scenarios[0];
        for peer in scenario.candidates.iter().filter(|name| *name != ours) {
            let mut runs = comparison.runs_of(&scenario.name, peer);
            if runs.any(|run| run.get(&LOST).is_some_and(|lost| lost > 0.0)) {
                continue;
            }
            for figure in &section.figures {
                let median = |who| {
                    comparison
                        .row(&scenario.name, who, figure)
                        .map(|row| row.spread.median)
                };
                let (Some(theirs), Some(own)) = (median(peer), median(ours)) else {
                    continue;
                };
                if figure.is_better(theirs, own) && (own - theirs).abs() > WIN_SHARE * own.abs() {
                    let [theirs, own] = [theirs, own].map(|value| with_unit(value, &figure.unit));
                    text += &format!(
                        "- {peer} at {}, {}: {theirs} against {own}\n",
                        scenario.name, figure.name
                    );
                }
            }
        }
    }
    if text.is_empty() {
        "Nowhere in what was measured.".into()
    } else {
        text
    }
}

fn servers(contenders: &[Contender]) -> Table {
    let mut table = Table::new(["server", "version", "settings", "confirmed by"]);
    for contender in contenders {
        let settings = contender
            .settings
            .iter()
            .map(|(name, value)| match value.as_str() {
                "" => format!("`{name} \"\"`"),
                value => format!("`{name} {value}`"),
            });
        let settings: Vec<_> = settings.collect();
        table.row([
            contender.candidate.name().to_owned(),
            contender.version.clone().unwrap_or_default(),
            format!("{}; {}", settings.join(", "), contender.candidate.remark()),
            match &contender.verified {
                Ok(said) => said.clone(),
                Err(why) => format!("**left out: {why}**"),
            },
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use benches::Host;
    use clap::Parser;

    use super::*;
    use crate::load::tests::run;
    use crate::{Args, study};

    #[test]
    fn wins_collapses_and_servers_are_told() {
        let mut lost = run(0, Candidate::Redis, 500, 9.0);
        lost.set(&LOST, 25.0);
        let runs = vec![
            run(0, Candidate::Uringcast, 100, 10.0),
            run(0, Candidate::Redis, 100, 8.0),
            run(0, Candidate::Uringcast, 500, 10.0),
            lost,
        ];
        let args = Args::parse_from(["peers", "--rates", "100,500", "--no-find-max"]);
        let study = study(&args, &[Candidate::Uringcast, Candidate::Redis]);
        let comparison = study.result(Host::this(), runs, Duration::ZERO, false);
        let contender = |candidate: Candidate, verified| Contender {
            candidate,
            version: Some("1.2".into()),
            settings: candidate.settings(100),
            verified,
        };
        let contenders = [
            contender(Candidate::Redis, Ok("CONFIG GET".into())),
            contender(Candidate::Nats, Err("max_pending is 1".into())),
        ];
        let collapses = Collapses(vec![(Candidate::Redis, 500, "25.0 % lost".into())]);
        let remarks = remarks(&comparison, &collapses, &contenders);
        let texts: Vec<&str> = remarks.iter().map(|remark| &*remark.text).collect();
        assert_eq!(
            texts[0],
            "- redis at 100 messages/s, delivery p99: 8.00 ms against 10.0 ms\n"
        );
        assert!(texts[1].contains("- redis at 500 messages/s: 25.0 % lost"));
        assert!(texts[2].contains("`save \"\"`"), "{}", texts[2]);
        assert!(texts[2].contains("**left out: max_pending is 1**"));
    }
}
