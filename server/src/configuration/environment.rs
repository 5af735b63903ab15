//! The environment: `URINGCAST_` and an option's flag in capitals, such as `URINGCAST_MAX_CLIENTS`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Command;

use super::{ConfigurationError, Origin, Said, options};

/// What all of our variables begin with.
const PREFIX: &str = "URINGCAST_";

/// Those that the client and the tests read, in whose environment a server may run.
pub(super) const OTHERS: [&str; 8] = [
    "URINGCAST_ADDR",
    "URINGCAST_CLIENT_HISTORY",
    "URINGCAST_NAME",
    "URINGCAST_NO_SKIP",
    "URINGCAST_SEED",
    "URINGCAST_SEEDS",
    "URINGCAST_TORTURE",
    "URINGCAST_TORTURE_DRIVER",
];

/// What the environment says.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// Options with their values, each checked by itself.
    pub(super) said: Vec<Said>,
    /// `URINGCAST_CONFIG`.
    pub(super) file: Option<PathBuf>,
    /// Ours by their beginning, but no option's.
    pub(super) unknown: Vec<String>,
}

/// Takes our variables out of `variables`.
pub(super) fn read(
    command: &Command,
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Environment, ConfigurationError> {
    let mut environment = Environment::default();
    for (variable, value) in variables {
        let Some(variable) = variable.to_str().filter(|it| it.starts_with(PREFIX)) else {
            continue;
        };
        let option = variable[PREFIX.len()..]
            .to_ascii_lowercase()
            .replace('_', "-");
        if option == options::FILE {
            environment.file = Some(value.into());
            continue;
        }
        let Some(arg) = options::find(command, &option) else {
            if !OTHERS.contains(&variable) {
                environment.unknown.push(variable.into());
            }
            continue;
        };
        let option = options::name(arg);
        let origin = Origin::Environment(variable.into());
        let Ok(value) = value.into_string() else {
            let problem = "not UTF-8; write plain text".into();
            return Err(ConfigurationError::Wrong { origin, problem });
        };
        let said = Said {
            option,
            values: vec![value],
            origin,
        };
        said.check(command)?;
        environment.said.push(said);
    }
    Ok(environment)
}
