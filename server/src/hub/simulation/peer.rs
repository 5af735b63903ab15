//! A peer of the simulated world: what it says, what it got, and what it must have got.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use protocol::presence::Presence;
use protocol::{SERVER_NAME, frame};
use rand::{Rng, RngExt};

use super::super::session::Phase;
use super::web::{self, Position, Speech, Web};
use super::{Accepted, ConnectionId, Limits, World};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Says its name, sends whole messages, takes what it is sent.
    Healthy,
    /// As the healthy, but takes nothing any more.
    Stuck,
    /// As the healthy, but takes one byte at a time.
    Trickling,
    /// Sent something that the protocol does not allow, or keeps silent where it must speak.
    Faulty,
}

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) hub: usize,
    pub(super) id: ConnectionId,
    pub(super) manner: Manner,
    pub(super) name: String,
    pub(super) speech: Speech,
    /// What it knows of its connection, if it speaks something else than frames.
    pub(super) web: Option<Box<Web>>,
    /// Bytes on their way to the hub.
    pub(super) to_hub: VecDeque<u8>,
    /// Well-formed messages that were said and not accepted yet.
    said: VecDeque<Bytes>,
    /// How many were accepted, and since when.
    accepted: u32,
    speaks_since: Option<Instant>,
    pub(super) paused: bool,
    pub(super) hung_up: bool,
    /// A limit on those who come in, or the name of another, was in its way.
    pub(super) refused: bool,
    /// It had joined when the last hub stopped accepting.
    pub(super) was_there_at_the_end: bool,
    pub(super) sees_end_of_stream: bool,
    pub(super) in_flight: Option<Flight>,
    /// When it, being healthy, last took a part of what it was sent.
    pub(super) short_at: Option<Instant>,
    /// When it was last given messages.
    pub(super) sent_to_at: Option<Instant>,
    /// Sequence number of the first message it is owed.
    pub(super) joined_at: Option<u64>,
    /// Sequence number of the next message to arrive, and how much of it has.
    pub(super) next: u64,
    arrived: usize,
    notice: Vec<u8>,
}

/// A send on its way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) bytes: Bytes,
    pub(super) since: Instant,
    /// The server says it to this peer alone.
    pub(super) is_notice: bool,
}

/// The total order, and how many were there after each message as it tells.
#[derive(Clone, Copy)]
pub(super) struct Order<'o> {
    pub(super) messages: &'o [Accepted],
    pub(super) here_after: &'o [u64],
}

impl Manner {
    pub(super) fn is_healthy(self) -> bool {
        self == Self::Healthy
    }
}

impl Peer {
    pub(super) fn new(
        hub: usize,
        id: ConnectionId,
        manner: Manner,
        name: String,
        (speech, after): (Speech, Option<Position>),
        rng: &mut impl Rng,
        limits: &Limits,
    ) -> Self {
        assert!(name.len() <= limits.name_bytes_max);
        let mut peer = Self {
            hub,
            id,
            manner,
            to_hub: VecDeque::new(),
            said: VecDeque::new(),
            accepted: 0,
            speaks_since: None,
            paused: false,
            hung_up: false,
            refused: false,
            was_there_at_the_end: false,
            sees_end_of_stream: false,
            in_flight: None,
            short_at: None,
            sent_to_at: None,
            joined_at: None,
            next: 0,
            arrived: 0,
            notice: Vec::new(),
            name,
            speech,
            web: (speech != Speech::Frames).then(|| Box::new(Web::new(after.clone()))),
        };
        match manner {
            // Some of the faulty never say their name, some break off in it.
            Manner::Faulty if rng.random_bool(0.5) => {}
            Manner::Faulty if speech == Speech::Frames => peer.to_hub.extend(b"5         pe"),
            Manner::Faulty => peer.to_hub.extend(b"GET /ws?name=p HTTP/1.1\r\nHo"),
            _ if speech == Speech::Frames => {
                peer.to_hub.extend(&frame::encode(peer.name.as_bytes()));
            }
            _ => {
                let join = web::join(speech, &peer.name, after.as_ref(), rng);
                peer.to_hub.extend(join);
            }
        }
        peer
    }

    pub(super) fn speak(&mut self, rng: &mut impl Rng, message_bytes_max: usize) {
        if self.manner == Manner::Faulty || self.speech == Speech::Events {
            return;
        }
        let text: Vec<u8> = (0..rng.random_range(0..=message_bytes_max))
            .map(|_| rng.random_range(b' '..=b'~'))
            .collect();
        self.said
            .push_back(frame::broadcast(self.name.as_bytes(), &text));
        let Some(web) = &mut self.web else {
            self.to_hub.extend(&frame::encode(&text));
            return;
        };
        let text = str::from_utf8(&text).unwrap();
        if self.speech == Speech::Publishing {
            self.to_hub.extend(web::post(&self.name, text));
            web.ids.push_back(None);
            return;
        }
        let id = rng.random_bool(0.5).then(|| web.last_id + 1);
        web.last_id = id.unwrap_or(web.last_id);
        web.ids.push_back(id);
        let (said, has_ping) = web::message(text, id, web.pings.saturating_add(1), rng);
        web.pings = web.pings.saturating_add(u8::from(has_ping));
        self.to_hub.extend(said);
    }

    /// Says something that ends this peer's stay.
    pub(super) fn misbehave(&mut self, rng: &mut impl Rng, message_bytes_max: usize) {
        if self.manner == Manner::Faulty {
            return;
        }
        self.manner = Manner::Faulty;
        if self.speech == Speech::Events {
            return;
        }
        if self.speech != Speech::Frames {
            let fault = web::fault(self.speech, message_bytes_max, rng);
            self.to_hub.extend(fault);
            return;
        }
        let too_long = frame::encode(&vec![b'x'; message_bytes_max + 1]);
        let fault: &[u8] = match rng.random_range(0..6) {
            0 => b"GET / HTTP/1.1\r\n\r\n",
            1 => b"          ",
            2 => &too_long,
            3 => b"1         \xff",
            4 => b"12",
            _ => b"-5        hello",
        };
        self.to_hub.extend(fault);
    }

    pub(super) fn can_be_read(&self) -> bool {
        !self.to_hub.is_empty() && !self.paused && !self.hung_up
    }

    pub(super) fn cut_input(&mut self, rng: &mut impl Rng) -> Vec<u8> {
        let most = self.to_hub.len();
        let bytes = if rng.random_bool(0.3) {
            most
        } else {
            rng.random_range(1..=most)
        };
        self.to_hub.drain(..bytes).collect()
    }

    /// What it said is the message `number` of the order.
    pub(super) fn was_accepted(
        &mut self,
        frame: &Bytes,
        number: u64,
        limits: &Limits,
        now: Instant,
    ) {
        self.accepted += 1;
        if let Some(web) = &mut self.web {
            let id = web.ids.pop_front().flatten();
            if id.is_some() || self.speech == Speech::Publishing {
                web.to_be_told.push_back((number, id));
            }
        }
        let since = now - *self.speaks_since.get_or_insert(now);
        if let Some(rate) = limits.messages_per_second_max {
            let most = f64::from(rate) * (1.0 + since.as_secs_f64());
            assert!(
                f64::from(self.accepted) <= most,
                "{} > {most}",
                self.accepted
            );
        }
        assert_eq!(
            Some(frame),
            self.said.pop_front().as_ref(),
            "what is accepted is what the author said next, bit for bit"
        );
    }

    /// The kernel takes bytes for this peer: they must go on with the stream that it is owed, or with
    /// what it alone is told.
    pub(super) fn take(&mut self, mut bytes: &[u8], is_notice: bool, order: Order<'_>) {
        if is_notice {
            assert_eq!(self.arrived, 0, "a notice never follows a partial frame");
            self.notice.extend_from_slice(bytes);
            self.understand_notices(order);
            return;
        }
        assert!(self.notice.is_empty(), "nothing comes inside a notice");
        while !bytes.is_empty() {
            let joined_at = self
                .joined_at
                .expect("only who has joined is sent messages");
            let arrived = self.arrived;
            let expected = self.next_expected(joined_at, order.messages);
            let rest = &expected.expect("it is owed something")[arrived..];
            let common = rest.len().min(bytes.len());
            assert_eq!(rest[..common], bytes[..common], "bit for bit, in order");
            bytes = &bytes[common..];
            self.arrived += common;
            if common == rest.len() {
                self.arrived = 0;
                self.next += 1;
            }
        }
    }

    /// Acts on the notices that are whole, and not the last one.
    fn understand_notices(&mut self, order: Order<'_>) {
        while let Some((text, bytes)) = whole_notice(&self.notice) {
            if let Some(missed) = text.strip_prefix("skipped ") {
                let missed = missed.split(' ').next().unwrap().parse().unwrap();
                self.miss(missed, order.messages);
            } else if let Some(Presence::Here { here, .. }) = Presence::parse(&text) {
                self.hear_who_is_there(here, order);
            } else {
                assert!(text.starts_with("closing: "), "{text}");
                assert_eq!(bytes, self.notice.len(), "nothing comes after the notice");
                return;
            }
            self.notice.drain(..bytes);
        }
    }

    pub(super) fn hear_who_is_there(&self, here: u64, order: Order<'_>) {
        // Unknown of one that came and went in one breath.
        if let Some(joined_at) = self.joined_at {
            let before = usize::try_from(joined_at).unwrap().checked_sub(1);
            let told = before.map_or(0, |last| order.here_after[last]);
            assert_eq!(here, told, "as many as the order tells");
        }
    }

    pub(super) fn miss(&mut self, missed: u64, order: &[Accepted]) {
        assert_ne!(
            self.manner,
            Manner::Healthy,
            "nobody healthy misses anything"
        );
        for _ in 0..missed {
            let joined_at = self.joined_at.unwrap();
            let expected = self.next_expected(joined_at, order);
            assert!(expected.is_some(), "there was so much to miss");
            self.next += 1;
        }
    }

    pub(super) fn next_expected<'o>(
        &mut self,
        joined_at: u64,
        order: &'o [Accepted],
    ) -> Option<&'o Bytes> {
        self.next = self.next.max(joined_at);
        while let Some(accepted) = order.get(usize::try_from(self.next).unwrap()) {
            if (accepted.hub, accepted.author) != (self.hub, self.id) {
                return Some(&accepted.frame);
            }
            self.next += 1;
        }
        None
    }

    /// Whether the hub is done with it, or about to be.
    pub(super) fn is_on_its_way_out(&self, world: &World) -> bool {
        let session = &world.hubs[self.hub].sessions[self.id.slot as usize];
        !session.is_in_use() && !matches!(session.phase, Phase::Refused { .. })
    }

    /// Called when the hub gives the peer up.
    pub(super) fn check_close(&self, order: &[Accepted]) {
        // One that only asks is let go in order while it asks for nothing.
        let asks_no_more =
            self.speech == Speech::Publishing && (self.said.is_empty() || self.sees_end_of_stream);
        let gone_by_itself =
            self.hung_up || self.manner != Manner::Healthy || self.refused || asks_no_more;
        let told = match &self.web {
            None => String::from_utf8_lossy(&self.notice),
            Some(web) => web.reason.as_deref().unwrap_or_default().into(),
        };
        assert!(
            gone_by_itself || told.ends_with("server is shutting down"),
            "nobody healthy is sent away: {told} {self:?}"
        );
        if let Some(joined_at) = self.joined_at
            && self.was_there_at_the_end
            && !gone_by_itself
        {
            self.check_that_nothing_is_left(joined_at, order);
        }
        if let Some(web) = &self.web {
            let is_stream = web.stream.is_websocket() || web.stream.is_events();
            let is_told = web.is_closed && web.stream.bytes.is_empty();
            assert!(
                !self.sees_end_of_stream || !is_stream || is_told,
                "before the orderly end comes the reason: {self:?}"
            );
        } else if self.sees_end_of_stream {
            let mut decoder = protocol::Decoder::new(1000);
            let mut notice = &self.notice[..];
            assert_eq!(
                decoder.next(&mut notice),
                Ok(Some(SERVER_NAME.as_bytes())),
                "before the orderly end comes a notice"
            );
            let text = decoder.next(&mut notice).unwrap().unwrap();
            assert!(text.starts_with(b"closing: "));
            assert!(notice.is_empty(), "nothing comes after the notice");
        }
    }

    fn check_that_nothing_is_left(&self, joined_at: u64, order: &[Accepted]) {
        let from = self.next.max(joined_at);
        let left = order[usize::try_from(from).unwrap()..]
            .iter()
            .filter(|accepted| (accepted.hub, accepted.author) != (self.hub, self.id))
            .count();
        let in_pieces = self.web.as_ref().map_or(0, |web| web.stream.bytes.len());
        assert_eq!(
            (left, self.arrived + in_pieces),
            (0, 0),
            "all that was owed arrived"
        );
    }

    /// Called after the faults stopped.
    pub(super) fn check_that_all_arrived(&self, world: &World) {
        if self.is_on_its_way_out(world) {
            assert!(
                self.refused
                    || self.hung_up
                    || self.manner != Manner::Healthy
                    || (self.speech == Speech::Publishing && self.said.is_empty()),
                "nobody healthy is sent away: {:?}",
                world.hubs[self.hub].sessions[self.id.slot as usize]
            );
            return;
        }
        let Some(joined_at) = self.joined_at else {
            return;
        };
        self.check_that_nothing_is_left(joined_at, &world.order);
        if self.manner == Manner::Healthy && !self.hung_up {
            assert!(self.said.is_empty(), "all that was said was accepted");
            if let Some(web) = &self.web {
                assert!(web.to_be_told.is_empty(), "and told to be so: {self:?}");
                assert_eq!(web.ponged, web.pings, "the last ping has its pong");
            }
        }
    }
}

/// What the first notice says, once all of it has come, and how long it is.
pub(super) fn whole_notice(notices: &[u8]) -> Option<(String, usize)> {
    let mut decoder = protocol::Decoder::new(2000);
    let mut rest = notices;
    let name = decoder.next(&mut rest).ok()??;
    assert_eq!(name, SERVER_NAME.as_bytes());
    let text = decoder.next(&mut rest).ok()??.to_vec();
    Some((String::from_utf8(text).unwrap(), notices.len() - rest.len()))
}
