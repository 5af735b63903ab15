//! How the engine lets clients go: what was still to be read, why they went, and whether the run can go
//! on without them.

use super::{Lane, take};
use crate::connection::Connection;
use crate::departures::Cause;
use crate::error::Error;
use crate::phases::Phase;

impl Lane<'_> {
    /// Lets go of a client whose connection failed, once it was read what the server may have said before.
    pub(super) fn depart_after_reading(
        &mut self,
        client: u32,
        error: std::io::Error,
    ) -> Result<(), Error> {
        let place = self.place(client);
        if let Some(connection) = self.connections[place].as_mut()
            && let Ok(Some(bytes)) = connection.read(&mut self.read_buffer)
        {
            // What cannot be decoded here changes nothing: the client is gone either way.
            let _ = take(
                client,
                connection,
                &self.read_buffer[..bytes],
                (&self.identity, &mut self.recent),
                &mut self.observation,
                self.board,
                self.clock.now_ns(),
            );
        }
        self.depart(client, Cause::Broken(error))
    }

    /// Lets go of a client whose stream has ended.
    pub(super) fn ended(&mut self, client: u32) -> Result<(), Error> {
        let is_torn = self.connections[self.place(client)]
            .as_ref()
            .is_some_and(Connection::is_mid_message);
        let cause = if is_torn { Cause::Torn } else { Cause::Closed };
        self.depart(client, cause)
    }

    /// Lets go of a client. Before the load, a run cannot go on without it.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a cause is made to be used up"
    )]
    pub(super) fn depart(&mut self, client: u32, cause: Cause) -> Result<(), Error> {
        self.follow();
        if self.phase == Phase::Connect && self.may_replace {
            self.replace(client);
            return Ok(());
        }
        let place = self.place(client);
        if let Some(connection) = self.connections[place].take() {
            let unsent = connection.outbox.messages();
            self.observation.departed(client, &cause, unsent);
        }
        if self.phase != Phase::Connect {
            return Ok(());
        }
        Err(Error::LeftEarly {
            target: self.connector.target(),
            joined: self.board.joined(),
            clients: self.plan.connections(),
            how: self.observation.departures.in_words(),
        })
    }
}
