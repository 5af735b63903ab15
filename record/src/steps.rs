//! The runs of one command: repeats of a rate, a sweep over several, or a search for the highest.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::figures::{cores, grouped, milliseconds, rate, whole};
use crate::measured::Percentiles;

/// What the runs are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// The same rate again and again.
    Repeat,
    /// A list of rates.
    Sweep,
    /// The highest rate that holds.
    FindMax,
}

/// All runs of a command, in the order they were made in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Steps {
    /// What they are for.
    pub goal: Goal,
    /// The runs.
    pub steps: Vec<Step>,
    /// Of repeats: how far they lie apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spread: Vec<Spread>,
    /// Of a search: its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<Found>,
    /// The error that ended them before their time, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
}

/// The figures of one run that a table of several has room for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Step {
    /// Messages a second over all senders.
    pub rate_requested: f64,
    /// Those that were sent on time.
    pub rate_achieved: f64,
    /// Of the measured time.
    pub deliveries_per_second: f64,
    /// Of all that was drawn by chance.
    pub seed: u64,
    /// Valid, and every condition of --slo held.
    pub held: bool,
    /// Whether the figures may be believed.
    pub valid: bool,
    /// Why not.
    pub problems: Vec<String>,
    /// How each condition of --slo was judged.
    pub slo: Vec<Judged>,
    /// Deliveries that never came.
    pub lost: u64,
    /// Deliveries owed when the measured time was over.
    pub backlog_at_end: u64,
    /// In milliseconds.
    pub delivery: Percentiles,
    /// In milliseconds.
    pub completion: Percentiles,
    /// CPU seconds a second.
    pub server_cpu_cores: Option<f64>,
    /// CPU seconds a second.
    pub generator_cpu_cores: Option<f64>,
    /// Share of the time in which the busiest loop worked.
    pub generator_busy_share: f64,
    /// What kept it from holding.
    pub limiters: Vec<Limiter>,
}

/// The result of a search, with its neighbours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The highest rate that held; `None` if none did.
    pub rate: Option<f64>,
    /// The highest rate below it that was tried and held.
    pub neighbour_below: Option<f64>,
    /// The lowest rate that did not hold.
    pub neighbour_above: Option<f64>,
    /// What kept the neighbour above from holding, the gravest first.
    pub limiters: Vec<Limiter>,
}

/// What limits a rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limiter {
    /// Deliveries or clients were lost, or arrived otherwise than they should.
    Loss,
    /// The server had at least about one core's worth of work, this many cores.
    ServerCpu(f64),
    /// The load generator's loop worked nearly all of the time, this share of it.
    GeneratorCpu(f64),
    /// A condition was broken, in words.
    Slo(String),
    /// Nothing of these; the first problem, in words.
    Other(String),
    /// The load generator refused to try more.
    Refused,
}

/// The spread of one figure over several runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Its name in run.json.
    pub figure: String,
    /// The lowest.
    pub min: f64,
    /// The one in the middle.
    pub median: f64,
    /// The highest.
    pub max: f64,
    /// How many runs have it.
    pub runs: usize,
}

/// How one condition of --slo was judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// As it was written.
    pub condition: String,
    /// Whether the figure kept it.
    pub held: bool,
    /// The figure, in the unit of run.json; `None` where it is not known.
    pub found: Option<f64>,
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Repeat => "repeats",
            Self::Sweep => "sweep",
            Self::FindMax => "search for the highest rate",
        })
    }
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            condition, held, ..
        } = self;
        let how = if *held { "held" } else { "broken" };
        match self.found {
            None => write!(f, "{condition} {how}: the figure is not known"),
            Some(found) => {
                let text = format!("{found:.3}");
                let text = text.trim_end_matches('0').trim_end_matches('.');
                write!(f, "{condition} {how}: {text}")
            }
        }
    }
}

impl Step {
    /// Whether it held, in words.
    #[must_use]
    pub fn verdict(&self) -> &'static str {
        match (self.valid, self.held) {
            (true, true) => "held",
            (true, false) => "SLO broken",
            (false, _) => "INVALID",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>9}/s  {:<10}  p50 {} ms, p99 {} ms, completion p99 {} ms, {} deliveries/s, lost {}, server {} cores, loop busy {:.0} %",
            rate(self.rate_requested),
            self.verdict(),
            milliseconds(self.delivery.p50),
            milliseconds(self.delivery.p99),
            milliseconds(self.completion.p99),
            whole(self.deliveries_per_second),
            grouped(self.lost),
            cores(self.server_cpu_cores),
            self.generator_busy_share * 100.0
        )
    }
}

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.goal)?;
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        for spread in &self.spread {
            writeln!(f, "{spread}")?;
        }
        if let Some(found) = &self.found {
            writeln!(f, "{found}")?;
        }
        match &self.ended_by {
            None => Ok(()),
            Some(error) => writeln!(f, "ended early: {error}"),
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            figure,
            min,
            median,
            max,
            runs,
        } = self;
        let [min, median, max] = [min, median, max].map(|value| milliseconds(Some(*value)));
        let name = figure.trim_start_matches("latency_ms.");
        write!(
            f,
            "{name:<28} median {median}, {min} to {max} in {runs} runs"
        )
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rate {
            None => write!(f, "no rate held")?,
            Some(highest) => write!(f, "the highest rate that held is {}/s", rate(highest))?,
        }
        if let Some(below) = self.neighbour_below {
            write!(f, "; {}/s below it held too", rate(below))?;
        }
        if let Some(above) = self.neighbour_above {
            write!(f, "; {}/s did not", rate(above))?;
        }
        let limiters: Vec<_> = self.limiters.iter().map(ToString::to_string).collect();
        if !limiters.is_empty() {
            write!(f, ", limited by {}", limiters.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loss => write!(f, "loss"),
            Self::ServerCpu(used) => write!(f, "server CPU ({} cores)", cores(Some(*used))),
            Self::GeneratorCpu(share) => {
                write!(
                    f,
                    "generator CPU (its loop was busy {:.0} %)",
                    share * 100.0
                )
            }
            Self::Slo(judged) => write!(f, "SLO ({judged})"),
            Self::Other(problem) => f.write_str(problem),
            Self::Refused => write!(f, "what the load generator can do"),
        }
    }
}
