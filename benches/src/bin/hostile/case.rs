//! Cases: a healthy load, and who is hostile beside it, if anybody is.

use clap::ValueEnum;
use serde::Serialize;

use crate::broken::{self, Broken};
use crate::command_line::CommandLine;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scenario {
    /// 1000 clients, 50 messages/s of 1000 bytes, beside each kind of hostile clients (--kinds)
    Kinds,
    /// 5000 clients, 100 messages/s, beside 500 that never read
    Stalled,
    /// The load of `kinds`, beside 20 peers of each kind that is no client, or one gone wrong (--broken)
    Broken,
    /// 1000 clients, of whom 10 say 20 messages/s, beside one who floods with messages of 1000 bytes
    Flood,
}

/// How clients are hostile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Hostile {
    /// A tenth as many join and never read
    Stalled,
    /// A tenth as many read 2000 bytes a second each
    Slow,
    /// A fifth as many join each second, and leave after half a second
    Churn,
    /// A tenth as many send what is no frame, and come back when they are closed
    Garbage,
    /// Half as many never send more than a part of their first header
    HalfOpen,
    /// Half as many leave all at once, and come back at once
    Herd,
    /// One sends as fast as the server takes it
    #[value(skip)]
    Flooder,
    /// Peers of this kind come, stay for a little while, and come back
    #[value(skip)]
    #[serde(untagged)]
    Broken(Broken),
}

/// What one run measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Case {
    pub(crate) scenario: Scenario,
    /// Nobody in the runs that the others are seen beside.
    pub(crate) hostile: Option<Hostile>,
}

/// Messages of a flooder.
pub(crate) const FLOOD_MESSAGE_BYTES: usize = 1000;

/// The log that the servers may keep, in bytes: their default, said so that the bound on memory can count
/// on it.
pub(crate) const LOG_BYTES: u64 = 64 << 20;

impl Scenario {
    pub(crate) const ALL: [Self; 4] = [Self::Kinds, Self::Stalled, Self::Broken, Self::Flood];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Kinds => "kinds",
            Self::Stalled => "stalled",
            Self::Broken => "broken",
            Self::Flood => "flood",
        }
    }

    /// Healthy clients.
    fn clients(self, demand: &CommandLine) -> u32 {
        match self {
            Self::Stalled => 5 * demand.clients,
            Self::Kinds | Self::Broken | Self::Flood => demand.clients,
        }
    }

    /// What the load generator is told of the healthy.
    fn load(self) -> &'static str {
        match self {
            // So long that the kernels do not hold for those who do not read all that they are owed.
            Self::Kinds | Self::Broken => "--rate 50 --size 1000 --warmup 1s",
            Self::Stalled => "--rate 100 --warmup 1s",
            // The flooder begins in the warm-up, a second after it has heard somebody.
            Self::Flood => "--rate 20 --senders 10 --warmup 3s",
        }
    }
}

impl Hostile {
    /// Those of the scenario `kinds`.
    pub(crate) const KINDS: [Self; 6] = [
        Self::Stalled,
        Self::Slow,
        Self::Churn,
        Self::Garbage,
        Self::HalfOpen,
        Self::Herd,
    ];

    pub(crate) fn name(self) -> String {
        let name = match self {
            Self::Broken(kind) => return kind.name(),
            Self::Stalled => "stalled",
            Self::Slow => "slow",
            Self::Churn => "churn",
            Self::Garbage => "garbage",
            Self::HalfOpen => "half-open",
            Self::Herd => "herd",
            Self::Flooder => "flooder",
        };
        name.to_owned()
    }

    /// How many there are, of churning ones in a second, beside so many of `demand`.
    fn count(self, demand: &CommandLine) -> u32 {
        match self {
            Self::Stalled | Self::Slow | Self::Garbage => demand.clients / 10,
            Self::Churn => demand.clients / 5,
            Self::HalfOpen | Self::Herd => demand.clients / 2,
            Self::Broken(_) => broken::COUNT,
            Self::Flooder => 1,
        }
    }

    /// What the load generator is told of `count` such clients; nothing of those who are not its.
    fn flags(self, count: u32) -> String {
        match self {
            Self::Stalled => format!("--stalled-clients {count}"),
            Self::Slow => format!("--slow-clients {count}:2000"),
            Self::Churn => format!("--churn {count}/s"),
            Self::Garbage => format!("--garbage-clients {count}"),
            Self::HalfOpen => format!("--half-open {count}"),
            Self::Herd => format!("--reconnect-herd-at 0s:{count}"),
            Self::Broken(_) | Self::Flooder => String::new(),
        }
    }
}

impl Case {
    /// The case that this one is seen beside.
    pub(crate) const fn without(self) -> Self {
        Self {
            hostile: None,
            ..self
        }
    }

    /// For tables: who is there.
    pub(crate) fn name(self) -> String {
        self.hostile
            .map_or_else(|| "nobody".to_owned(), Hostile::name)
    }

    /// Descriptors that the load generator needs at most.
    pub(crate) fn sockets(self, demand: &CommandLine) -> u32 {
        self.scenario.clients(demand) + self.hostile.map_or(0, |it| self.count(it, demand))
    }

    fn count(self, hostile: Hostile, demand: &CommandLine) -> u32 {
        match (self.scenario, hostile) {
            (Scenario::Stalled, Hostile::Stalled) => demand.clients / 2,
            _ => hostile.count(demand),
        }
    }

    /// What the load generator is told.
    pub(crate) fn arguments(self, demand: &CommandLine) -> Vec<String> {
        let flags = format!(
            "--quiet --clients {} {} --duration {}ms {}",
            self.scenario.clients(demand),
            self.scenario.load(),
            demand.duration.as_millis(),
            self.hostile
                .map(|it| it.flags(self.count(it, demand)))
                .unwrap_or_default(),
        );
        flags.split_ascii_whitespace().map(str::to_owned).collect()
    }
}

/// What is measured in each repeat.
pub(crate) fn all(demand: &CommandLine) -> Vec<Case> {
    let of_scenario = |&scenario: &Scenario| {
        let hostile = match scenario {
            Scenario::Kinds => demand.kinds.clone(),
            Scenario::Stalled => vec![Hostile::Stalled],
            Scenario::Broken => demand.broken.iter().copied().map(Hostile::Broken).collect(),
            Scenario::Flood => vec![Hostile::Flooder],
        };
        let with = hostile.into_iter().map(Some);
        let hostile = std::iter::once(None).chain(with);
        let case = move |hostile| Case { scenario, hostile };
        hostile.map(case).collect::<Vec<_>>()
    };
    demand.scenarios.iter().flat_map(of_scenario).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn each_scenario_has_a_case_without_hostile_clients_and_its_others() {
        let flags = ["hostile", "--kinds", "herd,slow", "--broken", "tls"];
        let demand = CommandLine::parse_from(flags);
        let names: Vec<_> = all(&demand).into_iter().map(Case::name).collect();
        assert_eq!(
            names,
            [
                "nobody", "herd", "slow", "nobody", "stalled", "nobody", "tls", "nobody", "flooder"
            ]
        );
    }

    #[test]
    fn the_load_generator_is_told_how_many_of_both() {
        let demand = CommandLine::parse_from(["hostile", "--clients", "1000"]);
        let case = Case {
            scenario: Scenario::Stalled,
            hostile: Some(Hostile::Stalled),
        };
        let words = case.arguments(&demand).join(" ");
        assert_eq!(
            words,
            "--quiet --clients 5000 --rate 100 --warmup 1s --duration 3000ms --stalled-clients 500"
        );
        assert_eq!(case.sockets(&demand), 5500);
        let words = case.without().arguments(&demand).join(" ");
        assert!(!words.contains("stalled"), "{words}");
    }
}
