//! Where the connection is: dialled, up, lost, and dialled again after a pause.

use std::thread;
use std::time::Instant;

use super::{Goal, Session, lines_text};
use crate::connection::{self, Connection, DialError, Lost};
use crate::display;
use crate::inbox::Event;
use crate::output::Output;
use crate::status::readable;
use crate::wire::Join;

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
        let join = Join {
            name: self.name.clone(),
            after: self.progress.after(),
            message_bytes_max: self.settings.max_message_bytes,
        };
        thread::spawn(move || sender.event(Event::Dialled(connection::dial(&address, &join))));
    }

    pub(crate) fn connected(&mut self, connection: Connection) {
        self.roster.forget();
        let address = &self.settings.addr;
        let name = display::name(self.name.as_bytes(), 40);
        let waiting = self.outgoing.lines();
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
        self.outgoing.restart();
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
            .map_or(String::new(), |lived| format!(" after {}", readable(lived)));
        let uncertain = uncertain.map_or(String::new(), |uncertain| format!("; {uncertain}"));
        let address = &self.settings.addr;
        self.output
            .trouble(&format!("lost {address}{after}: {lost}{uncertain}"));
        // Lines that were not accepted are to be sent again, unless somebody wants to leave now.
        let is_in_a_hurry = self.signalled || self.muted || self.settings.interactive;
        if matches!(self.goal, Goal::Leave { .. }) && self.outgoing.lines() > 0 && !is_in_a_hurry {
            self.goal = Goal::Chat;
        }
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
