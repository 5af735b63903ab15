//! The file: TOML, one key an option, no tables. A value is written as on the command line; numbers
//! and switches may stand without quotes.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use clap::{ArgAction, Command};
use toml::de::{DeTable, DeValue};

use super::{ConfigurationError, Origin, Said, options};

/// Reads `file`, and checks each of its lines by itself.
pub(super) fn read(command: &Command, file: PathBuf) -> Result<Vec<Said>, ConfigurationError> {
    match fs::read_to_string(&file) {
        Ok(text) => Source { file, text }.options(command),
        Err(error) => Err(ConfigurationError::Unreadable { file, error }),
    }
}

struct Source {
    file: PathBuf,
    text: String,
}

impl Source {
    fn options(&self, command: &Command) -> Result<Vec<Said>, ConfigurationError> {
        let table = DeTable::parse(&self.text).map_err(|error| {
            let place = error.span().unwrap_or_default();
            let message = error.message().replace('\n', ", ");
            self.wrong(
                &place,
                format!("{message}; write option = value, see server default-config"),
            )
        })?;
        let mut said = Vec::new();
        for (key, value) in table.get_ref() {
            let option: &str = key.get_ref();
            let Some(arg) = options::find(command, option) else {
                return Err(self.wrong(&key.span(), unknown(command, option)));
            };
            let many = matches!(arg.get_action(), ArgAction::Append);
            let values = values(value.get_ref(), many).ok_or_else(|| {
                let problem = format!(
                    "{option} takes no {}; write {option} = {}",
                    value.get_ref().type_str(),
                    example(arg)
                );
                self.wrong(&value.span(), problem)
            })?;
            let one = Said {
                option: options::name(arg),
                values,
                origin: self.origin(&key.span()),
            };
            one.check(command)?;
            said.push(one);
        }
        Ok(said)
    }

    fn wrong(&self, place: &Range<usize>, problem: String) -> ConfigurationError {
        ConfigurationError::Wrong {
            origin: self.origin(place),
            problem,
        }
    }

    fn origin(&self, place: &Range<usize>) -> Origin {
        let before = self.text.as_bytes().iter().take(place.start);
        let line = 1 + before.filter(|&&byte| byte == b'\n').count();
        Origin::File(self.file.clone(), line)
    }
}

/// The values as they would be typed; `None` for a kind of value that no option has.
fn values(value: &DeValue<'_>, many: bool) -> Option<Vec<String>> {
    let one = match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Boolean(switch) => switch.to_string(),
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().replace('_', ""),
        DeValue::Array(values) if many => {
            let each = values.iter().map(|it| self::values(it.get_ref(), false));
            return each.collect::<Option<Vec<_>>>().map(|it| it.concat());
        }
        _ => return None,
    };
    Some(vec![one])
}

fn unknown(command: &Command, option: &str) -> String {
    let remedy = match options::suggestion(command, option) {
        Some(meant) => format!("did you mean {meant}?"),
        None => "server default-config lists them all".into(),
    };
    format!("there is no option {option}; {remedy}")
}

/// A value that the option takes, or what it is a value of.
fn example(arg: &clap::Arg) -> String {
    let default = arg.get_default_values().first();
    let default = default.map(|it| it.to_string_lossy().into_owned());
    super::rendering::quoted(&default.unwrap_or_else(|| super::rendering::value_name(arg)))
}
