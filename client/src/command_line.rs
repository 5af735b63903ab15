//! The command line and the environment, turned into settings that need no further checking.
//!
//! Whatever is wrong is said in one line that names the thing, the value and what to do.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser};
use cli::{DURATION_MAX, Describe, Section};
use protocol::text;

use crate::colours::{Colours, When};
use crate::history;

/// The longest message, in bytes, that is sent or shown unless `--max-message-bytes` says
/// otherwise: the server's own default.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// The shortest `--idle-exit`.
const IDLE_MIN: Duration = Duration::from_millis(1);
/// No name is longer than this, in bytes; a server may be stricter.
const NAME_BYTES_MAX: usize = 1024;

/// A chat client for the terminal and for pipes.
///
/// On a terminal: type to talk, /help for the commands. Anywhere else every line of standard input
/// is one message and every message received is one line of standard output, `name > text`;
/// everything else goes to standard error.
#[derive(Debug, Parser)]
#[command(
    name = "client",
    version,
    max_term_width = 100,
    allow_negative_numbers = true,
    after_help = cli::help_sections(SECTIONS),
    args_conflicts_with_subcommands = true
)]
struct Arguments {
    #[command(subcommand)]
    task: Option<Describe>,

    /// Server to connect to, HOST:PORT
    #[arg(
        long,
        value_name = "ADDR",
        env = "URINGCAST_ADDR",
        default_value = "127.0.0.1:9989"
    )]
    addr: String,

    /// Name to chat under; asked for on a terminal, the login name in a pipe
    #[arg(long, value_name = "NAME", env = "URINGCAST_NAME")]
    name: Option<String>,

    /// Connect again when the server is lost, after growing pauses of up to 30 s
    #[arg(long)]
    reconnect: bool,

    /// Say when each message came
    #[arg(long)]
    timestamps: bool,

    /// Colours: a name always has the same one
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    color: When,

    /// Leave after N messages have been received
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Leave when nothing was sent or received for this long: 500ms, 2s, 1.5m, 1h
    #[arg(long, value_name = "DURATION", value_parser = cli::duration_within(IDLE_MIN..=DURATION_MAX))]
    idle_exit: Option<Duration>,

    /// Only receive: standard input is not read
    #[arg(long)]
    no_send: bool,

    /// One JSON object a line: {"name":"ann","text":"hello"}
    #[arg(long)]
    json: bool,

    /// Bytes as they are, both ways: no check, no harmless form
    #[arg(long, conflicts_with = "json")]
    raw: bool,

    /// Longest message sent or shown, in bytes; longer ones are skipped with a notice
    #[arg(long, value_name = "BYTES", default_value_t = MESSAGE_BYTES_MAX,
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1 << 30))]
    max_message_bytes: usize,

    /// File that keeps what was typed between runs
    #[arg(long, value_name = "FILE", env = "URINGCAST_CLIENT_HISTORY")]
    history: Option<PathBuf>,

    /// Keep no history, whatever --history says
    #[arg(long)]
    no_history: bool,

    /// Say on standard error when the connection comes, too
    #[arg(long, short)]
    verbose: bool,
}

const SECTIONS: &[Section] = &[
    Section {
        title: "When it leaves",
        entries: &[(
            "",
            "In a pipe the client leaves when standard input ends: all lines were handed over, the server was \
             told that no more will come, and has taken leave. With --count or --idle-exit it stays for answers \
             until these say so; with --no-send it stays until it is stopped.",
        )],
    },
    Section {
        title: "Exit status",
        entries: &[
            ("0", "Done, also on SIGTERM"),
            (
                "1",
                "The server was lost, something was not sent or the client could not start",
            ),
            ("2", "Wrong usage"),
            ("130", "Interrupted"),
        ],
    },
    Section {
        title: "Examples",
        entries: &[
            ("printf 'a\\nb\\n' | client --name bot --idle-exit 1s", ""),
            ("client --no-send --json | jq -r .text", ""),
            ("timeout 60 client --no-send | tee log", ""),
        ],
    },
];

/// What the client was asked to do.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `HOST:PORT`.
    pub address: String,
    /// The name, if one was given: fit to be sent.
    pub name: Option<String>,
    /// Whether a person sits at both ends: line editing, commands, prompt.
    pub interactive: bool,
    /// Whether a lost server is dialled again.
    pub reconnect: bool,
    /// Whether messages are shown with the time they came.
    pub timestamps: bool,
    /// Colours of what goes to standard output.
    pub colours: Colours,
    /// Leave after so many messages received.
    pub count: Option<u64>,
    /// Leave when nothing came or went for so long.
    pub idle_exit: Option<Duration>,
    /// Whether lines are read and sent.
    pub send: bool,
    /// How messages are written in a pipe.
    pub format: Format,
    /// The longest message sent or shown, in bytes.
    pub message_bytes_max: usize,
    /// Where the history is kept, if it is.
    pub history: Option<PathBuf>,
    /// Whether to say on standard error that the connection came.
    pub verbose: bool,
}

/// How messages are written in a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `name > text`, made harmless.
    Plain,
    /// `name > text`, bytes as they came.
    Raw,
    /// One JSON object a line.
    Json,
}

/// Why there are no settings.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// Help, the version, the manual or a completion script was asked for: print it and be done.
    Answer(String),
    /// One line that says what is wrong and what to do.
    Usage(String),
    /// The system does not let the client begin: one line that says why.
    Unable(String),
}

impl Settings {
    /// Reads `arguments` (the program's name first) and the environment, and looks whether
    /// standard input and output are terminals.
    ///
    /// # Errors
    /// What was asked for instead, or what is wrong with the arguments.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, Stop> {
        let words: Vec<OsString> = arguments.into_iter().collect();
        let terminal = io::stdin().is_terminal() && io::stdout().is_terminal() && can_edit();
        let arguments = Arguments::try_parse_from(&words).map_err(|error| stop(&error))?;
        match arguments.task {
            Some(task) => {
                let program = cli::program(&words, "client");
                let text = task.text(Arguments::command(), &program, SECTIONS);
                Err(Stop::Answer(text))
            }
            None => Self::new(arguments, terminal),
        }
    }

    fn new(arguments: Arguments, terminal: bool) -> Result<Self, Stop> {
        check_address(&arguments.addr)?;
        let interactive = terminal && !arguments.json && !arguments.raw && !arguments.no_send;
        let history = match (interactive, arguments.no_history) {
            (true, false) => arguments.history.or_else(history::default_path),
            _ => None,
        };
        Ok(Self {
            address: arguments.addr,
            name: arguments.name.map(|name| check_option(&name)).transpose()?,
            interactive,
            reconnect: arguments.reconnect,
            timestamps: arguments.timestamps,
            colours: Colours::for_stdout(arguments.color),
            count: arguments.count,
            idle_exit: arguments.idle_exit,
            send: !arguments.no_send,
            format: match (arguments.json, arguments.raw) {
                (true, _) => Format::Json,
                (false, true) => Format::Raw,
                (false, false) => Format::Plain,
            },
            message_bytes_max: arguments.max_message_bytes,
            history,
            verbose: arguments.verbose,
        })
    }
}

/// `name`, if it is fit to be sent.
///
/// # Errors
/// Says which rule it breaks.
pub fn check_name(name: &str) -> Result<&str, String> {
    if name.trim().is_empty() {
        return Err("name is empty: give one that others can see".to_owned());
    }
    text::name(name.as_bytes(), NAME_BYTES_MAX).map_err(|error| error.to_string())
}

/// The name in a pipe where none was given: whoever is logged in.
///
/// # Errors
/// When the environment does not say who that is, or it is no fit name.
pub fn login_name() -> Result<String, Stop> {
    ["USER", "LOGNAME"]
        .iter()
        .filter_map(|variable| std::env::var(variable).ok())
        .find(|name| check_name(name).is_ok())
        .ok_or_else(|| Stop::Usage("no name to chat under: give one with --name".to_owned()))
}

fn check_option(name: &str) -> Result<String, Stop> {
    check_name(name)
        .map(str::to_owned)
        .map_err(|error| Stop::Usage(format!("--name: {error}")))
}

fn check_address(address: &str) -> Result<(), Stop> {
    let problem = match address.rsplit_once(':') {
        None => "it has no port",
        Some(("", _)) => "it has no host",
        Some((host, _)) if host.contains(':') && !host.starts_with('[') => {
            "an IPv6 address needs brackets"
        }
        Some((_, port)) if port.parse::<u16>().is_ok_and(|port| port > 0) => return Ok(()),
        Some(_) => "its port is not a number from 1 to 65535",
    };
    Err(Stop::Usage(format!(
        "--addr '{}': {problem}; give HOST:PORT, for example 127.0.0.1:9989 or [::1]:9989",
        address.escape_debug()
    )))
}

/// The editor needs a terminal that can move its cursor.
fn can_edit() -> bool {
    std::env::var("TERM")
        .is_ok_and(|term| !matches!(term.as_str(), "" | "dumb" | "cons25" | "emacs"))
}

fn stop(error: &clap::Error) -> Stop {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Stop::Answer(error.to_string()),
        _ => Stop::Usage(cli::usage_error(error, "client")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str], terminal: bool) -> Result<Settings, Stop> {
        let arguments = ["client"].iter().chain(arguments);
        Arguments::try_parse_from(arguments)
            .map_err(|error| stop(&error))
            .and_then(|arguments| Settings::new(arguments, terminal))
    }

    fn refusal(arguments: &[&str]) -> String {
        match parse(arguments, true) {
            Err(Stop::Usage(text)) => text,
            other => panic!("{arguments:?} gave {other:?}"),
        }
    }

    #[test]
    fn refusals_are_one_line_that_says_what_to_do() {
        for (arguments, expected) in [
            (
                &["--addr", "localhost"][..],
                "it has no port; give HOST:PORT",
            ),
            (
                &["--addr", "h:99999"],
                "its port is not a number from 1 to 65535",
            ),
            (&["--addr", "::1:9989"], "an IPv6 address needs brackets"),
            (&["--name", "*server*"], "--name: name begins with '*'"),
            (
                &["--name", "a\x1b[2J"],
                "--name: name holds the control character",
            ),
            (&["--name", " "], "--name: name is empty"),
            (&["--count", "0"], "'--count <N>'"),
            (&["--idle-exit", "1 dya"], "such as 250ms, 10s or 2min"),
            (&["--idle-exit", "0s"], "shorter than 1ms"),
            (&["--idle-exit", "9999999999d"], "longer than 365 days"),
            (
                &["--max-message-bytes", "0"],
                "'--max-message-bytes <BYTES>'",
            ),
            (&["--json", "--raw"], "cannot be used with"),
            (&["--nonsense"], "unexpected argument '--nonsense'"),
            (
                &["--jso"],
                "found; tip: a similar argument exists: '--json'; see 'client --help'",
            ),
        ] {
            let said = refusal(arguments);
            assert!(said.contains(expected), "{arguments:?} said: {said}");
            assert!(!said.contains('\n'), "{said}");
        }
    }

    #[test]
    fn a_person_is_served_only_where_one_can_sit() {
        assert!(parse(&[], true).unwrap().interactive);
        assert!(!parse(&[], false).unwrap().interactive);
        for option in ["--json", "--raw", "--no-send"] {
            assert!(!parse(&[option], true).unwrap().interactive, "{option}");
        }
        assert_eq!(parse(&["--no-history"], true).unwrap().history, None);
    }

    #[test]
    fn the_manual_and_the_completions_know_every_flag() {
        for asked in [
            &["man"][..],
            &["completions", "bash"],
            &["completions", "zsh"],
            &["completions", "fish"],
        ] {
            let words = ["/usr/bin/uringcast-client"]
                .iter()
                .chain(asked)
                .map(OsString::from);
            let Err(Stop::Answer(text)) = Settings::parse(words) else {
                panic!("{asked:?} gave no text");
            };
            assert!(text.contains("uringcast-client"), "{text}");
            for argument in Arguments::command().get_arguments() {
                let long = argument.get_long().unwrap();
                let escaped = long.replace('-', "\\-");
                assert!(
                    text.contains(long) || text.contains(&escaped),
                    "{asked:?} lacks {long}"
                );
            }
        }
        assert!(refusal(&["completions", "csh"]).contains("bash"));
        assert!(refusal(&["--json", "man"]).contains("cannot be used with"));
    }

    #[test]
    fn the_command_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
