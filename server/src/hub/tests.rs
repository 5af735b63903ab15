//! Single cases that the simulation once found, kept as the shortest story that tells them.

mod web;

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

/// Time goes on, and the hub is called whenever it asks for it.
pub(super) fn pass_time(hub: &mut Hub, until: Instant) {
    let mut now = None;
    while let Some(at) = hub.poll_timeout().max(now)
        && at < until
    {
        hub.handle_timeout(at);
        // What waits for a poll stays due.
        now = Some(at + Duration::from_millis(10));
    }
    hub.handle_timeout(until);
}

fn hub_with_room_for_one_message() -> Hub {
    let limits = Limits {
        message_bytes_max: 10,
        ..Limits::default()
    };
    let log = Log::new(charge(limits.frame_bytes_max()));
    Hub::new(limits, log)
}

/// Its author said "one", which a listener is owed, and "two", for which there is no room yet.
fn hub_that_holds_back_the_second_of_two(now: Instant) -> (Hub, [ConnectionId; 2]) {
    let mut hub = hub_with_room_for_one_message();
    let listener = join(&mut hub, "listener", now);
    let author = join(&mut hub, "author", now);
    let two = [frame::encode(b"one"), frame::encode(b"two")].concat();
    assert_eq!(hub.receive(author, &two, now), Reading::Pause);
    (hub, [listener, author])
}

#[test]
fn an_author_who_passes_its_own_message_last_makes_room_for_its_next() {
    let now = Instant::now();
    let (mut hub, [listener, author]) = hub_that_holds_back_the_second_of_two(now);

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
    let (mut hub, [listener, _]) = hub_that_holds_back_the_second_of_two(now);
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
        CloseReason::Shutdown.notice(),
    ];
    assert_eq!(received, expected.concat());
}

#[test]
fn what_a_peer_said_before_it_left_is_accepted_even_if_the_log_was_full() {
    let now = Instant::now();
    let (mut hub, [listener, author]) = hub_that_holds_back_the_second_of_two(now);
    hub.disconnected(author, Disconnect::EndOfStream, now);
    let seat_and_descriptor = hub.poll_close();
    assert_eq!(seat_and_descriptor, Some(Close::Release(author)));
    hub.closed(author);
    assert_eq!(hub.counters().connections, 1, "leaving frees at once");

    for text in [b"one", b"two"] {
        let transmit = hub.poll_transmit(now).unwrap();
        assert_eq!(transmit.id, listener);
        assert_eq!(transmit.bytes, frame::broadcast(b"author", text));
        hub.transmitted(listener, transmit.bytes.len(), now);
    }
    assert_eq!(hub.poll_close(), None);
    assert_eq!(hub.sessions.len(), 1);
    assert_eq!(hub.counters().pending(), 0);
}

#[test]
fn who_has_left_keeps_no_place_and_no_name_and_is_heard_for_a_while_only() {
    let mut now = Instant::now();
    let mut hub = hub_with(|limits| {
        limits.messages_per_second_max = Some(1);
        limits.clients_max = Some(2);
        limits.unique_names = true;
    });
    let [listener, ghost] = ["listener", "ghost"].map(|name| join(&mut hub, name, now));
    let _ = hub.receive(ghost, &frame::encode(b"").repeat(100), now);
    hub.disconnected(ghost, Disconnect::EndOfStream, now);
    assert_eq!(hub.poll_close(), Some(Close::Release(ghost)));
    hub.closed(ghost);
    let successor = join(&mut hub, "ghost", now);
    assert!(hub.has_joined(successor));
    assert_eq!(hub.counters().closed[Reason::Full], 0);
    let until = now + Duration::from_secs(20);
    let mut heard = 0;
    while now < until {
        let sent = serve(&mut hub, &[], now);
        heard += sent.iter().filter(|(to, _)| *to == listener).count();
        now += Duration::from_millis(250);
        pass_time(&mut hub, now);
    }
    assert_eq!(heard, 5, "one at once, and one a second until 5 s are over");
    assert_eq!(hub.sessions.len(), 2, "nothing is left of it");
}

#[test]
fn room_that_was_reserved_and_not_used_wakes_who_waits_for_it() {
    let now = Instant::now();
    let limits = Limits {
        message_bytes_max: 10,
        ..Limits::default()
    };
    let log = Log::new(charge(limits.frame_bytes_max()));
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
    assert!(other.take_made_room() && other.take_wanted());
    hub.wake(now);
    assert_eq!(hub.poll_resume(), Some(author));
}

#[test]
fn those_who_wait_for_room_go_on_in_turn() {
    let now = Instant::now();
    let mut hub = hub_with_room_for_one_message();
    let [ann, bob, cleo] = ["ann", "bob", "cleo"].map(|name| join(&mut hub, name, now));
    let three = [b"1", b"2", b"3"].map(|text| frame::encode(text)).concat();
    for author in [ann, bob] {
        assert_eq!(hub.receive(author, &three, now), Reading::Pause);
    }
    let mut heard = Vec::new();
    while let Some(transmit) = hub.poll_transmit(now) {
        hub.transmitted(transmit.id, transmit.bytes.len(), now);
        if transmit.id == cleo {
            heard.push(transmit.bytes);
        }
    }
    let turns: [(&[u8], &[u8]); 6] = [
        (b"ann", b"1"),
        // Both wait, and Bob has had nothing yet.
        (b"bob", b"1"),
        (b"ann", b"2"),
        (b"bob", b"2"),
        (b"ann", b"3"),
        (b"bob", b"3"),
    ];
    assert_eq!(
        heard,
        turns.map(|(name, text)| frame::broadcast(name, text))
    );
}

#[test]
fn a_hub_that_begins_to_drain_gives_others_the_room_it_holds() {
    let now = Instant::now();
    let mut hub = hub_with_room_for_one_message();
    let mut asleep = hub.beside();
    let author = join(&mut hub, "author", now);
    let two = [frame::encode(b"one"), frame::encode(b"two")].concat();
    assert_eq!(hub.receive(author, &two, now), Reading::Pause);
    serve(&mut hub, &[], now);
    assert_eq!(hub.poll_resume(), None, "the other hub has yet to pass it");
    asleep.drain(Duration::from_secs(1), now);
    assert!(asleep.take_wake_of_others());
    hub.wake(now);
    assert_eq!(hub.poll_resume(), Some(author));
}

/// A hub whose authors are never more than a kilobyte ahead, under limits that a test may change.
fn hub_with(change: impl FnOnce(&mut Limits)) -> Hub {
    let mut limits = Limits {
        message_bytes_max: 1000,
        lead_bytes_max: 1000,
        coalesce: Coalesce::Fixed(Duration::ZERO),
        ..Limits::default()
    };
    change(&mut limits);
    Hub::new(limits, Log::new(20_000))
}

/// What a driver would send now to all but those who are stuck, each transmit whole.
fn serve(hub: &mut Hub, stuck: &[ConnectionId], now: Instant) -> Vec<(ConnectionId, Bytes)> {
    let mut sent = Vec::new();
    while let Some(transmit) = hub.poll_transmit(now) {
        if !stuck.contains(&transmit.id) {
            hub.transmitted(transmit.id, transmit.bytes.len(), now);
            sent.push((transmit.id, transmit.bytes));
        }
    }
    sent
}

/// `author` says messages of 500 bytes until it has to wait; returns how many were taken.
fn flood(hub: &mut Hub, author: ConnectionId, now: Instant) -> u64 {
    let before = hub.counters().messages;
    while hub.receive(author, &frame::encode(&[b'x'; 500]), now) == Reading::Continue {}
    hub.counters().messages - before
}

#[test]
fn a_flood_waits_for_most_of_the_subscribers_and_goes_on_when_they_have_caught_up() {
    let now = Instant::now();
    let mut hub = hub_with(|_| ());
    let ids: Vec<_> = ["ann", "bob", "cleo", "dan"]
        .map(|name| join(&mut hub, name, now))
        .into();
    assert_eq!(
        flood(&mut hub, ids[0], now),
        2,
        "a kilobyte, and what reaches over it"
    );
    assert_eq!(hub.poll_resume(), None);
    // One that is stuck is not waited for: it is not most of them.
    serve(&mut hub, &ids[3..], now);
    assert_eq!(hub.poll_resume(), Some(ids[0]));
}

#[test]
fn who_says_little_does_not_wait_with_those_who_flood() {
    let mut now = Instant::now();
    let mut hub = hub_with(|limits| limits.lead_bytes_max = 4000);
    let ids: Vec<_> = ["ann", "bob", "cleo", "dan", "eve"]
        .map(|name| join(&mut hub, name, now))
        .into();
    let (ann, eve) = (ids[0], ids[4]);
    flood(&mut hub, ann, now);
    // Three of five take a byte now and then, and are waited for.
    let slow = &ids[1..4];
    serve(&mut hub, slow, now);
    let charged = u32::try_from(charge(frame::broadcast(b"eve", b"hi").len())).unwrap();
    let pause = Duration::from_secs(1) * charged / throttle::light_bytes_per_second(&hub.limits);
    for _ in 0..10 {
        now += pause;
        let before = hub.counters().messages;
        assert_eq!(flood(&mut hub, ann, now), 0);
        assert_eq!(
            hub.receive(eve, &frame::encode(b"hi"), now),
            Reading::Continue
        );
        assert_eq!(hub.counters().messages, before + 1);
        let sent = serve(&mut hub, slow, now);
        assert!(sent.iter().any(|(id, _)| *id == ann), "at once");
        slow.iter().for_each(|&id| hub.transmitted(id, 1, now));
    }
    // It would be a flooder if it said more.
    while hub.receive(eve, &frame::encode(b"hi"), now) == Reading::Continue {}
    assert!(
        !hub.sessions[eve.slot as usize]
            .input
            .throttle
            .is_light(&hub.limits, now)
    );
}

#[test]
fn stalled_subscribers_are_not_waited_for_even_if_they_are_most() {
    let now = Instant::now();
    let mut hub = hub_with(|_| ());
    let ids: Vec<_> = ["ann", "bob", "cleo", "dan"]
        .map(|name| join(&mut hub, name, now))
        .into();
    flood(&mut hub, ids[0], now);
    serve(&mut hub, &ids[1..], now);
    assert_eq!(hub.poll_resume(), None, "three of four take nothing");
    let mut later = now;
    while later < now + Duration::from_secs(2) {
        later = hub.poll_timeout().expect("the hub looks at the slow");
        hub.handle_timeout(later);
    }
    assert_eq!(hub.poll_resume(), Some(ids[0]));
}

#[test]
fn one_that_is_too_far_behind_is_sent_away_although_it_reads() {
    let mut now = Instant::now();
    let mut hub = hub_with(|limits| limits.lag_bytes_max = Some(5000));
    let [ann, bob, cleo] = ["ann", "bob", "cleo"].map(|name| join(&mut hub, name, now));
    let said = |hub: &Hub| hub.counters().messages * message_charge();
    let mut too_far_since = None;
    while hub.counters().closed[Reason::TooFarBehind] == 0 {
        let since = *too_far_since.get_or_insert(now);
        assert!(
            now <= since + Duration::from_millis(110),
            "nobody is sent away too late"
        );
        flood(&mut hub, ann, now);
        if said(&hub) <= 5000 {
            too_far_since = None;
        }
        for (id, _) in serve(&mut hub, &[bob], now) {
            assert!(id == ann || id == cleo);
        }
        hub.transmitted(bob, 1, now);
        now += Duration::from_millis(10);
        hub.handle_timeout(now);
    }
    let since = too_far_since.expect("nobody is sent away who is not too far behind");
    assert!(
        now >= since + Duration::from_millis(100),
        "nobody is sent away too soon"
    );
}

/// What the log charges for a message of [`flood`].
fn message_charge() -> u64 {
    charge(frame::broadcast(b"ann", &[b'x'; 500]).len()) as u64
}

#[test]
fn one_for_whom_a_message_waits_too_long_is_sent_away_although_it_reads() {
    let now = Instant::now();
    let mut hub = hub_with(|limits| limits.lag_max = Duration::from_secs(10));
    let [ann, bob] = ["ann", "bob"].map(|name| join(&mut hub, name, now));
    let ten_bytes_a_second = |hub: &mut Hub, from: Instant, seconds: u32| {
        for second in 1..=seconds {
            let at = from + Duration::from_secs(1) * second;
            pass_time(hub, at);
            hub.transmitted(bob, 10, at);
            hub.poll_transmit(at);
        }
    };
    flood(&mut hub, ann, now);
    hub.poll_transmit(now);
    ten_bytes_a_second(&mut hub, now, 9);
    assert_eq!(hub.counters().closed[Reason::TooSlow], 0, "not yet");
    // A freeze is not its fault.
    let thawed = now + Duration::from_secs(600);
    hub.handle_timeout(thawed);
    assert_eq!(hub.counters().closed[Reason::TooSlow], 0, "not yet");
    ten_bytes_a_second(&mut hub, thawed, 2);
    assert_eq!(hub.counters().closed[Reason::TooSlow], 1);
}

#[test]
fn one_that_skips_gets_what_was_on_its_way_then_how_much_it_missed_then_what_is_new() {
    let now = Instant::now();
    let mut hub = hub_with(|limits| {
        limits.lag_bytes_max = None;
        limits.lead_bytes_max = u64::MAX;
        limits.slow_policy = SlowPolicy::Skip;
        limits.batch_bytes_max = 1;
    });
    let [ann, bob] = ["ann", "bob"].map(|name| join(&mut hub, name, now));
    let say = |hub: &mut Hub, text: &[u8]| {
        assert_eq!(
            hub.receive(ann, &frame::encode(text), now),
            Reading::Continue
        );
    };
    let texts = [[b'1'; 500], [b'2'; 500], [b'3'; 500], [b'4'; 500]];
    texts.iter().for_each(|text| say(&mut hub, text));
    let first = hub.poll_transmit(now).unwrap();
    assert_eq!(
        (first.id, &first.bytes),
        (bob, &frame::broadcast(b"ann", &texts[0]))
    );
    let later = now + hub.limits.lag_max + Duration::from_secs(1);
    pass_time(&mut hub, later);
    say(&mut hub, b"new");
    // Half of the first has gone out after all.
    hub.transmitted(bob, 100, later);
    let got: Vec<u8> = serve(&mut hub, &[], later)
        .into_iter()
        .flat_map(|(_, it)| it)
        .collect();
    let expected = [
        first.bytes.slice(100..),
        frame::broadcast(b"*server*", b"skipped 3 messages: you were too far behind"),
        frame::broadcast(b"ann", b"new"),
    ];
    assert_eq!(got, expected.concat());
    let counters = hub.counters();
    assert_eq!(
        (counters.delivered, counters.discarded[Reason::Skipped]),
        (2, 3)
    );
    assert_eq!(counters.pending(), 0);
}

#[test]
fn when_the_log_is_full_the_hindmost_goes_before_authors_wait() {
    let mut now = Instant::now();
    let mut hub = hub_with(|limits| limits.lag_bytes_max = None);
    let [ann, bob, cleo] = ["ann", "bob", "cleo"].map(|name| join(&mut hub, name, now));
    for _ in 0..100 {
        assert!(flood(&mut hub, ann, now) > 0, "nobody waits for bob");
        for (id, _) in serve(&mut hub, &[bob], now) {
            assert!(id == ann || id == cleo);
        }
        now += Duration::from_millis(50);
        hub.handle_timeout(now);
        // Bob takes a byte at a time: never nothing.
        hub.transmitted(bob, 1, now);
    }
    assert_eq!(hub.counters().closed[Reason::TooFarBehind], 1);
}

#[test]
fn a_newcomer_is_not_late_for_what_was_said_before_it_came() {
    let now = Instant::now();
    let mut hub = hub_with(|limits| {
        limits.history_messages = 10;
        limits.lead_bytes_max = u64::MAX;
    });
    let ann = join(&mut hub, "ann", now);
    flood(&mut hub, ann, now);
    serve(&mut hub, &[], now);
    let later = now + Duration::from_secs(60);
    pass_time(&mut hub, later);
    let bob = join(&mut hub, "bob", later);
    assert!(hub.poll_transmit(later).is_some_and(|it| it.id == bob));
    pass_time(&mut hub, later + Duration::from_secs(9));
    assert_eq!(hub.counters().closed.total(), 0, "it has as long as anyone");
}

#[test]
fn nobody_waits_for_newcomers_that_are_in_their_history() {
    let mut now = Instant::now();
    let mut hub = hub_with(|limits| limits.history_messages = 1000);
    let [ann, bob] = ["ann", "bob"].map(|name| join(&mut hub, name, now));
    for _ in 0..10 {
        flood(&mut hub, ann, now);
        serve(&mut hub, &[], now);
    }
    let newcomers: Vec<_> = (0..10)
        .map(|number| join(&mut hub, &format!("new{number}"), now))
        .collect();
    for _ in 0..100 {
        assert!(flood(&mut hub, ann, now) > 0, "nobody waits for newcomers");
        serve(&mut hub, &newcomers, now);
        now += Duration::from_millis(50);
        hub.handle_timeout(now);
    }
    let _ = bob;
}

#[test]
fn nobody_waits_for_those_who_were_made_to_skip_until_they_have_caught_up() {
    let mut now = Instant::now();
    let mut hub = hub_with(|limits| {
        limits.lag_bytes_max = Some(5000);
        limits.slow_policy = SlowPolicy::Skip;
    });
    let ann = join(&mut hub, "ann", now);
    let stuck: Vec<_> = (0..3)
        .map(|number| join(&mut hub, &format!("stuck{number}"), now))
        .collect();
    // Most are stuck: they are waited for until they are known to have stalled.
    flood(&mut hub, ann, now);
    serve(&mut hub, &stuck, now);
    pass_time(&mut hub, now + Duration::from_secs(2));
    now += Duration::from_secs(2);
    for _ in 0..50 {
        assert!(flood(&mut hub, ann, now) > 0, "nobody waits for them");
        serve(&mut hub, &stuck, now);
        now += Duration::from_millis(50);
        hub.handle_timeout(now);
    }
    assert!(hub.counters().discarded[Reason::Skipped] > 0);
    // They take what was on its way, what they missed, and what is new: now they count again.
    for _ in 0..3 {
        for &id in &stuck {
            hub.transmitted(id, 600, now);
        }
        serve(&mut hub, &[], now);
    }
    for _ in 0..3 {
        flood(&mut hub, ann, now);
        serve(&mut hub, &stuck, now);
    }
    assert_eq!(flood(&mut hub, ann, now), 0, "they are waited for");
}

#[test]
fn a_newcomer_is_sent_the_last_messages_and_then_what_is_new() {
    let now = Instant::now();
    let mut hub = hub_with(|limits| limits.history_messages = 2);
    let ann = join(&mut hub, "ann", now);
    for text in [b"one", b"two", b"tri"] {
        assert_eq!(
            hub.receive(ann, &frame::encode(text), now),
            Reading::Continue
        );
        serve(&mut hub, &[], now);
    }
    let bob = join(&mut hub, "bob", now);
    assert_eq!(
        hub.receive(ann, &frame::encode(b"new"), now),
        Reading::Continue
    );
    let got: Vec<u8> = serve(&mut hub, &[], now)
        .into_iter()
        .filter(|&(id, _)| id == bob)
        .flat_map(|(_, bytes)| bytes)
        .collect();
    let expected = [b"two", b"tri", b"new"].map(|text| frame::broadcast(b"ann", text));
    assert_eq!(got, expected.concat());
    assert_eq!(hub.counters().pending(), 0);
}

#[test]
fn history_yields_to_messages_under_way() {
    let now = Instant::now();
    let mut hub = hub_with(|limits| limits.history_messages = 1_000_000);
    let ann = join(&mut hub, "ann", now);
    let _bob = join(&mut hub, "bob", now);
    for _ in 0..200 {
        flood(&mut hub, ann, now);
        serve(&mut hub, &[], now);
        assert_eq!(
            hub.poll_resume(),
            Some(ann),
            "there is always room for what is new"
        );
        assert!(hub.log().bytes() <= hub.log().bytes_max());
    }
    assert!(
        hub.log().bytes() > hub.log().bytes_max() / 3,
        "and it keeps what it can"
    );
}

#[test]
fn who_says_too_much_is_not_read_from_until_it_is_time() {
    let now = Instant::now();
    let mut hub = hub_with(|limits| limits.messages_per_second_max = Some(2));
    let [ann, bob] = ["ann", "bob"].map(|name| join(&mut hub, name, now));
    let five = [b"1", b"2", b"3", b"4", b"5"]
        .map(|text| frame::encode(text))
        .concat();
    assert_eq!(hub.receive(ann, &five, now), Reading::Pause);
    let mut at = now;
    let mut taken_at = Vec::new();
    while hub.poll_resume().is_none() {
        serve(&mut hub, &[], at);
        let taken = hub.counters().delivered;
        if taken_at.last().is_none_or(|&(before, _)| before < taken) {
            taken_at.push((taken, at - now));
        }
        at = hub.poll_timeout().unwrap();
        hub.handle_timeout(at);
    }
    let halves = |n: u32| Duration::from_millis(500) * n;
    assert_eq!(taken_at, [(2, halves(0)), (3, halves(1)), (4, halves(2))]);
    assert_eq!(
        serve(&mut hub, &[], at),
        [(bob, frame::broadcast(b"ann", b"5"))]
    );
}

#[test]
fn an_ipv4_peer_of_a_listener_on_ipv6_is_shown_as_ipv4() {
    let now = Instant::now();
    let mut hub = Hub::new(Limits::default(), Log::new(1 << 20));
    for peer in ["[::ffff:192.0.2.1]:5", "[2001:db8::1]:5"] {
        hub.accept(peer.parse().unwrap(), now);
    }
    let mut list = ConnectionList::new(SortBy::Age, 2);
    while !hub.list_connections(&mut list, now) {}
    let peers = list.into_infos().into_iter().map(|it| it.peer.to_string());
    let mut peers: Vec<_> = peers.collect();
    peers.sort();
    assert_eq!(peers, ["192.0.2.1:5", "[2001:db8::1]:5"]);
}
