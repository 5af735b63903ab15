//! The plots: two of each curve, the p99 beside F and the CPU time per delivery beside the floor's per
//! send. A point without a valid run is a cross beside the lines.

use benches::Spread;
use loadgen::chart::{Axis, Chart, Line};

use crate::curve::Curve;
use crate::result::{Row, Scaling};

/// A figure and its floor, as one plot shows them.
struct Kind {
    /// The end of the file's name.
    name: &'static str,
    title: &'static str,
    unit: &'static str,
    figure: fn(&Row) -> Option<Spread>,
    floor: fn(&Row) -> Option<Spread>,
    /// What the floor's line is called.
    floor_name: &'static str,
}

const KINDS: [Kind; 2] = [
    Kind {
        name: "p99",
        title: "delivery p99, and F",
        unit: "ms",
        figure: |row| row.p99_ms,
        floor: |row| row.floor_ms,
        floor_name: "F",
    },
    Kind {
        name: "cpu",
        title: "CPU per delivery, and the floor's per send",
        unit: "us",
        figure: |row| row.cpu_us_per_delivery,
        floor: |row| row.floor_cpu_us_per_send,
        floor_name: "bare send",
    },
];

/// All plots with the names of their files.
pub(crate) fn all(scaling: &Scaling) -> Vec<(String, String)> {
    let mut plots = Vec::new();
    for curve in scaling.curves() {
        let rows: Vec<&Row> = scaling.rows_of(curve).collect();
        for kind in &KINDS {
            let name = format!("{}-{}.svg", curve.name(), kind.name);
            plots.push((name, chart(curve, kind, &rows).standalone()));
        }
    }
    plots
}

fn chart(curve: Curve, kind: &Kind, rows: &[&Row]) -> Chart {
    let place = |row: &Row, of: fn(&Row) -> Option<Spread>| Some((row.x, of(row)?.median));
    let mut lines: Vec<Line> = Vec::new();
    for row in rows {
        if lines.iter().all(|line| line.name != row.line) {
            let rows = rows.iter().filter(|other| other.line == row.line);
            let valid = rows.filter(|row| row.is_valid());
            lines.push(Line {
                name: row.line,
                points: valid.filter_map(|row| place(row, kind.figure)).collect(),
            });
        }
    }
    // The same for all lines, since it is measured by loads.
    let first = rows.first().map(|row| row.line);
    let of_first = rows.iter().filter(|row| Some(row.line) == first);
    lines.push(Line {
        name: kind.floor_name,
        points: of_first.filter_map(|row| place(row, kind.floor)).collect(),
    });
    let invalid: Vec<_> = rows
        .iter()
        .filter(|row| !row.is_valid())
        .filter_map(|row| place(row, kind.figure))
        .collect();
    let of_lines = lines.iter().flat_map(|line| &line.points);
    let all: Vec<(f64, f64)> = of_lines.chain(&invalid).copied().collect();
    let xs = rows.iter().map(|row| row.x);
    Chart {
        title: format!("{} by {}", kind.title, curve.unit()),
        x: match curve {
            Curve::Stalled => Axis::amount(xs.fold(0.0, f64::max), curve.unit()),
            _ => Axis::logarithmic(xs, curve.unit()),
        },
        y: Axis::logarithmic(all.into_iter().map(|(_, y)| y), kind.unit),
        lines,
        invalid,
        marked: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::tests::scaling;

    #[test]
    fn what_is_invalid_is_in_the_plot_and_in_no_line() {
        let plots = all(&scaling());
        let names: Vec<_> = plots.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["rate-p99.svg", "rate-cpu.svg"]);
        let svg = &plots[0].1;
        assert!(svg.contains("INVALID: 350 at 1,000"), "{svg}");
        assert!(svg.contains("server: 50 at 10<"), "{svg}");
        assert!(!svg.contains("server: 350"), "{svg}");
        assert!(svg.contains("F: 40 at 1,000"), "{svg}");
    }
}
