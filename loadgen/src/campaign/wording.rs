//! A campaign in words: a line for each step, and what it all came to.

use std::fmt;

use super::{Found, Limiter, Spread, Step, Steps};
use crate::figures::{cores, grouped, milliseconds, rate, whole};

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match (self.valid, self.held) {
            (true, true) => "held",
            (true, false) => "SLO broken",
            (false, _) => "INVALID",
        };
        write!(
            f,
            "{:>9}/s  {verdict:<10}  p50 {} ms, p99 {} ms, completion p99 {} ms, {} deliveries/s, lost {}, server {} cores, loop busy {:.0} %",
            rate(self.rate_requested),
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
