//! The verdict in words: each finding is one line with its numbers.

use std::fmt;

use record::figures::{counted, grouped, milliseconds, rate};

use super::{Note, Problem, SAMPLES_MIN};
use crate::host::clock::MILLISECOND_NS;
use crate::measure::observation::SEND_LAG_MAX_NS;

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutShort => write!(
                f,
                "cut short: fewer than two clients were left before the measurement was over"
            ),
            Self::ServerEnded => write!(f, "the server ended or was restarted during the run"),
            Self::EveryClientLost {
                count,
                clients,
                how,
            } => write!(
                f,
                "{} of {} were disconnected, so the server ended, was restarted, or let go of everybody: {how}",
                grouped(*count),
                counted(*clients, "client")
            ),
            Self::ClientsLost { count, how } => {
                write!(f, "{} disconnected: {how}", were(*count, "client"))
            }
            Self::Lost {
                while_connected,
                to_disconnects,
            } => write!(
                f,
                "{} lost: {} while all concerned were connected, {} to disconnects",
                were(while_connected + to_disconnects, "delivery"),
                grouped(*while_connected),
                grouped(*to_disconnects)
            ),
            Self::Duplicated(count) => write!(f, "{} duplicated", were(*count, "delivery")),
            Self::Reordered(count) => write!(
                f,
                "{} ahead of the previous message of the same author",
                were(*count, "delivery")
            ),
            Self::Corrupt(count) => write!(f, "{} corrupt", were(*count, "delivery")),
            Self::Echoed(count) => write!(f, "{} made to the author", were(*count, "delivery")),
            Self::Unsent(count) => write!(
                f,
                "{} due and could not be sent before the run ended",
                were(*count, "message")
            ),
            Self::WarmUp(account) => write!(
                f,
                "the warm-up was not clean: {} lost, {} duplicated, {} reordered, {} echoed, {} unsent",
                account.lost(),
                account.duplicated,
                account.reordered,
                account.echoed,
                account.unsent
            ),
            Self::ScheduleSlipped {
                requested,
                achieved,
                lag_p99_ms,
            } => write!(
                f,
                "the schedule slipped: {} of {} messages a second were sent on time, which is within {} ms; p99 of the send lag is {} ms",
                rate(*achieved),
                rate(*requested),
                SEND_LAG_MAX_NS / MILLISECOND_NS,
                milliseconds(*lag_p99_ms)
            ),
            Self::GeneratorBound {
                thread,
                threads,
                busy_share,
                turn_p99_ms,
            } => write!(
                f,
                "the load generator was the bottleneck: {} worked {:.0} % of the time, in turns of up to {} ms (p99), and fell behind",
                which(*thread, *threads, "its loop"),
                busy_share * 100.0,
                milliseconds(*turn_p99_ms)
            ),
            Self::CpuTaken {
                thread,
                threads,
                ran_share,
                waited_share,
            } => write!(
                f,
                "other processes took the CPU: {} ran {:.0} % of the time, and was ready to run and did not {:.0} % of it; end them, or give it a core of its own",
                which(*thread, *threads, "the load generator"),
                ran_share * 100.0,
                waited_share * 100.0
            ),
            Self::NotKeptUp {
                deliveries,
                share,
                seconds,
            } => write!(
                f,
                "the server did not keep up: {} ({:.0} % of all, {seconds:.1} s worth) were owed when the sending ended, so the latencies grow with --duration",
                counted_deliveries(*deliveries),
                share * 100.0
            ),
            Self::TooFewSamples { count } => write!(
                f,
                "{} measured, too few for a p99, which takes {SAMPLES_MIN}: measure longer or with more clients",
                were(*count, "delivery")
            ),
            Self::Unrecorded(unrecorded) => write!(
                f,
                "{} latencies were negative and {} out of range, and are in no histogram",
                unrecorded.negative, unrecorded.out_of_range
            ),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ThinTail { messages } => write!(
                f,
                "{} completed: fewer than the 1,000 that a p99.9 of completion takes",
                were(*messages, "broadcast")
            ),
            Self::FellBehind {
                deliveries,
                seconds,
            } => write!(
                f,
                "the server fell behind: {} ({seconds:.1} s worth) were owed when the sending ended, so the latencies grow with --duration",
                counted_deliveries(*deliveries)
            ),
            Self::Foreign(count) => write!(
                f,
                "{} came from others who use this server",
                counted(*count, "message")
            ),
        }
    }
}

/// A thread, unless it is the only one.
fn which(thread: usize, threads: usize, only: &str) -> String {
    match threads {
        1 => only.to_owned(),
        _ => format!("thread {thread} of {threads}"),
    }
}

fn counted_deliveries(count: u64) -> String {
    match count {
        1 => "1 delivery".to_owned(),
        _ => format!("{} deliveries", grouped(count)),
    }
}

fn were(count: u64, one: &str) -> String {
    let what = match one {
        "delivery" => counted_deliveries(count),
        _ => counted(count, one),
    };
    let verb = if count == 1 { "was" } else { "were" };
    format!("{what} {verb}")
}
