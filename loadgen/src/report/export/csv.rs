//! timeseries.csv: a line for each second. The columns are the fields of `series` in run.json; an
//! empty one was not measured.

use std::fmt::Write;

use record::Second;
use serde_json::Value;

/// The columns, each with its decimals; all others are counts.
const COLUMNS: [(&str, usize); 21] = [
    ("from_seconds", 3),
    ("to_seconds", 3),
    ("drain", 0),
    ("messages", 0),
    ("deliveries", 0),
    ("deliveries_per_second", 1),
    ("p50_ms", 4),
    ("p99_ms", 4),
    ("max_ms", 4),
    ("owed", 0),
    ("turn_max_ms", 4),
    ("server_cpu_cores", 4),
    ("server_rss_bytes", 0),
    ("server_descriptors", 0),
    ("server_voluntary_switches", 0),
    ("server_involuntary_switches", 0),
    ("generator_cpu_cores", 4),
    ("generator_rss_bytes", 0),
    ("generator_descriptors", 0),
    ("generator_voluntary_switches", 0),
    ("generator_involuntary_switches", 0),
];

/// The whole table.
pub(super) fn render(series: &[Second]) -> String {
    let mut text = COLUMNS.map(|(name, _)| name).join(",") + "\n";
    for second in series {
        let figures = serde_json::to_value(second).unwrap_or_default();
        let fields = COLUMNS.map(|(name, decimals)| match (&figures[name], decimals) {
            (Value::Null, _) => String::new(),
            (value, 0) => value.to_string(),
            (value, _) => format!("{:.decimals$}", value.as_f64().unwrap_or_default()),
        });
        writeln!(text, "{}", fields.join(",")).expect("a string takes all that is written");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_a_field_for_each_column_of_the_json() {
        let second = Second {
            deliveries: 7,
            generator_involuntary_switches: Some(31),
            p50_ms: Some(1.5),
            ..Second::default()
        };
        let text = render(std::slice::from_ref(&second));
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        let json = serde_json::to_value(&second).unwrap();
        let names = json.as_object().unwrap();
        assert_eq!(lines[0].len(), names.len());
        assert!(lines[0].iter().all(|name| names.contains_key(*name)));
        assert_eq!(lines[1].len(), lines[0].len());
        let column = |name| lines[1][lines[0].iter().position(|one| *one == name).unwrap()];
        assert_eq!(column("deliveries"), "7");
        assert_eq!(column("generator_involuntary_switches"), "31");
        assert_eq!(column("p50_ms"), "1.5000");
        assert_eq!(column("server_rss_bytes"), "");
    }
}
