//! The cases of a comparison: every load with every candidate, as `declared.rs` has them and the command
//! line wants them.

use std::time::Duration;

use crate::args::Args;
use crate::bound::{Against, Bound};
use crate::comparison::{self, Plot, Scenario};
use crate::declared::{Candidate, Declared, DeclaredPlot, Extent, Method, Section, Vary};
use crate::figure::Figure;
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
    /// Scenario and candidate: where it is told. Several if it is measured once for several sections.
    pub(crate) places: Vec<(String, String)>,
    /// With all that its server and the load generator are told, but for addresses and `load`.
    pub(crate) candidate: Candidate,
    pub(crate) load: Load,
    pub(crate) duration: Duration,
    /// It is not measured in later repeats.
    pub(crate) repeats_max: u32,
    pub(crate) section: Section,
}

const WARMUP_USUAL: Duration = Duration::from_secs(1);

/// Longer messages than this are to be allowed to the server.
const MESSAGE_BYTES_USUAL: u32 = 65_536;

/// Large messages come so seldom that all of them together are at most this, in bytes a second.
const BYTES_PER_SECOND_MAX: u32 = 256 << 20;

impl Declared {
    /// The study that `args` ask for, and its cases, in the groups that are measured together.
    pub(crate) fn study(&self, program: &str, args: &Args) -> (Study, Vec<Vec<Case>>) {
        let (extent, duration) = (self.extent(args), self.duration(args));
        let about = self.about.replace("{duration}", &format!("{duration:?}"));
        let about = about.replace("{clients}", &self.scaled(self.clients, args).to_string());
        let mut study = Study {
            repeats: args.repeats.unwrap_or(extent.repeats),
            time_limit: extent.time.map_or(Duration::MAX, |time| time.0),
            validity: self.validity,
            steady: self.steady.clone(),
            ..Study::new(program, &self.title, about)
        };
        let mut groups: Vec<Vec<Case>> = Vec::new();
        for section in self.sections.iter().filter(|it| self.is_chosen(it, args)) {
            for cases in self.declare(section, args, &mut study) {
                if self.by_load {
                    cases.into_iter().for_each(|case| add(&mut groups, case));
                } else {
                    groups.push(cases);
                }
            }
        }
        (study, groups)
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

    fn is_chosen(&self, section: &Section, args: &Args) -> bool {
        let chosen = [&args.scenarios, &self.extent(args).scenarios, &self.usual];
        let chosen = chosen.into_iter().find(|names| !names.is_empty());
        chosen.is_none_or(|names| names.contains(&section.name))
    }

    /// Adds a section to the study; its cases, by scenario.
    fn declare(&self, section: &Section, args: &Args, study: &mut Study) -> Vec<Vec<Case>> {
        let mut groups = Vec::new();
        let mut scenarios = Vec::new();
        for value in section.values(args) {
            let load = self.load(section, args, value);
            let cases = self.cases(section, args, load);
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
            scenarios.push(scenario);
            groups.push(match section.method {
                // One run measures both.
                Method::Pair | Method::Control => cases[..1].to_vec(),
                _ => cases,
            });
        }
        if let Some(first) = groups.first() {
            self.show(section, first[0].load, scenarios, study);
        }
        groups
    }

    /// Adds tables and plots of a section's scenarios, of which the first has this load.
    fn show(&self, section: &Section, load: Load, scenarios: Vec<Scenario>, study: &mut Study) {
        let about = section.about.replace("{rate}", &load.rate.to_string());
        let about = about.replace("{clients}", &load.clients.to_string());
        let figures = match &section.figures[..] {
            [] => &self.figures,
            _ => &section.figures,
        };
        let table = |title: String, scenarios| comparison::Section {
            title,
            about: about.clone(),
            figures: figures.clone(),
            scenarios,
        };
        let name = &scenarios[0].name;
        let title = section.title.as_ref().unwrap_or(name).clone();
        if !section.x_label.is_empty() {
            let plots = self.plots.iter().map(|plot| plot.of(section, &title));
            study.plots.extend(plots);
        }
        if section.a_table_each {
            let tables = scenarios
                .into_iter()
                .map(|it| table(it.name.clone(), vec![it]));
            study.sections.extend(tables);
        } else {
            study.sections.push(table(title, scenarios));
        }
    }

    /// The load of a section where what it varies is `value`.
    fn load(&self, section: &Section, args: &Args, value: u32) -> Load {
        let mut load = Load {
            clients: self.scaled(section.clients.unwrap_or(self.clients), args),
            stalled: 0,
            rate: section.rate,
            size: section.size,
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

    fn cases(&self, section: &Section, args: &Args, load: Load) -> Vec<Case> {
        let candidates = section.candidates.as_ref().unwrap_or(&self.candidates);
        let wanted = candidates.iter().filter(|one| {
            one.always || args.candidates.is_empty() || args.candidates.contains(&one.name)
        });
        let wanted: Vec<Candidate> = wanted.flat_map(Candidate::each).collect();
        let plain = [Candidate::default()];
        let variants = match &section.variants[..] {
            [] => &plain,
            variants => variants,
        };
        let pairs = variants
            .iter()
            .flat_map(|variant| wanted.iter().map(move |it| (it, variant)));
        pairs
            .map(|(one, variant)| self.case(section, args, load, one, variant))
            .collect()
    }

    fn case(
        &self,
        section: &Section,
        args: &Args,
        load: Load,
        candidate: &Candidate,
        variant: &Candidate,
    ) -> Case {
        let load = Load {
            size: variant.size.unwrap_or(load.size),
            ..load
        };
        let warmup = section
            .warmup
            .or(self.warmup)
            .map_or(WARMUP_USUAL, |time| time.0);
        let warmup = args.warmup.unwrap_or(warmup).as_millis();
        let told = [&self.load, &section.load, &candidate.load, &variant.load].map(|it| &**it);
        let told = with_shares(&told.join(" "), load.clients);
        let server = [&self.server, &candidate.server, &variant.server].map(|it| &**it);
        let mut server = server.join(" ");
        if load.size > MESSAGE_BYTES_USUAL {
            server += &format!(" --max-message-bytes={}", load.size);
        }
        let duration = self.duration(args);
        let most = section.duration_max.map_or(Duration::MAX, |time| time.0);
        let name = candidate.name.clone() + &variant.name;
        let candidate = Candidate {
            name: with_shares(&name, load.clients),
            load: format!("{told} --warmup {warmup}ms"),
            server: [vec![server], args.server_arg.clone()].concat().join(" "),
            ..candidate.clone()
        };
        Case {
            places: vec![(section.scenario(load), candidate.name.clone())],
            candidate,
            load,
            duration: duration.min(most) * section.times,
            repeats_max: match section.repeats_max {
                None => u32::MAX,
                Some((_, quick)) if args.quick => quick,
                Some((whole, _)) => whole,
            },
            section: section.clone(),
        }
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
        let mut values = values
            .into_iter()
            .find(|it| !it.is_empty())
            .unwrap_or_default()
            .to_vec();
        values.sort_unstable();
        values.dedup();
        values
    }

    /// The name of a scenario.
    fn scenario(&self, load: Load) -> String {
        if let Some(name) = &self.scenario {
            return name.replace("{rate}", &load.rate.to_string());
        }
        if self.vary.is_none() {
            return self.name.clone();
        }
        let stalled = match load.stalled {
            0 => String::new(),
            stalled => format!(" and {stalled} stalled"),
        };
        format!(
            "{}: {} clients{stalled} x {}/s of {} bytes",
            self.name, load.clients, load.rate, load.size
        )
    }
}

impl Vary {
    /// Where a load is on the horizontal axis.
    fn x(self, load: Load) -> f64 {
        match self {
            Self::Clients => f64::from(load.clients),
            Self::Rate => f64::from(load.rate),
            Self::Size => f64::from(load.size),
            Self::Stalled => {
                100.0 * f64::from(load.stalled) / f64::from(load.clients + load.stalled)
            }
        }
    }
}

impl DeclaredPlot {
    fn of(&self, section: &Section, title: &str) -> Plot {
        let floor = self.floor.as_ref().map(|(_, name)| format!(" and {name}"));
        let of_section = if section.a_table_each {
            ""
        } else {
            &*section.name
        };
        Plot {
            file: [of_section, "-", &self.name, ".svg"]
                .concat()
                .trim_start_matches('-')
                .to_owned(),
            title: match floor {
                Some(floor) => format!("{}{floor}, by {}", self.figure.name, section.x_label),
                None => format!("{} by {}", self.figure.name, section.x_label),
            },
            section: if section.a_table_each {
                String::new()
            } else {
                title.to_owned()
            },
            x_label: section.x_label.clone(),
            is_linear: section.vary == Some(Vary::Stalled),
            figure: self.figure.clone(),
            floor: self
                .floor
                .as_ref()
                .map(|(id, name)| (Figure::named(id).expect("a known figure"), name.clone())),
        }
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
                load: one.load.replace(&place, word),
                ..one.clone()
            };
            all = all
                .iter()
                .flat_map(|one| words.iter().map(move |word| with(one, word)))
                .collect();
        }
        all
    }
}

/// What has to hold in a scenario, of those candidates that are measured.
fn bounds(section: &Section, scenario: &Scenario, cases: &[Case]) -> Vec<Bound> {
    let is_measured = |name: &String| scenario.candidates.contains(name);
    let is_here = |bound: &&Bound| bound.at.is_none_or(|at| scenario.x == Some(f64::from(at)));
    let is_judged = |bound: &Bound| {
        is_measured(&bound.candidate)
            && match &bound.against {
                Against::Ratio(by) | Against::Beyond(by) => is_measured(by),
                Against::Nothing | Against::BestPeer => true,
            }
    };
    let mut bounds = Vec::new();
    for case in cases {
        for bound in section.bounds.iter().filter(is_here) {
            let is_of_all = bound.candidate.is_empty() && !case.candidate.always;
            if is_of_all || bound.candidate == case.candidate.name {
                bounds.push(Bound {
                    scenario: scenario.name.clone(),
                    candidate: case.candidate.name.clone(),
                    ..bound.clone()
                });
            }
        }
    }
    bounds.retain(is_judged);
    bounds
}

/// Adds a case to the group of its load; one that is there gets further places.
fn add(groups: &mut Vec<Vec<Case>>, case: Case) {
    let is_same = |one: &Case| {
        let told = |case: &Case| (case.candidate.server.clone(), case.candidate.load.clone());
        told(one) == told(&case)
    };
    match groups.iter_mut().find(|group| group[0].load == case.load) {
        None => groups.push(vec![case]),
        Some(group) => match group.iter_mut().find(|one| is_same(one)) {
            Some(one) => one.places.extend(case.places),
            None => group.push(case),
        },
    }
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

    fn study(program: &str, flags: &str) -> (Study, Vec<Vec<Case>>) {
        let declared = Declared::of(program);
        let words = [program].into_iter().chain(flags.split_whitespace());
        let args = Args::read(program, &declared, words).unwrap();
        declared.study(program, &args)
    }

    pub(crate) fn cases(program: &str, flags: &str) -> Vec<Case> {
        study(program, flags).1.concat()
    }

    /// The candidates of each scenario.
    fn names(program: &str, flags: &str) -> Vec<Vec<String>> {
        let (study, _) = study(program, flags);
        let scenarios = study
            .sections
            .into_iter()
            .flat_map(|section| section.scenarios);
        scenarios.map(|scenario| scenario.candidates).collect()
    }

    #[test]
    fn what_is_quick_is_less() {
        for program in ["curves", "drivers", "hostile", "peers"] {
            let ((whole, many), (quick, few)) = (study(program, ""), study(program, "--quick"));
            let extent = |groups: &[Vec<Case>], repeats| groups.concat().len() * repeats as usize;
            assert!(
                extent(&few, quick.repeats) < extent(&many, whole.repeats),
                "{program}"
            );
            assert!(quick.time_limit <= whole.time_limit, "{program}");
        }
        let searches = |flags| cases("peers", flags).pop().unwrap().repeats_max;
        assert_eq!(
            (
                searches("--candidates uringcast"),
                searches("--candidates uringcast --quick")
            ),
            (3, 1)
        );
    }

    #[test]
    fn what_is_given_is_taken_in_order() {
        let rates = |program: &str, flags: &str| -> Vec<u32> {
            cases(program, flags)
                .iter()
                .map(|case| case.load.rate)
                .collect()
        };
        let flags = "--rates 50,7,50 --scenarios rates --candidates nats";
        assert_eq!(rates("peers", flags), [7, 50]);
        assert_eq!(
            rates("curves", "--rates 50,7,50 --curves threads"),
            [7, 7, 50, 50]
        );
        assert_eq!(
            cases("curves", "--connections 9 --curves connections")[0]
                .load
                .clients,
            9
        );
        assert!(study("peers", flags).0.bounds.is_empty());
    }

    #[test]
    fn a_scenario_measures_each_driver_with_each_value_of_its_option() {
        let names = names(
            "drivers",
            "--drivers uring,tokio-uring --scenarios threads,low",
        );
        let threads = [
            "uring --threads=1",
            "tokio-uring --threads=1",
            "uring --threads=2",
            "tokio-uring --threads=2",
        ];
        assert_eq!(names, [vec!["uring", "tokio-uring"], threads.to_vec()]);
    }

    #[test]
    fn bounds_are_of_what_is_measured() {
        let count = |program, flags| study(program, flags).0.bounds.len();
        assert_eq!(count("drivers", "--scenarios cpu"), 5);
        assert_eq!(count("drivers", "--scenarios cpu --drivers uring"), 3);
        assert_eq!(count("drivers", "--scenarios coalesce"), 0);
        assert_eq!(count("peers", "--quick --candidates uringcast"), 4);
        assert_eq!(count("hostile", "--scenarios kinds --kinds herd,slow"), 4);
        assert_eq!(count("hostile", "--scenarios flood"), 3);
    }

    #[test]
    fn each_hostile_scenario_has_a_case_without_hostile_clients_and_its_others() {
        let all = names("hostile", "--kinds herd,slow,stalled,tls,flooder");
        let expected: [&[&str]; 4] = [
            &["nobody", "stalled", "slow", "herd"],
            &["nobody", "stalled"],
            &["nobody", "tls"],
            &["nobody", "flooder"],
        ];
        assert_eq!(all, expected);
        let attacks = |flags| {
            names("hostile", flags)
                .iter()
                .map(|it| it.len() - 1)
                .collect::<Vec<_>>()
        };
        assert_eq!(attacks("--scenarios attacks-full"), [150, 30]);
        assert_eq!(attacks("--scenarios attacks"), [10, 6]);
        let declared = Declared::of("hostile");
        assert!(Args::read("hostile", &declared, ["hostile", "--kinds", "nobody"]).is_err());
    }

    #[test]
    fn the_load_generator_is_told_how_many_of_both() {
        let flags = |flags| cases("hostile", flags)[1].flags();
        assert_eq!(
            flags("--scenarios stalled"),
            "--clients 5000 --rate 100 --size 64 --duration 3000ms   --stalled-clients 500  --warmup 1000ms"
        );
        assert!(flags("--scenarios stalled --clients 20").contains("--clients 100 "));
        assert!(flags("--scenarios kinds --clients 20 --kinds churn").contains("--churn 4/s"));
        assert!(flags("--scenarios attacks --clients 20").contains("--slow-clients 1:1B/s"));
    }

    #[test]
    fn a_point_of_several_curves_is_measured_once_and_told_on_each() {
        let (study, groups) = study("curves", "");
        let scenarios = study.sections.iter().flat_map(|section| &section.scenarios);
        let told: usize = scenarios.map(|scenario| scenario.candidates.len()).sum();
        let places: usize = groups.concat().iter().map(|case| case.places.len()).sum();
        assert_eq!(told, places);
        assert!(groups.concat().len() < told);
        let at_100 = groups
            .iter()
            .find(|it| (it[0].load.clients, it[0].load.rate) == (5000, 100));
        let lines = at_100.unwrap().iter().map(|case| {
            case.places
                .iter()
                .map(|(_, line)| &**line)
                .collect::<Vec<_>>()
        });
        let expected: [&[&str]; 4] = [
            &["server", "uring", "1 thread"],
            &["tokio-uring"],
            &["epoll"],
            &["2 threads"],
        ];
        assert_eq!(lines.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn large_messages_come_seldom_and_are_allowed_to_the_server() {
        let cases = cases("curves", "--curves size --sizes 56,65536,262144,1048576");
        let rates: Vec<u32> = cases.iter().map(|case| case.load.rate).collect();
        assert_eq!(rates, [50, 20, 5, 1]);
        assert!(
            cases[3]
                .candidate
                .server
                .contains("--max-message-bytes=1048576")
        );
        assert!(!cases[1].candidate.server.contains("--max-message-bytes"));
    }

    #[test]
    fn the_share_of_stalled_clients_is_of_all_connections() {
        let (study, _) = study("curves", "--curves stalled");
        let scenarios = study.sections[0].scenarios.iter();
        let xs: Vec<f64> = scenarios.map(|scenario| scenario.x.unwrap()).collect();
        for (x, percent) in xs.into_iter().zip([0.0, 1.0, 10.0, 25.0, 40.0, 50.0]) {
            assert!((x - percent).abs() < 1.0, "{x}");
        }
    }
}
