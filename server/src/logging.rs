//! The log on standard error: text or JSON, in the manner of journald where that listens.
//!
//! No serving thread ever waits for whoever reads it ([`writer`]), and no kind of line can drown the
//! others ([`limiter`]).

mod journal;
mod limiter;
mod writer;

use std::io::{self, IsTerminal};
use std::sync::Arc;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use journal::Prefixed;
use limiter::Limiter;
pub(crate) use writer::Writer;

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// An object a line
    Json,
}

/// The log of this process.
#[derive(Debug)]
pub(crate) struct Logging {
    filter: reload::Handle<EnvFilter, Registry>,
    writer: Writer,
}

impl Logging {
    /// Takes over what `tracing` is told from now on.
    ///
    /// # Errors
    /// When the kernel gives no thread.
    pub(crate) fn start(filter: EnvFilter, format: LogFormat) -> io::Result<Self> {
        let limiter = Arc::new(Limiter::default());
        let writer = Writer::start(io::stderr(), Arc::clone(&limiter))?;
        let (filter, handle) = reload::Layer::new(filter);
        let subscriber = tracing_subscriber::registry().with(filter);
        let lines = lines(format, journal::listens(), writer.clone());
        // Fails only where a log was started before, in a test, which then stays.
        let _ = subscriber
            .with(lines)
            .with(limiter::Layer(limiter))
            .try_init();
        Ok(Self {
            filter: handle,
            writer,
        })
    }

    /// What is logged from now on.
    pub(crate) fn set_filter(&self, filter: EnvFilter) {
        // Fails only when the log has ended.
        let _ = self.filter.reload(filter);
    }

    /// Says a line in its turn, whatever the filter.
    pub(crate) fn say(&self, line: &str) {
        self.writer.send(format!("{line}\n").into());
    }

    /// Waits until all that was said is written, but not long when nobody reads it.
    pub(crate) fn finish(&self) {
        self.writer.finish();
    }
}

/// What turns events into lines. Journald has its own clock, takes the level from a prefix and shows
/// no colours.
fn lines<S>(format: LogFormat, journal: bool, writer: Writer) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'s> tracing_subscriber::registry::LookupSpan<'s>,
{
    let colours = io::stderr().is_terminal() && !journal;
    let layer = fmt::layer().with_writer(writer).with_ansi(colours);
    let text = fmt::format().with_ansi(colours);
    match (format, journal) {
        (LogFormat::Text, false) => layer.boxed(),
        (LogFormat::Json, false) => layer.json().flatten_event(true).boxed(),
        (LogFormat::Text, true) => layer.event_format(Prefixed(text.without_time())).boxed(),
        (LogFormat::Json, true) => {
            let json = text.json().flatten_event(true);
            layer.json().event_format(Prefixed(json)).boxed()
        }
    }
}
