//! The observation: all that a run has seen, booked as it happens.
//!
//! It joins the ledger, the latencies, the barrier and the disconnects, so that the event loop only
//! says what came and when.

use std::ops::Range;

use record::{Cuts, Disconnects, Protocol};

use super::barrier::Barrier;
use super::completion::Gathering;
use super::latency::{Kind, Latencies};
use super::ledger::{Extent, Ledger, OwnCopies, Reach, Receipt};
use super::plan::Plan;
use super::schedule::{Due, Schedule};
use crate::host::clock::MILLISECOND_NS;
use crate::wire::disconnects::{self, CloseReason};
use crate::wire::identity::Arrival;
use crate::wire::outbox::{Item, Outgoing};
use crate::wire::stamp::Stamp;

/// A message that is sent later than this is not on time.
pub(crate) const SEND_LAG_MAX_NS: u64 = 100 * MILLISECOND_NS;

/// What one run has seen so far.
#[derive(Debug)]
pub(crate) struct Observation {
    pub(crate) ledger: Ledger,
    pub(crate) latencies: Latencies,
    pub(crate) barrier: Barrier,
    pub(crate) disconnects: Disconnects,
    /// How many of these were publishers.
    pub(crate) publishers_disconnected: u64,
    /// Deliveries, of whatever phase, that are not as they were sent.
    pub(crate) corrupt: u64,
    /// Messages of others who use the same server.
    pub(crate) foreign: u64,
    /// Measured messages that were sent on time: no later than [`SEND_LAG_MAX_NS`] after it.
    pub(crate) sent_on_time: u64,
    /// Connections that were cut, and came back.
    pub(crate) cuts: Cuts,
    traffic: Traffic,
    /// Messages that are due and not yet with the kernel.
    waiting: u64,
    warmup_messages: u32,
    first_publisher: u32,
    /// Clients from this number on have joined as soon as they have said what they say first: nothing
    /// confirms it.
    first_unconfirmed: u32,
}

/// What passed through the sockets of a run so far, whatever it was.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Traffic {
    /// Messages and probes that the kernel has taken.
    pub(crate) handed_over: u64,
    /// Messages and probes that came.
    pub(crate) arrivals: u64,
    /// Clients that have gone.
    pub(crate) disconnected: u64,
}

/// A message that all clients of a worker have.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) stamp: Stamp,
    /// When it came to each of them, in order.
    pub(crate) times: Vec<u64>,
}

impl Observation {
    /// Of worker `worker`, which has `clients`.
    pub(crate) fn new(plan: &Plan, clients: Range<u32>, worker: u32) -> Self {
        let authors = Schedule::new(plan).map(|due| due.author);
        let warmup_messages = plan.warmup.messages;
        let extent = Extent {
            clients: plan.clients,
            publishers: plan.publishers,
            here: clients.clone(),
            own_copies: match plan.cut_every {
                Some(_) => OwnCopies::Perhaps,
                None if plan.own_copies => OwnCopies::Owed,
                None => OwnCopies::Never,
            },
        };
        Self {
            barrier: Barrier::new(clients, plan.clients, worker, plan.threads),
            ledger: Ledger::new(extent, authors, warmup_messages),
            latencies: Latencies::new(),
            disconnects: Disconnects::default(),
            publishers_disconnected: 0,
            first_publisher: plan.clients,
            corrupt: 0,
            foreign: 0,
            sent_on_time: 0,
            cuts: Cuts::default(),
            traffic: Traffic::default(),
            waiting: 0,
            warmup_messages,
            first_unconfirmed: match plan.protocol {
                Protocol::Uringcast => 0,
                Protocol::Events => plan.clients,
                _ => u32::MAX,
            },
        }
    }

    /// What all workers have seen, in the order of their clients. `gathering` has the completions of
    /// which no worker alone could know.
    pub(crate) fn join(workers: Vec<Self>, gathering: &Gathering) -> Self {
        let joined = workers.into_iter().reduce(Self::joined_by);
        let mut joined = joined.expect("a run has at least one worker");
        joined.latencies.add(&gathering.latencies);
        joined
    }

    fn joined_by(mut self, next: Self) -> Self {
        self.ledger.join(next.ledger);
        self.latencies.add(&next.latencies);
        self.disconnects.add(&next.disconnects);
        self.publishers_disconnected += next.publishers_disconnected;
        self.corrupt += next.corrupt;
        self.foreign += next.foreign;
        self.sent_on_time += next.sent_on_time;
        self.cuts.add(next.cuts);
        self.traffic.add(&next.traffic);
        self.waiting += next.waiting;
        self
    }

    /// The load begins: what came before it, perhaps of an earlier run on the same connections, is
    /// none of its business.
    pub(crate) fn begin_load(&mut self) {
        self.foreign = 0;
        self.disconnects = Disconnects::default();
        self.publishers_disconnected = 0;
    }

    /// Message `number` is due. Load times count from `load_ns`.
    pub(crate) fn due(&mut self, number: u32, due: &Due, load_ns: u64) -> Outgoing {
        Outgoing {
            number,
            previous: self.ledger.due(number),
            intended_ns: load_ns + due.due_ns,
            payload_bytes: due.payload_bytes,
        }
    }

    /// A message was put into an outbox.
    pub(crate) fn queued(&mut self) {
        self.waiting += 1;
    }

    /// `client` has handed an item to the kernel.
    pub(crate) fn sent(&mut self, client: u32, item: &Item, now_ns: u64) {
        match item {
            Item::Name { .. } if client >= self.first_unconfirmed => self.barrier.named(client),
            // Of another server than uringcast, which may confirm nothing.
            Item::Join => self.barrier.named(client),
            Item::Name { .. } | Item::Answer(_) | Item::Leftover => {}
            Item::Probe { .. } => self.traffic.handed_over += 1,
            Item::Message(message) => {
                self.traffic.handed_over += 1;
                self.waiting -= 1;
                self.ledger.sent(message.number);
                if message.number >= self.warmup_messages {
                    self.latencies
                        .record(Kind::SendLag, message.intended_ns, now_ns);
                    let latest_ns = message.intended_ns + SEND_LAG_MAX_NS;
                    self.sent_on_time += u64::from(now_ns <= latest_ns);
                }
            }
        }
    }

    /// Something came to `receiver`. Hot: once per delivery, and so a part of each protocol's loop
    /// rather than a call from it. Gives what this worker knows of the completion of a message that all
    /// its clients have, if there are other workers.
    #[inline(always)]
    pub(crate) fn arrived(
        &mut self,
        receiver: u32,
        arrival: &Arrival<'_>,
        now_ns: u64,
    ) -> Option<Gathered> {
        self.traffic.arrivals += u64::from(is_delivery(arrival));
        match arrival {
            Arrival::Message(stamp) => match self.ledger.receive(receiver, stamp, now_ns) {
                Receipt::Fresh {
                    measured: true,
                    reach,
                } => {
                    self.latencies.delivered(stamp, now_ns);
                    return self.reached(stamp, reach);
                }
                Receipt::Fresh { .. } | Receipt::Duplicate | Receipt::Echo | Receipt::Returned => {}
                Receipt::NeverSent => self.corrupt += 1,
            },
            Arrival::Probe { round } => self.barrier.received(receiver, *round),
            Arrival::Joined => self.barrier.named(receiver),
            Arrival::Resumed(is_whole) => self.cuts.resumed += u64::from(*is_whole),
            Arrival::Notice(text) => disconnects::noticed(&mut self.disconnects, text),
            Arrival::Foreign => self.foreign += 1,
            Arrival::Corrupt => self.corrupt += 1,
            // It is the engine that answers, once the read is taken.
            Arrival::Opened | Arrival::Asked(_) => {}
            Arrival::Accepted(_) | Arrival::Presence | Arrival::Chatter => {}
        }
        None
    }

    fn reached(&mut self, stamp: &Stamp, reach: Reach) -> Option<Gathered> {
        match reach {
            Reach::Some => None,
            Reach::All(completion) => {
                self.latencies.completed(stamp.intended_ns, completion);
                None
            }
            Reach::AllHere(times) => Some(Gathered {
                stamp: *stamp,
                times,
            }),
        }
    }

    /// A client's connection was cut, and it is about to come back.
    pub(crate) fn cut(&mut self) {
        self.cuts.cut += 1;
    }

    /// `client` has gone, and with it the messages that were still in its outbox.
    pub(crate) fn disconnected(&mut self, client: u32, cause: &CloseReason, unsent: u64) {
        self.waiting -= unsent;
        self.ledger.disconnected(client);
        self.barrier.disconnected(client);
        self.publishers_disconnected += u64::from(client >= self.first_publisher);
        disconnects::disconnected(&mut self.disconnects, cause);
        if matches!(cause, CloseReason::Undecodable(_)) {
            self.corrupt += 1;
        }
    }

    /// Messages that are due and not yet with the kernel.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting
    }

    /// What passed through the sockets.
    pub(crate) fn traffic(&self) -> Traffic {
        Traffic {
            disconnected: self.disconnects.count(),
            ..self.traffic
        }
    }
}

impl Traffic {
    pub(crate) fn add(&mut self, other: &Self) {
        self.handed_over += other.handed_over;
        self.arrivals += other.arrivals;
        self.disconnected += other.disconnected;
    }
}

/// Whether this is one of the messages that everyone is owed, as the server counts them: those of
/// clients, and what it tells all of joins and leaves.
fn is_delivery(arrival: &Arrival<'_>) -> bool {
    matches!(
        arrival,
        Arrival::Message(_)
            | Arrival::Probe { .. }
            | Arrival::Foreign
            | Arrival::Corrupt
            | Arrival::Presence
    )
}
