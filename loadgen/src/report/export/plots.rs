//! The plots of a run: what is drawn, each under the name of its file.

use hdrhistogram::Histogram;
use record::{Report, Second, Step};

use crate::measure::latency::Kind;
use crate::report::chart::{Axis, Chart, Line};
use crate::report::measurement::Measurement;

/// Steps of a percentile curve on the way to each next half.
const TICKS_PER_HALF: u32 = 4;

/// A shorter stretch says nothing about a rate.
const STRETCH_SECONDS_MIN: f64 = 0.1;

const MIB: f64 = 1024.0 * 1024.0;

/// A chart and the name of its file, without the ending.
pub(super) struct Plot {
    pub(super) name: &'static str,
    pub(super) caption: &'static str,
    pub(super) chart: Chart,
}

/// All plots of `measurement`.
pub(super) fn all(measurement: &Measurement) -> Vec<Plot> {
    let mut plots = Vec::from(curves(measurement));
    let series: Vec<_> = measurement
        .report
        .series
        .iter()
        .filter(|one| lasts(one))
        .collect();
    if !series.is_empty() {
        plots.extend(by_second(measurement, &series));
    }
    plots.extend(by_rate(&measurement.report));
    plots
}

/// How the latencies grow with the rate, where several were tried.
fn by_rate(report: &Report) -> Option<Plot> {
    let steps = report.steps.as_ref()?;
    let mut steps: Vec<_> = steps.steps.iter().collect();
    steps.sort_by(|a, b| a.rate_requested.total_cmp(&b.rate_requested));
    let (slowest, fastest) = (steps.first()?.rate_requested, steps.last()?.rate_requested);
    let line = |name, of: fn(&Step) -> Option<f64>| Line {
        name,
        points: steps
            .iter()
            .filter_map(|step| Some((step.rate_requested, of(step)?)))
            .collect(),
    };
    let lines = vec![
        line("p50", |step| step.delivery.p50),
        line("p99", |step| step.delivery.p99),
        line("last receiver p99", |step| step.completion.p99),
    ];
    (fastest > slowest).then(|| Plot {
        name: "rates",
        caption: "Latency by the rate that was asked for",
        chart: Chart {
            title: "latency by messages a second".into(),
            x: Axis::amount(fastest, "messages/s"),
            y: Axis::logarithmic(heights(&lines), "ms"),
            lines,
            invalid: Vec::new(),
            marked: true,
        },
    })
}

fn curves(measurement: &Measurement) -> [Plot; 2] {
    [
        Plot {
            name: "percentiles",
            caption: "Latency of each delivery, and of sending",
            chart: percentile_chart(
                measurement,
                &[
                    (Kind::Delivery, "from intended time"),
                    (Kind::DeliveryFromSend, "from actual send"),
                    (Kind::SendLag, "send lag"),
                ],
            ),
        },
        Plot {
            name: "completion",
            caption: "Completion of each broadcast, from its intended time",
            chart: percentile_chart(
                measurement,
                &[
                    (Kind::Completion, "last receiver"),
                    (Kind::CompletionMedian, "median"),
                    (Kind::CompletionFirst, "first"),
                ],
            ),
        },
    ]
}

fn by_second(measurement: &Measurement, series: &[&Second]) -> [Plot; 8] {
    let requested = measurement.report.deliveries_per_second_requested;
    let measured_seconds = measurement.report.duration_seconds;
    let requested = Line {
        name: "requested",
        points: vec![(0.0, requested), (measured_seconds, requested)],
    };
    let line = |name, value: fn(&Second) -> Option<f64>| line(name, series, value);
    let amount = |name, caption, unit, lines| Plot {
        name,
        caption,
        chart: amount_chart(unit, lines),
    };
    let latency = vec![
        line("p50", |one| one.p50_ms),
        line("p99", |one| one.p99_ms),
        line("max", |one| one.max_ms),
    ];
    let delivered = line("delivered", |one| Some(one.deliveries_per_second));
    let cpu = vec![
        line("server", |one| one.server_cpu_cores),
        line("generator", |one| one.generator_cpu_cores),
    ];
    let memory = vec![
        line("server", |one| mib(one.server_rss_bytes)),
        line("generator", |one| mib(one.generator_rss_bytes)),
    ];
    let descriptors = vec![
        line("server", |one| number(one.server_descriptors)),
        line("generator", |one| number(one.generator_descriptors)),
    ];
    let switches = vec![
        line("server", |one| {
            per_second(one, one.server_voluntary_switches)
        }),
        line("forced", |one| {
            per_second(one, one.server_involuntary_switches)
        }),
        line("generator", |one| {
            per_second(one, one.generator_voluntary_switches)
        }),
        line("forced", |one| {
            per_second(one, one.generator_involuntary_switches)
        }),
    ];
    [
        amount(
            "deliveries",
            "Deliveries a second",
            "deliveries/s",
            vec![delivered, requested],
        ),
        Plot {
            name: "latency",
            caption: "Latency of the deliveries of each second",
            chart: logarithmic_chart("ms", latency),
        },
        amount(
            "owed",
            "Deliveries still to come, at the end of each second",
            "deliveries",
            vec![line("owed", |one| Some(one.owed as f64))],
        ),
        amount("cpu", "Processor", "cores", cpu),
        amount("memory", "Resident memory", "MiB", memory),
        amount(
            "descriptors",
            "Open descriptors",
            "descriptors",
            descriptors,
        ),
        amount(
            "switches",
            "Context switches a second; forced: the thread was preempted",
            "switches/s",
            switches,
        ),
        amount(
            "turns",
            "Longest turn of the generator\u{2019}s loop",
            "ms",
            vec![line("longest turn", |one| one.turn_max_ms)],
        ),
    ]
}

fn percentile_chart(measurement: &Measurement, kinds: &[(Kind, &'static str)]) -> Chart {
    let named = kinds
        .iter()
        .map(|&(kind, name)| (name, measurement.histograms.get(kind)));
    curve_chart(&named.collect::<Vec<_>>())
}

/// The percentiles of several histograms.
pub(crate) fn curve_chart(histograms: &[(&'static str, &Histogram<u64>)]) -> Chart {
    let count = histograms.iter().map(|(_, histogram)| histogram.len());
    let lines: Vec<_> = histograms
        .iter()
        .map(|(name, histogram)| Line {
            name,
            points: curve(histogram),
        })
        .collect();
    Chart {
        title: "latency by percentile".into(),
        x: Axis::percentiles(count.max().unwrap_or(0)),
        y: Axis::logarithmic(heights(&lines), "ms"),
        lines,
        invalid: Vec::new(),
        marked: false,
    }
}

/// Percentiles as 1 / (1 - quantile), and milliseconds.
fn curve(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    if histogram.is_empty() {
        return Vec::new();
    }
    let count = histogram.len() as f64;
    histogram
        .iter_quantiles(TICKS_PER_HALF)
        .map(|step| {
            let beyond = 1.0 - step.quantile_iterated_to();
            let milliseconds = step.value_iterated_to().min(histogram.max()) as f64 / 1e6;
            ((1.0 / beyond).min(count), milliseconds)
        })
        .collect()
}

fn amount_chart(label: &'static str, lines: Vec<Line>) -> Chart {
    let highest = heights(&lines).fold(0.0, f64::max);
    Chart {
        title: format!("{label} by second"),
        x: Axis::seconds(length(&lines)),
        y: Axis::amount(highest, label),
        lines,
        invalid: Vec::new(),
        marked: true,
    }
}

fn logarithmic_chart(label: &'static str, lines: Vec<Line>) -> Chart {
    Chart {
        title: format!("{label} by second"),
        x: Axis::seconds(length(&lines)),
        y: Axis::logarithmic(heights(&lines), label),
        lines,
        invalid: Vec::new(),
        marked: true,
    }
}

/// A point at the end of each second in which there was something to measure.
fn line(name: &'static str, series: &[&Second], value: impl Fn(&Second) -> Option<f64>) -> Line {
    let point = |second: &&Second| Some((second.to_seconds, value(second)?));
    Line {
        name,
        points: series.iter().filter_map(point).collect(),
    }
}

fn heights(lines: &[Line]) -> impl Iterator<Item = f64> {
    let points = lines.iter().flat_map(|line| &line.points);
    points.map(|point| point.1)
}

fn length(lines: &[Line]) -> f64 {
    let points = lines.iter().flat_map(|line| &line.points);
    points.map(|point| point.0).fold(0.0, f64::max)
}

fn lasts(second: &Second) -> bool {
    second.to_seconds - second.from_seconds >= STRETCH_SECONDS_MIN
}

fn mib(bytes: Option<u64>) -> Option<f64> {
    bytes.map(|bytes| bytes as f64 / MIB)
}

fn number(count: Option<u64>) -> Option<f64> {
    count.map(|count| count as f64)
}

fn per_second(second: &Second, count: Option<u64>) -> Option<f64> {
    Some(number(count)? / (second.to_seconds - second.from_seconds))
}
