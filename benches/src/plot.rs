//! The plots of a comparison: one line a candidate over the scenarios, by the medians. What no valid run
//! gives is a cross beside the lines.

use loadgen::chart::{Axis, Chart, Line};

use crate::comparison::{Comparison, Plot, Scenario, Section};
use crate::figure::Figure;

/// All plots with the names of their files.
#[must_use]
pub fn all(comparison: &Comparison) -> Vec<(String, String)> {
    let plot = |plot: &Plot| (plot.file.clone(), chart(comparison, plot).standalone());
    comparison.plots.iter().map(plot).collect()
}

/// Whether `plot` belongs to `section` alone.
pub(crate) fn is_of(plot: &Plot, section: &Section) -> bool {
    plot.section == section.title
}

fn chart(comparison: &Comparison, plot: &Plot) -> Chart {
    let sections = comparison.sections.iter();
    let sections = sections.filter(|one| plot.section.is_empty() || is_of(plot, one));
    let scenarios: Vec<&Scenario> = sections.flat_map(|section| &section.scenarios).collect();
    let mut candidates: Vec<&str> = Vec::new();
    for candidate in scenarios.iter().flat_map(|scenario| &scenario.candidates) {
        if !candidates.contains(&&**candidate) {
            candidates.push(candidate);
        }
    }
    let points = |candidate: &str, figure: &Figure, valid: bool| -> Vec<(f64, f64)> {
        let point = |scenario: &&Scenario| {
            let row = comparison.row(&scenario.name, candidate, figure)?;
            let is_meant = row.is_valid == valid;
            is_meant.then_some((scenario.x?, row.spread.median))
        };
        scenarios.iter().filter_map(point).collect()
    };
    let mut lines: Vec<Line> = candidates
        .iter()
        .map(|&name| Line {
            name: lasting(name),
            points: points(name, &plot.figure, true),
        })
        .collect();
    if let (Some((figure, name)), Some(first)) = (&plot.floor, candidates.first()) {
        lines.push(Line {
            name: lasting(name),
            points: points(first, figure, true),
        });
    }
    let of = |candidate: &&str| points(candidate, &plot.figure, false);
    let invalid: Vec<(f64, f64)> = candidates.iter().flat_map(of).collect();
    let on_lines = lines.iter().flat_map(|line| &line.points);
    let all: Vec<(f64, f64)> = on_lines.chain(&invalid).copied().collect();
    let xs = scenarios.iter().filter_map(|scenario| scenario.x);
    Chart {
        title: plot.title.clone(),
        x: if plot.is_linear {
            Axis::amount(xs.fold(0.0, f64::max), lasting(&plot.x_label))
        } else {
            Axis::logarithmic(xs, lasting(&plot.x_label))
        },
        y: Axis::logarithmic(all.into_iter().map(|(_, y)| y), lasting(&plot.figure.unit)),
        lines,
        invalid,
        marked: true,
    }
}

/// The chart takes names that last as long as the program; there are a handful.
fn lasting(name: &str) -> &'static str {
    name.to_owned().leak()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::{FLOOR, P99};
    use crate::study::tests::{comparison, runs};

    #[test]
    fn what_is_invalid_is_in_the_plot_and_in_no_line() {
        let mut runs = runs();
        for run in &mut runs {
            run.set(&FLOOR, 20.0);
            if run.candidate == "theirs" {
                run.problems.push("the machine was busy".into());
            }
        }
        let mut comparison = comparison(runs);
        comparison.sections[0].figures.push(FLOOR);
        comparison.plots.push(Plot {
            file: "p99.svg".into(),
            title: "p99 by rate".into(),
            section: "Load".into(),
            x_label: "messages/s".into(),
            is_linear: false,
            figure: P99,
            floor: Some((FLOOR, "F".into())),
        });
        let plots = all(&comparison.with_rows());
        let (name, svg) = &plots[0];
        assert_eq!(name, "p99.svg");
        assert!(svg.contains("INVALID: 50 at 10"), "{svg}");
        assert!(svg.contains("ours: 11 at 10<"), "{svg}");
        assert!(!svg.contains("theirs: 50"), "{svg}");
        assert!(svg.contains("F: 20 at 10"), "{svg}");
    }
}
