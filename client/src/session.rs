//! The session: joins the connection, what is typed and what is shown, in one loop on one thread.
//!
//! The loop waits in one `poll` for the socket and for the inbox, so nothing here blocks but a
//! pipe's standard output. Messages wait in [`Outgoing`] until the kernel has them whole; whatever
//! happens to the connection, what is still there at the end is said to be unsent.

mod connecting;
mod receiving;
mod timing;
mod typed;

use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::SIGINT;

use crate::command_line::Settings;
use crate::display::{self, Tabs};
use crate::inbox::{self, Event, Inbox, Sender, Typed};
use crate::output::Output;
use crate::status::{Roster, Stats};
use crate::wire::Outgoing;
use crate::wire::websocket::Progress;

use connecting::State;
use timing::{Backoff, Clock};

/// After `/quit` or a signal, so long may it take to hand over what is unsent, and as long the server's
/// leave is awaited,
const PATIENCE_MAX: Duration = Duration::from_secs(2);
/// or this long where a person waits, or nothing was sent.
const LINGER_SHORT_MAX: Duration = Duration::from_secs(1);
const READ_BUFFER_BYTES: usize = 64 * 1024;
/// Lines and socket take turns after this many rounds of lines.
const LINE_ROUNDS_MAX: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything that was asked for was done.
    Done,
    /// The server was lost, or something was not sent or may not have arrived.
    Failed,
    /// Stopped by an interrupt from the keyboard.
    Interrupted,
}

#[derive(Debug, Clone, Copy)]
enum Goal {
    Chat,
    /// Hand over what is unsent, at the latest until `until`, then leave; each takes at most `patience`.
    Leave {
        outcome: Outcome,
        patience: Duration,
        until: Instant,
    },
    /// All was handed over and the server knows; wait for its leave, at the latest until `until`.
    Linger {
        outcome: Outcome,
        until: Instant,
    },
}

pub(crate) struct Session<'a, O> {
    settings: &'a Settings,
    name: String,
    inbox: Inbox,
    sender: Sender,
    output: O,
    state: State,
    goal: Goal,
    outgoing: Outgoing,
    backoff: Backoff,
    stats: Stats,
    roster: Roster,
    clock: Clock,
    /// How far in the order of messages, where the protocol has one.
    progress: Progress,
    input_ended: bool,
    signalled: bool,
    /// Lines sent on this connection that nothing acknowledges but the server's leave.
    unconfirmed: u64,
    /// A line was refused, or may not have arrived: the run cannot end well.
    failed: bool,
    /// Nobody reads what is shown.
    muted: bool,
    last_activity: Instant,
    buffer: Vec<u8>,
}

impl<'a, O: Output> Session<'a, O> {
    /// A session under `name` that shows itself through `output`.
    pub(crate) fn new(
        settings: &'a Settings,
        name: String,
        inbox: Inbox,
        sender: Sender,
        output: O,
    ) -> Self {
        let now = Instant::now();
        Self {
            settings,
            name,
            inbox,
            sender,
            output,
            state: State::Down,
            goal: Goal::Chat,
            outgoing: Outgoing::default(),
            backoff: Backoff::default(),
            stats: Stats::default(),
            roster: Roster::default(),
            clock: Clock::new(now),
            progress: Progress::default(),
            input_ended: !settings.sends(),
            signalled: false,
            unconfirmed: 0,
            failed: false,
            muted: false,
            last_activity: now,
            buffer: vec![0; READ_BUFFER_BYTES],
        }
    }

    /// Runs until it is over; gives the output back for its last words.
    pub(crate) fn run(mut self) -> (Outcome, O) {
        self.dial();
        let outcome = loop {
            self.inbox.acknowledge();
            self.take_events();
            let more = self.send_lines();
            if let Some(outcome) = self.settle() {
                break self.conclude(outcome);
            }
            if !self.muted
                && let Err(error) = self.output.flush()
            {
                self.reader_lost(&error);
            }
            match self.wait(more) {
                Ok(readable) if readable => self.receive(),
                Ok(_) => {}
                Err(error) => {
                    self.output
                        .trouble(&format!("cannot wait for the server: {error}"));
                    break Outcome::Failed;
                }
            }
        };
        (outcome, self.output)
    }

    fn take_events(&mut self) {
        while let Some(event) = self.inbox.event() {
            match event {
                Event::Dialled(Ok(connection)) => self.connected(connection),
                Event::Dialled(Err(error)) => self.dial_failed(&error),
                // The line editor makes of it what it makes of Ctrl-C.
                Event::Signal(SIGINT) if self.settings.interactive => {}
                Event::Signal(signal) => {
                    self.signalled = true;
                    let outcome = match signal {
                        SIGINT => Outcome::Interrupted,
                        _ => Outcome::Done,
                    };
                    let patience = match self.goal {
                        Goal::Chat => self.settings.linger.min(PATIENCE_MAX),
                        Goal::Leave { .. } | Goal::Linger { .. } => Duration::ZERO,
                    };
                    self.leave(outcome, patience);
                }
            }
        }
    }

    /// Takes lines and hands them to the kernel, in turns; says whether there may be more.
    fn send_lines(&mut self) -> bool {
        for _ in 0..LINE_ROUNDS_MAX {
            // In this order: when nothing is taken for want of room, something is left to be
            // written, and the socket will wake us.
            self.transmit();
            if !self.take_typed() {
                return false;
            }
        }
        true
    }

    fn transmit(&mut self) {
        let State::Up(connection) = &mut self.state else {
            return;
        };
        match connection.transmit(&mut self.outgoing) {
            Ok(0) => {}
            Ok(lines) => {
                self.stats.sent += lines as u64;
                self.unconfirmed += lines as u64;
                self.last_activity = self.clock.now();
            }
            Err(error) => {
                // What it still says (why it closed, perhaps) comes before its end: read that first.
                self.receive();
                if matches!(self.state, State::Up(_)) {
                    self.lost(&error.into());
                }
            }
        }
    }

    /// Looks whether the session is over, and heads for the end where it should be.
    fn settle(&mut self) -> Option<Outcome> {
        let now = self.clock.now();
        if matches!(self.goal, Goal::Chat) {
            self.head_for_the_end(now);
        }
        match (self.goal, &mut self.state) {
            (Goal::Chat, State::Down) => Some(Outcome::Failed),
            (Goal::Chat, _) => None,
            (
                Goal::Leave {
                    outcome, patience, ..
                },
                State::Up(connection),
            ) if connection.is_written(&self.outgoing) && self.outgoing.lines() == 0 => {
                connection.finish();
                // Where nothing was sent, nothing needs to be confirmed.
                let until = now
                    + match self.unconfirmed {
                        0 => patience.min(LINGER_SHORT_MAX),
                        _ => patience,
                    };
                self.goal = Goal::Linger { outcome, until };
                None
            }
            (Goal::Leave { until, .. } | Goal::Linger { until, .. }, State::Up(_))
                if now < until =>
            {
                None
            }
            (Goal::Linger { outcome, .. }, State::Up(_)) => {
                if let Some(uncertain) = self.uncertain() {
                    let address = &self.settings.addr;
                    self.output.trouble(&format!(
                        "{address} has not closed the connection in time (--linger): {uncertain}"
                    ));
                }
                Some(outcome)
            }
            (Goal::Leave { outcome, .. } | Goal::Linger { outcome, .. }, _) => Some(outcome),
        }
    }

    /// What is to be said of the messages sent on a connection that has not ended as it should; the run
    /// has failed if there are any.
    fn uncertain(&mut self) -> Option<String> {
        let unconfirmed = std::mem::take(&mut self.unconfirmed);
        self.failed |= unconfirmed > 0;
        match unconfirmed {
            0 => None,
            1 => Some("the line sent may not have arrived".to_owned()),
            sent => Some(format!(
                "of the {sent} lines sent, the last may not have arrived"
            )),
        }
    }

    fn head_for_the_end(&mut self, now: Instant) {
        let Settings {
            count,
            idle_exit,
            linger,
            ..
        } = *self.settings;
        let enough = count.is_some_and(|count| self.stats.received >= count);
        let all_sent = match &self.state {
            State::Up(connection) => connection.is_written(&self.outgoing),
            State::Dialling | State::Away { .. } | State::Down => false,
        };
        let idle = all_sent
            && idle_exit.is_some_and(|idle| now.duration_since(self.last_activity) >= idle);
        let answers_awaited = count.is_some() || idle_exit.is_some();
        let input_ended = self.settings.sends() && self.input_ended;
        if enough {
            // What was read from standard input already is part of the job.
            let taken = (0..inbox::LINES_MAX).take_while(|_| self.take_one());
            taken.for_each(drop);
        }
        if enough || idle || (input_ended && all_sent && !answers_awaited) {
            self.leave(Outcome::Done, linger);
        }
    }

    /// Heads for the end, or shortens the way there.
    fn leave(&mut self, outcome: Outcome, patience: Duration) {
        let patience = match self.settings.interactive {
            true => patience.min(LINGER_SHORT_MAX),
            false => patience,
        };
        let until = self.clock.now() + patience;
        self.goal = match self.goal {
            Goal::Linger { .. } => Goal::Linger { outcome, until },
            Goal::Chat | Goal::Leave { .. } => Goal::Leave {
                outcome,
                patience,
                until,
            },
        };
    }

    /// The last notices, and what they make of the outcome.
    fn conclude(&mut self, outcome: Outcome) -> Outcome {
        if !self.muted {
            let _ = self.output.flush();
        }
        // A person or a signal that asked to leave did not ask for more lines to be read.
        let untaken = match outcome {
            Outcome::Failed => std::iter::from_fn(|| self.inbox.typed())
                .take(inbox::LINES_MAX)
                .filter(|typed| matches!(typed, Typed::Line(_)))
                .count(),
            Outcome::Done | Outcome::Interrupted => 0,
        };
        let is_websocket = self.settings.addr.is_websocket();
        let unaccepted = match is_websocket {
            true => self.outgoing.handed_out(),
            false => 0,
        };
        let unsent = self.outgoing.lines() - unaccepted + untaken;
        for (lines, what) in [
            (unaccepted, "sent but not accepted: may not have arrived"),
            (unsent, "read but not sent"),
        ] {
            if lines > 0 {
                let lines = lines_text(lines);
                self.output.trouble(&format!("{lines} {what}"));
            }
        }
        // A WebSocket that was joined has said of each line whether it was refused.
        let is_told = self.settings.interactive || self.progress.after().is_some();
        let refused = self.stats.closed_by_server && !is_told;
        match outcome {
            Outcome::Done if unaccepted + unsent > 0 || self.failed || refused => Outcome::Failed,
            outcome => outcome,
        }
    }

    /// Nobody reads what is shown: leave, and call it done where the reader just had enough.
    fn reader_lost(&mut self, error: &io::Error) {
        self.muted = true;
        let outcome = if error.kind() == io::ErrorKind::BrokenPipe {
            Outcome::Done
        } else {
            self.output
                .trouble(&format!("cannot write to standard output: {error}"));
            Outcome::Failed
        };
        if matches!(self.goal, Goal::Chat) {
            self.leave(outcome, self.settings.linger.min(PATIENCE_MAX));
        }
    }

    /// Waits until something is to be done; says whether the socket has something to read.
    fn wait(&mut self, at_once: bool) -> io::Result<bool> {
        if let State::Away { until } = self.state
            && until <= self.clock.now()
        {
            self.dial();
        }
        let timeout = if at_once {
            Some(Duration::ZERO)
        } else {
            self.timeout()
        };
        let timespec = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut fds = vec![PollFd::new(&self.inbox, PollFlags::IN)];
        if let State::Up(connection) = &self.state {
            let writable = match connection.is_written(&self.outgoing) {
                true => PollFlags::empty(),
                false => PollFlags::OUT,
            };
            fds.push(PollFd::new(connection, PollFlags::IN | writable));
        }
        let reader = self.output.reader();
        if let Some(reader) = &reader
            && !self.muted
        {
            fds.push(PollFd::new(reader, PollFlags::empty()));
        }
        let polled = poll(&mut fds, timespec.as_ref());
        self.clock.turned(Instant::now(), timeout);
        match polled {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let up = matches!(self.state, State::Up(_));
        let readable = up
            && fds[1]
                .revents()
                .intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR);
        let reader_gone = fds[1 + usize::from(up)..]
            .iter()
            .any(|fd| !fd.revents().is_empty());
        if reader_gone {
            self.reader_lost(&io::ErrorKind::BrokenPipe.into());
        }
        Ok(readable)
    }

    fn timeout(&self) -> Option<Duration> {
        let link = match self.state {
            State::Away { until } => Some(until),
            State::Dialling | State::Up(_) | State::Down => None,
        };
        let goal = match self.goal {
            Goal::Leave { until, .. } | Goal::Linger { until, .. } => Some(until),
            Goal::Chat => self
                .settings
                .idle_exit
                .filter(|_| matches!(self.state, State::Up(_)))
                .and_then(|idle| self.last_activity.checked_add(idle)),
        };
        let next = link.into_iter().chain(goal).min()?;
        // Rounded up, so that waking a little early does not turn into a busy loop.
        Some(next.saturating_duration_since(self.clock.now()) + Duration::from_millis(1))
    }
}

/// What the server says, without a line break that a notice could hide behind.
pub(crate) fn notice_text(text: &[u8]) -> String {
    display::safe(text, Tabs::Spaces)
}

fn lines_text(count: usize) -> String {
    match count {
        1 => "1 line".to_owned(),
        count => format!("{count} lines"),
    }
}
