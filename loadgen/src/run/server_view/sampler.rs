//! Reads the server's metrics once a second beside a run, on a thread of its own: the loop that
//! measures never waits for it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::scrape::{MetricsUrl, Samples};

/// Between two readings.
const PERIOD: Duration = Duration::from_secs(1);

/// What the server said at one time.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    /// Since the measured time began; `None` before that.
    pub(super) at: Option<Duration>,
    pub(super) samples: Samples,
}

/// Takes samples until it is ended.
#[derive(Debug)]
pub(super) struct Sampler {
    /// Says when the measured time begins, and ends the thread when it is dropped.
    measured: Sender<Instant>,
    thread: JoinHandle<Vec<Sample>>,
}

impl Sampler {
    pub(super) fn start(url: MetricsUrl) -> Self {
        let (measured, begins) = channel();
        Self {
            measured,
            thread: thread::spawn(move || sample(&url, &begins)),
        }
    }

    /// The measured time begins now: the first sample of it is taken at once.
    pub(super) fn measure(&self) {
        // A thread that has ended is heard of when it is joined.
        let _ = self.measured.send(Instant::now());
    }

    /// All samples, the last taken now.
    pub(super) fn end(self) -> Vec<Sample> {
        drop(self.measured);
        self.thread.join().unwrap_or_default()
    }
}

fn sample(url: &MetricsUrl, begins: &Receiver<Instant>) -> Vec<Sample> {
    let mut began: Option<Instant> = None;
    let mut taken = Vec::new();
    loop {
        let heard = begins.recv_timeout(PERIOD);
        if let Ok(at) = heard {
            began = Some(at);
        }
        // A reading that fails leaves a gap.
        if let Ok(samples) = url.samples() {
            let at = began.map(|began| began.elapsed());
            taken.push(Sample { at, samples });
        }
        if heard == Err(RecvTimeoutError::Disconnected) {
            return taken;
        }
    }
}
