//! What the server shows of itself: figures that are those of what happened, and nobody who looks is
//! ever in the way.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use crate::support::{
    Driver, Peer, Served, Setup, counted_text, gather, get, introduce, samples, send,
};

fn watched(setup: Setup) -> (Served, SocketAddr) {
    let mut config = setup.config();
    config.metrics_listen = Some(([127, 0, 0, 1], 0).into());
    let server = Served::configured(config);
    let metrics = server.metrics.expect("metrics are served");
    (server, metrics)
}

/// The counters as metrics name them have to be those that the server ends with.
fn figures_are_those_of_what_happened(setup: Setup) {
    let (server, metrics) = watched(setup);
    let [ann, mut bob, mut carl] = gather(server.address, ["ann", "bob", "carl"]);
    for number in 0..50 {
        ann.say(counted_text(number, 100));
    }
    for listener in [&mut bob, &mut carl] {
        (0..50).for_each(|number| listener.expect("ann", counted_text(number, 100)));
    }
    Peer::connect(server.address)
        .named("*ill*")
        .expect_goodbye("name begins with '*', which is kept for the server");
    drop(carl);

    let mut seen = samples(metrics);
    while seen["uringcast_connections"] > 2.0 {
        seen = samples(metrics);
    }
    assert_eq!(seen["uringcast_subscribers"], 2.0);
    assert_eq!(seen["uringcast_threads_unanswered"], 0.0);
    assert_eq!(seen["uringcast_deliveries_pending"], 0.0);
    assert_eq!(seen["uringcast_log_bytes"], 0.0);
    assert_eq!(
        seen["uringcast_disconnects_total{reason=\"malformed\"}"],
        1.0
    );
    let fanned_out = seen["uringcast_fanout_duration_seconds_count"];
    assert!(fanned_out >= 50.0 && fanned_out <= seen["uringcast_messages_received_total"]);
    let ring = seen.contains_key("uringcast_ring_submissions_full_total");
    assert_eq!(ring, setup.driver == Driver::Uring);

    drop((ann, bob));
    let counters = server.end();
    for (name, counted) in [
        (
            "uringcast_connections_total{result=\"accepted\"}",
            counters.accepted,
        ),
        ("uringcast_joins_total", counters.joined),
        ("uringcast_messages_received_total", counters.messages),
        ("uringcast_deliveries_total", counters.delivered),
        ("uringcast_deliveries_owed_total", counters.owed),
    ] {
        assert_eq!(seen[name], counted as f64, "{name}");
    }
}

/// Those who hang, trickle, never read or talk nonsense are many, and do not change what is delivered
/// to whom, nor that the next one is answered.
fn a_hung_scraper_changes_nothing(setup: Setup) {
    let (server, metrics) = watched(setup);
    let [ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let hung: Vec<TcpStream> = (0..150)
        .map(|number| {
            let mut stream = TcpStream::connect(metrics).unwrap();
            let said: &[u8] = match number % 3 {
                0 => b"",
                1 => b"GET /metrics HT",
                _ => b"GET /connections?limit=10000 HTTP/1.1\r\n\r\n",
            };
            // Whoever is let go for a newcomer may find that out here.
            let _ = stream.write_all(said);
            stream
        })
        .collect();
    for number in 0..200 {
        ann.say(counted_text(number, 1000));
        if number % 50 == 0 {
            assert_eq!(get(metrics, "/healthz").body, "ok\n");
        }
    }
    (0..200).for_each(|number| bob.expect("ann", counted_text(number, 1000)));
    assert_eq!(samples(metrics)["uringcast_deliveries_pending"], 0.0);
    drop((hung, ann, bob));
    server.end();
}

fn the_furthest_behind_is_found_and_who_left_is_remembered(setup: Setup) {
    let (server, metrics) = watched(setup);
    let [mut ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let stuck = Peer::connect_narrow(server.address).named("stuck");
    introduce(&stuck, [&mut ann, &mut bob]);
    for number in 0..40 {
        ann.say(counted_text(number, 32 * 1024));
        bob.expect("ann", counted_text(number, 32 * 1024));
    }
    let list = get(metrics, "/connections?sort=backlog&limit=2").body;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let first = &list["connections"][0];
    assert_eq!(list["connections"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&first["name"], &first["state"]),
        (&"stuck".into(), &"joined".into())
    );
    let address = stuck.socket().local_addr().unwrap().to_string();
    assert_eq!(first["address"], address.as_str());
    let behind = first["backlog_messages"].as_f64().unwrap();
    assert!(behind > 0.0 && behind <= 40.0, "{list}");
    assert!(first["backlog_bytes"].as_f64().unwrap() >= (behind - 1.0) * 32.0 * 1024.0);
    assert!(samples(metrics)["uringcast_backlog_bytes_max"] > 0.0);

    stuck.reset();
    let gone = loop {
        let list = get(metrics, "/connections").body;
        let list: serde_json::Value = serde_json::from_str(&list).unwrap();
        if list["connections"].as_array().unwrap().len() == 2 {
            break list["closed"][0].clone();
        }
    };
    assert_eq!(
        (&gone["name"], &gone["reason"]),
        (&"stuck".into(), &"broken".into())
    );
    drop((ann, bob));
    server.end();
}

fn readiness_ends_with_draining_and_figures_do_not(setup: Setup) {
    let (server, metrics) = watched(setup);
    while get(metrics, "/readyz").body == "starting\n" {}
    assert_eq!(get(metrics, "/readyz").status, 200);
    let [mut ann, bob] = gather(server.address, ["ann", "bob"]);
    server.drain();
    // Ann does not hang up for now, which keeps the server there for a while.
    let unready = get(metrics, "/readyz");
    assert_eq!((unready.status, &*unready.body), (503, "draining\n"));
    assert_eq!(samples(metrics)["uringcast_draining"], 1.0);
    ann.expect_goodbye("server is shutting down");
    drop((ann, bob));
    server.end();
}

fn what_is_no_request_is_refused(setup: Setup) {
    let (server, metrics) = watched(setup);
    for (request, status) in [
        ("5         ann4         hi\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nno header\r\n\r\n", 400),
        ("DELETE /metrics HTTP/1.1\r\n\r\n", 405),
        ("GET /nowhere HTTP/1.1\r\n\r\n", 404),
        ("GET /connections?limit=all HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.0\r\n\r\n", 200),
        ("GET / HTTP/1.1\r\nHost: localhost:9990\r\n\r\n", 200),
        // A page from elsewhere, whose own name leads here.
        (
            "GET /connections HTTP/1.1\r\nHost: evil.example\r\n\r\n",
            421,
        ),
    ] {
        assert_eq!(send(metrics, request).status, status, "{request:?}");
    }
    let families: BTreeMap<_, _> = samples(metrics);
    assert!(!families.is_empty());
    server.end();
}

on_every_driver!(
    figures_are_those_of_what_happened,
    a_hung_scraper_changes_nothing,
    the_furthest_behind_is_found_and_who_left_is_remembered,
    readiness_ends_with_draining_and_figures_do_not,
    what_is_no_request_is_refused,
);
