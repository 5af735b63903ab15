//! The engine: one thread, one epoll loop, all clients. It carries out one run, and gives back the
//! connections, still warm, for a run that is to follow on them.
//!
//! Each turn waits for sockets or for the alarm, reads what came, and sends what is due. The
//! schedule is looked at after every read, so that a turn over thousands of sockets does not hold a
//! message back; the clock is read once per read, and all deliveries of one read share its time.
//!
//! epoll reports edges. A read that does not fill the buffer has emptied the socket (see epoll(7)),
//! which saves a second read; only where the peer has closed is the end asked for.

use std::iter::Peekable;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::clock::{Alarm, Clock, MILLISECOND_NS, SECOND_NS};
use crate::connect::Connector;
use crate::connection::Connection;
use crate::departures::Cause;
use crate::error::Error;
use crate::inbox::{Arrival, Identity, Inbox};
use crate::observation::Observation;
use crate::outbox::Item;
use crate::phases::{Facts, Phase, Phases};
use crate::plan::Plan;
use crate::schedule::Schedule;
use crate::turns::Turns;
use crate::wire::Undecodable;

mod joining;

const ALARM: Token = Token(usize::MAX);

/// Large enough that one read takes a whole burst; small enough to stay in a core's cache.
const READ_BUFFER_BYTES: usize = 128 * 1024;

/// How many sockets one turn looks at.
const EVENTS_MAX: usize = 1024;

/// How often the run is looked at from outside.
const TICK_NS: u64 = 200 * MILLISECOND_NS;

/// Looks at a run from outside, and may end it.
pub(crate) trait Watch {
    /// A phase has begun.
    fn entered(&mut self, status: &Status<'_>);
    /// Time has passed.
    fn tick(&mut self, status: &Status<'_>) -> Result<(), Error>;
    /// The run is over: whether what may still come need not be waited for.
    fn is_settled(&mut self, observation: &Observation) -> bool;
}

/// How a run is getting on.
#[derive(Debug)]
pub(crate) struct Status<'a> {
    pub(crate) now_ns: u64,
    pub(crate) phase: Phase,
    /// When the phase ends by the clock, if it does.
    pub(crate) phase_ends_ns: Option<u64>,
    pub(crate) observation: &'a Observation,
    pub(crate) turns: &'a Turns,
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) observation: Observation,
    pub(crate) turns: Turns,
    /// Whether the measured time was gone through to its end.
    pub(crate) completed: bool,
    /// Deliveries still owed when the measured time was over.
    pub(crate) backlog_at_end: u64,
    /// From the first connection to the last client's joining.
    pub(crate) connect_seconds: f64,
    /// From the end of the measured time to the last delivery, or until patience ended.
    pub(crate) drain_seconds: f64,
}

/// What outlives a run: the clients' connections and what serves them.
#[derive(Debug)]
pub(crate) struct Warm {
    clock: Clock,
    poll: Poll,
    alarm: Alarm,
    connector: Connector,
    connections: Vec<Option<Connection>>,
    read_buffer: Vec<u8>,
}

/// Carries out one run.
pub(crate) struct Engine<'a> {
    plan: &'a Plan,
    clock: Clock,
    poll: Poll,
    alarm: Alarm,
    connector: Connector,
    /// A place for each client; empty before it starts and after it has gone.
    connections: Vec<Option<Connection>>,
    identity: Identity,
    schedule: Peekable<Schedule>,
    /// When the next message is due; beyond all time outside the load.
    next_due_ns: u64,
    phases: Phases,
    observation: Observation,
    read_buffer: Vec<u8>,
    turns: Turns,
    next_tick_ns: u64,
    began_ns: u64,
    /// Whether clients that were lost before the load may be replaced: the server has shown that it
    /// takes them.
    may_replace: bool,
    /// When a client last joined.
    joined_ns: u64,
    joined: u32,
    backlog_at_end: u64,
    measured_ns: Option<u64>,
    drained_ns: u64,
}

impl Warm {
    /// `clients` clients of `target`, publishers included, none of which has been started yet; they
    /// are to connect from `sources`.
    ///
    /// # Errors
    /// When the system refuses an epoll instance or a timer.
    pub(crate) fn new(
        clients: u32,
        target: SocketAddr,
        sources: Vec<IpAddr>,
        connect_rate: Option<f64>,
    ) -> Result<Self, Error> {
        let poll = Poll::new().map_err(Error::system("make an epoll instance"))?;
        let alarm = Alarm::new().map_err(Error::system("make a timer"))?;
        poll.registry()
            .register(&mut SourceFd(&alarm.as_raw_fd()), ALARM, Interest::READABLE)
            .map_err(Error::system("watch a timer"))?;
        Ok(Self {
            clock: Clock::start(),
            poll,
            alarm,
            connector: Connector::new(target, sources, clients, connect_rate),
            connections: (0..clients).map(|_| None).collect(),
            read_buffer: vec![0; READ_BUFFER_BYTES],
        })
    }
}

impl<'a> Engine<'a> {
    /// An engine for `plan`, on connections that earlier runs may have used. `run` tells its
    /// messages from those of other runs.
    pub(crate) fn new(plan: &'a Plan, mut warm: Warm, run: u32) -> Self {
        let began_ns = warm.clock.now_ns();
        let mut observation = Observation::new(plan);
        let mut absent = Vec::new();
        for (client, place) in (0..).zip(&mut warm.connections) {
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
        let may_replace = absent.len() < warm.connections.len();
        warm.connector.begin_anew(absent, began_ns);
        Self {
            plan,
            clock: warm.clock,
            poll: warm.poll,
            alarm: warm.alarm,
            connector: warm.connector,
            connections: warm.connections,
            identity: Identity::new(plan, run),
            schedule: Schedule::new(plan).peekable(),
            next_due_ns: u64::MAX,
            phases: Phases::new(plan),
            observation,
            read_buffer: warm.read_buffer,
            turns: Turns::new(),
            next_tick_ns: 0,
            began_ns,
            may_replace,
            joined_ns: began_ns,
            joined: 0,
            backlog_at_end: 0,
            measured_ns: None,
            drained_ns: 0,
        }
    }

    /// Runs all phases.
    ///
    /// # Errors
    /// Whatever makes a measurement impossible, and what `watch` ends the run with.
    pub(crate) fn run(mut self, watch: &mut impl Watch) -> Result<(Outcome, Warm), Error> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        watch.entered(&self.status(self.clock.now_ns()));
        while self.phases.now_in() != Phase::Done {
            self.wait(&mut events)?;
            let woken_ns = self.clock.now_ns();
            for event in &events {
                self.dispatch(event)?;
            }
            let now_ns = self.clock.now_ns();
            self.send_due(now_ns)?;
            self.connect_more(now_ns)?;
            self.probe(now_ns)?;
            while self.advance(now_ns, watch) {}
            if self.phases.now_in() == Phase::Measure {
                self.turns.turned(woken_ns, self.clock.now_ns());
            }
            if now_ns >= self.next_tick_ns {
                self.next_tick_ns = now_ns + TICK_NS;
                watch.tick(&self.status(now_ns))?;
            }
        }
        while !watch.is_settled(&self.observation) {
            self.next_tick_ns = self.clock.now_ns() + TICK_NS;
            self.wait(&mut events)?;
            for event in &events {
                self.dispatch(event)?;
            }
        }
        Ok(self.end())
    }

    /// Waits until something can be read or the next thing is due.
    fn wait(&mut self, events: &mut Events) -> Result<(), Error> {
        let now_ns = self.clock.now_ns();
        let deadline_ns = [
            Some(self.next_due_ns),
            Some(self.next_tick_ns),
            self.phases.ends_ns(),
            self.next_connect_ns(),
            self.next_probe_ns(),
        ]
        .into_iter()
        .flatten()
        .fold(u64::MAX, u64::min);
        let timeout = if deadline_ns <= now_ns {
            Some(std::time::Duration::ZERO)
        } else {
            let armed = self.alarm.arm(deadline_ns, now_ns);
            armed.map_err(Error::system("set a timer"))?;
            None
        };
        match self.poll.poll(events, timeout) {
            // A signal: whoever asked for it is told at the next tick, which is due now.
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {
                self.next_tick_ns = 0;
                Ok(())
            }
            polled => polled.map_err(Error::system("wait for events")),
        }
    }

    fn dispatch(&mut self, event: &Event) -> Result<(), Error> {
        if event.token() == ALARM {
            return Ok(());
        }
        let at = event.token().0;
        let client = u32::try_from(at).unwrap_or(u32::MAX);
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
    fn read(&mut self, client: u32, to_the_end: bool) -> Result<(), Error> {
        loop {
            let Some(connection) = self.connections[client as usize].as_mut() else {
                return Ok(());
            };
            let bytes = match connection.read(&mut self.read_buffer) {
                Ok(Some(0)) => return self.ended(client),
                Ok(Some(bytes)) => bytes,
                Ok(None) => return Ok(()),
                Err(error) => return self.depart(client, Cause::Broken(error)),
            };
            let now_ns = self.clock.now_ns();
            let taken = take(
                client,
                &mut connection.inbox,
                &self.read_buffer[..bytes],
                &self.identity,
                &mut self.observation,
                now_ns,
            );
            match taken {
                Ok(false) => {}
                Ok(true) => {
                    connection.outbox.push(Item::Pong);
                    self.flush(client)?;
                }
                Err(error) => return self.depart(client, Cause::Undecodable(error)),
            }
            if now_ns >= self.next_due_ns {
                self.send_due(now_ns)?;
            }
            if bytes < self.read_buffer.len() && !to_the_end {
                return Ok(());
            }
        }
    }

    /// Hands over every message that is due.
    fn send_due(&mut self, now_ns: u64) -> Result<(), Error> {
        while self.next_due_ns <= now_ns {
            let Some(due) = self.schedule.next() else {
                break;
            };
            let outgoing = self.observation.due(&due, self.phases.load_ns());
            self.look_ahead();
            // An author that has gone cannot send; the audit finds its message unsent.
            if let Some(connection) = self.connections[due.author as usize].as_mut() {
                connection.outbox.push(Item::Message(outgoing));
                self.observation.queued();
                self.flush(due.author)?;
            }
        }
        Ok(())
    }

    fn look_ahead(&mut self) {
        let load_ns = self.phases.load_ns();
        let next = self.schedule.peek();
        self.next_due_ns = next.map_or(u64::MAX, |due| load_ns + due.due_ns);
    }

    fn flush(&mut self, client: u32) -> Result<(), Error> {
        let observation = &mut self.observation;
        let Some(connection) = self.connections[client as usize].as_mut() else {
            return Ok(());
        };
        let flushed = connection.flush(&self.identity, self.clock, |item, now_ns| {
            observation.sent(client, item, now_ns);
        });
        match flushed {
            Ok(()) => Ok(()),
            // A server that closes may have said why before.
            Err(error) => self.depart_after_reading(client, error),
        }
    }

    fn depart_after_reading(&mut self, client: u32, error: std::io::Error) -> Result<(), Error> {
        if let Some(connection) = self.connections[client as usize].as_mut()
            && let Ok(Some(bytes)) = connection.read(&mut self.read_buffer)
        {
            // What cannot be decoded here changes nothing: the client is gone either way.
            let _ = take(
                client,
                &mut connection.inbox,
                &self.read_buffer[..bytes],
                &self.identity,
                &mut self.observation,
                self.clock.now_ns(),
            );
        }
        self.depart(client, Cause::Broken(error))
    }

    fn ended(&mut self, client: u32) -> Result<(), Error> {
        let is_torn = self.connections[client as usize]
            .as_ref()
            .is_some_and(|connection| connection.inbox.is_mid_message());
        let cause = if is_torn { Cause::Torn } else { Cause::Closed };
        self.depart(client, cause)
    }

    /// Lets go of a client. Before the load, a run cannot go on without it.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a cause is made to be used up"
    )]
    fn depart(&mut self, client: u32, cause: Cause) -> Result<(), Error> {
        if self.phases.now_in() == Phase::Connect && self.may_replace {
            self.replace(client);
            return Ok(());
        }
        if let Some(connection) = self.connections[client as usize].take() {
            let unsent = connection.outbox.messages();
            self.observation.departed(client, &cause, unsent);
        }
        if self.phases.now_in() != Phase::Connect {
            return Ok(());
        }
        Err(Error::LeftEarly {
            target: self.connector.target(),
            joined: self.joined,
            clients: self.plan.connections(),
            how: self.observation.departures.in_words(),
        })
    }

    /// Goes on to the next phase if it is time; says whether it was.
    fn advance(&mut self, now_ns: u64, watch: &mut impl Watch) -> bool {
        let barrier = &self.observation.barrier;
        let facts = Facts {
            present: self.observation.ledger.present(),
            barrier_passed: barrier.is_passed(),
            all_named: barrier.named_so_far() == self.plan.connections(),
            owed: self.observation.owed(),
        };
        let Some(phase) = self.phases.advance(now_ns, facts) else {
            return false;
        };
        match phase {
            Phase::WarmUp => {
                self.observation.begin_load();
                self.joined = self.plan.connections();
                self.joined_ns = now_ns;
                self.look_ahead();
            }
            Phase::Drain => {
                self.measured_ns = Some(now_ns);
                self.backlog_at_end = self.observation.owed();
            }
            Phase::Mark => {
                self.drained_ns = now_ns;
                self.observation.barrier.begin_anew();
            }
            Phase::Connect | Phase::Measure | Phase::Done => {}
        }
        watch.entered(&self.status(now_ns));
        true
    }

    fn status(&self, now_ns: u64) -> Status<'_> {
        Status {
            now_ns,
            phase: self.phases.now_in(),
            phase_ends_ns: self.phases.ends_ns(),
            observation: &self.observation,
            turns: &self.turns,
        }
    }

    fn end(self) -> (Outcome, Warm) {
        let drain_ns = self
            .measured_ns
            .map_or(0, |measured_ns| self.drained_ns.saturating_sub(measured_ns));
        let outcome = Outcome {
            turns: self.turns,
            completed: self.measured_ns.is_some(),
            backlog_at_end: self.backlog_at_end,
            connect_seconds: (self.joined_ns - self.began_ns) as f64 / SECOND_NS as f64,
            drain_seconds: drain_ns as f64 / SECOND_NS as f64,
            observation: self.observation,
        };
        let warm = Warm {
            clock: self.clock,
            poll: self.poll,
            alarm: self.alarm,
            connector: self.connector,
            connections: self.connections,
            read_buffer: self.read_buffer,
        };
        (outcome, warm)
    }
}

/// Books all that `bytes` hold; says whether the server asks for an answer. Hot: once per delivery.
fn take(
    receiver: u32,
    inbox: &mut Inbox,
    bytes: &[u8],
    identity: &Identity,
    observation: &mut Observation,
    now_ns: u64,
) -> Result<bool, Undecodable> {
    let mut is_asked = false;
    inbox.take(bytes, identity, |arrival| match arrival {
        Arrival::Ping => is_asked = true,
        arrival => observation.arrived(receiver, arrival, now_ns),
    })?;
    Ok(is_asked)
}
