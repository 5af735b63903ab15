//! The reports of results/: which program writes each, with which arguments, and how it is run.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::process::{self, Running};

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Whole,
    Quick,
    /// So little that figures mean nothing.
    Trial,
}

/// A folder of results/.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Report {
    pub(super) folder: String,
    /// What is measured, in the words of the index.
    pub(super) what: String,
    /// The program that writes it, with `--out` and these arguments.
    program: String,
    whole: String,
    quick: String,
    /// Nothing where there is no small load.
    trial: Option<String>,
}

/// A report as it was made; an entry of results/index.json.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Made {
    pub(super) folder: String,
    pub(super) command: String,
    pub(super) took_seconds: f64,
    /// Of its program: 0, or 3 when a bound is missed or a run is invalid.
    pub(super) exit_status: i32,
    /// What was measured: the commit of the build, and whether it had changes. `None` without git.
    pub(super) commit: Option<String>,
}

/// Exit statuses of a report that was made.
const MADE: [i32; 2] = [0, 3];

/// No report takes longer.
const TIME_MAX: Duration = Duration::from_secs(20 * 60);

impl Report {
    /// Its arguments; `None` if it has none to that extent.
    fn arguments(&self, extent: Extent) -> Option<String> {
        let arguments = match extent {
            Extent::Whole => &self.whole,
            Extent::Quick => &self.quick,
            Extent::Trial => self.trial.as_ref()?,
        };
        let arguments = format!("{arguments} --out results/{}", self.folder);
        Some(arguments.trim().to_owned())
    }

    /// Renews the report's folder under `root`; `None` if it is not made to that extent.
    ///
    /// # Errors
    /// In one line: what kept it from being made. The folder is then as it was.
    pub(super) fn make(&self, root: &Path, extent: Extent) -> Result<Option<Made>, String> {
        let folder = root.join("results").join(&self.folder);
        let failed = |error: io::Error| format!("{}: {error}", self.program);
        let Some(arguments) = self.arguments(extent) else {
            return remove(&folder).map(|()| None).map_err(failed);
        };
        let command = format!("{} {arguments}", self.program);
        eprintln!("\n== {}: {command}", self.what);
        let began = Instant::now();
        let kept = folder.with_extension("old");
        remove(&kept).map_err(failed)?;
        let has_old = fs::rename(&folder, &kept).is_ok();
        let ran = self.run(root, &arguments).and_then(|status| match status {
            Some(code) if MADE.contains(&code) => Ok(code),
            Some(code) => Err(io::Error::other(format!("{command}: exit status {code}"))),
            None => Err(io::Error::other(format!(
                "{command}: not over after {TIME_MAX:?}"
            ))),
        });
        if ran.is_err() && has_old {
            remove(&folder).map_err(failed)?;
            fs::rename(&kept, &folder).map_err(failed)?;
        }
        let exit_status = ran.map_err(failed)?;
        remove(&kept).map_err(failed)?;
        Ok(Some(Made {
            folder: self.folder.clone(),
            command,
            took_seconds: began.elapsed().as_secs_f64(),
            exit_status,
            commit: loadgen::commit().map(str::to_owned),
        }))
    }

    /// Runs the program, which is of this build: it lies beside this one, or is a part of it.
    fn run(&self, root: &Path, arguments: &str) -> io::Result<Option<i32>> {
        let this = std::env::current_exe()?;
        let mut command = if self.program == "loadgen" {
            let mut command = Command::new(this);
            command.arg(process::LOADGEN);
            command
        } else {
            Command::new(this.with_file_name(&self.program))
        };
        command.args(arguments.split_whitespace()).current_dir(root);
        command.stdout(Stdio::null());
        let status = Running::start(&mut command)?.wait(TIME_MAX)?;
        Ok(status.map(|status| status.code().unwrap_or(-1)))
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
