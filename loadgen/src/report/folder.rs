//! Folders: where a run is kept, and read back from. A folder that holds the folders of several runs
//! stands for all of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{fs, io};

use record::{Report, SCHEMA_VERSION};
use serde::Deserialize;
use thiserror::Error;

use crate::host::files::{self, Unwritable};
use crate::report::export::{self, BrokenLog, HLOG, RUN_JSON};
use crate::report::measurement::Measurement;
use crate::report::summary;

/// Why a folder is of no use. Each is one line that says what to do about it.
#[derive(Debug, Error)]
pub(crate) enum FolderError {
    #[error(transparent)]
    Unwritable(#[from] Unwritable),
    #[error("cannot read {path}: {error}; give a folder that `loadgen --out` has written", path = path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{path} holds no run: give a folder that `loadgen --out` has written, or one that holds such folders", path = path.display())]
    NoRun { path: PathBuf },
    #[error("{path} is not a report ({error}): the run may have been cut short; measure again", path = path.display())]
    BrokenReport {
        path: PathBuf,
        error: serde_json::Error,
    },
    #[error("{path}: {error}; the file is damaged, measure again", path = path.display())]
    BrokenLog { path: PathBuf, error: BrokenLog },
    #[error("{path} is given twice, perhaps within an earlier sum: name each run once, so that none counts double", path = path.display())]
    Twice { path: PathBuf },
    #[error("--out {path} would replace a run that is to be merged: choose another folder", path = path.display())]
    InPlaceOfRun { path: PathBuf },
    #[error("{path} has schema version {found}, and this program reads {SCHEMA_VERSION}: use the program that wrote it", path = path.display())]
    OtherSchema { path: PathBuf, found: u32 },
}

/// Where the folders of several runs are, in that of the one which stands for them.
const RUNS: &str = "runs";

/// Writes all files of `measurement`; `summary` is what the terminal shows. If it is one of several
/// runs, each gets a folder of its own in it. What was there is replaced when all is written.
///
/// # Errors
/// Names what cannot be written.
pub(crate) fn write(
    folder: &Path,
    measurement: &Measurement,
    summary: &str,
) -> Result<(), Unwritable> {
    let unwritable = |path: &Path, error| {
        let path = path.to_owned();
        Unwritable { path, error }
    };
    let mut written = files_of(folder, measurement, summary);
    for (at, run) in measurement.runs.iter().enumerate() {
        let place = numbered(folder, at);
        fs::create_dir_all(&place).map_err(|error| unwritable(&place, error))?;
        written.extend(files_of(&place, run, &summary::render(&run.report)));
    }
    fs::create_dir_all(folder).map_err(|error| unwritable(folder, error))?;
    files::replace_all(written)?;
    // What earlier runs left in the same folder is none of these.
    for at in measurement.runs.len().. {
        let stale = numbered(folder, at).join(RUN_JSON);
        match fs::remove_file(&stale) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(unwritable(&stale, error)),
        }
    }
    Ok(())
}

fn files_of(folder: &Path, measurement: &Measurement, summary: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let files = export::files(measurement, summary).into_iter();
    let files = files.map(|file| (folder.join(file.name), file.content));
    files.collect()
}

/// The folders of all runs in `folder`, each of several included.
///
/// # Errors
/// If there is none.
pub(crate) fn runs(folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let mut runs = Vec::new();
    for one in reported(folder)? {
        match reported(&one.join(RUNS)) {
            Ok(several) => runs.extend(several),
            Err(_) => runs.push(one),
        }
    }
    Ok(runs)
}

/// The folders of the runs that are reported in `folder`: itself, or those in it, in the order of
/// their names.
///
/// # Errors
/// If there is none.
pub(crate) fn reported(folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    if folder.join(RUN_JSON).is_file() {
        return Ok(vec![folder.to_owned()]);
    }
    let entries = fs::read_dir(folder).map_err(unreadable(folder))?;
    let mut runs: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join(RUN_JSON).is_file())
        .collect();
    runs.sort();
    if runs.is_empty() {
        return Err(FolderError::NoRun {
            path: folder.to_owned(),
        });
    }
    Ok(runs)
}

/// The folders of all runs in `folders` that are to be summed up into `out`.
///
/// # Errors
/// If one of them holds none, a run is there twice, or writing to `out` would replace one.
pub(crate) fn runs_apart_from(
    folders: &[PathBuf],
    out: &Path,
) -> Result<Vec<PathBuf>, FolderError> {
    let real = |path: &Path| fs::canonicalize(path).map_err(unreadable(path));
    // What is not there yet can replace nothing.
    let target = fs::canonicalize(out).ok();
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for folder in folders {
        for run in runs(folder)? {
            let place = real(&run)?;
            let parts = read_report(&run)?.merged_from;
            let is_replaced =
                |target: &PathBuf| place == *target || place.starts_with(target.join(RUNS));
            if target.as_ref().is_some_and(is_replaced) {
                return Err(FolderError::InPlaceOfRun {
                    path: out.to_owned(),
                });
            }
            // A sum stands for the runs of which it is one.
            let parts = parts.into_iter().map(PathBuf::from);
            let parts = parts.map(|part| real(&part).unwrap_or(part));
            for part in std::iter::once(place).chain(parts) {
                if !seen.insert(part.clone()) {
                    return Err(FolderError::Twice { path: part });
                }
            }
            all.push(run);
        }
    }
    Ok(all)
}

/// The report in the folder of one run.
///
/// # Errors
/// If it is not there or not understood.
pub(crate) fn read_report(folder: &Path) -> Result<Report, FolderError> {
    /// What tells whether the rest can be understood.
    #[derive(Deserialize)]
    struct Head {
        schema_version: u32,
    }
    let path = folder.join(RUN_JSON);
    let text = fs::read(&path).map_err(unreadable(&path))?;
    let broken = |error| FolderError::BrokenReport {
        path: path.clone(),
        error,
    };
    let head: Head = serde_json::from_slice(&text).map_err(broken)?;
    if head.schema_version != SCHEMA_VERSION {
        return Err(FolderError::OtherSchema {
            path,
            found: head.schema_version,
        });
    }
    serde_json::from_slice(&text).map_err(broken)
}

/// All that is in the folder of one run.
///
/// # Errors
/// If something is not there or not understood.
pub(crate) fn read(folder: &Path) -> Result<Measurement, FolderError> {
    let report = read_report(folder)?;
    let path = folder.join(HLOG);
    let log = fs::read(&path).map_err(unreadable(&path))?;
    let (histograms, intervals) =
        export::hlog::read(&log).map_err(|error| FolderError::BrokenLog { path, error })?;
    let began_at = humantime::parse_rfc3339(&report.started_at);
    Ok(Measurement {
        report,
        histograms,
        intervals,
        runs: Vec::new(),
        began_at: began_at.unwrap_or(SystemTime::UNIX_EPOCH),
    })
}

/// The folder of one of several runs.
fn numbered(folder: &Path, at: usize) -> PathBuf {
    folder.join(RUNS).join(format!("{:03}", at + 1))
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |error| FolderError::Unreadable { path, error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::measurement::tests::measurement;

    #[test]
    fn what_is_written_is_read_back() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("a/b");
        let written = measurement();
        write(&folder, &written, "").unwrap();
        let found = read(&folder).unwrap();
        assert_eq!(export::json(&found.report), export::json(&written.report));
        assert_eq!(found.histograms.table(), written.histograms.table());
        assert_eq!(runs(&folder).unwrap(), std::slice::from_ref(&folder));
        assert_eq!(runs(folder.parent().unwrap()).unwrap(), [folder]);
    }

    #[test]
    fn repeats_are_found_in_the_folder_of_the_one_that_stands_for_them() {
        let place = tempfile::tempdir().unwrap();
        let mut several = measurement();
        several.runs = vec![measurement(), measurement(), measurement()];
        write(&place.path().join("a"), &several, "").unwrap();
        write(&place.path().join("b"), &measurement(), "").unwrap();
        assert_eq!(runs(&place.path().join("a")).unwrap().len(), 3);
        assert_eq!(runs(place.path()).unwrap().len(), 4);
        assert_eq!(reported(place.path()).unwrap().len(), 2);
        several.runs.truncate(2);
        write(&place.path().join("a"), &several, "").unwrap();
        assert_eq!(runs(&place.path().join("a")).unwrap().len(), 2);
    }

    #[test]
    fn a_sum_takes_each_run_once_and_replaces_none() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let mut several = measurement();
        several.runs = vec![measurement(), measurement()];
        write(&at("several"), &several, "").unwrap();
        write(&at("one"), &measurement(), "").unwrap();
        let all = [at("several"), at("one")];
        assert_eq!(runs_apart_from(&all, &at("sum")).unwrap().len(), 3);
        // A folder that holds runs is none of them.
        let whole = [place.path().to_owned()];
        assert_eq!(runs_apart_from(&whole, place.path()).unwrap().len(), 3);
        for out in ["one", "several", "one/../several/runs/001"] {
            let line = runs_apart_from(&all, &at(out)).unwrap_err().to_string();
            assert!(line.contains("would replace a run"), "{line}");
        }
        let twice = [at("one"), at("several/../one")];
        let line = runs_apart_from(&twice, &at("sum")).unwrap_err().to_string();
        assert!(line.contains("given twice"), "{line}");
    }

    #[test]
    fn what_is_no_run_says_what_to_give() {
        let place = tempfile::tempdir().unwrap();
        let line = runs(place.path()).unwrap_err().to_string();
        assert!(line.contains("holds no run: give a folder"), "{line}");
        let nowhere = place.path().join("nowhere");
        let line = runs(&nowhere).unwrap_err().to_string();
        assert!(line.contains("cannot read"), "{line}");
        fs::write(place.path().join(RUN_JSON), "").unwrap();
        let line = read(place.path()).unwrap_err().to_string();
        assert!(line.contains("measure again"), "{line}");
        fs::write(place.path().join(RUN_JSON), r#"{"schema_version": 9}"#).unwrap();
        let line = read(place.path()).unwrap_err().to_string();
        assert!(line.contains("schema version 9"), "{line}");
    }
}
