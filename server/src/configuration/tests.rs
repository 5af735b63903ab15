//! What wins over what, and what an error says.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::io::Write;

use super::*;
use tempfile::NamedTempFile;

/// A file that is gone with this value.
fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn load(
    file: Option<&NamedTempFile>,
    variables: &[(&str, &str)],
    flags: &[&str],
) -> Result<Configuration, ConfigurationError> {
    let mut arguments = vec![OsString::from("server")];
    if let Some(file) = file {
        arguments.extend(["--config".into(), file.path().into()]);
    }
    arguments.extend(flags.iter().map(OsString::from));
    let variables = variables
        .iter()
        .map(|&(name, value)| (name.into(), value.into()));
    Configuration::load_with(&arguments, variables)
}

fn setting<'c>(configuration: &'c Configuration, option: &str) -> &'c Setting {
    let mut settings = configuration.settings.iter();
    settings.find(|it| it.option == option).unwrap()
}

fn says(file: &NamedTempFile) -> String {
    let error = load(Some(file), &[], &[]).unwrap_err().to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    let place = file.path().display().to_string();
    error.strip_prefix(&place).unwrap_or(&error).into()
}

#[test]
fn a_flag_goes_before_a_variable_before_the_file_before_the_default() {
    let file = file("threads = 2\nlog-bytes = 1_000_000\n\nmax-clients = 5\n");
    let variables = [
        ("URINGCAST_THREADS", "3"),
        ("URINGCAST_LOG_BYTES", "2000000"),
    ];
    let all = load(Some(&file), &variables, &["--threads", "4"]).unwrap();
    let said = |option| {
        let setting = setting(&all, option);
        (setting.values[0].as_str(), setting.origin.clone())
    };
    assert_eq!(said("threads"), ("4", Origin::CommandLine));
    let variable = Origin::Environment("URINGCAST_LOG_BYTES".into());
    assert_eq!(said("log-bytes"), ("2000000", variable));
    let line = Origin::File(file.path().into(), 4);
    assert_eq!(said("max-clients"), ("5", line));
    assert_eq!(said("driver"), ("auto", Origin::Default));
}

#[test]
fn a_switch_can_be_switched_off_again() {
    let file = file("pin = true\n");
    let value = |flags: &[&str]| {
        let all = load(Some(&file), &[("URINGCAST_BINARY", "true")], flags).unwrap();
        (
            setting(&all, "pin").values[0].clone(),
            setting(&all, "binary").values[0].clone(),
        )
    };
    assert_eq!(value(&[]), ("true".into(), "true".into()));
    assert_eq!(value(&["--pin=false"]), ("false".into(), "true".into()));
    assert_eq!(
        value(&["--binary=false", "--pin"]),
        ("true".into(), "false".into())
    );
}

#[test]
fn the_environment_may_name_the_file_and_what_it_names_in_vain_is_told() {
    let file = file("threads = 2\n");
    let path = file.path().to_str().unwrap();
    let variables = [
        ("URINGCAST_CONFIG", path),
        ("URINGCAST_TREADS", "1"),
        ("HOME", "/"),
        ("URINGCAST_NAME", "of the client"),
    ];
    let all = load(None, &variables, &[]).unwrap();
    assert_eq!(setting(&all, "threads").values, ["2"]);
    assert_eq!(all.unknown_variables, ["URINGCAST_TREADS"]);
}

#[test]
fn an_error_names_the_line_and_the_remedy() {
    let unknown = says(&file("# ours\nthreads = 1\nmax-client = 3\n"));
    assert_eq!(
        unknown,
        ":3: there is no option max-client; did you mean max-clients?"
    );
    let strange = says(&file("zzz = 1\n"));
    assert!(strange.contains("server default-config"), "{strange}");
    let value = says(&file("\ndrain-timeout = \"soon\"\n"));
    assert!(
        value.starts_with(":2: ") && value.contains("such as 250ms"),
        "{value}"
    );
    let range = says(&file("threads = 0\n"));
    assert!(
        range.starts_with(":1: ") && range.contains("1..=1024"),
        "{range}"
    );
    let choice = says(&file("driver = \"kqueue\"\n"));
    assert!(choice.contains("possible values: auto, uring"), "{choice}");
    let kind = says(&file("threads = 1.5\n"));
    assert_eq!(kind, ":1: threads takes no float; write threads = 1");
    let table = says(&file("[server]\nthreads = 1\n"));
    assert!(
        table.starts_with(":1: there is no option server"),
        "{table}"
    );
    let syntax = says(&file("threads = 1\nlisten = :9989\n"));
    assert!(syntax.starts_with(":2: "), "{syntax}");
    let twice = says(&file("threads = 1\nthreads = 2\n"));
    assert!(twice.starts_with(":2: "), "{twice}");
    let itself = says(&file("config = \"other.toml\"\n"));
    assert!(
        itself.starts_with(":1: there is no option config"),
        "{itself}"
    );
}

#[test]
fn a_wrong_variable_and_a_missing_file_are_named() {
    let variable = load(None, &[("URINGCAST_THREADS", "none")], &[]).unwrap_err();
    let variable = variable.to_string();
    assert!(
        variable.starts_with("environment URINGCAST_THREADS: invalid value 'none'"),
        "{variable}"
    );
    let file = load(None, &[("URINGCAST_CONFIG", "/nowhere/server.toml")], &[]).unwrap_err();
    assert!(
        file.to_string()
            .starts_with("cannot read /nowhere/server.toml: ")
    );
}

#[test]
fn no_variable_of_another_program_is_taken_for_an_option() {
    let command = command();
    for variable in environment::OTHERS {
        let option = variable["URINGCAST_".len()..]
            .to_lowercase()
            .replace('_', "-");
        assert!(options::find(&command, &option).is_none(), "{variable}");
    }
}

#[test]
fn what_is_printed_has_the_same_effect() {
    let said = file("listen = \"127.0.0.1:0\"\nlog = \"warn,server=debug\"\nbinary = true\n");
    let before = load(Some(&said), &[], &["--coalesce=5ms"]).unwrap();
    let printed = file(&effective(&before));
    let after = load(Some(&printed), &[], &[]).unwrap();
    let values = |all: &Configuration| -> Vec<_> {
        all.settings
            .iter()
            .map(|it| (it.option.clone(), it.values.clone()))
            .collect()
    };
    assert_eq!(values(&after), values(&before));
    assert!(effective(&before).contains("# command line\n"));
}

#[test]
fn the_packaged_file_has_every_option_at_its_default() {
    let packaged = include_str!("../../dist/server.toml");
    assert_eq!(
        packaged,
        commented_defaults(&command()),
        "renew it: server default-config >server/dist/server.toml"
    );
    let with = load(Some(&file(packaged)), &[], &[]).unwrap();
    let without = load(None, &[], &[]).unwrap();
    for (with, without) in with.settings.iter().zip(&without.settings) {
        assert_eq!(with.values, without.values, "{}", with.option);
    }
}

#[test]
fn what_does_not_go_together_is_named_where_it_was_said() {
    let file = file("history = 5\nannounce-presence = true\nlog-bytes = 5\n");
    let error = load(Some(&file), &[], &[]).unwrap().check().unwrap_err();
    let place = format!("{}:3: ", file.path().display());
    assert!(error.to_string().starts_with(&place), "{error}");
    let error = load(None, &[("URINGCAST_LOG_BYTES", "5")], &[]).unwrap();
    let error = error.check().unwrap_err().to_string();
    assert!(
        error.starts_with("environment URINGCAST_LOG_BYTES: a log of 5 bytes"),
        "{error}"
    );
}
