//! The verdict: whether a measurement may be believed, and if not, why not.
//!
//! A problem makes it INVALID: the figures do not say what they seem to. A note does not, but whoever
//! reads the figures should know.

use crate::clock::MILLISECOND_NS;
use crate::latency::{Percentiles, Unrecorded};
use crate::ledger::{Account, Audit};
use crate::report::GeneratorThread;

mod wording;

/// A message that is sent later than this is not on time.
pub(crate) const SEND_LAG_MAX_NS: u64 = 100 * MILLISECOND_NS;

/// The share of messages that need not be on time.
const LATE_SHARE_MAX: f64 = 0.01;

/// Percentiles up to the 99th are shown, so at least one sample must lie beyond it.
const SAMPLES_MIN: u64 = 100;

/// The generator's loop has no time left when it works nearly always.
const BUSY_SHARE_MAX: f64 = 0.98;

/// A thread that is ready to run and does not for more than this share of the time lacks a processor:
/// what it could have done by itself is not known.
const WAITED_SHARE_MAX: f64 = 0.2;

/// With more than this share of all deliveries still owed when the sending ends, whoever is the
/// bottleneck did not keep up: the latencies then say how long was measured, not how fast it is.
/// A run of 10 seconds reaches it with 2.5 seconds of backlog.
const BACKLOG_SHARE_MAX: f64 = 0.25;

/// A backlog of less than this many seconds is what is on its way, even if the run was short.
const BACKLOG_SECONDS_MIN: f64 = 0.5;

/// With more than this share owed, a reader should know.
const BACKLOG_SHARE_NOTED: f64 = 0.05;

/// What is judged.
#[derive(Debug, Clone)]
pub(crate) struct Evidence<'a> {
    pub(crate) audit: Audit,
    pub(crate) corrupt: u64,
    pub(crate) foreign: u64,
    pub(crate) clients: u64,
    pub(crate) departed: u64,
    pub(crate) departures_in_words: &'a str,
    /// Whether the measured time was gone through to its end.
    pub(crate) completed: bool,
    pub(crate) server_ended: bool,
    pub(crate) rate_requested: f64,
    pub(crate) rate_achieved: f64,
    /// Measured messages that were to be sent.
    pub(crate) messages: u64,
    pub(crate) delivery: Percentiles,
    pub(crate) completion: Percentiles,
    pub(crate) send_lag: Percentiles,
    pub(crate) unrecorded: Unrecorded,
    /// Of the load generator.
    pub(crate) threads: &'a [GeneratorThread],
    /// Deliveries owed when the sending ended.
    pub(crate) backlog_at_end: u64,
}

/// Why a measurement is INVALID.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Problem {
    /// So many clients were gone that the run was cut short.
    CutShort,
    /// The server's process ended, or another one took its place.
    ServerEnded,
    /// Every client was disconnected, which a server that ends or is restarted comes to.
    EveryClientLost {
        count: u64,
        clients: u64,
        how: String,
    },
    /// Some clients were disconnected.
    ClientsLost {
        count: u64,
        how: String,
    },
    /// Deliveries never came.
    Lost {
        while_connected: u64,
        to_disconnects: u64,
    },
    Duplicated(u64),
    Reordered(u64),
    Corrupt(u64),
    /// Messages came back to their authors.
    Echoed(u64),
    /// Messages were due and could not be sent.
    Unsent(u64),
    /// One of these befell the warm-up.
    WarmUp(Account),
    /// Fewer messages were sent on time than the schedule asks for.
    ScheduleSlipped {
        requested: f64,
        achieved: f64,
        lag_p99_ms: Option<f64>,
    },
    /// The load generator was the bottleneck.
    GeneratorBound {
        /// Counted from 1, and of how many.
        thread: usize,
        threads: usize,
        busy_share: f64,
        turn_p99_ms: Option<f64>,
    },
    /// The load generator had too much to do only because others had the processors.
    CpuTaken {
        thread: usize,
        threads: usize,
        ran_share: f64,
        waited_share: f64,
    },
    /// A backlog was left when the sending ended, and it was not the generator's.
    NotKeptUp {
        deliveries: u64,
        share: f64,
        seconds: f64,
    },
    /// Too few deliveries for the percentiles that are shown.
    TooFewSamples {
        count: u64,
    },
    /// Times that no histogram could take.
    Unrecorded(Unrecorded),
}

/// What a reader should know.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Note {
    /// Too few broadcasts for the tail of their completion.
    ThinTail { messages: u64 },
    /// The server was falling behind, so the latencies depend on how long was measured.
    FellBehind { deliveries: u64, seconds: f64 },
    /// Others used the same server.
    Foreign(u64),
}

/// All problems, the gravest first.
pub(crate) fn problems(evidence: &Evidence<'_>) -> Vec<Problem> {
    problems_of_the_run(evidence)
        .into_iter()
        .chain(problems_of_the_ledger(evidence))
        .chain(problems_of_the_measurement(evidence))
        .filter_map(|(applies, problem)| applies.then_some(problem))
        .collect()
}

/// What ended before its time.
fn problems_of_the_run(evidence: &Evidence<'_>) -> [(bool, Problem); 3] {
    let (count, how) = (evidence.departed, evidence.departures_in_words.to_owned());
    // A run ends when the last but one has gone, whether or not that one would have followed.
    let clients = evidence.clients;
    let clients_lost = if count >= clients || (clients > 2 && count + 1 == clients) {
        Problem::EveryClientLost {
            count,
            clients,
            how,
        }
    } else {
        Problem::ClientsLost { count, how }
    };
    [
        (!evidence.completed, Problem::CutShort),
        (evidence.server_ended, Problem::ServerEnded),
        (evidence.departed > 0, clients_lost),
    ]
}

/// What was not delivered once, in order, and as it was sent.
fn problems_of_the_ledger(evidence: &Evidence<'_>) -> [(bool, Problem); 7] {
    let Audit { warmup, measured } = evidence.audit;
    let lost = Problem::Lost {
        while_connected: measured.lost_while_connected,
        to_disconnects: measured.lost_to_disconnects,
    };
    let counted = |count: u64, problem: fn(u64) -> Problem| (count > 0, problem(count));
    [
        (measured.lost() > 0, lost),
        counted(measured.duplicated, Problem::Duplicated),
        counted(measured.reordered, Problem::Reordered),
        counted(evidence.corrupt, Problem::Corrupt),
        counted(measured.echoed, Problem::Echoed),
        counted(measured.unsent, Problem::Unsent),
        (!warmup.is_clean(), Problem::WarmUp(warmup)),
    ]
}

/// What keeps the figures from saying what they seem to.
fn problems_of_the_measurement(evidence: &Evidence<'_>) -> Vec<(bool, Problem)> {
    let schedule_slipped = Problem::ScheduleSlipped {
        requested: evidence.rate_requested,
        achieved: evidence.rate_achieved,
        lag_p99_ms: evidence.send_lag.p99,
    };
    let not_kept_up = Problem::NotKeptUp {
        deliveries: evidence.backlog_at_end,
        share: backlog_share(evidence),
        seconds: backlog_seconds(evidence),
    };
    let count = evidence.delivery.count;
    let unrecorded = evidence.unrecorded;
    let mut problems = vec![(slipped(evidence), schedule_slipped)];
    problems.extend(problems_of_the_threads(evidence).map(|problem| (true, problem)));
    problems.extend([
        (is_server_bound(evidence), not_kept_up),
        (count < SAMPLES_MIN, Problem::TooFewSamples { count }),
        (
            unrecorded != Unrecorded::default(),
            Problem::Unrecorded(unrecorded),
        ),
    ]);
    problems
}

/// Which threads of the load generator could not do their work in time, and why.
fn problems_of_the_threads(evidence: &Evidence<'_>) -> impl Iterator<Item = Problem> {
    let threads = evidence.threads.len();
    let late = slipped(evidence) || fell_behind(evidence);
    let behind = fell_behind(evidence);
    (1..)
        .zip(evidence.threads)
        .filter_map(move |(number, thread)| {
            let waited_share = thread.waited_share.unwrap_or(0.0);
            if late && waited_share > WAITED_SHARE_MAX {
                return Some(Problem::CpuTaken {
                    thread: number,
                    threads,
                    ran_share: thread.ran_share.unwrap_or(0.0),
                    waited_share,
                });
            }
            (behind && is_busy(thread)).then_some(Problem::GeneratorBound {
                thread: number,
                threads,
                busy_share: thread.busy_share,
                turn_p99_ms: thread.turn_ms.p99,
            })
        })
}

/// All notes.
pub(crate) fn notes(evidence: &Evidence<'_>) -> Vec<Note> {
    let mut notes = Vec::new();
    if evidence.completion.count < 1000 {
        notes.push(Note::ThinTail {
            messages: evidence.completion.count,
        });
    }
    // Beyond the limit it is a problem, and said as one.
    if is_backlog(evidence, BACKLOG_SHARE_NOTED) && !fell_behind(evidence) {
        notes.push(Note::FellBehind {
            deliveries: evidence.backlog_at_end,
            seconds: backlog_seconds(evidence),
        });
    }
    if evidence.foreign > 0 {
        notes.push(Note::Foreign(evidence.foreign));
    }
    notes
}

/// Whether more messages were late than may be. A rate that is no whole number of messages is off by
/// a part of one.
fn slipped(evidence: &Evidence<'_>) -> bool {
    let seconds = evidence.messages as f64 / evidence.rate_requested;
    let late = (evidence.rate_requested - evidence.rate_achieved) * seconds;
    late > (evidence.messages as f64 * LATE_SHARE_MAX).max(1.0)
}

/// A loop that never rests is no fault of its own as long as the server keeps up through it: it may
/// just be that there is always something to read. It is one when a backlog has built up.
fn is_busy(thread: &GeneratorThread) -> bool {
    thread.busy_share > BUSY_SHARE_MAX
}

/// A backlog while the generator had time to spare was the server's.
fn is_server_bound(evidence: &Evidence<'_>) -> bool {
    fell_behind(evidence) && problems_of_the_threads(evidence).next().is_none()
}

fn fell_behind(evidence: &Evidence<'_>) -> bool {
    is_backlog(evidence, BACKLOG_SHARE_MAX)
}

fn is_backlog(evidence: &Evidence<'_>, share_max: f64) -> bool {
    backlog_share(evidence) > share_max && backlog_seconds(evidence) > BACKLOG_SECONDS_MIN
}

fn backlog_share(evidence: &Evidence<'_>) -> f64 {
    let expected = evidence.audit.measured.expected as f64;
    evidence.backlog_at_end as f64 / expected.max(1.0)
}

/// How long the server would have had to deliver the backlog at the rate that was asked for.
fn backlog_seconds(evidence: &Evidence<'_>) -> f64 {
    let seconds = evidence.messages as f64 / evidence.rate_requested;
    backlog_share(evidence) * seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percentiles(p99: f64, count: u64) -> Percentiles {
        Percentiles {
            p99: Some(p99),
            count,
            ..Percentiles::default()
        }
    }

    const IDLE: GeneratorThread = GeneratorThread {
        busy_share: 0.5,
        ran_share: Some(0.48),
        waited_share: Some(0.02),
        turn_ms: Percentiles {
            p50: None,
            p90: None,
            p99: Some(1.0),
            p999: None,
            max: None,
            mean: None,
            count: 5000,
        },
    };

    const BUSY: GeneratorThread = GeneratorThread {
        busy_share: 1.0,
        ran_share: Some(0.97),
        ..IDLE
    };

    fn good() -> Evidence<'static> {
        let measured = Account {
            sent: 1000,
            expected: 9000,
            delivered: 9000,
            ..Account::default()
        };
        Evidence {
            audit: Audit {
                measured,
                ..Audit::default()
            },
            corrupt: 0,
            foreign: 0,
            clients: 10,
            departed: 0,
            departures_in_words: "",
            completed: true,
            server_ended: false,
            rate_requested: 100.0,
            rate_achieved: 100.0,
            messages: 1000,
            delivery: percentiles(20.0, 9000),
            completion: percentiles(30.0, 1000),
            send_lag: percentiles(0.1, 1000),
            unrecorded: Unrecorded::default(),
            threads: &[IDLE],
            backlog_at_end: 10,
        }
    }

    fn only_problem(evidence: &Evidence<'_>) -> Problem {
        let mut found = problems(evidence);
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    #[test]
    fn a_clean_run_is_valid_and_needs_no_note() {
        assert_eq!(problems(&good()), []);
        assert_eq!(notes(&good()), []);
    }

    #[test]
    fn each_entry_of_the_ledger_is_a_problem_of_its_own() {
        let mut evidence = good();
        evidence.audit.measured.lost_while_connected = 2;
        evidence.audit.measured.duplicated = 1;
        evidence.audit.measured.reordered = 3;
        evidence.audit.measured.echoed = 4;
        evidence.audit.measured.unsent = 5;
        evidence.corrupt = 6;
        let said: Vec<_> = problems(&evidence).iter().map(Problem::to_string).collect();
        assert_eq!(
            said,
            [
                "2 deliveries were lost: 2 while all concerned were connected, 0 to disconnects",
                "1 delivery was duplicated",
                "3 deliveries were ahead of the previous message of the same author",
                "6 deliveries were corrupt",
                "4 deliveries were made to the author",
                "5 messages were due and could not be sent before the run ended",
            ]
        );
    }

    #[test]
    fn a_fault_in_the_warm_up_is_a_problem_too() {
        let mut evidence = good();
        evidence.audit.warmup.duplicated = 1;
        assert!(matches!(only_problem(&evidence), Problem::WarmUp(_)));
    }

    #[test]
    fn a_schedule_slips_when_more_than_one_message_in_a_hundred_is_late() {
        let mut evidence = good();
        evidence.rate_achieved = 99.0;
        assert_eq!(problems(&evidence), []);
        evidence.rate_achieved = 98.9;
        evidence.send_lag.p99 = Some(140.0);
        assert_eq!(
            only_problem(&evidence).to_string(),
            "the schedule slipped: 98.9 of 100 messages a second were sent on time, which is within 100 ms; p99 of the send lag is 140 ms"
        );
    }

    #[test]
    fn a_busy_loop_is_a_problem_only_together_with_a_backlog() {
        let mut evidence = good();
        evidence.threads = &[IDLE, BUSY];
        assert_eq!(problems(&evidence), []);
        evidence.backlog_at_end = 3000;
        assert_eq!(
            only_problem(&evidence).to_string(),
            "the load generator was the bottleneck: thread 2 of 2 worked 100 % of the time, in turns of up to 1.00 ms (p99), and fell behind"
        );
    }

    #[test]
    fn a_thread_that_others_kept_from_running_is_not_called_the_bottleneck() {
        let mut evidence = good();
        let starved = [GeneratorThread {
            ran_share: Some(0.55),
            waited_share: Some(0.43),
            ..BUSY
        }];
        evidence.threads = &starved;
        assert_eq!(
            problems(&evidence),
            [],
            "as long as nothing came late of it"
        );
        evidence.backlog_at_end = 3000;
        assert_eq!(
            only_problem(&evidence).to_string(),
            "other processes took the CPU: the load generator ran 55 % of the time, and was ready to run and did not 43 % of it; end them, or give it a core of its own"
        );
    }

    #[test]
    fn a_backlog_beside_an_idle_generator_is_the_servers() {
        let mut evidence = good();
        evidence.backlog_at_end = 2250;
        assert_eq!(problems(&evidence), []);
        assert!(matches!(
            notes(&evidence)[..],
            [Note::FellBehind {
                deliveries: 2250,
                ..
            }]
        ));
        evidence.backlog_at_end = 2700;
        assert_eq!(
            only_problem(&evidence).to_string(),
            "the server did not keep up: 2,700 deliveries (30 % of all, 3.0 s worth) were owed when the sending ended, so the latencies grow with --duration"
        );
        assert_eq!(notes(&evidence), []);
    }

    #[test]
    fn percentiles_without_samples_are_a_problem() {
        let mut evidence = good();
        evidence.delivery.count = 99;
        assert_eq!(
            only_problem(&evidence),
            Problem::TooFewSamples { count: 99 }
        );
    }

    #[test]
    fn lost_clients_are_named_with_what_the_server_said() {
        let mut evidence = good();
        evidence.departed = 1;
        evidence.departures_in_words = "1 closed by the server, 1 x \"closing: slow\"";
        assert_eq!(
            only_problem(&evidence).to_string(),
            "1 client was disconnected: 1 closed by the server, 1 x \"closing: slow\""
        );
        evidence.departed = 9;
        evidence.departures_in_words = "9 closed by the server";
        assert_eq!(
            only_problem(&evidence).to_string(),
            "9 of 10 clients were disconnected, so the server ended, was restarted, or let go of everybody: 9 closed by the server"
        );
    }
}
