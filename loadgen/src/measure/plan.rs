//! The plan: what one run is to do, in numbers that have been checked against each other.
//!
//! A plan that is checked can be carried out: it has enough clients, at least one message in the
//! measured time, messages long enough for a stamp, and a ledger that fits in memory.

use std::ops::Range;
use std::time::Duration;

use record::{Arrival, Protocol, Sizes};

use super::ledger;
use crate::wire::codec::Topic;
use crate::wire::dialect::Dialect;
use crate::wire::identity::{Identity, Login};
use crate::wire::names::Names;
use crate::wire::stamp::{NUMBER_MAX, STAMP_BYTES, Stamper};

mod refusal;

pub(crate) use refusal::Refusal;
use refusal::{
    CLIENTS_PER_THREAD_MIN, DELIVERIES_PER_SECOND_MAX, LEDGER_BYTES_MAX, SIZE_BYTES_MAX,
    THREADS_MAX,
};

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
    /// By what a broker lets clients in.
    pub(crate) login: Option<Login>,
    /// What requests over HTTP name as their host.
    pub(crate) host: String,
    /// How to speak with a WebSocket server that is not uringcast.
    pub(crate) dialect: Option<Dialect>,
    /// Whether clients are to get their own messages back.
    pub(crate) own_copies: bool,
    /// How often each client's connection is cut, if it is.
    pub(crate) cut_every: Option<Duration>,
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
    pub(crate) force: bool,
}

impl Default for Plan {
    /// What the command line asks for without options; not checked yet.
    fn default() -> Self {
        Self {
            protocol: Protocol::Uringcast,
            topic: Topic::default(),
            login: None,
            host: "127.0.0.1:9989".into(),
            dialect: None,
            own_copies: false,
            cut_every: None,
            clients: 5000,
            senders: 5000,
            publishers: 0,
            threads: 1,
            rate: 100.0,
            arrival: Arrival::Fixed,
            sizes: Sizes { min: 64, max: 64 },
            seed: 1,
            warmup: Span::of(Duration::from_secs(2)),
            measure: Span::of(Duration::from_secs(10)),
            drain_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(15),
            connect_rate: None,
            force: false,
        }
    }
}

impl Plan {
    /// Checks that it can be carried out, and fills the spans with as many messages as the rate comes
    /// to. `asked` is the rate in the user's words.
    ///
    /// # Errors
    /// Names the option, its value and the limit.
    pub(crate) fn checked(self, asked: String) -> Result<Self, Refusal> {
        if self.receivers() == 0 || (self.clients < 2 && self.publishers == 0) {
            return Err(Refusal::TooFewClients(self.clients));
        }
        if self.threads > 1 && self.publishers > 0 {
            return Err(Refusal::OneThread(self.protocol));
        }
        let max = (self.clients / CLIENTS_PER_THREAD_MIN).clamp(1, THREADS_MAX);
        if !(1..=max).contains(&self.threads) {
            let threads = self.threads;
            return Err(Refusal::BadThreads { threads, max });
        }
        check_sizes(self.sizes)?;
        self.filled(asked)
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

    /// How many receive a message: every client but its author, unless that is a publisher or is to get
    /// its own.
    pub(crate) fn receivers(&self) -> u32 {
        if self.publishers > 0 || self.own_copies {
            self.clients
        } else {
            self.clients.saturating_sub(1)
        }
    }

    /// By which a run of this plan knows its own messages; `run` tells it from others.
    pub(crate) fn identity(&self, run: u32) -> Identity {
        Identity {
            names: Names::new(self.connections()),
            stamper: Stamper::new(run, self.sizes.max),
            protocol: self.protocol,
            topic: self.topic.to_string(),
            login: self.login.clone(),
            run,
            receivers: self.clients,
            host: self.host.clone(),
            dialect: self.dialect.clone(),
            resumes: self.cut_every.is_some(),
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

impl Span {
    /// A span without messages yet.
    pub(crate) fn of(duration: Duration) -> Self {
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
