//! `ws://` against the server itself, in this process, and over a connection that is cut.

#![allow(clippy::unwrap_used, reason = "a test may fail this way")]

mod support;

use std::collections::HashSet;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::Signal;
use server::hub::Limits;
use server::{Config, DeadPeers, Driver, Handle, RingSizes, Server};
use support::process::{Client, start};
use support::server::Peer;
use support::websocket::url;

/// A server on a thread of this process.
struct Served {
    address: SocketAddr,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    fn start(limits: Limits) -> Self {
        let server = Server::bind(Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            driver: Driver::Epoll,
            threads: 1,
            pin: false,
            dead_peers: DeadPeers::default(),
            limits,
            log_bytes_max: 64 << 20,
            drain_timeout: Duration::from_secs(10),
            ring: RingSizes::default(),
            metrics_listen: None,
            metrics_hosts: Vec::new(),
        });
        let server = server.expect("a free port");
        let (address, handle) = (server.address(), server.handle());
        let thread = thread::spawn(move || {
            server.run().expect("it serves");
        });
        Self {
            address,
            handle,
            thread: Some(thread),
        }
    }

    fn peer(&self, name: &str) -> Peer {
        let mut peer = Peer(TcpStream::connect(self.address).unwrap());
        peer.send(name.as_bytes());
        peer
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.handle.stop();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Passes bytes on between its clients and a server, until it cuts them off.
struct Relay {
    address: SocketAddr,
    ends: Arc<Mutex<Vec<TcpStream>>>,
}

impl Relay {
    fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ends: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let connected = Arc::clone(&ends);
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let server = TcpStream::connect(server).unwrap();
                let both = [&client, &server].map(|end| end.try_clone().unwrap());
                connected.lock().unwrap().extend(both);
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    thread::spawn(move || {
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Write);
                    });
                }
            }
        });
        Self { address, ends }
    }

    fn cut(&self) {
        for end in self.ends.lock().unwrap().drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

#[test]
fn cut_again_and_again_a_client_has_every_message_once_and_each_of_its_lines_arrives() {
    // Every pause before the next connection is longer than the one before.
    const ROUNDS: usize = 4;
    const LINES_A_ROUND: usize = 200;
    const LINES: usize = ROUNDS * LINES_A_ROUND;
    let server = Served::start(Limits {
        history_messages: 10_000,
        ..Limits::default()
    });
    let relay = Relay::start(server.address);
    let lines: Vec<String> = (0..LINES).map(|number| number.to_string()).collect();
    let mut client = start(
        url(relay.address),
        &[
            "--name",
            "ann",
            "--reconnect",
            "--verbose",
            "--linger",
            "30s",
        ],
    );
    assert!(client.error_line().contains("connected to"));
    let mut bob = server.peer("bob");
    let mut reader = Peer(bob.0.try_clone().unwrap());
    let heard = thread::spawn(move || {
        let mut heard: Vec<String> = Vec::new();
        while heard.last() != Some(&(LINES - 1).to_string()) {
            assert_eq!(reader.read(), "ann");
            heard.push(reader.read());
        }
        heard
    });
    let (mut seen, mut copies) = (Vec::new(), 0);
    let mut see = |client: &Client, seen: &mut Vec<String>, until: usize| {
        while seen.len() < until {
            let line = client.line();
            match line.strip_prefix("bob > ") {
                Some(text) => seen.push(text.to_owned()),
                // A line that was sent again, for its connection broke before `accepted` came.
                None => copies += usize::from(line.starts_with("ann > ")),
            }
        }
    };
    // A client that was not joined before resumes nothing.
    bob.send(b"begin");
    assert_eq!(client.line(), "bob > begin");
    for round in 0..ROUNDS {
        for number in round * LINES_A_ROUND..(round + 1) * LINES_A_ROUND {
            bob.send(number.to_string().as_bytes());
            client.write(format!("{number}\n").as_bytes());
            if number % LINES_A_ROUND == LINES_A_ROUND / 2 {
                // Some came, some are on their way.
                see(&client, &mut seen, number - LINES_A_ROUND / 4);
                relay.cut();
            }
        }
        // What was sent while nobody was connected is there as well.
        see(&client, &mut seen, (round + 1) * LINES_A_ROUND);
    }
    assert_eq!(seen, lines);
    let finished = client.finish();
    let rest = finished.stdout.lines();
    copies += rest.filter(|line| line.starts_with("ann > ")).count();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let resumed = finished.stderr.matches("resumed: no message is missing");
    assert_eq!(resumed.count(), ROUNDS, "{}", finished.stderr);
    let mut heard = heard.join().unwrap();
    let all = heard.len();
    let mut known = HashSet::new();
    heard.retain(|line| known.insert(line.clone()));
    assert_eq!(heard, lines);
    assert!(all - LINES >= copies, "{copies} copies of {}", all - LINES);
}

#[test]
fn two_protocols_in_one_room_and_who_is_there() {
    let server = Served::start(Limits {
        announce_presence: true,
        unique_names: true,
        ..Limits::default()
    });
    let arguments = ["--name", "ann", "--json", "--linger", "30s"];
    let mut client = start(url(server.address), &arguments);
    assert_eq!(client.error_line(), "*server* > 1 here: ann");
    let mut bob = server.peer("bob");
    assert_eq!(client.error_line(), "*server* > bob joined");
    assert_eq!(
        [bob.read(), bob.read()],
        ["*server*", "* 2 here:\nann\nbob"]
    );
    bob.send("grüße \"ann\"".as_bytes());
    let line: serde_json::Value = client.line().parse().unwrap();
    assert_eq!(
        (&line["name"], &line["text"]),
        (&"bob".into(), &"grüße \"ann\"".into())
    );
    assert!(line["position"].is_string(), "{line}");
    client.write("hi \\ 🦀\n".as_bytes());
    assert_eq!([bob.read(), bob.read()], ["ann", "hi \\ 🦀"]);
    // The name is in use.
    let refused = start(url(server.address), &["--name", "ann"]).finish();
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.starts_with("*server* > closing: "),
        "{}",
        refused.stderr
    );
    bob.close();
    assert_eq!(client.error_line(), "*server* > bob left");
    let finished = client.finish();
    assert_eq!((finished.code, &finished.stderr[..]), (Some(0), ""));
    // One that stays is told why it is closed.
    let client = start(url(server.address), &["--name", "carl", "--no-send"]);
    assert_eq!(client.error_line(), "*server* > 1 here: carl");
    server.handle.drain();
    let finished = client.wait();
    assert_eq!(finished.code, Some(1));
    assert!(
        finished.stderr.starts_with("*server* > closing: "),
        "{}",
        finished.stderr
    );
}

#[test]
fn a_server_that_has_forgotten_is_told_from_one_that_has_not() {
    let server = Served::start(Limits {
        announce_presence: true,
        ..Limits::default()
    });
    let relay = Relay::start(server.address);
    let arguments = ["--name", "ann", "--reconnect", "--no-send"];
    let client = start(url(relay.address), &arguments);
    assert_eq!(client.error_line(), "*server* > 1 here: ann");
    let (mut bob, mut carl) = (server.peer("bob"), server.peer("carl"));
    carl.send(b"one");
    assert_eq!(client.line(), "carl > one");
    relay.cut();
    // Nobody but carl is there to hear it.
    bob.send(b"two");
    while carl.read() != "two" {}
    let told: Vec<String> = std::iter::from_fn(|| Some(client.error_line()))
        .take_while(|line| !line.contains(" 3 here: "))
        .collect();
    let missing = told.iter().filter(|line| line.contains("not resumed: "));
    assert_eq!(missing.count(), 1, "{told:?}");
    bob.send(b"three");
    assert_eq!(client.line(), "bob > three");
    client.signal(Signal::TERM);
    assert_eq!(client.wait().code, Some(0));
}
