//! Where what was typed is kept between runs.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Lines that are kept.
pub const LINES_MAX: usize = 1000;

/// `$XDG_STATE_HOME/uringcast/history`, or the same below `~/.local/state`; `None` without a home.
#[must_use]
pub fn default_path() -> Option<PathBuf> {
    let variable = |name| env::var_os(name).map(PathBuf::from);
    variable("XDG_STATE_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| {
            Some(
                variable("HOME")
                    .filter(|path| path.is_absolute())?
                    .join(".local/state"),
            )
        })
        .map(|state| state.join("uringcast/history"))
}

/// Makes the folder of `file`.
///
/// # Errors
/// When it cannot be made.
pub fn prepare(file: &Path) -> io::Result<()> {
    match file.parent() {
        Some(folder) => fs::create_dir_all(folder),
        None => Ok(()),
    }
}
