//! How the engine loses clients: what was still to be read, the close reason, and whether the run can go
//! on without them.

use super::{Worker, book_read};
use crate::measure::connection::Connection;
use crate::measure::error::RunError;
use crate::measure::phases::Phase;
use crate::wire::disconnects::CloseReason;

impl Worker<'_> {
    /// Removes a client whose connection failed, after reading what the server may have said before.
    pub(super) fn disconnect_after_reading(
        &mut self,
        client: u32,
        error: std::io::Error,
    ) -> Result<(), RunError> {
        let place = self.place(client);
        if let Some(connection) = self.connections[place].as_mut()
            && let Ok(Some(bytes)) = connection.read(&mut self.read_buffer)
        {
            // What cannot be decoded here changes nothing: the client is gone either way.
            let _ = book_read(
                client,
                connection,
                &self.read_buffer[..bytes],
                (&self.identity, &mut self.recent),
                &mut self.observation,
                self.shared,
                self.clock.now_ns(),
            );
        }
        self.disconnect(client, CloseReason::Broken(error))
    }

    /// Removes a client whose stream has ended.
    pub(super) fn ended(&mut self, client: u32) -> Result<(), RunError> {
        let is_partial = self.connections[self.place(client)]
            .as_ref()
            .is_some_and(Connection::is_mid_message);
        let cause = if is_partial {
            CloseReason::Partial
        } else {
            CloseReason::Closed
        };
        self.disconnect(client, cause)
    }

    /// Removes a client. Before the load, a run cannot go on without it.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a cause is made to be used up"
    )]
    pub(super) fn disconnect(&mut self, client: u32, cause: CloseReason) -> Result<(), RunError> {
        self.follow();
        if self.phase == Phase::Connect && self.may_replace {
            self.replace(client);
            return Ok(());
        }
        let place = self.place(client);
        if let Some(connection) = self.connections[place].take() {
            let unsent = connection.outbox.messages();
            self.observation.disconnected(client, &cause, unsent);
        }
        if self.phase != Phase::Connect {
            return Ok(());
        }
        Err(RunError::LeftEarly {
            target: self.connector.target(),
            joined: self.shared.joined(),
            clients: self.plan.connections(),
            how: self.observation.disconnects.in_words(),
        })
    }
}
