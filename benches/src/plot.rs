//! The plots of a comparison: one line a candidate over the scenarios, by the medians. What no valid run
//! gives is a cross beside the lines.

use loadgen::chart::{Axis, Chart, Line};

use crate::comparison::{Comparison, Plot, Scenario};
use crate::figure::Figure;
use crate::page::candidates_of;

/// The plot as a file of its own.
pub(crate) fn svg(comparison: &Comparison, plot: &Plot) -> String {
    let sections = comparison.sections.iter();
    let sections = sections.filter(|one| plot.section.is_empty() || plot.section == one.title);
    let scenarios: Vec<&Scenario> = sections.flat_map(|section| &section.scenarios).collect();
    let candidates = candidates_of(&scenarios);
    let points = |candidate: &str, figure: &Figure, valid: bool| -> Vec<(f64, f64)> {
        let point = |scenario: &&Scenario| {
            let row = comparison.row(&scenario.name, candidate, figure)?;
            (row.is_valid == valid).then_some((scenario.x?, row.spread.median))
        };
        scenarios.iter().filter_map(point).collect()
    };
    let line = |name: &str, points| Line {
        name: lasting(name),
        points,
    };
    let of_candidate = |name: &&str| line(name, points(name, &plot.figure, true));
    let mut lines: Vec<Line> = candidates.iter().map(of_candidate).collect();
    if let (Some((figure, name)), Some(first)) = (&plot.floor, candidates.first()) {
        lines.push(line(name, points(first, figure, true)));
    }
    let invalid = candidates
        .iter()
        .flat_map(|name| points(name, &plot.figure, false));
    let invalid: Vec<(f64, f64)> = invalid.collect();
    let on_lines = lines.iter().flat_map(|line| &line.points);
    let ys: Vec<f64> = on_lines.chain(&invalid).map(|(_, y)| *y).collect();
    let xs = scenarios.iter().filter_map(|scenario| scenario.x);
    let chart = Chart {
        title: plot.title.clone(),
        x: if plot.is_linear {
            Axis::amount(xs.fold(0.0, f64::max), lasting(&plot.x_label))
        } else {
            Axis::logarithmic(xs, lasting(&plot.x_label))
        },
        y: Axis::logarithmic(ys.into_iter(), lasting(&plot.figure.unit)),
        lines,
        invalid,
        marked: true,
    };
    chart.standalone()
}

/// The chart takes names that last as long as the program; there are a handful.
fn lasting(name: &str) -> &'static str {
    name.to_owned().leak()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::{FLOOR, P99};
    use crate::study::tests::comparison;

    #[test]
    fn what_is_invalid_is_in_the_plot_and_in_no_line() {
        let mut comparison = comparison(|run| {
            run.set(&FLOOR, 20.0);
            if run.candidate == "theirs" {
                run.problems.push("the machine was busy".into());
            }
        });
        comparison.sections[0].figures.push(FLOOR);
        comparison.make_rows();
        let plot = Plot {
            file: "p99.svg".into(),
            title: "p99 by rate".into(),
            section: "load".into(),
            x_label: "messages/s".into(),
            is_linear: false,
            figure: P99,
            floor: Some((FLOOR, "F".into())),
        };
        let svg = svg(&comparison, &plot);
        assert!(svg.contains("INVALID: 50 at 10"), "{svg}");
        assert!(svg.contains("ours: 11 at 10<"), "{svg}");
        assert!(!svg.contains("theirs: 50"), "{svg}");
        assert!(svg.contains("F: 20 at 10"), "{svg}");
    }
}
