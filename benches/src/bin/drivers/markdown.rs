//! Markdown: what a setting does, as a table for the guide. Each figure is the median of the repeats that
//! are valid; a setting without one is left out.

use benches::Spread;

use crate::figures::Figure;
use crate::run::Run;
use crate::scenario::Scenario;

const FIGURES: [Figure; 3] = [Figure::CpuCores, Figure::P50, Figure::P99];

/// The scenarios that vary a setting, and the option that it is of.
pub(crate) const VARIED: [(Scenario, &str); 2] = [
    (Scenario::Coalesce, "`--coalesce`"),
    (Scenario::Threads, "`--threads`"),
];

/// The table of a scenario that varies `option`; `None` if the scenario was not measured.
pub(crate) fn table(scenario: Scenario, option: &str, runs: &[Run]) -> Option<String> {
    let load = *scenario.loads().first()?;
    let mut lines = Vec::new();
    for &setting in scenario.settings() {
        let of_setting =
            |run: &&Run| run.is_valid() && (run.scenario, run.setting) == (scenario, setting);
        let runs: Vec<&Run> = runs.iter().filter(of_setting).collect();
        let mut drivers: Vec<&str> = runs.iter().map(|run| run.driver.name()).collect();
        drivers.sort_unstable();
        drivers.dedup();
        for driver in drivers {
            let runs = runs.iter().filter(|run| run.driver.name() == driver);
            let cells = FIGURES.map(|figure| median(runs.clone().filter_map(|run| figure.of(run))));
            let [cpu, p50, p99] = cells;
            lines.push(format!(
                "| {} | {driver} | {cpu} | {p50} | {p99} |\n",
                setting.value()
            ));
        }
    }
    if lines.is_empty() {
        return None;
    }
    let head = format!(
        "{} clients, {} messages/s of {} bytes:\n\n| {option} | driver | CPU of the server, cores | delivery p50, ms | delivery p99, ms |\n| --- | --- | ---: | ---: | ---: |\n",
        load.clients, load.rate, load.message_bytes
    );
    Some(head + &lines.concat())
}

fn median(values: impl Iterator<Item = f64>) -> String {
    let values: Vec<f64> = values.collect();
    if values.is_empty() {
        return "-".to_owned();
    }
    format!("{:.2}", Spread::of(values).median)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::tests::run;
    use crate::command_line::Driver;
    use crate::run::Measured;

    #[test]
    fn a_table_has_a_row_for_each_setting_that_was_measured() {
        let mut runs = Vec::new();
        for (repeat, setting) in (0..).zip(&Scenario::Threads.settings()[..1]) {
            let mut run = run(repeat, Driver::Uring, 8.0);
            (run.scenario, run.setting) = (Scenario::Threads, *setting);
            runs.push(run);
        }
        let text = table(Scenario::Threads, "`--threads`", &runs).unwrap();
        assert!(
            text.starts_with("5000 clients, 100 messages/s of 64 bytes:\n\n| `--threads` |"),
            "{text}"
        );
        assert!(
            text.ends_with("\n| 1 | uring | - | - | 40.00 |\n"),
            "{text}"
        );
        assert_eq!(table(Scenario::Coalesce, "`--coalesce`", &runs), None);
        if let Measured::Load(loaded) = &mut runs[0].measured {
            loaded.reports[0].valid = false;
        }
        assert_eq!(table(Scenario::Threads, "`--threads`", &runs), None);
    }
}
