//! Service level objectives: conditions on the figures of a run, as in
//! `delivery.p99<100ms,lost==0`.
//!
//! A condition is a figure, a comparison and a bound. Figures have the names that the JSON has (the
//! `latency_ms.` in front of a latency may be left out). Times need a unit, since a bare number next
//! to a figure in milliseconds is a mistake waiting to happen; counts take none.

use std::str::FromStr;

use record::Judged;
use serde_json::Value;
use thiserror::Error;

use crate::report::measurement::figure;

/// Latencies, each with the percentiles below; milliseconds in the JSON.
const LATENCIES: [&str; 6] = [
    "delivery",
    "delivery_from_send",
    "completion",
    "completion_median",
    "completion_first",
    "send_lag",
];
const PERCENTILES: [&str; 6] = ["p50", "p90", "p99", "p999", "max", "mean"];
const LATENCY_TABLE: &str = "latency_ms";

/// Times that are seconds in the JSON.
const SECONDS: [&str; 4] = [
    "connect_seconds",
    "drain_seconds",
    "server.cpu_seconds",
    "generator.cpu_seconds",
];

/// What is counted or is a rate or a share.
const NUMBERS: [&str; 20] = [
    "rate_achieved",
    "deliveries_per_second",
    "messages",
    "expected",
    "delivered",
    "lost",
    "lost_while_connected",
    "lost_to_disconnects",
    "duplicated",
    "reordered",
    "corrupt",
    "echoed",
    "unsent",
    "foreign",
    "backlog_at_end",
    "server.cpu_cores",
    "server.rss_peak_bytes",
    "generator.cpu_cores",
    "generator.rss_peak_bytes",
    "generator.busy_share",
];

/// Conditions that must all hold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slo {
    conditions: Vec<Condition>,
}

/// One condition.
#[derive(Debug, Clone, PartialEq)]
struct Condition {
    /// As it was written.
    text: String,
    /// Where the figure stands in the JSON.
    place: String,
    comparison: Comparison,
    /// In the unit that the JSON has.
    bound: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
    Unequal,
}

/// What is wrong with an objective, and where. Columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum GrammarError {
    #[error(
        "column {column}: a condition is missing; write FIGURE<BOUND, as in delivery.p99<100ms,lost==0"
    )]
    NoFigure { column: usize },
    #[error(
        "column {column}: '{name}' is no figure; latencies are {latencies} with .p50 .p90 .p99 .p999 .max .mean, others are lost, rate_achieved, server.cpu_cores and what else the JSON has",
        latencies = LATENCIES.join(", ")
    )]
    UnknownFigure { column: usize, name: String },
    #[error("column {column}: expected one of < <= > >= == != after the figure")]
    NoComparison { column: usize },
    #[error("column {column}: '{text}' is no number")]
    NoNumber { column: usize, text: String },
    #[error("column {column}: a time needs a unit: write {number}ms, or ns, us, s")]
    NoUnit { column: usize, number: String },
    #[error("column {column}: '{unit}' is no unit of a time: use ns, us, ms or s")]
    UnknownUnit { column: usize, unit: String },
    #[error("column {column}: '{unit}' is out of place: this figure has no unit")]
    NeedlessUnit { column: usize, unit: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Milliseconds,
    Seconds,
    None,
}

impl Slo {
    /// Judges each condition by the figures of a run, as they stand in its JSON.
    pub(crate) fn judge(&self, figures: &Value) -> Vec<Judged> {
        let judge = |condition: &Condition| condition.judge(figures);
        self.conditions.iter().map(judge).collect()
    }
}

impl Condition {
    fn judge(&self, figures: &Value) -> Judged {
        let found = figure(figures, &self.place).and_then(Value::as_f64);
        Judged {
            condition: self.text.clone(),
            held: found.is_some_and(|found| self.comparison.holds(found, self.bound)),
            found,
        }
    }

    fn parse(text: &str, column: usize) -> Result<Self, GrammarError> {
        let (start, text) = (column + leading_spaces(text), text.trim());
        let figure_ends = text.find(['<', '>', '=', '!']).unwrap_or(text.len());
        let (figure, rest) = text.split_at(figure_ends);
        if figure.trim().is_empty() {
            return Err(GrammarError::NoFigure { column: start });
        }
        let (place, unit) = figure_of(figure.trim(), start)?;
        let (comparison, bound) =
            Comparison::split_off(rest).ok_or(GrammarError::NoComparison {
                column: start + figure_ends,
            })?;
        let bound_at = start + (text.len() - bound.len()) + leading_spaces(bound);
        Ok(Self {
            text: text.to_owned(),
            place,
            comparison,
            bound: bound_of(bound.trim(), unit, bound_at)?,
        })
    }
}

impl FromStr for Slo {
    type Err = GrammarError;

    fn from_str(text: &str) -> Result<Self, GrammarError> {
        let mut column = 1;
        let mut conditions = Vec::new();
        for part in text.split(',') {
            conditions.push(Condition::parse(part, column)?);
            column += part.len() + 1;
        }
        Ok(Self { conditions })
    }
}

impl Comparison {
    /// The comparison at the head of `text`, and what follows it.
    fn split_off(text: &str) -> Option<(Self, &str)> {
        // Longer signs first, since `<` also begins `<=`.
        [
            ("<=", Self::AtMost),
            (">=", Self::AtLeast),
            ("==", Self::Equal),
            ("!=", Self::Unequal),
            ("<", Self::Less),
            (">", Self::More),
        ]
        .into_iter()
        .find_map(|(sign, comparison)| Some((comparison, text.strip_prefix(sign)?)))
    }

    fn holds(self, found: f64, bound: f64) -> bool {
        match self {
            Self::Less => found < bound,
            Self::AtMost => found <= bound,
            Self::More => found > bound,
            Self::AtLeast => found >= bound,
            Self::Equal => found.total_cmp(&bound).is_eq(),
            Self::Unequal => found.total_cmp(&bound).is_ne(),
        }
    }
}

fn figure_of(name: &str, column: usize) -> Result<(String, Unit), GrammarError> {
    let bare = name
        .strip_prefix(LATENCY_TABLE)
        .and_then(|rest| rest.strip_prefix('.'))
        .unwrap_or(name);
    if let Some((latency, percentile)) = bare.split_once('.')
        && LATENCIES.contains(&latency)
        && PERCENTILES.contains(&percentile)
    {
        return Ok((format!("{LATENCY_TABLE}.{bare}"), Unit::Milliseconds));
    }
    let unit = if SECONDS.contains(&name) {
        Unit::Seconds
    } else if NUMBERS.contains(&name) {
        Unit::None
    } else {
        let name = name.to_owned();
        return Err(GrammarError::UnknownFigure { column, name });
    };
    Ok((name.to_owned(), unit))
}

fn bound_of(text: &str, unit: Unit, column: usize) -> Result<f64, GrammarError> {
    let unit_at = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, written) = text.split_at(unit_at);
    let (unit_column, written) = (column + unit_at, written.trim());
    let value: f64 = number.parse().map_err(|_| GrammarError::NoNumber {
        column,
        text: text.to_owned(),
    })?;
    if unit == Unit::None {
        return if written.is_empty() {
            Ok(value)
        } else {
            Err(GrammarError::NeedlessUnit {
                column: unit_column,
                unit: written.to_owned(),
            })
        };
    }
    let milliseconds = match written {
        "ns" => value / 1e6,
        "us" => value / 1e3,
        "ms" => value,
        "s" => value * 1e3,
        "" => {
            return Err(GrammarError::NoUnit {
                column: unit_column,
                number: number.to_owned(),
            });
        }
        other => {
            return Err(GrammarError::UnknownUnit {
                column: unit_column,
                unit: other.to_owned(),
            });
        }
    };
    match unit {
        Unit::Seconds => Ok(milliseconds / 1e3),
        Unit::Milliseconds | Unit::None => Ok(milliseconds),
    }
}

fn leading_spaces(text: &str) -> usize {
    text.len() - text.trim_start().len()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn held(slo: &str) -> Vec<bool> {
        let figures = json!({
            "latency_ms": {"delivery": {"p99": 80.0, "max": null}},
            "lost": 0,
            "drain_seconds": 1.5,
            "server": {"cpu_cores": 0.75},
        });
        let slo: Slo = slo.parse().unwrap();
        slo.judge(&figures)
            .iter()
            .map(|judged| judged.held)
            .collect()
    }

    fn refusal(slo: &str) -> String {
        slo.parse::<Slo>().unwrap_err().to_string()
    }

    #[test]
    fn conditions_compare_figures_in_their_units() {
        assert_eq!(held("delivery.p99<100ms,lost==0"), [true, true]);
        assert_eq!(held("delivery.p99<80ms"), [false]);
        assert_eq!(held("delivery.p99 <= 0.08s , lost != 0"), [true, false]);
        assert_eq!(held("latency_ms.delivery.p99>79000us"), [true]);
        assert_eq!(
            held("drain_seconds<1500ms,drain_seconds<=1.5s"),
            [false, true]
        );
        assert_eq!(held("server.cpu_cores<0.8"), [true]);
    }

    #[test]
    fn a_figure_that_is_not_known_breaks_its_condition() {
        assert_eq!(
            held("delivery.max<1s,generator.cpu_cores<9"),
            [false, false]
        );
        let judged = "delivery.max<1s".parse::<Slo>().unwrap().judge(&json!({}));
        assert_eq!(
            judged[0].to_string(),
            "delivery.max<1s broken: the figure is not known"
        );
    }

    #[test]
    fn errors_point_at_the_wrong_place_and_say_what_to_write() {
        for (slo, wanted) in [
            ("", "column 1: a condition is missing"),
            ("lost==0,", "column 9: a condition is missing"),
            ("lost==0, p99<5ms", "column 10: 'p99' is no figure"),
            ("delivery.p98<5ms", "column 1: 'delivery.p98' is no figure"),
            ("delivery.p99", "column 13: expected one of <"),
            ("lost=0", "column 5: expected one of <"),
            (
                "delivery.p99<100",
                "column 17: a time needs a unit: write 100ms",
            ),
            ("delivery.p99<5min", "column 15: 'min' is no unit"),
            ("lost<5ms", "column 7: 'ms' is out of place"),
            ("lost==few", "column 7: 'few' is no number"),
            ("lost== -1", "column 8: '-1' is no number"),
            ("lost<1.2.3", "column 6: '1.2.3' is no number"),
        ] {
            let line = refusal(slo);
            assert!(line.starts_with(wanted), "{slo}: {line}");
            assert!(!line.contains('\n'));
        }
    }
}
