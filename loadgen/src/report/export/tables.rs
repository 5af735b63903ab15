//! The tables that report.html and report.md share. A figure goes with the name of its field in
//! run.json, from which it is taken, so that a reader, or a test, can find the one from the other.

use record::figures::{cores, counted, grouped, mebibytes, milliseconds, rate, whole};
use record::{Arrival, Environment, Report, ServerView};
use serde_json::Value;

use crate::measure::latency::Kind;
use crate::report::measurement::figure;

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

/// All tables of a report.
pub(super) struct Tables {
    /// p50, p90, p99, p99.9 and the maximum of each latency.
    pub(super) latencies: Vec<Row>,
    /// A row for each of several runs.
    pub(super) steps: Vec<Row>,
    /// How far the figures of repeats lie apart.
    pub(super) spread: Vec<Row>,
    /// The count of every kind of delivery.
    pub(super) ledger: Vec<Row>,
    /// What both programs used.
    pub(super) consumption: Vec<Row>,
    /// What the generator's own loop added.
    pub(super) generator: Vec<Row>,
    /// What the server counted beside what the clients did, and how it saw the run.
    pub(super) server_view: Vec<Row>,
    /// The load as it was asked for, as name and text.
    pub(super) load: Vec<(&'static str, String)>,
    /// Where the run took place, as name and text.
    pub(super) environment: Vec<(String, String)>,
}

/// How a figure is written; a dash where it is not known.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unit {
    Count,
    /// A measured rate, to whole units.
    Whole,
    /// Three significant digits, with or without the unit.
    Milliseconds,
    WithMilliseconds,
    /// The bound of a bucket.
    BelowMilliseconds,
    Seconds,
    Cores,
    Mebibytes,
    Share,
    Mean,
}

use Unit::{
    BelowMilliseconds, Cores, Count, Mean, Mebibytes, Milliseconds, Seconds, Share, Whole,
    WithMilliseconds,
};

impl Unit {
    fn text(self, value: &Value) -> String {
        let Some(number) = value.as_f64() else {
            return "-".to_owned();
        };
        match self {
            Self::Count => grouped(value.as_u64().unwrap_or_default()),
            Self::Whole => whole(number),
            Self::Milliseconds => milliseconds(Some(number)),
            Self::WithMilliseconds => format!("{} ms", milliseconds(Some(number))),
            Self::BelowMilliseconds => format!("< {} ms", milliseconds(Some(number))),
            Self::Seconds => format!("{number:.2}"),
            Self::Cores => cores(Some(number)),
            Self::Mebibytes => format!("{:.1} MiB", number / f64::from(1 << 20)),
            Self::Share => format!("{:.1} %", number * 100.0),
            Self::Mean => format!("{number:.1}"),
        }
    }
}

/// The figures of a report, by their places in run.json.
pub(super) struct Figures(Value);

impl Figures {
    pub(super) fn of(report: &Report) -> Self {
        Self(serde_json::to_value(report).unwrap_or_default())
    }

    pub(super) fn cell(&self, field: &str, unit: Unit) -> Cell {
        Cell {
            field: field.to_owned(),
            text: unit.text(figure(&self.0, field).unwrap_or(&Value::Null)),
        }
    }

    /// A row of the fields below `place`.
    fn row(&self, name: &str, place: &str, fields: &[(&str, Unit)]) -> Row {
        let cells = fields
            .iter()
            .map(|(field, unit)| self.cell(&format!("{place}{field}"), *unit));
        Row {
            name: name.to_owned(),
            cells: cells.collect(),
        }
    }

    /// A row for each field below `place`.
    fn rows(&self, place: &str, fields: &[(&str, &str, Unit)]) -> Vec<Row> {
        let row =
            |(name, field, unit): &(&str, &str, Unit)| self.row(name, place, &[(field, *unit)]);
        fields.iter().map(row).collect()
    }
}

impl Tables {
    pub(super) fn of(report: &Report) -> Self {
        let figures = Figures::of(report);
        Self {
            latencies: Kind::ALL.map(|kind| latency(&figures, kind)).into(),
            steps: steps(report, &figures),
            spread: spread(report, &figures),
            ledger: ledger(report, &figures),
            consumption: ["server", "generator"]
                .map(|program| figures.row(program, &format!("{program}."), &CONSUMPTION))
                .into(),
            generator: figures.rows("generator.", &GENERATOR),
            server_view: report
                .server_view
                .as_ref()
                .map_or_else(Vec::new, |view| server_view(view, &figures)),
            load: load(report),
            environment: environment(report),
        }
    }
}

const LEDGER: [(&str, &str, Unit); 13] = [
    ("messages sent", "messages", Count),
    ("messages unsent", "unsent", Count),
    ("deliveries expected", "expected", Count),
    ("delivered", "delivered", Count),
    ("lost while connected", "lost_while_connected", Count),
    ("lost to disconnects", "lost_to_disconnects", Count),
    ("duplicated", "duplicated", Count),
    ("reordered", "reordered", Count),
    ("receivers in another order", "disordered", Count),
    ("corrupt", "corrupt", Count),
    ("to their author", "echoed", Count),
    ("owed when sending ended", "backlog_at_end", Count),
    ("messages of others", "foreign", Count),
];

const CUTS: [(&str, &str, Unit); 2] = [
    ("connections cut", "cut", Count),
    ("resumed where they were", "resumed", Count),
];

const CONSUMPTION: [(&str, Unit); 7] = [
    ("cpu_cores", Cores),
    ("cpu_user_seconds", Seconds),
    ("cpu_system_seconds", Seconds),
    ("rss_peak_bytes", Mebibytes),
    ("descriptors", Count),
    ("voluntary_switches", Count),
    ("involuntary_switches", Count),
];

const GENERATOR: [(&str, &str, Unit); 4] = [
    ("loop busy", "busy_share", Share),
    ("turn of the loop, p99", "turn_ms.p99", WithMilliseconds),
    ("turn of the loop, max", "turn_ms.max", WithMilliseconds),
    ("user CPU per delivery, ns", "user_ns_per_delivery", Whole),
];

fn ledger(report: &Report, figures: &Figures) -> Vec<Row> {
    let cuts = report.cuts.map(|_| figures.rows("cuts.", &CUTS));
    let mut rows = figures.rows("", &LEDGER);
    rows.extend(cuts.into_iter().flatten());
    rows
}

fn latency(figures: &Figures, kind: Kind) -> Row {
    let percentiles = ["p50", "p90", "p99", "p999", "max"].map(|name| (name, Milliseconds));
    figures.row(kind.title(), &format!("latency_ms.{kind}."), &percentiles)
}

fn steps(report: &Report, figures: &Figures) -> Vec<Row> {
    let steps = report.steps.iter().flat_map(|steps| &steps.steps);
    let row = |(at, step): (usize, &record::Step)| {
        let name = format!("{} messages/s", rate(step.rate_requested));
        let place = format!("steps.steps.{at}.");
        let fields = [
            ("delivery.p50", Milliseconds),
            ("delivery.p99", Milliseconds),
            ("completion.p99", Milliseconds),
            ("lost", Count),
            ("server_cpu_cores", Cores),
        ];
        let mut row = figures.row(&name, &place, &fields);
        row.cells.push(Cell {
            field: format!("{place}held"),
            text: step.verdict().to_owned(),
        });
        row
    };
    steps.enumerate().map(row).collect()
}

fn spread(report: &Report, figures: &Figures) -> Vec<Row> {
    let spreads = report.steps.iter().flat_map(|steps| &steps.spread);
    let row = |(at, spread): (usize, &record::Spread)| {
        let unit = match spread.figure.ends_with("_bytes") {
            true => Mebibytes,
            false => Milliseconds,
        };
        let name = spread.figure.trim_start_matches("latency_ms.");
        let fields = ["min", "median", "max"].map(|name| (name, unit));
        figures.row(name, &format!("steps.spread.{at}."), &fields)
    };
    spreads.enumerate().map(row).collect()
}

fn server_view(view: &ServerView, figures: &Figures) -> Vec<Row> {
    let rows = |fields: &[(&str, &str, Unit)]| figures.rows("server_view.", fields);
    let mut table = rows(&[
        ("messages the clients sent", "messages_sent", Count),
        ("messages the server accepted", "messages_accepted", Count),
        (
            "deliveries the clients received",
            "deliveries_received",
            Count,
        ),
    ]);
    if view.deliveries_to_clients.is_some() {
        let name = "deliveries the server made to them";
        table.extend(rows(&[(name, "deliveries_to_clients", Count)]));
    }
    table.extend(rows(&[
        ("deliveries owed to all", "deliveries_owed", Count),
        ("deliveries made to all", "deliveries", Count),
    ]));
    for (title, place, reasons) in [
        (
            "given up",
            "deliveries_discarded",
            &view.deliveries_discarded,
        ),
        ("disconnects", "disconnects", &view.disconnects),
    ] {
        for reason in reasons.keys() {
            let name = format!("{title}: {}", reason.replace('_', " "));
            table.extend(rows(&[(&name, &format!("{place}.{reason}"), Count)]));
        }
    }
    table.extend(rows(&[
        ("short sends", "short_sends", Count),
        ("fan-out, p50", "fanout_ms.p50", BelowMilliseconds),
        ("fan-out, p99", "fanout_ms.p99", BelowMilliseconds),
        (
            "oldest message of a send waited, p99",
            "queue_to_wire_ms.p99",
            BelowMilliseconds,
        ),
        ("messages a send", "messages_per_send", Mean),
    ]));
    table
}

fn environment(report: &Report) -> Vec<(String, String)> {
    let found = &report.environment;
    let or_unknown = |text: Option<String>| text.unwrap_or_else(|| "unknown".to_owned());
    let unlimited = |limit: Option<String>| limit.unwrap_or_else(|| "unlimited".to_owned());
    let network = match found.loopback {
        true => "loopback",
        false => "network",
    };
    let limits = &found.limits;
    let rows = [
        ("loadgen", found.loadgen.in_words()),
        ("server", server(found)),
        ("address", format!("{} ({network})", report.addr)),
        ("processor", or_unknown(found.cpu.clone())),
        (
            "cores",
            or_unknown(found.cores.map(|cores| cores.to_string())),
        ),
        ("memory", mebibytes(found.memory_bytes)),
        ("kernel", or_unknown(found.kernel.clone())),
        ("governor", or_unknown(found.governor.clone())),
        (
            "open files",
            format!(
                "{} (at most {})",
                unlimited(limits.open_files.map(grouped)),
                unlimited(limits.open_files_hard.map(grouped))
            ),
        ),
        (
            "locked memory",
            unlimited(
                limits
                    .locked_memory_bytes
                    .map(|bytes| mebibytes(Some(bytes))),
            ),
        ),
    ];
    let named = rows.into_iter().map(|(name, text)| (name.to_owned(), text));
    let sysctls = found.sysctls.clone().into_iter();
    let mitigations = found.mitigations.iter();
    let mitigations = mitigations.map(|(flaw, said)| (flaw.replace('_', " "), said.clone()));
    named.chain(sysctls).chain(mitigations).collect()
}

fn load(report: &Report) -> Vec<(&'static str, String)> {
    let arrival = match report.arrival {
        Arrival::Fixed => "at equal intervals",
        Arrival::Poisson => "Poisson",
    };
    let clients = grouped(report.clients.into());
    let senders = match report.publishers {
        0 => grouped(report.senders.into()),
        publishers => format!(
            "{} beside the clients",
            counted(publishers.into(), "publisher")
        ),
    };
    let (requested, on_time) = (rate(report.rate_requested), rate(report.rate_achieved));
    vec![
        (
            "clients",
            format!("{clients}, joined in {:.2} s", report.connect_seconds),
        ),
        ("senders", senders),
        ("protocol", report.protocol.to_string()),
        (
            "messages/s",
            format!("{requested} requested, {on_time} on time"),
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
