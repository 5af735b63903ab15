//! Files that replace others: written beside their place and renamed into it, so that what was there
//! stays whole until all that replaces it is.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}: {error}; choose a place that can be written", path = path.display())]
pub struct Unwritable {
    pub(crate) path: PathBuf,
    pub(crate) error: io::Error,
}

/// Finds out whether [`replace`] will be able to write `path`, and changes nothing.
///
/// # Errors
/// When it cannot be written.
pub fn check(path: &Path) -> Result<(), Unwritable> {
    let checked = Staged::create(path).and_then(Staged::discard);
    checked.map_err(|error| unwritable(path, error))
}

/// Makes `folder`, and finds out whether files can be made in it.
///
/// # Errors
/// When that is not so.
pub fn check_folder(folder: &Path) -> Result<(), Unwritable> {
    fs::create_dir_all(folder).map_err(|error| unwritable(folder, error))?;
    check(&folder.join("run.json"))
}

/// Writes a file; what was there is replaced at once or not at all.
///
/// # Errors
/// When it cannot be written.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), Unwritable> {
    replace_all([(path.to_owned(), content.to_vec())])
}

/// Writes several files: none is put into its place before all have been written.
///
/// # Errors
/// When one of them cannot be written.
pub(crate) fn replace_all(
    files: impl IntoIterator<Item = (PathBuf, Vec<u8>)>,
) -> Result<(), Unwritable> {
    let mut written = Vec::new();
    for (path, content) in files {
        let staged = Staged::create(&path).and_then(|mut staged| {
            staged.file.write_all(&content)?;
            Ok(staged)
        });
        written.push(staged.map_err(|error| unwritable(&path, error))?);
    }
    for staged in written {
        let path = staged.path.clone();
        staged.publish().map_err(|error| unwritable(&path, error))?;
    }
    Ok(())
}

fn unwritable(path: &Path, error: io::Error) -> Unwritable {
    let path = path.to_owned();
    Unwritable { path, error }
}

/// A file that is not in its place yet. It is removed if it is dropped before.
struct Staged {
    path: PathBuf,
    /// `None` for what is no regular file, such as a pipe, and is written to directly.
    beside: Option<PathBuf>,
    file: File,
}

impl Staged {
    fn create(path: &Path) -> io::Result<Self> {
        // What a link points to is replaced, not the link.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let before = fs::metadata(&path).ok();
        if before.as_ref().is_some_and(|before| !before.is_file()) {
            let file = File::options().write(true).open(&path)?;
            return Ok(Self {
                path,
                beside: None,
                file,
            });
        }
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let name = format!(".{}.{}.new", name.to_string_lossy(), std::process::id());
        let beside = path.with_file_name(name);
        let file = File::create(&beside)?;
        let staged = Self {
            path,
            beside: Some(beside),
            file,
        };
        if let Some(before) = before {
            staged.file.set_permissions(before.permissions())?;
        }
        Ok(staged)
    }

    fn publish(mut self) -> io::Result<()> {
        let Some(beside) = &self.beside else {
            return self.file.flush();
        };
        self.file.sync_all()?;
        fs::rename(beside, &self.path)?;
        self.beside = None;
        Ok(())
    }

    fn discard(mut self) -> io::Result<()> {
        self.beside.take().map_or(Ok(()), fs::remove_file)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            // It is of no use, and no error can be told here.
            let _ = fs::remove_file(beside);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn what_was_there_stays_until_all_files_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let (good, bad) = (folder.path().join("good"), folder.path().join("no/bad"));
        fs::write(&good, "before").unwrap();
        let failed = replace_all([(good.clone(), b"after".to_vec()), (bad.clone(), Vec::new())]);
        assert_eq!(failed.unwrap_err().path, bad);
        assert_eq!(fs::read_to_string(&good).unwrap(), "before");
        assert_eq!(names(folder.path()), ["good"], "nothing is left beside it");
        replace(&good, b"after").unwrap();
        assert_eq!(fs::read_to_string(&good).unwrap(), "after");
        assert_eq!(names(folder.path()), ["good"]);
    }

    #[test]
    fn a_place_is_checked_without_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/run.json");
        assert!(check(&path).is_err());
        check_folder(path.parent().unwrap()).unwrap();
        assert_eq!(names(path.parent().unwrap()), [""; 0]);
        fs::write(&path, "before").unwrap();
        check(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
    }

    #[test]
    fn what_is_no_file_is_written_to_and_a_link_stays_one() {
        replace(Path::new("/dev/null"), b"x").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        let folder = tempfile::tempdir().unwrap();
        let [file, link] = ["file", "link"].map(|name| folder.path().join(name));
        fs::write(&file, "before").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace(&link, b"after").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "after");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}
