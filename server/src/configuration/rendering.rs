//! The configuration as a TOML file: the effective one with its origins, and the defaults with the
//! help of each option.

use std::fmt::Write;

use clap::{Arg, ArgAction, Command};

use super::{Configuration, Origin, options};
use crate::command_line::RELOADABLE;

/// Columns of a commented file.
const COLUMNS: usize = 98;

/// Every option with its value and who says so; a file that has the same effect.
pub(crate) fn effective(configuration: &Configuration) -> String {
    let mut text = String::new();
    for setting in &configuration.settings {
        let line = match &setting.values[..] {
            [] => format!("#{} =", setting.option),
            [one] => format!("{} = {}", setting.option, quoted(one)),
            several => {
                let each: Vec<_> = several.iter().map(|it| quoted(it)).collect();
                format!("{} = [{}]", setting.option, each.join(", "))
            }
        };
        let origin = match (&setting.origin, setting.values.is_empty()) {
            (Origin::Default, true) => "not set".into(),
            (origin, _) => origin.to_string(),
        };
        let _ = writeln!(text, "{line:<40} # {origin}");
    }
    text
}

/// A file that says what is so without it, with what each option does.
pub(crate) fn commented_defaults(command: &Command) -> String {
    let mut text = String::from(
        "# The configuration of the server: every option with its default.\n\
         # A flag (--max-clients=10) overrides a variable (URINGCAST_MAX_CLIENTS=10), and a variable\n\
         # overrides this file. Check it with: server --check-config --config FILE\n",
    );
    let (reloadable, fixed): (Vec<&Arg>, Vec<&Arg>) =
        options::of(command).partition(|arg| arg.get_help_heading() == Some(RELOADABLE));
    section(&mut text, "Options that need a restart", &fixed);
    section(
        &mut text,
        "Options that SIGHUP changes in a running server, too",
        &reloadable,
    );
    text
}

fn section(text: &mut String, title: &str, options: &[&Arg]) {
    let _ = writeln!(text, "\n\n# {title}");
    for arg in options {
        text.push('\n');
        let help = arg.get_long_help().or(arg.get_help());
        let help = help.map(ToString::to_string).unwrap_or_default();
        help.lines().for_each(|line| comment(text, line));
        for possible in arg.get_possible_values() {
            if !matches!(possible.get_name(), "true" | "false") {
                let help = possible.get_help().map(ToString::to_string);
                let help = help.unwrap_or_default();
                comment(text, &format!("- {}: {help}", possible.get_name()));
            }
        }
        let option = options::name(arg);
        let _ = match arg.get_default_values() {
            [] => writeln!(text, "#{option} = {}", quoted(&value_name(arg))),
            defaults => {
                let default = defaults[0].to_string_lossy();
                writeln!(text, "{option} = {}", quoted(&default))
            }
        };
    }
}

/// One paragraph as comments of up to [`COLUMNS`] columns.
fn comment(text: &mut String, paragraph: &str) {
    let mut line = String::from("#");
    for word in paragraph.split_whitespace() {
        if line.len() + 1 + word.len() > COLUMNS {
            let _ = writeln!(text, "{line}");
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(text, "{line}");
}

/// What the value of an option is called.
pub(super) fn value_name(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    let name = names.first().map(ToString::to_string).unwrap_or_default();
    match arg.get_action() {
        ArgAction::Append => format!("{name}..."),
        _ => name,
    }
}

/// A value of TOML: numbers and switches as they are, all else in quotes.
pub(super) fn quoted(value: &str) -> String {
    let plain = matches!(value, "true" | "false")
        || value
            .parse::<i64>()
            .is_ok_and(|number| number.to_string() == value);
    if plain {
        return value.into();
    }
    let mut text = String::from('"');
    for character in value.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            character if character.is_control() => {
                let _ = write!(text, "\\u{:04X}", u32::from(character));
            }
            character => text.push(character),
        }
    }
    text.push('"');
    text
}
