//! The last connections that ended, and why: a few, for who asks afterwards.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Hub;
use super::close_reason::{CloseReason, Reason};
use super::session::Session;

/// A connection that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Empty when it gave none.
    pub name: Box<str>,
    /// Where it came from.
    pub peer: SocketAddr,
    /// The kind of its end.
    pub reason: Reason,
    /// Why, with the numbers that explain it.
    pub why: String,
    /// How long it was there.
    pub lasted: Duration,
    /// Messages it was sent whole, until then.
    pub sent_messages: u64,
    /// When.
    pub at: Instant,
}

/// The last connections that ended, the latest at the end.
#[derive(Debug, Default)]
pub(super) struct LastEnded(VecDeque<Ended>);

impl LastEnded {
    /// How many are remembered.
    const MAX: usize = 32;

    pub(super) fn remember(&mut self, session: &Session, why: &CloseReason, now: Instant) {
        if self.0.len() == Self::MAX {
            self.0.pop_front();
        }
        self.0.push_back(Ended {
            name: session.name.clone(),
            peer: session.peer,
            reason: why.kind(),
            why: why.to_string(),
            lasted: now.saturating_duration_since(session.accepted_at),
            sent_messages: session.sent_messages,
            at: now,
        });
    }
}

impl Hub {
    /// The last connections that ended, the latest first.
    pub fn last_ended(&self) -> impl Iterator<Item = &Ended> {
        self.last_ended.0.iter().rev()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::join;
    use super::super::{Disconnect, Limits, Log};
    use super::*;

    #[test]
    fn the_latest_are_remembered_with_their_reasons() {
        let now = Instant::now();
        let mut hub = Hub::new(Limits::default(), Log::new(1 << 20));
        for number in 0..LastEnded::MAX + 5 {
            let id = join(&mut hub, &format!("peer{number}"), now);
            hub.disconnected(id, Disconnect::EndOfStream, now + Duration::from_secs(2));
        }
        let ended: Vec<&Ended> = hub.last_ended().collect();
        assert_eq!(ended.len(), LastEnded::MAX);
        assert_eq!(&*ended[0].name, format!("peer{}", LastEnded::MAX + 4));
        assert_eq!(
            (ended[0].reason, ended[0].why.as_str()),
            (Reason::Left, "the peer left")
        );
        assert_eq!(ended[0].lasted, Duration::from_secs(2));
    }
}
