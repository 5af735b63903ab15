//! The configuration: flag over environment over file over default.
//!
//! The command line's definition is the only list of options. The key of an option in the file is its
//! long flag, its variable is `URINGCAST_` and the flag in capitals, and values are written alike in
//! all three. What the file and the environment say is tried by itself, so that an error can name the
//! place, and then put before the arguments that were given, as if it had been typed there.

mod environment;
mod file;
mod options;
mod rendering;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, FromArgMatches};
use thiserror::Error;

use crate::command_line::{CommandLine, RELOADABLE};
pub(crate) use options::command;
pub(crate) use rendering::{commented_defaults, effective};

/// What all sources together say.
#[derive(Debug)]
pub(crate) struct Configuration {
    /// The options, as if all had been given on the command line.
    pub(crate) command_line: CommandLine,
    /// Each option, where its value comes from, in the order of `--help`.
    pub(crate) settings: Vec<Setting>,
    /// Variables that look like ours and name no option.
    pub(crate) unknown_variables: Vec<String>,
}

/// The value of one option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Its long flag, without the dashes.
    pub(crate) option: String,
    /// As it was written; none for an option that is not given and has no default.
    pub(crate) values: Vec<String>,
    /// Who says so.
    pub(crate) origin: Origin,
    /// Whether a running server can take another value.
    pub(crate) reloadable: bool,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A flag.
    CommandLine,
    /// This variable.
    Environment(String),
    /// This line of the file.
    File(PathBuf, usize),
    /// The option was not given.
    Default,
}

/// Why there is no configuration. Each is one line that says what to do, except for clap's own.
#[derive(Debug, Error)]
pub(crate) enum ConfigurationError {
    /// The command line is wrong, or asks for help.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// The file is not to be had.
    #[error("cannot read {}: {error}; name a TOML file that can be read with --config", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// The file, the environment or the values together are wrong.
    #[error("{origin}: {problem}")]
    Wrong {
        /// Where.
        origin: Origin,
        /// What, and what to do.
        problem: String,
    },
}

/// An option that is not a flag of the command line, as if it were.
#[derive(Debug)]
struct Said {
    option: String,
    values: Vec<String>,
    origin: Origin,
}

impl Configuration {
    /// Reads all sources; `arguments` begin with the program's name.
    ///
    /// # Errors
    /// See [`ConfigurationError`].
    pub(crate) fn load(arguments: &[OsString]) -> Result<Self, ConfigurationError> {
        Self::load_with(arguments, std::env::vars_os())
    }

    fn load_with(
        arguments: &[OsString],
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigurationError> {
        let command = command();
        let given = command.clone().try_get_matches_from(arguments)?;
        let environment = environment::read(&command, variables)?;
        let file = given.get_one::<PathBuf>(options::FILE).cloned();
        let file = match file.or(environment.file) {
            Some(file) => file::read(&command, file)?,
            None => Vec::new(),
        };
        let is_flag = |said: &Said| is_given(&given, &said.option);
        let mut lower: Vec<Said> = environment.said;
        for said in file {
            if lower.iter().all(|above| above.option != said.option) {
                lower.push(said);
            }
        }
        lower.retain(|said| !is_flag(said));
        let inserted = lower.iter().flat_map(Said::as_arguments);
        let (program, rest) = arguments.split_at(arguments.len().min(1));
        let all = program.iter().cloned();
        let all = all.chain(inserted.map(OsString::from));
        let all = all.chain(rest.iter().cloned());
        let matches = command.clone().try_get_matches_from(all)?;
        let settings = options::of(&command)
            .map(|arg| Setting::of(arg, &matches, &lower))
            .collect();
        Ok(Self {
            command_line: CommandLine::from_arg_matches(&matches)?,
            settings,
            unknown_variables: environment.unknown,
        })
    }

    /// Whether the values go together.
    ///
    /// # Errors
    /// When they do not.
    pub(crate) fn check(&self) -> Result<(), ConfigurationError> {
        let options = ["log-bytes", "max-message-bytes"];
        let checked = self.command_line.check();
        checked.map_err(|error| self.wrong(&options, &error))
    }

    /// The error for a problem that `options` have together: it names the first of them that was not
    /// left at its default.
    fn wrong(&self, options: &[&str], problem: &impl fmt::Display) -> ConfigurationError {
        let find = |option: &&str| self.settings.iter().find(|it| it.option == *option);
        let mut said = options.iter().filter_map(find).map(|it| &it.origin);
        let origin = said.find(|origin| **origin != Origin::Default);
        ConfigurationError::Wrong {
            origin: origin.cloned().unwrap_or(Origin::CommandLine),
            problem: problem.to_string(),
        }
    }
}

/// The command line that says all of `settings`.
///
/// # Errors
/// When they do not go together.
pub(crate) fn command_line_of(settings: &[Setting]) -> Result<CommandLine, clap::Error> {
    let said = settings.iter().flat_map(|setting| {
        let flag = |value| format!("--{}={value}", setting.option);
        setting.values.iter().map(flag)
    });
    let arguments = std::iter::once(String::new()).chain(said);
    CommandLine::from_arg_matches(&command().try_get_matches_from(arguments)?)
}

impl Setting {
    /// Its value in one line.
    pub(crate) fn text(&self) -> String {
        match &self.values[..] {
            [] => "not set".into(),
            values => values.join(", "),
        }
    }

    fn of(arg: &clap::Arg, matches: &ArgMatches, lower: &[Said]) -> Self {
        let option = options::name(arg);
        let raw = matches.get_raw(arg.get_id().as_str());
        let values = raw.into_iter().flatten();
        let origin = match lower.iter().find(|said| said.option == option) {
            Some(said) => said.origin.clone(),
            None if is_given(matches, &option) => Origin::CommandLine,
            None => Origin::Default,
        };
        Self {
            values: values.map(|it| it.to_string_lossy().into()).collect(),
            origin,
            reloadable: arg.get_help_heading() == Some(RELOADABLE),
            option,
        }
    }
}

impl Said {
    fn as_arguments(&self) -> impl Iterator<Item = String> {
        let flag = |value| format!("--{}={value}", self.option);
        self.values.iter().map(flag)
    }

    /// Has clap look at it alone.
    fn check(&self, command: &clap::Command) -> Result<(), ConfigurationError> {
        let arguments = std::iter::once(String::new()).chain(self.as_arguments());
        match command.clone().try_get_matches_from(arguments) {
            Ok(_) => Ok(()),
            Err(error) => Err(ConfigurationError::Wrong {
                origin: self.origin.clone(),
                problem: options::problem(&error),
            }),
        }
    }
}

fn is_given(matches: &ArgMatches, option: &str) -> bool {
    matches.value_source(&options::id(option)) == Some(ValueSource::CommandLine)
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::File(file, line) => write!(f, "{}:{line}", file.display()),
            Self::Default => f.write_str("default"),
        }
    }
}
