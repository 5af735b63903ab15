//! Where results go. Every place is tried before the run, so that no result is lost after it; what is
//! there stays until there is a result to replace it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::error::Error;
use crate::host::files;
use crate::report::measurement::Measurement;
use crate::report::{export, folder, summary};

const STDOUT: &str = "-";

/// The places that were asked for.
#[derive(Debug)]
pub(crate) struct Output {
    json: Option<Json>,
    folder: Option<PathBuf>,
}

#[derive(Debug)]
enum Json {
    Stdout,
    File(PathBuf),
}

impl Output {
    /// Tries what `--json` and `--out` name.
    ///
    /// # Errors
    /// Names the place that cannot be written.
    pub(crate) fn open(json: Option<&Path>, folder: Option<&Path>) -> Result<Self, Error> {
        if let Some(folder) = folder {
            files::check_folder(folder)?;
        }
        let json = match json {
            None => None,
            Some(path) if path.as_os_str() == STDOUT => Some(Json::Stdout),
            Some(path) => {
                files::check(path)?;
                Some(Json::File(path.to_owned()))
            }
        };
        Ok(Self {
            json,
            folder: folder.map(Path::to_owned),
        })
    }

    /// Says `text` to a person: on standard output, unless that is taken by JSON.
    ///
    /// # Errors
    /// When standard output has no room.
    pub(crate) fn say(&self, text: &str) -> Result<(), Error> {
        if matches!(self.json, Some(Json::Stdout)) {
            // There is nowhere else to say it.
            let _ = writeln!(io::stderr(), "{text}");
            return Ok(());
        }
        print(&format!("{text}\n"))
    }

    /// Writes what is known of a run to every place.
    ///
    /// # Errors
    /// Names the place that cannot be written.
    pub(crate) fn write(self, measurement: &Measurement) -> Result<(), Error> {
        let text = summary::render(&measurement.report);
        // Failing to say it is no reason to lose the files.
        let said = self.say(&text);
        let json = export::json(&measurement.report);
        match &self.json {
            None => {}
            Some(Json::Stdout) => print(&json)?,
            Some(Json::File(path)) => files::replace(path, json.as_bytes())?,
        }
        if let Some(folder) = &self.folder {
            folder::write(folder, measurement, &text)?;
            self.say(&format!(
                "report       {}",
                folder.join("report.html").display()
            ))?;
        }
        said
    }
}

/// Writes `text` to standard output. A reader that has gone away has read enough; a disk that is full
/// has not taken it.
///
/// # Errors
/// When standard output has no room.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    cli::print(text).map_err(Error::Print)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_place_that_cannot_be_written_is_named_before_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        for (json, out) in [
            (Some(file.join("x.json")), None),
            (None, Some(file.join("x"))),
        ] {
            let error = Output::open(json.as_deref(), out.as_deref()).unwrap_err();
            let line = error.to_string();
            assert!(line.contains(file.to_str().unwrap()), "{line}");
        }
    }

    #[test]
    fn a_folder_is_made_where_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("a/b");
        Output::open(None, Some(&out)).unwrap();
        assert!(out.is_dir());
    }
}
