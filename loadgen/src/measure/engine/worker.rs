//! A worker: one thread, one epoll loop, and its share of the clients.
//!
//! Each turn waits for sockets or for the alarm, reads what came, and sends what is due. The
//! schedule is looked at after every read, so that a turn over thousands of sockets does not hold a
//! message back; the clock is read once per read, and all deliveries of one read share its time. Beside that it is
//! read when a turn begins and when it is done.
//!
//! epoll reports edges. A read that does not fill the buffer has emptied the socket (see epoll(7)),
//! which saves a second read; only where the peer has closed is the end asked for.
//!
//! A worker shares nothing that is written per delivery. Once a turn it puts its counts on the shared,
//! where the phases are decided.

use std::iter::Peekable;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use super::shared::{Counts, SharedState, Snapshot};
use crate::host::clock::{Alarm, Clock, MILLISECOND_NS};
use crate::host::refused;
use crate::measure::connect::Connector;
use crate::measure::connection::Connection;
use crate::measure::error::RunError;
use crate::measure::latency::Kind;
use crate::measure::observation::Observation;
use crate::measure::phases::Phase;
use crate::measure::plan::Plan;
use crate::measure::schedule::{Schedule, Share};
use crate::measure::turns::Turns;
use crate::wire::codec::Undecodable;
use crate::wire::disconnects::CloseReason;
use crate::wire::identity::{Arrival, Identity};
use crate::wire::outbox::Item;
use crate::wire::recent::Recent;

mod cutting;
mod joining;
mod leaving;

use cutting::Cuts;

const ALARM: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);

/// Large enough that one read takes a whole burst; small enough to stay in a core's cache.
const READ_BUFFER_BYTES: usize = 128 * 1024;

/// How many sockets one turn looks at.
const EVENTS_MAX: usize = 1024;

/// How long a worker waits while its clients connect, since some of that is a matter of time.
const CONNECT_TURN_NS: u64 = 200 * MILLISECOND_NS;

/// What of a worker outlives a run: its clients' connections and what serves them.
#[derive(Debug)]
pub(super) struct WarmWorker {
    clock: Clock,
    poll: Poll,
    waker: Arc<Waker>,
    alarm: Alarm,
    connector: Connector,
    connections: Vec<Option<Connection>>,
    read_buffer: Vec<u8>,
}

/// What a worker leaves.
pub(super) struct Ended {
    pub(super) observation: Observation,
    pub(super) turns: Turns,
    pub(super) warm: WarmWorker,
}

/// The thread of a worker.
pub(super) type WorkerThread<'scope> = ScopedJoinHandle<'scope, Result<Ended, RunError>>;

/// One thread's part of a run.
pub(super) struct Worker<'a> {
    plan: &'a Plan,
    shared: &'a SharedState,
    /// Which of the workers this is.
    number: u32,
    /// Whose connections it has.
    clients: Range<u32>,
    clock: Clock,
    poll: Poll,
    waker: Arc<Waker>,
    alarm: Alarm,
    connector: Connector,
    /// A place for each client; empty before it starts and after it has gone.
    connections: Vec<Option<Connection>>,
    identity: Identity,
    recent: Recent,
    schedule: Peekable<Share>,
    /// When the next message is due; beyond all time outside the load.
    next_due_ns: u64,
    load_ns: u64,
    phase: Phase,
    observation: Observation,
    read_buffer: Vec<u8>,
    /// When something was last read.
    read_ns: u64,
    /// In this turn.
    reads: u64,
    /// When the last turn was done.
    done_ns: u64,
    turns: Turns,
    /// Whether clients that were lost before the load may be replaced: the server has shown that it
    /// takes them.
    may_replace: bool,
    joined: u32,
    cuts: Option<Cuts>,
}

impl WarmWorker {
    /// The worker of `clients`, none of which has been started yet; they are to connect to `target`
    /// from `sources`, at `connect_rate`.
    ///
    /// # Errors
    /// When the system refuses an epoll instance or a timer.
    pub(super) fn new(
        clock: Clock,
        clients: Range<u32>,
        target: SocketAddr,
        sources: Vec<IpAddr>,
        connect_rate: Option<f64>,
    ) -> Result<Self, RunError> {
        let poll = Poll::new().map_err(refused("make an epoll instance"))?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(refused("make an eventfd"))?;
        let alarm = Alarm::new().map_err(refused("make a timer"))?;
        poll.registry()
            .register(&mut SourceFd(&alarm.as_raw_fd()), ALARM, Interest::READABLE)
            .map_err(refused("watch a timer"))?;
        Ok(Self {
            clock,
            poll,
            waker: Arc::new(waker),
            alarm,
            connections: clients.clone().map(|_| None).collect(),
            connector: Connector::new(target, sources, clients, connect_rate),
            read_buffer: vec![0; READ_BUFFER_BYTES],
        })
    }

    /// Ends the worker's wait, from any thread.
    pub(super) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Whether any client is connected.
    pub(super) fn is_warm(&self) -> bool {
        self.connections.iter().any(Option::is_some)
    }
}

impl<'a> Worker<'a> {
    /// Worker `number` for `plan`, on connections that earlier runs may have used. `run` tells its
    /// messages from those of other runs.
    pub(super) fn new(
        plan: &'a Plan,
        shared: &'a SharedState,
        (number, clients): (u32, Range<u32>),
        mut warm: WarmWorker,
        run: u32,
        may_replace: bool,
    ) -> Self {
        let mut observation = Observation::new(plan, clients.clone(), number);
        let mut absent = Vec::new();
        for (client, place) in clients.clone().zip(&mut warm.connections) {
            match place {
                None => absent.push(client),
                Some(connection) => {
                    connection.outbox.forget();
                    observation.barrier.named(client);
                }
            }
        }
        // Without a publisher nobody could be probed: publishers come first.
        absent.sort_by_key(|&client| client < plan.clients);
        warm.connector.begin_anew(absent, warm.clock.now_ns());
        Self {
            plan,
            shared,
            number,
            clock: warm.clock,
            poll: warm.poll,
            waker: warm.waker,
            alarm: warm.alarm,
            connector: warm.connector,
            connections: warm.connections,
            identity: plan.identity(run),
            // Who is cut has to read the position of each message.
            recent: match plan.cut_every {
                None => Recent::new(),
                Some(_) => Recent::none(),
            },
            cuts: plan
                .cut_every
                .map(|period| Cuts::new(period, clients.clone())),
            schedule: Schedule::new(plan).share_of(clients.clone()).peekable(),
            clients,
            next_due_ns: u64::MAX,
            load_ns: 0,
            phase: Phase::Connect,
            observation,
            read_buffer: warm.read_buffer,
            read_ns: 0,
            reads: 0,
            done_ns: warm.clock.now_ns(),
            turns: Turns::new(),
            may_replace,
            joined: 0,
        }
    }

    /// Takes part in the run until it is over.
    ///
    /// # Errors
    /// Whatever makes a measurement impossible.
    pub(super) fn run(mut self) -> Result<Ended, RunError> {
        // What comes first may take long to find, if others send first.
        self.schedule.peek();
        let mut events = Events::with_capacity(EVENTS_MAX);
        while !self.shared.is_over() {
            self.turn(&mut events)?;
        }
        let warm = WarmWorker {
            clock: self.clock,
            poll: self.poll,
            waker: self.waker,
            alarm: self.alarm,
            connector: self.connector,
            connections: self.connections,
            read_buffer: self.read_buffer,
        };
        Ok(Ended {
            observation: self.observation,
            turns: self.turns,
            warm,
        })
    }

    fn turn(&mut self, events: &mut Events) -> Result<(), RunError> {
        self.wait(events)?;
        self.reads = 0;
        let woken_ns = self.clock.now_ns();
        self.follow();
        for event in &*events {
            self.dispatch(event)?;
        }
        // Nothing was done since that would take long.
        let now_ns = self.read_ns.max(woken_ns);
        self.send_due(now_ns)?;
        self.cut(now_ns)?;
        self.connect_more(now_ns)?;
        self.probe(now_ns)?;
        self.publish(now_ns);
        self.done_ns = self.clock.now_ns();
        if self.phase == Phase::Measure {
            self.turns.turned(woken_ns, self.done_ns);
            self.turns.read(self.reads);
        }
        Ok(())
    }

    /// Waits until something can be read or the next thing is due.
    fn wait(&mut self, events: &mut Events) -> Result<(), RunError> {
        let now_ns = self.done_ns;
        let connecting = self.phase == Phase::Connect;
        let deadline_ns = [
            Some(self.next_due_ns),
            connecting.then_some(now_ns + CONNECT_TURN_NS),
            self.next_connect_ns(),
            self.next_probe_ns(),
            self.next_cut_ns(),
        ]
        .into_iter()
        .flatten()
        .fold(u64::MAX, u64::min);
        let timeout = if deadline_ns <= now_ns {
            Some(Duration::ZERO)
        } else {
            if deadline_ns < u64::MAX {
                let armed = self.alarm.arm(deadline_ns, now_ns);
                armed.map_err(refused("set a timer"))?;
            }
            None
        };
        match self.poll.poll(events, timeout) {
            // A signal: whoever asked for it is told by the coordinator.
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Ok(()),
            polled => Ok(polled.map_err(refused("wait for events"))?),
        }
    }

    /// Follows the run into the phase that it has come to.
    fn follow(&mut self) {
        let (before, now) = (self.phase, self.shared.phase());
        if before == now {
            return;
        }
        self.phase = now;
        let entered = |phase| before < phase && phase <= now;
        if entered(Phase::WarmUp) {
            self.observation.begin_load();
            self.load_ns = self.shared.load_ns();
            self.look_ahead();
        }
        if entered(Phase::Measure) {
            self.turns.begin();
        }
        if entered(Phase::Drain) {
            // Nothing is due any more, also if the measured time was cut short.
            self.next_due_ns = u64::MAX;
            self.turns.end();
        }
        if entered(Phase::Mark) {
            self.observation.barrier.begin_anew();
        }
    }

    /// Publishes what has been done until `now_ns`.
    fn publish(&self, now_ns: u64) {
        let observation = &self.observation;
        let barrier = &observation.barrier;
        self.shared.publish(
            self.number,
            Counts {
                looked_ns: now_ns,
                read_ns: self.read_ns,
                phase: Some(self.phase),
                joined: self.joined,
                is_paced: self.next_connect_ns().is_some(),
                all_named: barrier.named_so_far() as usize == self.clients.len(),
                barrier_passed: barrier.is_passed(),
                balance: observation.ledger.balance(),
                waiting: observation.waiting(),
                traffic: observation.traffic(),
            },
        );
        self.shared.answer_request(self.number, || Snapshot {
            delivery: observation.latencies.of(Kind::Delivery).histogram(),
            send_lag: observation.latencies.of(Kind::SendLag).histogram(),
            turns: self.turns.histogram(),
            delivered: observation.ledger.delivered(),
            disconnects: observation.disconnects.clone(),
        });
    }

    fn place(&self, client: u32) -> usize {
        (client - self.clients.start) as usize
    }

    fn client_at(&self, place: usize) -> u32 {
        u32::try_from(place).map_or(u32::MAX, |place| self.clients.start + place)
    }

    fn dispatch(&mut self, event: &Event) -> Result<(), RunError> {
        if event.token() == ALARM || event.token() == WAKER {
            return Ok(());
        }
        let at = event.token().0;
        let client = self.client_at(at);
        let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else {
            return Ok(());
        };
        match connection.check_connected() {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => return Err(self.connect_error(client, error)),
        }
        if event.is_writable() && !connection.outbox.is_empty() {
            self.flush(client)?;
        }
        if event.is_readable() || event.is_read_closed() {
            self.read(client, event.is_read_closed())?;
        }
        Ok(())
    }

    /// Reads all that has come to `client`. Hot: once per segment.
    fn read(&mut self, client: u32, to_the_end: bool) -> Result<(), RunError> {
        loop {
            let place = self.place(client);
            let Some(connection) = self.connections[place].as_mut() else {
                return Ok(());
            };
            let bytes = match connection.read(&mut self.read_buffer) {
                Ok(Some(0)) => return self.ended(client),
                Ok(Some(bytes)) => bytes,
                Ok(None) => return Ok(()),
                Err(error) => return self.disconnect(client, CloseReason::Broken(error)),
            };
            let now_ns = self.clock.now_ns();
            self.read_ns = now_ns;
            self.reads += 1;
            let booked = book_read(
                client,
                connection,
                &self.read_buffer[..bytes],
                (&self.identity, &mut self.recent),
                &mut self.observation,
                self.shared,
                now_ns,
            );
            match booked {
                Ok(false) => {}
                Ok(true) => self.flush(client)?,
                Err(error) => return self.disconnect(client, CloseReason::Undecodable(error)),
            }
            self.check_refused()?;
            if now_ns >= self.next_due_ns {
                self.send_due(now_ns)?;
            }
            if bytes < self.read_buffer.len() && !to_the_end {
                return Ok(());
            }
        }
    }

    /// Hands over every message of our clients that is due.
    fn send_due(&mut self, now_ns: u64) -> Result<(), RunError> {
        while self.next_due_ns <= now_ns {
            let Some((number, due)) = self.schedule.next() else {
                break;
            };
            let outgoing = self.observation.due(number, &due, self.load_ns);
            self.look_ahead();
            // An author that has gone cannot send; the audit finds its message unsent.
            let place = self.place(due.author);
            if let Some(connection) = self.connections[place].as_mut() {
                connection.outbox.push(Item::Message(outgoing));
                self.observation.queued();
                self.flush(due.author)?;
            }
        }
        Ok(())
    }

    fn look_ahead(&mut self) {
        let load_ns = self.load_ns;
        let next = self.schedule.peek();
        self.next_due_ns = next.map_or(u64::MAX, |(_, due)| load_ns + due.due_ns);
    }

    fn flush(&mut self, client: u32) -> Result<(), RunError> {
        let place = self.place(client);
        let observation = &mut self.observation;
        let Some(connection) = self.connections[place].as_mut() else {
            return Ok(());
        };
        let asks = self.identity.resumes;
        let mut asked = 0;
        let flushed = connection.flush(&self.identity, self.clock, |item, now_ns| {
            asked += u32::from(asks && matches!(item, Item::Message(_)));
            observation.sent(client, item, now_ns);
        });
        connection.unconfirmed += asked;
        match flushed {
            Ok(()) => Ok(()),
            // A server that closes may have said why before.
            Err(error) => self.disconnect_after_reading(client, error),
        }
    }
}

/// Books all that `bytes` hold; says whether there is something to answer. Hot: once per delivery.
fn book_read(
    receiver: u32,
    connection: &mut Connection,
    bytes: &[u8],
    (identity, recent): (&Identity, &mut Recent),
    observation: &mut Observation,
    shared: &SharedState,
    now_ns: u64,
) -> Result<bool, Undecodable> {
    let (mut answers, mut confirmed, mut joined) = (Vec::new(), 0, connection.joined);
    connection.decode(bytes, identity, recent, |arrival| match arrival {
        Arrival::Accepted(_) => confirmed += 1,
        Arrival::Opened => answers.push(Item::Join),
        Arrival::Asked(answer) => answers.push(Item::Answer(answer.to_vec())),
        arrival => {
            joined |= matches!(arrival, Arrival::Joined | Arrival::Resumed(_));
            if let Some(gathered) = observation.arrived(receiver, arrival, now_ns) {
                shared.gather(gathered);
            }
        }
    })?;
    connection.unconfirmed = connection.unconfirmed.saturating_sub(confirmed);
    connection.joined = joined;
    let is_asked = !answers.is_empty();
    answers
        .into_iter()
        .for_each(|answer| connection.outbox.push(answer));
    Ok(is_asked)
}
