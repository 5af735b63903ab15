//! The result: who was compared, how, all figures with their spread, and what the bounds come to.

use std::time::Duration;

use benches::{Host, Spread};
use serde::Serialize;

use crate::candidate::{Candidate, Setting};
use crate::course::Collapse;
use crate::figures::Figure;
use crate::ratios::{self, Judged};
use crate::run::{Load, Run, Terms};

/// A server as it was run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Contender {
    pub(crate) candidate: Candidate,
    pub(crate) version: String,
    pub(crate) settings: Vec<Setting>,
    /// What it said of its settings, or why it is not quoted.
    pub(crate) verified: Result<String, String>,
}

/// A figure of one candidate under one load, over the repeats.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) load: Load,
    pub(crate) candidate: Candidate,
    pub(crate) figure: Figure,
    pub(crate) spread: Spread,
}

/// A peer that does better than the server, by the medians; it lost nothing there.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Win {
    pub(crate) candidate: Candidate,
    pub(crate) load: Load,
    pub(crate) figure: Figure,
    /// The peer's.
    pub(crate) peer: f64,
    /// The server's.
    pub(crate) own: f64,
}

/// A peer is said to win from this advantage on, as a share of the server's figure.
const WIN_SHARE: f64 = 0.01;

/// The whole comparison; data.json.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    pub(crate) command: String,
    pub(crate) host: Host,
    pub(crate) clients: u32,
    pub(crate) repeats: u32,
    pub(crate) duration_seconds: f64,
    pub(crate) took_seconds: f64,
    /// Whether the time was over before all was measured.
    pub(crate) was_cut: bool,
    pub(crate) contenders: Vec<Contender>,
    /// Installed nowhere.
    pub(crate) missing: Vec<Candidate>,
    pub(crate) bounds: Vec<Judged>,
    pub(crate) wins: Vec<Win>,
    pub(crate) collapses: Vec<Collapse>,
    pub(crate) rows: Vec<Row>,
    pub(crate) runs: Vec<Run>,
}

/// How it was measured.
#[derive(Debug)]
pub(crate) struct Circumstances {
    pub(crate) host: Host,
    pub(crate) terms: Terms,
    pub(crate) repeats: u32,
    pub(crate) took: Duration,
    pub(crate) was_cut: bool,
    pub(crate) contenders: Vec<Contender>,
    pub(crate) missing: Vec<Candidate>,
    pub(crate) collapses: Vec<Collapse>,
    /// Those that were asked for, the search included.
    pub(crate) loads: Vec<Load>,
}

impl Comparison {
    /// What `runs` come to.
    pub(crate) fn new(circumstances: Circumstances, runs: Vec<Run>) -> Self {
        let Circumstances {
            host,
            terms,
            repeats,
            took,
            was_cut,
            contenders,
            missing,
            collapses,
            loads,
        } = circumstances;
        let bounds = ratios::BOUNDS
            .iter()
            .filter(|bound| loads.contains(&bound.load()))
            .map(|bound| bound.judge(&runs))
            .collect();
        let rows = rows(&loads, &contenders, &runs);
        Self {
            command: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
            host,
            clients: terms.clients,
            repeats,
            duration_seconds: terms.duration.as_secs_f64(),
            took_seconds: took.as_secs_f64(),
            was_cut,
            wins: wins(&rows, &runs),
            rows,
            contenders,
            missing,
            bounds,
            collapses,
            runs,
        }
    }

    /// Whether all bounds that were asked about are met.
    pub(crate) fn is_as_wanted(&self) -> bool {
        self.bounds.iter().all(|bound| bound.is_met)
    }

    pub(crate) fn spread(
        &self,
        load: Load,
        candidate: Candidate,
        figure: Figure,
    ) -> Option<&Spread> {
        self.rows
            .iter()
            .find(|row| (row.load, row.candidate, row.figure) == (load, candidate, figure))
            .map(|row| &row.spread)
    }

    /// The loads that somebody was run under.
    pub(crate) fn loads(&self) -> Vec<Load> {
        let mut loads: Vec<_> = self.runs.iter().map(|run| run.load).collect();
        loads.sort_unstable();
        loads.dedup();
        loads
    }
}

fn wins(rows: &[Row], runs: &[Run]) -> Vec<Win> {
    let has_lost = |row: &Row| {
        let of_row = |run: &&Run| (run.load, run.candidate) == (row.load, row.candidate);
        runs.iter().filter(of_row).any(Run::has_lost)
    };
    let win = |row: &Row| {
        let (load, figure) = (row.load, row.figure);
        let own = rows.iter().find(|own| {
            (own.load, own.figure, own.candidate) == (load, figure, Candidate::Uringcast)
        })?;
        let (own, peer) = (own.spread.median, row.spread.median);
        let wins = figure.is_better(peer, own) && (own - peer).abs() > WIN_SHARE * own.abs();
        wins.then_some(Win {
            candidate: row.candidate,
            load,
            figure,
            peer,
            own,
        })
    };
    // What is not delivered costs nothing.
    let rows = rows.iter().filter(|row| !has_lost(row));
    rows.filter_map(win).collect()
}

fn rows(loads: &[Load], contenders: &[Contender], runs: &[Run]) -> Vec<Row> {
    let mut rows = Vec::new();
    for &load in loads {
        for candidate in contenders.iter().map(|contender| contender.candidate) {
            let figures: &[Figure] = match load {
                Load::Rate(_) => &Figure::OF_RATES,
                Load::FindMax => &[Figure::Highest],
            };
            for &figure in figures {
                let values: Vec<f64> = runs
                    .iter()
                    .filter(|run| (run.load, run.candidate) == (load, candidate))
                    .filter_map(|run| figure.of(run))
                    .collect();
                if !values.is_empty() {
                    rows.push(Row {
                        load,
                        candidate,
                        figure,
                        spread: Spread::of(values),
                    });
                }
            }
        }
    }
    rows
}
