//! How the engine lets clients join: it starts them as the connector allows, and sends the rounds of
//! probes that the barrier asks for, before the load and once more behind it.

use mio::net::TcpStream;
use mio::{Interest, Token};
use record::Protocol;

use super::Worker;
use crate::host::refused;
use crate::measure::connection::{Connection, Resumption};
use crate::measure::error::RunError;
use crate::measure::phases::Phase;
use crate::wire::outbox::Item;

impl Worker<'_> {
    pub(super) fn next_connect_ns(&self) -> Option<u64> {
        (self.phase == Phase::Connect).then(|| self.connector.next_start_ns(self.joined))?
    }

    /// Starts the clients whose time has come.
    pub(super) fn connect_more(&mut self, now_ns: u64) -> Result<(), RunError> {
        if self.phase != Phase::Connect {
            return Ok(());
        }
        self.joined = self.observation.barrier.reached();
        while self
            .next_connect_ns()
            .is_some_and(|start_ns| start_ns <= now_ns)
        {
            self.start_client()?;
        }
        Ok(())
    }

    fn start_client(&mut self) -> Result<(), RunError> {
        let Some((client, started)) = self.connector.start() else {
            return Ok(());
        };
        let socket = self.watched(client, started)?;
        let place = self.place(client);
        self.connections[place] = Some(Connection::new(client, socket));
        Ok(())
    }

    /// Lets a client that was cut come back.
    pub(super) fn start_again(
        &mut self,
        client: u32,
        resumption: Resumption,
    ) -> Result<(), RunError> {
        let socket = self.watched(client, self.connector.connect(client))?;
        let place = self.place(client);
        self.connections[place] = Some(Connection::back(client, socket, resumption));
        Ok(())
    }

    fn watched(
        &self,
        client: u32,
        started: std::io::Result<TcpStream>,
    ) -> Result<TcpStream, RunError> {
        let mut socket = started.map_err(|error| self.connect_error(client, error))?;
        self.poll
            .registry()
            .register(
                &mut socket,
                Token(self.place(client)),
                Interest::READABLE | Interest::WRITABLE,
            )
            .map_err(refused("watch a socket"))?;
        Ok(socket)
    }

    /// Before the load, a client that is gone is one more to be started.
    pub(super) fn replace(&mut self, client: u32) {
        let place = self.place(client);
        let was_there = self.connections[place].take();
        // One that never got as far as sending its name is not known to the barrier.
        if was_there.is_some_and(|connection| connection.is_named()) {
            self.observation.barrier.disconnected(client);
        }
        self.connector.again(client);
    }

    pub(super) fn connect_error(&self, client: u32, error: std::io::Error) -> RunError {
        let target = self.connector.target();
        match error.kind() {
            std::io::ErrorKind::ConnectionRefused => RunError::ConnectionRefused { target },
            std::io::ErrorKind::AddrNotAvailable | std::io::ErrorKind::AddrInUse => {
                RunError::NoSource { target, error }
            }
            _ => RunError::Connect {
                client,
                target,
                error,
            },
        }
    }

    /// A server that answers a newcomer with an error will not let it in, even if it does not close.
    pub(super) fn check_refused(&self) -> Result<(), RunError> {
        let is_joining = self.phase == Phase::Connect && !self.may_replace;
        if !is_joining || self.plan.protocol == Protocol::Uringcast {
            return Ok(());
        }
        match self.observation.disconnects.notices.values().next() {
            None => Ok(()),
            Some(notices) => Err(RunError::Refused {
                target: self.connector.target(),
                said: notices.example.clone(),
                remedy: if self.plan.protocol.is_broker() {
                    "see its limits and its log, or log in with --username and --password-file"
                } else {
                    "see its limits and its log"
                },
            }),
        }
    }

    /// Whether no further client is about to send its name.
    fn is_settled(&self) -> bool {
        let all_named = self.connector.started() == self.observation.barrier.named_so_far();
        let nobody_starts = self.connector.is_complete() || self.connector.is_full(self.joined);
        all_named && nobody_starts
    }

    pub(super) fn next_probe_ns(&self) -> Option<u64> {
        match self.phase {
            Phase::Connect => self.observation.barrier.next_round_ns(self.is_settled()),
            Phase::Mark => self.observation.barrier.next_round_ns(true),
            _ => None,
        }
    }

    /// Sends the next round of the barrier if it is time for one.
    pub(super) fn probe(&mut self, now_ns: u64) -> Result<(), RunError> {
        if self.next_probe_ns().is_none_or(|next_ns| next_ns > now_ns) {
            return Ok(());
        }
        let settled = self.phase == Phase::Mark || self.is_settled();
        let barrier = &mut self.observation.barrier;
        let probers: Vec<u32> = barrier.probers().collect();
        let Some(round) = barrier.begin_round(now_ns, settled) else {
            return Ok(());
        };
        for prober in probers {
            let place = self.place(prober);
            if let Some(connection) = self.connections[place].as_mut() {
                connection.outbox.push(Item::Probe { round });
                self.flush(prober)?;
            }
        }
        Ok(())
    }
}
