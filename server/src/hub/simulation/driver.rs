//! The simulated driver: it asks for transmits, reports on them short, late or not at all, and closes
//! what it is told to.

use std::time::Duration;

use rand::RngExt;

use super::super::session::{Content, Phase};
use super::super::{Close, Coalesce, ConnectionId};
use super::peer::{Flight, Manner, Order};
use super::web::Speech;
use super::{World, invariants};

impl World {
    pub(super) fn driver_asks_for_transmits(&mut self) {
        let hub = self.rng.random_range(0..self.hubs.len());
        let chunk = self.rng.random_range(1..16);
        self.poll_transmits(hub, chunk);
    }

    pub(super) fn poll_transmits(&mut self, hub: usize, chunk: usize) {
        for _ in 0..chunk {
            let lagged = self.hubs[hub].log.is_lagging();
            let Some(transmit) = self.hubs[hub].poll_transmit(self.now) else {
                break;
            };
            // What it paused may go on in between.
            let lagged = lagged || self.hubs[hub].log.is_lagging();
            let now = self.now;
            let coalesce = match self.limits.coalesce {
                Coalesce::Fixed(pause) => pause,
                Coalesce::Auto => Duration::ZERO,
            };
            let draining = self.hubs[hub].is_draining();
            invariants::check_batch(&self.hubs[hub], &transmit);
            let session = &self.hubs[hub].sessions[transmit.id.slot as usize];
            let backlog_bytes = match &session.phase {
                Phase::Joined(subscriber) => self.hubs[hub].log.backlog_bytes(subscriber.cursor),
                _ => 0,
            };
            let lagged = lagged || backlog_bytes >= self.limits.batch_bytes_max as u64;
            let content = session
                .in_flight
                .as_ref()
                .map(|in_flight| in_flight.content);
            let is_batch = matches!(content, Some(Content::Batch { .. }));
            let is_notice = match content {
                Some(Content::Partial) => !session.partial_is_message,
                _ => matches!(content, Some(Content::Notice | Content::Reply)),
            };
            let peer = self.peer_mut(hub, transmit.id);
            if is_batch && !draining {
                let before = peer.sent_to_at.replace(now);
                assert!(lagged || before.is_none_or(|before| before + coalesce <= now));
            }
            assert!(!transmit.bytes.is_empty(), "a transmit carries something");
            assert!(peer.in_flight.is_none(), "one send in flight a peer");
            peer.in_flight = Some(Flight {
                bytes: transmit.bytes,
                since: now,
                is_notice,
            });
            self.observe();
        }
        self.observe();
    }

    pub(super) fn a_send_completes(&mut self) {
        let Some(index) = self.any_peer() else { return };
        if self.peers[index].manner == Manner::Stuck {
            return;
        }
        // One that is healthy takes a whole send from time to time.
        let peer = &self.peers[index];
        let rested = Duration::from_millis(500);
        let may_be_short = peer.short_at.is_none_or(|at| at + rested <= self.now);
        let short = may_be_short && self.rng.random_bool(0.3);
        if short && self.peers[index].manner.is_healthy() {
            self.peers[index].short_at = Some(self.now);
        }
        self.complete_send(index, short);
    }

    pub(super) fn complete_send(&mut self, index: usize, short: bool) {
        let peer = &mut self.peers[index];
        let Some(flight) = peer.in_flight.take() else {
            return;
        };
        let bytes = flight.bytes;
        let sent = if peer.manner == Manner::Trickling && !self.healing {
            1
        } else if short {
            self.rng.random_range(1..=bytes.len())
        } else {
            bytes.len()
        };
        let (hub, id) = (peer.hub, peer.id);
        let order = Order {
            messages: &self.order,
            here_after: &self.here_after,
        };
        let peer = &mut self.peers[index];
        match peer.speech {
            Speech::Frames => peer.take(&bytes[..sent], flight.is_notice, order),
            _ => peer.take_web(&bytes[..sent], order, &mut self.rng),
        }
        self.hubs[hub].transmitted(id, sent, self.now);
        self.observe();
    }

    pub(super) fn driver_closes(&mut self) {
        for hub in 0..self.hubs.len() {
            while let Some(close) = self.hubs[hub].poll_close() {
                match close {
                    Close::ShutdownWrite(id) => self.peer_mut(hub, id).sees_end_of_stream = true,
                    Close::Release(id) => self.release(hub, id),
                }
            }
            while let Some(id) = self.hubs[hub].poll_resume() {
                if let Some(peer) = self.find_peer(hub, id) {
                    peer.paused = false;
                }
            }
        }
    }

    pub(super) fn release(&mut self, hub: usize, id: ConnectionId) {
        let index = self.find_peer_at(hub, id).expect("it is there");
        let mut peer = self.peers.remove(index);
        let in_flight = peer.in_flight.take();
        peer.check_close(&self.order);
        if let Some(last) = peer.web.as_mut().and_then(|web| web.last.take()) {
            self.lost.push(last);
        }
        let drains = matches!(
            self.hubs[hub].sessions[id.slot as usize].phase,
            Phase::DrainingInput { .. }
        );
        if let Some(Flight { bytes, .. }) = in_flight {
            // The kernel gives the buffer back before the descriptor may go.
            self.hubs[hub].transmitted(id, bytes.len(), self.now);
        }
        self.hubs[hub].closed(id);
        self.stale.push((hub, id));
        if drains {
            self.left.push(peer);
        }
    }
}
