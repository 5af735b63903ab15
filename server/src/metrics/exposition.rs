//! `/metrics`: the figures in the text format that Prometheus and its kin read.
//!
//! It is written here, in version 0.0.4 of the format, since the names that the server has to use are
//! a gauge `uringcast_connections` and a counter `uringcast_connections_total`: OpenMetrics, which
//! the client libraries write, takes the two for one family and is then refused by promtool.

use std::fmt::{Display, Write};

use crate::command::Figures;
use crate::hub::{Histogram, PerReason, PerWire, Reason, Wire, WireCounters};

/// The content type of what [`write`] writes.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What of the server is not a thread's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole<'a> {
    pub(super) driver: &'a str,
    pub(super) threads: usize,
    /// Threads whose figures are older, for they have not answered.
    pub(super) unanswered: usize,
    pub(super) draining: bool,
    pub(super) log_bytes: usize,
    /// `None` without a bound.
    pub(super) log_bytes_max: Option<usize>,
}

/// All metrics.
pub(super) fn write(figures: &Figures, whole: &Whole<'_>) -> String {
    let mut page = Page(String::with_capacity(32 * 1024));
    write_server(&mut page, whole);
    write_connections(&mut page, figures);
    write_deliveries(&mut page, figures, whole);
    write_wires(&mut page, &figures.snapshot.counters.wires);
    write_times(&mut page, figures);
    write_kernel(&mut page, figures);
    page.0
}

fn write_server(page: &mut Page, whole: &Whole<'_>) {
    page.family(
        "uringcast_build_info",
        "gauge",
        "Version and driver of the server; always 1.",
    );
    let version = env!("CARGO_PKG_VERSION");
    let labels = [("version", version), ("driver", whole.driver)];
    page.sample("uringcast_build_info", &labels, 1);
    page.gauge("uringcast_threads", "Serving threads.", whole.threads);
    let help = "Serving threads that did not answer within 250 ms; their figures are older.";
    page.gauge("uringcast_threads_unanswered", help, whole.unanswered);
    let help = "1 while the server drains before it exits.";
    page.gauge("uringcast_draining", help, u8::from(whole.draining));
}

fn write_connections(page: &mut Page, figures: &Figures) {
    let snapshot = &figures.snapshot;
    let counters = &snapshot.counters;
    let help = "Open connections, in any state.";
    page.gauge("uringcast_connections", help, counters.connections);
    let help = "Clients that have joined and are not being closed.";
    page.gauge("uringcast_subscribers", help, snapshot.subscribers);
    let name = "uringcast_connections_total";
    page.family(
        name,
        "counter",
        "Connections accepted, and refused because a limit was reached.",
    );
    let refused = [Reason::Full, Reason::AddressFull, Reason::NoDescriptor];
    let refused: u64 = refused.iter().map(|&it| counters.closed[it]).sum();
    page.sample(name, &[("result", "accepted")], counters.accepted - refused);
    page.sample(name, &[("result", "refused")], refused);
    let help = "Clients that joined.";
    page.counter("uringcast_joins_total", help, counters.joined);
    let help = "Connections closed, by reason.";
    page.by_reason("uringcast_disconnects_total", help, &counters.closed);
}

fn write_deliveries(page: &mut Page, figures: &Figures, whole: &Whole<'_>) {
    let snapshot = &figures.snapshot;
    let counters = &snapshot.counters;
    let help = "Messages accepted from clients.";
    page.counter("uringcast_messages_received_total", help, counters.messages);
    let help = "Times that reading from a client paused because it was over its rate.";
    page.counter("uringcast_throttles_total", help, counters.throttled);
    let help = "Deliveries owed: one per message and subscriber other than its author.";
    page.counter("uringcast_deliveries_owed_total", help, counters.owed);
    let help = "Deliveries that the kernel accepted completely.";
    page.counter("uringcast_deliveries_total", help, counters.delivered);
    let help = "Deliveries not made because the receiver was closed or skipped them, by reason.";
    page.by_reason(
        "uringcast_deliveries_discarded_total",
        help,
        &counters.discarded,
    );
    let help = "Deliveries owed that are neither made nor discarded.";
    page.gauge("uringcast_deliveries_pending", help, counters.pending());
    let help = "Bytes of messages that the log holds.";
    page.gauge("uringcast_log_bytes", help, whole.log_bytes);
    page.gauge(
        "uringcast_log_limit_bytes",
        "Most bytes that the log may hold (--log-bytes); +Inf without a bound.",
        whole
            .log_bytes_max
            .map_or("+Inf".into(), |most| most.to_string()),
    );
    let help = "Bytes that the subscriber furthest behind has still to be sent.";
    page.gauge(
        "uringcast_backlog_bytes_max",
        help,
        snapshot.backlog_bytes_max,
    );
}

/// The part that each wire has of the connections, messages and deliveries above.
fn write_wires(page: &mut Page, wires: &PerWire) {
    type Part = fn(WireCounters) -> u64;
    let families: [(_, _, _, Part); 4] = [
        (
            "uringcast_wire_connections",
            "gauge",
            "Connections in use, by wire: subscribers, and clients whose HTTP requests are answered.",
            |wire| wire.in_use,
        ),
        (
            "uringcast_wire_connections_total",
            "counter",
            "Connections that came into use, by wire.",
            |wire| wire.began,
        ),
        (
            "uringcast_wire_messages_received_total",
            "counter",
            "Messages accepted from clients, by wire.",
            |wire| wire.messages,
        ),
        (
            "uringcast_wire_deliveries_total",
            "counter",
            "Deliveries that the kernel accepted completely, by wire.",
            |wire| wire.delivered,
        ),
    ];
    for (name, kind, help, part) in families {
        page.family(name, kind, help);
        for wire in Wire::ALL {
            page.sample(name, &[("wire", wire.name())], part(wires[wire]));
        }
    }
}

fn write_times(page: &mut Page, figures: &Figures) {
    let measures = &figures.snapshot.measures;
    let help = "Time from accepting a message until its last receiver was sent it or was closed.";
    page.histogram(
        "uringcast_fanout_duration_seconds",
        help,
        &measures.fan_out,
        MICROS,
    );
    let help = "For each send: time since its oldest message was accepted.";
    page.histogram(
        "uringcast_queue_to_wire_seconds",
        help,
        &measures.queue_to_wire,
        MICROS,
    );
    let help = "Messages per send.";
    page.histogram(
        "uringcast_messages_per_send",
        help,
        &measures.messages_per_send,
        ONES,
    );
}

fn write_kernel(page: &mut Page, figures: &Figures) {
    let counters = &figures.snapshot.counters;
    page.counter("uringcast_sends_total", "Completed sends.", counters.sends);
    let help = "Sends of which the kernel accepted only a part.";
    page.counter("uringcast_short_sends_total", help, counters.short_sends);
    let Some(ring) = &figures.ring else { return };
    let help = "Operations that found the submission queue full.";
    page.counter(
        "uringcast_ring_submissions_full_total",
        help,
        ring.submissions_full,
    );
    let help = "Times that the completion queue overflowed into the kernel's memory.";
    page.counter(
        "uringcast_ring_completions_overflow_total",
        help,
        ring.completions_overflow,
    );
    let help = "Receives that found no buffer (ENOBUFS).";
    page.counter(
        "uringcast_ring_receive_no_buffer_total",
        help,
        ring.no_buffer,
    );
}

struct Page(String);

/// What the values of a histogram are in, and the largest bound that is shown; all above is `+Inf`.
#[derive(Clone, Copy)]
struct Unit {
    per_one: f64,
    bound_max: u64,
}

const MICROS: Unit = Unit {
    per_one: 1e6,
    bound_max: 1 << 27,
};
const ONES: Unit = Unit {
    per_one: 1.0,
    bound_max: 1 << 12,
};

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    /// Labels hold no character that would have to be escaped.
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{value}\""))
            .collect();
        match labels.as_slice() {
            [] => self.line(format_args!("{name} {value}")),
            labels => self.line(format_args!("{name}{{{}}} {value}", labels.join(","))),
        }
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help);
        self.sample(name, &[], value);
    }

    fn by_reason(&mut self, name: &str, help: &str, counts: &PerReason) {
        self.family(name, "counter", help);
        for reason in Reason::ALL {
            self.sample(name, &[("reason", reason.name())], counts[reason]);
        }
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram, unit: Unit) {
        self.family(name, "histogram", help);
        #[expect(
            clippy::cast_precision_loss,
            reason = "bounds and sums are far below 2^53"
        )]
        let in_unit = |value: u64| value as f64 / unit.per_one;
        for (bound, count) in histogram.cumulative() {
            if bound <= unit.bound_max {
                let le = in_unit(bound);
                self.line(format_args!("{name}_bucket{{le=\"{le}\"}} {count}"));
            }
        }
        let count = histogram.count();
        self.line(format_args!("{name}_bucket{{le=\"+Inf\"}} {count}"));
        self.line(format_args!("{name}_sum {}", in_unit(histogram.sum())));
        self.line(format_args!("{name}_count {count}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a `String` does not fail.
        let _ = writeln!(self.0, "{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> String {
        let mut figures = Figures::default();
        let snapshot = &mut figures.snapshot;
        snapshot.counters.accepted = 5;
        snapshot.counters.closed[Reason::Full] = 2;
        snapshot.counters.closed[Reason::Stalled] = 1;
        snapshot.measures.fan_out.record(1024);
        snapshot.measures.messages_per_send.record(100_000);
        figures.ring = Some(crate::command::RingCounters::default());
        let whole = Whole {
            driver: "tokio-uring",
            threads: 2,
            unanswered: 0,
            draining: true,
            log_bytes: 1,
            log_bytes_max: None,
        };
        write(&figures, &whole)
    }

    #[test]
    fn figures_are_found_under_their_names() {
        let page = example();
        for line in [
            "uringcast_connections_total{result=\"accepted\"} 3",
            "uringcast_connections_total{result=\"refused\"} 2",
            "uringcast_disconnects_total{reason=\"stalled\"} 1",
            "uringcast_fanout_duration_seconds_bucket{le=\"0.000896\"} 0",
            "uringcast_fanout_duration_seconds_bucket{le=\"0.001024\"} 1",
            "uringcast_fanout_duration_seconds_sum 0.001024",
            "uringcast_messages_per_send_bucket{le=\"4096\"} 0",
            "uringcast_messages_per_send_bucket{le=\"+Inf\"} 1",
            "uringcast_log_limit_bytes +Inf",
            "uringcast_draining 1",
        ] {
            assert!(page.lines().any(|it| it == line), "{line} in {page}");
        }
    }

    #[test]
    fn each_family_is_announced_once_before_its_samples() {
        let page = example();
        let mut families: Vec<&str> = Vec::new();
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let name = rest.split(' ').next().unwrap();
                assert!(!families.contains(&name), "{name} twice");
                families.push(name);
            } else if !line.starts_with('#') {
                let family = families.last().unwrap();
                let name = line.split(['{', ' ']).next().unwrap();
                let suffix = name.strip_prefix(family).unwrap();
                assert!(
                    ["", "_bucket", "_sum", "_count"].contains(&suffix),
                    "{line}"
                );
            }
        }
    }
}
