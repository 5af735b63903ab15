//! The ledger: who has received which message, so that every delivery is proved.
//!
//! One bit per receiver and message, set by the first delivery. A delivery costs O(1): its own bit
//! tells a duplicate, the bit of the author's previous message tells a gap in the author's order,
//! and a counter per message finds its first, median and last receiver. What is lost is judged once,
//! at the end, by [`Ledger::audit`].
//!
//! Always: delivered + lost = expected, and a bit is never cleared.

use crate::stamp::{NUMBER_MAX, Stamp};

mod audit;

pub(crate) use audit::{Account, Audit};

/// The book of one run.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// Those that receive, then those that only send.
    clients: Vec<Client>,
    receivers: u32,
    /// How many receive a message: all receivers, or all but its author if that is one of them.
    everybody: u32,
    messages: Vec<Message>,
    /// A row per receiver, a bit per message number.
    received: Vec<u64>,
    /// A bit per message that was handed to the kernel whole.
    sent: Vec<u64>,
    row_words: usize,
    /// Messages below this number are warm-up.
    warmup_messages: u32,
    sent_total: u64,
    present: u32,
    outstanding: u64,
    tallies: [Tally; 2],
}

#[derive(Debug, Clone)]
struct Client {
    departed: bool,
    /// The message scheduled last for this author.
    latest: Option<u32>,
    sent: u64,
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
    sent: u64,
    delivered: u64,
    duplicated: u64,
    echoed: u64,
    /// Deliveries that came while the author's previous message had not.
    gaps: u64,
}

/// What a delivery turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receipt {
    /// The first of this message to this receiver.
    Fresh {
        measured: bool,
        /// Set if now everybody has it.
        completion: Option<Completion>,
    },
    /// This receiver had it already.
    Duplicate,
    /// It came back to its author.
    Echo,
    /// Its number was never given out.
    NeverSent,
}

/// When a message reached its receivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Completion {
    pub(crate) first_ns: u64,
    pub(crate) median_ns: u64,
    pub(crate) last_ns: u64,
}

/// What a ledger of this size takes of the memory, in bytes.
pub(crate) fn bytes_needed(clients: u32, messages: u64) -> u64 {
    let bitmap = (u64::from(clients) + 1).saturating_mul(messages / 8 + 8);
    let table = messages.saturating_mul(size_of::<Message>() as u64);
    bitmap.saturating_add(table)
}

impl Ledger {
    /// An empty ledger for `messages` messages, of which the first `warmup_messages` are warm-up.
    /// They are sent by the `clients` that receive, or if there are any by `publishers` that do not,
    /// whose numbers follow those of the clients.
    pub(crate) fn new(clients: u32, publishers: u32, messages: u32, warmup_messages: u32) -> Self {
        let row_words = (messages as usize).div_ceil(64);
        let client = Client {
            departed: false,
            latest: None,
            sent: 0,
        };
        Self {
            clients: vec![client; clients as usize + publishers as usize],
            receivers: clients,
            everybody: if publishers > 0 { clients } else { clients - 1 },
            messages: Vec::with_capacity(messages as usize),
            received: vec![0; row_words * clients as usize],
            sent: vec![0; row_words],
            row_words,
            warmup_messages,
            sent_total: 0,
            present: clients,
            outstanding: 0,
            tallies: [Tally::default(); 2],
        }
    }

    /// Gives out the next number to a message of `author`, and names the author's previous one.
    pub(crate) fn enter(&mut self, author: u32) -> (u32, Option<u32>) {
        assert!(
            self.messages.len() < self.row_words * 64,
            "the schedule holds no more messages than the ledger was made for"
        );
        let number = u32::try_from(self.messages.len()).unwrap_or(NUMBER_MAX);
        let previous = self.clients[author as usize].latest.replace(number);
        if let Some(previous) = previous {
            self.messages[previous as usize].next = Some(number);
        }
        self.messages.push(Message {
            author,
            next: None,
            receivers: 0,
            first_ns: 0,
            median_ns: 0,
        });
        (number, previous)
    }

    /// A message was handed to the kernel whole: from now on everybody present is owed it.
    pub(crate) fn sent(&mut self, number: u32) {
        let author = self.messages[number as usize].author as usize;
        set(&mut self.sent, number);
        let measured = self.is_measured(number);
        self.tallies[usize::from(measured)].sent += 1;
        self.clients[author].sent += 1;
        self.sent_total += 1;
        let owed_nothing = author < self.receivers as usize && !self.clients[author].departed;
        self.outstanding += u64::from(self.present - u32::from(owed_nothing));
    }

    /// A client has gone: nothing more can reach it.
    pub(crate) fn departed(&mut self, client: u32) {
        let gone = &mut self.clients[client as usize];
        assert!(!gone.departed, "a client leaves once");
        gone.departed = true;
        if client >= self.receivers {
            return;
        }
        let owed = self.owed_to(client);
        self.present -= 1;
        self.outstanding -= owed;
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
        let row_at = receiver as usize * self.row_words;
        let row = &mut self.received[row_at..row_at + self.row_words];
        if !set(row, number) {
            tally.duplicated += 1;
            return Receipt::Duplicate;
        }
        if stamp
            .previous
            .is_some_and(|previous| !is_set(row, previous))
        {
            tally.gaps += 1;
        }
        tally.delivered += 1;
        self.outstanding = self.outstanding.saturating_sub(1);
        Receipt::Fresh {
            measured,
            completion: message.reached_one_more(self.everybody, now_ns),
        }
    }

    /// Deliveries still owed to clients that are present.
    pub(crate) fn outstanding(&self) -> u64 {
        self.outstanding
    }

    /// Deliveries so far, warm-up included.
    pub(crate) fn delivered(&self) -> u64 {
        self.tallies.iter().map(|tally| tally.delivered).sum()
    }

    /// How many of those that receive are present.
    pub(crate) fn present(&self) -> u32 {
        self.present
    }

    fn is_measured(&self, number: u32) -> bool {
        number >= self.warmup_messages
    }

    fn owed_to(&self, client: u32) -> u64 {
        let received: u64 = self
            .row(client)
            .iter()
            .map(|word| u64::from(word.count_ones()))
            .sum();
        (self.sent_total - self.clients[client as usize].sent).saturating_sub(received)
    }

    fn row(&self, client: u32) -> &[u64] {
        let row_at = client as usize * self.row_words;
        &self.received[row_at..row_at + self.row_words]
    }
}

impl Message {
    fn reached_one_more(&mut self, everybody: u32, now_ns: u64) -> Option<Completion> {
        self.receivers += 1;
        let reached = self.receivers;
        if reached == 1 {
            self.first_ns = now_ns;
        }
        if reached == everybody.div_ceil(2) {
            self.median_ns = now_ns;
        }
        (reached == everybody).then_some(Completion {
            first_ns: self.first_ns,
            median_ns: self.median_ns,
            last_ns: now_ns,
        })
    }
}

/// Sets a bit; says whether it was clear.
fn set(bits: &mut [u64], at: u32) -> bool {
    let word = &mut bits[at as usize / 64];
    let bit = 1 << (at % 64);
    let was_clear = *word & bit == 0;
    *word |= bit;
    was_clear
}

fn is_set(bits: &[u64], at: u32) -> bool {
    bits[at as usize / 64] & (1 << (at % 64)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ledger in which the given authors' messages have all been sent.
    pub(super) fn ledger_of(clients: u32, warmup_messages: u32, authors: &[u32]) -> Ledger {
        let messages = u32::try_from(authors.len()).unwrap();
        let mut ledger = Ledger::new(clients, 0, messages, warmup_messages);
        for &author in authors {
            let (number, _) = ledger.enter(author);
            ledger.sent(number);
        }
        ledger
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
    fn numbers_follow_each_other_and_name_the_authors_previous() {
        let mut ledger = Ledger::new(3, 0, 4, 0);
        assert_eq!(ledger.enter(2), (0, None));
        assert_eq!(ledger.enter(1), (1, None));
        assert_eq!(ledger.enter(2), (2, Some(0)));
        assert_eq!(ledger.enter(2), (3, Some(2)));
    }

    #[test]
    fn completion_names_the_first_the_median_and_the_last_receiver() {
        let mut ledger = ledger_of(6, 0, &[0]);
        let receipts: Vec<_> = (1..6)
            .map(|receiver| deliver(&mut ledger, receiver, 0, u64::from(receiver) * 10))
            .collect();
        let unfinished = Receipt::Fresh {
            measured: true,
            completion: None,
        };
        assert!(receipts[..4].iter().all(|receipt| *receipt == unfinished));
        assert_eq!(
            receipts[4],
            Receipt::Fresh {
                measured: true,
                completion: Some(Completion {
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
        assert_eq!(ledger.outstanding(), 6);
        deliver(&mut ledger, 2, 0, 1);
        assert_eq!(ledger.outstanding(), 5);
        ledger.departed(2);
        assert_eq!(ledger.outstanding(), 4, "client 2 was owed message 1");
        ledger.departed(0);
        assert_eq!(ledger.outstanding(), 3, "client 0 was owed message 1");
        for (receiver, number) in [(1, 0), (3, 0), (3, 1)] {
            deliver(&mut ledger, receiver, number, 2);
        }
        assert_eq!(ledger.outstanding(), 0);
    }

    #[test]
    fn what_publishers_send_is_owed_to_every_client() {
        let mut ledger = Ledger::new(3, 2, 2, 0);
        for author in [3, 4] {
            let (number, _) = ledger.enter(author);
            ledger.sent(number);
        }
        assert_eq!(ledger.outstanding(), 6);
        for receiver in 0..3 {
            assert!(matches!(
                deliver(&mut ledger, receiver, 0, 5),
                Receipt::Fresh { completion, .. } if completion.is_some() == (receiver == 2)
            ));
        }
        ledger.departed(3);
        assert_eq!((ledger.present(), ledger.outstanding()), (3, 3));
        ledger.departed(0);
        assert_eq!((ledger.present(), ledger.outstanding()), (2, 2));
        let measured = ledger.audit().measured;
        assert_eq!((measured.expected, measured.delivered), (6, 3));
        assert_eq!(measured.lost(), 3);
        assert_eq!(measured.lost_to_disconnects, 1);
    }
}
