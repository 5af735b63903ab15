//! The verdict in words: each finding is one line with its numbers.

use std::fmt;

use record::figures::{counted, grouped, milliseconds, rate};

use super::{Connections, Note, Problem, SAMPLES_MIN};
use crate::host::clock::MILLISECOND_NS;
use crate::measure::observation::SEND_LAG_MAX_NS;

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutShort => write!(
                f,
                "cut short: too few clients were left before the measurement was over"
            ),
            Self::ServerEnded => write!(f, "the server ended or was restarted during the run"),
            Self::EveryClientLost { lost, all, how } => write!(
                f,
                "{} of {}{} were disconnected, so the server ended, was restarted, or disconnected everybody: {how}",
                grouped(lost.clients),
                counted(all.clients, "client"),
                match (lost.publishers, all.publishers) {
                    (0, _) => String::new(),
                    (lost, all) => format!(" and {lost} of {}", counted(all, "publisher")),
                }
            ),
            Self::ClientsLost { lost, how } => {
                let verb = match lost.clients + lost.publishers {
                    1 => "was",
                    _ => "were",
                };
                write!(f, "{lost} {verb} disconnected: {how}")
            }
            Self::NotResumed(cuts) => write!(
                f,
                "{} of {} that were cut did not resume where they were: raise the server's --history",
                grouped(cuts.cut - cuts.resumed),
                counted(cuts.cut, "connection")
            ),
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
            Self::Disordered(order) => write!(
                f,
                "{} of {} received the messages in another order than the others",
                grouped(order.disordered),
                counted(order.sampled, "sampled client")
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
                "the schedule slipped: {} of {} messages a second were sent on time, which is within {} ms{}",
                rate(*achieved),
                rate(*requested),
                SEND_LAG_MAX_NS / MILLISECOND_NS,
                known(*lag_p99_ms, |lag| format!(
                    "; p99 of the send lag is {lag} ms"
                ))
            ),
            Self::GeneratorBound {
                thread,
                threads,
                busy_share,
                turn_p99_ms,
            } => write!(
                f,
                "the load generator was the bottleneck: {} worked {:.0} % of the time{}, and fell behind",
                which(*thread, *threads, "its loop"),
                busy_share * 100.0,
                known(*turn_p99_ms, |turn| format!(
                    ", in turns of up to {turn} ms (p99)"
                ))
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
                "the server did not keep up: {} ({}{seconds:.1} s worth) were owed when the sending ended, so the latencies grow with --duration",
                counted_deliveries(*deliveries),
                // What the warm-up left makes it more than all.
                match share {
                    0.0..=1.0 => format!("{:.0} % of all, ", share * 100.0),
                    _ => String::new(),
                }
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
            Self::CutShort { measured, planned } => write!(
                f,
                "cut short by a signal after {} s of {}: rates and latencies are of that time",
                rate(*measured),
                humantime::format_duration(*planned)
            ),
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

impl fmt::Display for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clients = counted(self.clients, "client");
        let publishers = counted(self.publishers, "publisher");
        match (self.clients, self.publishers) {
            (_, 0) => f.write_str(&clients),
            (0, _) => f.write_str(&publishers),
            _ => write!(f, "{clients} and {publishers}"),
        }
    }
}

/// A text about a time in milliseconds; empty where that is not known.
fn known(milliseconds_: Option<f64>, text: impl FnOnce(String) -> String) -> String {
    milliseconds_.map_or_else(String::new, |_| text(milliseconds(milliseconds_)))
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
