//! The bounded queue before the screen.
//!
//! The session pushes lines and never waits. A thread of its own hands the lines to
//! the line editor, which draws them above the line being typed. When the screen cannot keep up,
//! the oldest lines make room for the newest, and their number is shown in their place.
//!
//! The editor's printer writes straight to the terminal while no line is being edited, which may
//! fall into the very moment the editor draws or leaves its line, and tear it. So a *gate* is open
//! only while a line is being edited for certain, and closing it waits for a print under way.
//!
//! At the end the editor must not draw any more, or it would draw over the restored terminal, and
//! it cannot be interrupted. So it is nudged to draw once more, and kept in the hook it calls then.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

pub(crate) const LINES_MAX: usize = 1000;
const LINES_PER_PRINT_MAX: usize = 50;
/// A print that lasts longer waits for the editor (which prefers keys to prints), and is harmless
/// then: it is past the moment at which it decides where to write.
const PRINT_DECIDES_WITHIN: Duration = Duration::from_millis(5);
/// Prints that were handed over and may not be drawn: one in the editor's channel, one before it.
const UNDRAWN_MAX: usize = 2;
/// A print that shows nothing: one line up and down again.
const NUDGE: &str = "\x1b[A\n";

/// The queue, shared by those who show, the printing thread and the editor.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<String>,
    /// How many lines were dropped in front of `lines`, since that was last said.
    gap: u64,
    /// How many were dropped since the beginning.
    skipped: u64,
    /// The editor works on a line, or is about to.
    editing: bool,
    gate_open: bool,
    printing: Printing,
    /// The editor draws no more.
    halted: bool,
    /// No more is printed: the rest is for [`Screen::close`].
    closed: bool,
    /// What was handed to the editor since it last drew.
    undrawn: VecDeque<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Printing {
    /// There is none.
    #[default]
    No,
    /// It may still decide to write straight to the terminal.
    Deciding,
    /// It waits for the editor.
    Decided,
}

impl Screen {
    /// Queues one line, without its end. Never waits.
    pub(crate) fn push(&self, line: String) {
        let mut state = self.lock();
        if state.lines.len() == LINES_MAX {
            state.lines.pop_front();
            state.gap += 1;
            state.skipped += 1;
        }
        state.lines.push_back(line);
        self.changed.notify_all();
    }

    pub(crate) fn skipped(&self) -> u64 {
        self.lock().skipped
    }

    /// The editor may begin a line.
    pub(crate) fn begin_line(&self) {
        self.lock().editing = true;
    }

    /// The editor has left its line.
    pub(crate) fn end_line(&self) {
        self.lock_or_halt().editing = false;
    }

    /// A line is being edited: printing is safe.
    pub(crate) fn open_gate(&self) {
        let mut state = self.lock_or_halt();
        if !state.gate_open {
            state.gate_open = true;
            self.changed.notify_all();
        }
    }

    /// The line being edited is about to be left: nothing is printed any more.
    pub(crate) fn close_gate(&self) {
        let mut state = self.lock_or_halt();
        state.gate_open = false;
        let deciding = |state: &mut State| state.printing == Printing::Deciding;
        state = self.wait_while(state, PRINT_DECIDES_WITHIN, deciding);
        if state.printing == Printing::Deciding {
            state.printing = Printing::Decided;
        }
    }

    /// The editor is drawing what it was handed, or a key.
    pub(crate) fn drawn(&self) {
        let mut state = self.lock_or_halt();
        if state.undrawn.pop_front().is_some() {
            self.changed.notify_all();
        }
    }

    /// Hands lines to `print` until the screen is closed; `notice` words the line that stands for a
    /// number of skipped ones. Returns when `print` fails, too: there is no terminal any more.
    pub(crate) fn feed<E>(
        &self,
        notice: impl Fn(u64) -> String,
        mut print: impl FnMut(String) -> Result<(), E>,
    ) {
        loop {
            let mut state = self
                .changed
                .wait_while(self.lock(), |state| {
                    !(state.closed || (state.gate_open && state.has_lines()))
                })
                .unwrap_or_else(PoisonError::into_inner);
            if state.closed {
                let gate_open = state.gate_open;
                drop(state);
                if gate_open {
                    let _ = print(NUDGE.to_owned());
                }
                return;
            }
            let text = state.take(LINES_PER_PRINT_MAX, &notice);
            state.undrawn.push_back(text.clone());
            if state.undrawn.len() > UNDRAWN_MAX {
                state.undrawn.pop_front();
            }
            state.printing = Printing::Deciding;
            drop(state);
            let printed = print(text);
            self.lock().printing = Printing::No;
            self.changed.notify_all();
            if printed.is_err() {
                return;
            }
        }
    }

    /// Ends the printing, halts the editor, and returns what was not drawn. Gives what is left a
    /// moment to be drawn, and the editor one to halt, each at most `patience`.
    pub(crate) fn close(&self, patience: Duration, notice: impl Fn(u64) -> String) -> String {
        let undrawn = |state: &mut State| {
            state.gate_open
                && (state.has_lines()
                    || state.printing != Printing::No
                    || !state.undrawn.is_empty())
        };
        let mut state = self.wait_while(self.lock(), patience, undrawn);
        state.closed = true;
        self.changed.notify_all();
        state = self.wait_while(state, patience, |state| state.editing && !state.halted);
        let mut rest: String = state.undrawn.drain(..).collect();
        rest += &state.take(usize::MAX, &notice);
        rest
    }

    fn wait_while<'s>(
        &self,
        state: MutexGuard<'s, State>,
        patience: Duration,
        condition: impl FnMut(&mut State) -> bool,
    ) -> MutexGuard<'s, State> {
        self.changed
            .wait_timeout_while(state, patience, condition)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    /// For the editor's thread, which goes no further once the screen is closed.
    fn lock_or_halt(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        if !state.closed {
            return state;
        }
        state.halted = true;
        self.changed.notify_all();
        drop(state);
        loop {
            thread::park();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_lines(&self) -> bool {
        !self.lines.is_empty()
    }

    /// The next lines, each with its end; in front of them what stands for those skipped.
    fn take(&mut self, lines_max: usize, notice: &impl Fn(u64) -> String) -> String {
        let mut text = String::new();
        if self.gap > 0 {
            text += &notice(self.gap);
            text.push('\n');
            self.gap = 0;
        }
        for line in self.lines.drain(..lines_max.min(self.lines.len())) {
            text += &line;
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    fn notice(skipped: u64) -> String {
        format!("[{skipped}]")
    }

    /// A screen whose prints go to the receiver, which sets the pace.
    fn fed() -> (Arc<Screen>, mpsc::Receiver<String>) {
        let screen = Arc::new(Screen::default());
        let (sender, receiver) = mpsc::sync_channel(0);
        let feeder = Arc::clone(&screen);
        thread::spawn(move || feeder.feed(notice, |text| sender.send(text)));
        (screen, receiver)
    }

    #[test]
    fn nothing_is_printed_while_the_gate_is_closed() {
        let (screen, prints) = fed();
        screen.push("one".to_owned());
        assert!(prints.recv_timeout(Duration::from_millis(50)).is_err());
        screen.open_gate();
        assert_eq!(prints.recv().unwrap(), "one\n");
        screen.close_gate();
        screen.push("two".to_owned());
        assert_eq!(screen.close(Duration::ZERO, notice), "one\ntwo\n");
    }

    #[test]
    fn closing_halts_an_editor_that_is_in_its_line() {
        let (screen, prints) = fed();
        screen.begin_line();
        screen.open_gate();
        let editor = Arc::clone(&screen);
        let (drew, draws) = mpsc::channel();
        thread::spawn(move || {
            for text in prints {
                editor.drawn();
                drew.send(text).unwrap();
            }
        });
        screen.push("last words".to_owned());
        assert_eq!(screen.close(Duration::from_secs(30), notice), "");
        assert!(screen.lock().halted);
        assert_eq!(draws.recv().unwrap(), "last words\n");
        assert!(draws.try_recv().is_err(), "it went on");
    }

    #[test]
    fn closing_gives_back_what_was_not_drawn() {
        let (screen, prints) = fed();
        screen.open_gate();
        screen.push("drawn".to_owned());
        assert_eq!(prints.recv().unwrap(), "drawn\n");
        screen.drawn();
        screen.push("handed over".to_owned());
        assert_eq!(prints.recv().unwrap(), "handed over\n");
        let rest = screen.close(Duration::from_millis(10), notice);
        assert_eq!(rest, "handed over\n");
    }
}
