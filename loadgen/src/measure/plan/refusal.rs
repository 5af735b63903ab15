//! The limits of a plan, and what is said beyond them: one line that names the option, its value and
//! what to do.

use std::time::Duration;

use record::Protocol;
use thiserror::Error;

use crate::wire::stamp::STAMP_BYTES;

/// What the ledger may take of the memory.
pub(super) const LEDGER_BYTES_MAX: u64 = 1 << 30;

/// More than any machine of today delivers: beyond this, somebody mistook a rate per client for a
/// total.
pub(super) const DELIVERIES_PER_SECOND_MAX: f64 = 20e6;

/// The barrier of each thread needs two clients, for the author of a probe does not receive it.
pub(super) const CLIENTS_PER_THREAD_MIN: u32 = 2;

/// More threads than any machine of today has cores.
pub(super) const THREADS_MAX: u32 = 512;

/// The longest message a plan may ask for, in bytes.
pub(super) const SIZE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Why no plan can be made of the options.
#[derive(Debug, Clone, PartialEq, Error)]
pub(crate) enum Refusal {
    #[error(
        "--clients {0} is too few: a broadcast has a sender and a receiver, so give at least 2"
    )]
    TooFewClients(u32),
    #[error(
        "--threads {threads} is not between 1 and {max}: each thread needs two clients of its own, and {THREADS_MAX} are the most"
    )]
    BadThreads { threads: u32, max: u32 },
    #[error(
        "--threads shares clients that send, and with --protocol {0} publishers do: leave it out, or run several load generators and add them up with `loadgen merge`"
    )]
    OneThread(Protocol),
    #[error("--{flag} {value} is not a rate: give a number above 0")]
    BadRate { flag: &'static str, value: f64 },
    #[error(
        "--spawn-server starts uringcast, and {0} is for another server: start that and give --addr"
    )]
    ForeignSpawn(&'static str),
    #[error(
        "--server-metrics reads the metrics of uringcast, and {0} is for another server: leave one of them out"
    )]
    ForeignMetrics(&'static str),
    #[error(
        "--senders makes clients send, and with --protocol {0} they only receive: give --publishers"
    )]
    ClientsDoNotSend(Protocol),
    #[error(
        "--publishers is for brokers and events, and with --protocol {0} clients send: give --senders"
    )]
    NoPublishers(Protocol),
    #[error(
        "--username and --password-file are for brokers, and with --protocol {0} nobody logs in: leave them out"
    )]
    NoLogin(Protocol),
    #[error("{flag} is for --protocol websocket, and it is {protocol}: leave it out")]
    NoWebSocket {
        flag: &'static str,
        protocol: Protocol,
    },
    #[error(
        "--cut-every needs a server that resumes, and {0} has none: give --protocol websocket alone"
    )]
    NoResuming(String),
    #[error(
        "--hostile-web is for servers that speak HTTP, and {0} is the protocol of a broker: leave it out"
    )]
    NoHttp(Protocol),
    #[error("--ws-message has no place for the stamp: write %s where it belongs")]
    NoStamp,
    #[error("--ws-join has a place for a stamp, and joining has none: leave out %s")]
    StampInJoin,
    #[error(
        "--own-copies is for clients that send, and with --protocol {0} publishers do: leave it out"
    )]
    NoOwnCopies(Protocol),
    #[error("--senders {senders} is not between 1 and --clients {clients}")]
    BadSenders { senders: u32, clients: u32 },
    #[error(
        "--size {0} is too short: the stamp that proves each delivery takes {STAMP_BYTES} bytes, so give --size {STAMP_BYTES} or more"
    )]
    TooShort(usize),
    #[error("--size {0} is too long: the limit is {SIZE_BYTES_MAX} bytes")]
    TooLong(usize),
    #[error(
        "not one message falls into --duration {} at this rate: measure longer or send faster",
        humantime::format_duration(*.0)
    )]
    NoMessages(Duration),
    #[error(
        "{messages:.0} messages to {clients} clients need a ledger of {} MiB, over the limit of {} MiB: shorten --duration or lower --rate or --clients",
        ledger_bytes >> 20, LEDGER_BYTES_MAX >> 20
    )]
    LedgerTooLarge {
        messages: f64,
        clients: u32,
        ledger_bytes: u64,
    },
    #[error(
        "{asked} to {clients} clients: {deliveries:.0} deliveries a second, which looks like a mistake, since no machine delivers more than {DELIVERIES_PER_SECOND_MAX:.0}; lower it, or insist with --force"
    )]
    Absurd {
        /// The rate, as it was asked for.
        asked: String,
        clients: u32,
        deliveries: f64,
    },
}
