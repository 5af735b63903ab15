//! Clients that the server disconnected: how their connections ended, and what it said.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// All disconnected clients of a run and all that the server said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disconnects {
    /// Closed by the server between two messages.
    pub closed: u64,
    /// Closed by the server in the middle of a message.
    #[serde(rename = "torn")]
    pub partial: u64,
    /// Broken, for instance reset.
    pub broken: u64,
    /// What came broke the protocol.
    pub undecodable: u64,
    /// The first one that was more than a close, in words.
    pub example: Option<String>,
    /// What the server said, by reason: its text, with every number taken out.
    pub notices: BTreeMap<String, Notices>,
}

/// Notices that differ in numbers only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notices {
    /// How many came.
    pub count: u64,
    /// The first of them, as it came.
    pub example: String,
}

impl Disconnects {
    /// How many clients were disconnected.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.closed + self.partial + self.broken + self.undecodable
    }

    /// How they ended and what the server said, in words.
    #[must_use]
    pub fn in_words(&self) -> String {
        let causes = [
            (self.closed, "closed by the server"),
            (self.partial, "closed inside a message"),
            (self.broken, "broken"),
            (self.undecodable, "not decodable"),
        ];
        let causes = causes
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, cause)| format!("{count} {cause}"));
        let example = self.example.iter().map(|words| format!("e.g. {words}"));
        let notices = self
            .notices
            .values()
            .map(|notices| format!("{} x \"{}\"", notices.count, notices.example));
        let words: Vec<_> = causes.chain(example).chain(notices).collect();
        words.join(", ")
    }

    /// What the server said, to follow an error; empty if it said nothing.
    #[must_use]
    pub fn quoted(&self) -> String {
        let quoted = self.notices.values();
        let quoted: Vec<_> = quoted.map(|said| format!("\"{}\"", said.example)).collect();
        if quoted.is_empty() {
            return String::new();
        }
        format!(", and said {}", quoted.join(", "))
    }

    /// Adds those of another run.
    pub fn add(&mut self, other: &Self) {
        self.closed += other.closed;
        self.partial += other.partial;
        self.broken += other.broken;
        self.undecodable += other.undecodable;
        if self.example.is_none() {
            self.example.clone_from(&other.example);
        }
        for (reason, notices) in &other.notices {
            let sum = self.notices.entry(reason.clone()).or_insert(Notices {
                count: 0,
                example: notices.example.clone(),
            });
            sum.count += notices.count;
        }
    }
}
