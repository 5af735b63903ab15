//! Writes results/: runs the programs that measure, one after the other, and renews the pages and texts
//! that are made of their data. No figure is typed by hand.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use loadgen::host::replace;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::{output, process};

mod report;
mod text;

use report::{Extent, Made, Report};
use text::{Block, Sources};

/// Measure everything that results/ holds, and renew the figures in README.md, results/README.md and
/// docs/tuning.md
///
/// Run it by benches/run.sh, which builds what it needs. Exit status: 0 all reports are written, 1 one
/// could not be made, 2 wrong usage. Whether bounds are met is what the reports say.
#[derive(Debug, Parser)]
#[command(name = "results", version, max_term_width = 100)]
struct Args {
    /// Measure fewer repeats and points, for a first look: about 16 minutes instead of 55
    #[arg(long, conflicts_with = "trial")]
    quick: bool,

    /// Measure so few clients that the figures mean nothing, to see that everything works: a minute
    #[arg(long)]
    trial: bool,

    /// Measure nothing: renew pages, plots and texts from the data that is there
    #[arg(long, conflicts_with_all = ["quick", "trial"])]
    texts: bool,

    /// Measure only these reports, by their folders, and leave the others as they are
    #[arg(
        long,
        value_name = "FOLDER",
        value_delimiter = ',',
        conflicts_with = "texts"
    )]
    only: Vec<String>,

    /// Write below DIR, which has README.md and results/
    #[arg(long, value_name = "DIR", default_value = ".")]
    root: PathBuf,
}

/// What was made, and how.
const INDEX: &str = "results/index.json";

/// The figures of all reports are to stay small, in bytes.
const RESULTS_BYTES_MAX: u64 = 5_000_000;

/// The reports, and what the texts show of them: results.toml.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared {
    reports: Vec<Report>,
    blocks: Vec<Block>,
}

/// The program.
pub(crate) fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return cli::refuse(&error, "error", "results"),
    };
    process::exit_code(write(&args, &declared()))
}

fn declared() -> Declared {
    let text = include_str!("../results.toml");
    toml::from_str(text).unwrap_or_else(|error| panic!("results.toml: {error}"))
}

/// Makes the reports and the texts; what could not be made is told, and the others are made.
fn write(args: &Args, declared: &Declared) -> Result<bool> {
    let root = &args.root;
    let mut faults = Vec::new();
    for folder in &args.only {
        if declared
            .reports
            .iter()
            .all(|report| report.folder != *folder)
        {
            return Err(Error::Run(format!(
                "--only {folder}: no report has this folder"
            )));
        }
    }
    if !args.texts {
        let mut made = if args.only.is_empty() {
            Vec::new()
        } else {
            read_index(root)?
        };
        for report in declared.reports.iter().filter(|report| args.wants(report)) {
            made.retain(|made| made.folder != report.folder);
            match report.make(root, args.extent()) {
                Ok(one) => made.extend(one),
                Err(fault) => faults.push(fault),
            }
        }
        let text = serde_json::to_string_pretty(&made).expect("all keys are strings");
        replace(&root.join(INDEX), (text + "\n").as_bytes())?;
    }
    renew(root, declared)?;
    let bytes = size(&root.join("results")).map_err(Error::system("read results/"))?;
    if bytes > RESULTS_BYTES_MAX {
        faults.push(format!(
            "results/ has {bytes} bytes, over the limit of {RESULTS_BYTES_MAX}: see which file grew, and do not commit it"
        ));
    }
    match faults.is_empty() {
        true => Ok(true),
        false => Err(Error::Run(faults.join("\nerror: "))),
    }
}

/// Renews all that is made of the data: pages, plots, and the blocks of the texts.
fn renew(root: &Path, declared: &Declared) -> Result<()> {
    let sources = Sources::read(&root.join("results"), &declared.reports)?;
    for (folder, comparison) in &sources.comparisons {
        let folder = root.join("results").join(folder);
        output::write_pages(&folder, comparison)?;
    }
    let made = read_index(root)?;
    for (file, block, content) in sources.blocks(declared, &made) {
        let path = root.join(file);
        let unusable = |error| Error::Run(format!("{}: {error}", path.display()));
        let text = fs::read_to_string(&path).map_err(unusable)?;
        let text = renewed(&text, block, &content).ok_or_else(|| {
            Error::Run(format!("{file} has no place for its figures: write <!-- {block} --> and <!-- /{block} --> on lines of their own"))
        })?;
        replace(&path, text.as_bytes())?;
    }
    Ok(())
}

/// `text` with `content` in its block between `<!-- NAME -->` and `<!-- /NAME -->`; `None` if it has no
/// such block.
fn renewed(text: &str, name: &str, content: &str) -> Option<String> {
    let (opening, closing) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (before, after) = text.split_once(&opening)?;
    let (_, after) = after.split_once(&closing)?;
    let content = match content.trim() {
        "" => String::new(),
        content => format!("\n{content}\n\n"),
    };
    Some(format!("{before}{opening}{content}{closing}{after}"))
}

/// What was made; nothing where nothing was.
fn read_index(root: &Path) -> Result<Vec<Made>> {
    let wrong = |error: String| Error::Run(format!("{INDEX}: {error}"));
    match fs::read(root.join(INDEX)) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| wrong(error.to_string())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(wrong(error.to_string())),
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

impl Args {
    const fn extent(&self) -> Extent {
        match (self.quick, self.trial) {
            (true, _) => Extent::Quick,
            (_, true) => Extent::Trial,
            _ => Extent::Whole,
        }
    }

    fn wants(&self, report: &Report) -> bool {
        self.only.is_empty() || self.only.contains(&report.folder)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn all_reports_are_wanted_unless_some_are_named() {
        let wanted = |arguments: &[&str]| {
            let args = Args::parse_from([&["results"], arguments].concat());
            let wanted = declared()
                .reports
                .into_iter()
                .filter(|report| args.wants(report));
            wanted.map(|report| report.folder).collect::<Vec<_>>()
        };
        assert_eq!(wanted(&[]).len(), declared().reports.len());
        assert_eq!(wanted(&["--only", "limits,job"]), ["job", "limits"]);
        let args = Args::parse_from(["results", "--only", "x"]);
        let error = write(&args, &declared()).unwrap_err().to_string();
        assert!(error.contains("--only x"), "{error}");
    }

    #[test]
    fn every_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_block_is_renewed_as_often_as_one_likes() {
        let text = "a\n<!-- x -->\n<!-- /x -->\nb\n";
        let once = renewed(text, "x", "new\n").unwrap();
        assert_eq!(once, "a\n<!-- x -->\n\nnew\n\n<!-- /x -->\nb\n");
        assert_eq!(renewed(&once, "x", "new").unwrap(), once);
        assert_eq!(renewed(&once, "x", "").unwrap(), text);
        assert_eq!(renewed(text, "y", "new"), None);
    }
}
