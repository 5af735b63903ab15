//! Charts: lines over two axes as SVG, for a page and as files of their own.
//!
//! A small writer and not plotters: that writes its colours and sizes into every element, where
//! these leave them to a style sheet, so that a chart follows the reader's light or dark.
//! What tells lines apart is a dash pattern too, not colour alone.

use std::fmt::{self, Write};

mod axis;

pub use axis::Axis;

/// The style that charts need, on a page or by themselves.
pub(crate) const STYLE: &str = include_str!("../../templates/chart.css");

const WIDTH: f64 = 470.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 54.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 44.0;

/// What a letter takes on the average; the width of text is not known here.
const LETTER: f64 = 6.7;

/// Points are marked where there are few enough to be told apart.
const MARKS_MAX: usize = 40;

/// Lines over two axes.
#[derive(Debug, Clone)]
pub struct Chart {
    /// What a screen reader says of it.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// At most four, which is how many styles there are.
    pub lines: Vec<Line>,
    /// Measurements that are not to be believed: crosses beside the lines.
    pub invalid: Vec<(f64, f64)>,
    /// Whether each point is a measurement of its own, and not one of a curve.
    pub marked: bool,
}

/// One line; each point is x, y.
#[derive(Debug, Clone)]
pub struct Line {
    /// What the legend calls it.
    pub name: &'static str,
    /// In the units of the two axes, from left to right.
    pub points: Vec<(f64, f64)>,
}

impl Chart {
    /// For a page that has the [`STYLE`].
    pub(crate) fn embedded(&self) -> String {
        self.render("")
    }

    /// For a file.
    #[must_use]
    pub fn standalone(&self) -> String {
        self.render(&format!("<style>{STYLE}</style>\n"))
    }

    fn render(&self, style: &str) -> String {
        let mut svg = String::new();
        self.write(&mut svg, style)
            .expect("a string takes all that is written");
        svg
    }

    fn write(&self, out: &mut String, style: &str) -> fmt::Result {
        let title = escaped(&self.title);
        writeln!(
            out,
            r#"<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" viewBox="0 0 {WIDTH} {HEIGHT}" aria-label="{title}">"#
        )?;
        out.push_str(style);
        writeln!(
            out,
            r#"<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>"#
        )?;
        self.write_axes(out)?;
        if self.invalid.is_empty() && self.lines.iter().all(|line| line.points.is_empty()) {
            let (x, y) = (f64::midpoint(LEFT, WIDTH - RIGHT), HEIGHT / 2.0);
            writeln!(
                out,
                r#"<text class="label" x="{x}" y="{y}" text-anchor="middle">not measured</text>"#
            )?;
        }
        for (at, line) in self.lines.iter().enumerate() {
            self.write_line(out, at, line)?;
        }
        self.write_invalid(out)?;
        self.write_legend(out)?;
        writeln!(out, "</svg>")
    }

    fn write_axes(&self, out: &mut String) -> fmt::Result {
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for (value, text) in &self.y.ticks {
            let y = self.y_of(*value);
            writeln!(
                out,
                r#"<path class="grid" d="M{LEFT} {y:.1}H{right}"/><text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{text}</text>"#,
                LEFT - 7.0,
                y + 4.0
            )?;
        }
        for (value, text) in &self.x.ticks {
            let x = self.x_of(*value);
            writeln!(
                out,
                r#"<path class="tick-mark" d="M{x:.1} {bottom}v4"/><text class="tick" x="{x:.1}" y="{:.1}" text-anchor="middle">{text}</text>"#,
                bottom + 17.0
            )?;
        }
        writeln!(out, r#"<path class="axis" d="M{LEFT} {bottom}H{right}"/>"#)?;
        writeln!(
            out,
            r#"<text class="label" x="{right}" y="{:.1}" text-anchor="end">{}</text>"#,
            HEIGHT - 10.0,
            escaped(self.x.label)
        )?;
        writeln!(
            out,
            r#"<text class="label" x="6" y="21">{}</text>"#,
            escaped(self.y.label)
        )
    }

    fn write_line(&self, out: &mut String, at: usize, line: &Line) -> fmt::Result {
        if line.points.is_empty() {
            return Ok(());
        }
        let place = |&(x, y): &(f64, f64)| (self.x_of(x), self.y_of(y));
        let mut path = String::new();
        for (at, point) in line.points.iter().enumerate() {
            let (x, y) = place(point);
            write!(path, "{}{x:.1} {y:.1}", if at == 0 { 'M' } else { 'L' })?;
        }
        let name = escaped(line.name);
        writeln!(
            out,
            r#"<path class="line line-{at}" d="{path}"><title>{name}</title></path>"#
        )?;
        if !self.marked || line.points.len() > MARKS_MAX {
            return Ok(());
        }
        for point in &line.points {
            let (x, y) = place(point);
            writeln!(
                out,
                r#"<circle class="mark mark-{at}" cx="{x:.1}" cy="{y:.1}" r="2.2"><title>{name}: {} at {}</title></circle>"#,
                self.y.text_of(point.1),
                self.x.text_of(point.0)
            )?;
        }
        Ok(())
    }

    fn write_invalid(&self, out: &mut String) -> fmt::Result {
        for &(x, y) in &self.invalid {
            writeln!(
                out,
                r#"<path class="invalid" d="{}"><title>INVALID: {} at {}</title></path>"#,
                cross(self.x_of(x), self.y_of(y)),
                self.y.text_of(y),
                self.x.text_of(x)
            )?;
        }
        Ok(())
    }

    /// The names of the lines, in one row over the chart.
    fn write_legend(&self, out: &mut String) -> fmt::Result {
        let unit_ends = 6.0 + self.y.label.len() as f64 * LETTER + 14.0;
        let mut x = unit_ends.max(LEFT);
        for (at, line) in self.lines.iter().enumerate() {
            let name = escaped(line.name);
            writeln!(
                out,
                r#"<path class="line line-{at}" d="M{x:.1} 17h20"/><text class="legend" x="{:.1}" y="21">{name}</text>"#,
                x + 26.0
            )?;
            x += 26.0 + line.name.chars().count() as f64 * LETTER + 16.0;
        }
        if !self.invalid.is_empty() {
            writeln!(
                out,
                r#"<path class="invalid" d="{}"/><text class="legend" x="{:.1}" y="21">INVALID</text>"#,
                cross(x + 4.0, 17.0),
                x + 14.0
            )?;
        }
        Ok(())
    }

    fn x_of(&self, value: f64) -> f64 {
        LEFT + self.x.share(value) * (WIDTH - RIGHT - LEFT)
    }

    fn y_of(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.share(value) * (HEIGHT - BOTTOM - TOP)
    }
}

/// The path of a cross around a point.
fn cross(x: f64, y: f64) -> String {
    format!("M{:.1} {:.1}l8 8m0 -8l-8 8", x - 4.0, y - 4.0)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> Chart {
        let line = Line {
            name: "a < b",
            points,
        };
        Chart {
            title: "this & that".into(),
            x: Axis::seconds(10.0),
            y: Axis::amount(100.0, "things"),
            lines: vec![line],
            invalid: Vec::new(),
            marked: true,
        }
    }

    #[test]
    fn the_corners_are_where_they_belong() {
        let svg = chart(vec![(0.0, 0.0), (10.0, 100.0)]).standalone();
        assert!(svg.contains(r#"d="M54.0 236.0L456.0 34.0""#), "{svg}");
        assert!(svg.contains("<style>"));
    }

    #[test]
    fn text_is_escaped() {
        let svg = chart(vec![(1.0, 1.0)]).embedded();
        assert!(svg.contains("this &amp; that") && svg.contains("a &lt; b"));
        assert!(!svg.contains("<style>"));
    }

    #[test]
    fn what_is_invalid_is_a_cross_that_says_so() {
        let mut chart = chart(Vec::new());
        assert!(!chart.embedded().contains("INVALID"));
        chart.invalid.push((10.0, 100.0));
        let svg = chart.embedded();
        assert!(
            svg.contains(r#"d="M452.0 30.0l8 8m0 -8l-8 8"><title>INVALID: 100 at 10<"#),
            "{svg}"
        );
        assert!(!svg.contains("not measured"));
    }

    #[test]
    fn a_chart_of_nothing_says_so() {
        assert!(chart(Vec::new()).embedded().contains("not measured"));
    }
}
