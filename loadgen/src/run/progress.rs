//! Progress: one line that moves on a terminal, a line now and then elsewhere.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};
use record::figures::{grouped, milliseconds, whole};
use record::printable;

use crate::host::clock::{MILLISECOND_NS, SECOND_NS};
use crate::measure::latency::percentiles;
use crate::measure::phases::Phase;
use crate::measure::watch::Status;

/// Between two lines where they stay.
const CALM_PACE_NS: u64 = 5 * SECOND_NS;

/// Between two states of a line that moves; each costs a walk through a histogram.
const LIVE_PACE_NS: u64 = 500 * MILLISECOND_NS;

/// Shows how a run is getting on.
#[derive(Debug)]
pub(crate) struct Progress {
    display: Display,
    next_ns: u64,
    /// What had been delivered, and when, at the last look.
    last: (u64, u64),
    phase: Phase,
}

#[derive(Debug)]
enum Display {
    Quiet,
    Lines,
    Bar(ProgressBar),
}

impl Progress {
    pub(crate) fn new(quiet: bool) -> Self {
        let display = if quiet {
            Display::Quiet
        } else if io::stderr().is_terminal() {
            Display::Bar(bar())
        } else {
            Display::Lines
        };
        Self {
            display,
            next_ns: 0,
            last: (0, 0),
            phase: Phase::Connect,
        }
    }

    /// Shows `status` if it is time.
    pub(crate) fn update(&mut self, status: &Status) {
        let pace_ns = match self.display {
            Display::Quiet => return,
            Display::Lines => CALM_PACE_NS,
            Display::Bar(_) => LIVE_PACE_NS,
        };
        if status.now_ns < self.next_ns && status.phase == self.phase {
            return;
        }
        self.next_ns = status.now_ns + pace_ns;
        self.phase = status.phase;
        let line = self.line(status);
        match &self.display {
            Display::Quiet => {}
            Display::Bar(bar) => {
                bar.set_message(line);
                bar.tick();
            }
            // Progress that nobody reads is no reason to stop.
            Display::Lines => {
                let _ = writeln!(io::stderr(), "{line}");
            }
        }
    }

    /// Another run begins, with nothing delivered yet.
    pub(crate) fn begin_run(&mut self) {
        self.last = (0, 0);
        self.phase = Phase::Done;
    }

    /// Shows a line that stays, above the one that moves.
    pub(crate) fn remark(&self, text: &str) {
        // Nobody who reads it is no reason to stop.
        let say = || drop(writeln!(io::stderr(), "{}", printable(text)));
        match &self.display {
            Display::Quiet => {}
            Display::Bar(bar) => bar.suspend(say),
            Display::Lines => say(),
        }
    }

    /// Takes the line that moves off the terminal.
    pub(crate) fn finish(&self) {
        if let Display::Bar(bar) = &self.display {
            bar.finish_and_clear();
        }
    }

    fn line(&mut self, status: &Status) -> String {
        if status.phase == Phase::Connect {
            let joined = grouped(status.joined.into());
            return format!("connect: {joined} clients have joined");
        }
        let delivered = status.delivered;
        let (delivered_before, looked_ns) = self.last;
        self.last = (delivered, status.now_ns);
        let seconds = (status.now_ns - looked_ns) as f64 / SECOND_NS as f64;
        let per_second = (delivered - delivered_before) as f64 / seconds.max(0.001);
        let left = status.phase_ends_ns.map_or(0, |ends_ns| {
            ends_ns.saturating_sub(status.now_ns).div_ceil(SECOND_NS)
        });
        let line = format!(
            "{}: {left} s left, {} deliveries/s",
            status.phase,
            whole(per_second)
        );
        let latency = percentiles(&status.delivery);
        if latency.count == 0 {
            return line;
        }
        let lag = percentiles(&status.send_lag);
        format!(
            "{line}, p50 {} ms, p99 {} ms, send lag p99 {} ms",
            milliseconds(latency.p50),
            milliseconds(latency.p99),
            milliseconds(lag.p99)
        )
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    // indicatif leaves colours out where NO_COLOR is set.
    if let Ok(style) = ProgressStyle::with_template("{spinner:.cyan} {msg}") {
        bar.set_style(style);
    }
    bar
}
