//! Single cases that the simulation once found, kept as the shortest story that tells them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use protocol::frame;

use super::*;

pub(super) fn join(hub: &mut Hub, name: &str, now: Instant) -> ConnectionId {
    let id = hub.accept(SocketAddr::from(([127, 0, 0, 1], 1)), now);
    assert_eq!(
        hub.receive(id, &frame::encode(name.as_bytes()), now),
        Reading::Continue
    );
    id
}

/// Everything that is due is taken by the kernel at once.
pub(super) fn deliver_all(hub: &mut Hub, now: Instant) {
    while let Some(transmit) = hub.poll_transmit(now) {
        hub.transmitted(transmit.id, transmit.bytes.len(), now);
    }
}

fn hub_with_room_for_one_message() -> Hub {
    let limits = Limits {
        message_bytes_max: 10,
        ..Limits::default()
    };
    let log = Log::new(Log::charge(limits.frame_bytes_max()));
    Hub::new(limits, log)
}

#[test]
fn an_author_who_passes_its_own_message_last_makes_room_for_its_next() {
    let now = Instant::now();
    let mut hub = hub_with_room_for_one_message();
    let listener = join(&mut hub, "listener", now);
    let author = join(&mut hub, "author", now);
    let two = [frame::encode(b"one"), frame::encode(b"two")].concat();
    assert_eq!(hub.receive(author, &two, now), Reading::Pause);

    let transmit = hub.poll_transmit(now).unwrap();
    assert_eq!(transmit.id, listener);
    hub.transmitted(listener, transmit.bytes.len(), now);
    assert_eq!(hub.poll_resume(), None, "the author has yet to pass it");

    let transmit = hub.poll_transmit(now).unwrap();
    assert_eq!(transmit.bytes, frame::broadcast(b"author", b"two"));
    assert_eq!(hub.poll_resume(), Some(author));
}

#[test]
fn what_was_held_back_is_not_accepted_once_the_hub_drains() {
    let now = Instant::now();
    let mut hub = hub_with_room_for_one_message();
    let listener = join(&mut hub, "listener", now);
    let author = join(&mut hub, "author", now);
    let two = [frame::encode(b"one"), frame::encode(b"two")].concat();
    assert_eq!(hub.receive(author, &two, now), Reading::Pause);
    hub.drain(Duration::from_secs(1), now);
    assert_eq!(hub.poll_close(), None, "another hub may have more for them");
    hub.say_goodbye(now);

    let mut received = Vec::new();
    while let Some(transmit) = hub.poll_transmit(now) {
        hub.transmitted(transmit.id, transmit.bytes.len(), now);
        if transmit.id == listener {
            received.extend_from_slice(&transmit.bytes);
        }
    }
    let expected = [
        frame::broadcast(b"author", b"one"),
        Departure::Shutdown.notice(),
    ];
    assert_eq!(received, expected.concat());
}

#[test]
fn what_a_peer_said_before_it_left_is_accepted_even_if_the_log_was_full() {
    let now = Instant::now();
    let mut hub = hub_with_room_for_one_message();
    let listener = join(&mut hub, "listener", now);
    let author = join(&mut hub, "author", now);
    let two = [frame::encode(b"one"), frame::encode(b"two")].concat();
    assert_eq!(hub.receive(author, &two, now), Reading::Pause);
    hub.disconnected(author, Disconnect::EndOfStream, now);
    assert_eq!(hub.poll_close(), None, "it has more to say");

    for text in [b"one", b"two"] {
        let transmit = hub.poll_transmit(now).unwrap();
        assert_eq!(transmit.id, listener);
        assert_eq!(transmit.bytes, frame::broadcast(b"author", text));
        hub.transmitted(listener, transmit.bytes.len(), now);
    }
    assert_eq!(hub.poll_close(), Some(Close::Release(author)));
    assert_eq!(hub.counters().pending(), 0);
}

#[test]
fn room_that_was_reserved_and_not_used_wakes_who_waits_for_it() {
    let now = Instant::now();
    let limits = Limits {
        message_bytes_max: 10,
        ..Limits::default()
    };
    let log = Log::new(Log::charge(limits.frame_bytes_max()));
    let mut hub = Hub::new(limits.clone(), Arc::clone(&log));
    let author = join(&mut hub, "author", now);
    // Another thread's reservation is under way just when this hub wants one.
    let mut other = Reader::new(log);
    let theirs = other.reserve(limits.frame_bytes_max()).unwrap();
    assert_eq!(
        hub.receive(author, &frame::encode(b"one"), now),
        Reading::Pause
    );
    drop(theirs);
    other.gave_room_back();
    assert!(other.takes_back_made_room() && other.takes_back_wanted());
    hub.wake(now);
    assert_eq!(hub.poll_resume(), Some(author));
}
