//! report.html: the run on one page. It holds all it needs, loads nothing and runs nothing.

use askama::Template;
use record::figures::{grouped, milliseconds, rate, whole};
use record::{Report, printable};

use super::plots::Plot;
use super::rows::{self, Cell, Row};
use crate::report::chart;
use crate::report::measurement::Measurement;

/// The look of every page.
pub(crate) const STYLE: &str = include_str!("../../../templates/page.css");

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    style: String,
    report: &'a Report,
    headline: String,
    tiles: Vec<Tile>,
    latencies: Vec<Row>,
    steps: Vec<Row>,
    spread: Vec<Row>,
    ledger: Vec<Row>,
    consumption: Vec<Row>,
    generator: Vec<Row>,
    server_view: Vec<Row>,
    load: Vec<(&'static str, String)>,
    environment: Vec<(String, String)>,
    plots: Vec<Drawing>,
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

/// The page of `record` with these plots.
pub(super) fn render(record: &Measurement, plots: &[Plot]) -> String {
    let report = &record.report;
    let page = Page {
        style: style(),
        report,
        headline: headline(report),
        tiles: tiles(report),
        latencies: rows::latencies(report),
        steps: rows::steps(report),
        spread: rows::spread(report),
        ledger: rows::ledger(report),
        consumption: rows::consumption(report),
        generator: rows::generator(report),
        server_view: rows::server_view(report),
        load: rows::load(report),
        environment: rows::environment(report),
        plots: plots.iter().map(Drawing::new).collect(),
        command: command(report),
    };
    printable(&page.render().expect("a string takes all that is written"))
}

/// The style sheet of a page with charts.
pub(crate) fn style() -> String {
    format!("{STYLE}{}", chart::STYLE)
}

/// The load in a line.
pub(super) fn headline(report: &Report) -> String {
    format!(
        "{} clients, {} messages/s of {} bytes",
        grouped(report.clients.into()),
        rate(report.rate_requested),
        report.size_bytes
    )
}

/// The command as a shell takes it.
pub(super) fn command(report: &Report) -> String {
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

fn tiles(report: &Report) -> Vec<Tile> {
    let tile = |name, unit, field: &str, text| Tile {
        name,
        unit,
        figure: Cell {
            field: field.to_owned(),
            text,
        },
    };
    let latency = &report.latency_ms;
    vec![
        tile(
            "deliveries",
            "a second",
            "deliveries_per_second",
            whole(report.deliveries_per_second),
        ),
        tile(
            "delivery, p50",
            "ms",
            "latency_ms.delivery.p50",
            milliseconds(latency.delivery.p50),
        ),
        tile(
            "delivery, p99",
            "ms",
            "latency_ms.delivery.p99",
            milliseconds(latency.delivery.p99),
        ),
        tile(
            "last receiver, p99",
            "ms",
            "latency_ms.completion.p99",
            milliseconds(latency.completion.p99),
        ),
        tile("lost", "deliveries", "lost", grouped(report.lost)),
    ]
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
        let page = render(&record, &plots::all(&record));
        assert!(
            !page.contains("<script") && !page.contains("<link"),
            "{page}"
        );
        let addresses = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!addresses.contains("://") && !addresses.contains("url("));
        assert!(page.contains("INVALID") && page.contains("script&#62;"));
        assert_eq!(page.matches("<svg").count(), 10);
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
