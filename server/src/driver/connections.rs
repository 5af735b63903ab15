//! A driver's connections, by the identifiers that the hub gave them, and those whose sends were put
//! off.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::hub::ConnectionId;

/// What a driver keeps for each connection. An identifier that outlived its connection finds none.
#[derive(Debug)]
pub(super) struct Connections<C> {
    slots: Vec<Option<(ConnectionId, C)>>,
    count: usize,
}

impl<C> Connections<C> {
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            count: 0,
        }
    }

    /// # Panics
    /// When the slot is still in use: the hub was told too early that a connection is closed.
    pub(super) fn insert(&mut self, id: ConnectionId, connection: C) {
        let slot = id.slot as usize;
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
        }
        let before = self.slots[slot].replace((id, connection));
        assert!(before.is_none(), "slot {slot} is still in use");
        self.count += 1;
    }

    pub(super) fn get(&self, id: ConnectionId) -> Option<&C> {
        match self.slots.get(id.slot as usize) {
            Some(Some((found, connection))) if *found == id => Some(connection),
            _ => None,
        }
    }

    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut C> {
        match self.slots.get_mut(id.slot as usize) {
            Some(Some((found, connection))) if *found == id => Some(connection),
            _ => None,
        }
    }

    /// The identifiers of all connections.
    pub(super) fn ids(&self) -> Vec<ConnectionId> {
        self.slots.iter().flatten().map(|(id, _)| *id).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<C> {
        self.get(id)?;
        let (_, connection) = self.slots[id.slot as usize].take()?;
        self.count -= 1;
        if self.count == 0 {
            self.slots = Vec::new();
        }
        Some(connection)
    }
}

/// How long a send pauses.
pub(super) const SEND_PAUSE: Duration = Duration::from_millis(10);

/// Whether an error of a send says nothing about the connection, and will pass.
pub(super) fn passes(error: Errno) -> bool {
    matches!(
        error,
        Errno::AGAIN | Errno::INTR | Errno::NOBUFS | Errno::NOMEM
    )
}

/// Connections whose send the kernel had no memory for: it is tried again a little later, for the
/// connection is as well as before and trying at once would spin. Every pause is equally long, so the
/// first that was put off is the first that is due. One that is gone by then is for the driver to find
/// out.
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
