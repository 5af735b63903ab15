//! Drivers: the event loops that move bytes between a [`Hub`] and the kernel.

mod accepting;
mod choice;
mod connections;
mod epoll;
#[cfg(feature = "tokio-uring")]
mod tokio_uring;
mod uring;

use std::fmt;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Instant;

use crate::command::{Commands, RingCounters};
use crate::control::Control;
use crate::hub::{Hub, Snapshot};
use crate::memory;

pub use choice::NoRing;
pub(crate) use choice::{DriverChoice, choose};
pub use uring::RingSizes;

/// Sends that are handed to the kernel before the loop looks at what came in. Fewer cost more turns
/// of the loop; thousands make arriving messages wait for a whole round.
const CHUNK: usize = 128;

/// The buffer that all reads of a thread share.
const READ_BYTES: usize = 256 * 1024;

/// Connections that are accepted before the loop looks at those that are there. Without it, whoever
/// connects as fast as we accept would keep the thread from everybody else.
const ACCEPTS: usize = 128;

/// How bytes get into and out of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// A raw io_uring a thread: the fastest
    Uring,
    /// The tokio-uring runtime
    TokioUring,
    /// epoll: needs no io_uring
    Epoll,
}

/// What one thread of a server works with.
pub(crate) struct Worker {
    /// Which thread this is.
    pub(crate) thread: usize,
    pub(crate) hub: Hub,
    pub(crate) listener: TcpListener,
    /// The listener is others' as well: it is left alone, not shut down, when draining begins.
    pub(crate) listener_is_adopted: bool,
    pub(crate) control: Arc<Control>,
    /// For drivers with a ring of their own.
    pub(crate) ring: RingSizes,
    /// What others ask of this thread.
    pub(crate) commands: Commands,
    /// Told once the driver has all it needs to serve.
    pub(crate) begun: Sender<()>,
}

/// A driver has all it needs.
fn tell_begun(begun: &Sender<()>) {
    // Nobody listens any more when another thread has failed.
    let _ = begun.send(());
}

impl Driver {
    /// Serves on this thread until the control says stop, or all is drained; returns the hub's last
    /// figures.
    ///
    /// # Errors
    /// When the kernel refuses what the driver needs to begin.
    pub(crate) fn run(self, worker: Worker) -> io::Result<Snapshot> {
        match self {
            Self::Uring => uring::run(worker),
            #[cfg(feature = "tokio-uring")]
            Self::TokioUring => tokio_uring::run(worker),
            #[cfg(not(feature = "tokio-uring"))]
            Self::TokioUring => Err(io::Error::other("this program was built without it")),
            Self::Epoll => epoll::run(worker),
        }
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uring => "uring",
            Self::TokioUring => "tokio-uring",
            Self::Epoll => "epoll",
        })
    }
}

/// Drains a hub in two steps: it accepts nothing more; once no other hub does either, it says goodbye
/// to those who have all they are owed. May be called again and again.
fn drain(hub: &mut Hub, control: &Control, now: Instant) {
    if !hub.is_draining() {
        hub.drain(control.drain_timeout(), now);
        control.drains();
    }
    if control.all_drain() {
        hub.say_goodbye(now);
    }
}

/// Has a hub judge deadlines, but not before what had come by then was reported to it: after a time in
/// which the loop did not run, peers have done what they had to, and nobody has looked.
#[derive(Debug, Default)]
struct Deadlines {
    /// A deadline has come: looks at what came that are left, for the case that it never ends.
    looks: Option<u64>,
}

impl Deadlines {
    /// To be called in every turn; says whether to look at what came without waiting. The last look found
    /// the end of it if `caught_up`; else one look takes in so many connections `a_look`.
    fn handle(&mut self, hub: &mut Hub, caught_up: bool, a_look: u64, now: Instant) -> bool {
        if hub.is_deadline_due(now) {
            let looks = match self.looks {
                None => Some(hub.counters().connections / a_look),
                Some(looks) if !caught_up => looks.checked_sub(1),
                Some(_) => None,
            };
            if looks.is_some() {
                self.looks = looks;
                return true;
            }
        }
        self.looks = None;
        hub.handle_timeout(now);
        false
    }
}

/// Fewer connections have to go before their memory is given back.
const CROWD: u64 = 64;

/// What the end of a turn needs to know of those before.
#[derive(Debug, Default)]
struct TurnEnd {
    /// The most connections since memory was given back.
    connections_max: u64,
}

impl TurnEnd {
    /// A turn of `thread` is over: the others are woken if there is something for them, and what the log
    /// or a crowd that has left no longer needs goes back to the system.
    fn end_turn(&mut self, hub: &mut Hub, control: &Control, thread: usize) {
        if hub.take_wake_of_others() {
            control.wake_others(thread);
        }
        let connections = hub.counters().connections;
        self.connections_max = self.connections_max.max(connections);
        let crowd_left = self.connections_max >= CROWD && connections <= self.connections_max / 2;
        if crowd_left {
            self.connections_max = connections;
        }
        if crowd_left || hub.has_shrunk() {
            memory::give_back();
        }
    }
}

/// The waker of `thread` was woken: its hub takes over what is new in the log, and does what it is asked.
fn handle_wake(
    hub: &mut Hub,
    control: &Control,
    commands: &mut Commands,
    thread: usize,
    ring: Option<RingCounters>,
    now: Instant,
) {
    control.clear(thread);
    hub.wake(now);
    if commands.carry_out(hub, ring, now) {
        control.wake(thread);
    }
}
