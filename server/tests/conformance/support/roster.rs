//! Healthy clients with a ledger: two who speak and four who listen, while others do what they like.
//!
//! Those who speak do not flood: each waits until all have heard what it said [`WINDOW`] messages ago. So
//! nobody of the roster is ever behind by more than a small log lets a receiver be.

use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use super::{Peer, counted_text, gather};

/// Together more than a small log and the kernels hold.
const MESSAGES: usize = 100;
const MESSAGE_BYTES: usize = 8000;

/// Messages of one author that somebody may not have heard yet: of both together, far less than half of
/// a small log.
const WINDOW: usize = 16;

/// Ann and Bob speak; all listen.
#[derive(Debug)]
pub(crate) struct Roster {
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    peer: Peer,
    /// How many messages it has heard of Ann and of Bob.
    heard: [usize; 2],
}

/// Whom a listener tells what it has heard: the authors, by their places.
type Ears = Vec<(usize, Sender<usize>)>;

const AUTHORS: [&str; 2] = ["ann", "bob"];

impl Roster {
    pub(crate) const MEMBERS: usize = 4;

    pub(crate) fn gather(address: SocketAddr) -> Self {
        let members = gather(address, ["ann", "bob", "cleo", "dan"]);
        let with_ledger = |peer| Member {
            peer,
            heard: [0; 2],
        };
        Self {
            members: members.into_iter().map(with_ledger).collect(),
        }
    }

    /// Ann and Bob say as much again as they did; everyone has to hear all of it but what it said
    /// itself, once and in order. What others say goes past.
    pub(crate) fn talk(&mut self) {
        let from = self.members[2].heard[0];
        thread::scope(|scope| {
            let mut ears: Vec<Ears> = vec![Vec::new(); Self::MEMBERS];
            for author in 0..AUTHORS.len() {
                let (hears, heard) = channel();
                for (_, ear) in ears.iter_mut().enumerate().filter(|(it, _)| *it != author) {
                    ear.push((author, hears.clone()));
                }
                drop(hears);
                let socket = self.members[author].peer.socket().try_clone().unwrap();
                let mouth = Peer::over(socket);
                scope.spawn(move || {
                    let mut counts = [0; Self::MEMBERS];
                    counts[author] = MESSAGES;
                    for number in 0..MESSAGES {
                        while counts.iter().any(|count| count + WINDOW <= number) {
                            // A listener that has failed says so itself.
                            let Ok(place) = heard.recv() else { return };
                            counts[place] += 1;
                        }
                        mouth.say(text(author, from + number));
                    }
                });
            }
            for ((place, member), ears) in self.members.iter_mut().enumerate().zip(ears) {
                scope.spawn(move || member.listen(place, from + MESSAGES, &ears));
            }
        });
    }
}

impl Member {
    fn listen(&mut self, place: usize, to: usize, ears: &Ears) {
        let mut wanted = [to; 2];
        if let Some(own) = wanted.get_mut(place) {
            *own = 0;
        }
        while self.heard != wanted {
            let message = self.peer.hear();
            let listener = &self.peer.name;
            assert_ne!(message.name, "*server*", "{listener}: {message:?}");
            let Some(author) = AUTHORS.iter().position(|name| *name == message.name) else {
                continue;
            };
            let number = self.heard[author];
            if message.text.starts_with(b"hello ") && number == 0 {
                continue;
            }
            assert_eq!(
                message.text,
                text(author, number),
                "message {number}, to {listener}"
            );
            self.heard[author] += 1;
            for (_, tell) in ears.iter().filter(|(of, _)| *of == author) {
                // It may have said all.
                let _ = tell.send(place);
            }
        }
    }
}

/// Each message of each author has a text of its own.
fn text(author: usize, number: usize) -> Vec<u8> {
    counted_text(2 * number + author, MESSAGE_BYTES)
}
