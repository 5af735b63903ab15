//! What the client knows: what happened so far, shown by `/stats`, and who is there, shown by `/who`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use protocol::presence::Presence;

use crate::display;

const NAME_COLUMNS_MAX: usize = 32;
/// More names are counted, not shown.
const NAMES_SHOWN_MAX: usize = 50;

#[derive(Debug, Default)]
pub(crate) struct Stats {
    /// Messages that were handed to the kernel whole.
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// Messages that were stepped over because they are over the limit.
    pub(crate) too_long: u64,
    /// Whether the server said that it closes the connection, and so refused something.
    pub(crate) closed_by_server: bool,
    pub(crate) connections: u64,
    /// Since when the present connection stands, also as it is shown.
    pub(crate) connected: Option<(Instant, String)>,
}

impl Stats {
    /// The lines that `/stats` shows; `waiting` messages are not sent yet, and `skipped` did not
    /// reach the screen.
    pub(crate) fn lines(&self, address: &str, waiting: usize, skipped: u64) -> Vec<String> {
        let mut lines = vec![
            format!("sent {}, received {}", self.sent, self.received),
            match &self.connected {
                Some((since, shown)) => {
                    let lived = readable(since.elapsed());
                    format!("connected to {address} since {shown} ({lived})")
                }
                None => format!("not connected to {address}"),
            },
        ];
        if self.connections > 1 {
            lines.push(format!("connected {} times", self.connections));
        }
        let exceptions = [
            (waiting as u64, "not sent yet"),
            (skipped, "skipped: the screen could not keep up"),
            (self.too_long, "skipped: over the limit"),
        ];
        for (count, what) in exceptions.iter().filter(|(count, _)| *count > 0) {
            lines.push(format!("{count} {what}"));
        }
        lines
    }
}

/// Whole seconds: `1m 15s`.
pub(crate) fn readable(duration: Duration) -> String {
    let seconds = duration.as_secs().try_into().unwrap_or(i64::MAX);
    format!("{:#}", SignedDuration::from_secs(seconds))
}

/// Who is there, as far as the server tells: kept from its notices.
///
/// A newcomer gets a list, which may be cut, and then hears of everyone who comes and goes; of a herd it
/// hears numbers only. So the number is right, and names may be missing.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    /// `None` until the server has told.
    here: Option<u64>,
    /// Those of whom the name is known; several may have the same.
    names: BTreeMap<String, u64>,
}

impl Roster {
    pub(crate) fn take(&mut self, notice: &Presence<'_>) {
        match notice {
            Presence::Joined(name) => {
                self.here = self.here.map(|here| here + 1);
                *self.names.entry((*name).to_owned()).or_default() += 1;
            }
            Presence::Left(name) => {
                self.here = self.here.map(|here| here.saturating_sub(1));
                if let Some(times) = self.names.get_mut(*name) {
                    *times -= 1;
                    if *times == 0 {
                        self.names.remove(*name);
                    }
                }
            }
            Presence::Herd { here, .. } => self.here = Some(*here),
            Presence::Here { here, names } => {
                self.here = Some(*here);
                self.names.clear();
                for &name in names {
                    *self.names.entry(name.to_owned()).or_default() += 1;
                }
            }
        }
    }

    /// The connection is a new one: what was known of the old one is not.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn line(&self) -> String {
        let Some(here) = self.here else {
            return "the server does not tell who is here (it would with --announce-presence)"
                .into();
        };
        let names = self.names.iter();
        let names = names.flat_map(|(name, &times)| (0..times).map(move |_| name));
        let shown: Vec<String> = names
            .take(NAMES_SHOWN_MAX)
            .map(|name| display::name(name.as_bytes(), NAME_COLUMNS_MAX))
            .collect();
        let further = here.saturating_sub(shown.len() as u64);
        let shown = shown.join(", ");
        match (shown.is_empty(), further) {
            (true, _) => format!("{here} here"),
            (false, 0) => format!("{here} here: {shown}"),
            (false, further) => format!("{here} here: {shown} and {further} more"),
        }
    }
}
