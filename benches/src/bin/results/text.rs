//! The text: the blocks of README.md, results/README.md and docs/tuning.md. Every figure cites the data it
//! was read off, and none is said to be good or bad: what it means is written beside the blocks, and holds
//! whatever was measured.

use serde_json::{Value, json};

use crate::report::{self, Made};
use crate::source::{Source, Sources};

pub(crate) mod peers;

const DRIVERS: [&str; 3] = ["uring", "tokio-uring", "epoll"];

/// Figures of the drivers: scenario, figure, in words, unit.
const OF_DRIVERS: [(&str, &str, &str, &str); 8] = [
    ("cpu", "floor_cpu", "CPU of a bare send", "us"),
    ("cpu", "cpu_us_per_delivery", "CPU per delivery", "us"),
    ("p99", "floor", "F, a bare pass", "ms"),
    ("p99", "p50", "delivery p50", "ms"),
    ("p99", "p99", "delivery p99", "ms"),
    ("p99", "rss_mib", "RSS peak", "MiB"),
    ("flood", "p99", "delivery p99", "ms"),
    ("flood", "cpu_cores", "CPU of the server", "cores"),
];

/// README.md's.
pub(crate) fn summary(sources: &Sources) -> String {
    let mut rows = Vec::new();
    if let Some(job) = &sources.job {
        let p99 = "/latency_ms/delivery/p99";
        rows.push(["delivery p50", &job.cite("/latency_ms/delivery/p50", "ms")].map(str::to_owned));
        rows.push(["delivery p99", &job.cite(p99, "ms")].map(str::to_owned));
        rows.push(["deliveries lost", &job.cite("/lost", "")].map(str::to_owned));
    }
    if let Some(drivers) = &sources.drivers {
        for (pointer, bound) in drivers.list("/bounds") {
            let name = bound["name"].as_str().unwrap_or_default();
            if name.contains(" / epoll") || name.contains(" / uring") {
                let ratio = drivers.cite(&format!("{pointer}/measured/median"), "");
                rows.push([format!("`{name}`"), ratio]);
            }
        }
    }
    if let Some(peers) = &sources.peers {
        for (pointer, bound) in peers.list("/bounds") {
            let name = bound["name"].as_str().unwrap_or_default();
            let ratio = peers.cite(&format!("{pointer}/measured/median"), "");
            rows.push([format!("`{name}`, by that of the best peer"), ratio]);
        }
    }
    let machine = sources.job.as_ref().map_or_else(String::new, |job| {
        format!(
            "On {}; the first rows are of {}{}.\n\n",
            job.machine(),
            load_of(job),
            mark(job.value("/valid") != &json!(true))
        )
    });
    if rows.is_empty() {
        return String::new();
    }
    machine + &table(&["", "median"], &rows) + &peers::that_win(sources)
}

/// All reports in one table.
pub(crate) fn index(sources: &Sources, made: &[Made]) -> String {
    let machines = [
        &sources.job,
        &sources.drivers,
        &sources.limits,
        &sources.coalescing,
        &sources.peers,
        &sources.curves,
        &sources.hostile,
        &sources.broken,
    ];
    let rows: Vec<[String; 6]> = report::ALL
        .iter()
        .zip(machines)
        .filter_map(|(report, source)| {
            let made = made.iter().find(|made| made.folder == report.folder)?;
            let verdict = match made.exit_status {
                0 => "valid, all bounds met",
                _ => "a bound is missed or a run is INVALID",
            };
            Some([
                format!("[{}]({}/{})", report.what, report.folder, report.page),
                source.as_ref().map_or_else(|| "-".into(), Source::machine),
                format!("`{}`", made.commit.as_deref().unwrap_or("unknown")),
                format!("`{}`", made.command),
                format!("`{:.0} s`", made.took_seconds),
                format!("{verdict} ([data]({}/{}))", report.folder, report.data),
            ])
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let when = sources.job.as_ref().map_or_else(String::new, |job| {
        format!(
            "The main job was measured at `{}`.\n\n",
            job.text("/started_at")
        )
    });
    when + &table(&["what", "on", "of commit", "by", "took", "verdict"], &rows)
        .replace("--:", "---")
}

/// The main job.
pub(crate) fn job(sources: &Sources) -> String {
    let Some(job) = &sources.job else {
        return String::new();
    };
    let latency = |name: &str, figure: &str| {
        let cite = |percentile| job.cite(&format!("/latency_ms/{figure}/{percentile}"), "ms");
        [
            name.to_owned(),
            cite("p50"),
            cite("p99"),
            cite("p999"),
            cite("max"),
        ]
    };
    let latencies = [
        latency("delivery, from the intended time", "delivery"),
        latency("broadcast, last receiver", "completion"),
    ];
    let verdict = if job.value("/valid") == &json!(true) {
        "VALID".to_owned()
    } else {
        let problems: Vec<_> = job.list("/problems").collect();
        let problems = problems.iter().filter_map(|(_, problem)| problem.as_str());
        let problems = problems.map(|problem| format!("`{problem}`"));
        format!("**INVALID**: {}", problems.collect::<Vec<_>>().join("; "))
    };
    let counts = ["lost", "duplicated", "reordered", "corrupt"];
    let counts = counts.map(|count| format!("{} {count}", job.cite(&format!("/{count}"), "")));
    format!(
        "{}: {verdict}. Of {} {}. The server took {}.\n\n{}\n![percentiles](job/percentiles.svg)\n",
        load_of(job),
        job.cite("/expected", "deliveries"),
        counts.join(", "),
        job.cite("/server/cpu_cores", "cores"),
        table(&["", "p50", "p99", "p99.9", "max"], &latencies)
    )
}

/// The drivers beside each other and the floor.
pub(crate) fn drivers(sources: &Sources) -> String {
    let Some(drivers) = &sources.drivers else {
        return String::new();
    };
    let mut rows = Vec::new();
    for (scenario, figure, name, unit) in OF_DRIVERS {
        let cells = DRIVERS.map(|driver| {
            let members = [
                ("scenario", json!(scenario)),
                ("figure", json!(figure)),
                ("driver", json!(driver)),
            ];
            let found = drivers.find("/figures", &members);
            let cited = drivers.cite_found(found.as_deref(), "/spread/median", unit);
            cited + mark(was_invalid(drivers, &members))
        });
        if cells.iter().any(|cell| cell != "-") {
            let [uring, tokio_uring, epoll] = cells;
            rows.push([
                scenario_load(scenario).into(),
                name.into(),
                uring,
                tokio_uring,
                epoll,
            ]);
        }
    }
    let figures = table(&["load", "median", "uring", "tokio-uring", "epoll"], &rows);
    figures + "\n" + &ratios(drivers)
}

/// What the fastest driver is held to beyond its usual loads.
pub(crate) fn limits(sources: &Sources) -> String {
    sources.limits.as_ref().map_or_else(String::new, ratios)
}

/// What the healthy feel beside hostile clients, and whether each got each message once.
pub(crate) fn hostile(sources: &Sources) -> String {
    let text = |hostile| clean_runs(hostile) + &ratios(hostile);
    sources.hostile.as_ref().map_or_else(String::new, text)
}

/// The same beside peers that are no clients, by kind.
pub(crate) fn broken(sources: &Sources) -> String {
    let Some(broken) = &sources.broken else {
        return String::new();
    };
    let of = |kind: &Value, figure: &str| {
        let members = [("hostile", kind.clone()), ("figure", figure.into())];
        let found = broken.find("/bounds", &members);
        let cite = |member: &str| broken.cite_found(found.as_deref(), member, "");
        [
            cite("/measured/median"),
            cite("/measured/max"),
            format!("<= {}", cite("/at_most")),
        ]
    };
    let rows: Vec<[String; 6]> = broken
        .list("/bounds")
        .filter(|(_, bound)| bound["figure"] == "p99_ratio")
        .map(|(_, bound)| {
            let kind = &bound["hostile"];
            let name = format!("`{}`", kind.as_str().unwrap_or_default());
            let [p50, p50_max, _] = of(kind, "p50_ratio");
            let [p99, p99_max, wanted] = of(kind, "p99_ratio");
            [name, p50, p50_max, p99, p99_max, wanted]
        })
        .collect();
    let head = [
        "with / without",
        "p50",
        "highest",
        "p99",
        "highest",
        "wanted of both",
    ];
    clean_runs(broken) + &table(&head, &rows)
}

fn clean_runs(hostile: &Source) -> String {
    let count = |figure| hostile.cite(figure, "");
    format!(
        "Of `{}` runs, {} had a healthy client that did not get each message of the others exactly once and in order, and {} were INVALID.\n\n",
        hostile.value("/runs_total"),
        count("/runs_not_clean"),
        count("/runs_invalid"),
    )
}

/// What the rate does to the cost of a delivery, and what `--coalesce` does to both.
pub(crate) fn coalescing(sources: &Sources) -> String {
    let mut text = String::new();
    if let Some(curves) = &sources.curves {
        let rows: Vec<[String; 5]> = curves
            .list("/rows")
            .filter(|(_, row)| row["curve"] == "rate")
            .map(|(pointer, row)| {
                let cite = |figure: &str, unit: &str| {
                    curves.cite(&format!("{pointer}/{figure}/median"), unit)
                };
                let verdict = mark(row["valid_runs"] == json!(0));
                [
                    format!(
                        "`{} clients x {} messages/s`{verdict}",
                        row["clients"], row["rate"]
                    ),
                    cite("cpu_us_per_delivery", "us"),
                    cite("floor_cpu_us_per_send", "us"),
                    cite("p99_ms", "ms"),
                    cite("floor_ms", "ms"),
                ]
            })
            .collect();
        let head = [
            "load",
            "CPU per delivery",
            "CPU of a bare send",
            "delivery p99",
            "F",
        ];
        text += &table(&head, &rows);
        text += "\n![CPU per delivery by rate](curves/rate-cpu.svg) ![delivery p99 by rate](curves/rate-p99.svg)\n\n";
    }
    text + &settings(sources)
}

/// The settings of `--coalesce` beside each other.
pub(crate) fn settings(sources: &Sources) -> String {
    let Some(coalescing) = &sources.coalescing else {
        return String::new();
    };
    let figures: Vec<(String, &Value)> = coalescing.list("/figures").collect();
    let mut settings: Vec<&str> = Vec::new();
    for setting in figures
        .iter()
        .filter_map(|(_, row)| row["setting"].as_str())
    {
        if !settings.contains(&setting) {
            settings.push(setting);
        }
    }
    let rows: Vec<[String; 4]> = settings
        .into_iter()
        .map(|setting| {
            let cite = |figure: &str, unit: &str| {
                let members = [("setting", json!(setting)), ("figure", json!(figure))];
                let found = coalescing.find("/figures", &members);
                let cited = coalescing.cite_found(found.as_deref(), "/spread/median", unit);
                cited + mark(was_invalid(coalescing, &members))
            };
            [
                format!("`{setting}`"),
                cite("cpu_cores", "cores"),
                cite("p50", "ms"),
                cite("p99", "ms"),
            ]
        })
        .collect();
    let head = [
        "driver `uring`",
        "CPU of the server",
        "delivery p50",
        "delivery p99",
    ];
    format!("{}:\n\n{}", scenario_load("coalesce"), table(&head, &rows))
}

/// Whether runs that a figure with these members is of were made, and none is valid.
fn was_invalid(source: &Source, members: &[(&str, Value)]) -> bool {
    let members = members.iter().filter(|(name, _)| *name != "figure");
    let is_meant = |run: &Value| members.clone().all(|(name, value)| run[*name] == *value);
    let is_valid = |run: &Value| {
        let reports = run["reports"].as_array();
        reports.map_or_else(
            || run["report"]["valid"] == json!(true),
            |reports| reports.iter().all(|report| report["valid"] == json!(true)),
        )
    };
    let runs = source.list("/runs").map(|(_, run)| run);
    let meant: Vec<&Value> = runs.filter(|run| is_meant(run)).collect();
    !meant.is_empty() && !meant.into_iter().any(is_valid)
}

const fn mark(is_invalid: bool) -> &'static str {
    if is_invalid { ", INVALID" } else { "" }
}

/// All that a report judges, with its spread.
fn ratios(source: &Source) -> String {
    let rows: Vec<[String; 5]> = source
        .list("/bounds")
        .map(|(pointer, bound)| {
            let cite = |figure| source.cite(&format!("{pointer}/measured/{figure}"), "");
            let name = bound["name"].as_str().unwrap_or_default();
            let scenario = bound["scenario"].as_str().map(|name| format!("{name}: "));
            let name = format!("`{}{name}`", scenario.unwrap_or_default());
            let wanted = bound["demand"].as_str().map_or_else(
                || format!("<= {}", source.cite(&format!("{pointer}/at_most"), "")),
                |demand| format!("`{demand}`"),
            );
            [name, cite("min"), cite("median"), cite("max"), wanted]
        })
        .collect();
    table(&["of each repeat", "min", "median", "max", "wanted"], &rows)
}

fn load_of(job: &Source) -> String {
    format!(
        "`{} clients x {} messages/s of {} bytes`",
        job.value("/clients"),
        job.value("/rate_requested").as_f64().unwrap_or_default(),
        job.value("/size_bytes/min")
    )
}

/// As the program `drivers` has it.
fn scenario_load(scenario: &str) -> &'static str {
    match scenario {
        "cpu" => "`5000 clients x 10 messages/s`",
        "flood" => "`5000 clients x 1000 messages/s`",
        _ => "`5000 clients x 100 messages/s`",
    }
}

fn table(head: &[impl AsRef<str>], rows: &[impl AsRef<[String]>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let head: Vec<&str> = head.iter().map(AsRef::as_ref).collect();
    let mut text = format!(
        "| {} |\n|---|{}\n",
        head.join(" | "),
        "--:|".repeat(head.len() - 1)
    );
    for row in rows {
        text += &format!("| {} |\n", row.as_ref().join(" | "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::tests::source;

    pub(super) fn spread(median: f64) -> Value {
        json!({"min": median / 2.0, "median": median, "max": median * 2.0})
    }

    pub(super) fn nothing() -> Sources {
        Sources {
            job: None,
            drivers: None,
            limits: None,
            coalescing: None,
            peers: None,
            curves: None,
            hostile: None,
            broken: None,
        }
    }

    #[test]
    fn what_was_not_measured_is_not_told() {
        let sources = nothing();
        let texts = [
            summary,
            job,
            drivers,
            limits,
            coalescing,
            settings,
            peers::comparison,
            peers::wins,
            hostile,
            broken,
        ];
        assert!(texts.iter().all(|text| text(&sources).is_empty()));
        assert_eq!(index(&sources, &[]), "");
    }

    #[test]
    fn drivers_stand_beside_each_other() {
        let row = |driver: &str, median| {
            json!({"scenario": "cpu", "figure": "cpu_us_per_delivery", "driver": driver,
                "setting": null, "spread": spread(median)})
        };
        let data = json!({"figures": [row("epoll", 9.3), row("uring", 7.9)], "bounds": []});
        let sources = Sources {
            drivers: Some(source("drivers/data.json", data)),
            ..nothing()
        };
        let text = drivers(&sources);
        assert!(
            text.contains("| CPU per delivery | [7.90 us](drivers/data.json#/figures/1/spread/median) | - | [9.30 us](drivers/data.json#/figures/0/spread/median) |"),
            "{text}"
        );
    }
}
