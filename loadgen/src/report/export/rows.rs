//! The rows of the tables that report.html and report.md share. A figure goes with the name of its
//! field in run.json, so that a reader, or a test, can find the one from the other.

use record::figures::{cores, counted, grouped, mebibytes, milliseconds, rate, whole};
use record::{Arrival, Consumption, Environment, Percentiles, Report, Spread, Step};

use crate::measure::histograms::Kind;

/// A figure as it is shown.
pub(super) struct Cell {
    /// Its place in run.json.
    pub(super) field: String,
    pub(super) text: String,
}

/// A named row of figures.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) cells: Vec<Cell>,
}

/// p50, p90, p99, p99.9 and the maximum of each latency.
pub(super) fn latencies(report: &Report) -> Vec<Row> {
    let table = &report.latency_ms;
    let kinds = [
        (Kind::Delivery, &table.delivery),
        (Kind::DeliveryFromSend, &table.delivery_from_send),
        (Kind::CompletionFirst, &table.completion_first),
        (Kind::CompletionMedian, &table.completion_median),
        (Kind::Completion, &table.completion),
        (Kind::SendLag, &table.send_lag),
    ];
    kinds
        .into_iter()
        .map(|(kind, percentiles)| percentile_row(kind, percentiles))
        .collect()
}

fn percentile_row(kind: Kind, percentiles: &Percentiles) -> Row {
    let cells = [
        ("p50", percentiles.p50),
        ("p90", percentiles.p90),
        ("p99", percentiles.p99),
        ("p999", percentiles.p999),
        ("max", percentiles.max),
    ];
    Row {
        name: kind.title().to_owned(),
        cells: cells
            .map(|(name, value)| cell(&format!("latency_ms.{kind}.{name}"), milliseconds(value)))
            .into(),
    }
}

/// A row for each run of a campaign; none if there was but one.
pub(super) fn steps(report: &Report) -> Vec<Row> {
    let steps = report.steps.iter().flat_map(|steps| &steps.steps);
    steps
        .enumerate()
        .map(|(at, step)| step_row(at, step))
        .collect()
}

fn step_row(at: usize, step: &Step) -> Row {
    let verdict = match (step.valid, step.held) {
        (true, true) => "held",
        (true, false) => "SLO broken",
        (false, _) => "INVALID",
    };
    let field = |name: &str| format!("steps.steps.{at}.{name}");
    let cells = [
        ("delivery.p50", milliseconds(step.delivery.p50)),
        ("delivery.p99", milliseconds(step.delivery.p99)),
        ("completion.p99", milliseconds(step.completion.p99)),
        ("lost", grouped(step.lost)),
        ("server_cpu_cores", cores(step.server_cpu_cores)),
        ("held", verdict.to_owned()),
    ];
    let name = format!("{} messages/s", rate(step.rate_requested));
    row(&name, cells.map(|(name, text)| cell(&field(name), text)))
}

/// How far the figures of repeats lie apart.
pub(super) fn spread(report: &Report) -> Vec<Row> {
    let spreads = report.steps.iter().flat_map(|steps| &steps.spread);
    spreads.enumerate().map(spread_row).collect()
}

fn spread_row((at, spread): (usize, &Spread)) -> Row {
    let is_bytes = spread.figure.ends_with("_bytes");
    let text = |value: f64| match is_bytes {
        true => format!("{:.1} MiB", value / 1_048_576.0),
        false => milliseconds(Some(value)),
    };
    let figure = |name: &str, value| cell(&format!("steps.spread.{at}.{name}"), text(value));
    row(
        spread.figure.trim_start_matches("latency_ms."),
        [
            figure("min", spread.min),
            figure("median", spread.median),
            figure("max", spread.max),
        ],
    )
}

/// What became of every delivery.
pub(super) fn ledger(report: &Report) -> Vec<Row> {
    [
        ("messages sent", "messages", report.messages),
        ("messages unsent", "unsent", report.unsent),
        ("deliveries expected", "expected", report.expected),
        ("delivered", "delivered", report.delivered),
        (
            "lost while connected",
            "lost_while_connected",
            report.lost_while_connected,
        ),
        (
            "lost to disconnects",
            "lost_to_disconnects",
            report.lost_to_disconnects,
        ),
        ("duplicated", "duplicated", report.duplicated),
        ("reordered", "reordered", report.reordered),
        ("corrupt", "corrupt", report.corrupt),
        ("to their author", "echoed", report.echoed),
        (
            "owed when sending ended",
            "backlog_at_end",
            report.backlog_at_end,
        ),
        ("messages of others", "foreign", report.foreign),
    ]
    .into_iter()
    .map(|(name, field, count)| row(name, [cell(field, grouped(count))]))
    .collect()
}

/// Cores, CPU seconds and the peak of memory of both programs.
pub(super) fn consumption(report: &Report) -> Vec<Row> {
    vec![
        consumption_row("server", &report.server),
        consumption_row("generator", &report.generator.consumption),
    ]
}

fn consumption_row(program: &str, used: &Consumption) -> Row {
    let seconds = |seconds: Option<f64>| seconds.map_or("-".into(), |one| format!("{one:.2}"));
    let number = |count: Option<u64>| count.map_or("-".into(), grouped);
    let field = |name: &str| format!("{program}.{name}");
    row(
        program,
        [
            cell(&field("cpu_cores"), cores(used.cpu_cores)),
            cell(&field("cpu_user_seconds"), seconds(used.cpu_user_seconds)),
            cell(
                &field("cpu_system_seconds"),
                seconds(used.cpu_system_seconds),
            ),
            cell(&field("rss_peak_bytes"), mebibytes(used.rss_peak_bytes)),
            cell(&field("descriptors"), number(used.descriptors)),
            cell(
                &field("voluntary_switches"),
                number(used.voluntary_switches),
            ),
            cell(
                &field("involuntary_switches"),
                number(used.involuntary_switches),
            ),
        ],
    )
}

/// What the server counted beside what the clients did, and how it saw the run.
pub(super) fn server_view(report: &Report) -> Vec<Row> {
    let Some(view) = &report.server_view else {
        return Vec::new();
    };
    let count = |name: &str, field: &str, count: u64| {
        row(
            name,
            [cell(&format!("server_view.{field}"), grouped(count))],
        )
    };
    let time = |name: &str, field: &str, time: Option<f64>| {
        let text = time.map_or("-".into(), |_| format!("< {} ms", milliseconds(time)));
        row(name, [cell(&format!("server_view.{field}"), text)])
    };
    let mut rows = vec![
        count(
            "messages the clients sent",
            "messages_sent",
            view.messages_sent,
        ),
        count(
            "messages the server accepted",
            "messages_accepted",
            view.messages_accepted,
        ),
        count(
            "deliveries the clients received",
            "deliveries_received",
            view.deliveries_received,
        ),
    ];
    if let Some(deliveries) = view.deliveries_to_clients {
        let name = "deliveries the server made to them";
        rows.push(count(name, "deliveries_to_clients", deliveries));
    }
    rows.extend([
        count(
            "deliveries owed to all",
            "deliveries_owed",
            view.deliveries_owed,
        ),
        count("deliveries made to all", "deliveries", view.deliveries),
    ]);
    for (reason, &discarded) in &view.deliveries_discarded {
        let field = format!("deliveries_discarded.{reason}");
        rows.push(count(
            &format!("given up: {}", reason.replace('_', " ")),
            &field,
            discarded,
        ));
    }
    for (reason, &disconnects) in &view.disconnects {
        let field = format!("disconnects.{reason}");
        rows.push(count(
            &format!("disconnects: {}", reason.replace('_', " ")),
            &field,
            disconnects,
        ));
    }
    rows.extend([
        count("short sends", "short_sends", view.short_sends),
        time("fan-out, p50", "fanout_ms.p50", view.fanout_ms.p50),
        time("fan-out, p99", "fanout_ms.p99", view.fanout_ms.p99),
        time(
            "oldest message of a send waited, p99",
            "queue_to_wire_ms.p99",
            view.queue_to_wire_ms.p99,
        ),
        row(
            "messages a send",
            [cell(
                "server_view.messages_per_send",
                view.messages_per_send
                    .map_or("-".into(), |it| format!("{it:.1}")),
            )],
        ),
    ]);
    rows
}

/// What the generator's own loop added.
pub(super) fn generator(report: &Report) -> Vec<Row> {
    let generator = &report.generator;
    let busy = format!("{:.1} %", generator.busy_share * 100.0);
    let user_ns = generator.user_ns_per_delivery.map_or("-".into(), whole);
    let turn = |value| format!("{} ms", milliseconds(value));
    vec![
        row("loop busy", [cell("generator.busy_share", busy)]),
        row(
            "turn of the loop, p99",
            [cell("generator.turn_ms.p99", turn(generator.turn_ms.p99))],
        ),
        row(
            "turn of the loop, max",
            [cell("generator.turn_ms.max", turn(generator.turn_ms.max))],
        ),
        row(
            "user CPU per delivery, ns",
            [cell("generator.user_ns_per_delivery", user_ns)],
        ),
    ]
}

/// What the run took place in, as name and text.
pub(super) fn environment(report: &Report) -> Vec<(String, String)> {
    let found = &report.environment;
    let mut rows = vec![("loadgen", found.loadgen.in_words())];
    rows.push(("server", server(found)));
    let unknown = || "unknown".to_owned();
    let or_unknown = |text: &Option<String>| text.clone().unwrap_or_else(unknown);
    let network = if found.loopback {
        "loopback"
    } else {
        "network"
    };
    let unlimited = |limit: Option<u64>| limit.map_or("unlimited".to_owned(), grouped);
    rows.extend([
        ("address", format!("{} ({network})", report.addr)),
        ("processor", or_unknown(&found.cpu)),
        (
            "cores",
            found.cores.map_or_else(unknown, |cores| cores.to_string()),
        ),
        ("memory", mebibytes(found.memory_bytes)),
        ("kernel", or_unknown(&found.kernel)),
        ("governor", or_unknown(&found.governor)),
        (
            "open files",
            format!(
                "{} (at most {})",
                unlimited(found.limits.open_files),
                unlimited(found.limits.open_files_hard)
            ),
        ),
        (
            "locked memory",
            found
                .limits
                .locked_memory_bytes
                .map_or("unlimited".into(), |bytes| mebibytes(Some(bytes))),
        ),
    ]);
    let named = rows.into_iter().map(|(name, text)| (name.to_owned(), text));
    let sysctls = found.sysctls.clone().into_iter();
    let mitigations = found.mitigations.iter();
    let mitigations = mitigations.map(|(flaw, said)| (flaw.replace('_', " "), said.clone()));
    named.chain(sysctls).chain(mitigations).collect()
}

/// The load as it was asked for, as name and text.
pub(super) fn load(report: &Report) -> Vec<(&'static str, String)> {
    let arrival = match report.arrival {
        Arrival::Fixed => "at equal intervals",
        Arrival::Poisson => "Poisson",
    };
    vec![
        (
            "clients",
            format!(
                "{}, joined in {:.2} s",
                grouped(report.clients.into()),
                report.connect_seconds
            ),
        ),
        (
            "senders",
            match report.publishers {
                0 => grouped(report.senders.into()),
                publishers => format!(
                    "{} beside the clients",
                    counted(publishers.into(), "publisher")
                ),
            },
        ),
        ("protocol", report.protocol.to_string()),
        (
            "messages/s",
            format!(
                "{} requested, {} on time",
                rate(report.rate_requested),
                rate(report.rate_achieved)
            ),
        ),
        ("arrival", arrival.to_owned()),
        ("size", format!("{} bytes", report.size_bytes)),
        ("warm-up", format!("{} s", rate(report.warmup_seconds))),
        ("measured", format!("{} s", rate(report.duration_seconds))),
        ("drained in", format!("{:.3} s", report.drain_seconds)),
        ("seed", report.seed.to_string()),
    ]
}

fn server(found: &Environment) -> String {
    match &found.driver {
        Some(driver) => format!("{}, driver {driver}", found.server.in_words()),
        None => found.server.in_words(),
    }
}

fn row(name: &str, cells: impl Into<Vec<Cell>>) -> Row {
    Row {
        name: name.to_owned(),
        cells: cells.into(),
    }
}

fn cell(field: &str, text: String) -> Cell {
    Cell {
        field: field.to_owned(),
        text,
    }
}
