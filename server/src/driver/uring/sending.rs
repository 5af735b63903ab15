//! What goes to the peers: one send at a time for each, of bytes that stay until it has come back.

use std::time::Instant;

use bytes::Bytes;

use super::Shell;
use super::connection::Sending;
use super::kernel::Kernel;
use super::operation::{Completion, Operation};
use crate::driver::retry;
use crate::hub::{ConnectionId, Disconnect};

impl<K: Kernel> Shell<K> {
    pub(super) fn send(&mut self, id: ConnectionId, bytes: Bytes) {
        let Some(connection) = self.connections.get_mut(id) else {
            unreachable!("the hub sends to connections that it was not told are closed");
        };
        let idle = matches!(connection.sending, Sending::Idle);
        assert!(idle, "one send at a time");
        let held = self.kernel.hold(bytes);
        // SAFETY: `sending`, which was empty, keeps these bytes, which are immutable, until `sent`
        // takes the completion; the connection stays as long (see `close_if_over`).
        let send = unsafe { Operation::send(id, connection.target, &held) };
        connection.sending = Sending::InFlight(held);
        self.kernel.push(send);
    }

    /// A send of a connection that is gone has nobody to tell.
    pub(super) fn sent(&mut self, id: ConnectionId, completion: Completion) {
        let now = self.kernel.now();
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        connection.sending = Sending::Idle;
        match completion.result {
            Ok(bytes) => self.hub.transmitted(id, bytes as usize, now),
            Err(error) if retry::passes(error) && !connection.released => {
                connection.sending = Sending::PutOff;
                self.retries.put_off(id, now);
            }
            Err(error) if retry::passes(error) => self.hub.transmitted(id, 0, now),
            Err(error) => {
                let how = Disconnect::Error(error.to_string());
                self.hub.disconnected(id, how, now);
            }
        }
        self.close_if_over(id);
    }

    /// The hub goes on with sends that found no memory a while ago.
    pub(super) fn send_again(&mut self, now: Instant) {
        while let Some(id) = self.retries.poll(now) {
            self.report_put_off(id, now);
        }
    }

    /// Tells the hub of a send that was put off that nothing of it was sent.
    pub(super) fn report_put_off(&mut self, id: ConnectionId, now: Instant) {
        if let Some(connection) = self.connections.get_mut(id)
            && matches!(connection.sending, Sending::PutOff)
        {
            connection.sending = Sending::Idle;
            self.hub.transmitted(id, 0, now);
        }
    }
}
