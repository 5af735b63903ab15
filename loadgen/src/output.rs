//! Where results go. Every place is tried before the run, so that no result is lost after it.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::record::Record;
use crate::{export, folder, summary};

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
    File { path: PathBuf, file: File },
}

impl Output {
    /// Opens what `--json` and `--out` name.
    ///
    /// # Errors
    /// Names the place that cannot be written.
    pub(crate) fn open(json: Option<&Path>, folder: Option<&Path>) -> Result<Self, Error> {
        if let Some(folder) = folder {
            folder::prepare(folder)?;
        }
        let json = match json {
            None => None,
            Some(path) if path.as_os_str() == STDOUT => Some(Json::Stdout),
            Some(path) => Some(Json::File {
                path: path.to_owned(),
                file: File::create(path).map_err(unwritable(path))?,
            }),
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
    pub(crate) fn write(mut self, record: &Record) -> Result<(), Error> {
        let text = summary::render(&record.report);
        // Failing to say it is no reason to lose the files.
        let said = self.say(&text);
        let json = export::json(&record.report);
        match &mut self.json {
            None => {}
            Some(Json::Stdout) => print(&json)?,
            Some(Json::File { path, file }) => {
                file.write_all(json.as_bytes()).map_err(unwritable(path))?;
            }
        }
        if let Some(folder) = &self.folder {
            folder::write(folder, record, &text)?;
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
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes());
    match written.and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(unwritable(Path::new("standard output"))(error))
        }
        _ => Ok(()),
    }
}

fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |error| Error::Output { path, error }
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
        assert!(out.join("run.json").exists());
    }
}
