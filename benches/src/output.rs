//! Where results go: figures for a person, and files where they were asked for. A file is written
//! beside its place and renamed, so that a run that cannot start or end destroys no older result.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::comparison::Comparison;
use crate::error::{Error, Result};
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
            fs::create_dir_all(folder).map_err(Error::write(folder))?;
        }
        let data = self.out.as_ref().map(|folder| folder.join("data.json"));
        for path in [&self.json, &self.markdown, &data].into_iter().flatten() {
            if path != "-" && !is_special(path) {
                beside(path).map_err(Error::write(path))?;
            }
        }
        Ok(())
    }

    /// Writes the result, in words and as files; says whether it is as wanted.
    pub(crate) fn write(&self, comparison: &Comparison) -> Result<bool> {
        let text = page::page(comparison);
        let json = comparison.to_json();
        // A closed terminal is no reason to lose the files.
        let _ = match self.json.as_deref() {
            Some(path) if path == "-" => writeln!(io::stderr(), "{text}"),
            _ => writeln!(io::stdout(), "{text}"),
        };
        if let Some(path) = &self.markdown {
            replace(path, &text)?;
        }
        if let Some(path) = &self.json {
            replace(path, &json)?;
        }
        if let Some(folder) = &self.out {
            replace(&folder.join("data.json"), &json)?;
            write_pages(folder, comparison)?;
        }
        Ok(comparison.is_as_wanted())
    }
}

/// Writes all that is made of data.json: report.md and the plots.
pub(crate) fn write_pages(folder: &Path, comparison: &Comparison) -> Result<()> {
    replace(&folder.join("report.md"), &page::page(comparison))?;
    let mut plots = comparison.plots.iter();
    plots.try_for_each(|one| replace(&folder.join(&one.file), &plot::svg(comparison, one)))
}

/// Replaces the file at `path`, or writes to standard output if it is `-`.
pub(crate) fn replace(path: &Path, text: &str) -> Result<()> {
    let written = if path == "-" {
        io::stdout().write_all(text.as_bytes())
    } else if is_special(path) {
        fs::write(path, text)
    } else {
        beside(path).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.persist(path).map(drop).map_err(|error| error.error)
        })
    };
    written.map_err(Error::write(path))
}

/// A device or a pipe, which a rename would replace.
fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

/// A file in the folder of `path`, removed when it is dropped.
fn beside(path: &Path) -> io::Result<tempfile::NamedTempFile> {
    if path.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder.unwrap_or(Path::new(".")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_destroys_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.json");
        replace(&path, "old").unwrap();
        let output = Output {
            json: Some(path.clone()),
            out: Some(path.join("below")),
            ..Output::default()
        };
        assert!(output.check().is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        replace(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
