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

use crate::stamp::{NUMBER_MAX, Stamp};

mod audit;
mod grid;

use grid::Grid;

pub(crate) use audit::{Account, Audit};

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
    /// one of them.
    everybody: u32,
    messages: Vec<Message>,
    /// If only some of the clients belong here: when each message came to them, in order, until
    /// all of them have it.
    arrivals: Option<Vec<Vec<u64>>>,
    received: Grid,
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
    departed: bool,
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
        } = extent;
        let all = clients + publishers;
        let messages = table(all, authors);
        let receivers = here.end.min(clients).saturating_sub(here.start);
        let client = Client {
            departed: false,
            latest: None,
            sent: 0,
            received: 0,
        };
        let is_part = here.len() < all as usize;
        Self {
            first_client: here.start,
            clients: vec![client; here.len()],
            receivers,
            everybody: if publishers > 0 { clients } else { clients - 1 },
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
        let expects_none = self.is_receiver(author);
        let author = self.client(author);
        author.sent += 1;
        self.settled += u64::from(expects_none && !author.departed);
    }

    /// A client has gone: nothing more can reach it.
    pub(crate) fn departed(&mut self, client: u32) {
        let gone = self.client(client);
        assert!(!gone.departed, "a client leaves once");
        gone.departed = true;
        let settled = u64::from(gone.sent) + u64::from(gone.received);
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
        if message.author == receiver {
            tally.echoed += 1;
            return Receipt::Echo;
        }
        let here = receiver - self.first_client;
        if !self.received.set(number, here) {
            tally.duplicated += 1;
            return Receipt::Duplicate;
        }
        let has = |previous| self.received.is_set(previous, here);
        if !stamp.previous.is_none_or(has) {
            tally.gaps += 1;
        }
        self.clients[here as usize].received += 1;
        tally.delivered += 1;
        self.settled += 1;
        let reach = match &mut self.arrivals {
            None => message.reached_one_more(self.everybody, now_ns),
            Some(_) if !measured => Reach::Some,
            Some(arrivals) => {
                let is_here = message.author.wrapping_sub(self.first_client) < self.receivers;
                let receivers = self.receivers - u32::from(is_here);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A ledger in which the given authors' messages have all been sent.
    pub(super) fn ledger_of(clients: u32, warmup_messages: u32, authors: &[u32]) -> Ledger {
        let mut ledger = empty(clients, 0..clients, warmup_messages, authors);
        send_all(&mut ledger);
        ledger
    }

    fn empty(clients: u32, here: Range<u32>, warmup_messages: u32, authors: &[u32]) -> Ledger {
        let extent = Extent {
            clients,
            publishers: 0,
            here,
        };
        Ledger::new(extent, authors.iter().copied(), warmup_messages)
    }

    /// Sends the messages of all authors that belong here.
    fn send_all(ledger: &mut Ledger) {
        let here = ledger.first_client..ledger.first_client + ledger.receivers;
        for number in 0..u32::try_from(ledger.messages.len()).unwrap() {
            if here.contains(&ledger.messages[number as usize].author) {
                ledger.due(number);
                ledger.sent(number);
            }
        }
    }

    /// Delivers message `number` to `receiver` with the stamp its author would have written.
    pub(super) fn deliver(ledger: &mut Ledger, receiver: u32, number: u32, now_ns: u64) -> Receipt {
        let previous = ledger
            .messages
            .iter()
            .position(|message| message.next == Some(number))
            .map(|previous| u32::try_from(previous).unwrap());
        let stamp = Stamp {
            number,
            previous,
            intended_ns: 0,
            sent_ns: 0,
        };
        ledger.receive(receiver, &stamp, now_ns)
    }

    #[test]
    fn a_message_names_the_authors_previous() {
        let mut ledger = empty(3, 0..3, 0, &[2, 1, 2, 2]);
        let previous = [0, 1, 2, 3].map(|number| ledger.due(number));
        assert_eq!(previous, [None, None, Some(0), Some(2)]);
    }

    /// Three ledgers of two clients each, which together are to say what one of six says.
    #[test]
    fn ledgers_of_parts_add_up_to_that_of_the_whole() {
        let authors = [0, 3, 3, 5, 1, 3];
        let mut whole = ledger_of(6, 2, &authors);
        let mut parts = [0..2, 2..4, 4..6].map(|here| empty(6, here, 2, &authors));
        parts.iter_mut().for_each(send_all);
        // Client 4 misses message 1, client 2 goes after message 3, client 0 has message 2 twice.
        for number in 0..6 {
            for receiver in 0..6 {
                if (receiver, number) == (4, 1) || (receiver == 2 && number > 3) {
                    continue;
                }
                let times = if (receiver, number) == (0, 2) { 2 } else { 1 };
                for _ in 0..times {
                    deliver(&mut whole, receiver, number, 7);
                    deliver(&mut parts[receiver as usize / 2], receiver, number, 7);
                }
            }
        }
        whole.departed(2);
        parts[1].departed(2);
        let [mut first, second, third] = parts;
        first.join(second);
        first.join(third);
        assert_eq!(first.balance(), whole.balance());
        assert_eq!(first.audit(), whole.audit());
        assert_eq!(first.audit().measured.lost_while_connected, 0);
        assert_eq!(first.audit().measured.lost_to_disconnects, 2);
        assert_eq!(first.audit().warmup.lost_while_connected, 1);
    }

    #[test]
    fn a_part_hands_over_its_times_when_all_its_clients_have_a_message() {
        let mut part = empty(6, 2..4, 0, &[0, 3]);
        assert!(matches!(
            deliver(&mut part, 2, 0, 5),
            Receipt::Fresh {
                reach: Reach::Some,
                ..
            }
        ));
        let reach = |receipt| match receipt {
            Receipt::Fresh { reach, .. } => reach,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            reach(deliver(&mut part, 3, 0, 9)),
            Reach::AllHere(vec![5, 9])
        );
        assert_eq!(
            reach(deliver(&mut part, 2, 1, 11)),
            Reach::AllHere(vec![11])
        );
    }

    #[test]
    fn completion_names_the_first_the_median_and_the_last_receiver() {
        let mut ledger = ledger_of(6, 0, &[0]);
        let receipts: Vec<_> = (1..6)
            .map(|receiver| deliver(&mut ledger, receiver, 0, u64::from(receiver) * 10))
            .collect();
        let unfinished = Receipt::Fresh {
            measured: true,
            reach: Reach::Some,
        };
        assert!(receipts[..4].iter().all(|receipt| *receipt == unfinished));
        assert_eq!(
            receipts[4],
            Receipt::Fresh {
                measured: true,
                reach: Reach::All(Completion {
                    first_ns: 10,
                    median_ns: 30,
                    last_ns: 50,
                })
            }
        );
    }

    #[test]
    fn duplicates_echoes_and_unknown_numbers_are_told_apart() {
        let mut ledger = ledger_of(3, 0, &[0]);
        deliver(&mut ledger, 1, 0, 1);
        assert_eq!(deliver(&mut ledger, 1, 0, 2), Receipt::Duplicate);
        assert_eq!(deliver(&mut ledger, 0, 0, 3), Receipt::Echo);
        assert_eq!(deliver(&mut ledger, 1, 1, 4), Receipt::NeverSent);
    }

    #[test]
    fn outstanding_counts_what_is_owed_to_those_present() {
        let mut ledger = ledger_of(4, 0, &[0, 1]);
        assert_eq!(ledger.balance().outstanding(), 6);
        deliver(&mut ledger, 2, 0, 1);
        assert_eq!(ledger.balance().outstanding(), 5);
        ledger.departed(2);
        assert_eq!(
            ledger.balance().outstanding(),
            4,
            "client 2 was owed message 1"
        );
        ledger.departed(0);
        assert_eq!(
            ledger.balance().outstanding(),
            3,
            "client 0 was owed message 1"
        );
        for (receiver, number) in [(1, 0), (3, 0), (3, 1)] {
            deliver(&mut ledger, receiver, number, 2);
        }
        assert_eq!(ledger.balance().outstanding(), 0);
    }

    #[test]
    fn what_publishers_send_is_owed_to_every_client() {
        let extent = Extent {
            clients: 3,
            publishers: 2,
            here: 0..5,
        };
        let mut ledger = Ledger::new(extent, [3, 4].into_iter(), 0);
        for number in 0..2 {
            ledger.due(number);
            ledger.sent(number);
        }
        assert_eq!(ledger.balance().outstanding(), 6);
        for receiver in 0..3 {
            assert!(matches!(
                deliver(&mut ledger, receiver, 0, 5),
                Receipt::Fresh { reach, .. } if (reach == Reach::Some) == (receiver < 2)
            ));
        }
        let state = |ledger: &Ledger| (ledger.balance().present, ledger.balance().outstanding());
        ledger.departed(3);
        assert_eq!(state(&ledger), (3, 3));
        ledger.departed(0);
        assert_eq!(state(&ledger), (2, 2));
        let measured = ledger.audit().measured;
        assert_eq!((measured.expected, measured.delivered), (6, 3));
        assert_eq!(measured.lost(), 3);
        assert_eq!(measured.lost_to_disconnects, 1);
    }
}
