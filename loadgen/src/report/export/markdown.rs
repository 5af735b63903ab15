//! report.md: the run as text that an issue or a wiki takes.

use askama::Template;
use record::{Report, printable};

use super::html::{command, headline};
use super::rows::{self, Row};
use crate::report::measurement::Measurement;

#[derive(Template)]
#[template(path = "report.md", escape = "none")]
struct Page<'a> {
    report: &'a Report,
    headline: String,
    latencies: Vec<Row>,
    steps: Vec<Row>,
    spread: Vec<Row>,
    ledger: Vec<Row>,
    consumption: Vec<Row>,
    generator: Vec<Row>,
    server_view: Vec<Row>,
    load: Vec<(&'static str, String)>,
    environment: Vec<(String, String)>,
    command: String,
}

/// The text of `record`.
pub(super) fn render(record: &Measurement) -> String {
    let report = &record.report;
    let page = Page {
        report,
        headline: headline(report),
        latencies: rows::latencies(report),
        steps: rows::steps(report),
        spread: rows::spread(report),
        ledger: rows::ledger(report),
        consumption: rows::consumption(report),
        generator: rows::generator(report),
        server_view: rows::server_view(report),
        load: rows::load(report),
        environment: rows::environment(report),
        command: command(report),
    };
    printable(&page.render().expect("a string takes all that is written"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::measurement::tests::measurement;

    #[test]
    fn every_row_of_a_table_has_as_many_columns_as_its_head() {
        let text = render(&measurement());
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
}
