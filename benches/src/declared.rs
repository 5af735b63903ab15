//! What a comparison declares in `comparisons/NAME.toml`: candidates, loads, figures and bounds. A word that
//! is not known is an error, which a test finds. `cases.rs` makes of it what is measured.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::Command;
use clap::builder::{PossibleValue, PossibleValuesParser};
use serde::Deserialize;

use crate::bound::Bound;
use crate::broken::Script;
use crate::comparison::{Plot, Validity};
use crate::figure::Figure;

pub(crate) const ALL: [(&str, &str); 7] = [
    ("curves", include_str!("../comparisons/curves.toml")),
    ("drivers", include_str!("../comparisons/drivers.toml")),
    ("floor", include_str!("../comparisons/floor.toml")),
    ("hostile", include_str!("../comparisons/hostile.toml")),
    ("own-cost", include_str!("../comparisons/own-cost.toml")),
    ("peers", include_str!("../comparisons/peers.toml")),
    ("scrape", include_str!("../comparisons/scrape.toml")),
];

pub(crate) const RATE_USUAL: u32 = 100;

/// A comparison as its file declares it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Declared {
    /// The first line of `--help`.
    pub(crate) help: String,
    /// Of the page.
    pub(crate) title: String,
    pub(crate) about: String,
    pub(crate) validity: Validity,
    pub(crate) counts: Counts,
    /// Whether cases of one load are measured one after the other, beside one floor.
    pub(crate) by_load: bool,
    /// Whether a candidate that collapsed is spared higher rates.
    pub(crate) spare_collapsed: bool,
    /// Passes of a floor that are measured.
    pub(crate) passes: u32,
    /// The number that `--clients` replaces, and to which others are in proportion.
    pub(crate) clients: u32,
    pub(crate) warmup: Option<Time>,
    /// Arguments of every server of ours, and of every run of the load generator.
    pub(crate) server: String,
    pub(crate) load: String,
    pub(crate) whole: Extent,
    pub(crate) quick: Option<Extent>,
    /// The scenarios that are measured when none is named; all if empty.
    pub(crate) usual: Vec<String>,
    /// Of sections that have none of their own.
    pub(crate) figures: Vec<Figure>,
    pub(crate) plots: Vec<Plot>,
    /// Of sections that have none of their own.
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) sections: Vec<Section>,
}

/// How much is measured.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Extent {
    pub(crate) repeats: u32,
    pub(crate) duration: Time,
    /// No case begins later than this.
    pub(crate) time: Option<Time>,
    pub(crate) scenarios: Vec<String>,
}

/// Which runs figures and bounds are of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Counts {
    /// Those that are valid.
    #[default]
    Valid,
    /// Of ours those that are valid; of a peer those that lost nothing, and are valid or have collapsed.
    Lossless,
    /// All: what clients felt is the measure, whatever the load generator says of it. The ledger has to
    /// be clean.
    All,
}

/// A part of the page: a scenario, or one for each value of what is varied.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Section {
    /// What `--scenarios` calls it.
    pub(crate) name: String,
    /// Of the table of all its scenarios; without, each has a table of its own.
    pub(crate) title: Option<String>,
    /// The name of its scenarios, with `{clients}`, `{stalled}`, `{rate}` and `{size}` of each.
    pub(crate) scenario: Option<String>,
    /// What `--help` says of it, if that is not `about`.
    pub(crate) help: Option<String>,
    pub(crate) about: String,
    pub(crate) method: Method,
    pub(crate) clients: Option<u32>,
    pub(crate) rate: Option<u32>,
    pub(crate) size: Option<u32>,
    pub(crate) vary: Option<Vary>,
    pub(crate) values: Vec<u32>,
    pub(crate) quick: Vec<u32>,
    /// Further arguments of a server of ours, and of the load generator.
    pub(crate) server: String,
    pub(crate) load: String,
    pub(crate) warmup: Option<Time>,
    /// A run is so many times as long as others.
    pub(crate) times: Option<f64>,
    /// What a run takes at most.
    pub(crate) time_max: Option<Time>,
    /// Repeats in which it is measured at most, and with --quick.
    pub(crate) repeats_max: Option<(u32, u32)>,
    pub(crate) floor: Option<Passes>,
    /// Where p99 reaches the time between messages, one send may have carried several deliveries, and CPU
    /// per delivery says nothing of CPU per send.
    pub(crate) one_send_each: bool,
    pub(crate) candidates: Option<Vec<Candidate>>,
    pub(crate) figures: Option<Vec<Figure>>,
    pub(crate) bounds: Vec<Bound>,
}

/// How a case is measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Method {
    /// By the load generator.
    #[default]
    Load,
    /// Its floor, and nothing else.
    Floor,
    /// By what a server does while its clients say nothing.
    Idle,
    /// By the load generator beside a bare reader.
    Pair,
    /// By a bare reader beside a bare reader.
    Control,
}

/// When passes of a floor begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Passes {
    /// As soon as all have read the one before.
    BackToBack,
    /// As far apart as messages, so that what the kernel does in between for the sockets (acknowledge, wake,
    /// sleep) is the same; but never so far that sends cost more.
    Spaced,
}

/// What the scenarios of a section differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Vary {
    Clients,
    Rate,
    Size,
    /// Percent of all connections that are stalled.
    Stalled,
}

/// Who is measured: how to start it, and what the load generator is told of it. In texts, `{12.5%}` is that
/// share of the healthy clients (at least one), `{monitoring}` a free port, `{0}` a word of the list 0.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Candidate {
    pub(crate) name: String,
    /// Whatever `--candidates` says.
    pub(crate) always: bool,
    /// Arguments of a server of ours.
    pub(crate) server: String,
    /// What the line has to hold in which it says that it listens.
    pub(crate) ready: String,
    /// Another server.
    pub(crate) program: Option<Program>,
    /// For readers of its settings.
    pub(crate) remark: String,
    pub(crate) load: String,
    /// Bytes of its messages, if they are not the section's.
    pub(crate) size: Option<u32>,
    /// Broken peers beside the clients.
    pub(crate) broken: Option<Script>,
    /// A candidate for each combination of these words.
    pub(crate) each: Vec<Vec<String>>,
}

/// A server. In texts, `{port}`, `{monitoring}`, `{folder}`, `{config}`, `{connections}`, `{this}` (this program)
/// and `{benches}` (the folder of this crate) are replaced.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Program {
    pub(crate) command: String,
    /// The command that tells its version.
    pub(crate) version: String,
    /// The lines of its configuration: where it listens and what it logs.
    pub(crate) config: Vec<String>,
    /// The lines that readers should know: what its manual offers for many receivers.
    pub(crate) settings: Vec<String>,
    /// A part of the line in which it says that it serves; without, it is connected to.
    pub(crate) ready: String,
    /// What it is sent, a character a byte, to tell its settings; it then closes the connection.
    pub(crate) ask: String,
    /// Whether that is at its second port, not where it serves.
    pub(crate) is_asked_at_monitoring: bool,
    /// What is in its answer,
    pub(crate) expect: Vec<String>,
    /// and what that says, in words.
    pub(crate) confirmed: String,
}

/// A time as command lines give it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Time(pub(crate) Duration);

impl Declared {
    /// What the program of this name declares.
    pub(crate) fn of(program: &str) -> Self {
        let file = ALL.iter().find(|(name, _)| *name == program);
        let (_, text) = file.expect("every program has a file");
        toml::from_str(text).unwrap_or_else(|error| panic!("{program}.toml: {error}"))
    }

    /// The names of the candidates that can be chosen.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        let own = self.sections.iter().filter_map(|it| it.candidates.as_ref());
        let all = own.flatten().chain(&self.candidates);
        let chosen = all.filter(|one| !one.always && !one.name.contains('{'));
        chosen.map(|one| one.name.clone()).collect()
    }

    /// The command line, with the scenarios, candidates and defaults that are declared.
    pub(crate) fn command(&self, program: &str, args: Command) -> Command {
        let (extent, usual) = (&self.whole, self.usual.join(", "));
        let (repeats, duration, clients) = (extent.repeats, extent.duration.0, self.clients);
        let usual = if usual.is_empty() { "all" } else { &usual };
        let defaults = format!(
            "By default: scenarios {usual}; {repeats} repeats of {duration:?}; {clients} clients."
        );
        let mut scenarios: BTreeMap<&str, PossibleValue> = BTreeMap::new();
        for section in &self.sections {
            let clients = section.clients.unwrap_or(self.clients);
            let help = section.help.as_ref().unwrap_or(&section.about);
            let help = help.replace("{rate}", &section.rate.unwrap_or(RATE_USUAL).to_string());
            let help = help.replace("{clients}", &clients.to_string());
            let value = PossibleValue::new(section.name.clone()).help(help);
            scenarios.entry(&section.name).or_insert(value);
        }
        let scenarios = PossibleValuesParser::new(scenarios.into_values());
        let candidates = PossibleValuesParser::new(self.names());
        let command = args.name(program.to_owned());
        let about = command.get_about().cloned().unwrap_or_default();
        command
            .about(self.help.clone())
            .long_about(format!("{}\n\n{about}.\n\n{defaults}", self.help))
            .mut_arg("scenarios", |it| it.value_parser(scenarios))
            .mut_arg("candidates", |it| it.value_parser(candidates))
    }
}

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        cli::duration(&text).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_understood_and_its_names_are_consistent() {
        for (program, _) in ALL {
            let declared = Declared::of(program);
            let Declared {
                help,
                title,
                clients,
                ..
            } = &declared;
            let is_complete = !help.is_empty() && !title.is_empty() && *clients > 0;
            assert!(is_complete, "{program}");
            let sections: Vec<&str> = declared.sections.iter().map(|it| &*it.name).collect();
            let quick = declared.quick.iter().flat_map(|it| &it.scenarios);
            for name in declared.usual.iter().chain(quick) {
                assert!(sections.contains(&&**name), "{program}: {name}");
            }
            for section in &declared.sections {
                let is_shown = section.figures.is_some() || !declared.figures.is_empty();
                assert!(is_shown, "{program}: {} shows nothing", section.name);
                assert_eq!(section.vary.is_some(), !section.values.is_empty());
            }
        }
    }
}
