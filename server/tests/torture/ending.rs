//! Ends: of the server under load, and of half of its clients by SIGKILL.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::thread;

use crate::baseline::{drivers, start, wait_for_balance};
use crate::support::{End, Message, Peer, Program, Roster, frame, gather, introduce};

const CLIENTS: usize = 60;

/// Authors speak until the server reads no more. What one listener heard, all have, in the same order,
/// and the server ends by itself, saying that all was delivered (after its drain timeout it would not).
#[test]
fn sigterm_under_load_delivers_everything_that_was_accepted() {
    for driver in drivers() {
        let server = start(driver, &[]);
        let [ann, bob, cleo, dan] = gather(server.address, ["ann", "bob", "cleo", "dan"]);
        thread::scope(|scope| {
            for author in [&ann, &bob] {
                let mut mouth = author.socket().try_clone().unwrap();
                scope.spawn(move || {
                    let texts = (0..).map(|number: u64| frame(format!("{number}")));
                    for text in texts {
                        if mouth.write_all(&text).is_err() {
                            return;
                        }
                    }
                });
            }
            // Authors hear each other, so that they are read from like anybody.
            let authors =
                [ann, bob].map(|mut author| scope.spawn(move || author.hear_to_the_end()));
            let listeners = [cleo, dan].map(|mut listener| {
                scope.spawn(move || {
                    let heard = listener.hear_to_the_end();
                    drop(listener);
                    heard
                })
            });
            server.terminate();
            let [by_cleo, by_dan] = listeners.map(|listener| listener.join().unwrap());
            check(&by_cleo);
            assert_eq!(by_cleo.0.len(), by_dan.0.len());
            assert!(by_cleo == by_dan, "cleo and dan heard the same");
            for author in authors {
                drop(author.join().unwrap());
            }
        });
        assert_eq!(server.exit_code(), 0, "all was delivered in time");
    }
}

/// Each author's numbers without a gap, then the goodbye.
fn check((heard, end): &(Vec<Message>, End)) {
    assert_eq!(*end, End::Orderly);
    let (goodbye, messages) = heard.split_last().expect("a goodbye");
    assert_eq!(goodbye.name, "*server*", "{goodbye:?}");
    let mut next = [0, 0];
    for message in messages {
        let author = usize::from(message.name == "bob");
        assert_eq!(
            message.text,
            format!("{}", next[author]).as_bytes(),
            "{message:?}"
        );
        next[author] += 1;
    }
}

#[test]
fn half_of_the_clients_are_killed_and_the_counters_balance() {
    for driver in drivers() {
        let server = start(driver, &["--metrics-listen", "127.0.0.1:0"]);
        let mut roster = Roster::gather(server.address);
        let mut witness = Peer::connect(server.address).named("witness");
        let mut clients: Vec<Child> = (0..CLIENTS)
            .map(|number| client(&server, number, &mut witness))
            .collect();
        drop(witness);
        thread::scope(|scope| {
            let talking = scope.spawn(|| {
                roster.talk();
                roster.talk();
            });
            for client in clients.iter_mut().step_by(2) {
                client.kill().unwrap();
                client.wait().unwrap();
            }
            talking.join().unwrap();
        });
        roster.talk();
        wait_for_balance(&server, CLIENTS / 2 + Roster::MEMBERS);
        for mut client in clients {
            let _ = client.kill();
            client.wait().unwrap();
        }
        drop(roster);
        server.terminate();
        assert_eq!(server.exit_code(), 0);
    }
}

/// A process that has joined and reads.
fn client(server: &Program, number: usize, witness: &mut Peer) -> Child {
    let peer = Peer::connect(server.address).named(&format!("client {number}"));
    introduce(&peer, [witness]);
    let socket: OwnedFd = peer.into_socket().into();
    let mut cat = Command::new("cat");
    cat.stdin(Stdio::from(socket)).stdout(Stdio::null());
    cat.spawn().expect("every system has cat")
}
