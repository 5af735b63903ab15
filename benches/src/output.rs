//! Where results go: figures for a person, and JSON where it was asked for.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::Error;

/// The outputs of one program.
#[derive(Debug)]
pub struct Output {
    json: Json,
}

#[derive(Debug)]
enum Json {
    Nowhere,
    /// Text for a person then goes to standard error.
    StandardOutput,
    File(PathBuf, File),
}

impl Output {
    /// Opens what `--json` names: a file, or standard output as `-`. A result that could not be
    /// written is so found out before it is measured.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn open(json: Option<&Path>) -> Result<Self, Error> {
        let json = match json {
            None => Json::Nowhere,
            Some(path) if path == "-" => Json::StandardOutput,
            Some(path) => {
                let file = File::create(path).map_err(|error| unwritten(path, error))?;
                Json::File(path.to_owned(), file)
            }
        };
        Ok(Self { json })
    }

    /// Says something to a person.
    pub fn say(&self, text: &str) {
        // Whoever closed the terminal does not want to know.
        let _ = match self.json {
            Json::StandardOutput => writeln!(io::stderr(), "{text}"),
            Json::Nowhere | Json::File(..) => writeln!(io::stdout(), "{text}"),
        };
    }

    /// Writes the result, in words and as JSON.
    ///
    /// # Errors
    /// When the JSON cannot be written.
    pub fn write(self, text: &str, result: &impl Serialize) -> Result<(), Error> {
        self.say(text.trim_end());
        match self.json {
            Json::Nowhere => Ok(()),
            Json::StandardOutput => write_json(io::stdout(), Path::new("-"), result),
            Json::File(path, file) => write_json(file, &path, result),
        }
    }
}

fn write_json(mut to: impl Write, path: &Path, result: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(result).map_err(io::Error::from);
    text.and_then(|text| writeln!(to, "{text}"))
        .map_err(|error| unwritten(path, error))
}

fn unwritten(path: &Path, error: io::Error) -> Error {
    Error::Write {
        path: path.display().to_string(),
        error,
    }
}
