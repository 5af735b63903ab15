//! The end of a connection: its operations are ended, and when the last has come back it leaves the
//! table of files and is closed; then its slot may be used again.

use rustix::net::Shutdown;

use super::Shell;
use super::kernel::Kernel;
use crate::hub::{Close, ConnectionId};

impl<K: Kernel> Shell<K> {
    pub(super) fn close(&mut self) {
        while let Some(close) = self.hub.poll_close() {
            match close {
                Close::ShutdownWrite(id) => {
                    if let Some(connection) = self.connections.get(id) {
                        self.kernel.shutdown(&connection.socket, Shutdown::Write);
                    }
                }
                Close::Release(id) => self.release(id),
            }
        }
    }

    /// Ends what is in flight for a connection, which closes it.
    fn release(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.released = true;
            // Completes a send that waits for room, and a receive that waits for bytes.
            self.kernel.shutdown(&connection.socket, Shutdown::Both);
            self.cancel_receive(id);
            self.report_put_off(id, self.kernel.now());
            self.close_if_over(id);
        }
    }

    /// Closes a connection that was released, once the ring has returned all that is its.
    pub(super) fn close_if_over(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get(id)
            && connection.released
            && !connection.is_in_flight()
        {
            self.kernel.displace(connection.target);
            self.connections.remove(id);
            self.hub.closed(id);
        }
    }
}
