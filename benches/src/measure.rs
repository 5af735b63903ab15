//! Measures the cases of a comparison, each on a server of its own, with its floor right before.

use std::process::ExitCode;
use std::time::Duration;

use record::{HostileKind, Report};

use crate::args::Args;
use crate::broken::BrokenPeers;
use crate::cases::{Case, Load};
use crate::collapse::{self, Collapses};
use crate::comparison::Validity;
use crate::declared::{Counts, Declared, Method, Passes};
use crate::error::{Error, Result};
use crate::figure::{
    COMPLETION_BY_FLOOR, COMPLETION_P50, CONNECTIONS, CPU_BY_FLOOR, CPU_PER_DELIVERY, FLOOD_RATE,
    FLOOR, FLOOR_CPU, KERNEL_MEMORY, P99, P99_BY_ALLOWANCE, P99_BY_FLOOR,
};
use crate::floor::Plan;
use crate::host::{SocketMemory, raise_descriptors};
use crate::run::Run;
use crate::serving::Serving;
use crate::study::Turn;
use crate::{idle, own_cost, peers, process};

/// Passes follow each other as messages do, but never this far apart: after a silence of 200 ms
/// sends cost more, and the pass is to be the least there is.
const INTERVAL_MAX: Duration = Duration::from_millis(100);

/// What a run may take beyond what it measures: connecting, warming up, draining, reporting.
const OVERHEAD_MAX: Duration = Duration::from_secs(120);

/// What is measured, and what is known from the cases before.
struct Measurement {
    declared: Declared,
    passes: u32,
    collapses: Collapses,
    /// The last floor, with its repeat and load.
    floor: Option<(u32, Load, Run)>,
}

/// The program that is declared under this name.
pub(crate) fn main(program: &'static str) -> ExitCode {
    let declared = Declared::of(program);
    let args = match Args::read(program, &declared, std::env::args_os()) {
        Ok(args) => args,
        Err(error) => return cli::refuse(&error, "error", program),
    };
    process::exit_code(compare(program, declared, &args))
}

fn compare(program: &'static str, mut declared: Declared, args: &Args) -> Result<bool> {
    args.output.check()?;
    let servers = peers::try_out(&mut declared, args);
    let (study, groups) = declared.study(program, args);
    let sockets = groups
        .iter()
        .flatten()
        .map(|case| case.load.clients + case.load.stalled);
    raise_descriptors(sockets.max().unwrap_or_default())?;
    let mut measurement = Measurement {
        passes: args.passes.unwrap_or(declared.passes),
        declared,
        collapses: Collapses::default(),
        floor: None,
    };
    let mut comparison = study.carry_out(&args.output, &groups, |turn, case| {
        measurement.case(turn, case)
    })?;
    if let Some(servers) = servers {
        comparison.remark("Where a peer wins", peers::wins(&comparison));
        comparison.remark("Collapsed", measurement.collapses.in_words());
        comparison.remark("Servers", servers.to_string());
    }
    args.output.write(&comparison)
}

impl Measurement {
    /// The runs of a case, at each of its places; none if it is spared.
    fn case(&mut self, turn: Turn, case: &Case) -> Result<Vec<Run>> {
        if turn.repeat >= case.repeats_max || !self.collapses.is_due(turn.repeat, case) {
            return Ok(Vec::new());
        }
        let mut run = self.beside_floor(turn.repeat, case);
        let measured = match case.section.method {
            Method::Floor => Ok(vec![run]),
            Method::Pair => own_cost::pair(case, run),
            Method::Control => own_cost::control(case, run),
            Method::Idle | Method::Load => self.serve(turn, case, &mut run).map(|()| vec![run]),
        };
        let runs = match measured {
            Ok(runs) => runs,
            Err(why) if self.declared.validity == Validity::EveryRun => return Err(why),
            Err(why) => vec![Run {
                failure: Some(why.to_string()),
                ..Run::default()
            }],
        };
        if self.declared.spare_collapsed {
            self.collapses.note(turn.repeat, case, &runs[0]);
        }
        let at = |(scenario, candidate): &(String, String), run: &Run| Run {
            repeat: turn.repeat,
            scenario: scenario.clone(),
            candidate: if run.candidate.is_empty() {
                candidate.clone()
            } else {
                run.candidate.clone()
            },
            ..run.clone()
        };
        let places = case.places.iter();
        Ok(places
            .flat_map(|place| runs.iter().map(move |run| at(place, run)))
            .collect())
    }

    /// A run with the figures of its floor, if it has one.
    fn beside_floor(&mut self, repeat: u32, case: &Case) -> Run {
        let Some(passes) = case.section.floor else {
            return Run::default();
        };
        let known = self
            .floor
            .take()
            .filter(|(of, load, _)| self.declared.by_load && (*of, *load) == (repeat, case.load));
        let load = case.load;
        let (_, _, run) = self.floor.insert(known.unwrap_or_else(|| {
            let interval = match passes {
                Passes::BackToBack => Duration::ZERO,
                Passes::Spaced => INTERVAL_MAX.min(Duration::from_secs(1) / load.rate),
            };
            let mut run = Run::default();
            if let Err(why) =
                Plan::new(load.clients, load.size, self.passes, interval).measure(&mut run)
            {
                run.warnings.push(format!("no floor: {why}"));
            }
            (repeat, load, run)
        }));
        run.clone()
    }

    /// Measures a server, for what is left of the time at most.
    fn serve(&self, turn: Turn, case: &Case, run: &mut Run) -> Result<()> {
        let memory = SocketMemory::watch();
        let serving = Serving::start(&case.candidate, case.load.clients).map_err(Error::Run)?;
        if case.section.method == Method::Idle {
            return idle::measure(run, &serving, case.load.clients, case.duration);
        }
        let broken = case.candidate.broken.clone();
        let broken = broken.map(|script| BrokenPeers::start(&script, serving.addr()));
        let most = case
            .section
            .time_max
            .map_or(case.duration + OVERHEAD_MAX, |time| time.0);
        let report = process::measure(&serving.flags(&case.flags()), most.min(turn.left));
        match broken.map(BrokenPeers::end) {
            Some(0) => return Err(Error::Run("no broken peer could connect".into())),
            Some(connections) => run.set(&CONNECTIONS, connections as f64),
            None => {}
        }
        let report = report?;
        run.set(&KERNEL_MEMORY, memory.peak_mib());
        run.take_report(&report);
        judge(self.declared.counts, case, &report, run)?;
        set_ratios(case, run);
        Ok(())
    }
}

impl Case {
    /// What the load generator is told, but for addresses.
    pub(crate) fn flags(&self) -> String {
        let Load {
            clients,
            stalled,
            rate,
            size,
        } = self.load;
        let (told, ms) = (&self.candidate.load, self.duration.as_millis());
        let mut flags =
            format!("--clients {clients} --rate {rate} --size {size} --duration {ms}ms {told}");
        if stalled > 0 {
            flags += &format!(" --stalled-clients {stalled}");
        }
        flags
    }
}

/// Whether figures and bounds are of this run.
fn judge(counts: Counts, case: &Case, report: &Report, run: &mut Run) -> Result<()> {
    let hostile = report
        .hostile
        .as_ref()
        .and_then(|all| all.get(&HostileKind::Flooder));
    if let Some(flooders) = hostile {
        if flooders.sent_messages == 0 {
            return Err(Error::Run("the flooders have sent nothing".into()));
        }
        let seconds = report.warmup_seconds + report.duration_seconds;
        run.set(&FLOOD_RATE, flooders.sent_messages as f64 / seconds);
    }
    match counts {
        Counts::Valid => {}
        Counts::Lossless => {
            let has_collapsed = collapse::of(case, run).is_some();
            let is_peer = case.candidate.program.is_some();
            let is_measure = run.is_valid() || is_peer && has_collapsed;
            run.counts = Some(is_measure && (report.lost == 0 || !is_peer));
        }
        Counts::All => {
            run.counts = Some(true);
            let cut = report.disconnects.count();
            let faults = report.faults() + report.unsent + report.echoed + cut;
            if faults > 0 {
                run.problems.push(format!(
                    "the ledger is not clean: {} lost, {} duplicated, {} reordered, {} corrupt, {} echoed, {} unsent, {cut} clients disconnected",
                    report.lost,
                    report.duplicated,
                    report.reordered,
                    report.corrupt,
                    report.echoed,
                    report.unsent,
                ));
            }
        }
    }
    Ok(())
}

/// Sets what is seen beside the floor.
fn set_ratios(case: &Case, run: &mut Run) {
    let between_messages_ms = 1000.0 / f64::from(case.load.rate);
    let is_shared = run.get(&P99).is_none_or(|p99| p99 >= between_messages_ms);
    if case.section.one_send_each && is_shared {
        run.unset(&CPU_PER_DELIVERY);
        run.warnings.push("p99 is longer than the time between messages, so sends were shared, and the CPU per delivery is left out: see what else runs here".into());
    }
    run.set_ratio(&CPU_BY_FLOOR, &CPU_PER_DELIVERY, &FLOOR_CPU);
    run.set_ratio(&P99_BY_FLOOR, &P99, &FLOOR);
    run.set_ratio(&COMPLETION_BY_FLOOR, &COMPLETION_P50, &FLOOR);
    let both = run.get(&P99).zip(run.get(&FLOOR));
    run.set(
        &P99_BY_ALLOWANCE,
        both.map(|(p99, floor)| p99 / (1.3 * floor + 0.5)),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::tests::cases;

    #[test]
    fn cpu_per_delivery_is_left_out_where_sends_were_shared() {
        let case = &cases("drivers", "--scenarios cpu --drivers uring")[0];
        let run = |p99| {
            let mut run = Run::default();
            for (figure, value) in [(P99, p99), (FLOOR_CPU, 8.0), (CPU_PER_DELIVERY, 8.0)] {
                run.set(&figure, value);
            }
            set_ratios(case, &mut run);
            run
        };
        assert_eq!(run(99.0).get(&CPU_BY_FLOOR), Some(1.0));
        assert!(run(99.0).warnings.is_empty());
        assert_eq!(run(100.0).get(&CPU_PER_DELIVERY), None);
        assert_eq!(run(100.0).warnings.len(), 1);
    }

    #[test]
    fn what_is_invalid_is_no_measure_unless_a_peer_collapsed_and_lost_nothing() {
        let json = include_str!("../../loadgen/tests/data/run.json");
        let counts = |candidate: &str, p99, lost| {
            let flags = format!("--scenarios rates --rates 100 --candidates {candidate}");
            let mut report: Report = serde_json::from_str(json).unwrap();
            report.problems = vec!["the machine was busy".into()];
            (report.valid, report.lost, report.rate_achieved) = (false, lost, 100.0);
            report.latency_ms.delivery.p99 = Some(p99);
            let mut run = Run::default();
            run.take_report(&report);
            judge(
                Counts::Lossless,
                &cases("peers", &flags)[0],
                &report,
                &mut run,
            )
            .unwrap();
            run.counts()
        };
        assert!(!counts("redis", 400.0, 0) && counts("redis", 1500.0, 0));
        assert!(!counts("redis", 1500.0, 1) && !counts("uringcast", 1500.0, 0));
    }
}
