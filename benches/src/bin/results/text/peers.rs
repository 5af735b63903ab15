//! What is said of the server beside Redis, NATS and Mosquitto, and where one of them does better.

use serde_json::{Value, json};

use super::{mark, ratios, table, was_invalid};
use crate::source::{Source, Sources};

/// Figures of the comparison with peers: name in the data, name for people, unit.
const OF_PEERS: [(&str, &str, &str); 12] = [
    ("p50", "delivery p50", "ms"),
    ("p99", "delivery p99", "ms"),
    ("p999", "delivery p99.9", "ms"),
    ("completion_p50", "completion p50", "ms"),
    ("completion_p99", "completion p99", "ms"),
    ("completion_p999", "completion p99.9", "ms"),
    ("rate", "messages sent in time", "messages/s"),
    ("lost_percent", "lost", "%"),
    ("drain_seconds", "drain", "s"),
    ("cpu_us_per_delivery", "CPU per delivery", "us"),
    ("rss_mib", "RSS peak", "MiB"),
    ("highest", "highest rate", "messages/s"),
];

/// Of these, the ones with a table of their own.
const TABLES_OF_PEERS: [&str; 5] = [
    "p99",
    "lost_percent",
    "cpu_us_per_delivery",
    "rss_mib",
    "highest",
];

/// The server and its peers.
pub(crate) fn comparison(sources: &Sources) -> String {
    let Some(peers) = &sources.peers else {
        return String::new();
    };
    let contenders: Vec<_> = peers.list("/contenders").collect();
    let names: Vec<&Value> = contenders
        .iter()
        .map(|(_, who)| &who["candidate"])
        .collect();
    let mut text = String::new();
    for (figure, label, unit) in OF_PEERS
        .iter()
        .filter(|(figure, ..)| TABLES_OF_PEERS.contains(figure))
    {
        let mut loads: Vec<&Value> = Vec::new();
        let rows: Vec<_> = peers.list("/rows").collect();
        for (_, row) in rows.iter().filter(|(_, row)| row["figure"] == *figure) {
            if !loads.contains(&&row["load"]) {
                loads.push(&row["load"]);
            }
        }
        if loads.is_empty() {
            continue;
        }
        let lines: Vec<Vec<String>> = loads
            .into_iter()
            .map(|at| {
                let cells = names
                    .iter()
                    .map(|who| of_peer(peers, at, who, figure, unit));
                [load(at)].into_iter().chain(cells).collect()
            })
            .collect();
        let who = names.iter().copied().map(name);
        let head: Vec<String> = [(*label).to_owned()].into_iter().chain(who).collect();
        text += &table(&head, &lines);
        text.push('\n');
    }
    text + &ratios(peers)
        + "\n![delivery p99 by rate](peers/p99.svg) ![RSS by rate](peers/rss.svg)\n"
}

/// What a peer does better.
pub(crate) fn wins(sources: &Sources) -> String {
    let Some(peers) = &sources.peers else {
        return String::new();
    };
    let lines: Vec<String> = peers
        .list("/wins")
        .map(|(_, win)| {
            let figure = win["figure"].as_str().unwrap_or_default();
            let known = OF_PEERS.iter().find(|(known, ..)| *known == figure);
            let (_, label, unit) = known.copied().unwrap_or((figure, figure, ""));
            let (at, who) = (&win["load"], &win["candidate"]);
            format!(
                "- {} at {}, {label}: {} against {}",
                name(who),
                load(at),
                of_peer(peers, at, who, figure, unit),
                of_peer(peers, at, &json!("uringcast"), figure, unit)
            )
        })
        .collect();
    if lines.is_empty() {
        return "Nowhere in what was measured.".into();
    }
    lines.join("\n")
}

fn of_peer(peers: &Source, at: &Value, who: &Value, figure: &str, unit: &str) -> String {
    let members = [
        ("load", at.clone()),
        ("candidate", who.clone()),
        ("figure", json!(figure)),
    ];
    let found = peers.find("/rows", &members);
    let cited = peers.cite_found(found.as_deref(), "/spread/median", unit);
    // A search ends with a run that breaks what it demands.
    let is_search = at.as_str().is_some();
    cited + mark(!is_search && was_invalid(peers, &members))
}

/// Who does better than the server, and at which load.
pub(super) fn that_win(sources: &Sources) -> String {
    let Some(peers) = &sources.peers else {
        return String::new();
    };
    let mut who: Vec<String> = peers
        .list("/wins")
        .map(|(_, win)| format!("{} at {}", name(&win["candidate"]), load(&win["load"])))
        .collect();
    who.dedup();
    if who.is_empty() {
        "\nNo peer does better in anything that was measured.\n".into()
    } else {
        format!(
            "\nSome figures of a peer are better: {}; [which](results/README.md#where-a-peer-wins).\n",
            who.join(", ")
        )
    }
}

/// The load of a comparison with peers.
fn load(load: &Value) -> String {
    match load["rate"].as_u64() {
        Some(rate) => format!("`{rate} messages/s`"),
        None => "its highest rate".into(),
    }
}

fn name(candidate: &Value) -> String {
    candidate.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::tests::source;
    use crate::text::tests::{nothing, spread};

    fn peers_data() -> Value {
        let at = json!({"rate": 100});
        json!({
            "contenders": [{"candidate": "uringcast"}, {"candidate": "redis"}],
            "bounds": [{"name": "delivery p99, ms at 100 messages/s", "measured": spread(0.4)}],
            "rows": [
                {"load": at, "candidate": "uringcast", "figure": "p99", "spread": spread(40.0)},
                {"load": at, "candidate": "redis", "figure": "p99", "spread": spread(20.0)},
            ],
            "wins": [{"candidate": "redis", "load": at, "figure": "p99", "peer": 20.0, "own": 40.0}],
        })
    }

    #[test]
    fn a_peer_that_wins_is_named_with_both_figures() {
        let sources = Sources {
            peers: Some(source("peers/data.json", peers_data())),
            ..nothing()
        };
        assert_eq!(
            wins(&sources),
            "- redis at `100 messages/s`, delivery p99: [20.0 ms](peers/data.json#/rows/1/spread/median) against [40.0 ms](peers/data.json#/rows/0/spread/median)"
        );
        assert!(that_win(&sources).contains("better: redis at `100 messages/s`"));
        let text = comparison(&sources);
        assert!(
            text.contains("| delivery p99 | uringcast | redis |\n"),
            "{text}"
        );
        assert!(
            text.contains("[0.400](peers/data.json#/bounds/0/measured/median)"),
            "{text}"
        );
    }

    #[test]
    fn a_figure_of_invalid_runs_alone_is_marked() {
        let mut data = peers_data();
        let run = |candidate: &str, valid: bool| json!({"load": {"rate": 100}, "candidate": candidate, "report": {"valid": valid}});
        data["runs"] = json!([
            run("redis", false),
            run("redis", false),
            run("uringcast", false),
            run("uringcast", true),
        ]);
        let sources = Sources {
            peers: Some(source("peers/data.json", data)),
            ..nothing()
        };
        let text = comparison(&sources);
        assert!(
            text.contains(
                "0/spread/median) | [20.0 ms](peers/data.json#/rows/1/spread/median), INVALID |"
            ),
            "{text}"
        );
    }
}
