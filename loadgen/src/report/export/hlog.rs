//! latency.hlog: all histograms in the interval log format of `HdrHistogram` (V2, compressed), in
//! nanoseconds, each kind of latency under its tag. Deliveries have an interval for each second, the
//! rest one for the whole run. Their sum by tag is the whole histogram, to the last sample.

use std::io;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{
    IntervalLogIterator, IntervalLogWriter, IntervalLogWriterBuilder, LogEntry, Tag,
};
use hdrhistogram::serialization::{Deserializer, V2DeflateSerializer};
use thiserror::Error;

use crate::measure::histograms::Histograms;
use crate::measure::latency::Kind;
use crate::report::measurement::{Interval, Measurement};

/// The column Interval_Max is in milliseconds.
const MAX_DIVISOR: f64 = 1e6;

/// Why a log cannot be read.
#[derive(Debug, Error)]
#[error("line {line} is no interval of an HdrHistogram log")]
pub(crate) struct BrokenLog {
    pub(crate) line: usize,
}

type Writer<'a, 'b> = IntervalLogWriter<'a, 'b, Vec<u8>, V2DeflateSerializer>;

/// The whole log.
pub(super) fn write(record: &Measurement) -> Vec<u8> {
    let mut log = Vec::new();
    write_to(&mut log, record).expect("memory takes all that is written");
    log
}

fn write_to(log: &mut Vec<u8>, record: &Measurement) -> io::Result<()> {
    let mut serializer = V2DeflateSerializer::new();
    let mut writer = IntervalLogWriterBuilder::new()
        .add_comment("[Histogram log format version 1.3]")
        .add_comment("[Latencies in nanoseconds, by tag; maxima in milliseconds]")
        .with_start_time(record.began_at)
        .with_base_time(record.began_at)
        .with_max_value_divisor(MAX_DIVISOR)
        .begin_log_with(log, &mut serializer)?;
    let whole = Duration::from_secs_f64(record.report.duration_seconds.max(0.0));
    for kind in Kind::ALL {
        if kind == Kind::Delivery && !record.intervals.is_empty() {
            for interval in &record.intervals {
                let histogram = unpack(&interval.packed).ok_or(io::ErrorKind::InvalidData)?;
                write_interval(
                    &mut writer,
                    kind,
                    interval.began,
                    interval.lasted,
                    &histogram,
                )?;
            }
        } else {
            let histogram = record.histograms.get(kind);
            write_interval(&mut writer, kind, Duration::ZERO, whole, histogram)?;
        }
    }
    Ok(())
}

fn write_interval(
    writer: &mut Writer<'_, '_>,
    kind: Kind,
    began: Duration,
    lasted: Duration,
    histogram: &Histogram<u64>,
) -> io::Result<()> {
    let tag = Tag::new(kind.name());
    let written = writer.write_histogram(histogram, began, lasted, tag);
    written.map_err(|error| io::Error::other(format!("{error:?}")))
}

/// Reads what [`write()`] has written: the sums by tag, and the intervals of the deliveries. Tags of
/// others are stepped over.
///
/// # Errors
/// Names the first line that is not understood.
pub(crate) fn read(log: &[u8]) -> Result<(Histograms, Vec<Interval>), BrokenLog> {
    let (mut histograms, mut intervals) = (Histograms::empty(), Vec::new());
    // The crate's reader does not say where it stands; comments and headers count as lines too.
    for (at, line) in log.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let broken = || BrokenLog { line: at + 1 };
        let entry = match IntervalLogIterator::new(line).next() {
            None => continue,
            Some(entry) => entry.map_err(|_| broken())?,
        };
        let LogEntry::Interval(interval) = entry else {
            continue;
        };
        let Some(kind) = interval.tag().and_then(|tag| tag.as_str().parse().ok()) else {
            continue;
        };
        let packed = STANDARD
            .decode(interval.encoded_histogram())
            .map_err(|_| broken())?;
        let histogram = unpack(&packed).ok_or_else(broken)?;
        histograms.add(kind, &histogram);
        if kind == Kind::Delivery {
            intervals.push(Interval {
                began: interval.start_timestamp(),
                lasted: interval.duration(),
                packed,
            });
        }
    }
    Ok((histograms, intervals))
}

fn unpack(packed: &[u8]) -> Option<Histogram<u64>> {
    Deserializer::new().deserialize(&mut &packed[..]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::measurement::tests::measurement;

    #[test]
    fn what_is_written_is_read_back_to_the_last_sample() {
        let record = measurement();
        let log = write(&record);
        let (read, intervals) = read(&log).unwrap();
        for kind in Kind::ALL {
            assert_eq!(read.get(kind), record.histograms.get(kind), "{kind}");
        }
        assert_eq!(intervals.len(), record.intervals.len());
        assert_eq!(intervals[1].began, record.intervals[1].began);
        let text = str::from_utf8(&log).unwrap();
        assert!(text.starts_with("#[Histogram log format version 1.3]\n"));
    }

    #[test]
    fn a_log_of_others_is_empty_and_a_broken_one_is_named_by_its_line() {
        let foreign = b"#[StartTime: 1.0 (seconds since epoch)]\nTag=x,0.1,1.0,2.0,AAAA\n";
        let (read_foreign, _) = read(foreign).unwrap();
        assert!(read_foreign.get(Kind::Delivery).is_empty());
        let broken = read(b"#comment\nTag=delivery,0.1,1.0,2.0,AAAA\n").unwrap_err();
        assert_eq!(broken.line, 2);
        assert!(read(b"nonsense\n").is_err());
    }
}
