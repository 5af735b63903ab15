//! The driver on the tokio-uring runtime, without `unsafe`.
//!
//! One task serves the send queue; each connection has a task that reads; each send is a task while it
//! is on its way. Reading waits for readiness through the ring and then copies into one buffer that
//! all connections share, so an idle connection costs no buffer. What always holds: a descriptor is
//! closed only when no task and no operation uses it any more.

use std::cell::{Cell, RefCell};
use std::io;
use std::marker::PhantomData;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use io_uring_06::{cqueue, opcode, squeue, types};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, shutdown};
use tokio::sync::Notify;
use tokio::time::{sleep, sleep_until, timeout_at};
use tokio_uring::{OneshotOutputTransform, UnsubmittedOneshot};

use super::accepting::{AcceptError, Accepting};
use super::connections::{Connections, SEND_PAUSE, passes};
use super::uring::set_up;
use super::{
    ACCEPTS, CHUNK, Deadlines, READ_BYTES, TurnEnd, Worker, drain, handle_wake, tell_begun,
};
use crate::command::Commands;
use crate::control::{Control, Stage};
use crate::hub::{Close, ConnectionId, Disconnect, Hub, Reading, Snapshot};

/// Entries of the submission queue.
const SUBMISSIONS: u32 = 1024;
/// Entries of the completion queue: a burst of this many completions is taken without a detour.
const COMPLETIONS: u32 = 16_384;

/// Connections that are read from, at least, while the runtime carries out one operation of the ring.
const READS: u64 = 32;

/// Serves on this thread until the control says stop, or all is drained.
///
/// # Errors
/// When the kernel refuses the ring.
pub(super) fn run(worker: Worker) -> io::Result<Snapshot> {
    // The runtime would wait for ever for an operation that the kernel does not take.
    drop(set_up(2, 4)?);
    let mut ring = tokio_uring::uring_builder();
    ring.setup_coop_taskrun().setup_cqsize(COMPLETIONS);
    let mut builder = tokio_uring::builder();
    builder.entries(SUBMISSIONS).uring_builder(&ring);
    let runtime = tokio_uring::Runtime::new(&builder)?;
    tell_begun(&worker.begun);
    runtime.block_on(serve(worker))
}

/// What the tasks of one thread share. Nothing is borrowed across an `await`.
struct EventLoop {
    thread: usize,
    control: Arc<Control>,
    hub: RefCell<Hub>,
    commands: RefCell<Commands>,
    connections: RefCell<Connections<Rc<Connection>>>,
    deadlines: RefCell<Deadlines>,
    turn_end: RefCell<TurnEnd>,
    read_buffer: RefCell<Vec<u8>>,
    /// The hub may have something to do.
    work: Notify,
    /// Why serving cannot go on.
    failure: RefCell<Option<io::Error>>,
}

/// The driver's side of a connection, owned by all tasks and operations that use it.
struct Connection {
    id: ConnectionId,
    stream: TcpStream,
    /// Wakes the reading task from a pause.
    resume: Notify,
    state: Cell<State>,
}

/// Who uses a connection, and whether it ends.
#[derive(Debug, Clone, Copy)]
struct State {
    /// The task that reads has not ended.
    reading: bool,
    /// A send is on its way.
    sending: bool,
    /// The hub gave the connection up.
    released: bool,
}

impl Connection {
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.get();
        change(&mut state);
        self.state.set(state);
    }
}

async fn serve(worker: Worker) -> io::Result<Snapshot> {
    let Worker {
        thread,
        control,
        commands,
        hub,
        listener,
        listener_is_adopted: adopted,
        ..
    } = worker;
    let event_loop = Rc::new(EventLoop::new(thread, control, commands, hub));
    let listener = Rc::new(listener);
    tokio_uring::spawn(Rc::clone(&event_loop).accept(Rc::clone(&listener)));
    tokio_uring::spawn(Rc::clone(&event_loop).hear_waker());
    while event_loop.failure.borrow().is_none() {
        match event_loop.control.stage() {
            Stage::Serving => {}
            Stage::Draining => {
                // Ends the accepting task, and refuses whoever comes now.
                if !adopted {
                    let _ = shutdown(&listener, Shutdown::Both);
                }
                let mut hub = event_loop.hub.borrow_mut();
                drain(&mut hub, &event_loop.control, Instant::now());
                if hub.is_empty() {
                    break;
                }
            }
            Stage::Stopped => break,
        }
        if event_loop.turn() {
            // Completes once the kernel has taken the sends before it, so that what completed with
            // them, and what arrived meanwhile, is seen before the next chunk.
            let _ = tokio_uring::no_op().await;
        } else {
            event_loop.wait().await;
        }
    }
    match event_loop.failure.take() {
        Some(error) => Err(error),
        None => Ok(event_loop.hub.borrow().snapshot()),
    }
}

impl EventLoop {
    fn new(thread: usize, control: Arc<Control>, commands: Commands, hub: Hub) -> Self {
        Self {
            thread,
            control,
            hub: RefCell::new(hub),
            commands: RefCell::new(commands),
            connections: RefCell::new(Connections::new()),
            deadlines: RefCell::default(),
            turn_end: RefCell::default(),
            read_buffer: RefCell::new(vec![0; READ_BYTES]),
            work: Notify::new(),
            failure: RefCell::new(None),
        }
    }

    /// One turn; says whether the next follows at once, as soon as others had theirs.
    fn turn(self: &Rc<Self>) -> bool {
        let mut hub = self.hub.borrow_mut();
        let now = Instant::now();
        let mut deadlines = self.deadlines.borrow_mut();
        let look_again = deadlines.handle(&mut hub, false, READS, now);
        for _ in 0..CHUNK {
            let Some(transmit) = hub.poll_transmit(now) else {
                break;
            };
            if let Some(connection) = self.find(transmit.id) {
                connection.change(|state| state.sending = true);
                tokio_uring::spawn(Rc::clone(self).send(connection, transmit.bytes));
            }
        }
        let mut released = Vec::new();
        while let Some(close) = hub.poll_close() {
            match close {
                Close::ShutdownWrite(id) => {
                    if let Some(connection) = self.find(id) {
                        let _ = shutdown(&connection.stream, Shutdown::Write);
                    }
                }
                Close::Release(id) => released.extend(self.find(id)),
            }
        }
        while let Some(id) = hub.poll_resume() {
            if let Some(connection) = self.find(id) {
                connection.resume.notify_one();
            }
        }
        let mut turn_end = self.turn_end.borrow_mut();
        turn_end.end_turn(&mut hub, &self.control, self.thread);
        let more = look_again || hub.has_transmits();
        drop(hub);
        for connection in released {
            self.release(&connection);
        }
        more
    }

    /// Sleeps until there may be something to do.
    async fn wait(&self) {
        let deadline = self.hub.borrow().poll_timeout();
        match deadline {
            Some(at) => {
                let _ = timeout_at(at.into(), self.work.notified()).await;
            }
            None => self.work.notified().await,
        }
    }

    /// Looks around when another thread, or the control, wakes this one.
    async fn hear_waker(self: Rc<Self>) {
        let waker = self.control.waker(self.thread).as_raw_fd();
        loop {
            if let Err(error) = readable(waker, Arc::clone(&self.control)).await {
                *self.failure.borrow_mut() = Some(error);
                return self.work.notify_one();
            }
            let mut hub = self.hub.borrow_mut();
            let mut commands = self.commands.borrow_mut();
            let (control, now) = (&self.control, Instant::now());
            handle_wake(&mut hub, control, &mut commands, self.thread, None, now);
            self.work.notify_one();
        }
    }

    async fn accept(self: Rc<Self>, listener: Rc<TcpListener>) {
        let mut accepting = Accepting::new();
        let mut at_once = 0;
        while self.control.stage() == Stage::Serving {
            at_once += 1;
            if at_once > ACCEPTS {
                at_once = 1;
                // Completes once the others had their turn.
                let _ = tokio_uring::no_op().await;
            }
            let now = Instant::now();
            match listener.accept().map_err(AcceptError::from) {
                Ok((stream, peer)) => {
                    let mut hub = self.hub.borrow_mut();
                    if let Some(stream) = accepting.admit(stream, &mut hub, now) {
                        let id = hub.accept(peer, now);
                        self.connect(id, stream);
                    }
                    self.work.notify_one();
                }
                Err(AcceptError::NobodyWaits) => {
                    at_once = 0;
                    let _ = readable(listener.as_raw_fd(), Rc::clone(&listener)).await;
                }
                Err(AcceptError::PeerGaveUp) => {}
                Err(AcceptError::Starved(error)) => {
                    accepting.starve(&error, now);
                    if let Some(until) = accepting.pause(now) {
                        sleep_until(until.into()).await;
                    }
                }
            }
        }
    }

    fn connect(self: &Rc<Self>, id: ConnectionId, stream: TcpStream) {
        let connection = Rc::new(Connection {
            id,
            stream,
            resume: Notify::new(),
            state: Cell::new(State {
                reading: true,
                sending: false,
                released: false,
            }),
        });
        self.connections
            .borrow_mut()
            .insert(id, Rc::clone(&connection));
        tokio_uring::spawn(Rc::clone(self).read(connection));
    }

    /// Reads from one connection until it ends or is released.
    async fn read(self: Rc<Self>, connection: Rc<Connection>) {
        let fd = connection.stream.as_raw_fd();
        loop {
            let watched = readable(fd, Rc::clone(&connection)).await;
            if connection.state.get().released {
                break;
            }
            let reading = match watched {
                Ok(()) => self.read_once(&connection),
                Err(error) => Err(Disconnect::Error(error.to_string())),
            };
            self.work.notify_one();
            match reading {
                Ok(Reading::Continue) => {}
                Ok(Reading::Pause) => connection.resume.notified().await,
                Err(how) => {
                    let mut hub = self.hub.borrow_mut();
                    hub.disconnected(connection.id, how, Instant::now());
                    break;
                }
            }
        }
        connection.change(|state| state.reading = false);
        self.close_if_over(&connection);
    }

    /// Takes what there is.
    fn read_once(&self, connection: &Connection) -> Result<Reading, Disconnect> {
        let most = READ_BYTES.min(self.hub.borrow().read_bytes_max());
        let buffer = &mut self.read_buffer.borrow_mut()[..most];
        match recv(&connection.stream, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => Err(Disconnect::EndOfStream),
            Ok((bytes, _)) => {
                let mut hub = self.hub.borrow_mut();
                Ok(hub.receive(connection.id, &buffer[..bytes], Instant::now()))
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(Reading::Continue),
            Err(error) => Err(Disconnect::Error(error.to_string())),
        }
    }

    async fn send(self: Rc<Self>, connection: Rc<Connection>, bytes: Bytes) {
        let fd = connection.stream.as_raw_fd();
        let mut sent = send(fd, Rc::clone(&connection), bytes).await;
        if let Err(error) = &sent
            && Errno::from_io_error(error).is_some_and(passes)
        {
            // Until then it is on its way for the hub, which goes on with the same bytes.
            sleep(SEND_PAUSE).await;
            sent = Ok(0);
        }
        let mut hub = self.hub.borrow_mut();
        match sent {
            Ok(bytes) => hub.transmitted(connection.id, bytes, Instant::now()),
            Err(error) => {
                let how = Disconnect::Error(error.to_string());
                hub.disconnected(connection.id, how, Instant::now());
            }
        }
        drop(hub);
        self.work.notify_one();
        connection.change(|state| state.sending = false);
        self.close_if_over(&connection);
    }

    /// Ends what the tasks of a connection wait for; the last of them closes it.
    fn release(&self, connection: &Connection) {
        connection.change(|state| state.released = true);
        // Completes whatever is in flight; fails only when the connection is broken already.
        let _ = shutdown(&connection.stream, Shutdown::Both);
        connection.resume.notify_one();
        self.close_if_over(connection);
    }

    /// Closes a connection that was released, once no task uses it any more. It takes the table's
    /// reference; the last of the tasks drops its own as it ends.
    fn close_if_over(&self, connection: &Connection) {
        let state = connection.state.get();
        if state.released && !state.reading && !state.sending {
            self.connections.borrow_mut().remove(connection.id);
            self.hub.borrow_mut().closed(connection.id);
            self.work.notify_one();
        }
    }

    fn find(&self, id: ConnectionId) -> Option<Rc<Connection>> {
        self.connections.borrow().get(id).cloned()
    }
}

// The ring operations that the runtime's own API lacks: waiting for readiness, and OP_SEND (which skips
// the file layer that OP_WRITE goes through). Each owns its connection, or whatever else the descriptor
// belongs to, so the descriptor outlives the operation even when nobody waits for it any more.

/// Waits until `fd`, which `owner` keeps open, can be read from or has ended.
///
/// # Errors
/// When the kernel cannot watch the descriptor.
async fn readable<O: Unpin + 'static>(fd: RawFd, owner: O) -> io::Result<()> {
    let events = PollFlags::IN | PollFlags::RDHUP;
    let entry = opcode::PollAdd::new(types::Fd(fd), u32::from(events.bits())).build();
    operate(owner, entry).await.map(|_| ())
}

/// Sends the beginning of `bytes` on `fd`, which `owner` keeps open; returns how many the kernel
/// took.
///
/// # Errors
/// When the connection broke.
async fn send<O: Unpin + 'static>(fd: RawFd, owner: O, bytes: Bytes) -> io::Result<usize> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let flags = SendFlags::NOSIGNAL.bits().cast_signed();
    let entry = opcode::Send::new(types::Fd(fd), bytes.as_ptr(), length)
        .flags(flags)
        .build();
    operate((owner, bytes), entry).await
}

async fn operate<D: Unpin + 'static>(data: D, entry: squeue::Entry) -> io::Result<usize> {
    UnsubmittedOneshot::new(data, Outcome(PhantomData), entry)
        .submit()
        .await
}

/// Turns a completion into a result and lets go of what the operation owned.
struct Outcome<D>(PhantomData<D>);

impl<D> OneshotOutputTransform for Outcome<D> {
    type Output = io::Result<usize>;
    type StoredData = D;

    fn transform_oneshot_output(self, _owned: D, completion: cqueue::Entry) -> Self::Output {
        let result = completion.result();
        usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use socket2::{Domain, Socket, Type};

    use super::*;
    use crate::hub::{Limits, Log};

    /// More than are accepted between two turns of another task.
    const CROWD: usize = 2 * ACCEPTS + 10;

    #[test]
    fn a_crowd_is_accepted_in_parts_and_others_have_their_turn_in_between() {
        let runtime = match tokio_uring::Runtime::new(&tokio_uring::builder()) {
            Ok(runtime) => runtime,
            Err(error) => return testing::skip(format!("no io_uring here: {error}")),
        };
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        listener.bind(&anywhere.into()).unwrap();
        listener.listen(1024).unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::from(listener);
        let address = listener.local_addr().unwrap();
        let crowd: Vec<_> = (0..CROWD).map(|_| TcpStream::connect(address)).collect();
        assert!(crowd.iter().all(Result::is_ok));
        let most = runtime.block_on(async {
            let (control, commands) = Control::of_one();
            let hub = Hub::new(Limits::default(), Log::new(1 << 20));
            let event_loop = Rc::new(EventLoop::new(0, Arc::clone(&control), commands, hub));
            tokio_uring::spawn(Rc::clone(&event_loop).accept(Rc::new(listener)));
            let mut most = 0;
            let mut before = 0;
            while before < CROWD {
                // As the driver's own loop waits for its next turn.
                let _ = tokio_uring::no_op().await;
                let accepted = event_loop.connections.borrow().ids().len();
                most = most.max(accepted - before);
                before = accepted;
            }
            control.advance(Stage::Stopped);
            most
        });
        // The end of one part and the next may fall between two turns of another task.
        assert!(most <= 2 * ACCEPTS, "{most} between two turns of another");
    }
}
