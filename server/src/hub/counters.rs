//! What the hub counted. At every step: owed = delivered + pending + the sum of discarded.

use std::ops::{AddAssign, Index, IndexMut};

use super::close_reason::Reason;

/// Totals since the start, and the present number of connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections that gave a name.
    pub joined: u64,
    /// Connections that are there now, whatever their state.
    pub connections: u64,
    /// Messages accepted from this hub's connections.
    pub messages: u64,
    /// How often a client was not read from for a while since it said too much.
    pub throttled: u64,
    /// Deliveries that accepted messages made due to this hub's connections.
    pub owed: u64,
    /// Deliveries that were handed to the kernel whole.
    pub delivered: u64,
    /// Sends that the kernel took only in part.
    pub short_sends: u64,
    /// Sends that completed.
    pub sends: u64,
    /// Deliveries that were given up since the receiver went, by reason.
    pub discarded: PerReason,
    /// Connections that ended, by reason.
    pub closed: PerReason,
}

/// One count for each [`Reason`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PerReason([u64; Reason::ALL.len()]);

impl PerReason {
    /// The sum over all reasons.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl Index<Reason> for PerReason {
    type Output = u64;

    fn index(&self, reason: Reason) -> &u64 {
        &self.0[reason as usize]
    }
}

impl IndexMut<Reason> for PerReason {
    fn index_mut(&mut self, reason: Reason) -> &mut u64 {
        &mut self.0[reason as usize]
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.joined += other.joined;
        self.connections += other.connections;
        self.messages += other.messages;
        self.throttled += other.throttled;
        self.owed += other.owed;
        self.delivered += other.delivered;
        self.short_sends += other.short_sends;
        self.sends += other.sends;
        for reason in Reason::ALL {
            self.discarded[reason] += other.discarded[reason];
            self.closed[reason] += other.closed[reason];
        }
    }
}

impl Counters {
    /// Deliveries that are owed and neither made nor given up.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.owed - self.delivered - self.discarded.total()
    }
}
