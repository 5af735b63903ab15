//! The verdict: whether a measurement may be believed, and if not, why not.
//!
//! A problem makes it INVALID: the figures do not say what they seem to. A note does not, but a reader
//! of the figures should know it.

use std::time::Duration;

use record::{Account, Cuts, GeneratorThread, Percentiles, Unrecorded};

use crate::measure::ledger::audit::Audit;
use crate::measure::ledger::order::Order;

#[cfg(test)]
mod tests;
mod wording;

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
    /// Connections beside the clients'.
    pub(crate) publishers: u64,
    /// Clients that each message goes to.
    pub(crate) receivers: u64,
    /// Whether the server promises all receivers the same order.
    pub(crate) keeps_one_order: bool,
    pub(crate) order: Order,
    /// Connections, publishers' included.
    pub(crate) disconnected: u64,
    pub(crate) publishers_disconnected: u64,
    pub(crate) disconnects_in_words: &'a str,
    /// Whether clients were there until the measured time was over.
    pub(crate) completed: bool,
    /// How long was measured, in seconds, and how long was to be, if a signal ended it.
    pub(crate) cut_short: Option<(f64, Duration)>,
    pub(crate) server_ended: bool,
    pub(crate) cuts: Cuts,
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
    /// Too few clients were left to go on.
    CutShort,
    /// The server's process ended, or another one took its place.
    ServerEnded,
    /// Every client was disconnected, which a server that ends or is restarted comes to.
    EveryClientLost {
        lost: Connections,
        all: Connections,
        how: String,
    },
    /// Some clients were disconnected.
    ClientsLost {
        lost: Connections,
        how: String,
    },
    /// Connections that were cut did not come back, or not where they were.
    NotResumed(Cuts),
    /// Deliveries never came.
    Lost {
        while_connected: u64,
        to_disconnects: u64,
    },
    Duplicated(u64),
    Reordered(u64),
    /// Receivers did not get the messages in the same order.
    Disordered(Order),
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

/// The connections of a run: clients, and publishers beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Connections {
    pub(super) clients: u64,
    pub(super) publishers: u64,
}

/// What a reader should know.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Note {
    /// A signal ended the measured time, in seconds, before its end.
    CutShort { measured: f64, planned: Duration },
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
fn problems_of_the_run(evidence: &Evidence<'_>) -> [(bool, Problem); 4] {
    let how = evidence.disconnects_in_words.to_owned();
    let publishers = evidence.publishers_disconnected;
    let lost = Connections {
        clients: evidence.disconnected.saturating_sub(publishers),
        publishers,
    };
    let all = Connections {
        clients: evidence.clients,
        publishers: evidence.publishers,
    };
    // A run ends when the last but one has gone, whether or not that one would have followed.
    let is_every =
        lost.clients >= all.clients || (all.clients > 2 && lost.clients + 1 == all.clients);
    let clients_lost = match is_every {
        true => Problem::EveryClientLost { lost, all, how },
        false => Problem::ClientsLost { lost, how },
    };
    [
        (!evidence.completed, Problem::CutShort),
        (evidence.server_ended, Problem::ServerEnded),
        (evidence.disconnected > 0, clients_lost),
        (
            evidence.cuts.resumed < evidence.cuts.cut,
            Problem::NotResumed(evidence.cuts),
        ),
    ]
}

/// What was not delivered once, in order, and as it was sent.
fn problems_of_the_ledger(evidence: &Evidence<'_>) -> [(bool, Problem); 8] {
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
        (
            evidence.keeps_one_order && evidence.order.disordered > 0,
            Problem::Disordered(evidence.order),
        ),
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
    if let Some((measured, planned)) = evidence.cut_short {
        notes.push(Note::CutShort { measured, planned });
    }
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
    // What could not be sent is owed, too.
    let planned = evidence.messages * evidence.receivers;
    let all = evidence.audit.measured.expected.max(planned);
    evidence.backlog_at_end as f64 / all.max(1) as f64
}

/// How long the server would have had to deliver the backlog at the rate that was asked for.
fn backlog_seconds(evidence: &Evidence<'_>) -> f64 {
    let seconds = evidence.messages as f64 / evidence.rate_requested;
    backlog_share(evidence) * seconds
}
