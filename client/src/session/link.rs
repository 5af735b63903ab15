//! Where the connection is: dialled, up, lost, and dialled again.

use std::thread;
use std::time::{Duration, Instant};

use super::{Goal, Session, lines_text};
use crate::command_line::Settings;
use crate::connection::{self, Connection, DialError, Lost};
use crate::display;
use crate::face::Face;
use crate::inbox::Event;
use crate::stats::{Since, seconds};

/// Where the connection is.
#[derive(Debug)]
pub(super) enum Link {
    /// The dialler works on it.
    Dialling,
    /// It stands.
    Up(Connection),
    /// It is to be dialled again at this time.
    Away { until: Instant },
    /// It is gone, and nobody will dial again.
    Down,
}

impl<F: Face> Session<'_, F> {
    /// Lets a thread of its own connect, and leave the result in the inbox.
    pub(super) fn dial(&mut self) {
        self.link = Link::Dialling;
        let (address, sender) = (self.settings.address.clone(), self.sender.clone());
        thread::spawn(move || sender.event(Event::Dialled(connection::dial(&address))));
    }

    pub(super) fn connected(&mut self, connection: Connection) {
        self.company.forget();
        let Settings {
            address,
            interactive,
            verbose,
            ..
        } = self.settings;
        let name = display::name(self.name.as_bytes(), 40);
        let waiting = self.outgoing.messages();
        if self.stats.connections > 0 {
            let kept = match waiting {
                0 => String::new(),
                waiting => format!("; sending the {} kept", lines_text(waiting)),
            };
            self.face
                .aside(&format!("connected to {address} again{kept}"));
        } else if *interactive {
            self.face.aside(&format!(
                "connected to {address} as {name}; /help lists the commands"
            ));
        } else if *verbose {
            self.face
                .aside(&format!("connected to {address} as {name}"));
        }
        self.stats.connections += 1;
        self.stats.connected = Some(Since::now());
        self.last_activity = Instant::now();
        self.outgoing.restart(&self.name);
        self.link = Link::Up(connection);
    }

    pub(super) fn dial_failed(&mut self, error: &DialError) {
        self.link = Link::Down;
        self.face.trouble(&error.to_string());
        self.dial_again();
    }

    pub(super) fn lost(&mut self, lost: &Lost) {
        self.link = Link::Down;
        let lived = self.stats.connected.take();
        self.backoff
            .lost_after(lived.as_ref().map_or(Duration::ZERO, Since::elapsed));
        if matches!(self.goal, Goal::Linger { .. }) {
            return;
        }
        let lived = lived.map(|since| since.elapsed());
        let after = lived
            .filter(|lived| lived.as_secs() > 0)
            .map_or(String::new(), |lived| format!(" after {}", seconds(lived)));
        let uncertain = match self.just_sent.take(Instant::now()) {
            0 => String::new(),
            messages => format!("; the last {} may not have arrived", lines_text(messages)),
        };
        self.face.trouble(&format!(
            "lost {}{after}: {lost}{uncertain}",
            self.settings.address
        ));
        self.dial_again();
    }

    fn dial_again(&mut self) {
        if self.settings.reconnect && matches!(self.goal, Goal::Chat) {
            let pause = self.backoff.pause();
            let shown = pause.as_secs_f64();
            self.face.aside(&format!("trying again in {shown:.1} s"));
            self.link = Link::Away {
                until: Instant::now() + pause,
            };
        }
    }
}
