//! Accepting newcomers, the same for every driver: what an error of `accept` means, and what happens
//! when there is no descriptor left.
//!
//! The last few descriptors of the process are spare: a newcomer that is given one of them is told why it
//! has to go, and closed at once, instead of waiting without a word. A new descriptor is always the lowest
//! free one (open(2)), so its number says how many are in use.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use tracing::warn;

use crate::descriptors;
use crate::hub::Hub;

/// How long accepting pauses when the kernel has no descriptor or memory for another connection.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// One in so many descriptors is spare, and these at least and at most.
const SPARE_SHARE: u64 = 16;
const SPARE_MIN: u64 = 2;
const SPARE_MAX: u64 = 64;

/// The socket of a newcomer.
pub(super) trait Newcomer {
    /// The number of its descriptor.
    fn number(&self) -> u64;

    /// Tells it why it is closed, which dropping it does.
    fn tell(&self, notice: &[u8]);
}

impl<T: AsFd> Newcomer for T {
    fn number(&self) -> u64 {
        self.as_fd().as_raw_fd().unsigned_abs().into()
    }

    fn tell(&self, notice: &[u8]) {
        // It has hung up already if any of this fails. What it said is read, for closing with unread
        // input would reset the connection and destroy the notice.
        let _ = send(self, notice, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        let _ = shutdown(self, Shutdown::Write);
        let _ = recv(self, &mut [0; 4096], RecvFlags::DONTWAIT);
    }
}

/// Whom a driver accepts, and when.
#[derive(Debug)]
pub(super) struct Accepting {
    /// Descriptors from this number on are spare.
    spare_from: u64,
    /// When the limit on descriptors is looked up again: an operator may raise it.
    look_again: Option<Instant>,
    /// Until when accepting pauses.
    pause_until: Option<Instant>,
    /// Newcomers were refused since accepting failed: their descriptors are free.
    has_refused: bool,
    /// The operator was told that there is no descriptor left.
    starving: bool,
}

impl Accepting {
    pub(super) fn new() -> Self {
        Self {
            spare_from: spare_from().unwrap_or(u64::MAX),
            look_again: None,
            pause_until: None,
            has_refused: false,
            starving: false,
        }
    }

    /// Keeps a newcomer, or tells it that there is no descriptor for it.
    pub(super) fn admit<N: Newcomer>(
        &mut self,
        newcomer: N,
        hub: &mut Hub,
        now: Instant,
    ) -> Option<N> {
        if newcomer.number() >= self.spare_from && self.look_again.is_none_or(|at| at <= now) {
            self.look_again = Some(now + ACCEPT_PAUSE);
            // There may be no descriptor left to look it up with; then it is as it was.
            self.spare_from = spare_from().unwrap_or(self.spare_from);
        }
        if newcomer.number() < self.spare_from {
            self.starving = false;
            return Some(newcomer);
        }
        self.warn(&Errno::MFILE.into());
        self.has_refused = true;
        newcomer.tell(&hub.refuse());
        None
    }

    /// Accepting failed for lack of a descriptor or of memory. It pauses, for trying again at once would
    /// spin, unless descriptors were freed meanwhile.
    pub(super) fn starve(&mut self, error: &io::Error, now: Instant) {
        self.warn(error);
        if !std::mem::take(&mut self.has_refused) {
            self.pause_until = Some(now + ACCEPT_PAUSE);
        }
    }

    /// Until when accepting pauses, if it does.
    pub(super) fn pause(&self, now: Instant) -> Option<Instant> {
        self.pause_until.filter(|until| *until > now)
    }

    /// Tells the operator, who alone can help, once.
    fn warn(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.starving, true) {
            warn!(
                target: "server::driver",
                %error,
                "cannot keep new connections for now: they are refused; those that are there are \
                 served. Raise the limit on open files (ulimit -n, LimitNOFILE=) to take more"
            );
        }
    }
}

/// The lowest number of a spare descriptor, if the limit is known.
fn spare_from() -> Option<u64> {
    let limit = descriptors::limit()?;
    let spare = (limit / SPARE_SHARE).clamp(SPARE_MIN, SPARE_MAX);
    Some(limit.saturating_sub(spare))
}

/// Why `accept` gave no connection.
#[derive(Debug)]
pub(super) enum AcceptError {
    /// The queue is empty.
    NobodyWaits,
    /// The connection at the head of the queue broke; the next may be fine.
    PeerGaveUp,
    /// No descriptor or memory.
    Starved(io::Error),
}

impl From<Errno> for AcceptError {
    fn from(error: Errno) -> Self {
        match error {
            Errno::AGAIN => Self::NobodyWaits,
            Errno::CONNABORTED
            | Errno::INTR
            | Errno::PROTO
            | Errno::PERM
            | Errno::NETDOWN
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::NETUNREACH => Self::PeerGaveUp,
            _ => Self::Starved(error.into()),
        }
    }
}

impl From<io::Error> for AcceptError {
    fn from(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(errno) => errno.into(),
            None => Self::Starved(error),
        }
    }
}
