//! The identity of a run: its clients' names and its stamps, by which it knows its own messages again.

use std::fmt;

use protocol::presence::Presence;
use record::Protocol;

use super::dialect::Dialect;
use super::names::{Names, Speaker};
use super::stamp::{NAMELESS, Reading, STAMP_BYTES, Stamp, Stamper};

/// What a run needs to make itself known, and to know its own messages again.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// Names of the clients.
    pub(crate) names: Names,
    /// Writer and reader of payloads.
    pub(crate) stamper: Stamper,
    pub(crate) protocol: Protocol,
    /// What everybody subscribes to, where the protocol has such a thing.
    pub(crate) topic: String,
    /// By what a broker lets clients in.
    pub(crate) login: Option<Login>,
    /// Tells this run from others.
    pub(crate) run: u32,
    /// Clients from this number on send and do not receive.
    pub(crate) receivers: u32,
    /// What requests over HTTP name as their host.
    pub(crate) host: String,
    /// How to speak with a WebSocket server that is not uringcast.
    pub(crate) dialect: Option<Dialect>,
    /// Whether clients come back where they were, and ask for each message of theirs to be confirmed.
    pub(crate) resumes: bool,
}

/// A user of a broker, and the password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) username: Option<String>,
    pub(crate) password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Passwords are in no text.
        write!(f, "Login of {:?}", self.username)
    }
}

/// One thing that came. There is nothing in it to be dropped, which a delivery would pay for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival<'a> {
    /// A message of this run, unchanged.
    Message(Stamp),
    /// A probe of this run's barrier.
    Probe { round: u32 },
    /// The server confirms that this client has joined.
    Joined,
    /// The server has taken the connection, and is now to be told who this client is.
    Opened,
    /// The same for a client that has come back: whether it goes on exactly where it was.
    Resumed(bool),
    /// A message of this client has its place: the number that it was sent with.
    Accepted(u64),
    /// The server asks for this answer.
    Asked(&'a [u8]),
    /// What the server itself says.
    Notice(&'a [u8]),
    /// The server tells all of somebody who joined or left.
    Presence,
    /// Somebody else's message.
    Foreign,
    /// Something of this run that is not as it was sent.
    Corrupt,
    /// Part of the protocol, and nothing to be booked.
    Chatter,
}

impl Identity {
    /// The same for clients that know nobody's messages for their own.
    pub(crate) fn of_strangers(self, run: u32) -> Self {
        Self {
            names: Names::new(1),
            stamper: Stamper::new(run, STAMP_BYTES),
            run,
            resumes: false,
            ..self
        }
    }

    /// Whether a message comes under the name of its author.
    pub(super) fn has_names(&self) -> bool {
        !self.protocol.is_broker() && self.dialect.is_none()
    }

    /// What a message under a name is. Hot: once per delivery.
    pub(crate) fn judge<'a>(&self, speaker: Speaker, message: &'a [u8]) -> Arrival<'a> {
        match speaker {
            Speaker::Server => notice(message),
            speaker => self.judge_said(speaker, message),
        }
    }

    /// What a message of somebody is. Hot: once per delivery.
    pub(super) fn judge_said(&self, speaker: Speaker, message: &[u8]) -> Arrival<'static> {
        match speaker {
            Speaker::Client(author) => match self.stamper.read(message, author) {
                Reading::Message(stamp) => Arrival::Message(stamp),
                Reading::Probe { round } => Arrival::Probe { round },
                Reading::OtherRun => Arrival::Foreign,
                Reading::Corrupt => Arrival::Corrupt,
            },
            // Under a damaged name, a message of this run looks like a stranger's.
            _ if self.stamper.claims_this_run(message) => Arrival::Corrupt,
            Speaker::Stranger | Speaker::Server => Arrival::Foreign,
        }
    }

    /// What a message without a name is. Hot: once per delivery.
    pub(crate) fn judge_nameless(&self, message: &[u8]) -> Arrival<'static> {
        match self.stamper.read(message, NAMELESS) {
            Reading::Message(stamp) => Arrival::Message(stamp),
            Reading::Probe { round } => Arrival::Probe { round },
            Reading::OtherRun => Arrival::Foreign,
            Reading::Corrupt if self.stamper.claims_this_run(message) => Arrival::Corrupt,
            Reading::Corrupt => Arrival::Foreign,
        }
    }

    /// What a message is that has a payload of ours anywhere in it, perhaps.
    pub(super) fn judge_anywhere(&self, message: &[u8]) -> Arrival<'static> {
        let payload = self.stamper.find(message);
        payload.map_or(Arrival::Foreign, |payload| self.judge_nameless(payload))
    }
}

fn notice(text: &[u8]) -> Arrival<'_> {
    match str::from_utf8(text).ok().and_then(Presence::parse) {
        None => Arrival::Notice(text),
        Some(Presence::Here { .. }) => Arrival::Chatter,
        Some(_) => Arrival::Presence,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An identity of ten clients.
    pub(crate) fn identity_of(protocol: Protocol) -> Identity {
        Identity {
            names: Names::new(10),
            stamper: Stamper::new(99, 100),
            protocol,
            topic: "a.topic".into(),
            login: None,
            run: 99,
            receivers: 10,
            host: "localhost".into(),
            dialect: None,
            resumes: false,
        }
    }
}
