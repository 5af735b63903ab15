//! Writes lines from a thread of its own, so that a reader that has stopped (a full pipe, a terminal
//! on hold) stops nobody else: what does not fit into the queue is lost, and its number told later.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

use super::limiter::{Limiter, WHILE};

/// Lines that wait to be written.
const QUEUE_LINES: usize = 4096;
/// How often it is looked whether something was left out.
const TICK: Duration = Duration::from_secs(1);
/// So long after the last line nothing is left out any more of what came with it: nobody looks.
const WATCH: Duration = WHILE.saturating_mul(3);
/// How long the end may wait for a reader.
const PATIENCE: Duration = Duration::from_secs(1);

/// The sending side; clones share one queue.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    queue: SyncSender<Vec<u8>>,
    lost: Arc<AtomicU64>,
    ends: Arc<AtomicBool>,
    done: Arc<Mutex<Receiver<()>>>,
}

impl Writer {
    /// Writes to `out` from now on, and tells what `limiter` left out.
    ///
    /// # Errors
    /// When the kernel gives no thread.
    pub(super) fn start(
        out: impl Write + Send + 'static,
        limiter: Arc<Limiter>,
    ) -> io::Result<Self> {
        let (queue, lines) = sync_channel(QUEUE_LINES);
        let (tell_done, done) = sync_channel(1);
        let (lost, ends) = (Arc::default(), Arc::default());
        let state = Scribe {
            lines,
            limiter,
            lost: Arc::clone(&lost),
            ends: Arc::clone(&ends),
        };
        thread::Builder::new().name("log".into()).spawn(move || {
            state.write_to(out);
            let _ = tell_done.send(());
        })?;
        Ok(Self {
            queue,
            lost,
            ends,
            done: Arc::new(Mutex::new(done)),
        })
    }

    /// Queues a line, its end included; never waits.
    pub(super) fn send(&self, line: Vec<u8>) {
        if self.queue.try_send(line).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all lines are written, or for [`PATIENCE`] when nobody reads them.
    pub(super) fn finish(&self) {
        self.ends.store(true, Ordering::Release);
        // Wakes a scribe that waits for a line; where there is no room for one, it does not wait.
        let _ = self.queue.try_send(Vec::new());
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = done.recv_timeout(PATIENCE);
    }
}

/// The receiving side.
struct Scribe {
    lines: Receiver<Vec<u8>>,
    limiter: Arc<Limiter>,
    lost: Arc<AtomicU64>,
    /// Nothing more is to be waited for.
    ends: Arc<AtomicBool>,
}

impl Scribe {
    fn write_to(&self, mut out: impl Write) {
        let mut looked = Instant::now();
        let mut last_line = looked;
        while !self.ends.load(Ordering::Acquire) {
            let line = if last_line.elapsed() < WATCH {
                self.lines.recv_timeout(TICK)
            } else {
                self.lines.recv().map_err(RecvTimeoutError::from)
            };
            match line {
                Ok(line) => {
                    // Nobody is left to be told.
                    let _ = out.write_all(&line);
                    last_line = Instant::now();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if looked.elapsed() >= TICK {
                looked = Instant::now();
                self.tell_what_is_missing(Some(looked));
            }
        }
        self.write_queued(&mut out);
        self.tell_what_is_missing(None);
        self.write_queued(&mut out);
    }

    fn write_queued(&self, out: &mut impl Write) {
        for line in self.lines.try_iter() {
            let _ = out.write_all(&line);
        }
    }

    /// Queues, as lines of the log, what the log lacks.
    fn tell_what_is_missing(&self, now: Option<Instant>) {
        for left_out in self.limiter.left_out(now) {
            left_out.tell();
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(
                lines = lost,
                "lines were lost: standard error was not read in time"
            );
        }
    }
}

/// One line, queued when it is complete.
#[derive(Debug)]
pub(crate) struct Line<'w> {
    bytes: Vec<u8>,
    writer: &'w Writer,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.writer.send(std::mem::take(&mut self.bytes));
    }
}

impl<'w> MakeWriter<'w> for Writer {
    type Writer = Line<'w>;

    fn make_writer(&'w self) -> Line<'w> {
        Line {
            bytes: Vec::new(),
            writer: self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{PipeReader, Read, pipe};

    fn start() -> (PipeReader, Writer) {
        let (reader, writer) = pipe().unwrap();
        let writer = Writer::start(writer, Arc::default()).unwrap();
        (reader, writer)
    }

    #[test]
    fn all_lines_are_written_by_the_end() {
        let (mut reader, writer) = start();
        for number in 0..100 {
            writer.send(format!("{number}\n").into());
        }
        writer.finish();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert!(text.lines().eq((0..100).map(|number| number.to_string())));
    }

    #[test]
    fn a_reader_that_does_not_read_stops_nobody() {
        let (reader, writer) = start();
        let line = vec![b'x'; 1024];
        // Far more than a pipe and the queue hold: this would hang if anything waited.
        for _ in 0..3 * QUEUE_LINES {
            writer.send(line.clone());
        }
        assert!(writer.lost.load(Ordering::Relaxed) > 0);
        writer.finish();
        drop(reader);
    }
}
