//! The plan: what one run is to do, in numbers that have been checked against each other.
//!
//! A plan that exists can be carried out: it has at least two clients, at least one message in the
//! measured time, messages long enough for a stamp, and a ledger that fits in memory.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::command_line::CommandLine;
use crate::ledger;
use crate::stamp::{NUMBER_MAX, STAMP_BYTES};
use crate::wire::{Protocol, Topic};

mod refusal;

pub(crate) use refusal::Refusal;

/// What the ledger may take of the memory.
const LEDGER_BYTES_MAX: u64 = 1 << 30;

/// More than any machine of today delivers: beyond this, somebody mistook a rate per client for a
/// total.
const DELIVERIES_PER_SECOND_MAX: f64 = 20e6;

/// The barrier of each thread needs two clients, for the author of a probe does not receive it.
const CLIENTS_PER_THREAD_MIN: u32 = 2;

/// More threads than any machine of today has cores.
const THREADS_MAX: u32 = 512;

/// The longest message a plan may ask for, in bytes.
const SIZE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How the messages are spaced in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Arrival {
    /// At equal intervals.
    Fixed,
    /// At random, independently of each other, as many in all as with equal intervals.
    Poisson,
}

/// Which clients send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Senders {
    /// Every client.
    All,
    /// This many, spread evenly over the clients.
    Some(u32),
}

/// Lengths of messages, in bytes, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sizes {
    /// The shortest.
    pub(crate) min: usize,
    /// The longest.
    pub(crate) max: usize,
}

/// A stretch of the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// How many messages fall into it.
    pub(crate) messages: u32,
    /// How long it lasts.
    pub(crate) duration: Duration,
}

/// What one run is to do.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) protocol: Protocol,
    /// What clients subscribe to, where the protocol has such a thing.
    pub(crate) topic: Topic,
    pub(crate) clients: u32,
    /// How many send: clients, or the publishers if there are any.
    pub(crate) senders: u32,
    /// Connections beside the clients' that send and do not receive; none where clients send.
    pub(crate) publishers: u32,
    /// Threads that share the clients.
    pub(crate) threads: u32,
    /// Messages a second, over all senders.
    pub(crate) rate: f64,
    pub(crate) arrival: Arrival,
    pub(crate) sizes: Sizes,
    pub(crate) seed: u64,
    pub(crate) warmup: Span,
    pub(crate) measure: Span,
    pub(crate) drain_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    /// Clients a second, if limited.
    pub(crate) connect_rate: Option<f64>,
    /// Whether a load that looks like a mistake is meant.
    force: bool,
}

impl Plan {
    /// The plan that `demand` asks for.
    ///
    /// # Errors
    /// Names the flag, its value and the limit.
    pub(crate) fn new(demand: &CommandLine) -> Result<Self, Refusal> {
        let clients = demand.clients;
        if clients < 2 {
            return Err(Refusal::TooFewClients(clients));
        }
        if demand.spawn_server && demand.protocol.is_broker() {
            return Err(Refusal::ForeignSpawn(demand.protocol));
        }
        if demand.server_metrics.is_some() && demand.protocol.is_broker() {
            return Err(Refusal::ForeignMetrics(demand.protocol));
        }
        let publishers = publishers(demand)?;
        let senders = senders(demand, publishers)?;
        if demand.threads > 1 && publishers > 0 {
            return Err(Refusal::OneThread(demand.protocol));
        }
        let max = (clients / CLIENTS_PER_THREAD_MIN).min(THREADS_MAX);
        if !(1..=max).contains(&demand.threads) {
            let threads = demand.threads;
            return Err(Refusal::BadThreads { threads, max });
        }
        let rate = rate(demand, senders)?;
        check_sizes(demand.size)?;
        let plan = Self {
            protocol: demand.protocol,
            topic: demand.topic.clone(),
            clients,
            senders,
            publishers,
            threads: demand.threads,
            rate,
            arrival: demand.arrival,
            sizes: demand.size,
            seed: demand.seed,
            warmup: Span::of(demand.warmup),
            measure: Span::of(demand.duration),
            drain_timeout: demand.drain_timeout,
            connect_timeout: demand.connect_timeout,
            connect_rate: demand.connect_rate,
            force: demand.force,
        };
        let asked = match demand.rate_per_client {
            None => format!("--rate {rate} in total"),
            Some(each) => {
                format!("--rate-per-client {each} of {senders} senders, {rate} messages a second,")
            }
        };
        plan.filled(asked)
    }

    /// The same at another rate.
    ///
    /// # Errors
    /// When that rate cannot be carried out.
    pub(crate) fn at_rate(&self, rate: f64) -> Result<Self, Refusal> {
        let asked = format!("{rate} messages a second");
        Self {
            rate,
            ..self.clone()
        }
        .filled(asked)
    }

    /// The same, with other draws.
    pub(crate) fn with_seed(&self, seed: u64) -> Self {
        Self {
            seed,
            ..self.clone()
        }
    }

    /// Fills the spans with as many messages as the rate comes to.
    fn filled(mut self, asked: String) -> Result<Self, Refusal> {
        check_sanity(&self, asked)?;
        self.warmup = self.span(self.warmup.duration)?;
        self.measure = self.span(self.measure.duration)?;
        if self.measure.messages == 0 {
            return Err(Refusal::NoMessages(self.measure.duration));
        }
        self.check_ledger(f64::from(self.warmup.messages) + f64::from(self.measure.messages))?;
        Ok(self)
    }

    fn span(&self, duration: Duration) -> Result<Span, Refusal> {
        let messages = (duration.as_secs_f64() * self.rate).round();
        self.check_ledger(messages)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "neither negative nor, as the ledger takes it, over 32 bits"
        )]
        let messages = messages as u32;
        Ok(Span { messages, duration })
    }

    fn check_ledger(&self, messages: f64) -> Result<(), Refusal> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float beyond 64 bits becomes the largest number, which is refused"
        )]
        let ledger_bytes = ledger::bytes_needed(self.clients, messages as u64, self.threads);
        if ledger_bytes > LEDGER_BYTES_MAX || messages >= f64::from(NUMBER_MAX) {
            return Err(Refusal::LedgerTooLarge {
                messages,
                clients: self.clients,
                ledger_bytes,
            });
        }
        Ok(())
    }

    /// The connections of each thread, in order; they are as many as any other's, or one more.
    pub(crate) fn shares(&self) -> impl Iterator<Item = Range<u32>> + use<> {
        let (clients, threads) = (u64::from(self.connections()), u64::from(self.threads));
        let begins =
            move |thread: u64| u32::try_from(clients * thread / threads).unwrap_or(u32::MAX);
        (0..threads).map(move |thread| begins(thread)..begins(thread + 1))
    }

    /// How many receive a message: every client but its author, who is none where publishers send.
    pub(crate) fn receivers(&self) -> u32 {
        if self.publishers > 0 {
            self.clients
        } else {
            self.clients - 1
        }
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> u32 {
        self.clients.saturating_add(self.publishers)
    }

    /// What the rate comes to, in deliveries a second.
    pub(crate) fn deliveries_per_second(&self) -> f64 {
        self.rate * f64::from(self.receivers())
    }
}

fn publishers(demand: &CommandLine) -> Result<u32, Refusal> {
    match demand.publishers {
        None => Ok(u32::from(demand.protocol.is_broker())),
        Some(publishers) if !demand.protocol.is_broker() => Err(Refusal::NoPublishers(publishers)),
        Some(publishers) => Ok(publishers),
    }
}

fn senders(demand: &CommandLine, publishers: u32) -> Result<u32, Refusal> {
    let clients = demand.clients;
    match demand.senders {
        Senders::All if publishers > 0 => Ok(publishers),
        Senders::Some(_) if publishers > 0 => Err(Refusal::ClientsDoNotSend(demand.protocol)),
        Senders::All => Ok(clients),
        Senders::Some(senders) if (1..=clients).contains(&senders) => Ok(senders),
        Senders::Some(senders) => Err(Refusal::BadSenders { senders, clients }),
    }
}

fn rate(demand: &CommandLine, senders: u32) -> Result<f64, Refusal> {
    let (flag, value, factor) = match demand.rate_per_client {
        Some(each) => ("rate-per-client", each, f64::from(senders)),
        None => ("rate", demand.rate, 1.0),
    };
    for (flag, value) in [(flag, Some(value)), ("connect-rate", demand.connect_rate)] {
        if let Some(value) = value
            && !(value.is_finite() && value > 0.0)
        {
            return Err(Refusal::BadRate { flag, value });
        }
    }
    Ok(value * factor)
}

impl Span {
    /// A span without messages.
    fn of(duration: Duration) -> Self {
        Self {
            messages: 0,
            duration,
        }
    }
}

fn check_sanity(plan: &Plan, asked: String) -> Result<(), Refusal> {
    let deliveries = plan.deliveries_per_second();
    if deliveries <= DELIVERIES_PER_SECOND_MAX || plan.force {
        return Ok(());
    }
    Err(Refusal::Absurd {
        asked,
        clients: plan.clients,
        deliveries,
    })
}

fn check_sizes(sizes: Sizes) -> Result<(), Refusal> {
    if sizes.min < STAMP_BYTES {
        return Err(Refusal::TooShort(sizes.min));
    }
    if sizes.max > SIZE_BYTES_MAX {
        return Err(Refusal::TooLong(sizes.max));
    }
    Ok(())
}

impl FromStr for Senders {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            number => number
                .parse()
                .map(Self::Some)
                .map_err(|_| "give a number of clients or 'all'".into()),
        }
    }
}

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (min, max) = text.split_once("..").unwrap_or((text, text));
        match (min.parse(), max.parse()) {
            (Ok(min), Ok(max)) if min <= max => Ok(Self { min, max }),
            _ => Err("give a number of bytes such as 64, or a range such as 64..1024".into()),
        }
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max {
            write!(f, "{}", self.min)
        } else {
            write!(f, "{}..{}", self.min, self.max)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn plan(flags: &str) -> Result<Plan, Refusal> {
        let words = ["loadgen"].into_iter().chain(flags.split_whitespace());
        Plan::new(&CommandLine::try_parse_from(words).unwrap())
    }

    fn refusal(flags: &str) -> String {
        plan(flags).unwrap_err().to_string()
    }

    #[test]
    fn the_main_job_is_five_hundred_thousand_deliveries_a_second() {
        let plan = plan("--clients 5000 --rate 100").unwrap();
        assert_eq!(plan.measure.messages, 1000);
        assert_eq!(plan.warmup.messages, 200);
        assert!((plan.deliveries_per_second() - 499_900.0).abs() < 1e-6);
    }

    #[test]
    fn a_rate_per_client_is_multiplied_by_the_senders() {
        let plan = plan("--clients 50 --rate-per-client 2 --senders 10").unwrap();
        assert!((plan.rate - 20.0).abs() < 1e-9);
    }

    #[test]
    fn refusals_name_the_flag_and_the_limit() {
        assert!(refusal("--clients 1").contains("--clients 1 is too few"));
        assert!(refusal("--rate 0").contains("--rate 0 is not a rate"));
        assert!(refusal("--rate NaN").contains("--rate NaN is not a rate"));
        assert!(refusal("--connect-rate 0").contains("--connect-rate 0"));
        assert!(refusal("--senders 0").contains("--senders 0"));
        assert!(refusal("--clients 5 --senders 6").contains("--senders 6"));
        assert!(refusal("--threads 0").contains("--threads 0 is not between 1 and "));
        assert!(refusal("--clients 5 --threads 3").contains("not between 1 and 2"));
        assert!(refusal("--size 55").contains("takes 56 bytes"));
        assert!(refusal("--size 56..99999999").contains("too long"));
        assert!(refusal("--rate 0.01 --duration 1s").contains("not one message"));
        assert!(refusal("--clients 5000 --rate 100 --duration 24h").contains("limit of 1024 MiB"));
        assert!(refusal("--clients 9 --rate 1e300 --force").contains("ledger"));
    }

    #[test]
    fn with_a_broker_publishers_send_and_every_client_receives() {
        let one = plan("--protocol nats --clients 200 --rate 50").unwrap();
        assert_eq!(
            (one.senders, one.publishers, one.connections()),
            (1, 1, 201)
        );
        assert!((one.deliveries_per_second() - 10_000.0).abs() < 1e-6);
        let four = "--protocol redis --clients 9 --publishers 4 --rate-per-client 2";
        assert!((plan(four).unwrap().rate - 8.0).abs() < 1e-9);
        assert!(refusal("--protocol mqtt --senders 2").contains("give --publishers"));
        assert!(refusal("--publishers 2").contains("give --senders"));
        let measured = refusal("--protocol nats --server-metrics http://127.0.0.1:1/metrics");
        assert!(measured.starts_with("--server-metrics"), "{measured}");
        let spawned = refusal("--protocol mqtt --spawn-server");
        assert!(spawned.contains("does not speak mqtt"), "{spawned}");
        let threads = refusal("--protocol redis --threads 2");
        assert!(threads.starts_with("--threads shares"), "{threads}");
    }

    #[test]
    fn threads_share_all_clients_evenly() {
        let plan = plan("--clients 11 --threads 3 --rate 10").unwrap();
        let shares: Vec<_> = plan.shares().collect();
        assert_eq!(shares, [0..3, 3..7, 7..11]);
    }

    #[test]
    fn a_likely_mistake_needs_force() {
        let flags = "--clients 5000 --rate 5000 --duration 1s --warmup 0s";
        assert!(refusal(flags).contains("--force"));
        let each = refusal("--clients 5000 --rate-per-client 1");
        assert!(each.starts_with("--rate-per-client 1 of 5000 senders, 5000 messages a second,"));
        assert!(each.contains("24995000 deliveries a second"), "{each}");
        assert!(plan(&format!("{flags} --force")).is_ok());
    }

    #[test]
    fn another_rate_is_checked_like_the_first() {
        let plan = plan("--clients 5000 --rate 100").unwrap();
        assert_eq!(plan.at_rate(200.0).unwrap().measure.messages, 2000);
        assert!(matches!(plan.at_rate(5e3), Err(Refusal::Absurd { .. })));
        assert_eq!(plan.with_seed(7).seed, 7);
    }

    #[test]
    fn sizes_are_read_as_a_number_or_a_range() {
        assert_eq!("64".parse(), Ok(Sizes { min: 64, max: 64 }));
        assert_eq!("64..128".parse(), Ok(Sizes { min: 64, max: 128 }));
        for text in ["", "..", "64..", "128..64", "x"] {
            assert!(text.parse::<Sizes>().is_err(), "{text}");
        }
    }
}
