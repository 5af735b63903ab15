//! The blocks of figures in README.md, results/README.md and docs/tuning.md: plain tables, each with a link
//! to its data. None is said to be good or bad: what it means is written beside the blocks, and holds
//! whatever was measured.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use record::{Percentiles, figures};
use serde::Deserialize;

use super::{Declared, Report};
use crate::comparison::{Comparison, Section};
use crate::error::{Error, Result};
use crate::figure::Figure;
use crate::page::{self, Table};
use crate::run::Run;

/// A place in a text, and what it shows.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Block {
    file: String,
    block: String,
    shows: Vec<Shown>,
}

/// Parts of a comparison.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shown {
    /// The folder of its report.
    of: String,
    parts: Vec<String>,
}

/// The data of the reports that are there.
#[derive(Debug, Default)]
pub(super) struct Sources {
    job: Option<record::Report>,
    /// By folder.
    pub(super) comparisons: BTreeMap<String, Comparison>,
}

impl Sources {
    /// Reads what is under `results`.
    pub(super) fn read(results: &Path, reports: &[Report]) -> Result<Self> {
        let mut sources = Self::default();
        for Report { folder, .. } in reports {
            let files = ["run.json", "data.json"].map(|file| results.join(folder).join(file));
            let wrong = |error| Error::Run(format!("results/{folder}: {error}: measure it again"));
            for path in files.iter().filter(|path| path.exists()) {
                let text = fs::read(path)?;
                if folder == "job" {
                    sources.job = Some(serde_json::from_slice(&text).map_err(wrong)?);
                } else {
                    let data = serde_json::from_slice(&text).map_err(wrong)?;
                    sources.comparisons.insert(folder.clone(), data);
                }
            }
        }
        Ok(sources)
    }

    /// All blocks: file, name and text.
    pub(super) fn blocks<'a>(&self, declared: &'a Declared) -> Vec<(&'a str, &'a str, String)> {
        let index = index(self, &declared.reports);
        let mut blocks = vec![("results/README.md", "index", index)];
        for block in &declared.blocks {
            let show = |shown| self.show(shown, &block.file);
            let text = block.shows.iter().map(show).collect::<Vec<_>>();
            blocks.push((&block.file, &block.block, text.join("\n")));
        }
        blocks
    }

    /// The parts of a report, with a link to its data; nothing if it is not there.
    fn show(&self, shown: &Shown, file: &str) -> String {
        let folder = match file.split_once('/') {
            None => format!("results/{}", shown.of),
            Some(("results", _)) => shown.of.clone(),
            Some(_) => format!("../results/{}", shown.of),
        };
        let (data, parts) = match (&self.job, self.comparisons.get(&shown.of)) {
            (Some(job), None) if shown.of == "job" => ("run.json", vec![show_job(job)]),
            (_, Some(comparison)) => {
                let show = |part: &String| show_part(comparison, part, &folder);
                ("data.json", shown.parts.iter().map(show).collect())
            }
            _ => return String::new(),
        };
        format!(
            "{}\n\n[Data]({folder}/{data}), [page]({folder}/report.md).\n",
            parts.join("\n").trim_end()
        )
    }
}

/// A part of a comparison by its name.
fn show_part(it: &Comparison, part: &str, folder: &str) -> String {
    let table = |section: &Section| page::table(it, section).to_string();
    if let Some(figure) = Figure::named(part) {
        return page::by_scenario(it, &figure).to_string();
    }
    if let Some(plot) = it.plots.iter().find(|plot| plot.file == part) {
        return format!("![{}]({folder}/{})\n", plot.title, plot.file);
    }
    if let Some(section) = it.sections.iter().find(|section| section.title == part) {
        return table(section);
    }
    if let Some(remark) = it.remarks.iter().find(|remark| remark.title == part) {
        return remark.text.clone();
    }
    match part {
        "bounds" => page::bounds(&it.bounds),
        "tables" => {
            let told = |section: &Section| format!("{}\n\n{}", section.about, table(section));
            it.sections.iter().map(told).collect::<Vec<_>>().join("\n")
        }
        "validity" => {
            let invalid = it.runs.iter().filter(|run| !Run::is_valid(run)).count();
            format!(
                "Of {} runs, {invalid} were INVALID: a healthy client did not get each message of the others exactly once and in order, or the figures may not be believed.\n",
                it.runs.len()
            )
        }
        // What was not measured is not told.
        _ => String::new(),
    }
}

/// All reports in one table.
fn index(sources: &Sources, reports: &[Report]) -> String {
    let mut table = Table::new(["report", "of commit", "by", "took", "verdict"]);
    for report in reports {
        let (commit, command, seconds, is_as_wanted) =
            if let Some(it) = sources.comparisons.get(&report.folder) {
                (
                    &it.commit,
                    it.command.clone(),
                    it.took_seconds,
                    it.is_as_wanted(),
                )
            } else if let Some(job) = sources.job.as_ref().filter(|_| report.folder == "job") {
                let took = job.connect_seconds + job.warmup_seconds + job.duration_seconds;
                let commit = &job.environment.loadgen.commit;
                (commit, format!("loadgen {}", report.whole), took, job.valid)
            } else {
                continue;
            };
        table.row([
            format!("[{}]({}/report.md)", report.what, report.folder),
            format!("`{}`", commit.as_deref().unwrap_or("unknown")),
            format!("`{command}`"),
            format!("{seconds:.0} s"),
            match is_as_wanted {
                true => "valid, all bounds met".to_owned(),
                false => "a bound is missed or a run is INVALID".to_owned(),
            },
        ]);
    }
    table.to_string()
}

/// The main job.
fn show_job(job: &record::Report) -> String {
    let mut table = Table::new(["ms", "p50", "p99", "p99.9", "max"]);
    let mut row = |name: &str, it: &Percentiles| {
        let figures = [it.p50, it.p99, it.p999, it.max].map(figures::milliseconds);
        table.row([name.to_owned()].into_iter().chain(figures));
    };
    row("delivery, from the intended time", &job.latency_ms.delivery);
    row("broadcast, last receiver", &job.latency_ms.completion);
    let verdict = match job.valid {
        true => "valid".to_owned(),
        false => format!("**INVALID**: {}", job.problems.join("; ")),
    };
    let record::Report {
        clients,
        rate_requested,
        size_bytes,
        started_at,
        ..
    } = job;
    let record::Report {
        lost,
        duplicated,
        reordered,
        corrupt,
        ..
    } = job;
    let (expected, cores) = (
        figures::grouped(job.expected),
        figures::cores(job.server.cpu_cores),
    );
    let cpu = job.environment.cpu.as_deref();
    let cpu = cpu.unwrap_or("an unknown processor");
    format!(
        "The main job, {clients} clients x {rate_requested} messages/s of {size_bytes} bytes, on {cpu}, {started_at}: {verdict}. Of {expected} deliveries {lost} were lost, {duplicated} duplicated, {reordered} reordered, {corrupt} corrupt. The server took {cores} cores.\n\n{table}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_not_told() {
        for (file, block, text) in Sources::default().blocks(&super::super::declared()) {
            assert_eq!(text.trim(), "", "{file}: {block}");
        }
    }
}
