//! The booking of deliveries without a socket, for a benchmark of what one costs.
//!
//! All that a client's bytes go through once they are read: decoding, the stamp, the ledger and the
//! latencies. The same functions as in a run, in the same order.

use std::time::Duration;

use record::Protocol;

use super::observation::Observation;
use super::plan::{Plan, Span};
use super::schedule::Schedule;
use crate::wire::identity::Identity;
use crate::wire::inbox::Inbox;
use crate::wire::recent::Recent;
use crate::wire::stamp::Stamp;

/// Tells the run from others; any would do.
const RUN: u32 = 1;

/// How long each message is under way.
const LATENCY_NS: u64 = 1_000_000;

/// Messages of one author, and everybody else who is about to receive them.
#[doc(hidden)]
#[derive(Debug)]
pub struct Deliveries {
    identity: Identity,
    observation: Observation,
    recent: Recent,
    author: u32,
    /// One for each client.
    inboxes: Vec<Inbox>,
    /// All messages, as a server relays them.
    wire: Vec<u8>,
    now_ns: u64,
}

impl Deliveries {
    /// `messages` messages of 64 bytes to all of `clients` clients but their author.
    ///
    /// # Panics
    /// With fewer than two clients, without a message, or with more of either than a run may have.
    #[must_use]
    pub fn new(clients: u32, messages: u32) -> Self {
        let plan = Plan {
            clients,
            senders: 1,
            rate: f64::from(messages),
            warmup: Span::of(Duration::ZERO),
            measure: Span::of(Duration::from_secs(1)),
            force: true,
            ..Plan::default()
        };
        let plan = plan.checked(String::new());
        let plan = plan.expect("as many clients and messages as a run may have");
        let identity = plan.identity(RUN);
        let mut observation = Observation::new(&plan, 0..clients, 0);
        let (mut author, mut wire, mut now_ns) = (0, Vec::new(), 0);
        for (due, number) in Schedule::new(&plan).zip(0..) {
            author = due.author;
            let outgoing = observation.due(number, &due, 0);
            let stamp = Stamp {
                number,
                previous: outgoing.previous,
                intended_ns: outgoing.intended_ns,
                sent_ns: outgoing.intended_ns,
            };
            let (name, payload) = (
                identity.names.of(author),
                identity
                    .stamper
                    .message(&stamp, author, outgoing.payload_bytes),
            );
            wire.extend_from_slice(&protocol::frame::broadcast(name.as_bytes(), &payload));
            now_ns = outgoing.intended_ns + LATENCY_NS;
        }
        Self {
            identity,
            observation,
            recent: Recent::new(),
            author,
            inboxes: (0..clients)
                .map(|_| Inbox::new(Protocol::Uringcast))
                .collect(),
            wire,
            now_ns,
        }
    }

    /// Every receiver reads all messages at once; returns how many deliveries are booked by then, each
    /// proved to be the first and as it was sent.
    ///
    /// # Panics
    /// If the messages cannot be decoded, which is an error of this program.
    pub fn book(&mut self) -> u64 {
        for (inbox, receiver) in self.inboxes.iter_mut().zip(0..) {
            if receiver == self.author {
                continue;
            }
            let observation = &mut self.observation;
            inbox
                .decode(&self.wire, &self.identity, &mut self.recent, |arrival| {
                    // There is no other worker that would have to be told.
                    let _ = observation.arrived(receiver, arrival, self.now_ns);
                })
                .expect("what was encoded can be decoded");
        }
        self.observation.ledger.delivered()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_but_the_author_is_booked_once() {
        let mut deliveries = Deliveries::new(5, 7);
        assert_eq!(deliveries.book(), 4 * 7);
        assert_eq!(deliveries.observation.corrupt, 0);
        assert_eq!(
            deliveries.book(),
            4 * 7,
            "the second time all are duplicates"
        );
    }
}
