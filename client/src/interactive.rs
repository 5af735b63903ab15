//! A person at a terminal: the line editor below, messages and notices above it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustyline::ExternalPrinter as _;
use signal_hook::consts::SIGINT;

use crate::command_line::Settings;
use crate::display::{self, Colours, Tabs};
use crate::editor::LineEditor;
use crate::inbox::{Event, Inbox, Sender, Typed};
use crate::output::Output;
use crate::screen::Screen;
use crate::session::{Outcome, Session, notice_text};
use crate::terminal;
use crate::wire::Message;
use protocol::SERVER_NAME;

/// A longer name would push the text off the screen.
const NAME_COLUMNS_MAX: usize = 32;
/// The last words are given so long to be drawn in order.
const LAST_WORDS_MAX: Duration = Duration::from_millis(200);

/// Runs a session on the terminal, and restores it.
pub(crate) fn run(settings: &Settings, inbox: Inbox, sender: Sender) -> io::Result<Outcome> {
    let screen = Arc::new(Screen::default());
    let (ready, readied) = mpsc::channel();
    let colours = settings.colours();
    let output = OnScreen {
        screen: Arc::clone(&screen),
        ready,
        colours,
        timestamps: settings.timestamps,
    };
    terminal::enter()?;
    let editor = LineEditor::new(screen, sender.clone(), readied, colours);
    let started = editor.and_then(|editor| start(editor, settings, &output));
    let outcome = match started {
        Ok(()) => converse(settings, inbox, sender, output),
        Err(error) => {
            terminal::restore();
            return Err(io::Error::other(error));
        }
    };
    Ok(outcome)
}

fn start(mut editor: LineEditor, settings: &Settings, output: &OnScreen) -> rustyline::Result<()> {
    let mut printer = editor.printer()?;
    let (screen, colours) = (Arc::clone(&output.screen), output.colours);
    thread::spawn(move || {
        screen.feed(
            |count| skipped_text(colours, count),
            |text| printer.print(text),
        );
    });
    let mut history = settings.history_file();
    if let Some(file) = &history
        && let Err(problem) = editor.load_history(file)
    {
        output.screen.push(colours.trouble(&problem));
        history = None;
    }
    let name = settings.name.clone();
    thread::spawn(move || editor.run(name, history.as_deref()));
    Ok(())
}

fn converse(settings: &Settings, inbox: Inbox, sender: Sender, output: OnScreen) -> Outcome {
    let mut inbox = inbox;
    let Some(name) = await_name(&mut inbox) else {
        output.close();
        return Outcome::Done;
    };
    let mut output = output;
    output.ready();
    let (outcome, output) = Session::new(settings, name, inbox, sender, output).run();
    output.close();
    outcome
}

/// The name, or `None` if the person or a signal wants to leave before there is one.
fn await_name(inbox: &mut Inbox) -> Option<String> {
    loop {
        inbox.wait();
        inbox.acknowledge();
        while let Some(event) = inbox.event() {
            if !matches!(event, Event::Signal(SIGINT)) {
                return None;
            }
        }
        match inbox.typed() {
            Some(Typed::Name(name)) => return Some(name),
            Some(_) => return None,
            None => {}
        }
    }
}
struct OnScreen {
    screen: Arc<Screen>,
    ready: mpsc::Sender<()>,
    colours: Colours,
    timestamps: bool,
}

impl OnScreen {
    fn push(&self, line: &str) {
        let stamp = if self.timestamps {
            self.colours.aside(&display::time_of_day()) + " "
        } else {
            String::new()
        };
        self.screen.push(format!("{stamp}{line}"));
    }

    /// Restores the terminal and shows what was not shown yet.
    fn close(self) {
        let colours = self.colours;
        let rest = self
            .screen
            .close(LAST_WORDS_MAX, |count| skipped_text(colours, count));
        terminal::restore();
        terminal::write_out(&rest);
    }
}

impl Output for OnScreen {
    fn message(&mut self, message: &Message) -> io::Result<()> {
        let shown = display::name(&message.name, NAME_COLUMNS_MAX);
        let shown = self.colours.name(&message.name, &shown);
        let text = display::safe(&message.text, Tabs::Spaces);
        self.push(&format!("{shown} > {text}"));
        Ok(())
    }

    fn server_notice(&mut self, text: &[u8]) {
        let notice = format!("{SERVER_NAME} > {}", notice_text(text));
        self.push(&self.colours.server(&notice));
    }

    fn aside(&mut self, text: &str) {
        self.push(&self.colours.aside(&format!("-- {text}")));
    }

    fn trouble(&mut self, text: &str) {
        self.push(&self.colours.trouble(&format!("-- {text}")));
    }

    fn ready(&mut self) {
        self.screen.begin_line();
        // The editor is gone only when it has said so.
        let _ = self.ready.send(());
    }

    fn skipped(&self) -> u64 {
        self.screen.skipped()
    }
}

fn skipped_text(colours: Colours, count: u64) -> String {
    let messages = if count == 1 { "message" } else { "messages" };
    colours.trouble(&format!(
        "-- {count} {messages} skipped: the screen could not keep up"
    ))
}
