//! How a world ends: the faults stop and all that is owed arrives; then everyone leaves, or the hubs
//! drain, each in its time.

use std::time::Duration;

use rand::RngExt;

use super::super::Hub;
use super::World;

impl World {
    /// The faults stop: whoever can be reached is served until nothing is owed.
    pub(super) fn heal(&mut self) {
        self.healing = true;
        for round in 0.. {
            assert!(round < 20_000, "what is owed drains in bounded steps");
            self.wake_the_sleeping();
            self.driver_closes();
            for hub in 0..self.hubs.len() {
                self.poll_transmits(hub, usize::MAX);
            }
            for index in 0..self.peers.len() {
                self.the_healthy_keep_up();
                self.complete_send(index, false);
            }
            for index in 0..self.peers.len() {
                self.the_healthy_keep_up();
                self.bytes_arrive(index);
            }
            self.time_passes();
            self.check();
            let busy = self.peers.iter().any(|peer| {
                let session = &self.hubs[peer.hub].sessions[peer.id.slot as usize];
                peer.in_flight.is_some()
                    || session.input.held_back.is_some()
                    || (!peer.to_hub.is_empty() && !peer.is_on_its_way_out(self))
            });
            if !busy
                && self.sleeping.iter().all(|sleeps| !sleeps)
                && self.hubs.iter().all(|hub| !hub.has_transmits())
                && self
                    .hubs
                    .iter()
                    .all(|hub| hub.send_queue.next_line_up().is_none())
            {
                break;
            }
        }
        for peer in &self.peers {
            peer.check_that_all_arrived(self);
        }
    }

    pub(super) fn everyone_leaves(&mut self) {
        for index in 0..self.peers.len() {
            self.leaves(index);
        }
        self.close_all();
    }

    pub(super) fn drain(&mut self) {
        // Each in its time: what one hub accepts is still owed to the peers of one that drains already.
        for hub in 0..self.hubs.len() {
            // More than the steps below can take, with all hubs.
            self.hubs[hub].drain(Duration::from_secs(400), self.now);
            for _ in 0..self.rng.random_range(0..30) {
                self.step();
                self.check();
            }
        }
        self.observe();
        for peer in &mut self.peers {
            peer.was_there_at_the_end = peer.joined_at.is_some();
        }
        for hub in &mut self.hubs {
            hub.say_goodbye(self.now);
        }
        self.close_all();
    }

    pub(super) fn close_all(&mut self) {
        self.healing = true;
        // Draining has its time; else those who left may have said more than they are heard in a second.
        let draining = self.hubs.iter().any(Hub::is_draining);
        for _ in 0..1_000 {
            if self.hubs.iter().all(Hub::is_empty) {
                break;
            }
            self.wake_the_sleeping();
            for hub in 0..self.hubs.len() {
                self.poll_transmits(hub, usize::MAX);
            }
            for index in 0..self.peers.len() {
                self.the_healthy_keep_up();
                self.complete_send(index, false);
            }
            self.driver_closes();
            let step = Duration::from_millis(if draining { 100 } else { 1000 });
            self.run_until(self.now + step);
            self.check();
        }
    }
}
