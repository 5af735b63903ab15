//! Where the connection is: dialled, up, lost, and dialled again after a pause.

use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt as _;

use super::{Goal, Session, lines_text};
use crate::connection::{self, Connection, DialError, Lost};
use crate::display;
use crate::inbox::Event;
use crate::output::Output;
use crate::stats::seconds;

/// The first pause, before jitter.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// No pause is longer than this.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A connection that lived this long was a good one: the next pause is a short one again.
const GOOD_AFTER: Duration = Duration::from_secs(10);
pub(crate) enum State {
    Dialling,
    Up(Connection),
    /// It is to be dialled again at this time.
    Away {
        until: Instant,
    },
    /// It is gone, and nobody will dial again.
    Down,
}

impl<O: Output> Session<'_, O> {
    /// Lets a thread of its own connect, and leave the result in the inbox.
    pub(crate) fn dial(&mut self) {
        self.state = State::Dialling;
        let (address, sender) = (self.settings.addr.clone(), self.sender.clone());
        thread::spawn(move || sender.event(Event::Dialled(connection::dial(&address))));
    }

    pub(crate) fn connected(&mut self, connection: Connection) {
        self.roster.forget();
        let address = &self.settings.addr;
        let name = display::name(self.name.as_bytes(), 40);
        let waiting = self.outgoing.messages();
        if self.stats.connections > 0 {
            let kept = match waiting {
                0 => String::new(),
                waiting => format!("; sending the {} kept", lines_text(waiting)),
            };
            self.output
                .aside(&format!("connected to {address} again{kept}"));
        } else if self.settings.interactive {
            self.output.aside(&format!(
                "connected to {address} as {name}; /help lists the commands"
            ));
        } else if self.settings.verbose {
            self.output
                .aside(&format!("connected to {address} as {name}"));
        }
        self.stats.connections += 1;
        self.stats.connected = Some((Instant::now(), display::time_of_day()));
        self.last_activity = self.clock.now();
        self.outgoing.restart(&self.name);
        self.state = State::Up(connection);
    }

    pub(crate) fn dial_failed(&mut self, error: &DialError) {
        self.state = State::Down;
        self.output.trouble(&error.to_string());
        self.dial_again();
    }

    /// The connection has ended. Says so, unless it is the server's leave, which confirms what was sent.
    pub(crate) fn lost(&mut self, lost: &Lost) {
        self.state = State::Down;
        let lived = self
            .stats
            .connected
            .take()
            .map(|(since, _)| since.elapsed());
        self.backoff.lost_after(lived.unwrap_or_default());
        let is_leaving = matches!(self.goal, Goal::Linger { .. });
        if is_leaving && matches!(lost, Lost::Left) {
            self.unconfirmed = 0;
        }
        let uncertain = self.uncertain();
        if is_leaving && uncertain.is_none() {
            return;
        }
        let after = lived
            .filter(|lived| lived.as_secs() > 0)
            .map_or(String::new(), |lived| format!(" after {}", seconds(lived)));
        let uncertain = uncertain.map_or(String::new(), |uncertain| format!("; {uncertain}"));
        let address = &self.settings.addr;
        self.output
            .trouble(&format!("lost {address}{after}: {lost}{uncertain}"));
        self.dial_again();
    }

    fn dial_again(&mut self) {
        if self.settings.reconnect && matches!(self.goal, Goal::Chat) {
            let pause = self.backoff.pause();
            let shown = pause.as_secs_f64();
            self.output.aside(&format!("trying again in {shown:.1} s"));
            self.state = State::Away {
                until: self.clock.now() + pause,
            };
        }
    }
}

/// The pauses between attempts: twice as long each time, up to a bound, and spread at random so that the
/// clients of a restarted server do not all come back at once.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// The pause before the next attempt: between half and the whole of the doubled pause.
    pub(crate) fn pause(&mut self) -> Duration {
        self.pause_with(rand::rng().random_range(0.5..=1.0))
    }

    /// The connection was lost after it had lived for `lived`. Only a good one ends the doubling:
    /// a server that takes connections and drops them is not to be flooded with them.
    pub(crate) fn lost_after(&mut self, lived: Duration) {
        if lived >= GOOD_AFTER {
            self.attempts = 0;
        }
    }

    fn pause_with(&mut self, share: f64) -> Duration {
        let doubled = PAUSE_MIN.saturating_mul(1 << self.attempts.min(16));
        self.attempts += 1;
        doubled.min(PAUSE_MAX).mul_f64(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_bound_and_jitter_stays_within_half_and_whole() {
        let mut backoff = Backoff::default();
        let seconds: Vec<f64> = (0..9)
            .map(|_| backoff.pause_with(1.0).as_secs_f64())
            .collect();
        assert_eq!(seconds, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]);
        // At random, half of it to the whole.
        let jittered = PAUSE_MIN / 2..=PAUSE_MIN;
        assert!((0..1000).all(|_| jittered.contains(&Backoff::default().pause())));
    }

    #[test]
    fn only_a_connection_that_lived_resets_it() {
        let mut backoff = Backoff::default();
        backoff.pause_with(1.0);
        backoff.lost_after(Duration::from_secs(1));
        assert_eq!(backoff.pause_with(1.0), PAUSE_MIN * 2);
        backoff.lost_after(GOOD_AFTER);
        assert_eq!(backoff.pause_with(1.0), PAUSE_MIN);
    }
}
