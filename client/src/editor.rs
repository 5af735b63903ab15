//! The line editor's thread: lines with history go to the inbox, and what is shown is drawn above
//! the line being typed.
//!
//! After each line the editor waits until the session has dealt with it, so that an answer stands
//! before the next prompt, and `/quit` is not followed by one.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use rustyline::completion::Completer;
use rustyline::config::{BellStyle, ColorMode, Config};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{
    Cmd, ConditionalEventHandler, Context, Editor, Event, EventContext, EventHandler,
    ExternalPrinter, Helper, KeyEvent, RepeatCount,
};

use crate::command_line::check_name;
use crate::display::{self, Colours};
use crate::history;
use crate::inbox::{Sender, Typed};
use crate::screen::Screen;
use crate::terminal;

/// The tutorial's own words.
const NAME_PROMPT: &str = "Username: ";
/// A prompt that fills the line leaves no room to type.
const PROMPT_COLUMNS_MAX: usize = 24;

pub(crate) struct LineEditor {
    editor: Editor<Hooks, MemHistory>,
    screen: Arc<Screen>,
    sender: Sender,
    ready: mpsc::Receiver<()>,
    colours: Colours,
    /// Whether the line that was interrupted was an empty one.
    nothing_typed: Arc<AtomicBool>,
}

impl LineEditor {
    /// An editor that leaves lines with `sender`, waits for `ready` after each, and draws what
    /// `screen` holds.
    pub(crate) fn new(
        screen: Arc<Screen>,
        sender: Sender,
        ready: mpsc::Receiver<()>,
        colours: Colours,
    ) -> rustyline::Result<Self> {
        let config = Config::builder()
            .auto_add_history(false)
            .bell_style(BellStyle::None)
            // Colours are decided elsewhere; the hooks are called only where they are on.
            .color_mode(ColorMode::Forced)
            .history_ignore_dups(true)?
            .max_history_size(history::LINES_MAX)?
            .build();
        let nothing_typed = Arc::new(AtomicBool::new(false));
        let mut editor = Editor::with_config(config)?;
        editor.set_helper(Some(Hooks {
            screen: Arc::clone(&screen),
        }));
        for key in ['C', 'D', 'Z'] {
            let handler = Keys {
                screen: Arc::clone(&screen),
                nothing_typed: Arc::clone(&nothing_typed),
            };
            editor.bind_sequence(
                KeyEvent::ctrl(key),
                EventHandler::Conditional(Box::new(handler)),
            );
        }
        Ok(Self {
            editor,
            screen,
            sender,
            ready,
            colours,
            nothing_typed,
        })
    }

    /// What draws above the line being typed.
    pub(crate) fn printer(&mut self) -> rustyline::Result<impl ExternalPrinter + Send + use<>> {
        self.editor.create_external_printer()
    }

    /// Loads what `file` holds; says why if the history cannot be kept there.
    pub(crate) fn load_history(&mut self, file: &Path) -> Result<(), String> {
        let lines = history::load(file).map_err(|error| {
            let file = file.display();
            format!("no history: cannot use {file}: {error} (--no-history)")
        })?;
        for line in lines {
            // The editor refuses none but repeated and empty lines.
            let _ = self.editor.add_history_entry(line);
        }
        Ok(())
    }

    /// Asks for a name until a fit one is given, unless there is one; then reads lines until the
    /// input ends.
    pub(crate) fn run(mut self, name: Option<String>, history: Option<&Path>) {
        let Some(name) = name.or_else(|| self.ask_name()) else {
            return self.sender.typed(Typed::Ended(None));
        };
        let shown = display::name(name.as_bytes(), PROMPT_COLUMNS_MAX);
        self.sender.typed(Typed::Name(name.clone()));
        let coloured = self.colours.name(name.as_bytes(), &shown);
        let prompt = (format!("{shown} > "), format!("{coloured} > "));
        while self.ready.recv().is_ok() {
            match self.read_line(&prompt) {
                Ok(line) => {
                    self.remember(&line, history);
                    self.sender.typed(Typed::Line(line.into_bytes()));
                }
                Err(end) => return self.sender.typed(Typed::Ended(end)),
            }
        }
    }

    fn ask_name(&mut self) -> Option<String> {
        loop {
            self.screen.begin_line();
            let name = self.read_line(NAME_PROMPT).ok()?;
            match check_name(name.trim()) {
                Ok(name) => return Some(name.to_owned()),
                Err(problem) => self.screen.push(self.colours.trouble(&problem)),
            }
        }
    }

    /// The next line, or why there is none: an ordinary end has no reason.
    fn read_line<P: rustyline::Prompt + ?Sized>(
        &mut self,
        prompt: &P,
    ) -> Result<String, Option<String>> {
        loop {
            let read = self.editor.readline(prompt);
            self.screen.close_gate();
            match read {
                Ok(line) => {
                    self.screen.end_line();
                    return Ok(line);
                }
                Err(ReadlineError::Interrupted) => {
                    if self.nothing_typed.swap(false, Ordering::Relaxed) {
                        let hint = self.colours.aside("Ctrl-D or /quit leaves");
                        self.screen.push(hint);
                    }
                }
                Err(end) => {
                    self.screen.end_line();
                    return Err(match end {
                        ReadlineError::Eof => None,
                        error => Some(format!("cannot read the keyboard: {error}")),
                    });
                }
            }
        }
    }

    /// Appends at once: the history is kept however the client ends, and several clients share it.
    fn remember(&mut self, line: &str, file: Option<&Path>) {
        let added = self.editor.add_history_entry(line).unwrap_or(false);
        if let (true, Some(file)) = (added, file) {
            // It was said at the start if the file cannot be used.
            let _ = history::append(file, line);
        }
    }
}

/// What the editor calls while it works, and by which the screen knows when it may print.
struct Hooks {
    screen: Arc<Screen>,
}

impl Helper for Hooks {}

impl Completer for Hooks {
    type Candidate = String;
}

impl Hinter for Hooks {
    type Hint = String;

    /// Called before a line is drawn, in raw mode for certain.
    fn hint(&self, _line: &str, _pos: usize, _ctx: &Context<'_>) -> Option<String> {
        self.screen.open_gate();
        None
    }
}

impl Validator for Hooks {
    /// Called on Enter, while still in raw mode.
    fn validate(&self, _ctx: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        self.screen.close_gate();
        Ok(ValidationResult::Valid(None))
    }
}

impl Highlighter for Hooks {
    /// Called whenever the line is drawn, also after a print.
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(
        &'s self,
        prompt: &'p str,
        _default: bool,
    ) -> std::borrow::Cow<'b, str> {
        self.screen.drawn();
        std::borrow::Cow::Borrowed(prompt)
    }
}

/// The keys that leave the line other than by Enter.
struct Keys {
    screen: Arc<Screen>,
    nothing_typed: Arc<AtomicBool>,
}

impl ConditionalEventHandler for Keys {
    fn handle(
        &self,
        event: &Event,
        _n: RepeatCount,
        _positive: bool,
        context: &EventContext<'_>,
    ) -> Option<Cmd> {
        let empty = context.line().is_empty();
        let key = event.get(0).copied()?;
        if key == KeyEvent::ctrl('Z') {
            self.screen.close_gate();
            terminal::suspend();
            self.screen.open_gate();
            return Some(Cmd::Repaint);
        }
        if key == KeyEvent::ctrl('C') {
            self.nothing_typed.store(empty, Ordering::Relaxed);
            self.screen.close_gate();
            return Some(Cmd::Interrupt);
        }
        if empty {
            self.screen.close_gate();
            return Some(Cmd::EndOfFile);
        }
        None
    }
}
