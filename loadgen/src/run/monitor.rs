//! The monitor: watches a run from outside. It shows progress, reads what the server and the
//! generator use, notices when the server is gone, and ends the run when the user wants.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use record::{Consumption, HostileOutcomes, ServerView};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::progress::Progress;
use super::series::Collector;
use super::server_view::ServerMetrics;
use crate::host::clock::{SECOND_NS, Waiting};
use crate::host::procfs::{Process, Usage, consumption};
use crate::hostile::HostileClients;
use crate::measure::error::RunError;
use crate::measure::observation::{Observation, Traffic};
use crate::measure::phases::Phase;
use crate::measure::watch::{Status, Watch, Wish};
use crate::report::measurement::Watched;

/// A server that is ending closes its connections before its process ends: so long is its end waited for
/// when it has disconnected everybody.
const END_TIMEOUT: Duration = Duration::from_millis(500);

/// Watches one run.
#[derive(Debug)]
pub(crate) struct Monitor {
    progress: Progress,
    interrupted: Arc<AtomicBool>,
    server: Option<Process>,
    generator: Option<Process>,
    server_ended: bool,
    /// When the run ended before its time, if it did.
    cut_short: Option<Waiting>,
    /// At the beginning of the measured time, and at its end.
    readings: [Option<Reading>; 2],
    series: Collector,
    /// The hostile clients of this run, if there are any.
    hostile: Option<HostileClients>,
    /// Asks the server for its own view.
    metrics: Option<ServerMetrics>,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    at_ns: u64,
    server: Option<Usage>,
    generator: Option<Usage>,
}

impl Monitor {
    /// A monitor of a run against `server`, if that is a process on this host.
    pub(crate) fn new(
        progress: Progress,
        server: Option<Process>,
        metrics: Option<ServerMetrics>,
        interrupted: Arc<AtomicBool>,
    ) -> Self {
        Self {
            progress,
            interrupted,
            server,
            generator: Process::this(),
            server_ended: false,
            cut_short: None,
            readings: [None; 2],
            series: Collector::default(),
            hostile: None,
            metrics,
        }
    }

    /// Whether the server's process ended during the run.
    pub(crate) fn server_ended(&self) -> bool {
        self.server_ended
    }

    /// What was seen of the run that has ended. To be taken once.
    pub(crate) fn watched(&mut self) -> Watched {
        let (server, generator) = self.consumption();
        let series = self.series.finish();
        let began_at = series.as_ref().map(|series| series.began_at);
        let (seconds, intervals) = series
            .map(|series| (series.seconds, series.intervals))
            .unwrap_or_default();
        Watched {
            server,
            generator,
            server_ended: self.server_ended,
            began_at: began_at.unwrap_or_else(SystemTime::now),
            series: seconds,
            intervals,
        }
    }

    /// What the server and the generator used in the measured time.
    fn consumption(&self) -> (Consumption, Consumption) {
        let [Some(before), Some(after)] = self.readings else {
            return Default::default();
        };
        let seconds = (after.at_ns - before.at_ns) as f64 / SECOND_NS as f64;
        (
            consumption(before.server, after.server, seconds),
            consumption(before.generator, after.generator, seconds),
        )
    }

    /// Another run begins.
    pub(crate) fn begin_run(&mut self, hostile: Option<HostileClients>) {
        self.readings = [None; 2];
        self.cut_short = None;
        if let Some(metrics) = &mut self.metrics {
            metrics.begin_run(hostile.is_some());
        }
        self.hostile = hostile;
        self.progress.begin_run();
    }

    /// The server's own view of the run that has ended, if it was asked for and could be had.
    pub(crate) fn server_view(&mut self, observation: &Observation) -> Option<ServerView> {
        self.metrics.as_mut()?.end_run(observation.traffic())
    }

    /// Ends the hostile clients; their outcomes.
    pub(crate) fn hostile_outcomes(&mut self) -> Option<HostileOutcomes> {
        self.hostile.take().map(HostileClients::end)
    }

    /// Says something between two runs.
    pub(crate) fn remark(&self, text: &str) {
        self.progress.remark(text);
    }

    /// Takes the progress off the terminal.
    pub(crate) fn finish(&self) {
        self.progress.finish();
    }

    fn look_for_the_end(&mut self) {
        let is_gone = |server: &Process| server.usage().is_none();
        self.server_ended |= self.server.as_ref().is_some_and(is_gone);
    }

    fn look(&mut self, status: &Status) {
        let (server, generator) = (self.server, self.generator);
        self.series.look(status, || {
            let usage = |process: Option<Process>| process.and_then(|process| process.usage());
            (usage(server), usage(generator))
        });
    }

    fn read(&self, at_ns: u64) -> Option<Reading> {
        let usage = |process: &Process| process.usage();
        Some(Reading {
            at_ns,
            server: self.server.as_ref().and_then(usage),
            generator: self.generator.as_ref().and_then(usage),
        })
    }
}

impl Watch for Monitor {
    fn entered(&mut self, status: &Status) {
        self.look(status);
        if let Some(hostile) = &self.hostile {
            match status.phase {
                Phase::WarmUp => hostile.join(),
                Phase::Measure => hostile.measure(),
                Phase::Connect | Phase::Drain | Phase::Mark | Phase::Done => {}
            }
        }
        match status.phase {
            Phase::Measure => {
                self.readings[0] = self.read(status.now_ns);
                if let Some(metrics) = &self.metrics {
                    metrics.measure();
                }
            }
            Phase::Drain => self.readings[1] = self.read(status.now_ns),
            Phase::Done if self.readings[1].is_none() => {
                self.cut_short = Some(Waiting::since(Instant::now()));
            }
            Phase::Connect | Phase::WarmUp | Phase::Mark | Phase::Done => {}
        }
    }

    fn tick(&mut self, status: &Status) -> Result<Wish, RunError> {
        let interrupted = self.interrupted.load(Ordering::Relaxed);
        let has_measured = status.phase >= Phase::Measure;
        if interrupted && !has_measured {
            return Err(RunError::Interrupted);
        }
        self.look_for_the_end();
        if self.server_ended && status.phase == Phase::Connect {
            return Err(RunError::ServerEnded);
        }
        self.look(status);
        self.progress.update(status);
        Ok(if interrupted {
            Wish::CutShort
        } else {
            Wish::GoOn
        })
    }

    fn is_settled(&mut self, traffic: Traffic) -> bool {
        if self.cut_short.is_some() {
            self.look_for_the_end();
        }
        if let Some(waiting) = &mut self.cut_short {
            let may_end = self.server.is_some() && !self.server_ended;
            if may_end && waiting.until(Instant::now()) < END_TIMEOUT {
                return false;
            }
        }
        let metrics = self.metrics.as_mut();
        metrics.is_none_or(|metrics| metrics.is_settled(traffic))
    }
}

/// A flag that Ctrl-C and SIGTERM raise. A second one ends the program on the spot, without a result.
pub(crate) fn watch_signals() -> io::Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, 1, Arc::clone(&interrupted))?;
        flag::register(signal, Arc::clone(&interrupted))?;
    }
    Ok(interrupted)
}
