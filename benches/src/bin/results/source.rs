//! Sources: the data of a report, and figures that cite it.

use std::fs;
use std::path::Path;

use benches::digits;
use serde_json::Value;

use crate::report::{self, Report};

/// The data of one report.
#[derive(Debug)]
pub(crate) struct Source {
    data: Value,
    /// From the text to the file.
    link: String,
}

/// The reports that are there.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) job: Option<Source>,
    pub(crate) drivers: Option<Source>,
    pub(crate) limits: Option<Source>,
    pub(crate) coalescing: Option<Source>,
    pub(crate) peers: Option<Source>,
    pub(crate) curves: Option<Source>,
    pub(crate) hostile: Option<Source>,
    pub(crate) broken: Option<Source>,
}

impl Sources {
    /// Reads the reports under `results`, for a text from which that folder is `prefix`.
    pub(crate) fn read(results: &Path, prefix: &str) -> Self {
        let [
            job,
            drivers,
            limits,
            coalescing,
            peers,
            curves,
            hostile,
            broken,
        ] = report::ALL.map(|report| Source::read(results, prefix, &report));
        Self {
            job,
            drivers,
            limits,
            coalescing,
            peers,
            curves,
            hostile,
            broken,
        }
    }
}

impl Source {
    fn read(results: &Path, prefix: &str, report: &Report) -> Option<Self> {
        let file = format!("{}/{}", report.folder, report.data);
        let text = fs::read(results.join(&file)).ok()?;
        let data = serde_json::from_slice(&text).ok()?;
        let link = format!("{prefix}{file}");
        Some(Self { data, link })
    }

    pub(crate) fn value(&self, pointer: &str) -> &Value {
        self.data.pointer(pointer).unwrap_or(&Value::Null)
    }

    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.value(pointer).as_str().unwrap_or_default()
    }

    /// The entries of a list, each with the pointer to it.
    pub(crate) fn list(&self, pointer: &str) -> impl Iterator<Item = (String, &Value)> {
        let entries = self
            .value(pointer)
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        (0..).zip(entries).map(move |(at, entry)| {
            let at: usize = at;
            (format!("{pointer}/{at}"), entry)
        })
    }

    /// The pointer to the first entry of a list that has all these members.
    pub(crate) fn find(&self, pointer: &str, members: &[(&str, Value)]) -> Option<String> {
        let has_all = |entry: &Value| members.iter().all(|(name, value)| entry[*name] == *value);
        let mut entries = self.list(pointer);
        entries.find_map(|(pointer, entry)| has_all(entry).then_some(pointer))
    }

    /// A figure with its unit, as a link to where it stands; a dash where there is none.
    pub(crate) fn cite(&self, pointer: &str, unit: &str) -> String {
        let Some(value) = self.value(pointer).as_f64() else {
            return "-".into();
        };
        let shown = format!("{} {unit}", digits(value));
        format!("[{}]({}#{pointer})", shown.trim_end(), self.link)
    }

    /// The same of what [`Self::find`] finds.
    pub(crate) fn cite_found(&self, found: Option<&str>, member: &str, unit: &str) -> String {
        found.map_or_else(
            || "-".into(),
            |found| self.cite(&format!("{found}{member}"), unit),
        )
    }

    /// The machine, as a setting of the measurement.
    pub(crate) fn machine(&self) -> String {
        let host = self.value("/host");
        let [cpus, cpu, kernel] = if host.is_null() {
            [
                "/environment/cores",
                "/environment/cpu",
                "/environment/kernel",
            ]
        } else {
            ["/host/cpus", "/host/cpu", "/host/kernel"]
        };
        let cpus = self.value(cpus);
        let (cpu, kernel) = (self.text(cpu), self.text(kernel));
        format!("`{cpus} x {cpu}, Linux {kernel}`")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The data of a report at `link`.
    pub(crate) fn source(link: &str, data: Value) -> Source {
        let link = link.into();
        Source { data, link }
    }

    #[test]
    fn a_figure_cites_the_entry_that_was_found() {
        let rows = serde_json::json!({"rows": [
            {"driver": "epoll", "p99": 3.0},
            {"driver": "uring", "p99": 2.3456},
        ]});
        let source = source("drivers/data.json", rows);
        let found = source.find("/rows", &[("driver", "uring".into())]);
        assert_eq!(found.as_deref(), Some("/rows/1"));
        assert_eq!(
            source.cite_found(found.as_deref(), "/p99", "ms"),
            "[2.35 ms](drivers/data.json#/rows/1/p99)"
        );
        assert_eq!(source.cite_found(found.as_deref(), "/p50", "ms"), "-");
        assert_eq!(source.find("/rows", &[("driver", "x".into())]), None);
    }
}
