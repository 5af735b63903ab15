//! The file that keeps what was typed between runs, in the format of `rustyline`: one line each, `\n` and
//! `\\` for line breaks and backslashes, below a first line `#V2`.
//!
//! Lines are appended one write each, so that several clients can share the file. It is shortened at the
//! start, written beside it and renamed: whatever happens meanwhile, the file is whole.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::{env, process};

/// Lines that are kept when the file is shortened, which happens at twice as many.
pub(crate) const LINES_MAX: usize = 1000;
const FIRST_LINE: &str = "#V2";

/// `$XDG_STATE_HOME/uringcast/history`, or the same below `~/.local/state`; `None` without a home.
pub(crate) fn default_path() -> Option<PathBuf> {
    let folder = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")));
    state.map(|state| state.join("uringcast/history"))
}

/// Makes `file` and its folder where they are missing, shortens it where it has grown too long, and gives
/// back its lines, the oldest first.
pub(crate) fn load(file: &Path) -> io::Result<Vec<String>> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let is_special = fs::metadata(file).is_ok_and(|file| !file.is_file());
    if is_special {
        return Ok(Vec::new());
    }
    let text = match fs::read(file) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let is_escaped = text.starts_with(FIRST_LINE);
    let lines = text.lines().skip(usize::from(is_escaped));
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let kept = &lines[lines.len().saturating_sub(LINES_MAX)..];
    let kept: Vec<String> = match is_escaped {
        true => kept.iter().map(|line| unescape(line)).collect(),
        false => kept.iter().map(|&line| line.to_owned()).collect(),
    };
    if !is_escaped || lines.len() > 2 * LINES_MAX {
        replace(file, &kept)?;
    }
    Ok(kept)
}

/// Adds `line`.
pub(crate) fn append(file: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).open(file)?;
    file.write_all(format!("{}\n", escape(line)).as_bytes())
}

/// Writes `lines` beside `file`, readable by its owner alone, and puts them in its place.
fn replace(file: &Path, lines: &[String]) -> io::Result<()> {
    // What a symbolic link points to is replaced, and not the link.
    let file = &fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let mut beside = file.to_owned().into_os_string();
    beside.push(format!(".{}", process::id()));
    let beside = PathBuf::from(beside);
    let text = lines.iter().fold(format!("{FIRST_LINE}\n"), |text, line| {
        text + &escape(line) + "\n"
    });
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let written = options.open(&beside).and_then(|mut to| {
        to.write_all(text.as_bytes())?;
        to.sync_all()?;
        fs::rename(&beside, file)
    });
    if written.is_err() {
        // What is left of it is of no use, and may not even be there.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn escape(line: &str) -> String {
    line.replace('\\', "\\\\").replace('\n', "\\n")
}

fn unescape(line: &str) -> String {
    let mut characters = line.chars();
    let mut text = String::with_capacity(line.len());
    while let Some(character) = characters.next() {
        match (character, character == '\\') {
            (_, true) => match characters.next() {
                Some('n') => text.push('\n'),
                Some(other) => text.push(other),
                None => text.push('\\'),
            },
            (character, false) => text.push(character),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("below/history");
        assert!(load(&file).unwrap().is_empty());
        let lines = ["one", "a\\nb\\", "two\nlines"];
        lines.iter().for_each(|line| append(&file, line).unwrap());
        assert_eq!(load(&file).unwrap(), lines);
    }

    #[test]
    fn a_long_file_is_shortened_to_the_newest_lines_and_an_unescaped_one_is_converted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("history");
        let lines: Vec<String> = (0..=2 * LINES_MAX)
            .map(|number| format!("{number}\\n"))
            .collect();
        fs::write(&file, lines.join("\n")).unwrap();
        let newest = &lines[lines.len() - LINES_MAX..];
        assert_eq!(load(&file).unwrap(), newest);
        assert_eq!(
            fs::read_to_string(&file).unwrap().lines().count(),
            1 + LINES_MAX
        );
        assert_eq!(load(&file).unwrap(), newest);
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "something is left beside it"
        );
    }

    #[test]
    fn what_cannot_be_replaced_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("history");
        fs::write(&file, "old\n").unwrap();
        let beside = folder.path().join(format!("history.{}", process::id()));
        fs::create_dir(&beside).unwrap();
        assert!(load(&file).is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "old\n");
    }
}
