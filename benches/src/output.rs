//! Where results go: figures for a person, and files where they were asked for. A file is written
//! beside its place and renamed, so that a run that cannot start or end destroys no older result.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::Error;
use crate::comparison::Comparison;
use crate::{page, plot};

/// The options for results that all comparisons share.
#[derive(Debug, Clone, Default, Args)]
pub struct Output {
    /// Write the result as JSON to FILE, or to standard output with `-` (the tables then go to
    /// standard error)
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,

    /// Write the tables as Markdown to FILE
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,

    /// Write report.md, data.json and the plots to the folder DIR
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

impl Output {
    /// Makes sure that results can be written, before anything is measured.
    ///
    /// # Errors
    /// When a folder cannot be made or written to.
    pub fn check(&self) -> Result<(), Error> {
        if let Some(folder) = &self.out {
            fs::create_dir_all(folder).map_err(Error::write(folder))?;
            beside(&folder.join("data.json")).map_err(Error::write(folder))?;
        }
        for path in [&self.json, &self.markdown].into_iter().flatten() {
            if path != "-" && !is_special(path) {
                beside(path).map_err(Error::write(path))?;
            }
        }
        Ok(())
    }

    /// Writes the result, in words and as files.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, comparison: &Comparison) -> Result<(), Error> {
        let text = page::page(comparison);
        let to_stderr = self.json.as_deref().is_some_and(|path| path == "-");
        // A closed terminal is no reason to lose the files.
        let _ = if to_stderr {
            writeln!(io::stderr(), "{text}")
        } else {
            writeln!(io::stdout(), "{text}")
        };
        if let Some(path) = &self.markdown {
            replace(path, &text)?;
        }
        if let Some(path) = &self.json {
            replace(path, &comparison.to_json())?;
        }
        match &self.out {
            None => Ok(()),
            Some(folder) => {
                replace(&folder.join("data.json"), &comparison.to_json())?;
                write_pages(folder, comparison)
            }
        }
    }
}

/// Writes all that is made of data.json: report.md and the plots.
///
/// # Errors
/// When a file cannot be written.
pub fn write_pages(folder: &Path, comparison: &Comparison) -> Result<(), Error> {
    replace(&folder.join("report.md"), &page::page(comparison))?;
    let mut plots = plot::all(comparison).into_iter();
    plots.try_for_each(|(name, svg)| replace(&folder.join(name), &svg))
}

/// Replaces the file at `path`, or writes to standard output if it is `-`.
///
/// # Errors
/// When it cannot be written; the file that was there is then unchanged.
pub fn replace(path: &Path, text: &str) -> Result<(), Error> {
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
        return Err(io::ErrorKind::IsADirectory.into());
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
