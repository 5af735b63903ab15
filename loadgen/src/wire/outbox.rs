//! The outbox: what one client still has to send.
//!
//! An item becomes bytes only when all before it are with the kernel, so that the stamp of a message
//! says when it really left. A full socket keeps items waiting; it never drops one or leaves it partial.

use std::collections::VecDeque;
use std::io::{self, Write};

use protocol::Position;
use record::Protocol;

use super::codec::{Codec, Hello, Publish};
use super::events::Events;
use super::identity::Identity;
use super::mqtt::Mqtt;
use super::nats::Nats;
use super::packets::Packets;
use super::redis::Redis;
use super::stamp::{NAMELESS, Stamp};
use super::uringcast::Uringcast;
use super::websocket::WebSocket;

/// What most protocols put before a payload fits in this; a longer head costs an allocation more.
const HEAD_BYTES_USUAL: usize = 64;

/// One thing to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// The client's name, or whatever else a client says first; it may come back behind a position.
    Name { after: Option<Position> },
    /// What the server is to be told once it has taken the connection.
    Join,
    /// What the server asked for.
    Answer(Vec<u8>),
    /// A probe of the barrier.
    Probe { round: u32 },
    /// A message of the schedule.
    Message(Outgoing),
    /// The rest of something that an earlier run had begun to send.
    Leftover,
}

/// A message of the schedule, as the ledger numbered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) number: u32,
    pub(crate) previous: Option<u32>,
    pub(crate) intended_ns: u64,
    pub(crate) payload_bytes: usize,
}

/// Items that wait for the socket, in order.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: VecDeque<Item>,
    /// The frame of the first item, if the socket took only a part of it.
    begun: Option<Box<Begun>>,
}

#[derive(Debug)]
struct Begun {
    frame: Vec<u8>,
    written_bytes: usize,
}

impl Outbox {
    pub(crate) fn push(&mut self, item: Item) {
        self.waiting.push_back(item);
    }

    /// Forgets all that waits, but for the frame that the socket has a part of.
    pub(crate) fn forget(&mut self) {
        self.waiting.clear();
        if self.begun.is_some() {
            self.waiting.push_back(Item::Leftover);
        }
    }

    /// On another connection: `first`, then all that waits, from its beginning.
    pub(crate) fn begin_anew(&mut self, first: Item) {
        self.begun = None;
        self.waiting
            .retain(|item| matches!(item, Item::Probe { .. } | Item::Message(_)));
        self.waiting.push_front(first);
    }

    pub(crate) fn holds_name(&self) -> bool {
        matches!(self.waiting.front(), Some(Item::Name { .. }))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many messages of the schedule wait.
    pub(crate) fn messages(&self) -> u64 {
        let is_message = |item: &&Item| matches!(item, Item::Message(_));
        self.waiting.iter().filter(is_message).count() as u64
    }

    /// Writes to `socket` what it takes. `frame_of` makes an item's bytes when its turn comes, by the
    /// time that the clock `now_ns` shows then. `sent` is told of each item that the socket has taken
    /// whole, and when its last bytes were handed over: before the write, because the kernel may let
    /// the server run in the middle of it.
    ///
    /// # Errors
    /// Whatever the socket says, except that it is full.
    pub(crate) fn flush(
        &mut self,
        socket: &mut impl Write,
        mut now_ns: impl FnMut() -> u64,
        mut frame_of: impl FnMut(&Item, u64) -> Vec<u8>,
        mut sent: impl FnMut(&Item, u64),
    ) -> io::Result<()> {
        while let Some(item) = self.waiting.front() {
            let handed_over_ns = now_ns();
            let begun = self.begun.get_or_insert_with(|| {
                Box::new(Begun {
                    frame: frame_of(item, handed_over_ns),
                    written_bytes: 0,
                })
            });
            while begun.written_bytes < begun.frame.len() {
                match socket.write(&begun.frame[begun.written_bytes..]) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(bytes) => begun.written_bytes += bytes,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            self.begun = None;
            sent(item, handed_over_ns);
            self.waiting.pop_front();
        }
        Ok(())
    }
}

/// What `item` is on the wire when `client` begins to send it at `now_ns`.
pub(crate) fn frame_of(identity: &Identity, item: &Item, client: u32, now_ns: u64) -> Vec<u8> {
    let author = if identity.has_names() {
        client
    } else {
        NAMELESS
    };
    let saying = |payload: &[u8], id| {
        let said = Publish {
            client,
            payload,
            id,
        };
        payload_frame(identity, &said)
    };
    match item {
        Item::Name { after } => hello(&Hello {
            identity,
            name: &identity.names.of(client),
            receives: client < identity.receivers,
            after: *after,
        }),
        Item::Join => WebSocket::join(identity, client),
        Item::Answer(answer) => answer.clone(),
        // Its frame was made before it became one.
        Item::Leftover => Vec::new(),
        Item::Probe { round } => saying(&identity.stamper.probe(*round, author), None),
        Item::Message(message) => {
            let stamp = Stamp {
                number: message.number,
                previous: message.previous,
                intended_ns: message.intended_ns,
                sent_ns: now_ns,
            };
            let stamper = &identity.stamper;
            let payload = stamper.message(&stamp, author, message.payload_bytes);
            saying(&payload, identity.resumes.then_some(message.number))
        }
    }
}

/// What a client says first.
pub(crate) fn hello(hello: &Hello<'_>) -> Vec<u8> {
    let out = &mut Vec::new();
    match hello.identity.protocol {
        Protocol::Uringcast => Uringcast::put_hello(out, hello),
        Protocol::WebSocket => WebSocket::put_hello(out, hello),
        Protocol::Events => Events::put_hello(out, hello),
        Protocol::Redis => Packets::<Redis>::put_hello(out, hello),
        Protocol::Nats => Packets::<Nats>::put_hello(out, hello),
        Protocol::Mqtt => Packets::<Mqtt>::put_hello(out, hello),
    }
    std::mem::take(out)
}

/// A message of this payload.
pub(crate) fn payload_frame(identity: &Identity, said: &Publish<'_>) -> Vec<u8> {
    let out = &mut Vec::with_capacity(HEAD_BYTES_USUAL + said.payload.len());
    match identity.protocol {
        Protocol::Uringcast => Uringcast::put_payload(out, identity, said),
        Protocol::WebSocket => WebSocket::put_payload(out, identity, said),
        Protocol::Events => Events::put_payload(out, identity, said),
        Protocol::Redis => Packets::<Redis>::put_payload(out, identity, said),
        Protocol::Nats => Packets::<Nats>::put_payload(out, identity, said),
        Protocol::Mqtt => Packets::<Mqtt>::put_payload(out, identity, said),
    }
    std::mem::take(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: Item = Item::Name { after: None };

    /// A socket that takes as many bytes at a time as the list says, and is full in between.
    struct Trickle {
        takes: Vec<usize>,
        taken: Vec<u8>,
    }

    impl Write for Trickle {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.takes.is_empty() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let taken = self.takes.remove(0).min(bytes.len());
            self.taken.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn frame_of(item: &Item, _: u64) -> Vec<u8> {
        format!("<{item:?}>").into_bytes()
    }

    fn no_clock() -> u64 {
        0
    }

    #[test]
    fn items_leave_whole_and_in_order_however_the_socket_takes_them() {
        let items = [NAME, Item::Probe { round: 1 }, NAME];
        let whole: Vec<u8> = items.iter().flat_map(|item| frame_of(item, 0)).collect();
        let mut outbox = Outbox::default();
        for item in &items {
            outbox.push(item.clone());
        }
        let mut socket = Trickle {
            takes: Vec::new(),
            taken: Vec::new(),
        };
        let mut sent = Vec::new();
        while !outbox.is_empty() {
            socket.takes = vec![3];
            outbox
                .flush(&mut socket, no_clock, frame_of, |item, _| {
                    sent.push(item.clone());
                })
                .unwrap();
        }
        assert_eq!(socket.taken, whole);
        assert_eq!(sent, items);
    }

    #[test]
    fn an_item_becomes_bytes_only_when_its_turn_comes() {
        let mut outbox = Outbox::default();
        outbox.push(NAME);
        outbox.push(Item::Probe { round: 1 });
        let mut socket = Trickle {
            takes: vec![2],
            taken: Vec::new(),
        };
        let mut made = Vec::new();
        let make = |item: &Item, now_ns| {
            made.push(item.clone());
            frame_of(item, now_ns)
        };
        outbox
            .flush(&mut socket, no_clock, make, |_, _| ())
            .unwrap();
        assert_eq!(made, [NAME]);
    }

    #[test]
    fn an_item_is_sent_when_the_write_that_takes_its_last_byte_begins() {
        let clock = std::cell::Cell::new(5);
        let now_ns = || clock.get();
        let mut outbox = Outbox::default();
        outbox.push(NAME);
        let mut socket = Trickle {
            takes: vec![2],
            taken: Vec::new(),
        };
        let mut sent = Vec::new();
        let mut stamped = Vec::new();
        for (at_ns, takes) in [(5, 2), (8, 100)] {
            clock.set(at_ns);
            socket.takes = vec![takes];
            let make = |item: &Item, now_ns| {
                stamped.push(now_ns);
                frame_of(item, now_ns)
            };
            outbox
                .flush(&mut socket, now_ns, make, |item, now_ns| {
                    sent.push((item.clone(), now_ns));
                })
                .unwrap();
        }
        assert_eq!(stamped, [5], "its stamp says when its first byte went");
        assert_eq!(sent, [(NAME, 8)]);
    }

    #[test]
    fn what_was_begun_is_finished_even_if_the_rest_is_forgotten() {
        let mut outbox = Outbox::default();
        outbox.push(Item::Probe { round: 1 });
        outbox.push(Item::Probe { round: 2 });
        let mut socket = Trickle {
            takes: vec![2],
            taken: Vec::new(),
        };
        outbox
            .flush(&mut socket, no_clock, frame_of, |_, _| ())
            .unwrap();
        outbox.forget();
        socket.takes = vec![100];
        let mut sent = Vec::new();
        outbox
            .flush(&mut socket, no_clock, frame_of, |item, _| {
                sent.push(item.clone());
            })
            .unwrap();
        assert_eq!(socket.taken, frame_of(&Item::Probe { round: 1 }, 0));
        assert_eq!(sent, [Item::Leftover]);
    }

    #[test]
    fn on_another_connection_what_was_begun_begins_anew_behind_the_name() {
        let mut outbox = Outbox::default();
        outbox.push(Item::Probe { round: 1 });
        outbox.push(Item::Answer(b"pong".to_vec()));
        outbox.push(Item::Probe { round: 2 });
        let mut socket = Trickle {
            takes: vec![2],
            taken: Vec::new(),
        };
        outbox
            .flush(&mut socket, no_clock, frame_of, |_, _| ())
            .unwrap();
        outbox.begin_anew(NAME);
        socket.takes = vec![100; 3];
        socket.taken.clear();
        let mut sent = Vec::new();
        outbox
            .flush(&mut socket, no_clock, frame_of, |item, _| {
                sent.push(item.clone());
            })
            .unwrap();
        let items = [NAME, Item::Probe { round: 1 }, Item::Probe { round: 2 }];
        assert_eq!(sent, items);
        let whole: Vec<u8> = items.iter().flat_map(|item| frame_of(item, 0)).collect();
        assert_eq!(socket.taken, whole);
    }

    #[test]
    fn a_socket_that_is_closed_is_an_error() {
        let mut outbox = Outbox::default();
        outbox.push(NAME);
        let mut socket = Trickle {
            takes: vec![0],
            taken: Vec::new(),
        };
        assert!(
            outbox
                .flush(&mut socket, no_clock, frame_of, |_, _| ())
                .is_err()
        );
    }
}
