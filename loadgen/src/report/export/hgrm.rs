//! latency.hgrm and completion.hgrm: percentiles in the text format of `HdrHistogram`
//! (`outputPercentileDistribution`), in milliseconds, as its plotter and many tools read them.

use std::fmt::Write;

use hdrhistogram::Histogram;

use crate::measure::latency::Kind;
use crate::report::measurement::Measurement;

const TICKS_PER_HALF: u32 = 5;

/// What the format tells about the histogram's make: 3 digits take 2048 cells.
const SUB_BUCKETS: u64 = 2048;

/// The latencies of all deliveries, from the intended time.
pub(super) fn delivery(record: &Measurement) -> String {
    render(record.histograms.get(Kind::Delivery))
}

/// The latencies of all broadcasts, until the last receiver had them.
pub(super) fn completion(record: &Measurement) -> String {
    render(record.histograms.get(Kind::Completion))
}

fn render(histogram: &Histogram<u64>) -> String {
    let mut text = String::new();
    write(&mut text, histogram).expect("a string takes all that is written");
    text
}

fn write(out: &mut String, histogram: &Histogram<u64>) -> std::fmt::Result {
    writeln!(
        out,
        "{:>12} {:>14} {:>10} {:>14}\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    )?;
    let mut count = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALF) {
        count += step.count_since_last_iteration();
        let value_ms = step.value_iterated_to() as f64 / 1e6;
        let quantile = step.quantile_iterated_to();
        write!(out, "{value_ms:>12.3} {quantile:2.12} {count:>10}")?;
        if quantile < 1.0 {
            write!(out, " {:>14.2}", 1.0 / (1.0 - quantile))?;
        }
        writeln!(out)?;
    }
    let (mean_ms, deviation_ms) = (histogram.mean() / 1e6, histogram.stdev() / 1e6);
    let max_ms = histogram.max() as f64 / 1e6;
    let buckets = histogram.high().div_ceil(SUB_BUCKETS).max(1).ilog2() + 1;
    writeln!(
        out,
        "#[Mean    = {mean_ms:>12.3}, StdDeviation   = {deviation_ms:>12.3}]"
    )?;
    writeln!(
        out,
        "#[Max     = {max_ms:>12.3}, Total count    = {count:>12}]"
    )?;
    writeln!(
        out,
        "#[Buckets = {buckets:>12}, SubBuckets     = {SUB_BUCKETS:>12}]"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_that_of_the_original() {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 1 << 32, 3).unwrap();
        for milliseconds in [1, 2, 3, 4_u64] {
            histogram.record(milliseconds * 1_000_000).unwrap();
        }
        let text = render(&histogram);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[0],
            "       Value     Percentile TotalCount 1/(1-Percentile)"
        );
        assert_eq!(
            lines[2],
            "       1.000 0.000000000000          1           1.00"
        );
        assert!(text.contains("\n       4.002 1.000000000000          4\n#[Mean"));
        assert!(text.contains("Total count    =            4]"));
    }

    #[test]
    fn nothing_measured_is_no_error() {
        let text = render(&Histogram::<u64>::new(3).unwrap());
        assert!(text.contains("Total count    =            0]"));
    }
}
