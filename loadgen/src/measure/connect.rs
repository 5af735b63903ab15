//! Connecting: sockets are opened at a pace that the server sets.
//!
//! A connection waits in the server's listen backlog until it is accepted, and one that finds the
//! backlog full is delayed by a second or more. So only a window of clients is ever on its way; the
//! window moves on as clients are known to have joined, which is only after they were accepted.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use mio::net::TcpStream;

use crate::host::clock::SECOND_NS;
use crate::host::socket;

/// Clients on their way at once: the usual backlog of servers that do not think about it.
const WINDOW: u32 = 128;

/// Opens the clients' sockets, one after the other.
#[derive(Debug)]
pub(crate) struct Connector {
    target: SocketAddr,
    /// Taken in turn; empty leaves the choice to the kernel.
    sources: Vec<IpAddr>,
    clients: usize,
    /// Those that are not there and are to be started.
    waiting: VecDeque<u32>,
    /// Clients a second, if limited.
    rate: Option<f64>,
    /// Since then the rate counts, and so many have been started since.
    began_ns: u64,
    started_since: u32,
}

impl Connector {
    pub(crate) fn new(
        target: SocketAddr,
        sources: Vec<IpAddr>,
        clients: Range<u32>,
        rate: Option<f64>,
    ) -> Self {
        Self {
            target,
            sources,
            clients: clients.len(),
            waiting: clients.collect(),
            rate,
            began_ns: 0,
            started_since: 0,
        }
    }

    /// Begins to start those that are `absent`.
    pub(crate) fn begin_anew(&mut self, absent: Vec<u32>, now_ns: u64) {
        self.waiting = absent.into();
        self.began_ns = now_ns;
        self.started_since = 0;
    }

    /// A client that had been started is gone, and is to be started again after all others.
    pub(crate) fn again(&mut self, client: u32) {
        self.waiting.push_back(client);
    }

    pub(crate) fn target(&self) -> SocketAddr {
        self.target
    }

    /// How many clients have been started, of whatever run.
    pub(crate) fn started(&self) -> u32 {
        u32::try_from(self.clients - self.waiting.len()).unwrap_or(u32::MAX)
    }

    /// Whether every client has been started.
    pub(crate) fn is_complete(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether the window is full, so that nobody starts before somebody has joined.
    pub(crate) fn is_full(&self, joined: u32) -> bool {
        self.started().saturating_sub(joined) >= WINDOW
    }

    /// When the next client may start: `None` if it is not a matter of time.
    pub(crate) fn next_start_ns(&self, joined: u32) -> Option<u64> {
        if self.is_complete() || self.is_full(joined) {
            return None;
        }
        let Some(rate) = self.rate else {
            return Some(0);
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count divided by a positive rate; an hour too long is as good as never"
        )]
        let due_ns = (f64::from(self.started_since) / rate * SECOND_NS as f64) as u64;
        Some(self.began_ns + due_ns)
    }

    /// Starts the next client's connection, which is complete when its socket becomes writable. Says
    /// which client that is, and whatever the system says, except that the connection is under way.
    pub(crate) fn start(&mut self) -> Option<(u32, io::Result<TcpStream>)> {
        let client = self.waiting.pop_front()?;
        self.started_since += 1;
        Some((client, self.connect(client)))
    }

    /// Begins to connect a client, of whatever run.
    pub(crate) fn connect(&self, client: u32) -> io::Result<TcpStream> {
        let socket = socket::for_target(self.target)?;
        // A message must not wait for the acknowledgement of the one before it.
        socket.set_tcp_nodelay(true)?;
        if let Some(&source) = self.source_of(client) {
            socket.set_reuse_address(true)?;
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        socket::begin_connect(socket, self.target)
    }

    fn source_of(&self, client: u32) -> Option<&IpAddr> {
        self.sources
            .get(client as usize % self.sources.len().max(1))
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn connector(clients: u32, rate: Option<f64>) -> Connector {
        Connector::new(([127, 0, 0, 1], 1).into(), Vec::new(), 0..clients, rate)
    }

    #[test]
    fn no_more_than_a_window_is_on_its_way() {
        let mut connector = connector(WINDOW + 10, None);
        connector.waiting = (WINDOW..WINDOW + 10).collect();
        assert_eq!(connector.next_start_ns(0), None);
        assert_eq!(connector.next_start_ns(1), Some(0));
        connector.waiting.clear();
        assert!(connector.is_complete());
        assert_eq!(connector.next_start_ns(WINDOW + 10), None);
    }

    #[test]
    fn a_rate_spaces_the_starts() {
        let mut connector = connector(100, Some(50.0));
        assert_eq!(connector.next_start_ns(0), Some(0));
        connector.started_since = 10;
        assert_eq!(connector.next_start_ns(0), Some(SECOND_NS / 5));
        connector.begin_anew(vec![3, 4], 7 * SECOND_NS);
        assert_eq!(connector.next_start_ns(100), Some(7 * SECOND_NS));
    }

    #[test]
    fn one_that_is_gone_is_started_again_after_the_others() {
        let mut connector = connector(3, None);
        connector.begin_anew(vec![1], 0);
        assert_eq!(connector.started(), 2);
        connector.again(0);
        assert_eq!(connector.started(), 1);
        let order = [connector.start(), connector.start()].map(|started| started.unwrap().0);
        assert_eq!(order, [1, 0]);
        assert!(connector.start().is_none());
    }

    #[test]
    fn sources_are_taken_in_turn() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sources = ["127.0.0.2", "127.0.0.3"].map(|ip| ip.parse().unwrap());
        let target = listener.local_addr().unwrap();
        let mut connector = Connector::new(target, sources.to_vec(), 0..4, None);
        let mut sockets = Vec::new();
        let mut from = Vec::new();
        for _ in 0..4 {
            sockets.push(connector.start().unwrap().1.unwrap());
            from.push(listener.accept().unwrap().1.ip());
        }
        assert_eq!(from, [sources[0], sources[1], sources[0], sources[1]]);
    }
}
