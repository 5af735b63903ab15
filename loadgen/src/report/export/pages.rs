//! report.html, the run on one page, which holds all it needs, loads nothing and runs nothing; and
//! report.md, the same as text that an issue or a wiki takes.

use askama::Template;
use record::figures::{grouped, rate};
use record::{Report, printable};

use super::plots::Plot;
use super::tables::{Cell, Figures, Tables, Unit};
use crate::report::chart;
use crate::report::measurement::Measurement;

/// The look of every page.
const STYLE: &str = include_str!("../../../templates/page.css");

#[derive(Template)]
#[template(path = "report.html")]
struct Html<'a> {
    style: String,
    report: &'a Report,
    headline: String,
    tiles: Vec<Tile>,
    tables: Tables,
    plots: Vec<Drawing>,
    command: String,
}

#[derive(Template)]
#[template(path = "report.md", escape = "none")]
struct Markdown<'a> {
    report: &'a Report,
    headline: String,
    tables: Tables,
    command: String,
}

/// One of the figures that matter most.
struct Tile {
    name: &'static str,
    unit: &'static str,
    figure: Cell,
}

struct Drawing {
    name: &'static str,
    caption: &'static str,
    svg: String,
}

/// The page of `measurement` with these plots.
pub(super) fn html(measurement: &Measurement, plots: &[Plot]) -> String {
    let report = &measurement.report;
    let page = Html {
        style: style(),
        report,
        headline: headline(report),
        tiles: tiles(report),
        tables: Tables::of(report),
        plots: plots.iter().map(Drawing::new).collect(),
        command: command(report),
    };
    printable(&page.render().expect("a string takes all that is written"))
}

/// The text of `measurement`.
pub(super) fn markdown(measurement: &Measurement) -> String {
    let report = &measurement.report;
    let page = Markdown {
        report,
        headline: headline(report),
        tables: Tables::of(report),
        command: command(report),
    };
    printable(&page.render().expect("a string takes all that is written"))
}

/// The style sheet of a page with charts.
pub(crate) fn style() -> String {
    format!("{STYLE}{}", chart::STYLE)
}

/// The load in a line.
fn headline(report: &Report) -> String {
    format!(
        "{} clients, {} messages/s of {} bytes",
        grouped(report.clients.into()),
        rate(report.rate_requested),
        report.size_bytes
    )
}

/// The command as a shell takes it.
fn command(report: &Report) -> String {
    let quoted = |word: &String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    let words: Vec<_> = report.command.iter().map(quoted).collect();
    words.join(" ")
}

/// `text` for Markdown, in which nothing means more than itself: it may hold what a server said.
fn plain(text: &impl ToString) -> String {
    let mut plain = String::new();
    for character in text.to_string().chars() {
        if r"\`*_[]<>&|#".contains(character) {
            plain.push('\\');
        }
        plain.push(character);
    }
    plain
}

fn tiles(report: &Report) -> Vec<Tile> {
    let figures = Figures::of(report);
    let tile = |(name, unit, field, written): (_, _, &str, _)| Tile {
        name,
        unit,
        figure: figures.cell(field, written),
    };
    [
        (
            "deliveries",
            "a second",
            "deliveries_per_second",
            Unit::Whole,
        ),
        (
            "delivery, p50",
            "ms",
            "latency_ms.delivery.p50",
            Unit::Milliseconds,
        ),
        (
            "delivery, p99",
            "ms",
            "latency_ms.delivery.p99",
            Unit::Milliseconds,
        ),
        (
            "last receiver, p99",
            "ms",
            "latency_ms.completion.p99",
            Unit::Milliseconds,
        ),
        ("lost", "deliveries", "lost", Unit::Count),
    ]
    .map(tile)
    .into()
}

impl Drawing {
    fn new(plot: &Plot) -> Self {
        Self {
            name: plot.name,
            caption: plot.caption,
            svg: plot.chart.embedded(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::export::plots;
    use crate::report::measurement::tests::measurement;

    #[test]
    fn the_page_loads_nothing_and_escapes_what_others_said() {
        let mut record = measurement();
        record.report.problems = vec!["<script>alert(1)</script>".to_owned()];
        record.report.valid = false;
        let page = html(&record, &plots::all(&record));
        assert!(
            !page.contains("<script") && !page.contains("<link"),
            "{page}"
        );
        let addresses = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!addresses.contains("://") && !addresses.contains("url("));
        assert!(page.contains("INVALID") && page.contains("script&#62;"));
        assert_eq!(page.matches("<svg").count(), 10);
        record.report.problems = vec!["a [link](x) | <img>".to_owned()];
        let text = markdown(&record);
        assert!(text.contains(r"a \[link\](x) \| \<img\>"), "{text}");
    }

    #[test]
    fn every_row_of_a_table_has_as_many_columns_as_its_head() {
        let text = markdown(&measurement());
        let columns = |line: &str| line.matches('|').count();
        let mut head = 0;
        for line in text.lines() {
            match columns(line) {
                0 => head = 0,
                found if head == 0 => head = found,
                found => assert_eq!(found, head, "{line}"),
            }
        }
        assert!(text.starts_with("# VALID: "), "{text}");
    }

    #[test]
    fn the_command_can_be_run_again() {
        let mut report = measurement().report;
        report.command = ["loadgen", "--slo", "p99<1ms", "it's"]
            .map(str::to_owned)
            .into();
        assert_eq!(command(&report), r"loadgen --slo 'p99<1ms' 'it'\''s'");
    }
}
