//! Merging runs: their histograms are added up sample by sample, which percentiles cannot be, and so
//! are their ledgers.
//!
//! Runs that took place at the same time were several generators of one load: their clients and rates
//! add up. Runs one after the other were repeats: clients and rates stay, and the times add up.

use std::path::{Path, PathBuf};
use std::time::Duration;

use record::{Account, Consumption, Generator, Percentiles, Report};

use crate::measure::latency::Kind;
use crate::report::folder::{self, FolderError};
use crate::report::measurement::Measurement;
use crate::report::summary;

/// Merges all runs in `dirs` into `out`; the summary of the sum.
///
/// # Errors
/// If a folder holds no run or cannot be read, a run is there twice, or `out` cannot be written or is
/// one of the runs.
pub(crate) fn run(dirs: &[PathBuf], out: &Path) -> Result<String, FolderError> {
    let mut measurements = Vec::new();
    for folder in folder::runs_apart_from(dirs, out)? {
        let measurement = folder::read(&folder)?;
        // Wherever the sum is read, it is to be known what it is of.
        let name = std::fs::canonicalize(&folder).unwrap_or(folder);
        measurements.push((name.display().to_string(), measurement));
    }
    let merged = merge(measurements).ok_or_else(|| FolderError::NoRun {
        path: out.to_owned(),
    })?;
    let summary = summary::render(&merged.report);
    folder::write(out, &merged, &summary)?;
    Ok(format!(
        "{summary}\nreport       {}\n",
        out.join("report.html").display()
    ))
}

/// The sum of measurements, each with the name of its folder; `None` of none.
fn merge(mut measurements: Vec<(String, Measurement)>) -> Option<Measurement> {
    measurements.sort_by_key(|(_, measurement)| measurement.began_at);
    let together = took_place_together(&measurements);
    let differ = differ(&measurements, together);
    let mut measurements = measurements.into_iter();
    let (name, mut sum) = measurements.next()?;
    sum.report.problems = named(&name, &sum.report.problems);
    sum.report.notes = named(&name, &sum.report.notes);
    sum.report.merged_from = parts(name, &sum.report);
    // A series of several runs has no common clock.
    sum.report.series = Vec::new();
    sum.report.slo = Vec::new();
    sum.report.steps = None;
    sum.report.server_view = None;
    sum.intervals = Vec::new();
    for (name, measurement) in measurements {
        for kind in Kind::ALL {
            sum.histograms.add(kind, measurement.histograms.get(kind));
        }
        add(&mut sum.report, &measurement.report, together);
        sum.report
            .problems
            .extend(named(&name, &measurement.report.problems));
        sum.report
            .notes
            .extend(named(&name, &measurement.report.notes));
        let parts = parts(name, &measurement.report);
        sum.report.merged_from.extend(parts);
    }
    sum.report.notes.extend(differ);
    sum.report.latency_ms = sum.histograms.table();
    Some(sum)
}

/// The runs that one of the summands stands for: itself, or those of which it is the sum.
fn parts(name: String, report: &Report) -> Vec<String> {
    match &report.merged_from[..] {
        [] => vec![name],
        parts => parts.to_vec(),
    }
}

fn named(name: &str, findings: &[String]) -> Vec<String> {
    let named = findings.iter().map(|finding| format!("{name}: {finding}"));
    named.collect()
}

/// Whether all ran at once, for more than half of the time of the shortest.
fn took_place_together(measurements: &[(String, Measurement)]) -> bool {
    let begin = measurements
        .iter()
        .map(|(_, measurement)| measurement.began_at)
        .max();
    let end = measurements
        .iter()
        .map(|(_, measurement)| measurement.began_at + lasted(&measurement.report))
        .min();
    let shortest = measurements
        .iter()
        .map(|(_, measurement)| lasted(&measurement.report))
        .min();
    let (Some(begin), Some(end), Some(shortest)) = (begin, end, shortest) else {
        return false;
    };
    let common = end.duration_since(begin).unwrap_or_default();
    measurements.len() > 1 && common * 2 > shortest
}

fn lasted(report: &Report) -> Duration {
    Duration::try_from_secs_f64(report.duration_seconds).unwrap_or_default()
}

/// A warning if repeats were not of the same load.
fn differ(measurements: &[(String, Measurement)], together: bool) -> Option<String> {
    let load = |report: &Report| {
        (
            report.clients,
            report.rate_requested.to_bits(),
            report.size_bytes,
        )
    };
    let first = load(&measurements.first()?.1.report);
    let same = measurements
        .iter()
        .all(|(_, measurement)| load(&measurement.report) == first);
    (!same && !together).then(|| {
        "the merged runs differ in clients, rate or size: their percentiles belong to no one load"
            .to_owned()
    })
}

/// Adds one run to the sum of those before it.
fn add(sum: &mut Report, one: &Report, together: bool) {
    if together {
        add_beside(sum, one);
    } else {
        add_behind(sum, one);
    }
    sum.valid &= one.valid;
    sum.connect_seconds = sum.connect_seconds.max(one.connect_seconds);
    sum.drain_seconds = sum.drain_seconds.max(one.drain_seconds);
    sum.size_bytes.min = sum.size_bytes.min.min(one.size_bytes.min);
    sum.size_bytes.max = sum.size_bytes.max.max(one.size_bytes.max);
    sum.messages += one.messages;
    sum.expected += one.expected;
    sum.delivered += one.delivered;
    sum.lost += one.lost;
    sum.lost_while_connected += one.lost_while_connected;
    sum.lost_to_disconnects += one.lost_to_disconnects;
    sum.duplicated += one.duplicated;
    sum.reordered += one.reordered;
    sum.corrupt += one.corrupt;
    sum.echoed += one.echoed;
    sum.unsent += one.unsent;
    sum.foreign += one.foreign;
    sum.backlog_at_end += one.backlog_at_end;
    sum.unrecorded.negative += one.unrecorded.negative;
    sum.unrecorded.out_of_range += one.unrecorded.out_of_range;
    add_account(&mut sum.warmup, one.warmup);
    sum.disconnects.add(&one.disconnects);
    sum.disordered += one.disordered;
    if let Some(cuts) = one.cuts {
        sum.cuts.get_or_insert_default().add(cuts);
    }
    sum.cut_short |= one.cut_short;
}

/// Another generator of the same load.
fn add_beside(sum: &mut Report, one: &Report) {
    sum.clients += one.clients;
    sum.senders += one.senders;
    sum.publishers += one.publishers;
    sum.rate_requested += one.rate_requested;
    sum.rate_achieved += one.rate_achieved;
    sum.deliveries_per_second += one.deliveries_per_second;
    sum.deliveries_per_second_requested += one.deliveries_per_second_requested;
    sum.duration_seconds = sum.duration_seconds.max(one.duration_seconds);
    // All saw the same server, if they saw it.
    sum.server = if sum.server.cpu_seconds >= one.server.cpu_seconds {
        sum.server
    } else {
        one.server
    };
    let (ours, theirs) = (sum.generator.consumption, one.generator.consumption);
    sum.generator.consumption = added(ours, theirs);
    add_loop(
        &mut sum.generator,
        &one.generator,
        sum.delivered + one.delivered,
    );
}

/// Another run of the same load. Rates become means over the time of all.
fn add_behind(sum: &mut Report, one: &Report) {
    let (before, after) = (sum.duration_seconds, one.duration_seconds);
    let seconds = before + after;
    let mean = |ours: f64, theirs: f64| (ours * before + theirs * after) / seconds;
    sum.rate_requested = mean(sum.rate_requested, one.rate_requested);
    sum.rate_achieved = mean(sum.rate_achieved, one.rate_achieved);
    sum.deliveries_per_second = mean(sum.deliveries_per_second, one.deliveries_per_second);
    sum.deliveries_per_second_requested = mean(
        sum.deliveries_per_second_requested,
        one.deliveries_per_second_requested,
    );
    sum.clients = sum.clients.max(one.clients);
    sum.senders = sum.senders.max(one.senders);
    sum.publishers = sum.publishers.max(one.publishers);
    sum.duration_seconds = seconds;
    sum.server = one_after_the_other(sum.server, one.server, seconds);
    let (ours, theirs) = (sum.generator.consumption, one.generator.consumption);
    sum.generator.consumption = one_after_the_other(ours, theirs, seconds);
    add_loop(
        &mut sum.generator,
        &one.generator,
        sum.delivered + one.delivered,
    );
}

fn one_after_the_other(ours: Consumption, theirs: Consumption, seconds: f64) -> Consumption {
    let sum = added(ours, theirs);
    Consumption {
        cpu_cores: sum.cpu_seconds.map(|cpu_seconds| cpu_seconds / seconds),
        rss_peak_bytes: ours.rss_peak_bytes.max(theirs.rss_peak_bytes),
        descriptors: ours.descriptors.max(theirs.descriptors),
        ..sum
    }
}

/// What two processes used together.
fn added(ours: Consumption, theirs: Consumption) -> Consumption {
    Consumption {
        cpu_seconds: both(ours.cpu_seconds, theirs.cpu_seconds),
        cpu_cores: both(ours.cpu_cores, theirs.cpu_cores),
        cpu_user_seconds: both(ours.cpu_user_seconds, theirs.cpu_user_seconds),
        cpu_system_seconds: both(ours.cpu_system_seconds, theirs.cpu_system_seconds),
        rss_peak_bytes: both(ours.rss_peak_bytes, theirs.rss_peak_bytes),
        descriptors: both(ours.descriptors, theirs.descriptors),
        voluntary_switches: both(ours.voluntary_switches, theirs.voluntary_switches),
        involuntary_switches: both(ours.involuntary_switches, theirs.involuntary_switches),
    }
}

/// Of the loops' turns there is no histogram: the worst of all is kept.
fn add_loop(sum: &mut Generator, one: &Generator, delivered: u64) {
    sum.user_ns_per_delivery = sum
        .consumption
        .cpu_user_seconds
        .filter(|&seconds| seconds > 0.0 && delivered > 0)
        .map(|seconds| seconds * 1e9 / delivered as f64);
    sum.busy_share = sum.busy_share.max(one.busy_share);
    sum.reads += one.reads;
    sum.threads.extend_from_slice(&one.threads);
    let (ours, theirs) = (sum.turn_ms, one.turn_ms);
    let larger = |ours: Option<f64>, theirs: Option<f64>| match (ours, theirs) {
        (Some(ours), Some(theirs)) => Some(ours.max(theirs)),
        (one, other) => one.or(other),
    };
    sum.turn_ms = Percentiles {
        p50: larger(ours.p50, theirs.p50),
        p90: larger(ours.p90, theirs.p90),
        p99: larger(ours.p99, theirs.p99),
        p999: larger(ours.p999, theirs.p999),
        max: larger(ours.max, theirs.max),
        mean: larger(ours.mean, theirs.mean),
        count: ours.count + theirs.count,
    };
}

fn add_account(sum: &mut Account, one: Account) {
    sum.sent += one.sent;
    sum.unsent += one.unsent;
    sum.expected += one.expected;
    sum.delivered += one.delivered;
    sum.lost_while_connected += one.lost_while_connected;
    sum.lost_to_disconnects += one.lost_to_disconnects;
    sum.duplicated += one.duplicated;
    sum.reordered += one.reordered;
    sum.echoed += one.echoed;
}

/// A sum that is known only if both are.
fn both<T: std::ops::Add<Output = T>>(ours: Option<T>, theirs: Option<T>) -> Option<T> {
    Some(ours? + theirs?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::measurement::tests::measurement;

    fn merged(seconds_between: u64) -> (Measurement, Measurement) {
        let (one, mut other) = (measurement(), measurement());
        other.began_at += Duration::from_secs(seconds_between);
        let sum = merge(vec![("one".into(), one), ("other".into(), other)]).unwrap();
        (measurement(), sum)
    }

    fn is(found: f64, wanted: f64) -> bool {
        (found - wanted).abs() < 1e-6 * wanted
    }

    #[test]
    fn every_sample_is_in_the_sum() {
        let (one, sum) = merged(0);
        for kind in Kind::ALL {
            assert_eq!(
                sum.histograms.get(kind).len(),
                2 * one.histograms.get(kind).len()
            );
        }
        assert_eq!(
            sum.report.latency_ms.delivery.count,
            2 * one.report.latency_ms.delivery.count
        );
        assert_eq!(sum.report.delivered, 2 * one.report.delivered);
        assert_eq!(sum.report.merged_from, ["one", "other"]);
    }

    #[test]
    fn generators_of_one_load_add_up_their_clients_and_rates() {
        let (one, sum) = merged(1);
        assert_eq!(sum.report.clients, 2 * one.report.clients);
        assert!(is(
            sum.report.rate_requested,
            2.0 * one.report.rate_requested
        ));
        assert!(is(sum.report.duration_seconds, one.report.duration_seconds));
    }

    #[test]
    fn repeats_add_up_their_times() {
        let (one, sum) = merged(600);
        assert_eq!(sum.report.clients, one.report.clients);
        assert!(is(sum.report.rate_requested, one.report.rate_requested));
        assert!(is(
            sum.report.duration_seconds,
            2.0 * one.report.duration_seconds
        ));
    }

    #[test]
    fn one_invalid_run_spoils_the_sum_and_is_named() {
        let mut bad = measurement();
        bad.report.valid = false;
        bad.report.problems = vec!["it lost something".into()];
        let sum = merge(vec![("good".into(), measurement()), ("bad".into(), bad)]).unwrap();
        assert!(!sum.report.valid);
        assert_eq!(sum.report.problems, ["bad: it lost something"]);
    }

    #[test]
    fn a_merge_of_different_loads_has_a_warning() {
        let mut other = measurement();
        other.report.clients += 1;
        other.began_at += Duration::from_secs(600);
        let sum = merge(vec![("one".into(), measurement()), ("other".into(), other)]).unwrap();
        assert!(sum.report.notes.last().unwrap().contains("no one load"));
    }
}
