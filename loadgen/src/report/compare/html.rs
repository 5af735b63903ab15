//! The comparison as a page.

use askama::Template;
use record::figures::counted;
use record::printable;

use super::comparison::{Comparison, Line, Side};
use super::forest;
use crate::measure::latency::Kind;
use crate::report::export::pages::style;
use crate::report::export::plots::curve_chart;

#[derive(Template)]
#[template(path = "compare.html")]
struct Page<'a> {
    style: String,
    sides: [(&'static str, &'a str, String); 2],
    interval: String,
    rows: Vec<Line>,
    warnings: &'a [String],
    forest: String,
    delivery: String,
    completion: String,
}

/// The page.
pub(super) fn render<'a>(comparison: &'a Comparison) -> String {
    let side = |name, side: &'a Side| {
        let runs = counted(side.reports.len() as u64, "run");
        (name, side.name.as_str(), runs)
    };
    let page = Page {
        style: style(),
        sides: [side("A", &comparison.a), side("B", &comparison.b)],
        interval: comparison.interval_in_words(),
        rows: comparison.rows.iter().map(Line::new).collect(),
        warnings: &comparison.warnings,
        forest: forest::render(comparison),
        delivery: curves(comparison, Kind::Delivery),
        completion: curves(comparison, Kind::Completion),
    };
    printable(&page.render().expect("a string takes all that is written"))
}

fn curves(comparison: &Comparison, kind: Kind) -> String {
    let (a, b) = (&comparison.a.histograms, &comparison.b.histograms);
    curve_chart(&[("A", a.get(kind)), ("B", b.get(kind))]).embedded()
}
