//! Writes results/: runs the programs that measure, one after the other, and renews the pages and texts
//! that are made of their data. No figure is typed by hand.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use crate::error::{Error, Result};
use crate::{output, study};

mod report;
mod text;

use report::{Extent, Made, Report};
use text::Sources;

/// Measure everything that results/ holds, and renew the figures in README.md, results/README.md and
/// docs/tuning.md
///
/// Run it by benches/run.sh, which builds what it needs. Exit status: 0 all reports are written, 1 one
/// could not be made, 2 wrong usage. Whether bounds are met is what the reports say.
#[derive(Debug, Parser)]
#[command(name = "results", version, max_term_width = 100)]
pub(super) struct Args {
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
    #[arg(long, value_name = "FOLDER", value_delimiter = ',', conflicts_with = "texts",
          value_parser = report::ALL.map(|report| report.folder))]
    only: Vec<String>,

    /// Write below DIR, which has README.md and results/
    #[arg(long, value_name = "DIR", default_value = ".")]
    root: PathBuf,
}

/// What was made, and how.
const INDEX: &str = "results/index.json";

/// The figures of all reports are to stay small, in bytes.
const RESULTS_BYTES_MAX: u64 = 5_000_000;

/// The program.
pub fn main() -> ExitCode {
    study::main("results", write)
}

/// Makes the reports and the texts; what could not be made is told, and the others are made.
fn write(args: &Args) -> Result<bool> {
    let root = &args.root;
    let mut faults = Vec::new();
    if !args.texts {
        let mut made = if args.only.is_empty() {
            Vec::new()
        } else {
            read_index(root)?
        };
        for report in report::ALL.iter().filter(|report| args.wants(report)) {
            made.retain(|made| made.folder != report.folder);
            match report.make(root, args.extent()) {
                Ok(one) => made.extend(one),
                Err(fault) => faults.push(fault),
            }
        }
        let text = serde_json::to_string_pretty(&made).expect("all keys are strings");
        output::replace(&root.join(INDEX), &(text + "\n"))?;
    }
    renew(root)?;
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
fn renew(root: &Path) -> Result<()> {
    let sources = Sources::read(&root.join("results"))?;
    for (folder, comparison) in &sources.comparisons {
        let folder = root.join("results").join(folder);
        output::write_pages(&folder, comparison)?;
    }
    let made = read_index(root)?;
    for (name, blocks) in text::all(&sources, &made) {
        let path = root.join(name);
        let unusable = |error| Error::Run(format!("{}: {error}", path.display()));
        let mut text = fs::read_to_string(&path).map_err(unusable)?;
        for (block, content) in blocks {
            text = renewed(&text, block, &content).ok_or_else(|| {
                Error::Run(format!("{name} has no place for its figures: write <!-- {block} --> and <!-- /{block} --> on lines of their own"))
            })?;
        }
        output::replace(&path, &text)?;
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
        self.only.is_empty() || self.only.iter().any(|folder| folder == report.folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_reports_are_wanted_unless_some_are_named() {
        let wanted = |arguments: &[&str]| {
            let args = Args::parse_from([&["results"], arguments].concat());
            let wanted = report::ALL.iter().filter(|report| args.wants(report));
            wanted.map(|report| report.folder).collect::<Vec<_>>()
        };
        assert_eq!(wanted(&[]).len(), report::ALL.len());
        assert_eq!(wanted(&["--only", "limits,job"]), ["job", "limits"]);
        assert!(Args::try_parse_from(["results", "--only", "x"]).is_err());
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
