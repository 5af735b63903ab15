//! The summary: one run on one screen, the verdict first.

use std::fmt::{self, Write};

use record::figures::{cores, counted, grouped, mebibytes, milliseconds, rate, whole};
use record::{Consumption, Percentiles, Report, ServerView, printable};

use crate::measure::plan::Plan;

/// What is about to be measured, in one line: the expected deliveries a second.
pub(crate) fn announcement(plan: &Plan, addr: &str) -> String {
    let deliveries = rate(plan.deliveries_per_second());
    let expected = match plan.publishers {
        0 => format!("{deliveries} deliveries/s expected"),
        publishers => format!(
            "{deliveries} deliveries/s expected, all messages of {} to all clients by {}",
            counted(publishers.into(), "publisher"),
            plan.protocol
        ),
    };
    format!(
        "{} clients at {addr}, {} messages/s of {} bytes in total: {expected}",
        grouped(plan.clients.into()),
        rate(plan.rate),
        plan.sizes,
    )
}

/// The whole report for a person.
pub(crate) fn render(report: &Report) -> String {
    let mut text = String::new();
    write_summary(&mut text, report).expect("a string takes all that is written");
    printable(&text)
}

fn write_summary(out: &mut impl Write, report: &Report) -> fmt::Result {
    write_verdict(out, report)?;
    writeln!(out)?;
    write_rates(out, report)?;
    write_ledger(out, report)?;
    writeln!(out)?;
    write_latencies(out, report)?;
    writeln!(out)?;
    write_consumption(out, report)?;
    write_objectives(out, report)
}

fn write_objectives(out: &mut impl Write, report: &Report) -> fmt::Result {
    for (kind, outcome) in report.hostile.iter().flatten() {
        writeln!(out, "{kind:<15}{outcome}")?;
    }
    for judged in &report.slo {
        writeln!(out, "SLO          {judged}")?;
    }
    match &report.steps {
        None => Ok(()),
        Some(steps) => write!(out, "\n{steps}"),
    }
}

fn write_verdict(out: &mut impl Write, report: &Report) -> fmt::Result {
    let cut_short = match report.cut_short {
        true => ", cut short",
        false => "",
    };
    match report.valid {
        true => writeln!(out, "VALID{cut_short}")?,
        false => writeln!(
            out,
            "INVALID{cut_short}: these figures do not say what they seem to"
        )?,
    }
    for problem in &report.problems {
        writeln!(out, "  - {problem}")?;
    }
    for note in &report.notes {
        writeln!(out, "  note: {note}")?;
    }
    Ok(())
}

fn write_rates(out: &mut impl Write, report: &Report) -> fmt::Result {
    writeln!(
        out,
        "clients      {}, joined in {:.2} s",
        grouped(report.clients.into()),
        report.connect_seconds
    )?;
    writeln!(
        out,
        "messages     {} sent in {} s, {}/s on time of {}/s requested",
        grouped(report.messages),
        rate(report.duration_seconds),
        rate(report.rate_achieved),
        rate(report.rate_requested)
    )?;
    writeln!(
        out,
        "deliveries   {}/s of {}/s requested, drained {:.3} s after the end",
        whole(report.deliveries_per_second),
        whole(report.deliveries_per_second_requested),
        report.drain_seconds
    )
}

fn write_ledger(out: &mut impl Write, report: &Report) -> fmt::Result {
    writeln!(
        out,
        "ledger       {} expected, {} delivered, {} lost, {} duplicated, {} reordered, {} corrupt",
        grouped(report.expected),
        grouped(report.delivered),
        grouped(report.lost),
        grouped(report.duplicated),
        grouped(report.reordered),
        grouped(report.corrupt)
    )?;
    match report.cuts {
        None => Ok(()),
        Some(cuts) => writeln!(
            out,
            "cut          {}, {} resumed where they were",
            counted(cuts.cut, "connection"),
            grouped(cuts.resumed)
        ),
    }
}

fn write_latencies(out: &mut impl Write, report: &Report) -> fmt::Result {
    writeln!(
        out,
        "{:<30}{:>9}{:>9}{:>9}{:>9}{:>9}",
        "latency, ms", "p50", "p90", "p99", "p99.9", "max"
    )?;
    let table = &report.latency_ms;
    for (name, percentiles) in [
        ("delivery", &table.delivery),
        ("  from the actual send", &table.delivery_from_send),
        ("broadcast, first receiver", &table.completion_first),
        ("broadcast, median receiver", &table.completion_median),
        ("broadcast, last receiver", &table.completion),
        ("send lag", &table.send_lag),
    ] {
        write_percentiles(out, name, percentiles)?;
    }
    Ok(())
}

fn write_percentiles(out: &mut impl Write, name: &str, percentiles: &Percentiles) -> fmt::Result {
    writeln!(
        out,
        "{name:<30}{:>9}{:>9}{:>9}{:>9}{:>9}",
        milliseconds(percentiles.p50),
        milliseconds(percentiles.p90),
        milliseconds(percentiles.p99),
        milliseconds(percentiles.p999),
        milliseconds(percentiles.max)
    )
}

fn write_consumption(out: &mut impl Write, report: &Report) -> fmt::Result {
    for (at, sentence) in report
        .server_view
        .iter()
        .flat_map(ServerView::sentences)
        .enumerate()
    {
        let name = if at == 0 { "both" } else { "" };
        writeln!(out, "{name:<13}{sentence}")?;
    }
    write_process(out, "server", &report.server)?;
    writeln!(out)?;
    write_process(out, "generator", &report.generator.consumption)?;
    let user_ns = report.generator.user_ns_per_delivery;
    writeln!(
        out,
        ", {} ns user per delivery, loop busy {:.0} %",
        user_ns.map_or_else(|| "-".to_owned(), whole),
        report.generator.busy_share * 100.0
    )
}

fn write_process(out: &mut impl Write, name: &str, used: &Consumption) -> fmt::Result {
    if used.cpu_seconds.is_none() && used.rss_peak_bytes.is_none() {
        return write!(out, "{name:<13}not on this host, or give --server-pid");
    }
    write!(
        out,
        "{name:<13}{} cores, {} peak",
        cores(used.cpu_cores),
        mebibytes(used.rss_peak_bytes)
    )
}
