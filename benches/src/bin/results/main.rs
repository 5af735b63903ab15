//! Writes results/: runs the programs that measure, one after the other, and renews the texts that quote
//! them. No figure is typed by hand: each is cited from the data (`benches::citation`), and a text whose
//! figures do not agree with the data is not written.

#![forbid(unsafe_code)]

mod blocks;
mod command_line;
mod report;
mod source;
mod text;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use benches::{citation, process};
use clap::Parser;

use command_line::CommandLine;
use report::Made;
use source::Sources;

/// What was made, and how.
const INDEX: &str = "results/index.json";

/// The figures of all reports are to stay small, in bytes.
const RESULTS_BYTES_MAX: u64 = 5_000_000;

fn main() -> ExitCode {
    if let Some(status) = process::run_if_asked() {
        return status;
    }
    let demand = CommandLine::parse();
    let faults = match write(&demand) {
        Ok(faults) => faults,
        Err(fault) => vec![fault],
    };
    for fault in &faults {
        eprintln!("error: {fault}");
    }
    ExitCode::from(u8::from(!faults.is_empty()))
}

/// Makes the reports and the texts. A report that cannot be made is told, and the others are made.
fn write(demand: &CommandLine) -> Result<Vec<String>, String> {
    let root = &demand.root;
    let mut faults = Vec::new();
    if !demand.texts {
        let mut made = match demand.is_partial() {
            true => read_index(root)?,
            false => Vec::new(),
        };
        for report in report::ALL.iter().filter(|report| demand.wants(report)) {
            made.retain(|made| made.folder != report.folder);
            match report.make(root, demand.extent()) {
                Ok(one) => made.extend(one),
                Err(fault) => faults.push(fault),
            }
        }
        write_index(root, &made)?;
    }
    renew_texts(root, &read_index(root)?)?;
    let bytes = size(&root.join("results")).map_err(|error| format!("results: {error}"))?;
    if bytes > RESULTS_BYTES_MAX {
        faults.push(format!(
            "results/ has {bytes} bytes, over the limit of {RESULTS_BYTES_MAX}: see which file grew, and do not commit it"
        ));
    }
    Ok(faults)
}

/// Renews the blocks of all texts.
fn renew_texts(root: &Path, made: &[Made]) -> Result<(), String> {
    let sources = |prefix| Sources::read(&root.join("results"), prefix);
    let (here, below, guide) = (sources("results/"), sources(""), sources("../results/"));
    renew(root, "README.md", &[("summary", text::summary(&here))])?;
    let blocks = [
        ("index", text::index(&below, made)),
        ("job", text::job(&below)),
        ("drivers", text::drivers(&below)),
        ("limits", text::limits(&below)),
        ("coalescing", text::coalescing(&below)),
        ("peers", text::peers::comparison(&below)),
        ("wins", text::peers::wins(&below)),
        ("hostile", text::hostile(&below)),
        ("broken", text::broken(&below)),
    ];
    renew(root, "results/README.md", &blocks)?;
    let blocks = [("coalescing", text::settings(&guide))];
    renew(root, "docs/tuning.md", &blocks)
}

/// Renews the blocks of one text, if all that they say agrees with the data.
fn renew(root: &Path, name: &str, blocks: &[(&str, String)]) -> Result<(), String> {
    let path = root.join(name);
    let unusable = |error| format!("{}: {error}", path.display());
    let mut text = fs::read_to_string(&path).map_err(unusable)?;
    let folder = path.parent().unwrap_or(root);
    for (block, content) in blocks {
        if let Some(fault) = citation::faults(content, folder).first() {
            return Err(format!("{name}, {block}: {fault}"));
        }
        text = blocks::renewed(&text, block, content).ok_or_else(|| {
            format!("{name} has no place for its figures: write <!-- {block} --> and <!-- /{block} --> on lines of their own")
        })?;
    }
    fs::write(&path, text).map_err(unusable)
}

fn write_index(root: &Path, made: &[Made]) -> Result<(), String> {
    let mut text = serde_json::to_string_pretty(made).map_err(|error| error.to_string())?;
    text.push('\n');
    fs::write(root.join(INDEX), text).map_err(|error| format!("{INDEX}: {error}"))
}

/// What was made; nothing where nothing was.
fn read_index(root: &Path) -> Result<Vec<Made>, String> {
    match fs::read(root.join(INDEX)) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| format!("{INDEX}: {error}")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(format!("{INDEX}: {error}")),
    }
}

/// All files under `folder`, in bytes.
fn size(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() {
            size(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(bytes)
}
