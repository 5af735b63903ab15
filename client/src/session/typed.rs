//! What was typed, or read from standard input: messages to be sent, and commands.

use super::{Goal, Outcome, PATIENCE_MAX, Session, State, lines_text};
use crate::display;
use crate::inbox::Typed;
use crate::output::Output;

/// In a pipe, lines are taken only while less than this is unsent, in bytes.
const UNSENT_BYTES_MAX: usize = 256 * 1024;
/// What a person typed while the server was away is kept up to this, in bytes.
const KEPT_BYTES_MAX: usize = 4 * 1024 * 1024;
const HELP: &[&str] = &[
    "/help    this list",
    "/stats   what was sent and received, and since when",
    "/who     who is there, if the server tells",
    "/quit    leave (so does Ctrl-D on an empty line)",
    "//text   say \"/text\" instead of running a command",
    "Keys: Ctrl-C clears the line, Up and Down walk through the history, Ctrl-R searches it,",
    "Ctrl-L clears the screen. A paste of several lines is sent line by line on Enter.",
];

impl<O: Output> Session<'_, O> {
    /// Takes what there is and there is room for; says whether that was anything.
    pub(crate) fn take_typed(&mut self) -> bool {
        let mut taken = false;
        while matches!(self.goal, Goal::Chat) && self.has_room() && self.take_one() {
            taken = true;
        }
        taken
    }

    /// Takes one thing that was typed; says whether there was one.
    pub(crate) fn take_one(&mut self) -> bool {
        let typed = self.inbox.typed();
        let taken = typed.is_some();
        if let Some(typed) = typed {
            self.typed(typed);
        }
        taken
    }

    /// A pipe waits for the socket; a person does not.
    fn has_room(&self) -> bool {
        self.settings.interactive || self.outgoing.bytes() < UNSENT_BYTES_MAX
    }

    fn typed(&mut self, typed: Typed) {
        match typed {
            Typed::Line(line) if self.settings.interactive => self.typed_by_person(&line),
            Typed::Line(line) => self.say(&line),
            Typed::Refused(reason) => self.refuse(&reason),
            Typed::Name(_) => unreachable!("the name is asked for before the session begins"),
            Typed::Ended(reason) => {
                self.input_ended = true;
                if let Some(reason) = reason {
                    self.output.trouble(&reason);
                    self.failed = true;
                }
                if self.settings.interactive {
                    self.leave(Outcome::Done, PATIENCE_MAX);
                }
            }
        }
    }

    fn typed_by_person(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        match parse(&line) {
            Command::Say(lines) => {
                let said = !lines.is_empty();
                for line in lines {
                    self.say(line.as_bytes());
                }
                if said && !matches!(self.state, State::Up(_)) {
                    let waiting = lines_text(self.outgoing.lines());
                    self.output
                        .trouble(&format!("no connection: {waiting} not sent yet, kept"));
                }
            }
            Command::Quit => return self.leave(Outcome::Done, PATIENCE_MAX),
            Command::Help => HELP.iter().for_each(|line| self.output.aside(line)),
            Command::Stats => {
                let (waiting, skipped) = (self.outgoing.lines(), self.output.skipped());
                for line in self
                    .stats
                    .lines(&self.settings.addr.to_string(), waiting, skipped)
                {
                    self.output.aside(&line);
                }
            }
            Command::Who => self.output.aside(&self.roster.line()),
            Command::Unknown(line) => self.output.trouble(&format!(
                "unknown command {}; /help lists all, //text says /text",
                display::name(line.as_bytes(), 40)
            )),
        }
        self.output.ready();
    }

    fn say(&mut self, text: &[u8]) {
        let limit = self.settings.max_message_bytes;
        if text.len() > limit {
            return self.refuse(&format!(
                "not sent: message of {} bytes is over the limit of {limit} (--max-message-bytes)",
                text.len()
            ));
        }
        if self.settings.interactive && self.outgoing.bytes() > KEPT_BYTES_MAX {
            return self
                .refuse("not sent and not kept: too much is waiting for the server already");
        }
        self.outgoing.push(text);
    }

    fn refuse(&mut self, reason: &str) {
        // A person reads it and goes on.
        self.failed |= !self.settings.interactive;
        self.output.trouble(reason);
    }
}

/// A typed line, understood.
enum Command<'a> {
    /// Send these lines, one message each; none for an empty line.
    Say(Vec<&'a str>),
    Quit,
    Help,
    Stats,
    Who,
    /// Begins with `/` and is none of ours.
    Unknown(&'a str),
}

/// Understands one typed line. Several lines can only come from a paste, and a paste is never a
/// command.
fn parse(line: &str) -> Command<'_> {
    if line.contains(['\n', '\r']) {
        let lines = line.split(['\n', '\r']);
        return Command::Say(lines.filter(|line| !line.is_empty()).collect());
    }
    if line.is_empty() {
        return Command::Say(Vec::new());
    }
    match line.strip_prefix('/') {
        None => Command::Say(vec![line]),
        Some(rest) if rest.starts_with('/') => Command::Say(vec![rest]),
        Some(rest) => match rest.trim_end() {
            "quit" | "exit" => Command::Quit,
            "help" => Command::Help,
            "stats" => Command::Stats,
            "who" => Command::Who,
            _ => Command::Unknown(line),
        },
    }
}
