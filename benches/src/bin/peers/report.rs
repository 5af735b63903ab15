//! report.md: the comparison for a person, on a code host.

use std::fmt::Write;

use benches::digits;

use crate::candidate::Candidate;
use crate::figures::Figure;
use crate::ratios::Judged;
use crate::result::Comparison;
use crate::run::{Load, OBJECTIVE, PUBLISHERS, Run};

/// The whole text.
pub(crate) fn render(comparison: &Comparison) -> String {
    let mut text = String::new();
    write(&mut text, comparison).expect("a string takes all that is written");
    text
}

fn write(out: &mut String, comparison: &Comparison) -> std::fmt::Result {
    let host = &comparison.host;
    writeln!(out, "# The server and its peers\n")?;
    writeln!(
        out,
        "{} clients, {} repeats of {} s each, every run on a fresh server, the candidates one after the other in an order that rotates. Brokers are sent to by {PUBLISHERS} publishers beside the clients; clients of uringcast send themselves. Server and load generator share this machine: {} x {}, Linux {}, load average before {:.1}. It took {:.0} s.\n",
        comparison.clients,
        comparison.repeats,
        comparison.duration_seconds,
        host.cpus,
        host.cpu,
        host.kernel,
        host.load_average,
        comparison.took_seconds
    )?;
    writeln!(
        out,
        "Repeat it: `cargo run --release -p benches --bin peers -- {}`\n",
        comparison.command
    )?;
    if comparison.was_cut {
        writeln!(
            out,
            "**The time was over before all was measured**: figures are of fewer repeats than asked for.\n"
        )?;
    }
    bounds(out, &comparison.bounds)?;
    wins(out, comparison)?;
    for load in comparison.loads() {
        figures(out, comparison, load)?;
    }
    writeln!(
        out,
        "![delivery p99 by rate](p99.svg)\n\n![RSS by rate](rss.svg)\n"
    )?;
    collapses(out, comparison)?;
    problems(out, &comparison.runs)?;
    contenders(out, comparison)
}

fn bounds(out: &mut String, bounds: &[Judged]) -> std::fmt::Result {
    writeln!(
        out,
        "## Ratios\n\nuringcast by the best peer in the same repeat; the median over the repeats decides. A peer that lost deliveries is no measure. The bounds are meant for 5000 clients.\n\n| ratio | min | median | max | has to be | |\n|---|--:|--:|--:|--:|---|"
    )?;
    for bound in bounds {
        let figures = match bound.measured {
            Some(ratio) => format!(
                "{} | {} | {}",
                digits(ratio.min),
                digits(ratio.median),
                digits(ratio.max)
            ),
            None => "not measured | | ".into(),
        };
        let verdict = if bound.is_met { "met" } else { "**MISSED**" };
        writeln!(
            out,
            "| {} | {figures} | {} | {verdict} |",
            bound.name, bound.demand
        )?;
    }
    writeln!(out)
}

/// Where a peer does better by the medians.
fn wins(out: &mut String, comparison: &Comparison) -> std::fmt::Result {
    writeln!(
        out,
        "## Where a peer wins\n\nOf those that lost nothing there.\n"
    )?;
    for win in &comparison.wins {
        let (name, which) = (win.candidate.name(), win.figure.name());
        writeln!(
            out,
            "- {name}, {}: {which} {} against {}",
            name_of(win.load),
            digits(win.peer),
            digits(win.own)
        )?;
    }
    if comparison.wins.is_empty() {
        writeln!(out, "Nowhere in what was measured.")?;
    }
    writeln!(out)
}

fn figures(out: &mut String, comparison: &Comparison, load: Load) -> std::fmt::Result {
    writeln!(out, "## {}\n", name_of(load))?;
    let columns: &[Figure] = match load {
        Load::Rate(_) => &Figure::OF_RATES,
        Load::FindMax => &[Figure::Highest],
    };
    let who: Vec<_> = comparison
        .contenders
        .iter()
        .map(|contender| contender.candidate)
        .filter(|candidate| runs_of(&comparison.runs, load, *candidate).next().is_some())
        .collect();
    write!(out, "| median (min to max) |")?;
    who.iter()
        .try_for_each(|candidate| write!(out, " {} |", candidate.name()))?;
    writeln!(out, "\n|---|{}", "--:|".repeat(who.len()))?;
    for &column in columns {
        write!(out, "| {} |", column.name())?;
        for &candidate in &who {
            match comparison.spread(load, candidate, column) {
                Some(spread) => write!(
                    out,
                    " {} ({} to {}) |",
                    digits(spread.median),
                    digits(spread.min),
                    digits(spread.max)
                )?,
                None => write!(out, " - |")?,
            }
        }
        writeln!(out)?;
    }
    write!(out, "| verdict |")?;
    for &candidate in &who {
        let runs: Vec<_> = runs_of(&comparison.runs, load, candidate).collect();
        let valid = runs.iter().filter(|run| run.is_valid()).count();
        write!(out, " {valid} of {} valid |", runs.len())?;
    }
    writeln!(out, "\n")
}

fn runs_of(runs: &[Run], load: Load, candidate: Candidate) -> impl Iterator<Item = &Run> {
    runs.iter()
        .filter(move |run| (run.load, run.candidate) == (load, candidate))
}

fn collapses(out: &mut String, comparison: &Comparison) -> std::fmt::Result {
    if comparison.collapses.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "## Collapsed\n\nAt the rate where a candidate collapsed in the first repeat it was measured at most twice, and at higher rates not at all.\n"
    )?;
    for collapse in &comparison.collapses {
        let name = collapse.candidate.name();
        writeln!(
            out,
            "- {name} at {} messages/s: {}",
            collapse.rate, collapse.why
        )?;
    }
    writeln!(out)
}

fn problems(out: &mut String, runs: &[Run]) -> std::fmt::Result {
    let mut lines = Vec::new();
    for run in runs {
        let which = format!(
            "{}, {}, repeat {}",
            run.candidate.name(),
            name_of(run.load),
            run.repeat + 1
        );
        if let Some(failure) = &run.failure {
            lines.push(format!("- {which}: not measured: {failure}"));
        } else if let (Some(report), false) = (&run.report, run.is_valid()) {
            let reasons = report.problems.join("; ");
            lines.push(format!("- {which}: INVALID: {reasons}"));
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "## Verdicts\n\n{}\n", lines.join("\n"))
}

fn contenders(out: &mut String, comparison: &Comparison) -> std::fmt::Result {
    writeln!(
        out,
        "## Servers\n\n| server | version | settings | in its own words |\n|---|---|---|---|"
    )?;
    for contender in &comparison.contenders {
        let settings: Vec<_> = contender
            .settings
            .iter()
            .map(|(name, value)| match value.as_str() {
                "" => format!("`{name} \"\"`"),
                value => format!("`{name} {value}`"),
            })
            .collect();
        let verified = match &contender.verified {
            Ok(said) => said.clone(),
            Err(why) => format!("**not quoted: {why}**"),
        };
        writeln!(
            out,
            "| {} | {} | {}; {} | {verified} |",
            contender.candidate.name(),
            contender.version,
            settings.join(", "),
            contender.candidate.remark()
        )?;
    }
    for candidate in &comparison.missing {
        writeln!(
            out,
            "| {} | not installed | | not compared |",
            candidate.name()
        )?;
    }
    Ok(())
}

fn name_of(load: Load) -> String {
    match load {
        Load::Rate(rate) => format!("{rate} messages/s"),
        Load::FindMax => format!("highest rate with {OBJECTIVE}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use benches::Host;

    use super::*;
    use crate::course::Course;
    use crate::result::{Circumstances, Contender};
    use crate::run::{Terms, tests::run};

    fn comparison() -> Comparison {
        let (at, high) = (Load::Rate(100), Load::Rate(500));
        let mut lost = run(0, Candidate::Redis, high, 900.0);
        let report = lost.report.as_mut().unwrap();
        (report.lost, report.valid) = (250, false);
        report.problems.push("250 deliveries lost".into());
        let runs = vec![
            run(0, Candidate::Uringcast, at, 10.0),
            run(0, Candidate::Redis, at, 8.0),
            run(0, Candidate::Uringcast, high, 10.0),
            lost,
        ];
        let mut course = Course::default();
        runs.iter().for_each(|run| course.note(run));
        let contender = |candidate: Candidate, verified| Contender {
            candidate,
            version: "1.2".into(),
            settings: candidate.settings(100),
            verified,
        };
        let circumstances = Circumstances {
            host: Host::this(),
            terms: Terms {
                clients: 100,
                duration: Duration::from_secs(1),
            },
            repeats: 1,
            took: Duration::from_secs(9),
            was_cut: false,
            contenders: vec![
                contender(Candidate::Uringcast, Ok("driver uring".into())),
                contender(Candidate::Redis, Ok("CONFIG GET".into())),
                contender(Candidate::Nats, Err("max_pending is 1".into())),
            ],
            missing: vec![Candidate::Mosquitto],
            collapses: course.into_collapses(),
            loads: vec![at, high],
        };
        Comparison::new(circumstances, runs)
    }

    #[test]
    fn bounds_wins_collapses_and_verdicts_are_told() {
        let text = render(&comparison());
        for part in [
            "| delivery p99, ms at 100 messages/s | 1.25 | 1.25 | 1.25 | <= 0.6 | **MISSED** |",
            "- redis, 100 messages/s: delivery p99, ms 8.00 against 10.0",
            "- redis at 500 messages/s: 250 of 1000 lost",
            "- redis, 500 messages/s, repeat 1: INVALID: 250 deliveries lost",
            "`save \"\"`",
            "**not quoted: max_pending is 1**",
            "| mosquitto | not installed |",
            "1 of 1 valid | 0 of 1 valid |",
        ] {
            assert!(text.contains(part), "{part}\n---\n{text}");
        }
        assert!(!text.contains("- redis, 500 messages/s: delivery p99"));
        assert!(!text.contains("time was over"));
    }
}
