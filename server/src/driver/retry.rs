//! Sends that the kernel had no memory for: they are tried again a little later, for the connection is
//! as well as before and trying at once would spin.
//!
//! Every pause is equally long, so the first that was put off is the first that is due.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::hub::ConnectionId;

/// How long a send pauses.
pub(super) const SEND_PAUSE: Duration = Duration::from_millis(10);

/// Whether an error of a send says nothing about the connection, and will pass.
pub(super) fn passes(error: Errno) -> bool {
    matches!(
        error,
        Errno::AGAIN | Errno::INTR | Errno::NOBUFS | Errno::NOMEM
    )
}

/// Connections whose send was put off. One that is gone by then is for the driver to find out.
#[derive(Debug, Default)]
pub(super) struct Retries(VecDeque<(Instant, ConnectionId)>);

impl Retries {
    /// Puts the send of a connection off.
    pub(super) fn put_off(&mut self, id: ConnectionId, now: Instant) {
        self.0.push_back((now + SEND_PAUSE, id));
    }

    /// A connection whose send is due.
    pub(super) fn poll(&mut self, now: Instant) -> Option<ConnectionId> {
        let (_, id) = self.0.pop_front_if(|(due, _)| *due <= now)?;
        Some(id)
    }

    /// When the next send is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.front().map(|(due, _)| *due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_send_is_due_after_its_pause_and_once() {
        let ids = [0, 1].map(|slot| ConnectionId {
            slot,
            generation: 7,
        });
        let begin = Instant::now();
        let mut retries = Retries::default();
        retries.put_off(ids[0], begin);
        retries.put_off(ids[1], begin + SEND_PAUSE / 2);
        assert_eq!(retries.poll(begin), None);
        assert_eq!(retries.next(), Some(begin + SEND_PAUSE));
        assert_eq!(retries.poll(begin + SEND_PAUSE), Some(ids[0]));
        assert_eq!(retries.poll(begin + SEND_PAUSE), None);
        assert_eq!(retries.poll(begin + 2 * SEND_PAUSE), Some(ids[1]));
        assert_eq!(retries.next(), None);
    }
}
