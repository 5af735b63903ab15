//! A driver's connections, by the identifiers that the hub gave them.

use crate::hub::ConnectionId;

/// What a driver keeps for each connection. An identifier that outlived its connection finds none.
#[derive(Debug)]
pub(super) struct Connections<C> {
    slots: Vec<Option<(ConnectionId, C)>>,
}

impl<C> Connections<C> {
    pub(super) fn new() -> Self {
        Self { slots: Vec::new() }
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
        self.slots.iter().all(Option::is_none)
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<C> {
        self.get(id)?;
        let (_, connection) = self.slots[id.slot as usize].take()?;
        Some(connection)
    }
}
