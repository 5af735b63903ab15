//! Cases of those who speak HTTP and WebSocket.

use protocol::websocket::{self, Opcode};

use super::*;

const POST: &[u8] = b"POST /messages?name=bob HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi";

fn accept(hub: &mut Hub, now: Instant) -> ConnectionId {
    hub.accept(SocketAddr::from(([127, 0, 0, 1], 1)), now)
}

/// The handshake of one that says who it is.
fn upgrade(query: &str) -> Vec<u8> {
    format!(
        "GET /ws?{query} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into()
}

fn masked(opcode: Opcode, payload: &str) -> Bytes {
    websocket::encode(opcode, payload.as_bytes(), Some([0; 4]))
}

fn join_websocket(hub: &mut Hub, name: &str, now: Instant) -> ConnectionId {
    let id = accept(hub, now);
    let upgrade = upgrade(&format!("name={name}"));
    assert_eq!(hub.receive(id, &upgrade, now), Reading::Continue);
    deliver_all(hub, now);
    id
}

fn listen(hub: &mut Hub, query: &str, now: Instant) -> ConnectionId {
    let id = accept(hub, now);
    let request = format!("GET /events{query} HTTP/1.1\r\nHost: h\r\n\r\n");
    let _ = hub.receive(id, request.as_bytes(), now);
    id
}

/// What `to` is told by now, as text.
fn told(hub: &mut Hub, to: ConnectionId, now: Instant) -> String {
    let sent = serve(hub, &[], now).into_iter();
    let to = sent.filter_map(|(id, bytes)| (id == to).then_some(bytes));
    String::from_utf8_lossy(&to.collect::<Vec<_>>().concat()).into_owned()
}

#[test]
fn what_one_posted_comes_to_it_when_it_becomes_a_subscriber() {
    let now = Instant::now();
    let mut hub = hub_with(|limits| limits.history_messages = 10);
    let id = accept(&mut hub, now);
    let said = masked(Opcode::Text, r#"{"text":"own"}"#);
    let requests = [&POST.repeat(3)[..], &upgrade("name=bob"), &said].concat();
    assert_eq!(hub.receive(id, &requests, now), Reading::Continue);
    let told = told(&mut hub, id, now);
    assert_eq!(told.matches(r#""name":"bob","text":"hi""#).count(), 3);
    assert!(!told.contains("own"), "{told}");
    let counters = hub.counters();
    assert_eq!((counters.delivered, counters.pending()), (3, 0));
}

#[test]
fn those_who_listen_without_a_name_do_not_take_it_from_each_other() {
    let now = Instant::now();
    let mut hub = hub_with(|limits| limits.unique_names = true);
    let nameless = [0, 1].map(|_| listen(&mut hub, "", now));
    assert!(nameless.iter().all(|&id| hub.has_joined(id)));
    let named = [0, 1].map(|_| listen(&mut hub, "?name=ann", now));
    assert_eq!(hub.counters().closed[Reason::NameTaken], 1);
    assert!(told(&mut hub, named[1], now).contains("name is taken"));
}

#[test]
fn pings_do_not_keep_a_message_unfinished() {
    let mut now = Instant::now();
    let until = now + Duration::from_secs(20);
    let mut hub = hub_with(|limits| limits.frame_timeout = Duration::from_secs(10));
    let id = join_websocket(&mut hub, "ann", now);
    let mut begun = masked(Opcode::Text, r#"{"text":"#).to_vec();
    begun[0] &= 0x7f;
    let _ = hub.receive(id, &begun, now);
    while now < until {
        now += Duration::from_secs(1);
        pass_time(&mut hub, now);
        let _ = hub.receive(id, &masked(Opcode::Ping, "?"), now);
        deliver_all(&mut hub, now);
    }
    assert_eq!(hub.counters().closed[Reason::Timeout], 1);
}

#[test]
fn one_that_does_not_take_the_answers_to_its_messages_is_not_listened_to() {
    const MESSAGES: usize = 10_000;
    let now = Instant::now();
    let limits = Limits {
        messages_per_second_max: None,
        lead_bytes_max: u64::MAX,
        lag_bytes_max: None,
        ..Limits::default()
    };
    let mut hub = Hub::new(limits, Log::new(1 << 24));
    let id = join_websocket(&mut hub, "ann", now);
    let said = masked(Opcode::Text, r#"{"text":"","id":7}"#).repeat(MESSAGES);
    assert_eq!(hub.receive(id, &said, now), Reading::Pause);
    let taken = hub.counters().messages;
    assert!(taken < MESSAGES as u64 / 2, "{taken}");
    let told = told(&mut hub, id, now);
    assert_eq!(told.matches("accepted").count(), MESSAGES);
    assert_eq!(hub.poll_resume(), Some(id));
}

#[test]
fn requests_that_wait_are_answered_to_one_that_closed_its_side() {
    const POSTS: usize = 500;
    let now = Instant::now();
    let mut hub = hub_with(|_| ());
    let listener = listen(&mut hub, "", now);
    let id = accept(&mut hub, now);
    assert_eq!(hub.receive(id, &POST.repeat(POSTS), now), Reading::Pause);
    hub.disconnected(id, Disconnect::EndOfStream, now);
    let sent = serve(&mut hub, &[], now);
    let count = |to: ConnectionId, what: &str| {
        let bytes = sent.iter().filter(|it| it.0 == to).map(|it| &it.1[..]);
        let text = bytes.collect::<Vec<_>>().concat();
        String::from_utf8_lossy(&text).matches(what).count()
    };
    assert_eq!(count(id, "202 Accepted"), POSTS);
    assert_eq!(count(listener, r#""text":"hi""#), POSTS);
    assert_eq!(hub.poll_close(), Some(Close::Release(id)));
}

#[test]
fn what_was_said_between_pings_is_taken_of_one_that_has_left() {
    let mut now = Instant::now();
    let mut hub = hub_with(|limits| limits.messages_per_second_max = Some(1));
    let listener = listen(&mut hub, "", now);
    let id = join_websocket(&mut hub, "ann", now);
    let said = [
        masked(Opcode::Text, r#"{"text":"one"}"#),
        masked(Opcode::Ping, "?"),
        masked(Opcode::Text, r#"{"text":"two"}"#),
    ];
    assert_eq!(hub.receive(id, &said.concat(), now), Reading::Pause);
    hub.disconnected(id, Disconnect::EndOfStream, now);
    now += Duration::from_secs(3);
    pass_time(&mut hub, now);
    assert!(told(&mut hub, listener, now).contains(r#""text":"two""#));
}

#[test]
fn what_waits_for_answers_to_be_taken_is_taken_of_one_whose_connection_broke() {
    const POSTS: usize = 500;
    let now = Instant::now();
    let mut hub = hub_with(|_| ());
    let listener = listen(&mut hub, "", now);
    let id = accept(&mut hub, now);
    assert_eq!(hub.receive(id, &POST.repeat(POSTS), now), Reading::Pause);
    hub.disconnected(id, Disconnect::Error("reset".into()), now);
    let told = told(&mut hub, listener, now);
    assert_eq!(told.matches(r#""text":"hi""#).count(), POSTS);
}

#[test]
fn the_position_of_an_own_message_is_not_before_that_of_one_that_came() {
    let now = Instant::now();
    let mut hub = hub_with(|_| ());
    let ann = join_websocket(&mut hub, "ann", now);
    let bob = join(&mut hub, "bob", now);
    let say = |hub: &mut Hub, id: u64| {
        let said = masked(Opcode::Text, &format!(r#"{{"text":"","id":{id}}}"#));
        assert_eq!(hub.receive(ann, &said, now), Reading::Continue);
    };
    say(&mut hub, 1);
    let _ = hub.receive(bob, &frame::encode(b"between"), now);
    say(&mut hub, 2);
    say(&mut hub, 3);
    let told = told(&mut hub, ann, now);
    let positions: Vec<_> = told.split(r#""position":""#).skip(1).collect();
    let numbers: Vec<_> = positions.iter().map(|it| &it[17..18]).collect();
    assert!(positions[0].contains("between"), "{told}");
    // Its first lies before what bob said.
    assert_eq!(numbers, ["2", "2", "3", "4"], "{told}");
}
