//! The identity of a run: its clients' names and its stamps, by which it knows its own messages again.

use std::fmt;

use record::Protocol;

use super::names::{Names, Speaker};
use super::stamp::{Reading, STAMP_BYTES, Stamp, Stamper};

/// Whom a payload is stamped by where the protocol names no author.
pub(super) const NAMELESS: u32 = u32::MAX;

/// What a run needs to make itself known, and to know its own messages again.
#[derive(Debug)]
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

/// One thing that came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival<'a> {
    /// A message of this run, unchanged.
    Message(Stamp),
    /// A probe of this run's barrier.
    Probe { round: u32 },
    /// The server confirms that this client has joined.
    Joined,
    /// The server asks whether this client is alive.
    Ping,
    /// What the server itself says.
    Notice(&'a [u8]),
    /// Somebody else's message.
    Foreign,
    /// Something of this run that is not as it was sent.
    Corrupt,
    /// Part of the protocol, and nothing to be booked.
    Chatter,
}

impl Identity {
    /// Of a run of `clients` clients that receive messages of up to `payload_bytes_max`; `run` tells it
    /// from others.
    pub(crate) fn new(
        protocol: Protocol,
        topic: String,
        clients: u32,
        payload_bytes_max: usize,
        run: u32,
    ) -> Self {
        Self {
            names: Names::new(clients),
            stamper: Stamper::new(run, payload_bytes_max),
            protocol,
            topic,
            login: None,
            run,
            receivers: clients,
        }
    }

    /// The same, with a login.
    pub(crate) fn with_login(self, login: Option<Login>) -> Self {
        Self { login, ..self }
    }

    /// Of clients that know nobody's messages for their own.
    pub(crate) fn of_strangers(protocol: Protocol, topic: String, run: u32) -> Self {
        Self::new(protocol, topic, 1, STAMP_BYTES, run)
    }

    /// What a message under a name is. Hot: once per delivery.
    pub(crate) fn judge<'a>(&self, speaker: Speaker, message: &'a [u8]) -> Arrival<'a> {
        match speaker {
            Speaker::Client(author) => match self.stamper.read(message, author) {
                Reading::Message(stamp) => Arrival::Message(stamp),
                Reading::Probe { round } => Arrival::Probe { round },
                Reading::OtherRun => Arrival::Foreign,
                Reading::Corrupt => Arrival::Corrupt,
            },
            Speaker::Server => Arrival::Notice(message),
            // Under a damaged name, a message of this run looks like a stranger's.
            Speaker::Stranger if self.stamper.claims_this_run(message) => Arrival::Corrupt,
            Speaker::Stranger => Arrival::Foreign,
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
        }
    }
}
