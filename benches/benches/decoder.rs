//! The decoder over streams as they come out of a socket: how many bytes and frames a second.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use protocol::{Decoder, frame};

/// What the load generator and the server's peers read at once.
const READ_BYTES: usize = 64 * 1024;

/// An Ethernet segment's worth of TCP payload: nearly every one cuts a frame.
const SEGMENT_BYTES: usize = 1448;

/// Shorter than a frame: every frame is cut, many twice, headers among them.
const CRUMB_BYTES: usize = 61;

/// About how long the streams are.
const STREAM_BYTES: usize = 1 << 20;

const NAME: &[u8] = b"client42";

/// A stream of broadcasts, and what is in it.
struct Stream {
    wire: Vec<u8>,
    frames: u64,
}

impl Stream {
    fn of_messages(message_bytes: usize) -> Self {
        let broadcast = frame::broadcast(NAME, &vec![b'x'; message_bytes]);
        let broadcasts = STREAM_BYTES / broadcast.len();
        Self {
            wire: broadcast.repeat(broadcasts),
            frames: 2 * broadcasts as u64,
        }
    }

    /// Decodes the stream, cut into pieces of `cut_bytes`, to its end.
    fn decode(&self, decoder: &mut Decoder, cut_bytes: usize) {
        let mut frames = 0;
        for mut piece in self.wire.chunks(cut_bytes) {
            while let Some(payload) = decoder.next(&mut piece).expect("the stream is well formed") {
                black_box(payload);
                frames += 1;
            }
        }
        assert_eq!(frames, self.frames);
    }
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for (name, message_bytes, cut_bytes) in [
        ("64 B messages, 64 KiB reads", 64, READ_BYTES),
        ("64 B messages, 1448 B reads", 64, SEGMENT_BYTES),
        ("64 B messages, 61 B reads", 64, CRUMB_BYTES),
        ("8 KiB messages, 64 KiB reads", 8192, READ_BYTES),
        ("8 KiB messages, 1448 B reads", 8192, SEGMENT_BYTES),
    ] {
        let stream = Stream::of_messages(message_bytes);
        group.throughput(Throughput::ElementsAndBytes {
            elements: stream.frames,
            bytes: stream.wire.len() as u64,
        });
        group.bench_function(name, |bencher| {
            let mut decoder = Decoder::new(message_bytes);
            bencher.iter(|| stream.decode(&mut decoder, cut_bytes));
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
