//! Writes results/: runs the programs that measure, one after the other, and renews the pages and texts
//! that are made of their data, as results.toml declares them. No figure is typed by hand.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use clap::Parser;
use loadgen::host::replace;
use serde::Deserialize;

use crate::args::write_pages;
use crate::error::{Error, Result};
use crate::process::{self, Running};

mod text;

use text::{Block, Sources};

/// Measure all reports of results/, and renew the figures in README.md, results/README.md and
/// docs/tuning.md
///
/// Run it with benches/run.sh, which builds what it needs. Exit status: 0 all reports are written, 1 a
/// report could not be made, 2 wrong usage. Whether bounds are met, the reports say.
#[derive(Debug, Parser)]
#[command(name = "results", version, max_term_width = 100)]
struct Args {
    /// Measure fewer repeats and points, for a first look: about 19 minutes instead of 65
    #[arg(long, conflicts_with = "trial")]
    quick: bool,

    /// Measure very few clients for about a minute, to see that everything works; the figures mean nothing
    #[arg(long)]
    trial: bool,

    /// Measure nothing: renew pages, plots and texts from the existing data
    #[arg(long, conflicts_with_all = ["quick", "trial", "only"])]
    texts: bool,

    /// Measure only the reports in these folders of results/, and leave the others as they are
    #[arg(long, value_name = "FOLDER", value_delimiter = ',')]
    only: Vec<String>,

    /// Write to README.md, docs/ and results/ below DIR
    #[arg(long, value_name = "DIR", default_value = ".")]
    root: PathBuf,
}

/// results.toml.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared {
    reports: Vec<Report>,
    blocks: Vec<Block>,
}

/// A folder of results/.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    folder: String,
    /// What is measured, in the words of the index.
    what: String,
    /// The program that writes it, with `--out` and these arguments.
    program: String,
    whole: String,
    quick: String,
    /// Nothing where there is no small load.
    trial: Option<String>,
}

/// Exit statuses of a report that was made.
const MADE: [i32; 2] = [0, 3];

/// No report takes longer.
const TIME_MAX: Duration = Duration::from_secs(20 * 60);

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
    let mut faults = Vec::new();
    for report in declared.wanted(args)? {
        if let Err(error) = report.make(args) {
            faults.push(format!("{}: {error}", report.folder));
        }
    }
    renew(&args.root, declared)?;
    match faults.is_empty() {
        true => Ok(true),
        false => Err(Error::Run(faults.join("\nerror: "))),
    }
}

impl Declared {
    /// The reports that are to be made.
    fn wanted(&self, args: &Args) -> Result<Vec<&Report>> {
        if args.texts {
            return Ok(Vec::new());
        }
        let folders: Vec<&String> = self.reports.iter().map(|report| &report.folder).collect();
        if let Some(unknown) = args.only.iter().find(|only| !folders.contains(only)) {
            let why = format!("--only {unknown}: there are {folders:?}");
            return Err(Error::Run(why));
        }
        let is_wanted = |it: &&Report| args.only.is_empty() || args.only.contains(&it.folder);
        Ok(self.reports.iter().filter(is_wanted).collect())
    }
}

impl Report {
    /// Renews the folder. If it cannot be made, it is as it was; if there is nothing to be made, it is empty.
    fn make(&self, args: &Args) -> io::Result<()> {
        let folder = args.root.join("results").join(&self.folder);
        let arguments = match (args.quick, args.trial) {
            (true, _) => Some(&self.quick),
            (_, true) => self.trial.as_ref(),
            _ => Some(&self.whole),
        };
        let kept = folder.with_extension("old");
        // There may be none.
        let _ = fs::remove_dir_all(&kept);
        let has_old = fs::rename(&folder, &kept).is_ok();
        if let Some(arguments) = arguments {
            let arguments = format!("{arguments} --out results/{}", self.folder);
            eprintln!("\n== {}: {} {arguments}", self.what, self.program);
            if let Err(error) = self.run(&args.root, &arguments) {
                let _ = fs::remove_dir_all(&folder);
                let _ = fs::rename(&kept, &folder);
                return Err(error);
            }
        }
        match has_old {
            true => fs::remove_dir_all(&kept),
            false => Ok(()),
        }
    }

    /// Runs the program, which is of this build: it lies beside this one, or is a part of it.
    fn run(&self, root: &Path, arguments: &str) -> io::Result<()> {
        let this = std::env::current_exe()?;
        let mut command = Command::new(this.with_file_name(&self.program));
        if self.program == "loadgen" {
            command = Command::new(this);
            command.arg(process::LOADGEN);
        }
        command.args(arguments.split_whitespace()).current_dir(root);
        command.stdout(Stdio::null());
        let status = Running::start(&mut command)?.wait(TIME_MAX)?;
        match status.map(|status| status.code().unwrap_or(-1)) {
            Some(code) if MADE.contains(&code) => Ok(()),
            Some(code) => Err(io::Error::other(format!("{arguments}: exit status {code}"))),
            None => Err(io::Error::other(format!("not over after {TIME_MAX:?}"))),
        }
    }
}

/// Renews all that is made of the data: pages, plots, and the blocks of the texts.
fn renew(root: &Path, declared: &Declared) -> Result<()> {
    let sources = Sources::read(&root.join("results"), &declared.reports)?;
    for (folder, comparison) in &sources.comparisons {
        let folder = root.join("results").join(folder);
        write_pages(&folder, comparison)?;
    }
    for (file, block, content) in sources.blocks(declared) {
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn all_reports_are_wanted_unless_some_are_named() {
        Args::command().debug_assert();
        let declared = declared();
        let wanted = |arguments: &[&str]| {
            let args = Args::parse_from([&["results"], arguments].concat());
            let wanted = declared.wanted(&args)?.into_iter();
            Ok(wanted.map(|report| &*report.folder).collect::<Vec<_>>())
        };
        let error = |wanted: Result<Vec<&str>>| wanted.unwrap_err().to_string();
        assert_eq!(wanted(&[]).unwrap().len(), declared.reports.len());
        let two = wanted(&["--only", "limits,job"]).unwrap();
        assert_eq!(two, ["job", "limits"]);
        assert!(error(wanted(&["--only", "x"])).contains("--only x"));
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
