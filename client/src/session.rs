//! The session: joins the connection, what is typed and what is shown, in one loop on one thread.
//!
//! The loop waits in one `poll` for the socket and for the inbox, so nothing here blocks but a
//! pipe's standard output. Messages wait in [`Outgoing`] until the kernel has them whole; whatever
//! happens to the connection, what is still there at the end is said to be unsent.

mod just_sent;
mod link;
mod typed;

use std::io;
use std::time::{Duration, Instant};

use protocol::SERVER_NAME;
use protocol::presence::Presence;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::SIGINT;

use crate::backoff::Backoff;
use crate::command_line::Settings;
use crate::company::Company;
use crate::connection::Connection;
use crate::display::{self, Tabs};
use crate::face::Face;
use crate::inbox::{Event, Inbox, Sender};
use crate::incoming::Received;
use crate::outgoing::Outgoing;
use crate::stats::Stats;

use just_sent::JustSent;
use link::Link;

/// After `/quit` or a signal, so long may it take to hand over what is unsent.
const HAND_OVER_MAX: Duration = Duration::from_secs(2);
/// After all was said and the server told so, its own leave is awaited for so long,
const LINGER_MAX: Duration = Duration::from_secs(1);
/// and for so long where a person waits.
const LINGER_PERSON_MAX: Duration = Duration::from_millis(250);
/// How the server begins to say why it closes a connection.
const CLOSING: &[u8] = b"closing";
const READ_BUFFER_BYTES: usize = 64 * 1024;
/// Lines and socket take turns after so many rounds of lines.
const LINE_ROUNDS_MAX: usize = 16;

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything that was asked for was done.
    Done,
    /// The server was lost, or something could not be sent.
    Failed,
    /// Stopped by an interrupt from the keyboard.
    Interrupted,
}

/// What the session is heading for.
#[derive(Debug, Clone, Copy)]
enum Goal {
    Chat,
    /// Hand over what is unsent, at the latest until `until`, then leave.
    Leave {
        outcome: Outcome,
        until: Instant,
    },
    /// All was handed over and the server knows; wait for its leave, at the latest until `until`.
    Linger {
        outcome: Outcome,
        until: Instant,
    },
}

/// One run of the client.
#[derive(Debug)]
pub struct Session<'a, F> {
    settings: &'a Settings,
    name: String,
    inbox: Inbox,
    sender: Sender,
    face: F,
    link: Link,
    goal: Goal,
    outgoing: Outgoing,
    backoff: Backoff,
    stats: Stats,
    company: Company,
    input_ended: bool,
    /// A line was refused: the run cannot end well.
    refused: bool,
    /// Nobody reads what is shown.
    muted: bool,
    last_activity: Instant,
    just_sent: JustSent,
    buffer: Vec<u8>,
}

impl<'a, F: Face> Session<'a, F> {
    /// A session under `name` that shows itself through `face`.
    pub fn new(
        settings: &'a Settings,
        name: String,
        inbox: Inbox,
        sender: Sender,
        face: F,
    ) -> Self {
        Self {
            settings,
            name,
            inbox,
            sender,
            face,
            link: Link::Down,
            goal: Goal::Chat,
            outgoing: Outgoing::default(),
            backoff: Backoff::default(),
            stats: Stats::default(),
            company: Company::default(),
            input_ended: !settings.send,
            refused: false,
            muted: false,
            last_activity: Instant::now(),
            just_sent: JustSent::default(),
            buffer: vec![0; READ_BUFFER_BYTES],
        }
    }

    /// Runs until it is over; gives the face back for its last words.
    pub fn run(mut self) -> (Outcome, F) {
        self.dial();
        let outcome = loop {
            self.inbox.acknowledge();
            self.take_events();
            let more = self.send_lines();
            if let Some(outcome) = self.settle() {
                break self.conclude(outcome);
            }
            if !self.muted
                && let Err(error) = self.face.flush()
            {
                self.reader_lost(&error);
            }
            match self.wait(more) {
                Ok(readable) if readable => self.receive(),
                Ok(_) => {}
                Err(error) => {
                    self.face
                        .trouble(&format!("cannot wait for the server: {error}"));
                    break Outcome::Failed;
                }
            }
        };
        (outcome, self.face)
    }

    fn take_events(&mut self) {
        while let Some(event) = self.inbox.event() {
            match event {
                Event::Dialled(Ok(stream)) => {
                    match Connection::new(stream, self.settings.message_bytes_max) {
                        Ok(connection) => self.connected(connection),
                        Err(error) => self.lost(&error.into()),
                    }
                }
                Event::Dialled(Err(error)) => self.dial_failed(&error),
                // The line editor makes of it what it makes of Ctrl-C.
                Event::Signal(SIGINT) if self.settings.interactive => {}
                Event::Signal(signal) => {
                    let outcome = match signal {
                        SIGINT => Outcome::Interrupted,
                        _ => Outcome::Done,
                    };
                    let patience = match self.goal {
                        Goal::Chat => HAND_OVER_MAX,
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
        let Link::Up(connection) = &mut self.link else {
            return;
        };
        match connection.transmit(&mut self.outgoing) {
            Ok(0) => {}
            Ok(messages) => {
                let now = Instant::now();
                self.stats.sent += messages as u64;
                self.last_activity = now;
                self.just_sent.note(now, messages);
            }
            // What it still says (why it closed, perhaps) comes before its end: read that first.
            Err(_) if self.read_last_words() => {}
            Err(lost) => self.lost(&lost),
        }
    }

    /// The socket takes nothing more; shows what had come before it broke. Says whether reading
    /// found the end, and has dealt with it.
    fn read_last_words(&mut self) -> bool {
        self.receive();
        !matches!(self.link, Link::Up(_))
    }

    fn receive(&mut self) {
        let Link::Up(connection) = &mut self.link else {
            return;
        };
        let (face, stats, count) = (&mut self.face, &mut self.stats, self.settings.count);
        let company = &mut self.company;
        let (before, mut shown) = (stats.received, Ok(()));
        let (limit, muted) = (self.settings.message_bytes_max, self.muted);
        let received = connection.receive(&mut self.buffer, &mut |received| {
            let enough = count.is_some_and(|count| stats.received >= count);
            if shown.is_ok() && !enough && !muted {
                shown = show(face, stats, company, limit, received);
            }
        });
        if self.stats.received > before {
            self.last_activity = Instant::now();
        }
        if let Err(lost) = received {
            self.lost(&lost);
        }
        if let Err(error) = shown {
            self.reader_lost(&error);
        }
    }

    /// Looks whether the session is over, and heads for the end where it should be.
    fn settle(&mut self) -> Option<Outcome> {
        let now = Instant::now();
        if matches!(self.goal, Goal::Chat) {
            self.head_for_the_end(now);
        }
        match (self.goal, &self.link) {
            (Goal::Chat, Link::Down) => Some(Outcome::Failed),
            (Goal::Leave { outcome, until }, Link::Up(connection)) => {
                if self.outgoing.is_empty() {
                    connection.finish();
                    let linger_max = match self.settings.interactive {
                        true => LINGER_PERSON_MAX,
                        false => LINGER_MAX,
                    };
                    let until = until.min(now + linger_max);
                    self.goal = Goal::Linger { outcome, until };
                    return None;
                }
                (now >= until).then_some(outcome)
            }
            (Goal::Linger { outcome, until }, Link::Up(_)) => (now >= until).then_some(outcome),
            (Goal::Leave { outcome, .. } | Goal::Linger { outcome, .. }, _) => Some(outcome),
            (Goal::Chat, _) => None,
        }
    }

    fn head_for_the_end(&mut self, now: Instant) {
        let Settings {
            count,
            idle_exit,
            send,
            ..
        } = *self.settings;
        let enough = count.is_some_and(|count| self.stats.received >= count);
        let all_sent = matches!(self.link, Link::Up(_)) && self.outgoing.is_empty();
        let idle = all_sent
            && idle_exit.is_some_and(|idle| now.duration_since(self.last_activity) >= idle);
        let answers_awaited = count.is_some() || idle_exit.is_some();
        if enough {
            // What was read from standard input already is part of the job.
            for _ in 0..self.inbox.lines() {
                self.take_one();
            }
            self.leave(Outcome::Done, HAND_OVER_MAX);
        } else if idle || (send && self.input_ended && all_sent && !answers_awaited) {
            self.leave(Outcome::Done, HAND_OVER_MAX);
        }
    }

    fn leave(&mut self, outcome: Outcome, patience: Duration) {
        let until = Instant::now() + patience;
        self.goal = match self.goal {
            Goal::Linger { .. } => Goal::Linger { outcome, until },
            Goal::Chat | Goal::Leave { .. } => Goal::Leave { outcome, until },
        };
    }

    /// The last notices, and what they make of the outcome.
    fn conclude(&mut self, outcome: Outcome) -> Outcome {
        if !self.muted {
            let _ = self.face.flush();
        }
        // Whoever asked to leave did not ask for more lines to be read.
        let untaken = match outcome {
            Outcome::Failed => self.inbox.lines(),
            Outcome::Done | Outcome::Interrupted => 0,
        };
        let unsent = self.outgoing.messages() + untaken;
        if unsent > 0 {
            let lines = lines_text(unsent);
            self.face.trouble(&format!("{lines} read but not sent"));
        }
        match outcome {
            Outcome::Done if unsent > 0 => Outcome::Failed,
            Outcome::Done
                if !self.settings.interactive && (self.refused || self.stats.closed_by_server) =>
            {
                Outcome::Failed
            }
            outcome => outcome,
        }
    }

    /// Nobody reads what is shown: leave, and call it done where the reader just had enough.
    fn reader_lost(&mut self, error: &io::Error) {
        self.muted = true;
        let outcome = if error.kind() == io::ErrorKind::BrokenPipe {
            Outcome::Done
        } else {
            self.face
                .trouble(&format!("cannot write to standard output: {error}"));
            Outcome::Failed
        };
        if matches!(self.goal, Goal::Chat) {
            self.leave(outcome, HAND_OVER_MAX);
        }
    }

    /// Waits until something is to be done; says whether the socket has something to read.
    fn wait(&mut self, at_once: bool) -> io::Result<bool> {
        if let Link::Away { until } = self.link
            && until <= Instant::now()
        {
            self.dial();
        }
        let timeout = if at_once {
            Some(Duration::ZERO)
        } else {
            self.timeout()
        };
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut fds = vec![PollFd::new(&self.inbox, PollFlags::IN)];
        if let Link::Up(connection) = &self.link {
            let writable = if self.outgoing.is_empty() {
                PollFlags::empty()
            } else {
                PollFlags::OUT
            };
            fds.push(PollFd::new(connection, PollFlags::IN | writable));
        }
        let reader = self.face.reader();
        if let Some(reader) = &reader
            && !self.muted
        {
            fds.push(PollFd::new(reader, PollFlags::empty()));
        }
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let up = matches!(self.link, Link::Up(_));
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
        let link = match self.link {
            Link::Away { until } => Some(until),
            Link::Dialling | Link::Up(_) | Link::Down => None,
        };
        let goal = match self.goal {
            Goal::Leave { until, .. } | Goal::Linger { until, .. } => Some(until),
            Goal::Chat => self
                .settings
                .idle_exit
                .filter(|_| matches!(self.link, Link::Up(_)))
                .and_then(|idle| self.last_activity.checked_add(idle)),
        };
        let next = link.into_iter().chain(goal).min()?;
        // Rounded up, so that waking a little early does not turn into a busy loop.
        Some(next.saturating_duration_since(Instant::now()) + Duration::from_millis(1))
    }
}

fn show(
    face: &mut impl Face,
    stats: &mut Stats,
    company: &mut Company,
    limit: usize,
    received: Received<'_>,
) -> io::Result<()> {
    match received {
        Received::Message { name, text } if name == SERVER_NAME.as_bytes() => {
            stats.closed_by_server |= text.starts_with(CLOSING);
            let presence = str::from_utf8(text).ok().and_then(Presence::parse);
            if let Some(presence) = &presence {
                company.take(presence);
            }
            match presence {
                // One line reads better than a name a line.
                Some(Presence::Here { .. }) => face.server_notice(company.line().as_bytes()),
                _ => face.server_notice(text),
            }
            Ok(())
        }
        Received::Message { name, text } => {
            stats.received += 1;
            face.message(name, text)
        }
        Received::TooLong {
            name,
            payload_bytes,
        } => {
            stats.too_long += 1;
            let whose = name.map_or_else(
                || "somebody with a name".to_owned(),
                |name| format!("a message of {}", display::name(name, 40)),
            );
            face.trouble(&format!(
                "skipped {whose} of {payload_bytes} bytes: over the limit of {limit} (--max-message-bytes)"
            ));
            Ok(())
        }
    }
}

/// What the server says, without a line break that a notice could hide behind.
#[must_use]
pub fn notice_text(text: &[u8]) -> String {
    display::safe(text, Tabs::Spaces)
}

fn lines_text(count: usize) -> String {
    match count {
        1 => "1 line".to_owned(),
        count => format!("{count} lines"),
    }
}
