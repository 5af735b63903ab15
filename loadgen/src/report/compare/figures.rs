//! The figures that are compared: what they are called and where they stand in a report.

use record::Report;

/// A figure that every report has, or may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) higher_is_better: bool,
    pub(super) of: fn(&Report) -> Option<f64>,
}

/// All of them, in the order in which they are shown.
pub(super) const ALL: [Figure; 11] = [
    lower("delivery p50, ms", |report| report.latency_ms.delivery.p50),
    lower("delivery p99, ms", |report| report.latency_ms.delivery.p99),
    lower("delivery p99.9, ms", |report| {
        report.latency_ms.delivery.p999
    }),
    lower("from the actual send p99, ms", |report| {
        report.latency_ms.delivery_from_send.p99
    }),
    lower("last receiver p50, ms", |report| {
        report.latency_ms.completion.p50
    }),
    lower("last receiver p99, ms", |report| {
        report.latency_ms.completion.p99
    }),
    lower("send lag p99, ms", |report| report.latency_ms.send_lag.p99),
    Figure {
        name: "deliveries/s",
        higher_is_better: true,
        of: |report| Some(report.deliveries_per_second),
    },
    lower("server CPU per delivery, us", server_cpu_us),
    lower("server memory peak, MiB", |report| {
        let bytes = report.server.rss_peak_bytes?;
        Some(bytes as f64 / 1_048_576.0)
    }),
    lower("generator user CPU per delivery, ns", |report| {
        report.generator.user_ns_per_delivery
    }),
];

const fn lower(name: &'static str, of: fn(&Report) -> Option<f64>) -> Figure {
    Figure {
        name,
        higher_is_better: false,
        of,
    }
}

fn server_cpu_us(report: &Report) -> Option<f64> {
    let seconds = report.server.cpu_seconds?;
    (report.delivered > 0).then(|| seconds * 1e6 / report.delivered as f64)
}
