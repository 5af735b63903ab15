//! A server in this process, on a thread of its own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use server::{Config, Handle, Server, ServerError, Summary, hub::Counters};

use super::{DEADLINE, Setup};

/// A server that runs, and ends with this value.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    /// Where it serves metrics, if it was told to.
    pub(crate) metrics: Option<SocketAddr>,
    handle: Handle,
    ended: Receiver<Result<Summary, ServerError>>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    pub(crate) fn start(setup: Setup) -> Self {
        Self::configured(setup.config())
    }

    pub(crate) fn configured(config: Config) -> Self {
        let server = Server::bind(config).expect("a free port");
        let (tell, ended) = channel();
        let (address, handle) = (server.address(), server.handle());
        let metrics = server.metrics_address();
        let thread = thread::spawn(move || {
            let _ = tell.send(server.run());
        });
        Self {
            address,
            metrics,
            handle,
            ended,
            thread: Some(thread),
        }
    }

    /// A metric's value, such as `uringcast_disconnects_total{reason="stalled"}`; 0 while it has none.
    /// The server has to be configured to serve metrics.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let mut http = TcpStream::connect(self.metrics.expect("metrics are served")).unwrap();
        http.set_read_timeout(Some(DEADLINE)).unwrap();
        http.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        http.read_to_string(&mut answer).unwrap();
        let value = answer.lines().find_map(|line| line.strip_prefix(name));
        value.map_or(0, |value| value.trim().parse().unwrap())
    }

    /// Waits until a metric is no longer 0.
    pub(crate) fn wait_for(&self, name: &str) {
        let patience = Instant::now() + DEADLINE;
        while self.metric(name) == 0 {
            assert!(Instant::now() < patience, "{name} stays 0");
        }
    }

    /// Begins the orderly end.
    pub(crate) fn drain(&self) {
        self.handle.drain();
    }

    /// What the server says when it has ended, which it was told before.
    pub(crate) fn summary(mut self) -> Summary {
        let ended = self.ended.recv_timeout(DEADLINE);
        if ended.is_ok()
            && let Some(thread) = self.thread.take()
        {
            thread.join().expect("the thread has ended well");
        }
        ended
            .unwrap_or_else(|error| panic!("the server panicked or hangs: {error}"))
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Ends the server in good order. Nothing may be left, and the counters have to balance.
    pub(crate) fn end(self) -> Counters {
        self.drain();
        let summary = self.summary();
        let counters = summary.counters;
        assert_eq!(summary.undelivered(), 0, "{counters:?}");
        assert_eq!(counters.connections, 0, "{counters:?}");
        assert_eq!(counters.closed.total(), counters.accepted, "{counters:?}");
        assert_eq!(
            counters.owed,
            counters.delivered + counters.discarded.total(),
            "{counters:?}"
        );
        counters
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take()
            && self.ended.recv_timeout(DEADLINE).is_ok()
        {
            let _ = thread.join();
        }
    }
}
