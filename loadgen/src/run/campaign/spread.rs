//! The spread: how far the figures of several runs of the same plan lie apart.

use record::{Report, Spread};
use serde_json::Value;

/// The figures whose spread is told, by the names they have in the JSON.
const FIGURES: [&str; 13] = [
    "latency_ms.delivery.p50",
    "latency_ms.delivery.p99",
    "latency_ms.delivery.p999",
    "latency_ms.delivery.max",
    "latency_ms.completion.p50",
    "latency_ms.completion.p99",
    "latency_ms.send_lag.p99",
    "rate_achieved",
    "deliveries_per_second",
    "drain_seconds",
    "server.cpu_cores",
    "generator.cpu_cores",
    "server.rss_peak_bytes",
];

/// The spread of every figure that at least one of the runs has.
pub(crate) fn of<'a>(reports: impl Iterator<Item = &'a Report>) -> Vec<Spread> {
    let runs: Vec<Value> = reports
        .filter_map(|report| serde_json::to_value(report).ok())
        .collect();
    FIGURES
        .iter()
        .filter_map(|figure| spread(figure, &runs))
        .collect()
}

fn spread(figure: &str, runs: &[Value]) -> Option<Spread> {
    let pointer = format!("/{}", figure.replace('.', "/"));
    let mut values: Vec<f64> = runs
        .iter()
        .filter_map(|run| run.pointer(&pointer)?.as_f64())
        .collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    Some(Spread {
        figure: figure.to_owned(),
        min: *values.first()?,
        max: *values.last()?,
        median: if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        },
        runs: values.len(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_median_lies_between_the_extremes() {
        let runs = [3.0, 1.0, 8.0, 2.0].map(|rate| json!({ "rate_achieved": rate }));
        let odd = spread("rate_achieved", &runs[..3]).unwrap();
        assert_eq!((odd.min, odd.median, odd.max, odd.runs), (1.0, 3.0, 8.0, 3));
        assert_eq!(spread("rate_achieved", &runs).unwrap().median, 2.5);
    }

    #[test]
    fn runs_that_do_not_know_a_figure_are_left_out() {
        let runs = [json!({"server": {"cpu_cores": null}}), json!({})];
        assert_eq!(spread("server.cpu_cores", &runs), None);
    }
}
