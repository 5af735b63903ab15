//! Warnings about a comparison: what else differs between the two sides, and what so few runs cannot
//! show. Each is a line.

use record::figures::{counted, rate};
use record::{Goal, Report};

/// A setting that both sides should have in common, as text.
type Setting = (&'static str, fn(&Report) -> String);

const SETTINGS: [Setting; 11] = [
    ("protocol", |report| report.protocol.to_string()),
    ("clients", |report| report.clients.to_string()),
    ("senders", |report| report.senders.to_string()),
    ("messages/s", |report| report.rate_requested.to_string()),
    ("bytes", |report| report.size_bytes.to_string()),
    ("arrival", |report| {
        format!("{:?}", report.arrival).to_lowercase()
    }),
    ("seconds measured", |report| {
        report.duration_seconds.to_string()
    }),
    ("processor", |report| {
        unknown(report.environment.cpu.as_ref())
    }),
    ("cores", |report| {
        report.environment.cores.unwrap_or_default().to_string()
    }),
    ("kernel", |report| {
        unknown(report.environment.kernel.as_ref())
    }),
    ("loadgen", |report| report.environment.loadgen.in_words()),
];

/// All warnings, the gravest first; so many figures are compared.
pub(super) fn all(a: &[Report], b: &[Report], figures: usize) -> Vec<String> {
    let sides = [("A", a), ("B", b)];
    let invalid = sides.into_iter().filter_map(invalid);
    let chosen = sides.into_iter().flat_map(chosen);
    let settings = SETTINGS.iter().filter_map(|setting| differs(setting, a, b));
    invalid
        .chain(chosen)
        .chain(settings)
        .chain([repeats(a, b, figures)])
        .collect()
}

fn invalid((name, reports): (&str, &[Report])) -> Option<String> {
    let all = reports.len() as u64;
    let count = reports.iter().filter(|report| !report.valid).count() as u64;
    (count > 0).then(|| {
        format!(
            "{name}: {count} of {} INVALID, so their figures say little",
            counted(all, "run")
        )
    })
}

/// Which of its steps stands for a sweep or a search.
fn chosen<'a>((name, reports): (&'a str, &'a [Report])) -> impl Iterator<Item = String> + 'a {
    let chosen = move |report: &'a Report| {
        let steps = report.steps.as_ref()?;
        let of = match steps.goal {
            Goal::Repeat => return None,
            Goal::Sweep => "sweep",
            Goal::FindMax => "search",
        };
        let why = match steps.steps.iter().any(|step| step.held) {
            true => "the fastest that held",
            false => "none held",
        };
        Some(format!(
            "{name}: of the {of} over {}, the one at {} messages/s is compared ({why})",
            counted(steps.steps.len() as u64, "rate"),
            rate(report.rate_requested)
        ))
    };
    reports.iter().filter_map(chosen)
}

fn differs((name, of): &Setting, a: &[Report], b: &[Report]) -> Option<String> {
    let values = |reports: &[Report]| {
        let mut values: Vec<_> = reports.iter().map(of).collect();
        values.sort();
        values.dedup();
        values.join(" and ")
    };
    let (a, b) = (values(a), values(b));
    (a != b).then(|| format!("{name} differ: {a} in A, {b} in B"))
}

/// What so many repeats can show.
fn repeats(a: &[Report], b: &[Report], figures: usize) -> String {
    let (of_a, of_b) = (a.len(), b.len());
    match (of_a, of_b) {
        (1, 1) => {
            "one run on each side says nothing about chance: make at least 4 of each".to_owned()
        }
        _ if super::shift::confidence(of_a, of_b) < super::shift::CONFIDENCE => format!(
            "{of_a} and {of_b} runs cannot show a difference with 95 % confidence, however large it is: make 4 and 4, or more"
        ),
        _ => format!(
            "{figures} figures are compared, and by chance alone about one in twenty would seem to differ; figures of the same run are not independent"
        ),
    }
}

fn unknown(text: Option<&String>) -> String {
    text.cloned().unwrap_or_else(|| "unknown".to_owned())
}
