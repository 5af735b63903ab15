//! How the engine cuts the connections of its clients again and again, each of which comes back behind the
//! last position it has. The ledger takes no notice: what goes out meanwhile is owed to them.
//!
//! A cut is a reset, as of a lost connection: what is in the sockets is gone. So a client is cut only when
//! the server has confirmed all its own messages, or nobody could say which of them were taken, and only
//! once it is back from the last time.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use super::Worker;
use crate::host::clock::nanoseconds;
use crate::measure::error::RunError;
use crate::measure::phases::Phase;

/// When the clients of a worker are cut: one after the other, each once in a period.
#[derive(Debug)]
pub(super) struct Cuts {
    period_ns: u64,
    clients: Range<u32>,
    /// How many were due since the load began.
    due: u64,
    /// Those that are due and could not be cut yet.
    waiting: VecDeque<u32>,
}

impl Cuts {
    pub(super) fn new(period: Duration, clients: Range<u32>) -> Self {
        Self {
            period_ns: nanoseconds(period),
            clients,
            due: 0,
            waiting: VecDeque::new(),
        }
    }

    /// When the next client is due, since the load began.
    fn next_ns(&self) -> u64 {
        let number = u128::from(self.due) + 1;
        let next_ns = u128::from(self.period_ns) * number / self.clients.len() as u128;
        u64::try_from(next_ns).unwrap_or(u64::MAX)
    }

    /// Lets those wait that have become due until `now_ns` since the load began.
    fn advance(&mut self, now_ns: u64) {
        while self.next_ns() <= now_ns {
            let place = self.due % self.clients.len() as u64;
            self.waiting
                .push_back(self.clients.start + u32::try_from(place).unwrap_or(0));
            self.due += 1;
        }
    }
}

impl Worker<'_> {
    pub(super) fn next_cut_ns(&self) -> Option<u64> {
        let cuts = self.cuts.as_ref().filter(|_| self.is_cutting())?;
        Some(self.load_ns.saturating_add(cuts.next_ns()))
    }

    /// Only while there is a load: in the end all are to be there.
    fn is_cutting(&self) -> bool {
        matches!(self.phase, Phase::WarmUp | Phase::Measure)
    }

    /// Cuts those whose time has come.
    pub(super) fn cut(&mut self, now_ns: u64) -> Result<(), RunError> {
        let is_cutting = self.is_cutting();
        let Some(cuts) = self.cuts.as_mut().filter(|_| is_cutting) else {
            return Ok(());
        };
        cuts.advance(now_ns.saturating_sub(self.load_ns));
        let mut unready = VecDeque::new();
        for client in std::mem::take(&mut cuts.waiting) {
            let place = self.place(client);
            // One that has been disconnected does not come back.
            let Some(connection) = self.connections[place].as_mut() else {
                continue;
            };
            match connection.cut() {
                None => unready.push_back(client),
                Some(resumption) => {
                    self.connections[place] = None;
                    self.observation.cut();
                    self.start_again(client, resumption)?;
                }
            }
        }
        if let Some(cuts) = &mut self.cuts {
            cuts.waiting = unready;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_is_due_once_in_a_period_and_they_are_spread_over_it() {
        let mut cuts = Cuts::new(Duration::from_nanos(100), 4..8);
        cuts.advance(24);
        assert_eq!(cuts.waiting, [0; 0]);
        cuts.advance(25);
        assert_eq!(cuts.waiting, [4]);
        cuts.advance(225);
        assert_eq!(cuts.waiting, [4, 5, 6, 7, 4, 5, 6, 7, 4]);
        assert_eq!(cuts.next_ns(), 250);
    }
}
