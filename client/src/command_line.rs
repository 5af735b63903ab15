//! The command line and the environment, checked. What is wrong is said in one line that names the
//! option, the value and what to write.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{ColorChoice, CommandFactory as _, Parser};
use cli::{DURATION_MAX, Describe, Section};
use protocol::text;

use crate::address::Address;
use crate::display::Colours;
use crate::history;

/// The shortest `--idle-exit` and `--linger`.
const TIME_MIN: Duration = Duration::from_millis(1);
/// No name is longer than this, in bytes; a server may be stricter.
const NAME_BYTES_MAX: usize = 1024;

/// A chat client for the terminal and for pipes.
///
/// On a terminal: type a line to send it; /help lists the commands. In a pipe: each line of standard input
/// is sent as one message, and each message received is written to standard output as `name > text`.
/// Everything else goes to standard error.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "client",
    version,
    max_term_width = 100,
    allow_negative_numbers = true,
    after_help = cli::help_sections(SECTIONS),
    args_conflicts_with_subcommands = true
)]
pub(crate) struct Settings {
    #[command(subcommand)]
    task: Option<Describe>,

    /// Connect to HOST:PORT in the frames protocol, or to ws://HOST:PORT/PATH over WebSocket (default:
    /// port 80, path /ws)
    #[arg(long, env = "URINGCAST_ADDR", default_value = "127.0.0.1:9989", value_parser = Address::parse)]
    pub(crate) addr: Address,

    /// Chat under NAME [default: asked for on a terminal, else the login name]
    #[arg(long, env = "URINGCAST_NAME", value_parser = |text: &str| check_name(text).map(str::to_owned))]
    pub(crate) name: Option<String>,

    /// Reconnect when the connection is lost, after growing pauses of up to 30 s. Over ws:// the client
    /// then gets what it missed, if the server still has it (its --history)
    #[arg(long)]
    pub(crate) reconnect: bool,

    /// Begin each line with the time the message was received
    #[arg(long)]
    pub(crate) timestamps: bool,

    /// Colour names; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", default_value_t)]
    color: ColorChoice,

    /// Leave after receiving N messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,

    /// Leave after TIME without a message in either direction, such as 500ms, 2s or 1.5m
    #[arg(long, value_name = "TIME", value_parser = cli::duration_within(TIME_MIN..=DURATION_MAX))]
    pub(crate) idle_exit: Option<Duration>,

    /// Before leaving, wait up to TIME for the server to close the connection, or over ws:// to accept all
    /// lines. Otherwise lines may not have arrived, and the exit status is 1. After a signal, wait at most
    /// 2 s; on a terminal, at most 1 s
    #[arg(long, value_name = "TIME", default_value = "10s",
          value_parser = cli::duration_within(TIME_MIN..=DURATION_MAX))]
    pub(crate) linger: Duration,

    /// Do not read standard input, only receive
    #[arg(long)]
    no_send: bool,

    /// Write each message as one JSON object a line: {"name":"ann","text":"hello"}, over ws:// with its
    /// position
    #[arg(long)]
    json: bool,

    /// Send and write bytes unchanged: do not check for UTF-8 (but ws:// sends only text), do not escape
    /// control characters
    #[arg(long, conflicts_with = "json")]
    raw: bool,

    /// Skip messages longer than BYTES, sent or received, with a notice
    #[arg(long, value_name = "BYTES", default_value_t = 64 * 1024,
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1 << 30))]
    pub(crate) max_message_bytes: usize,

    /// Keep the lines typed on a terminal in FILE, for the next run [default: ~/.local/state/uringcast/history]
    #[arg(long, value_name = "FILE", env = "URINGCAST_CLIENT_HISTORY")]
    history: Option<PathBuf>,

    /// Keep no history, whatever --history says
    #[arg(long)]
    no_history: bool,

    /// Report each connection on standard error
    #[arg(long, short)]
    pub(crate) verbose: bool,

    /// Whether a person sits at both ends: line editing, commands, prompt.
    #[arg(skip)]
    pub(crate) interactive: bool,
}

const SECTIONS: &[Section] = &[
    Section {
        title: "Leaving",
        entries: &[(
            "",
            "In a pipe the client leaves when standard input ends. With --count or --idle-exit it leaves \
             when these say so, with --no-send when it is stopped. To leave, it sends what is left, closes \
             its side of the connection, and waits for the server to close the other (--linger).",
        )],
    },
    Section {
        title: "Exit status",
        entries: &[
            (
                "0",
                "Every line was sent, then the server closed the connection in order; or none was typed",
            ),
            (
                "1",
                "No connection, the server was lost, or a line was not sent or may not have arrived",
            ),
            ("2", "Wrong usage"),
            ("130", "Interrupted"),
            (
                "",
                "Over ws:// the server accepts each line, and status 0 means that it accepted all. At \
                 HOST:PORT nothing is acknowledged: status 0 means that the server read every line and \
                 closed the connection without an error or a refusal. Whether it relayed a line, only other \
                 clients see.",
            ),
        ],
    },
    Section {
        title: "What is shown",
        entries: &[(
            "",
            "Characters that act on a terminal, reorder text or do not show are written as ^X or \
             <U+XXXX>. So is a name that looks like the server's. --json writes them as \\uXXXX, --raw \
             unchanged.",
        )],
    },
    Section {
        title: "Examples",
        entries: &[
            ("printf 'a\\nb\\n' | client --name bot --idle-exit 1s", ""),
            ("client --no-send --json | jq -r .text", ""),
            ("timeout 60 client --no-send | tee log", ""),
            ("client --addr ws://chat.example:9989 --reconnect", ""),
        ],
    },
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// `name > text`, made harmless.
    Plain,
    /// `name > text`, bytes as they came.
    Raw,
    /// One JSON object a line.
    Json,
}

impl Settings {
    /// Reads `words` (the program's name first) and the environment, and looks whether a person sits at
    /// both ends. Answers help, the manual and wrong usage itself: then there is only an exit status.
    pub(crate) fn parse(words: &[OsString]) -> Result<Self, ExitCode> {
        let mut settings =
            Self::try_parse_from(words).map_err(|error| cli::refuse(&error, "client", "client"))?;
        if let Some(task) = settings.task {
            let program = cli::program(words, "client");
            let text = task.text(Self::command(), &program, SECTIONS);
            return Err(cli::print_or_fail(&text, "client"));
        }
        let terminal = io::stdin().is_terminal() && io::stdout().is_terminal() && can_edit();
        settings.interactive = terminal && settings.format() == Format::Plain && settings.sends();
        Ok(settings)
    }

    pub(crate) fn sends(&self) -> bool {
        !self.no_send
    }

    pub(crate) fn format(&self) -> Format {
        match (self.json, self.raw) {
            (true, _) => Format::Json,
            (false, true) => Format::Raw,
            (false, false) => Format::Plain,
        }
    }

    pub(crate) fn colours(&self) -> Colours {
        Colours::for_stdout(self.color)
    }

    /// Where the history is kept, if it is.
    pub(crate) fn history_file(&self) -> Option<PathBuf> {
        let file = self.history.clone().or_else(history::default_path);
        file.filter(|_| self.interactive && !self.no_history)
    }
}

/// `name`, if it is fit to be sent.
pub(crate) fn check_name(name: &str) -> Result<&str, String> {
    if name.trim().is_empty() {
        return Err("name is empty: give one that others can see".to_owned());
    }
    text::name(name.as_bytes(), NAME_BYTES_MAX).map_err(|error| error.to_string())
}

/// The name in a pipe where none was given: that of the login.
pub(crate) fn login_name() -> Option<String> {
    ["USER", "LOGNAME"]
        .iter()
        .filter_map(|variable| std::env::var(variable).ok())
        .find(|name| check_name(name).is_ok())
}

/// The editor needs a terminal that can move its cursor.
fn can_edit() -> bool {
    std::env::var("TERM")
        .is_ok_and(|term| !matches!(term.as_str(), "" | "dumb" | "cons25" | "emacs"))
}
