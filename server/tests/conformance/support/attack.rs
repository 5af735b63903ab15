//! An attack: what hostile or broken peers do, on a thread of their own, beside a healthy roster.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use super::memory::{Memory, SMALL_LOG_BYTES};
use super::{Peer, Program, Roster, Setup};

/// Where the attackers stand: they begin, and go on until the roster has said all.
pub(crate) struct Attack {
    pub(crate) address: SocketAddr,
    begun: Sender<()>,
    over: Receiver<()>,
}

/// Peers that an attack may have open at a time.
pub(crate) const ATTACKERS: usize = 4;

impl Attack {
    /// The attack is under way: whoever is healthy may speak.
    pub(crate) fn begins(&self) {
        let _ = self.begun.send(());
    }

    /// Keeps what it holds until the attack is over.
    pub(crate) fn hold<T>(&self, held: T) {
        self.begins();
        let _ = self.over.recv();
        drop(held);
    }

    /// Whether the attack is to go on.
    pub(crate) fn goes_on(&self) -> bool {
        self.over.try_recv() == Err(TryRecvError::Empty)
    }

    /// Whether it is to go on after this time.
    pub(crate) fn goes_on_after(&self, time: Duration) -> bool {
        self.over.recv_timeout(time) == Err(RecvTimeoutError::Timeout)
    }

    /// A peer that has given its name.
    pub(crate) fn named(&self) -> Peer {
        self.peer().named("eve")
    }

    pub(crate) fn peer(&self) -> Peer {
        Peer::connect(self.address)
    }

    /// Each of some peers sends `bytes` and stays; whether the server still reads is its affair.
    pub(crate) fn send_and_stay(&self, name: bool, bytes: &[u8]) {
        let peers: Vec<Peer> = (0..ATTACKERS)
            .map(|_| {
                let peer = if name { self.named() } else { self.peer() };
                let _ = peer.socket().write_all(bytes);
                peer
            })
            .collect();
        self.hold(peers);
    }
}

/// Lets a roster talk before, beside and after an attack: its ledger is clean, and the server takes
/// no more memory than it may.
pub(crate) fn beside(setup: Setup, attack: impl FnOnce(&Attack) + Send) {
    let log_bytes = SMALL_LOG_BYTES.to_string();
    let server = Program::start(
        setup,
        &[
            "--log-bytes",
            &log_bytes,
            "--handshake-timeout",
            "1s",
            "--frame-timeout",
            "1s",
            "--write-deadline",
            "1s",
            "--log",
            "warn",
        ],
    );
    let mut roster = Roster::gather(server.address);
    roster.talk();
    let memory = Memory::at_rest(&server, setup);
    let (begun, begins) = channel();
    let (end, over) = channel();
    thread::scope(|scope| {
        let stage = Attack {
            address: server.address,
            begun,
            over,
        };
        let attacking = scope.spawn(move || attack(&stage));
        begins.recv().expect("the attack begins");
        roster.talk();
        drop(end);
        attacking.join().expect("the attack has gone well");
    });
    roster.talk();
    memory.assert_bounded(&server, Roster::MEMBERS + ATTACKERS);
    drop(roster);
    server.terminate();
    assert_eq!(server.exit_code(), 0);
}
