//! The blocks of figures in README.md, results/README.md and docs/tuning.md: plain tables, each with a link
//! to its data. None is said to be good or bad: what it means is written beside the blocks, and holds
//! whatever was measured.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use record::{Percentiles, figures};
use serde::Deserialize;

use super::Declared;
use super::report::{Made, Report};
use crate::comparison::{Comparison, Section};
use crate::error::{Error, Result};
use crate::figure::Figure;
use crate::page;
use crate::run::{Run, with_unit};
use crate::spread::digits;
use crate::table::Table;

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
        let read = |file: &str| fs::read(results.join(file)).ok();
        let wrong =
            |file: &str, error| Error::Run(format!("results/{file}: {error}: measure it again"));
        let mut sources = Self::default();
        if let Some(text) = read("job/run.json") {
            let job =
                serde_json::from_slice(&text).map_err(|error| wrong("job/run.json", error))?;
            sources.job = Some(job);
        }
        for report in reports.iter().filter(|report| report.folder != "job") {
            let file = format!("{}/data.json", report.folder);
            if let Some(text) = read(&file) {
                let data = serde_json::from_slice(&text).map_err(|error| wrong(&file, error))?;
                sources.comparisons.insert(report.folder.clone(), data);
            }
        }
        Ok(sources)
    }

    /// All blocks: file, name and text.
    pub(super) fn blocks<'a>(
        &self,
        declared: &'a Declared,
        made: &[Made],
    ) -> Vec<(&'a str, &'a str, String)> {
        let mut blocks = vec![
            ("README.md", "summary", summary(self)),
            (
                "results/README.md",
                "index",
                index(self, &declared.reports, made),
            ),
            ("results/README.md", "job", job(self)),
        ];
        for block in &declared.blocks {
            let shown = block
                .shows
                .iter()
                .map(|shown| self.show(shown, &block.file));
            let text = shown.collect::<Vec<_>>().join("\n");
            blocks.push((&block.file, &block.block, text));
        }
        blocks
    }

    /// The parts of a report, with a link to its data; nothing if it is not there.
    fn show(&self, shown: &Shown, file: &str) -> String {
        let Some(comparison) = self.comparisons.get(&shown.of) else {
            return String::new();
        };
        let folder = match file.starts_with("results/") {
            true => shown.of.clone(),
            false => format!("../results/{}", shown.of),
        };
        let parts = shown
            .parts
            .iter()
            .map(|part| show_part(comparison, part, &folder));
        let parts: String = parts.collect::<Vec<_>>().join("\n");
        format!(
            "{}\n\n[Data]({folder}/data.json), [page]({folder}/report.md).\n",
            parts.trim_end()
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

/// README.md's: a picture, and the ratios.
fn summary(sources: &Sources) -> String {
    let mut table = Table::new(["", "median"]);
    if let Some(job) = &sources.job {
        let mark = if job.valid { "" } else { " INVALID" };
        let p99 = figures::milliseconds(job.latency_ms.delivery.p99);
        table.row([format!("delivery p99 of the main job, ms{mark}"), p99]);
        let lost = format!("lost of {} deliveries", figures::grouped(job.expected));
        table.row([lost, figures::grouped(job.lost)]);
    }
    for (folder, is_at_load) in [("peers", true), ("drivers", false)] {
        let bounds = sources.comparisons.get(folder).map(|it| it.bounds.iter());
        for bound in bounds.into_iter().flatten() {
            let (Some(spread), Some((figure, who))) = (bound.measured, bound.name.split_once(", "))
            else {
                continue;
            };
            let load = if is_at_load {
                format!(" at {}", bound.scenario)
            } else {
                String::new()
            };
            if who.contains(" / ") {
                let ratio = with_unit(spread.median, &bound.unit);
                table.row([format!("{figure}{load}, {who}"), ratio]);
            }
        }
    }
    let picture = if sources.comparisons.contains_key("peers") {
        "![Delivery p99 by messages a second, beside Redis, NATS and Mosquitto](results/peers/p99.svg)\n\n"
    } else {
        ""
    };
    let machine = sources.job.as_ref().map_or_else(String::new, |job| {
        format!("{}, on {}. ", load_of(job), machine_of(job))
    });
    let table = table.to_string();
    if table.is_empty() {
        return String::new();
    }
    format!(
        "{picture}The main job: {machine}A ratio (x) is of two runs of one repeat.\n\n{table}\nData: [main job](results/job/run.json), [peers](results/peers/data.json), [drivers](results/drivers/data.json).\n"
    )
}

/// All reports in one table.
fn index(sources: &Sources, reports: &[Report], made: &[Made]) -> String {
    let mut table = Table::new(["report", "of commit", "by", "took", "verdict"]);
    for report in reports {
        let Some(made) = made.iter().find(|made| made.folder == report.folder) else {
            continue;
        };
        table.row([
            format!("[{}]({}/report.md)", report.what, report.folder),
            format!("`{}`", made.commit.as_deref().unwrap_or("unknown")),
            format!("`{}`", made.command),
            format!("{:.0} s", made.took_seconds),
            match made.exit_status {
                0 => "valid, all bounds met".to_owned(),
                _ => "a bound is missed or a run is INVALID".to_owned(),
            },
        ]);
    }
    let when = sources.job.as_ref().map_or_else(String::new, |job| {
        format!(
            "The main job was measured at {}, on {}.\n\n",
            job.started_at,
            machine_of(job)
        )
    });
    when + &table.to_string()
}

/// The main job.
fn job(sources: &Sources) -> String {
    let Some(job) = &sources.job else {
        return String::new();
    };
    let mut table = Table::new(["ms", "p50", "p99", "p99.9", "max"]);
    let mut row = |name: &str, it: &Percentiles| {
        let figures = [it.p50, it.p99, it.p999, it.max].map(figures::milliseconds);
        table.row([name.to_owned()].into_iter().chain(figures));
    };
    row("delivery, from the intended time", &job.latency_ms.delivery);
    row("broadcast, last receiver", &job.latency_ms.completion);
    let verdict = if job.valid {
        "valid".to_owned()
    } else {
        format!("**INVALID**: {}", job.problems.join("; "))
    };
    format!(
        "{}: {verdict}. Of {} deliveries {} were lost, {} duplicated, {} reordered, {} corrupt. The server took {} cores.\n\n{table}\n[Data](job/run.json), [page](job/report.md).\n\n![percentiles](job/percentiles.svg)\n",
        load_of(job),
        figures::grouped(job.expected),
        job.lost,
        job.duplicated,
        job.reordered,
        job.corrupt,
        job.server.cpu_cores.map_or_else(|| "-".into(), digits),
    )
}

fn load_of(job: &record::Report) -> String {
    format!(
        "{} clients x {} messages/s of {} bytes",
        job.clients, job.rate_requested, job.size_bytes
    )
}

fn machine_of(job: &record::Report) -> String {
    let environment = &job.environment;
    let unknown = || "unknown".to_owned();
    format!(
        "{} x {}, Linux {}",
        environment.cores.unwrap_or_default(),
        environment.cpu.clone().unwrap_or_else(unknown),
        environment.kernel.clone().unwrap_or_else(unknown)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_not_told() {
        for (file, block, text) in Sources::default().blocks(&super::super::declared(), &[]) {
            assert_eq!(text.trim(), "", "{file}: {block}");
        }
    }
}
