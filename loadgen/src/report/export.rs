//! The files of a run's folder: one format each, all drawn from one record.

use crate::report::measurement::Measurement;

mod csv;
mod hgrm;
pub(crate) mod hlog;
pub(crate) mod html;
mod json;
mod markdown;
pub(crate) mod plots;
mod rows;

pub(crate) use hlog::BrokenLog;
pub(crate) use json::json;

/// The report as JSON: what a folder is read back from, with [`HLOG`].
pub(crate) const RUN_JSON: &str = "run.json";

/// All histograms, packed.
pub(crate) const HLOG: &str = "latency.hlog";

/// A file of the folder.
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) content: Vec<u8>,
}

/// All files of `record`; `summary` is what the terminal shows.
pub(crate) fn files(record: &Measurement, summary: &str) -> Vec<File> {
    let plots = plots::all(record);
    let mut files = vec![
        file(RUN_JSON, json(&record.report)),
        file("summary.txt", summary.to_owned()),
        file("report.html", html::render(record, &plots)),
        file("report.md", markdown::render(record)),
        file("timeseries.csv", csv::render(&record.report.series)),
        file("latency.hgrm", hgrm::delivery(record)),
        file("completion.hgrm", hgrm::completion(record)),
        File {
            name: HLOG.to_owned(),
            content: hlog::write(record),
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
