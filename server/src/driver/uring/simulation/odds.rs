//! What a world's kernel and peers are like. Each fault is on in some worlds only, so that faults meet
//! in all combinations, and none hides what another would show.

use rand::{Rng, RngExt};

use crate::control::Stage;

#[derive(Debug, Clone)]
pub(super) struct Odds {
    /// Steps before the faults stop.
    pub(super) steps: u32,
    /// The server goes on serving when the faults have stopped, before its life ends. Else it has to cope
    /// with what they left behind in the end.
    pub(super) goes_on: bool,
    /// How the server's life ends.
    pub(super) last: Stage,
    pub(super) multishot_receive: bool,
    /// Descriptors that connections may have.
    pub(super) descriptors_max: usize,
    /// Descriptors beyond them, unless others took those.
    pub(super) spare: usize,
    /// Places in the table of files.
    pub(super) fixed_files: u32,
    pub(super) buffers: u16,
    pub(super) buffer_bytes: u32,
    /// What can complete when it is submitted does so then, before all that waited already.
    pub(super) at_once: bool,
    /// That an operation which could complete does so in this step.
    pub(super) completes: f64,
    /// That a multishot ends, although it need not.
    pub(super) multishot_ends: f64,
    /// That accepting fails for lack of a descriptor or since the peer is gone.
    pub(super) accept_fails: f64,
    /// That a receive is interrupted, or says that there is no buffer.
    pub(super) receive_fails: f64,
    /// That a send is interrupted, or says that there is no memory.
    pub(super) send_fails: f64,
    /// That a send takes less than there is room for.
    pub(super) send_is_short: f64,
    /// That a cancel comes too late: the operation ends a while later by itself.
    pub(super) cancel_is_late: f64,
    /// That a completion of a connection that is gone turns up.
    pub(super) stale: f64,
    /// That the driver is kept from running for a while. This is no fault that ends.
    pub(super) freezes: f64,
    /// That a peer comes.
    pub(super) comes: f64,
    /// That a peer says something, takes something, and that it goes in good order, by a reset, or
    /// says what it must not.
    pub(super) says: f64,
    pub(super) takes: f64,
    pub(super) leaves: f64,
    pub(super) resets: f64,
    pub(super) errs: f64,
}

impl Odds {
    pub(super) fn draw(rng: &mut impl Rng) -> Self {
        let mut fault = |most: f64| {
            if rng.random_bool(0.5) {
                rng.random_range(0.0..most)
            } else {
                0.0
            }
        };
        Self {
            multishot_ends: fault(0.5),
            accept_fails: fault(0.5),
            receive_fails: fault(0.5),
            send_fails: fault(0.7),
            send_is_short: fault(1.0),
            cancel_is_late: fault(1.0),
            stale: fault(0.2),
            leaves: fault(0.02),
            resets: fault(0.05),
            errs: fault(0.02),
            // In a quarter of the worlds: these have long logs, in which nobody has to wait.
            freezes: if fault(1.0) > 0.0 { fault(0.04) } else { 0.0 },
            steps: rng.random_range(50..800),
            goes_on: rng.random_bool(0.6),
            last: if rng.random_bool(0.7) {
                Stage::Draining
            } else {
                Stage::Stopped
            },
            multishot_receive: rng.random_bool(0.8),
            descriptors_max: [2, 5, 100][rng.random_range(0..3)],
            fixed_files: [0, 3, 100][rng.random_range(0..3)],
            buffers: [1, 4, 64][rng.random_range(0..3)],
            buffer_bytes: [1, 20, 1000][rng.random_range(0..3)],
            at_once: false,
            completes: rng.random_range(0.05..1.0),
            comes: rng.random_range(0.01..0.3),
            says: rng.random_range(0.01..0.3),
            takes: rng.random_range(0.05..1.0),
            spare: [0, 2][rng.random_range(0..2)],
        }
    }

    /// Everybody behaves.
    pub(super) fn heal(&mut self) {
        self.completes = 0.9;
        self.takes = 1.0;
        self.descriptors_max = usize::MAX;
        self.buffer_bytes = self.buffer_bytes.max(100);
        for fault in [
            &mut self.multishot_ends,
            &mut self.accept_fails,
            &mut self.receive_fails,
            &mut self.send_fails,
            &mut self.send_is_short,
            &mut self.cancel_is_late,
            &mut self.stale,
            &mut self.comes,
            &mut self.says,
            &mut self.leaves,
            &mut self.resets,
            &mut self.errs,
        ] {
            *fault = 0.0;
        }
    }
}
