//! timeseries.csv: a line for each second. The columns are the fields of `series` in run.json; an
//! empty one was not measured.

use std::fmt::Write;

use record::Second;

const HEADER: &str = "from_seconds,to_seconds,drain,messages,deliveries,deliveries_per_second,\
    p50_ms,p99_ms,max_ms,owed,turn_max_ms,\
    server_cpu_cores,server_rss_bytes,server_descriptors,\
    server_voluntary_switches,server_involuntary_switches,\
    generator_cpu_cores,generator_rss_bytes,generator_descriptors,\
    generator_voluntary_switches,generator_involuntary_switches\n";

/// The whole table.
pub(super) fn render(series: &[Second]) -> String {
    let mut text = HEADER.to_owned();
    for second in series {
        let fields = [
            format!("{:.3}", second.from_seconds),
            format!("{:.3}", second.to_seconds),
            second.drain.to_string(),
            second.messages.to_string(),
            second.deliveries.to_string(),
            format!("{:.1}", second.deliveries_per_second),
            decimal(second.p50_ms),
            decimal(second.p99_ms),
            decimal(second.max_ms),
            second.owed.to_string(),
            decimal(second.turn_max_ms),
            decimal(second.server_cpu_cores),
            whole(second.server_rss_bytes),
            whole(second.server_descriptors),
            whole(second.server_voluntary_switches),
            whole(second.server_involuntary_switches),
            decimal(second.generator_cpu_cores),
            whole(second.generator_rss_bytes),
            whole(second.generator_descriptors),
            whole(second.generator_voluntary_switches),
            whole(second.generator_involuntary_switches),
        ];
        writeln!(text, "{}", fields.join(",")).expect("a string takes all that is written");
    }
    text
}

fn decimal(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| format!("{value:.4}"))
}

fn whole(value: Option<u64>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
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
