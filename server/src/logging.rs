//! The log on standard error: text or JSON, in the manner of journald where that listens.
//!
//! No serving thread ever waits for the reader of the log: lines are queued, and lost when the queue is
//! full. No kind of line can drown the others ([`limiter`]). The log says how many lines it lacks. No name
//! or message of a peer can forge a field or a line ([`format`]).

mod format;
mod limiter;

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use format::{Escaped, Fields, Prefixed};
use limiter::Limiter;

use crate::threads::spawn;

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// Text for people, with fields as name=value
    Text,
    /// One JSON object per line
    Json,
}

/// Lines that wait to be written.
const QUEUE_LINES: usize = 4096;

/// How often missing lines are told.
const TICK: Duration = Duration::from_secs(1);

/// How long the end may wait for the reader of the log.
const PATIENCE: Duration = Duration::from_secs(1);

/// The log of this process.
#[derive(Debug)]
pub(crate) struct Logging {
    filter: reload::Handle<EnvFilter, Registry>,
    writer: NonBlocking,
    gaps: Arc<Gaps>,
    /// Has what is queued written when it is dropped.
    guard: Mutex<Option<WorkerGuard>>,
}

/// What the log lacks.
#[derive(Debug)]
struct Gaps {
    limiter: Limiter,
    /// Counts lines that found the queue full.
    lost: ErrorCounter,
    lost_told: AtomicUsize,
}

impl Logging {
    /// Takes over what `tracing` is told from now on.
    ///
    /// # Errors
    /// When the kernel gives no thread.
    pub(crate) fn start(filter: EnvFilter, format: LogFormat) -> io::Result<Self> {
        // Ours is started first: it fails with an error, where that of the appender panics.
        let (tell_gaps, hear_gaps) = channel::<Arc<Gaps>>();
        let watch = move || hear_gaps.recv().map(|gaps| gaps.watch());
        let watcher = spawn("log-gaps", watch)?;
        let (writer, guard) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(QUEUE_LINES)
            .thread_name("log")
            .finish(io::stderr());
        let gaps = Arc::new(Gaps {
            limiter: Limiter::waking(watcher.thread().clone()),
            lost: writer.error_counter(),
            lost_told: AtomicUsize::new(0),
        });
        // It has just been started, and waits.
        let _ = tell_gaps.send(Arc::clone(&gaps));
        let (filter, handle) = reload::Layer::new(filter);
        let subscriber = tracing_subscriber::registry().with(filter);
        let lines = lines(format, format::journald_listens(), writer.clone());
        // Fails only where a log was started before, in a test, which then stays.
        let _ = subscriber
            .with(lines)
            .with(GapsLayer(Arc::clone(&gaps)))
            .try_init();
        Ok(Self {
            filter: handle,
            writer,
            gaps,
            guard: Mutex::new(Some(guard)),
        })
    }

    /// What is logged from now on.
    pub(crate) fn set_filter(&self, filter: EnvFilter) {
        // Fails only when the log has ended.
        let _ = self.filter.reload(filter);
    }

    /// Says a line in its turn, whatever the filter.
    pub(crate) fn say(&self, line: &str) {
        // It is queued, or counted as lost.
        let _ = self
            .writer
            .clone()
            .write_all(format!("{line}\n").as_bytes());
    }

    /// Waits until all lines are written, for [`PATIENCE`] at most.
    pub(crate) fn finish(&self) {
        self.gaps.tell(None);
        let guard = self
            .guard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let give_up = Instant::now() + PATIENCE;
        while !self.has_room() {
            if Instant::now() >= give_up {
                // Dropped, it would complain on standard output, which may be the same full pipe.
                std::mem::forget(guard);
                return;
            }
            thread::sleep(PATIENCE / 100);
        }
        drop(guard);
    }

    /// Whether another line could be queued.
    fn has_room(&self) -> bool {
        let lost = self.gaps.lost.dropped_lines();
        let _ = self.writer.clone().write(b"");
        self.gaps.lost.dropped_lines() == lost
    }
}

impl Gaps {
    /// Tells what the log lacks whenever it lacks something; for ever.
    fn watch(&self) {
        loop {
            thread::park();
            while self.limiter.has_left_out() || self.has_lost() {
                thread::sleep(TICK);
                self.tell(Some(Instant::now()));
            }
        }
    }

    fn has_lost(&self) -> bool {
        self.lost.dropped_lines() > self.lost_told.load(Ordering::Relaxed)
    }

    /// Tells what was lost, and what was left out in times that are over at `now`, or in any.
    fn tell(&self, now: Option<Instant>) {
        for left_out in self.limiter.left_out(now) {
            left_out.tell();
        }
        let lost = self.lost.dropped_lines();
        let lines = lost - self.lost_told.swap(lost, Ordering::Relaxed).min(lost);
        if lines > 0 {
            tracing::warn!(
                target: "server::log",
                lines,
                "lines were lost: standard error was not read in time"
            );
        }
    }
}

/// Asks the limiter about each event that the filter lets through, and looks whether it was lost.
struct GapsLayer(Arc<Gaps>);

impl<S: tracing::Subscriber> Layer<S> for GapsLayer {
    fn event_enabled(
        &self,
        event: &tracing::Event<'_>,
        _context: tracing_subscriber::layer::Context<'_, S>,
    ) -> bool {
        self.0.limiter.passes(event, Instant::now())
    }

    fn on_event(
        &self,
        _event: &tracing::Event<'_>,
        _context: tracing_subscriber::layer::Context<'_, S>,
    ) {
        if self.0.has_lost() {
            self.0.limiter.wake();
        }
    }
}

/// What turns events into lines. Journald has its own clock, takes the level from a prefix and shows
/// no colours.
fn lines<S>(
    format: LogFormat,
    journald: bool,
    writer: NonBlocking,
) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'s> tracing_subscriber::registry::LookupSpan<'s>,
{
    let colours = io::stderr().is_terminal() && !journald;
    let layer = fmt::layer().with_writer(writer).with_ansi(colours);
    let text = fmt::format().with_ansi(colours);
    let json = Escaped(fmt::format().json().flatten_event(true));
    match (format, journald) {
        (LogFormat::Text, false) => layer.fmt_fields(Fields).boxed(),
        (LogFormat::Text, true) => layer
            .fmt_fields(Fields)
            .event_format(Prefixed(text.without_time()))
            .boxed(),
        (LogFormat::Json, false) => layer.json().event_format(json).boxed(),
        (LogFormat::Json, true) => layer.json().event_format(Prefixed(json)).boxed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{PipeReader, Read, pipe};

    fn start() -> (PipeReader, NonBlocking, Logging) {
        let (reader, writer) = pipe().unwrap();
        let (writer, guard) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(QUEUE_LINES)
            .finish(writer);
        let gaps = Gaps {
            limiter: Limiter::waking(thread::current()),
            lost: writer.error_counter(),
            lost_told: AtomicUsize::new(0),
        };
        let (_, filter) = reload::Layer::new(EnvFilter::new("off"));
        let logging = Logging {
            filter,
            writer: writer.clone(),
            gaps: Arc::new(gaps),
            guard: Mutex::new(Some(guard)),
        };
        (reader, writer, logging)
    }

    #[test]
    fn all_lines_are_written_by_the_end() {
        let (mut reader, writer, logging) = start();
        for number in 0..100 {
            logging.say(&number.to_string());
        }
        logging.finish();
        drop((writer, logging));
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert!(text.lines().eq((0..100).map(|number| number.to_string())));
    }

    #[test]
    fn a_reader_that_does_not_read_stops_nobody_and_what_is_lost_is_counted() {
        let (reader, _writer, logging) = start();
        let line = "x".repeat(1023);
        // Far more than a pipe and the queue hold: this would hang if anything waited.
        for _ in 0..3 * QUEUE_LINES {
            logging.say(&line);
        }
        assert!(logging.gaps.has_lost());
        assert!(logging.gaps.lost.dropped_lines() > QUEUE_LINES);
        // Nor does the end wait for it.
        logging.finish();
        drop(reader);
    }
}
