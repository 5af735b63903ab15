//! Times on a command line. All programs accept the same forms, those that `humantime` writes included.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The longest time that is accepted: 365 days, far below what any clock can add.
pub const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// Reads a time: `10` (seconds), `10s`, `1.5m`, `500ms`, `2min 30s`, `1 day`. The units are those of
/// `humantime`, of which `m` is minutes.
///
/// # Errors
/// Says what to write instead.
///
/// ```
/// # use std::time::Duration;
/// assert_eq!(cli::duration("90"), Ok(Duration::from_secs(90)));
/// assert_eq!(cli::duration("1.5m"), Ok(Duration::from_secs(90)));
/// assert_eq!(cli::duration("1min 30s"), Ok(Duration::from_secs(90)));
/// assert!(cli::duration("soon").unwrap_err().contains("such as 250ms"));
/// ```
pub fn duration(text: &str) -> Result<Duration, String> {
    let duration =
        read(text.trim()).ok_or("write a number and a unit, such as 250ms, 10s or 2min")?;
    if duration > DURATION_MAX {
        return Err("longer than 365 days; write a shorter time".into());
    }
    Ok(duration)
}

/// A parser like [`duration`] that refuses what is outside of `range`.
///
/// ```
/// # use std::time::Duration;
/// let hours = cli::duration_within(Duration::ZERO..=Duration::from_secs(2 * 3600));
/// assert_eq!(hours("90min"), Ok(Duration::from_secs(5400)));
/// assert_eq!(hours("3h"), Err("longer than 2h; write a shorter time".to_owned()));
/// ```
pub fn duration_within(
    range: RangeInclusive<Duration>,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    move |text| {
        let time = duration(text)?;
        let bound = |bound: &Duration| humantime::format_duration(*bound).to_string();
        if time < *range.start() {
            let least = bound(range.start());
            return Err(format!("shorter than {least}; write a longer time"));
        }
        if time > *range.end() {
            let most = bound(range.end());
            return Err(format!("longer than {most}; write a shorter time"));
        }
        Ok(time)
    }
}

/// `humantime` wants a unit, and refuses a fraction that is no whole number of nanoseconds (or, of hours
/// and longer units, of seconds); both are read here.
fn read(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(unit_at.unwrap_or(text.len()));
    let is_compound = unit.contains(|c: char| c.is_ascii_digit());
    if is_compound || !(unit.is_empty() || number.contains('.')) {
        return humantime::parse_duration(text).ok();
    }
    let seconds = match unit {
        "" => 1.0,
        unit => humantime::parse_duration(&format!("1{unit}"))
            .ok()?
            .as_secs_f64(),
    };
    let number: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(number * seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_any_program_has_taken_is_read() {
        for (text, milliseconds) in [
            ("0", 0),
            ("0s", 0),
            ("10", 10_000),
            ("1.5", 1_500),
            (".5s", 500),
            ("2.s", 2_000),
            ("10s", 10_000),
            (" 10 s ", 10_000),
            ("1.5s", 1_500),
            ("500ms", 500),
            ("0.5ms", 0),
            ("2m", 120_000),
            ("1.5m", 90_000),
            ("2min", 120_000),
            ("2min 30s", 150_000),
            ("2min30s", 150_000),
            ("1h", 3_600_000),
            ("0.3333h", 1_199_880),
            ("1d", 86_400_000),
            ("1 day", 86_400_000),
            ("1.5h 30min", 7_200_000),
        ] {
            let read = duration(text).map(|time| time.as_millis());
            assert_eq!(read, Ok(milliseconds), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "", " ", "s", ".", "ten", "-1s", "1..5s", "1.2.3s", "1e3s", "5 x", "NaN", "inf",
        ] {
            let refusal = duration(text).unwrap_err();
            assert!(refusal.contains("such as 250ms"), "{text:?}: {refusal}");
        }
        for text in [
            "366d",
            "99years",
            "9999999999999999999d",
            "9999999999999999999999",
        ] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_a_program_writes_it_reads() {
        for milliseconds in [
            0,
            1,
            999,
            1_000,
            61_500,
            3_600_000,
            32_767_000,
            86_400_000,
            31_536_000_000,
        ] {
            let time = Duration::from_millis(milliseconds);
            let written = humantime::format_duration(time).to_string();
            assert_eq!(duration(&written), Ok(time), "{written}");
        }
    }

    #[test]
    fn a_range_names_the_bound_that_is_passed() {
        let range = duration_within(Duration::from_millis(1)..=Duration::from_secs(90));
        assert_eq!(range("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(
            range("0s").unwrap_err(),
            "shorter than 1ms; write a longer time"
        );
        assert_eq!(
            range("2m").unwrap_err(),
            "longer than 1m 30s; write a shorter time"
        );
    }
}
