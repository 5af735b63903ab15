//! report.md: the curves for a person, on a code host.

use std::fmt::{Result, Write};

use benches::{Spread, digits};

use crate::curve::Curve;
use crate::result::{Row, Scaling};

/// The whole text.
pub(crate) fn render(scaling: &Scaling) -> String {
    let mut text = String::new();
    write(&mut text, scaling).expect("a string takes all that is written");
    text
}

fn write(out: &mut String, scaling: &Scaling) -> Result {
    let host = &scaling.host;
    writeln!(out, "# How it scales\n")?;
    writeln!(
        out,
        "Each point is measured {} times for {} s, on a fresh server each time; figures are medians of the valid runs. Server and load generator share this machine: {} x {}, Linux {}, load average before {:.1}. It took {:.0} s.\n",
        scaling.repeats,
        scaling.duration_seconds,
        host.cpus,
        host.cpu,
        host.kernel,
        host.load_average,
        scaling.took_seconds
    )?;
    writeln!(
        out,
        "Repeat it: `cargo run --release -p benches --bin curves -- {}`\n",
        scaling.command
    )?;
    writeln!(
        out,
        "**F** is one pass of a bare `send(2)` loop over as many sockets with frames as long, measured right before: no server that sends to each client can hand out a message in less. A p99 near F is at the limit. The server's CPU per delivery is seen beside the loop's per send. It falls below where one send carries several messages, which is what happens when they come faster than a round of all clients takes. A run is INVALID when the load generator says that its figures may not be believed; a point without a valid run is a cross in the plots.\n"
    )?;
    if scaling.was_cut {
        writeln!(
            out,
            "**The time was over before all was measured**: figures are of fewer runs than asked for, as each row says.\n"
        )?;
    }
    for curve in scaling.curves() {
        section(out, scaling, curve)?;
    }
    problems(out, scaling)
}

fn section(out: &mut String, scaling: &Scaling, curve: Curve) -> Result {
    let (name, rows) = (curve.name(), scaling.rows_of(curve));
    writeln!(out, "## {}\n\n{}\n", title(curve), remark(curve))?;
    writeln!(
        out,
        "![delivery p99]({name}-p99.svg) ![CPU per delivery]({name}-cpu.svg)\n"
    )?;
    writeln!(
        out,
        "| {} | | load | F, ms | p50, ms | p99, ms | p99 / F | floor's CPU per send, us | server's CPU per delivery, us | ratio | valid runs |\n|--:|---|---|{}---|",
        curve.unit(),
        "--:|".repeat(7)
    )?;
    for row in rows {
        let cells = [
            row.floor_ms,
            row.p50_ms,
            row.p99_ms,
            row.p99_by_floor,
            row.floor_cpu_us_per_send,
            row.cpu_us_per_delivery,
            row.cpu_by_floor,
        ];
        let cells = cells.map(|spread| shown(spread.as_ref())).join(" | ");
        writeln!(
            out,
            "| {} | {} | {} | {cells} | {} |",
            place(row.x),
            row.line,
            load(row),
            verdict(row)
        )?;
    }
    writeln!(out)
}

const fn title(curve: Curve) -> &'static str {
    match curve {
        Curve::Connections => "Connections",
        Curve::Rate => "Rate",
        Curve::Size => "Message size",
        Curve::Stalled => "Stalled clients",
        Curve::Drivers => "Drivers",
        Curve::Threads => "Threads",
    }
}

/// What to know when reading a curve.
const fn remark(curve: Curve) -> &'static str {
    match curve {
        Curve::Connections => {
            "A CPU time under 50 ms in all is left out: the kernel counts it in steps of 10 ms."
        }
        Curve::Rate => {
            "Once messages come closer together than F, a server that sends each by itself falls behind without end."
        }
        Curve::Size => {
            "56 bytes is the least that the load generator can prove a delivery with. Large messages come less often, so that all together stay under 256 MiB/s; the server is told --max-message-bytes where they are over 64 KiB."
        }
        Curve::Stalled => {
            "So many of all connections join and never read, beside the clients that are measured. What they are sent fills the kernel's buffers within the run, and from then on stays with the server. Whoever takes nothing for a second is waited for by nobody; until then authors wait for half of all connections, so a run in which half of them stall at once shows that second."
        }
        Curve::Drivers => "The same loads on each driver, one right after the other.",
        Curve::Threads => {
            "The second thread shares the processors with the load generator: where there are only two, it takes what the clients need."
        }
    }
}

fn load(row: &Row) -> String {
    let load = row.point.load;
    let stalled = match load.stalled {
        0 => String::new(),
        stalled => format!(" and {stalled} stalled"),
    };
    format!(
        "{} clients{stalled}, {}/s of {} bytes",
        load.clients, load.rate, load.message_bytes
    )
}

fn verdict(row: &Row) -> String {
    match (row.valid_runs, row.runs) {
        (_, 0) => "**not measured**".into(),
        (0, runs) => format!("**INVALID**, 0 of {runs}"),
        (valid, runs) => format!("{valid} of {runs}"),
    }
}

fn problems(out: &mut String, scaling: &Scaling) -> Result {
    let mut lines = Vec::new();
    for run in &scaling.runs {
        let load = run.point.load;
        let which = format!(
            "{} clients, {} stalled, {}/s of {} bytes, {}, {} threads, repeat {}",
            load.clients,
            load.stalled,
            load.rate,
            load.message_bytes,
            run.point.driver,
            run.point.threads,
            run.repeat + 1
        );
        match (&run.failure, &run.report) {
            (Some(failure), _) => lines.push(format!("- {which}: not measured: {failure}")),
            (None, Some(report)) if !report.valid => {
                lines.push(format!(
                    "- {which}: INVALID: {}",
                    report.problems.join("; ")
                ));
            }
            _ => {}
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "## Verdicts\n\n{}", lines.join("\n"))
}

fn shown(spread: Option<&Spread>) -> String {
    spread.map_or_else(|| "-".into(), |spread| digits(spread.median))
}

/// Where a row stands: a count, or a share that is none.
fn place(x: f64) -> String {
    let decimals = usize::from(x.fract() != 0.0);
    format!("{x:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::tests::scaling;

    #[test]
    fn every_point_is_in_the_table_with_its_verdict() {
        let text = render(&scaling());
        for part in [
            "| 10 | server | 5000 clients, 10/s of 64 bytes | 40.0 | 25.0 | 50.0 | 1.25 | 8.00 | 9.00 | 1.12 | 1 of 2 |",
            "| 1000 | server | 5000 clients, 1000/s of 64 bytes |",
            "**INVALID**, 0 of 2 |",
            "repeat 2: INVALID: the machine was busy",
        ] {
            assert!(text.contains(part), "{part}\n---\n{text}");
        }
        assert!(!text.contains("time was over"));
    }
}
