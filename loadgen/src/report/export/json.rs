//! run.json: the report, as `results/schema.md` describes it.

use record::Report;

/// The report as JSON that a person can read too.
pub(crate) fn json(report: &Report) -> String {
    let mut text = serde_json::to_string_pretty(report)
        .expect("a report is numbers, texts and maps with texts for keys");
    text.push('\n');
    text
}
