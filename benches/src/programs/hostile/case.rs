//! Cases: a healthy load, and who is hostile beside it, if anybody is; and what the healthy may feel.

use std::time::Duration;

use clap::ValueEnum;

use super::attacks::{self, Attack};
use super::broken::{self, Broken};
use super::{Args, CONNECTIONS, FLOOD_RATE, KERNEL_MEMORY};
use crate::bound::{Against, Bound, Limit};
use crate::comparison::{Section, help_of, name_of};
use crate::figure::{CUT, Figure, P50, P99, RSS};
use crate::process;

/// Who the others are compared with.
const NOBODY: &str = "nobody";

/// The log that the servers may keep: their default, given so that the bound on memory is known.
const LOG_MIB: u32 = 64;

/// Latencies beside hostile clients of any kind, by those without them.
const RATIO_MAX: f64 = 2.0;

/// The same at the main load, beside a tenth as many that never read.
const STALLED_RATIO_MAX: f64 = 1.3;

/// What the server may take: its log and 32 MiB.
const RSS_MIB_MAX: f64 = LOG_MIB as f64 + 32.0;

/// What the polite may wait beside a flooder.
const FLOOD_P99_MS_MAX: f64 = 1000.0;

/// How much longer the healthy may wait beside any attack.
const ATTACK_P99_MS_MAX: f64 = 250.0;

/// p99 of the healthy, kernel memory and RSS in the scenario `memory`.
const MEMORY_RATIO_MAX: f64 = 1.2;
const MEMORY_KERNEL_MIB_MAX: f64 = 150.0;
const MEMORY_RSS_MIB_MAX: f64 = 16.0;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Scenario {
    /// 1000 clients, 50 messages/s of 1000 bytes, beside each kind of hostile clients (--kinds)
    Kinds,
    /// 5000 clients, 100 messages/s, beside 500 that never read
    Stalled,
    /// The load of `kinds`, beside 20 peers of each kind that is no client, or one gone wrong (--broken)
    Broken,
    /// 1000 clients, of whom 10 send 20 messages/s, beside one who floods with messages of 1000 bytes
    Flood,
    /// 200 clients, 50 messages/s, beside slow readers together with flooders, newcomers who never read,
    /// and burst readers, each without and with --history (--attacks)
    Attacks,
    /// 4500 clients, 100 messages/s of 1000 bytes, beside 500 that never read: memory of the kernel and
    /// of the server
    Memory,
}

/// Hostile clients of the scenario `kinds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// A tenth as many join and never read
    Stalled,
    /// A tenth as many read 2000 bytes a second each
    Slow,
    /// A fifth as many join each second, and leave after half a second
    Churn,
    /// A tenth as many send malformed frames, and come back when they are closed
    Garbage,
    /// Half as many never send more than a part of their first header
    HalfOpen,
    /// Half as many leave all at once, and come back at once
    Herd,
}

/// Who is hostile.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Hostile {
    Nobody,
    /// Clients of the load generator.
    Flags(String),
    /// Peers of this kind connect, stay for a third of a second, and come back.
    Broken(Broken),
}

/// What one run measures.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Case {
    pub(super) scenario: Scenario,
    /// The name of its group.
    pub(super) group: String,
    pub(super) candidate: String,
    /// Healthy clients.
    clients: u32,
    pub(super) hostile: Hostile,
    /// What the server is told beside its log.
    server: Option<&'static str>,
    pub(super) duration: Duration,
    /// Descriptors that the load generator needs at most.
    pub(super) sockets: u32,
}

impl Scenario {
    /// Those that are measured when none is named.
    pub(super) const USUAL: [Self; 4] = [Self::Kinds, Self::Stalled, Self::Broken, Self::Flood];

    /// What is measured together in each repeat; each group begins with its case without hostile clients.
    pub(super) fn groups(self, args: &Args) -> Vec<Vec<Case>> {
        let flags = |name: &str, count, flags: String| {
            vec![(name.to_owned(), count, Hostile::Flags(flags))]
        };
        let half = args.clients / 2;
        let hostile = match self {
            Self::Kinds => args
                .kinds
                .iter()
                .flat_map(|kind| kind.hostile(args.clients))
                .collect(),
            Self::Broken => {
                let peer = |&kind| (name_of(&kind), broken::COUNT, Hostile::Broken(kind));
                args.broken.iter().map(peer).collect()
            }
            Self::Flood => flags("flooder", 1, "--flooders 1".into()),
            Self::Stalled | Self::Memory => {
                flags("stalled", half, format!("--stalled-clients {half}"))
            }
            Self::Attacks => {
                let attacks = attacks::all(args);
                let with_history = attacks.iter().filter(|one| one.is_with_history()).cloned();
                let hostile = |it: Attack| (it.name, it.connections, Hostile::Flags(it.flags));
                let with_history = with_history.map(hostile).collect();
                let attacks = attacks.into_iter().map(hostile).collect();
                return vec![
                    self.group(args, None, attacks),
                    self.group(args, Some("--history=1000"), with_history),
                ];
            }
        };
        vec![self.group(args, None, hostile)]
    }

    /// Healthy clients.
    fn clients(self, args: &Args) -> u32 {
        match self {
            Self::Stalled => 5 * args.clients,
            Self::Memory => args.clients * 9 / 2,
            Self::Attacks => (args.clients / 5).max(2),
            Self::Kinds | Self::Broken | Self::Flood => args.clients,
        }
    }

    /// What the load generator is told of the healthy.
    const fn load(self) -> &'static str {
        match self {
            // So long that the kernels do not hold for those who do not read all that they are owed.
            Self::Kinds | Self::Broken => "--rate 50 --size 1000 --warmup 1s",
            Self::Stalled => "--rate 100 --warmup 1s",
            Self::Flood => "--rate 20 --senders 10 --warmup 3s",
            Self::Attacks => "--rate 50 --warmup 1s",
            Self::Memory => "--rate 100 --size 1000 --warmup 1s",
        }
    }

    /// The case of nobody, and those with who is `hostile`: name, number of connections, what they do.
    fn group(
        self,
        args: &Args,
        server: Option<&'static str>,
        hostile: Vec<(String, u32, Hostile)>,
    ) -> Vec<Case> {
        let clients = self.clients(args);
        let name = name_of(&self);
        let group = server.map_or_else(|| name.clone(), |option| format!("{name} {option}"));
        let case = |(candidate, count, hostile)| Case {
            scenario: self,
            group: group.clone(),
            candidate,
            clients,
            hostile,
            server,
            duration: match self {
                Self::Memory => 10 * args.duration,
                _ => args.duration,
            },
            sockets: clients + count,
        };
        let nobody = (NOBODY.to_owned(), 0, Hostile::Nobody);
        [nobody].into_iter().chain(hostile).map(case).collect()
    }

    /// Those that are shown.
    fn figures(self) -> Vec<Figure> {
        match self {
            Self::Kinds => vec![P50, P99],
            Self::Broken => vec![P50, P99, CONNECTIONS],
            Self::Stalled => vec![P50, P99, RSS],
            Self::Flood => vec![P50, P99, RSS, CUT, FLOOD_RATE],
            Self::Attacks => vec![P50, P99, CUT, FLOOD_RATE, RSS, KERNEL_MEMORY],
            Self::Memory => vec![P50, P99, RSS, KERNEL_MEMORY],
        }
    }

    /// What the healthy may feel beside those that are hostile.
    fn limits(self) -> Vec<(Figure, Against, Limit)> {
        let ratio = |figure, most| (figure, Against::Ratio(NOBODY.into()), Limit::AtMost(most));
        let most = |figure, most| (figure, Against::Nothing, Limit::AtMost(most));
        match self {
            Self::Kinds | Self::Broken => vec![ratio(P50, RATIO_MAX), ratio(P99, RATIO_MAX)],
            Self::Stalled => vec![ratio(P99, STALLED_RATIO_MAX), most(RSS, RSS_MIB_MAX)],
            Self::Flood => vec![
                most(P99, FLOOD_P99_MS_MAX),
                most(RSS, RSS_MIB_MAX),
                (CUT, Against::Nothing, Limit::Never),
            ],
            Self::Attacks => vec![
                (
                    P99,
                    Against::Beyond(NOBODY.into()),
                    Limit::AtMost(ATTACK_P99_MS_MAX),
                ),
                (CUT, Against::Nothing, Limit::Never),
            ],
            Self::Memory => vec![
                ratio(P99, MEMORY_RATIO_MAX),
                most(KERNEL_MEMORY, MEMORY_KERNEL_MIB_MAX),
                most(RSS, MEMORY_RSS_MIB_MAX),
            ],
        }
    }
}

impl Kind {
    /// How many there are beside `clients` healthy ones (of churning ones, in a second), and what the load
    /// generator is told of them.
    fn hostile(self, clients: u32) -> [(String, u32, Hostile); 1] {
        let (tenth, fifth, half) = (clients / 10, clients / 5, clients / 2);
        let (count, flags) = match self {
            Self::Stalled => (tenth, format!("--stalled-clients {tenth}")),
            Self::Slow => (tenth, format!("--slow-clients {tenth}:2000")),
            Self::Churn => (fifth, format!("--churn {fifth}/s")),
            Self::Garbage => (tenth, format!("--garbage-clients {tenth}")),
            Self::HalfOpen => (half, format!("--half-open {half}")),
            Self::Herd => (half, format!("--reconnect-herd-at 0s:{half}")),
        };
        [(name_of(&self), count, Hostile::Flags(flags))]
    }
}

impl Case {
    /// What the load generator is told.
    pub(super) fn arguments(&self) -> Vec<String> {
        let hostile = match &self.hostile {
            Hostile::Flags(flags) => flags,
            _ => "",
        };
        let flags = format!(
            "--quiet --clients {} {} --duration {}ms {hostile}",
            self.clients,
            self.scenario.load(),
            self.duration.as_millis(),
        );
        process::words(&flags)
    }

    /// What the server is told.
    pub(super) fn server_arguments(&self, args: &Args) -> Vec<String> {
        let log = format!("--log-bytes={}", u64::from(LOG_MIB) << 20);
        let option = self.server.map(str::to_owned);
        let given = args.server_arg.iter().cloned();
        [log].into_iter().chain(option).chain(given).collect()
    }

    /// What the healthy may feel in this case, if anybody is hostile.
    pub(super) fn bounds(&self) -> Vec<Bound> {
        if self.hostile == Hostile::Nobody {
            return Vec::new();
        }
        let bound = |(figure, against, limit)| {
            Bound::new(&self.group, &self.candidate, figure, limit).against(against)
        };
        self.scenario.limits().into_iter().map(bound).collect()
    }
}

/// The section of a group of cases.
pub(super) fn section(group: &[Case]) -> Section {
    let scenario = group[0].scenario;
    let candidates = group.iter().map(|case| case.candidate.clone()).collect();
    Section::new(
        &group[0].group,
        help_of(&scenario),
        scenario.figures(),
        candidates,
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn groups(flags: &str) -> Vec<Vec<Case>> {
        let args = Args::parse_from(flags.split(' '));
        args.scenarios
            .iter()
            .flat_map(|one| one.groups(&args))
            .collect()
    }

    #[test]
    fn each_scenario_has_a_case_without_hostile_clients_and_its_others() {
        let groups = groups("hostile --kinds herd,slow --broken tls");
        let names: Vec<_> = groups
            .iter()
            .flatten()
            .map(|case| &*case.candidate)
            .collect();
        assert_eq!(
            names,
            [
                "nobody", "herd", "slow", "nobody", "stalled", "nobody", "tls", "nobody", "flooder"
            ]
        );
        let count = |at: usize| groups[at].iter().flat_map(Case::bounds).count();
        assert_eq!([0, 1, 2, 3].map(count), [4, 2, 2, 3]);
        let attacks = self::groups("hostile --scenarios attacks --attacks full");
        assert_eq!([0, 1].map(|at| attacks[at].len() - 1), [150, 30]);
        let attacks = self::groups("hostile --scenarios attacks");
        assert_eq!([0, 1].map(|at| attacks[at].len() - 1), [10, 6]);
    }

    #[test]
    fn the_load_generator_is_told_how_many_of_both() {
        let groups = groups("hostile --clients 1000 --scenarios stalled");
        let [nobody, stalled] = &groups[0][..] else {
            panic!("two cases");
        };
        assert_eq!(
            stalled.arguments().join(" "),
            "--quiet --clients 5000 --rate 100 --warmup 1s --duration 3000ms --stalled-clients 500"
        );
        assert_eq!(stalled.sockets, 5500);
        assert!(!nobody.arguments().join(" ").contains("stalled"));
    }

    #[test]
    fn a_flooder_is_none_of_the_kinds() {
        assert!(Args::try_parse_from(["hostile", "--kinds", "half-open,flooder"]).is_err());
        let groups = groups("hostile --scenarios kinds");
        assert_eq!(groups[0].len(), 1 + Kind::value_variants().len());
    }
}
