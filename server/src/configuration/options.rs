//! The options that a file and the environment may set, as the command line defines them.

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command, CommandFactory, value_parser};

use crate::command_line::CommandLine;

/// The option that names the file; the file cannot name itself.
pub(super) const FILE: &str = "config";

/// Options that say what to do with a configuration, and are not part of it.
const ABOUT: [&str; 3] = [FILE, "check_config", "print_config"];

/// The command line, with switches that also take `=true` and `=false`: what a file switched on can
/// be switched off again.
pub(crate) fn command() -> Command {
    CommandLine::command().mut_args(|arg| match arg.get_action() {
        ArgAction::SetTrue if !is_about(&arg) => arg
            .action(ArgAction::Set)
            .value_parser(value_parser!(bool))
            .value_name("true|false")
            .hide_possible_values(true)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .default_value("false")
            .hide_default_value(true),
        _ => arg,
    })
}

/// The options that a file may set.
pub(super) fn of(command: &Command) -> impl Iterator<Item = &Arg> {
    let options = command.get_arguments();
    options.filter(|arg| arg.get_long().is_some() && !is_about(arg))
}

/// The option of this name, which may be one that it had in an earlier version.
pub(super) fn find<'c>(command: &'c Command, name: &str) -> Option<&'c Arg> {
    of(command).find(|arg| {
        let earlier = arg.get_all_aliases().unwrap_or_default();
        arg.get_long() == Some(name) || earlier.contains(&name)
    })
}

/// The name of an option: its long flag.
pub(super) fn name(arg: &Arg) -> String {
    arg.get_long().unwrap_or_default().into()
}

/// What clap calls the option of this name: the name of the field.
pub(super) fn id(name: &str) -> String {
    name.replace('-', "_")
}

/// What clap says about an option, in one line.
pub(super) fn problem(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let first_paragraph = text.lines().map(str::trim).take_while(|it| !it.is_empty());
    first_paragraph.collect::<Vec<_>>().join(" ")
}

/// The option that was probably meant by a name that is none.
pub(super) fn suggestion(command: &Command, name: &str) -> Option<String> {
    let arguments = [String::new(), format!("--{name}=")];
    let error = command.clone().try_get_matches_from(arguments).err()?;
    match error.get(ContextKind::SuggestedArg)? {
        ContextValue::String(flag) => {
            let name = flag.trim_start_matches('-');
            let name = name.split([' ', '=', '[']).next()?;
            find(command, name).map(self::name)
        }
        _ => None,
    }
}

fn is_about(arg: &Arg) -> bool {
    ABOUT.contains(&arg.get_id().as_str())
}
