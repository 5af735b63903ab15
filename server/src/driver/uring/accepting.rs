//! Newcomers: accepting goes on by itself until it fails, and pauses when there is no descriptor left.

use std::io;
use std::time::Instant;

use super::Shell;
use super::connection::Connection;
use super::kernel::Kernel;
use super::operation::{Completion, Operation, SLOTS_MAX};
use crate::driver::{ACCEPT_PAUSE, AcceptError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepting {
    Armed,
    /// No descriptor was left: to be armed again at this time.
    Pausing(Instant),
    /// Draining.
    Over,
}

impl<K: Kernel> Shell<K> {
    pub(super) fn accepted(&mut self, completion: Completion) {
        self.accept_in_flight = completion.goes_on;
        match completion.result {
            Ok(descriptor) => {
                self.starving = false;
                self.kernel.refill_reserve();
                // SAFETY: the kernel has just opened this descriptor for us, and for nobody else.
                let socket = unsafe { self.kernel.adopt(descriptor) };
                if self.accepting != Accepting::Over {
                    self.connect(socket);
                }
            }
            Err(_) if self.accepting == Accepting::Over => {}
            Err(error) => {
                let error = AcceptError::from(io::Error::from(error));
                if let AcceptError::Starved(starved) = error {
                    if !std::mem::replace(&mut self.starving, true) {
                        starved.warn();
                    }
                    self.kernel.refuse_waiting(|| self.hub.refuse());
                    self.accepting = Accepting::Pausing(self.kernel.now() + ACCEPT_PAUSE);
                    return;
                }
            }
        }
        if !completion.goes_on {
            self.arm_accept();
        }
    }

    fn connect(&mut self, socket: K::Socket) {
        let Some(peer) = self.kernel.peer(&socket) else {
            return;
        };
        let id = self.hub.accept(peer, self.kernel.now());
        assert!(id.slot < SLOTS_MAX, "too many connections for one thread");
        let target = self.kernel.place(&socket, id.slot);
        self.connections.insert(id, Connection::new(socket, target));
        // Before the next wait, unless more came at once than there are buffers for.
        self.starved.push(id, false);
    }

    pub(super) fn arm_accept(&mut self) {
        if self.accepting != Accepting::Over {
            self.accepting = Accepting::Armed;
            self.accept_in_flight = true;
            let listener = self.kernel.listener();
            self.kernel.push(Operation::accept(listener));
        }
    }

    /// Arms accepting again when its pause is over, else says when that will be.
    pub(super) fn accept_again(&mut self, now: Instant) -> Option<Instant> {
        match self.accepting {
            Accepting::Pausing(until) if until > now => Some(until),
            Accepting::Pausing(_) => {
                self.arm_accept();
                None
            }
            Accepting::Armed | Accepting::Over => None,
        }
    }

    pub(super) fn stop_accepting(&mut self) {
        if self.accepting != Accepting::Over {
            self.accepting = Accepting::Over;
            self.kernel.stop_listening();
        }
    }
}
