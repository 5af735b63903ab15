//! The client in a terminal: a pseudo-terminal, and an emulator that draws what a person would see.

use std::fmt::Display;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::os::fd::AsFd;
use std::process::Child;
use std::sync::{Arc, Condvar, Mutex};

use pty_process::blocking::{Command, Pts, Pty};
use rustix::process::Signal;
use rustix::termios::{Termios, tcgetattr};

use super::server::{Peer, Scripted};
use super::{DEADLINE, process};

const ROWS: u16 = 24;
const COLUMNS: u16 = 80;
/// More than any test writes: nothing that was shown is forgotten.
const SCROLLBACK_ROWS: usize = 40_000;

/// A client in a terminal of 80 x 24.
pub(crate) struct Terminal {
    child: Child,
    pty: Arc<Pty>,
    /// Kept open, so that the modes can be looked at when the client is gone.
    pts: Pts,
    modes_before: Termios,
    emulator: Arc<Emulator>,
    home: tempfile::TempDir,
}

struct Emulator {
    parser: Mutex<Drawn>,
    changed: Condvar,
}

struct Drawn {
    parser: vt100::Parser,
    /// Everything that was written to the terminal.
    bytes: Vec<u8>,
}

/// How a client is started in a terminal.
pub(crate) struct Setup<'a> {
    pub(crate) address: &'a dyn Display,
    pub(crate) arguments: &'a [&'a str],
    pub(crate) environment: &'a [(&'a str, &'a str)],
    /// Its home, if it is to have the one of another client.
    pub(crate) home: Option<tempfile::TempDir>,
}

/// Ann at her prompt, and the other end of her connection.
pub(crate) fn ann_chats() -> (Terminal, Peer) {
    let server = Scripted::start();
    let terminal = Terminal::start(server.address, &["--name", "ann"]);
    let peer = server.accept("ann");
    terminal.prompts("ann >");
    (terminal, peer)
}

impl Terminal {
    /// A shell with job control that runs a client of the server at `address`, and then `rest`.
    pub(crate) fn start_in_shell(address: SocketAddr, arguments: &str, rest: &str) -> Self {
        let client = env!("CARGO_BIN_EXE_client");
        let script = format!("set -m; {client} --addr {address} {arguments}; {rest}");
        Self::spawn(None, |command| command.arg("-c").arg(script), "sh")
    }

    /// A client of the server at `address`.
    pub(crate) fn start(address: impl Display, arguments: &[&str]) -> Self {
        Self::start_with(Setup {
            address: &address,
            arguments,
            environment: &[],
            home: None,
        })
    }

    pub(crate) fn start_with(setup: Setup<'_>) -> Self {
        let adapt = |command: Command| {
            command
                .envs(setup.environment.iter().copied())
                .args(["--addr", &setup.address.to_string()])
                .args(setup.arguments)
        };
        Self::spawn(setup.home, adapt, env!("CARGO_BIN_EXE_client"))
    }

    fn spawn(
        home: Option<tempfile::TempDir>,
        adapt: impl FnOnce(Command) -> Command,
        program: &str,
    ) -> Self {
        let (pty, pts) = pty_process::blocking::open().expect("a pseudo-terminal");
        pty.resize(pty_process::Size::new(ROWS, COLUMNS)).unwrap();
        let home = home.unwrap_or_else(|| tempfile::tempdir().unwrap());
        let modes_before = tcgetattr(pts.as_fd()).unwrap();
        let command = Command::new(program)
            .env_clear()
            .env("TERM", "xterm-256color")
            .env("TZ", "UTC")
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", home.path());
        let child = adapt(command).spawn_borrowed(&pts).expect("it starts");
        let emulator = Arc::new(Emulator {
            parser: Mutex::new(Drawn {
                parser: vt100::Parser::new(size(ROWS), size(COLUMNS), SCROLLBACK_ROWS),
                bytes: Vec::new(),
            }),
            changed: Condvar::new(),
        });
        let pty = Arc::new(pty);
        let (reader, drawing) = (Arc::clone(&pty), Arc::clone(&emulator));
        std::thread::spawn(move || drawing.draw(&reader));
        Self {
            child,
            pty,
            pts,
            modes_before,
            emulator,
            home,
        }
    }

    /// Presses keys.
    pub(crate) fn keys(&self, keys: &str) {
        (&*self.pty).write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until `wanted` holds of the screen's contents.
    pub(crate) fn wait_until(&self, what: &str, wanted: impl Fn(&str) -> bool) {
        let state = self.emulator.parser.lock().unwrap();
        let (mut state, timeout) = self
            .emulator
            .changed
            .wait_timeout_while(state, DEADLINE, |drawn| {
                !wanted(&drawn.parser.screen().contents())
            })
            .unwrap();
        if timeout.timed_out() {
            let shown = transcript(&mut state.parser).join("\n");
            drop(state);
            panic!("never saw {what}; the terminal shows:\n{shown}");
        }
    }

    /// Waits until `text` stands on the screen.
    pub(crate) fn sees(&self, text: &str) {
        self.wait_until(&format!("{text:?}"), |shown| shown.contains(text));
    }

    /// Waits until the line of the cursor reads `line`, with the cursor at its end.
    pub(crate) fn prompts(&self, line: &str) {
        let state = self.emulator.parser.lock().unwrap();
        let (state, timeout) = self
            .emulator
            .changed
            .wait_timeout_while(state, DEADLINE, |drawn| cursor_line(&drawn.parser) != line)
            .unwrap();
        let shown = state.parser.screen().contents();
        let at = cursor_line(&state.parser);
        drop(state);
        assert!(
            !timeout.timed_out(),
            "the cursor is at {at:?}, not {line:?}:\n{shown}"
        );
    }

    /// Nothing is taken from the terminal meanwhile.
    pub(crate) fn stall(&self, meanwhile: impl FnOnce()) {
        let stalled = self.emulator.parser.lock().unwrap();
        meanwhile();
        drop(stalled);
    }

    /// Nothing is taken from the terminal until the client has ended, which `meanwhile` brings
    /// about. The modes must be those of before.
    pub(crate) fn stall_to_the_end(&mut self, meanwhile: impl FnOnce(&Self)) {
        let emulator = Arc::clone(&self.emulator);
        let stalled = emulator.parser.lock().unwrap();
        meanwhile(self);
        let status = process::wait(&mut self.child);
        drop(stalled);
        assert_eq!(status.code(), Some(0));
        self.check_modes();
    }

    /// All lines that were ever shown, the ones scrolled away included.
    pub(crate) fn transcript(&self) -> Vec<String> {
        transcript(&mut self.emulator.parser.lock().unwrap().parser)
    }

    /// Everything that was written to the terminal.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.emulator.parser.lock().unwrap().bytes.clone()
    }

    /// Gives the terminal another size.
    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        let mut state = self.emulator.parser.lock().unwrap();
        state
            .parser
            .screen_mut()
            .set_size(size(rows), size(columns));
        drop(state);
        self.pty
            .resize(pty_process::Size::new(rows, columns))
            .unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        process::signal_child(&self.child, signal);
    }

    /// Checks that the terminal has the modes it had before the client.
    pub(crate) fn check_modes(&self) {
        let modes = tcgetattr(self.pts.as_fd()).unwrap();
        assert_eq!(format!("{modes:#?}"), format!("{:#?}", self.modes_before));
    }

    /// Leaves as a person does, by Ctrl-D on an empty line; the server reads to the end and closes.
    pub(crate) fn leave(self, mut peer: Peer) {
        self.keys("\x04");
        peer.0.set_read_timeout(Some(DEADLINE)).unwrap();
        peer.0.read_to_end(&mut Vec::new()).unwrap();
        peer.close();
        assert_eq!(self.finish().0, Some(0));
    }

    /// Waits for the end of a client whose server is gone; gives back all that was shown.
    pub(crate) fn finish_after_loss(self) -> Vec<String> {
        let (code, lines, _) = self.finish();
        assert_eq!(code, Some(1));
        lines
    }

    /// Waits for the client's end and checks that the terminal is as it was found, with the cursor
    /// at the left of a fresh line. Gives back the exit code and the home.
    pub(crate) fn finish(mut self) -> (Option<i32>, Vec<String>, tempfile::TempDir) {
        let status = process::wait(&mut self.child);
        self.check_modes();
        self.wait_until_drawn();
        let mut state = self.emulator.parser.lock().unwrap();
        let screen = state.parser.screen();
        assert!(!screen.bracketed_paste() && !screen.hide_cursor());
        assert_eq!(
            cursor_line(&state.parser),
            "",
            "the cursor is not on a fresh line"
        );
        let lines = transcript(&mut state.parser);
        drop(state);
        (status.code(), lines, self.home.take())
    }

    /// Waits until all that was written to the terminal has been drawn, which is so when a mark
    /// that is written after it has come through. (While this end of the terminal is open, the
    /// other reports no end.)
    fn wait_until_drawn(&self) {
        const MARK: &[u8] = b"\x1b]777;mark\x07";
        rustix::io::write(self.pts.as_fd(), MARK).unwrap();
        let state = self.emulator.parser.lock().unwrap();
        let undrawn = |drawn: &mut Drawn| !drawn.bytes.ends_with(MARK);
        let (state, timeout) = self
            .emulator
            .changed
            .wait_timeout_while(state, DEADLINE, undrawn)
            .unwrap();
        drop(state);
        assert!(!timeout.timed_out(), "the terminal is stuck");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

trait Take {
    fn take(&mut self) -> Self;
}

impl Take for tempfile::TempDir {
    fn take(&mut self) -> Self {
        std::mem::replace(self, tempfile::tempdir().unwrap())
    }
}

impl Emulator {
    fn draw(&self, mut pty: &Pty) {
        let mut buffer = [0; 4096];
        while let Ok(bytes @ 1..) = pty.read(&mut buffer) {
            let mut state = self.parser.lock().unwrap();
            state.parser.process(&buffer[..bytes]);
            state.bytes.extend_from_slice(&buffer[..bytes]);
            self.changed.notify_all();
        }
    }
}

fn size(cells: u16) -> NonZeroU16 {
    NonZeroU16::new(cells).unwrap()
}

/// The line of the cursor up to the cursor, if nothing stands behind it.
fn cursor_line(parser: &vt100::Parser) -> String {
    let screen = parser.screen();
    let (row, column) = screen.cursor_position();
    let line = screen
        .rows(0, screen.size().1.get())
        .nth(row.into())
        .unwrap_or_default();
    let before = screen.rows(0, column).nth(row.into()).unwrap_or_default();
    if line.trim_end() == before.trim_end() {
        line.trim_end().to_owned()
    } else {
        format!("{line:?} with the cursor at {column}")
    }
}

fn transcript(parser: &mut vt100::Parser) -> Vec<String> {
    let screen = parser.screen_mut();
    let (rows, columns) = (usize::from(screen.size().0.get()), screen.size().1.get());
    let mut lines = Vec::new();
    let mut above = screen.scrollback_len();
    while above > 0 {
        screen.set_scrollback(above);
        let new = above.min(rows);
        lines.extend(screen.rows(0, columns).take(new));
        above -= new;
    }
    screen.set_scrollback(0);
    lines.extend(screen.rows(0, columns));
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}
