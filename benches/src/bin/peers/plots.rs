//! The plots: one line a candidate over the rates, both axes logarithmic, by the medians.

use loadgen::chart::{Axis, Chart, Line};

use crate::figures::Figure;
use crate::result::Comparison;
use crate::run::Load;

/// The plots with the names of their files.
pub(crate) fn all(comparison: &Comparison) -> [(&'static str, String); 2] {
    [
        ("p99.svg", plot(comparison, Figure::P99)),
        ("rss.svg", plot(comparison, Figure::RssMib)),
    ]
}

fn plot(comparison: &Comparison, figure: Figure) -> String {
    let lines: Vec<Line> = comparison
        .contenders
        .iter()
        .map(|contender| Line {
            name: contender.candidate.name(),
            points: points(comparison, contender.candidate, figure),
        })
        .collect();
    let all = || lines.iter().flat_map(|line| line.points.iter().copied());
    let chart = Chart {
        title: format!("{} by messages a second", figure.name()),
        x: Axis::logarithmic(all().map(|(rate, _)| rate), "messages/s"),
        y: Axis::logarithmic(all().map(|(_, value)| value), unit(figure)),
        lines,
        invalid: Vec::new(),
        marked: true,
    };
    chart.standalone()
}

fn points(
    comparison: &Comparison,
    candidate: crate::candidate::Candidate,
    figure: Figure,
) -> Vec<(f64, f64)> {
    let loads = comparison.loads().into_iter();
    loads
        .filter_map(|load| match load {
            Load::Rate(rate) => {
                let spread = comparison.spread(load, candidate, figure)?;
                Some((f64::from(rate), spread.median))
            }
            Load::FindMax => None,
        })
        .collect()
}

/// Short, since the legend stands beside it.
const fn unit(figure: Figure) -> &'static str {
    match figure {
        Figure::RssMib => "MiB",
        _ => "ms",
    }
}
