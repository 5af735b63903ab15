//! The forest plot of a comparison: for each figure the change from A to B and its interval, around
//! the line of no change.

use std::fmt::{self, Write};

use super::comparison::{Comparison, Row, change};
use super::shift::Shift;

const WIDTH: f64 = 470.0;
const ROW: f64 = 34.0;
const MARGIN: f64 = 16.0;
const BELOW: f64 = 26.0;

/// Changes beyond this, in percent, are drawn at the edge.
const CHANGE_MAX: f64 = 400.0;

/// The plot as SVG.
pub(super) fn render(comparison: &Comparison) -> String {
    let rows: Vec<(&Row, Shift)> = comparison
        .rows
        .iter()
        .filter_map(|row| Some((row, row.shift?)))
        .collect();
    let mut svg = String::new();
    write(&mut svg, &rows).expect("a string takes all that is written");
    svg
}

fn write(out: &mut String, rows: &[(&Row, Shift)]) -> fmt::Result {
    let plot_height = rows.len() as f64 * ROW;
    let reach = rows
        .iter()
        .flat_map(|(_, shift)| bounds(shift))
        .map(|ratio| percent(ratio).abs())
        .fold(5.0, f64::max);
    let x_of = |ratio: f64| {
        let share = percent(ratio).clamp(-reach, reach) / reach;
        WIDTH / 2.0 + share * (WIDTH / 2.0 - MARGIN)
    };
    writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" viewBox="0 0 {WIDTH} {:.0}" aria-label="changes from A to B">"#,
        plot_height + BELOW
    )?;
    writeln!(
        out,
        r#"<rect class="paper" width="{WIDTH}" height="{:.0}"/><path class="axis" d="M{:.1} 0V{plot_height}"/>"#,
        plot_height + BELOW,
        WIDTH / 2.0
    )?;
    for (at, (row, shift)) in rows.iter().enumerate() {
        let top = at as f64 * ROW;
        let y = top + 24.0;
        let [low, high] = bounds(shift).map(x_of);
        writeln!(
            out,
            r#"<text class="label" x="6" y="{:.1}">{}</text><path class="line line-0" d="M{low:.1} {y}H{high:.1}"/><circle class="mark mark-0" cx="{:.1}" cy="{y}" r="4"><title>{}: {}</title></circle>"#,
            top + 13.0,
            row.figure.name,
            x_of(shift.ratio),
            row.figure.name,
            change(shift.ratio)
        )?;
    }
    for (share, anchor) in [(-1.0, "start"), (0.0, "middle"), (1.0, "end")] {
        writeln!(
            out,
            r#"<text class="tick" x="{:.1}" y="{:.1}" text-anchor="{anchor}">{:+.0} %</text>"#,
            WIDTH / 2.0 + share * (WIDTH / 2.0 - MARGIN),
            plot_height + 18.0,
            share * reach
        )?;
    }
    writeln!(out, "</svg>")
}

/// Both ends of the interval, or the estimate alone.
fn bounds(shift: &Shift) -> [f64; 2] {
    let interval = shift.interval;
    interval.map_or([shift.ratio; 2], |interval| [interval.low, interval.high])
}

fn percent(ratio: f64) -> f64 {
    ((ratio - 1.0) * 100.0).min(CHANGE_MAX)
}
