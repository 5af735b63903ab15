//! What came from the server: messages and notices to be shown, and answers that are kept account of.

use protocol::presence::Presence;

use super::{Session, State};
use crate::display;
use crate::output::Output;
use crate::wire::{Message, Received};

/// How the server begins to say why it closes a connection.
const CLOSING: &[u8] = b"closing";

impl<O: Output> Session<'_, O> {
    /// Takes what has come.
    pub(crate) fn receive(&mut self) {
        let State::Up(connection) = &mut self.state else {
            return;
        };
        let mut received = Vec::new();
        let end = connection.receive(&mut self.buffer, &mut received);
        for received in received {
            let enough = self
                .settings
                .count
                .is_some_and(|count| self.stats.received >= count);
            // The server's answers to lines count to the end.
            if !enough && !self.muted || matches!(received, Received::Accepted { .. }) {
                self.show(received);
            }
        }
        if let Err(lost) = end {
            self.lost(&lost);
        }
    }

    fn show(&mut self, received: Received) {
        match received {
            Received::Joined { resumed, position } => {
                let resumes = self.progress.after().is_some();
                self.progress.go_to(position);
                match (resumes, resumed) {
                    (false, _) => {}
                    (true, true) => self.output.aside("resumed: no message is missing"),
                    (true, false) => self.output.trouble(
                        "not resumed: the server does not have all that was said meanwhile (--history \
                         there), so messages may be missing",
                    ),
                }
            }
            Received::Accepted { id, position } => {
                self.progress.accepted(position);
                if self.outgoing.done(id) {
                    self.stats.sent += 1;
                    self.last_activity = self.clock.now();
                }
            }
            Received::Missed { messages, position } => {
                if let Some(position) = position {
                    self.progress.go_to(position);
                }
                let text = format!("skipped {messages} messages: you were too far behind");
                self.show_notice(text.as_bytes());
            }
            Received::Message(message) => self.show_message(&message),
            Received::Notice(text) => self.show_notice(&text),
            Received::TooLong { name, bytes } => {
                self.stats.too_long += 1;
                let whose = name.map_or("somebody with a name".to_owned(), |name| {
                    format!("a message of {}", display::name(&name, 40))
                });
                let limit = self.settings.max_message_bytes;
                self.output.trouble(&format!(
                    "skipped {whose} of {bytes} bytes: over the limit of {limit} (--max-message-bytes)"
                ));
            }
        }
    }

    fn show_message(&mut self, message: &Message) {
        if let Some(position) = message.position
            && !self.progress.is_news(position)
        {
            return;
        }
        self.stats.received += 1;
        self.last_activity = self.clock.now();
        if let Err(error) = self.output.message(message) {
            self.reader_lost(&error);
        }
    }

    fn show_notice(&mut self, text: &[u8]) {
        self.stats.closed_by_server |= text.starts_with(CLOSING);
        let presence = str::from_utf8(text).ok().and_then(Presence::parse);
        if let Some(presence) = &presence {
            self.roster.take(presence);
        }
        match presence {
            // One line reads better than a name a line.
            Some(Presence::Here { .. }) => self.output.server_notice(self.roster.line().as_bytes()),
            _ => self.output.server_notice(text),
        }
    }
}
