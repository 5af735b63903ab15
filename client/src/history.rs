//! The file that keeps what was typed between runs: one JSON string a line, since what was pasted may hold
//! line breaks. Lines of older clients, which are no JSON, are taken as they are.
//!
//! Lines are appended one write each, so that several clients can share the file. It is shortened at the
//! start, written beside it and renamed: whatever happens meanwhile, the file is whole.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Lines that are kept when the file is shortened, which happens at twice as many.
pub(crate) const LINES_MAX: usize = 1000;

/// `$XDG_STATE_HOME/uringcast/history`, or the same below `~/.local/state`; `None` without a home.
pub(crate) fn default_path() -> Option<PathBuf> {
    let folder = |name| {
        let path = std::env::var_os(name).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")));
    state.map(|state| state.join("uringcast/history"))
}

/// Makes `file` and its folder where they are missing, shortens it where it has grown too long, and gives
/// back its lines, the oldest first.
pub(crate) fn load(file: &Path) -> io::Result<Vec<String>> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let text = match fs::metadata(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            NamedTempFile::new_in(folder)?.persist(file)?;
            return Ok(Vec::new());
        }
        // Not a device.
        Ok(about) if !about.is_file() => return Ok(Vec::new()),
        _ => fs::read_to_string(file)?,
    };
    let is_line = |line: &&str| !line.is_empty() && *line != "#V2";
    let lines: Vec<&str> = text.lines().filter(is_line).collect();
    let kept = &lines[lines.len().saturating_sub(LINES_MAX)..];
    if lines.len() > 2 * LINES_MAX {
        // What a symbolic link points to is replaced, and not the link.
        let file = fs::canonicalize(file)?;
        let mut beside = NamedTempFile::new_in(file.parent().unwrap_or(folder))?;
        writeln!(beside, "{}", kept.join("\n"))?;
        beside.as_file().sync_all()?;
        beside.persist(file)?;
    }
    let plain = |line: &&str| serde_json::from_str(line).unwrap_or_else(|_| (*line).to_owned());
    Ok(kept.iter().map(plain).collect())
}

pub(crate) fn append(file: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).open(file)?;
    file.write_all(format!("{}\n", serde_json::Value::from(line)).as_bytes())
}
