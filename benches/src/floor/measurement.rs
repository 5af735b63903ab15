//! Repeats of a floor, and what they come to.

use serde::{Serialize, Serializer};

use super::{Floor, Pass, Plan};
use crate::{Doubt, Error, Host, Spread, Table};

/// The passes over one set of connections.
#[derive(Debug, Clone)]
pub struct Repeat {
    sockets: u32,
    passes: Vec<Pass>,
}

/// All repeats. Each spread is over the repeats, of which each gives one value.
#[derive(Debug, Clone, Serialize)]
pub struct Measurement {
    /// What was asked for.
    pub plan: Plan,
    /// Where it was measured.
    pub host: Host,
    /// Sends that were measured.
    pub sends: u64,
    /// Reads that these took; the same number, unless frames came in parts.
    pub reads: u64,
    /// F: from the first send of a pass until after the last, in milliseconds (median of a
    /// repeat's passes).
    pub pass_ms: Spread,
    /// From the first send of a pass until the last receiver has read, in milliseconds (median of
    /// a repeat's passes).
    pub completion_ms: Spread,
    /// Wall time of a pass by its sends, in microseconds.
    pub wall_us_per_send: Spread,
    /// CPU time of the sending thread by the sends of a repeat, in microseconds.
    pub cpu_us_per_send: Spread,
    /// CPU time of the reading process by its reads, in microseconds.
    pub cpu_us_per_read: Spread,
    /// Why these figures may be off.
    pub doubts: Vec<Doubt>,
    /// Each repeat.
    pub repeats: Vec<Repeat>,
}

/// Carries out a whole plan: each repeat with new connections and a new reader.
///
/// # Errors
/// When descriptors or source ports do not suffice, or the reader fails.
///
/// # Panics
/// When the plan has no sockets, repeats or passes.
pub fn measure(plan: &Plan) -> Result<Measurement, Error> {
    let host = Host::this();
    let repeats = (0..plan.repeats)
        .map(|_| Repeat::measure(plan))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Measurement::new(plan, host, repeats))
}

impl Repeat {
    /// Connects, warms up and measures.
    ///
    /// # Errors
    /// When descriptors or source ports do not suffice, or the reader fails.
    pub fn measure(plan: &Plan) -> Result<Self, Error> {
        let mut floor = Floor::connect(plan)?;
        for _ in 0..plan.warmup_passes {
            floor.pass()?;
        }
        let passes = (0..plan.passes)
            .map(|_| floor.pass())
            .collect::<Result<_, _>>()?;
        Ok(Self {
            sockets: plan.sockets,
            passes,
        })
    }

    /// F, in milliseconds: the median pass.
    #[must_use]
    pub fn pass_ms(&self) -> f64 {
        Spread::of(self.passes_ms()).median
    }

    /// Until the last receiver has read, in milliseconds: the median pass.
    #[must_use]
    pub fn completion_ms(&self) -> f64 {
        Spread::of(self.completions_ms()).median
    }

    /// CPU time of the sending thread, in microseconds.
    #[must_use]
    pub fn cpu_us_per_send(&self) -> f64 {
        self.sum(|pass| pass.send_cpu.as_secs_f64()) * 1e6 / self.sends() as f64
    }

    /// CPU time of the reader, in microseconds.
    #[must_use]
    pub fn cpu_us_per_read(&self) -> f64 {
        self.sum(|pass| pass.read_cpu.as_secs_f64()) * 1e6 / self.reads() as f64
    }

    /// Sends of all passes.
    #[must_use]
    pub fn sends(&self) -> u64 {
        u64::from(self.sockets) * self.passes.len() as u64
    }

    /// Reads of all passes.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.passes.iter().map(|pass| pass.reads).sum()
    }

    fn wall_us_per_send(&self) -> f64 {
        self.pass_ms() * 1e3 / f64::from(self.sockets)
    }

    fn passes_ms(&self) -> impl Iterator<Item = f64> {
        let passes = self.passes.iter();
        passes.map(|pass| pass.sending.as_secs_f64() * 1e3)
    }

    fn completions_ms(&self) -> impl Iterator<Item = f64> {
        let passes = self.passes.iter();
        passes.map(|pass| pass.completion.as_secs_f64() * 1e3)
    }

    fn sum(&self, value: impl Fn(&Pass) -> f64) -> f64 {
        self.passes.iter().map(value).sum()
    }
}

impl Measurement {
    /// What `repeats` come to.
    ///
    /// # Panics
    /// When nothing was measured.
    #[must_use]
    pub fn new(plan: &Plan, host: Host, repeats: Vec<Repeat>) -> Self {
        let spread = |figure: fn(&Repeat) -> f64| Spread::of(repeats.iter().map(figure));
        let (pass_ms, cpu_us_per_send) = (spread(Repeat::pass_ms), spread(Repeat::cpu_us_per_send));
        let (sends, reads) = (
            repeats.iter().map(Repeat::sends).sum(),
            repeats.iter().map(Repeat::reads).sum(),
        );
        let doubts = [
            Doubt::one_cpu(host.cpus),
            Doubt::preempted(on_cpu_share(&repeats)),
            Doubt::unsteady("F", pass_ms),
            Doubt::unsteady("CPU per send", cpu_us_per_send),
            Doubt::in_parts(sends, reads),
        ];
        Self {
            plan: plan.clone(),
            host,
            sends,
            reads,
            pass_ms,
            completion_ms: spread(Repeat::completion_ms),
            wall_us_per_send: spread(Repeat::wall_us_per_send),
            cpu_us_per_send,
            cpu_us_per_read: spread(Repeat::cpu_us_per_read),
            doubts: doubts.into_iter().flatten().collect(),
            repeats,
        }
    }

    /// The whole measurement for a person.
    #[must_use]
    pub fn render(&self) -> String {
        let mut table = Table::new(["", "min", "q1", "median", "q3", "max"]);
        for (name, spread, decimals) in [
            ("pass (F), ms", self.pass_ms, 2),
            ("pass until the last read, ms", self.completion_ms, 2),
            ("wall per send, us", self.wall_us_per_send, 2),
            ("CPU per send, us", self.cpu_us_per_send, 2),
            ("reader's CPU per read, us", self.cpu_us_per_read, 2),
        ] {
            table.row_of(name, spread, decimals);
        }
        let Host {
            kernel, cpu, cpus, ..
        } = &self.host;
        let mut text = format!(
            "{} sends of {} bytes, {} reads, on {cpus} x {cpu}, Linux {kernel}\n\n{table}",
            self.sends, self.plan.bytes, self.reads,
        );
        for doubt in &self.doubts {
            text += &format!("doubt: {doubt}\n");
        }
        text
    }
}

/// Share of the sending time in which the sending thread had a processor.
fn on_cpu_share(repeats: &[Repeat]) -> f64 {
    let sum = |value: fn(&Pass) -> f64| repeats.iter().map(|repeat| repeat.sum(value)).sum::<f64>();
    sum(|pass| pass.send_cpu.as_secs_f64()) / sum(|pass| pass.sending.as_secs_f64())
}

/// A repeat's figures, and the times of its passes.
#[derive(Serialize)]
struct Figures {
    pass_ms: f64,
    completion_ms: f64,
    cpu_us_per_send: f64,
    cpu_us_per_read: f64,
    sends: u64,
    reads: u64,
    passes_ms: Vec<f64>,
    completions_ms: Vec<f64>,
}

impl Serialize for Repeat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let figures = Figures {
            pass_ms: self.pass_ms(),
            completion_ms: self.completion_ms(),
            cpu_us_per_send: self.cpu_us_per_send(),
            cpu_us_per_read: self.cpu_us_per_read(),
            sends: self.sends(),
            reads: self.reads(),
            passes_ms: self.passes_ms().collect(),
            completions_ms: self.completions_ms().collect(),
        };
        figures.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn pass(milliseconds: u64, cpu_share: f64) -> Pass {
        let sending = Duration::from_millis(milliseconds);
        Pass {
            sending,
            completion: sending * 2,
            send_cpu: sending.mul_f64(cpu_share),
            read_cpu: sending,
            reads: 1000,
        }
    }

    fn measurement(repeats: &[&[Pass]]) -> Measurement {
        let plan = Plan {
            sockets: 1000,
            bytes: 92,
            repeats: 1,
            passes: 1,
            warmup_passes: 0,
            interval: Duration::ZERO,
            reader: None,
        };
        let host = Host {
            kernel: "6".into(),
            cpu: "x".into(),
            cpus: 2,
            load_average: 0.0,
        };
        let repeats = repeats.iter().map(|passes| Repeat {
            sockets: plan.sockets,
            passes: passes.to_vec(),
        });
        Measurement::new(&plan, host, repeats.collect())
    }

    #[test]
    fn a_repeat_is_its_median_pass_and_its_whole_cpu_time() {
        let found = measurement(&[&[pass(1, 1.0), pass(2, 1.0), pass(9, 1.0)]]);
        assert_eq!(found.pass_ms.median, 2.0);
        assert_eq!(found.completion_ms.median, 4.0);
        assert_eq!(found.wall_us_per_send.median, 2.0);
        assert!((found.cpu_us_per_send.median - 4.0).abs() < 1e-9);
        assert_eq!((found.sends, found.reads), (3000, 3000));
        assert!(found.doubts.is_empty(), "{:?}", found.doubts);
    }

    #[test]
    fn what_makes_figures_doubtful_is_said() {
        let found = measurement(&[&[pass(10, 0.8)], &[pass(10, 0.8)], &[pass(20, 0.8)]]);
        let text = found.render();
        assert!(text.contains("doubt: the sending thread waited"), "{text}");
        assert!(text.contains("doubt: F differs by 100 %"), "{text}");
    }

    #[test]
    fn frames_that_come_in_parts_are_noticed() {
        let mut passes = [pass(10, 1.0)];
        passes[0].reads = 1500;
        let found = measurement(&[&passes]);
        assert!(found.render().contains("1500 reads for 1000 sends"));
    }
}
