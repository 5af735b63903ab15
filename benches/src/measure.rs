//! Measures the cases of a comparison, each on a server of its own, with its floor right before.

use std::process::ExitCode;
use std::time::Duration;

use record::{HostileKind, Report};

use crate::args::Args;
use crate::cases::{Case, Load};
use crate::comparison::Validity;
use crate::declared::{Counts, Declared, Method, Passes};
use crate::error::{Error, Result};
use crate::figure;
use crate::host::{raise_descriptors, socket_memory_of};
use crate::peers::{self, Collapses};
use crate::run::Run;
use crate::serving::Serving;
use crate::{broken, floor, idle, own_cost, process};

/// Passes follow each other as messages do, but never this far apart: after a silence of 200 ms
/// sends cost more, and the pass is to be the least there is.
const INTERVAL_MAX: Duration = Duration::from_millis(100);

/// What is measured, and what is known from the cases before.
struct Measurement {
    declared: Declared,
    collapses: Collapses,
    /// The last floor, with its repeat and load.
    floor: Option<(u32, Load, Run)>,
}

/// The program that is declared under this name.
pub(crate) fn main(program: &'static str) -> ExitCode {
    let declared = Declared::of(program);
    let args = match Args::read(|args| declared.command(program, args), std::env::args_os()) {
        Ok(args) => args,
        Err(error) => return cli::refuse(&error, "error", program),
    };
    process::exit_code(compare(program, declared, &args))
}

fn compare(program: &'static str, mut declared: Declared, args: &Args) -> Result<bool> {
    args.check_output()?;
    declared.passes = args.passes.unwrap_or(declared.passes);
    let servers = peers::try_out(&mut declared, args);
    let study = declared.study(program, args);
    let loads = study.groups.iter().flatten().map(|case| case.load);
    let sockets = loads.map(|load| load.clients + load.stalled);
    raise_descriptors(sockets.max().unwrap_or_default())?;
    let mut measurement = Measurement {
        declared,
        collapses: Collapses::default(),
        floor: None,
    };
    let mut comparison =
        study.carry_out(|repeat, left, case| measurement.case(repeat, left, case))?;
    if let Some(servers) = servers {
        comparison.remark("Where a peer wins", peers::wins(&comparison));
        comparison.remark("Collapsed", measurement.collapses.in_words());
        comparison.remark("Servers", servers.to_string());
    }
    args.output(&comparison)
}

impl Measurement {
    /// The runs of a case; none if it is spared.
    fn case(&mut self, repeat: u32, left: Duration, case: &Case) -> Result<Vec<Run>> {
        if repeat >= case.repeats_max || !self.collapses.is_due(repeat, case) {
            return Ok(Vec::new());
        }
        let mut run = self.beside_floor(repeat, case);
        let measured = match case.section.method {
            Method::Floor => Ok(None),
            Method::Pair => own_cost::pair(case, &mut run).map(Some),
            Method::Control => own_cost::control(case, &mut run).map(Some),
            Method::Idle | Method::Load => self.serve(left, case, &mut run).map(|()| None),
        };
        let beside = match measured {
            Ok(beside) => beside,
            Err(why) if self.declared.validity == Validity::EveryRun => return Err(why),
            Err(why) => {
                run.failure = Some(why.to_string());
                None
            }
        };
        if self.declared.spare_collapsed {
            self.collapses.note(repeat, case, &run);
        }
        let at = |run: Run, candidate: &str| Run {
            repeat,
            scenario: case.scenario.clone(),
            candidate: candidate.to_owned(),
            ..run
        };
        let beside = beside.map(|bare| at(bare, own_cost::BARE));
        let measured = [at(run, &case.candidate.name)].into_iter();
        Ok(measured.chain(beside).collect())
    }

    /// A run with the figures of its floor, if it has one.
    fn beside_floor(&mut self, repeat: u32, case: &Case) -> Run {
        let Some(passes) = case.section.floor else {
            return Run::default();
        };
        let (load, by_load) = (case.load, self.declared.by_load);
        match &self.floor {
            Some((of, at, run)) if by_load && (*of, *at) == (repeat, load) => run.clone(),
            _ => {
                let interval = match passes {
                    Passes::BackToBack => Duration::ZERO,
                    Passes::Spaced => INTERVAL_MAX.min(Duration::from_secs(1) / load.rate),
                };
                let mut run = Run::default();
                if let Err(why) = floor::measure(load, self.declared.passes, interval, &mut run) {
                    run.warnings.push(format!("no floor: {why}"));
                }
                self.floor = Some((repeat, load, run.clone()));
                run
            }
        }
    }

    /// Measures a server, for what is left of the time at most.
    fn serve(&self, left: Duration, case: &Case, run: &mut Run) -> Result<()> {
        let (served, mib) = socket_memory_of(|| -> Result<Option<Report>> {
            let serving = Serving::start(&case.candidate, case.load.clients)?;
            if case.section.method == Method::Idle {
                idle::measure(case, &serving, run)?;
                return Ok(None);
            }
            let most = case.duration + process::OVERHEAD_MAX;
            let most = case.section.time_max.map_or(most, |time| time.0);
            let load = || process::measure(&serving.flags(&case.flags()), most.min(left));
            let Some(script) = &case.candidate.broken else {
                return load().map(Some);
            };
            let (report, connections) = broken::beside(script, serving.addr(), load);
            if connections == 0 {
                return Err(Error::Run("no broken peer could connect".into()));
            }
            run.set(&figure::CONNECTIONS, connections as f64);
            report.map(Some)
        });
        if let Some(report) = served? {
            run.set(&figure::KERNEL_MEMORY, mib);
            run.take_report(&report);
            judge(self.declared.counts, case, &report, run)?;
            set_ratios(case, run);
        }
        Ok(())
    }
}

impl Case {
    /// What the load generator is told, but for addresses.
    pub(crate) fn flags(&self) -> String {
        let (load, told, ms) = (self.load, &self.candidate.load, self.duration.as_millis());
        let (clients, rate, size, stalled) = (load.clients, load.rate, load.size, load.stalled);
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
    let hostile = report.hostile.as_ref();
    let hostile = hostile.and_then(|all| all.get(&HostileKind::Flooder));
    if let Some(flooders) = hostile {
        if flooders.sent_messages == 0 {
            return Err(Error::Run("the flooders have sent nothing".into()));
        }
        let seconds = report.warmup_seconds + report.duration_seconds;
        run.set(&figure::FLOOD_RATE, flooders.sent_messages as f64 / seconds);
    }
    match counts {
        Counts::Valid => {}
        Counts::Lossless => {
            let has_collapsed = peers::collapse(case, run).is_some();
            let is_peer = case.candidate.program.is_some();
            let is_measure = run.is_valid() || is_peer && has_collapsed;
            run.counts = Some(is_measure && (report.lost == 0 || !is_peer));
        }
        Counts::All => {
            run.counts = Some(true);
            let cut = report.disconnects.count();
            let faults = report.faults() + report.unsent + report.echoed + cut;
            if faults > 0 {
                let Report {
                    lost,
                    duplicated,
                    reordered,
                    corrupt,
                    echoed,
                    unsent,
                    ..
                } = report;
                run.problems.push(format!(
                    "the ledger is not clean: {lost} lost, {duplicated} duplicated, {reordered} reordered, {corrupt} corrupt, {echoed} echoed, {unsent} unsent, {cut} clients disconnected"
                ));
            }
        }
    }
    Ok(())
}

/// Sets what is seen beside the floor.
fn set_ratios(case: &Case, run: &mut Run) {
    let between_messages_ms = 1000.0 / f64::from(case.load.rate);
    let p99 = run.get(&figure::P99);
    let is_shared = p99.is_none_or(|p99| p99 >= between_messages_ms);
    if case.section.one_send_each && is_shared {
        run.unset(&figure::CPU_PER_DELIVERY);
        run.warnings.push("p99 is longer than the time between messages, so sends were shared, and the CPU per delivery is left out: see what else runs here".into());
    }
    run.set_ratio(
        &figure::CPU_BY_FLOOR,
        &figure::CPU_PER_DELIVERY,
        &figure::FLOOR_CPU,
    );
    run.set_ratio(&figure::P99_BY_FLOOR, &figure::P99, &figure::FLOOR);
    run.set_ratio(
        &figure::COMPLETION_BY_FLOOR,
        &figure::COMPLETION_P50,
        &figure::FLOOR,
    );
    let both = run.get(&figure::P99).zip(run.get(&figure::FLOOR));
    let allowed = both.map(|(p99, floor)| p99 / (1.3 * floor + 0.5));
    run.set(&figure::P99_BY_ALLOWANCE, allowed);
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
            for (figure, value) in [
                (figure::P99, p99),
                (figure::FLOOR_CPU, 8.0),
                (figure::CPU_PER_DELIVERY, 8.0),
            ] {
                run.set(&figure, value);
            }
            set_ratios(case, &mut run);
            run
        };
        assert_eq!(run(99.0).get(&figure::CPU_BY_FLOOR), Some(1.0));
        assert!(run(99.0).warnings.is_empty());
        assert_eq!(run(100.0).get(&figure::CPU_PER_DELIVERY), None);
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
