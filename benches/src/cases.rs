//! The cases of a comparison: every load with every candidate, as `declared.rs` has them and the command
//! line wants them.

use std::time::Duration;

use crate::args::Args;
use crate::bound::{Against, Bound};
use crate::comparison::{self, Comparison, Scenario};
use crate::declared::{Candidate, Declared, Extent, Method, RATE_USUAL, Section, Vary};
use crate::host::Host;
use crate::study::Study;

/// What the load generator does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) clients: u32,
    /// Further clients that join and never read.
    pub(crate) stalled: u32,
    /// Messages a second in all.
    pub(crate) rate: u32,
    /// Bytes of a message.
    pub(crate) size: u32,
}

/// What one run measures.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Case {
    pub(crate) scenario: String,
    /// With all that its server and the load generator are told, but for addresses and `load`.
    pub(crate) candidate: Candidate,
    pub(crate) load: Load,
    pub(crate) duration: Duration,
    /// It is not measured in later repeats.
    pub(crate) repeats_max: u32,
    pub(crate) section: Section,
}

const SIZE_USUAL: u32 = 64;
const WARMUP_USUAL: Duration = Duration::from_secs(1);

/// Longer messages than this are to be allowed to the server.
const MESSAGE_BYTES_USUAL: u32 = 65_536;

/// Large messages come so seldom that all of them together are at most this, in bytes a second.
const BYTES_PER_SECOND_MAX: u32 = 256 << 20;

impl Declared {
    /// The study that `args` ask for.
    pub(crate) fn study(&self, program: &str, args: &Args) -> Study<Case> {
        let extent = self.extent(args);
        let words: Vec<String> = std::env::args().skip(1).collect();
        let clients = self.scaled(self.clients, args).to_string();
        let about = self.about.replace("{clients}", &clients);
        let mut study = Study {
            comparison: Comparison {
                title: self.title.clone(),
                command: format!("{program} {}", words.join(" ")).trim().to_owned(),
                about: about.replace("{duration}", &format!("{:?}", self.duration(args))),
                commit: loadgen::commit().map(str::to_owned),
                host: Host::this(),
                repeats: args.repeats.unwrap_or(extent.repeats),
                validity: self.validity,
                ..Comparison::default()
            },
            bounds: Vec::new(),
            time_limit: extent.time.map_or(Duration::MAX, |time| time.0),
            groups: Vec::new(),
        };
        for section in self.sections.iter().filter(|it| self.is_chosen(it, args)) {
            self.declare(section, args, &mut study);
        }
        let sections = &study.comparison.sections;
        let is_shown = |title: &String| sections.iter().any(|it| it.title == *title);
        let plots = self.plots.iter();
        let plots = plots.filter(|it| it.section.is_empty() || is_shown(&it.section));
        study.comparison.plots = plots.cloned().collect();
        study
    }

    fn extent(&self, args: &Args) -> &Extent {
        let quick = self.quick.as_ref().filter(|_| args.quick);
        quick.unwrap_or(&self.whole)
    }

    fn duration(&self, args: &Args) -> Duration {
        args.duration.unwrap_or(self.extent(args).duration.0)
    }

    /// `clients` in proportion to those asked for.
    fn scaled(&self, clients: u32, args: &Args) -> u32 {
        let asked = u64::from(args.clients.unwrap_or(self.clients));
        let scaled = u64::from(clients) * asked / u64::from(self.clients);
        u32::try_from(scaled).unwrap_or(u32::MAX).max(2)
    }

    pub(crate) fn is_chosen(&self, section: &Section, args: &Args) -> bool {
        let chosen = [&args.scenarios, &self.extent(args).scenarios, &self.usual];
        let chosen = chosen.into_iter().find(|names| !names.is_empty());
        chosen.is_none_or(|names| names.contains(&section.name))
    }

    /// Adds a section, with its cases, to the study.
    fn declare(&self, section: &Section, args: &Args, study: &mut Study<Case>) {
        for value in section.values(args) {
            let load = self.load(section, args, value);
            let mut cases = self.cases(section, args, load);
            if cases.iter().all(|case| case.candidate.always) {
                continue;
            }
            let names = cases.iter().map(|case| case.candidate.name.clone());
            let scenario = Scenario {
                name: section.scenario(load),
                x: section.vary.map(|vary| vary.x(load)),
                candidates: names.collect(),
            };
            study.bounds.extend(bounds(section, &scenario, &cases));
            let sections = &mut study.comparison.sections;
            match (&section.title, sections.last_mut()) {
                (Some(title), Some(table)) if table.title == *title => {
                    table.scenarios.push(scenario);
                }
                (title, _) => sections.push(comparison::Section {
                    title: title.as_ref().unwrap_or(&scenario.name).clone(),
                    about: load.told_in(&section.about),
                    figures: section.figures.as_ref().unwrap_or(&self.figures).clone(),
                    scenarios: vec![scenario],
                }),
            }
            if matches!(section.method, Method::Pair | Method::Control) {
                // One run measures both.
                cases.truncate(1);
            }
            let mut groups = study.groups.iter_mut();
            match groups.find(|group| self.by_load && group[0].load == load) {
                Some(group) => group.extend(cases),
                None => study.groups.push(cases),
            }
        }
    }

    /// The load of a section where what it varies is `value`.
    fn load(&self, section: &Section, args: &Args, value: u32) -> Load {
        let mut load = Load {
            clients: self.scaled(section.clients.unwrap_or(self.clients), args),
            stalled: 0,
            rate: section.rate.unwrap_or(RATE_USUAL),
            size: section.size.unwrap_or(SIZE_USUAL),
        };
        match section.vary {
            None => load.rate = args.rates.first().copied().unwrap_or(load.rate),
            Some(Vary::Clients) => load.clients = value,
            Some(Vary::Rate) => load.rate = value,
            Some(Vary::Size) => {
                let bytes = load.clients.saturating_mul(value);
                load.size = value;
                load.rate = load.rate.min((BYTES_PER_SECOND_MAX / bytes).max(1));
            }
            Some(Vary::Stalled) => {
                load.stalled = (load.clients * value).div_ceil(100 - value);
            }
        }
        load
    }

    /// The candidates that are wanted: by their names, or the first words of these.
    fn cases(&self, section: &Section, args: &Args, load: Load) -> Vec<Case> {
        let is_wanted = |one: &Candidate| {
            let first = one.name.split(' ').next().unwrap_or_default();
            let is_named = |name: &String| *name == one.name || name == first;
            one.always || args.candidates.is_empty() || args.candidates.iter().any(is_named)
        };
        let candidates = section.candidates.as_ref().unwrap_or(&self.candidates);
        let candidates = candidates.iter().flat_map(Candidate::each);
        let case = |candidate| self.case(section, args, load, candidate);
        candidates.filter(is_wanted).map(case).collect()
    }

    fn case(&self, section: &Section, args: &Args, load: Load, candidate: Candidate) -> Case {
        let size = candidate.size.unwrap_or(load.size);
        let load = Load { size, ..load };
        let warmup = args
            .warmup
            .or(section.warmup.or(self.warmup).map(|it| it.0));
        let warmup = warmup.unwrap_or(WARMUP_USUAL).as_millis();
        let told = [&*self.load, &section.load, &candidate.load].join(" ");
        let given = args.server_arg.join(" ");
        let mut server = [&*self.server, &section.server, &candidate.server, &given].join(" ");
        if load.size > MESSAGE_BYTES_USUAL {
            server += &format!(" --max-message-bytes={}", load.size);
        }
        Case {
            scenario: section.scenario(load),
            candidate: Candidate {
                name: with_shares(&candidate.name, load.clients),
                load: format!("{} --warmup {warmup}ms", with_shares(&told, load.clients)),
                server,
                ..candidate
            },
            load,
            duration: self.duration(args).mul_f64(section.times.unwrap_or(1.0)),
            repeats_max: match section.repeats_max {
                None => u32::MAX,
                Some((_, quick)) if args.quick => quick,
                Some((whole, _)) => whole,
            },
            section: section.clone(),
        }
    }
}

impl Load {
    /// `text` with its numbers.
    fn told_in(self, text: &str) -> String {
        text.replace("{clients}", &self.clients.to_string())
            .replace("{stalled}", &self.stalled.to_string())
            .replace("{rate}", &self.rate.to_string())
            .replace("{size}", &self.size.to_string())
    }
}

impl Section {
    /// What the scenarios differ in: what was given, in order, or else what is usual.
    fn values(&self, args: &Args) -> Vec<u32> {
        let given: &[u32] = match self.vary {
            None => return vec![0],
            Some(Vary::Clients) => &args.connections,
            Some(Vary::Rate) => &args.rates,
            Some(Vary::Size) => &args.sizes,
            Some(Vary::Stalled) => &[],
        };
        let quick = if args.quick { &self.quick[..] } else { &[] };
        let values = [given, quick, &self.values];
        let values = values.into_iter().find(|it| !it.is_empty());
        let mut values = values.unwrap_or_default().to_vec();
        values.sort_unstable();
        values.dedup();
        values
    }

    /// The name of a scenario.
    fn scenario(&self, load: Load) -> String {
        load.told_in(self.scenario.as_ref().unwrap_or(&self.name))
    }
}

impl Vary {
    /// Where a load is on the horizontal axis.
    fn x(self, load: Load) -> f64 {
        f64::from(match self {
            Self::Clients => load.clients,
            Self::Rate => load.rate,
            Self::Size => load.size,
            Self::Stalled => {
                let (stalled, clients) = (f64::from(load.stalled), f64::from(load.clients));
                return 100.0 * stalled / (clients + stalled);
            }
        })
    }
}

impl Candidate {
    /// A candidate for each combination of its words.
    fn each(&self) -> Vec<Self> {
        let mut all = vec![self.clone()];
        for (at, words) in self.each.iter().enumerate() {
            let place = format!("{{{at}}}");
            let with = |one: &Self, word: &String| Self {
                name: one.name.replace(&place, word),
                server: one.server.replace(&place, word),
                load: one.load.replace(&place, word),
                ..one.clone()
            };
            let each = |one| words.iter().map(move |word| with(one, word));
            all = all.iter().flat_map(each).collect();
        }
        all
    }
}

/// What has to hold in a scenario, of those candidates that are measured.
fn bounds(section: &Section, scenario: &Scenario, cases: &[Case]) -> Vec<Bound> {
    let mut bounds = Vec::new();
    for candidate in cases.iter().map(|case| &case.candidate) {
        let is_judged = |bound: &&Bound| {
            let is_here = bound.at.is_none_or(|at| scenario.x == Some(f64::from(at)));
            let is_of_all = bound.candidate.is_empty() && !candidate.always;
            let is_possible = match &bound.against {
                Against::Ratio(by) | Against::Beyond(by) => scenario.candidates.contains(by),
                Against::Nothing | Against::BestPeer => true,
            };
            is_here && is_possible && (is_of_all || bound.candidate == candidate.name)
        };
        let of_candidate = |bound: &Bound| Bound {
            scenario: scenario.name.clone(),
            candidate: candidate.name.clone(),
            ..bound.clone()
        };
        bounds.extend(section.bounds.iter().filter(is_judged).map(of_candidate));
    }
    bounds
}

/// `text` with the numbers for its shares of `clients`.
fn with_shares(text: &str, clients: u32) -> String {
    let mut text = text.to_owned();
    while let Some(end) = text.find("%}") {
        let begin = text[..end].rfind('{').expect("a share begins with a brace");
        let percent: f64 = text[begin + 1..end].parse().expect("a share is a number");
        let count = (percent * f64::from(clients) / 100.0).round().max(1.0);
        text.replace_range(begin..end + 2, &count.to_string());
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn study(program: &str, flags: &str) -> Study<Case> {
        let declared = Declared::of(program);
        let words = [program].into_iter().chain(flags.split_whitespace());
        let args = Args::read(|args| declared.command(program, args), words).unwrap();
        declared.study(program, &args)
    }

    pub(crate) fn cases(program: &str, flags: &str) -> Vec<Case> {
        study(program, flags).groups.concat()
    }

    /// The candidates of each scenario.
    fn names(program: &str, flags: &str) -> Vec<Vec<String>> {
        let sections = study(program, flags).comparison.sections.into_iter();
        let scenarios = sections.flat_map(|section| section.scenarios);
        scenarios.map(|scenario| scenario.candidates).collect()
    }

    fn rates(program: &str, flags: &str) -> Vec<u32> {
        let cases = cases(program, flags);
        cases.iter().map(|case| case.load.rate).collect()
    }

    #[test]
    fn what_is_quick_is_less() {
        for program in ["curves", "drivers", "hostile", "peers"] {
            let extent = |flags| {
                let study = study(program, flags);
                let repeats = study.comparison.repeats as usize;
                (study.groups.concat().len() * repeats, study.time_limit)
            };
            let (quick, whole) = (extent("--quick"), extent(""));
            assert!(quick.0 < whole.0 && quick.1 <= whole.1, "{program}");
        }
        let searches = |flags| cases("peers", flags).pop().unwrap().repeats_max;
        assert_eq!([searches(""), searches("--quick")], [3, 1]);
    }

    #[test]
    fn what_is_given_is_taken_in_order() {
        let flags = "--rates 50,7,50 --scenarios rates --candidates nats";
        assert_eq!(rates("peers", flags), [7, 50]);
        assert!(study("peers", flags).bounds.is_empty());
        let flags = "--rates 50,7,50 --curves threads";
        assert_eq!(rates("curves", flags), [7, 7, 50, 50]);
        let flags = "--connections 9 --curves connections";
        assert_eq!(cases("curves", flags)[0].load.clients, 9);
    }

    #[test]
    fn a_scenario_measures_each_driver_with_each_value_of_its_option() {
        let flags = "--drivers uring,tokio-uring --scenarios threads";
        let uring = ["uring --threads=1", "tokio-uring --threads=1"];
        let with_two = ["uring --threads=2", "tokio-uring --threads=2"];
        assert_eq!(names("drivers", flags), [[uring, with_two].concat()]);
    }

    #[test]
    fn bounds_are_of_what_is_measured() {
        for (program, flags, count) in [
            ("drivers", "--scenarios cpu", 5),
            ("drivers", "--scenarios cpu --drivers uring", 3),
            ("drivers", "--scenarios coalesce", 0),
            ("peers", "--quick --candidates uringcast", 4),
            ("hostile", "--scenarios kinds --kinds herd,slow", 4),
            ("hostile", "--scenarios flood", 3),
        ] {
            let bounds = study(program, flags).bounds;
            assert_eq!(bounds.len(), count, "{program} {flags}");
        }
    }

    #[test]
    fn each_hostile_scenario_has_a_case_without_hostile_clients_and_its_others() {
        let all = names("hostile", "--kinds herd,slow,stalled,tls,flooder");
        let kinds = ["nobody", "stalled", "slow", "herd"];
        let expected: [&[&str]; 4] = [
            &kinds,
            &["nobody", "stalled"],
            &["nobody", "tls"],
            &["nobody", "flooder"],
        ];
        assert_eq!(all, expected);
        let attacks = |flags| {
            let [plain, with_history] = &names("hostile", flags)[..] else {
                panic!("two scenarios");
            };
            [plain.len() - 1, with_history.len() - 1]
        };
        assert_eq!(attacks("--scenarios attacks-full"), [150, 30]);
        assert_eq!(attacks("--scenarios attacks"), [10, 6]);
        let declared = Declared::of("hostile");
        let command = |args| declared.command("hostile", args);
        assert!(Args::read(command, ["hostile", "--kinds", "nobody"]).is_err());
    }

    #[test]
    fn the_load_generator_is_told_how_many_of_both() {
        for (flags, told) in [
            (
                "stalled",
                "--clients 5000 --rate 100 --size 64 --duration 3000ms",
            ),
            ("stalled", "--stalled-clients 500"),
            ("stalled --clients 20", "--clients 100 "),
            ("kinds --clients 20 --kinds churn", "--churn 4/s"),
            ("attacks --clients 20", "--slow-clients 1:1B/s"),
        ] {
            let flags = cases("hostile", &format!("--scenarios {flags}"))[1].flags();
            assert!(flags.contains(told), "{told}: {flags}");
        }
    }

    #[test]
    fn points_of_one_load_are_measured_together_and_told_on_each_curve() {
        let Study {
            comparison, groups, ..
        } = study("curves", "");
        let is_main = |group: &&Vec<Case>| {
            let load = group[0].load;
            (load.clients, load.rate, load.size) == (5000, 100, 64)
        };
        assert_eq!(groups.iter().filter(is_main).count(), 1);
        let sections = comparison.sections.iter();
        let scenarios = sections.flat_map(|section| &section.scenarios);
        let told: usize = scenarios.map(|scenario| scenario.candidates.len()).sum();
        assert_eq!(told, groups.concat().len());

        let main = groups.iter().find(is_main).unwrap().iter();
        let lines: Vec<_> = main.map(|case| &*case.candidate.name).collect();
        let expected = "server uring tokio-uring epoll 1 thread 2 threads";
        assert_eq!(lines.join(" "), expected);
    }

    #[test]
    fn large_messages_come_seldom_and_are_allowed_to_the_server() {
        let flags = "--curves size --sizes 56,65536,262144,1048576";
        assert_eq!(rates("curves", flags), [50, 20, 5, 1]);
        let cases = cases("curves", flags);
        let told = |at: usize| cases[at].candidate.server.contains("--max-message-bytes=");
        assert_eq!([told(0), told(1), told(3)], [false, false, true]);
    }

    #[test]
    fn the_share_of_stalled_clients_is_of_all_connections() {
        let sections = study("curves", "--curves stalled").comparison.sections;
        let scenarios = sections[0].scenarios.iter();
        let xs = scenarios.map(|scenario| scenario.x.unwrap());
        for (x, percent) in xs.zip([0.0, 1.0, 10.0, 25.0, 40.0, 50.0]) {
            assert!((x - percent).abs() < 1.0, "{x}");
        }
    }
}
