//! Where results go: figures for a person, and files where they were asked for. A file is replaced at once
//! or not at all, so that a run that cannot start or end destroys no older result.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use loadgen::host::{check, check_folder, replace};

use crate::comparison::Comparison;
use crate::error::Result;
use crate::{page, plot};

/// The options for results that all comparisons share.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Output {
    /// Write the result as JSON to FILE, or to standard output with `-` (the tables then go to
    /// standard error)
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,

    /// Write the tables as Markdown to FILE
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,

    /// Write report.md, data.json and the plots to the folder DIR
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Output {
    /// Makes sure that results can be written, before anything is measured.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(folder) = &self.out {
            check_folder(folder)?;
        }
        let mut files = [&self.json, &self.markdown].into_iter().flatten();
        Ok(files.try_for_each(|path| if path == "-" { Ok(()) } else { check(path) })?)
    }

    /// Writes the result, in words and as files; says whether it is as wanted.
    pub(crate) fn write(&self, comparison: &Comparison) -> Result<bool> {
        let text = page::page(comparison);
        let json = comparison.to_json();
        // A closed terminal is no reason to lose the files.
        let _ = match self.json.as_deref() {
            Some(path) if path == "-" => writeln!(io::stderr(), "{text}")
                .and_then(|()| io::stdout().write_all(json.as_bytes())),
            _ => writeln!(io::stdout(), "{text}"),
        };
        if let Some(path) = &self.markdown {
            replace(path, text.as_bytes())?;
        }
        if let Some(path) = self.json.as_ref().filter(|path| *path != "-") {
            replace(path, json.as_bytes())?;
        }
        if let Some(folder) = &self.out {
            replace(&folder.join("data.json"), json.as_bytes())?;
            write_pages(folder, comparison)?;
        }
        Ok(comparison.is_as_wanted())
    }
}

/// Writes all that is made of data.json: report.md and the plots.
pub(crate) fn write_pages(folder: &Path, comparison: &Comparison) -> Result<()> {
    replace(&folder.join("report.md"), page::page(comparison).as_bytes())?;
    for one in &comparison.plots {
        replace(
            &folder.join(&one.file),
            plot::svg(comparison, one).as_bytes(),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_cannot_be_written_destroys_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.json");
        fs::write(&path, "old").unwrap();
        let output = Output {
            json: Some(path.clone()),
            out: Some(path.join("below")),
            ..Output::default()
        };
        assert!(output.check().is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    }
}
