//! The blocks of figures in README.md, results/README.md and docs/tuning.md: plain tables, each with a link
//! to its data. None is said to be good or bad: what it means is written beside the blocks, and holds
//! whatever was measured.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use record::{Percentiles, figures};

use super::report::{self, Made};
use crate::comparison::{Comparison, Section};
use crate::error::{Error, Result};
use crate::figure::{CPU, CPU_PER_DELIVERY, HIGHEST_RATE, LOST, P99, RSS};
use crate::page;
use crate::run::{Run, with_unit};
use crate::spread::digits;
use crate::table::Table;

/// The data of the reports that are there.
#[derive(Debug, Default)]
pub(super) struct Sources {
    job: Option<record::Report>,
    /// By folder.
    pub(super) comparisons: BTreeMap<&'static str, Comparison>,
}

/// The name of a block, and its text.
type Block = (&'static str, String);

impl Sources {
    /// Reads what is under `results`.
    pub(super) fn read(results: &Path) -> Result<Self> {
        let read = |file: &str| fs::read(results.join(file)).ok();
        let wrong =
            |file: &str, error| Error::Run(format!("results/{file}: {error}: measure it again"));
        let mut sources = Self::default();
        if let Some(text) = read("job/run.json") {
            let job =
                serde_json::from_slice(&text).map_err(|error| wrong("job/run.json", error))?;
            sources.job = Some(job);
        }
        for report in report::ALL.iter().filter(|report| report.folder != "job") {
            let file = format!("{}/data.json", report.folder);
            if let Some(text) = read(&file) {
                let data = serde_json::from_slice(&text).map_err(|error| wrong(&file, error))?;
                sources.comparisons.insert(report.folder, data);
            }
        }
        Ok(sources)
    }

    /// What `text` makes of a report, with a link to its data; nothing if it is not there.
    fn with_data(&self, folder: &str, to: &str, text: impl Fn(&Comparison) -> String) -> String {
        let Some(comparison) = self.comparisons.get(folder) else {
            return String::new();
        };
        let text = text(comparison);
        format!(
            "{}\n\n[Data]({to}{folder}/data.json), [page]({to}{folder}/report.md).\n",
            text.trim_end()
        )
    }
}

/// All blocks, by text.
pub(super) fn all(sources: &Sources, made: &[Made]) -> [(&'static str, Vec<Block>); 3] {
    let here = |folder, text: fn(&Comparison) -> String| sources.with_data(folder, "", text);
    let coalescing = here("curves", rate_curve) + "\n" + &here("coalescing", all_sections);
    [
        ("README.md", vec![("summary", summary(sources))]),
        (
            "results/README.md",
            vec![
                ("index", index(sources, made)),
                ("job", job(sources)),
                ("drivers", here("drivers", drivers)),
                ("limits", here("limits", |it| page::bounds(&it.bounds))),
                ("coalescing", coalescing),
                ("peers", here("peers", peers)),
                ("wins", here("peers", wins)),
                ("hostile", here("hostile", hostile)),
                ("broken", here("broken", hostile)),
                ("attacks", here("attacks", hostile)),
            ],
        ),
        (
            "docs/tuning.md",
            vec![(
                "coalescing",
                sources.with_data("coalescing", "../results/", all_sections),
            )],
        ),
    ]
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
fn index(sources: &Sources, made: &[Made]) -> String {
    let mut table = Table::new(["report", "of commit", "by", "took", "verdict"]);
    for report in &report::ALL {
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

fn drivers(it: &Comparison) -> String {
    let tables =
        [CPU_PER_DELIVERY, P99, CPU].map(|figure| page::by_scenario(it, &figure).to_string());
    format!("{}\n{}", tables.join("\n"), page::bounds(&it.bounds))
}

fn peers(it: &Comparison) -> String {
    let figures = [P99, LOST, CPU_PER_DELIVERY, RSS, HIGHEST_RATE];
    let tables = figures.map(|figure| page::by_scenario(it, &figure).to_string());
    let plots = it
        .plots
        .iter()
        .map(|plot| format!("\n![{}](peers/{})\n", plot.title, plot.file));
    format!(
        "{}\n{}{}",
        tables.join("\n"),
        page::bounds(&it.bounds),
        plots.collect::<String>()
    )
}

fn wins(it: &Comparison) -> String {
    let remark = it
        .remarks
        .iter()
        .find(|remark| remark.title == "Where a peer wins");
    remark.map_or_else(String::new, |remark| remark.text.clone())
}

fn hostile(it: &Comparison) -> String {
    let invalid = it.runs.iter().filter(|run| !Run::is_valid(run)).count();
    format!(
        "Of {} runs, {invalid} were INVALID: a healthy client did not get each message of the others exactly once and in order, or the figures may not be believed.\n\n{}",
        it.runs.len(),
        page::bounds(&it.bounds)
    )
}

fn rate_curve(it: &Comparison) -> String {
    let section = it.sections.iter().find(|section| section.title == "Rate");
    let table = section.map_or_else(String::new, |section| page::table(it, section).to_string());
    format!(
        "{table}\n![CPU per delivery by rate](curves/rate-cpu.svg) ![delivery p99 by rate](curves/rate-p99.svg)"
    )
}

fn all_sections(it: &Comparison) -> String {
    let section = |section: &Section| format!("{}\n\n{}", section.about, page::table(it, section));
    it.sections
        .iter()
        .map(section)
        .collect::<Vec<_>>()
        .join("\n")
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
        for (text, blocks) in all(&Sources::default(), &[]) {
            for (block, content) in blocks {
                assert_eq!(content.trim(), "", "{text}: {block}");
            }
        }
    }
}
