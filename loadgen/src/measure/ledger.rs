//! The ledger: who has received which message, so that every delivery is proved.
//!
//! One bit per message and receiver (`grid`), set by the first delivery. A delivery costs O(1): its
//! own bit tells a duplicate, the bit of the author's previous message tells a gap in the author's
//! order, and a counter per message finds its first, median and last receiver. What is lost is judged
//! once, at the end, by [`Ledger::audit`].
//!
//! With several threads each has a ledger of its own clients, which nobody else touches; they become
//! one by [`Ledger::join`] when nothing more can come. All know every message of the schedule
//! from the start, so that none depends on what another thread has already sent.
//!
//! Always: delivered + lost = expected, and a bit is never cleared.

use std::ops::Range;

use crate::wire::stamp::{NUMBER_MAX, Stamp};

pub(crate) mod audit;
mod grid;
pub(crate) mod order;
#[cfg(test)]
mod tests;

use grid::Grid;
use order::{Order, Sample, sampled};

/// The place in the sample of a client that is not in it.
const NOT_SAMPLED: u8 = u8::MAX;

/// The book of one run.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// The first that belongs here.
    first_client: u32,
    /// Those that receive, then those that only send.
    clients: Vec<Client>,
    /// How many of them receive.
    receivers: u32,
    /// How many receive a message, here or elsewhere: all that receive, but for its author if that is
    /// one of them and not to get its own.
    everybody: u32,
    own_copies: OwnCopies,
    messages: Vec<Message>,
    /// If only some of the clients belong here: when each message came to them, in order, until
    /// all of them have it.
    arrivals: Option<Vec<Vec<u64>>>,
    received: Grid,
    sample: Sample,
    /// Which messages were handed to the kernel whole.
    sent: Vec<bool>,
    /// Messages below this number are warm-up.
    warmup_messages: u32,
    present: u32,
    /// Of the clients that are present: what they sent, and what came to them.
    settled: u64,
    tallies: [Tally; 2],
}

#[derive(Debug, Clone)]
struct Client {
    disconnected: bool,
    /// Its place in the sample whose order is kept; [`NOT_SAMPLED`] if it has none.
    sampled: u8,
    /// The message scheduled last for this author.
    latest: Option<u32>,
    sent: u32,
    /// How many messages came to it.
    received: u32,
}

#[derive(Debug)]
struct Message {
    author: u32,
    /// The author's next message.
    next: Option<u32>,
    /// How many have received it.
    receivers: u32,
    first_ns: u64,
    median_ns: u64,
}

/// What is counted as it happens, for the warm-up and for the measured messages.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    due: u64,
    sent: u64,
    delivered: u64,
    duplicated: u64,
    echoed: u64,
    /// Deliveries that came while the author's previous message had not.
    gaps: u64,
}

/// What a delivery turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Receipt {
    /// The first of this message to this receiver.
    Fresh { measured: bool, reach: Reach },
    /// This receiver had it already.
    Duplicate,
    /// It came back to its author.
    Echo,
    /// It came back to its author, who may get it.
    Returned,
    /// Its number was never given out.
    NeverSent,
}

/// How far a message has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Somebody is still without it.
    Some,
    /// Everybody has it.
    All(Completion),
    /// All clients of this ledger have it, which are not all there are: when it came to each of them.
    AllHere(Vec<u64>),
}

/// What of a run's deliveries is accounted for; adds up over the ledgers of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Balance {
    /// Messages that were handed to the kernel whole.
    pub(crate) sent: u64,
    pub(crate) present: u64,
    /// By those present: what they sent, and what came to them.
    pub(crate) settled: u64,
}

impl Balance {
    /// Deliveries still owed to clients that are present.
    pub(crate) fn outstanding(&self) -> u64 {
        (self.sent * self.present).saturating_sub(self.settled)
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.present += other.present;
        self.settled += other.settled;
    }
}

/// When a message reached its receivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Completion {
    pub(crate) first_ns: u64,
    pub(crate) median_ns: u64,
    pub(crate) last_ns: u64,
}

/// What the ledgers of `threads` threads take of the memory together, in bytes.
pub(crate) fn bytes_needed(clients: u32, messages: u64, threads: u32) -> u64 {
    let threads = u64::from(threads);
    let share = u64::from(clients).div_ceil(threads);
    let grids = grid::bytes_needed(share, messages).saturating_mul(threads);
    let list = if threads > 1 {
        size_of::<Vec<u64>>()
    } else {
        0
    };
    let each = (size_of::<Message>() + size_of::<bool>() + list) as u64;
    grids.saturating_add(messages.saturating_mul(each * threads))
}

/// Whose ledger it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extent {
    /// How many clients receive, on whatever thread.
    pub(crate) clients: u32,
    /// How many send and do not receive, if those are not the same. Their numbers follow.
    pub(crate) publishers: u32,
    /// Those whose deliveries are booked here.
    pub(crate) here: Range<u32>,
    pub(crate) own_copies: OwnCopies,
}

/// Whether authors get their own messages back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnCopies {
    /// None of them: one that comes is an echo.
    Never,
    /// Each of them is owed.
    Owed,
    /// Each once at most, if a client comes back which had not seen it before.
    Perhaps,
}

impl Ledger {
    /// An empty ledger for messages by `authors`. The first `warmup_messages` are warm-up.
    pub(crate) fn new(
        extent: Extent,
        authors: impl Iterator<Item = u32>,
        warmup_messages: u32,
    ) -> Self {
        let Extent {
            clients,
            publishers,
            here,
            own_copies,
        } = extent;
        let all = clients + publishers;
        let messages = table(all, authors);
        let receivers = here.end.min(clients).saturating_sub(here.start);
        let client = Client {
            disconnected: false,
            sampled: NOT_SAMPLED,
            latest: None,
            sent: 0,
            received: 0,
        };
        let is_part = here.len() < all as usize;
        let mut clients_here = vec![client; here.len()];
        for (place, receiver) in (0..).zip(sampled(receivers)) {
            clients_here[receiver as usize].sampled = place;
        }
        Self {
            first_client: here.start,
            clients: clients_here,
            sample: Sample::of(receivers),
            receivers,
            everybody: if publishers > 0 || own_copies == OwnCopies::Owed {
                clients
            } else {
                clients - 1
            },
            own_copies,
            arrivals: is_part.then(|| vec![Vec::new(); messages.len()]),
            received: Grid::new(receivers, messages.len()),
            sent: vec![false; messages.len()],
            warmup_messages,
            messages,
            present: receivers,
            settled: 0,
            tallies: [Tally::default(); 2],
        }
    }

    /// Message `number`, whose author belongs here, is due. Names the author's previous one.
    pub(crate) fn due(&mut self, number: u32) -> Option<u32> {
        let measured = self.is_measured(number);
        self.tallies[usize::from(measured)].due += 1;
        let author = self.messages[number as usize].author;
        self.client(author).latest.replace(number)
    }

    /// A message was handed to the kernel whole: from now on everybody present is owed it.
    pub(crate) fn sent(&mut self, number: u32) {
        self.sent[number as usize] = true;
        let measured = self.is_measured(number);
        self.tallies[usize::from(measured)].sent += 1;
        let author = self.messages[number as usize].author;
        let expects_none = self.is_receiver(author) && self.own_copies != OwnCopies::Owed;
        let author = self.client(author);
        author.sent += 1;
        self.settled += u64::from(expects_none && !author.disconnected);
    }

    /// A client has gone: nothing more can reach it.
    pub(crate) fn disconnected(&mut self, client: u32) {
        let gone = self.client(client);
        assert!(!gone.disconnected, "a client leaves once");
        gone.disconnected = true;
        let received = u64::from(gone.received);
        let sent = u64::from(gone.sent);
        let settled = match self.own_copies {
            OwnCopies::Never | OwnCopies::Perhaps => received + sent,
            OwnCopies::Owed => received,
        };
        if self.is_receiver(client) {
            self.settled -= settled;
            self.present -= 1;
        }
    }

    /// Books one delivery. Hot: once per delivery.
    pub(crate) fn receive(&mut self, receiver: u32, stamp: &Stamp, now_ns: u64) -> Receipt {
        let number = stamp.number;
        let measured = self.is_measured(number);
        let Some(message) = self.messages.get_mut(number as usize) else {
            return Receipt::NeverSent;
        };
        let tally = &mut self.tallies[usize::from(measured)];
        let here = receiver - self.first_client;
        if message.author == receiver && self.own_copies != OwnCopies::Owed {
            return own(tally, self.own_copies, || self.received.set(number, here));
        }
        if !self.received.set(number, here) {
            tally.duplicated += 1;
            return Receipt::Duplicate;
        }
        let has = |previous| self.received.is_set(previous, here);
        if !stamp.previous.is_none_or(has) {
            tally.gaps += 1;
        }
        let client = &mut self.clients[here as usize];
        client.received += 1;
        if client.sampled != NOT_SAMPLED {
            self.sample.keep(client.sampled, number);
        }
        tally.delivered += 1;
        self.settled += 1;
        let reach = match &mut self.arrivals {
            None => message.reached_one_more(self.everybody, now_ns),
            Some(_) if !measured => Reach::Some,
            Some(arrivals) => {
                let is_here = message.author.wrapping_sub(self.first_client) < self.receivers;
                let receivers =
                    self.receivers - u32::from(is_here && self.own_copies != OwnCopies::Owed);
                message.receivers += 1;
                keep(&mut arrivals[number as usize], receivers as usize, now_ns)
            }
        };
        Receipt::Fresh { measured, reach }
    }

    /// What is accounted for.
    pub(crate) fn balance(&self) -> Balance {
        Balance {
            sent: self.tallies.iter().map(|tally| tally.sent).sum(),
            present: self.present.into(),
            settled: self.settled,
        }
    }

    /// Whether receivers got the messages in the same order.
    pub(crate) fn order(&self) -> Order {
        self.sample.order()
    }

    /// Deliveries so far, warm-up included.
    pub(crate) fn delivered(&self) -> u64 {
        self.tallies.iter().map(|tally| tally.delivered).sum()
    }

    /// Adds the clients of `next`, which follow those that are here, and all that `next` has counted.
    pub(crate) fn join(&mut self, next: Self) {
        let end = self.first_client + self.receivers;
        assert_eq!(end, next.first_client, "ledgers join in order");
        self.receivers += next.receivers;
        self.clients.extend(next.clients);
        self.received.join(&next.received);
        self.sample.join(next.sample);
        self.present += next.present;
        self.settled += next.settled;
        for (sent, further) in self.sent.iter_mut().zip(next.sent) {
            *sent |= further;
        }
        for (message, further) in self.messages.iter_mut().zip(next.messages) {
            message.receivers += further.receivers;
        }
        for (tally, further) in self.tallies.iter_mut().zip(next.tallies) {
            tally.add(&further);
        }
    }

    /// Whether a client that belongs here receives.
    fn is_receiver(&self, client: u32) -> bool {
        client - self.first_client < self.receivers
    }

    fn client(&mut self, client: u32) -> &mut Client {
        &mut self.clients[(client - self.first_client) as usize]
    }

    fn is_measured(&self, number: u32) -> bool {
        number >= self.warmup_messages
    }
}

/// What a message is that came back to its author, who is not owed it; `set` says whether it did for the
/// first time.
#[cold]
fn own(tally: &mut Tally, own_copies: OwnCopies, set: impl FnOnce() -> bool) -> Receipt {
    if own_copies == OwnCopies::Never {
        tally.echoed += 1;
        Receipt::Echo
    } else if set() {
        Receipt::Returned
    } else {
        tally.duplicated += 1;
        Receipt::Duplicate
    }
}

impl Message {
    fn reached_one_more(&mut self, everybody: u32, now_ns: u64) -> Reach {
        self.receivers += 1;
        let reached = self.receivers;
        if reached == 1 {
            self.first_ns = now_ns;
        }
        if reached == everybody.div_ceil(2) {
            self.median_ns = now_ns;
        }
        if reached < everybody {
            return Reach::Some;
        }
        Reach::All(Completion {
            first_ns: self.first_ns,
            median_ns: self.median_ns,
            last_ns: now_ns,
        })
    }
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.due += other.due;
        self.sent += other.sent;
        self.delivered += other.delivered;
        self.duplicated += other.duplicated;
        self.echoed += other.echoed;
        self.gaps += other.gaps;
    }
}

/// All messages, each with its author's next.
fn table(clients: u32, authors: impl Iterator<Item = u32>) -> Vec<Message> {
    let mut latest: Vec<Option<u32>> = vec![None; clients as usize];
    let mut messages: Vec<Message> = Vec::new();
    for (number, author) in (0..NUMBER_MAX).zip(authors) {
        if let Some(previous) = latest[author as usize].replace(number) {
            messages[previous as usize].next = Some(number);
        }
        messages.push(Message {
            author,
            next: None,
            receivers: 0,
            first_ns: 0,
            median_ns: 0,
        });
    }
    messages
}

/// Keeps the time of one more arrival, until there are `receivers` of them.
fn keep(arrivals: &mut Vec<u64>, receivers: usize, now_ns: u64) -> Reach {
    if arrivals.capacity() == 0 {
        arrivals.reserve_exact(receivers);
    }
    arrivals.push(now_ns);
    if arrivals.len() < receivers {
        return Reach::Some;
    }
    Reach::AllHere(std::mem::take(arrivals))
}
