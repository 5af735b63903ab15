//! The files of a run's folder: one format each, all drawn from one record.

use record::Report;

use crate::report::measurement::Measurement;

mod csv;
mod hgrm;
pub(crate) mod hlog;
pub(crate) mod pages;
pub(crate) mod plots;
mod tables;

pub(crate) use hlog::BrokenLog;

/// The report as JSON: what a folder is read back from, with [`HLOG`].
pub(crate) const RUN_JSON: &str = "run.json";

/// All histograms, packed.
pub(crate) const HLOG: &str = "latency.hlog";

/// The report as JSON that a person can read too, as `results/schema.md` describes it.
pub(crate) fn json(report: &Report) -> String {
    let mut text = serde_json::to_string_pretty(report)
        .expect("a report is numbers, texts and maps with texts for keys");
    text.push('\n');
    text
}

/// A file of the folder.
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) content: Vec<u8>,
}

/// All files of `measurement`; `summary` is what the terminal shows.
pub(crate) fn files(measurement: &Measurement, summary: &str) -> Vec<File> {
    let plots = plots::all(measurement);
    let mut files = vec![
        file(RUN_JSON, json(&measurement.report)),
        file("summary.txt", summary.to_owned()),
        file("report.html", pages::html(measurement, &plots)),
        file("report.md", pages::markdown(measurement)),
        file("timeseries.csv", csv::render(&measurement.report.series)),
        file("latency.hgrm", hgrm::delivery(measurement)),
        file("completion.hgrm", hgrm::completion(measurement)),
        File {
            name: HLOG.to_owned(),
            content: hlog::write(measurement),
        },
    ];
    let drawn = plots
        .iter()
        .map(|plot| file(&format!("{}.svg", plot.name), plot.chart.standalone()));
    files.extend(drawn);
    files
}

fn file(name: &str, text: String) -> File {
    File {
        name: name.to_owned(),
        content: text.into_bytes(),
    }
}
