//! The hub's fan-out with a driver that moves no bytes: what a send costs beside the kernel.
//!
//! A round publishes some messages and then serves everyone until nothing is owed, in chunks as the
//! drivers do. At one message a round each delivery is a send of its own; with more, a send carries
//! all of them. Elements are deliveries.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use protocol::frame;
use server::hub::{ConnectionId, Hub, Limits, Log};

const SUBSCRIBERS: u16 = 5000;

/// Sends that a driver takes before it reports on them.
const CHUNK: usize = 128;

const LOG_BYTES_MAX: usize = 64 << 20;

/// A hub with everyone joined, and the driver that only counts.
struct World {
    hub: Hub,
    subscribers: Vec<ConnectionId>,
    message: Bytes,
    now: Instant,
    chunk: Vec<(ConnectionId, usize)>,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        // Its time stands still.
        let limits = Limits {
            messages_per_second_max: None,
            bytes_per_second_max: None,
            ..Limits::default()
        };
        let mut hub = Hub::new(limits, Log::new(LOG_BYTES_MAX));
        let subscribers = (0..SUBSCRIBERS)
            .map(|number| {
                let id = hub.accept(SocketAddr::from((Ipv4Addr::LOCALHOST, number)), now);
                let name = frame::encode(format!("bench{number:05}").as_bytes());
                let _ = hub.receive(id, &name, now);
                id
            })
            .collect();
        Self {
            hub,
            subscribers,
            message: frame::encode(&[b'x'; 64]),
            now,
            chunk: Vec::with_capacity(CHUNK),
        }
    }

    /// `messages` come in, of as many `authors`, who are spread over all subscribers; then all is
    /// delivered.
    fn round(&mut self, messages: usize, authors: usize) {
        let stride = self.subscribers.len() / authors;
        for message in 0..messages {
            let author = self.subscribers[message % authors * stride];
            let _ = self.hub.receive(author, &self.message, self.now);
        }
        self.serve();
    }

    fn serve(&mut self) {
        loop {
            while self.chunk.len() < CHUNK {
                let Some(transmit) = self.hub.poll_transmit(self.now) else {
                    break;
                };
                self.chunk.push((transmit.id, transmit.bytes.len()));
            }
            if self.chunk.is_empty() {
                break;
            }
            for (id, bytes) in self.chunk.drain(..) {
                self.hub.transmitted(id, bytes, self.now);
            }
        }
        assert_eq!(self.hub.counters().pending(), 0, "nothing is owed any more");
    }
}

fn fan_out(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fan_out");
    for messages in [1, 10, 100] {
        let deliveries = messages as u64 * u64::from(SUBSCRIBERS - 1);
        group.throughput(Throughput::Elements(deliveries));
        for (name, authors) in [("one author", 1), ("an author each", messages)] {
            if name == "an author each" && authors == 1 {
                continue;
            }
            group.bench_function(BenchmarkId::new(name, messages), |bencher| {
                let mut world = World::new();
                bencher.iter(|| world.round(messages, authors));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, fan_out);
criterion_main!(benches);
