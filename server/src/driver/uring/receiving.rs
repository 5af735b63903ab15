//! What comes from the peers: a receive goes on by itself until the stream or the buffers end, or the
//! hub wants no more. Each buffer that a completion names is given back, whoever it was for.

use std::time::Instant;

use rustix::io::Errno;
use tracing::debug;

use super::Shell;
use super::connection::Receiving;
use super::kernel::Kernel;
use super::operation::{Completion, Operation, Token};
use crate::hub::{ConnectionId, Disconnect, Reading};

impl<K: Kernel> Shell<K> {
    /// A receive of a connection that is gone has nobody to tell.
    pub(super) fn received(&mut self, id: ConnectionId, completion: Completion) {
        self.take_result(id, completion);
        if let Some(buffer) = completion.buffer {
            self.kernel.give_back(buffer);
        }
        if completion.result != Err(Errno::NOBUFS) {
            self.arm_receive(id);
        }
        self.close_if_over(id);
    }

    fn take_result(&mut self, id: ConnectionId, completion: Completion) {
        let now = self.kernel.now();
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        if !completion.goes_on {
            connection.receiving = Receiving::Idle;
        }
        match completion.result {
            Ok(0) => {
                connection.receiving = Receiving::Ended;
                self.hub.disconnected(id, Disconnect::EndOfStream, now);
            }
            Ok(bytes) => self.take_in(id, completion.buffer, bytes, now),
            Err(Errno::NOBUFS) => {
                self.no_buffer += 1;
                self.starved.push(id, self.hub.has_joined(id));
            }
            Err(Errno::CANCELED | Errno::INTR | Errno::AGAIN) => {}
            Err(Errno::INVAL) if connection.multishot => {
                debug!("no multishot receive");
                self.multishot_receive = false;
            }
            Err(error) => {
                connection.receiving = Receiving::Ended;
                let how = Disconnect::Error(error.to_string());
                self.hub.disconnected(id, how, now);
            }
        }
    }

    /// Hands received bytes to the hub, and stops receiving if it wants no more.
    fn take_in(&mut self, id: ConnectionId, buffer: Option<u16>, bytes: u32, now: Instant) {
        let Some(buffer) = buffer else {
            unreachable!("bytes come in a buffer");
        };
        let reading = self.hub.receive(id, self.kernel.filled(buffer, bytes), now);
        if reading == Reading::Pause
            && let Some(connection) = self.connections.get_mut(id)
        {
            connection.paused = true;
            self.cancel_receive(id);
        }
    }

    /// Ends the receive in flight, if there is one; its completion tells.
    pub(super) fn cancel_receive(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id)
            && connection.receiving == Receiving::Armed
        {
            connection.receiving = Receiving::Cancelling;
            self.kernel.push(Operation::cancel(Token::Receive(id)));
        }
    }

    /// Asks for more input, unless that was done, or none is wanted, or none will come.
    pub(super) fn arm_receive(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id)
            && connection.wants_receive()
        {
            connection.receiving = Receiving::Armed;
            connection.multishot = self.multishot_receive;
            self.kernel.push(if connection.multishot {
                Operation::receive_on(id, connection.target)
            } else {
                Operation::receive_once(id, connection.target)
            });
        }
    }

    /// Lets as many of those who wait for a buffer receive as there are buffers.
    pub(super) fn feed_the_starved(&mut self) {
        for id in self.starved.take(self.kernel.buffers()) {
            self.arm_receive(id);
        }
    }

    /// Receives again for those whom the hub wants to hear again.
    pub(super) fn resume(&mut self) {
        while let Some(id) = self.hub.poll_resume() {
            if let Some(connection) = self.connections.get_mut(id) {
                connection.paused = false;
                self.arm_receive(id);
            }
        }
    }
}
