//! `--reconnect`: what is said, what is kept, and that nothing is sent twice or lost silently.

mod support;

use std::io::Write as _;
use std::sync::mpsc;
use std::time::Duration;

use support::process::start;
use support::server::Scripted;

#[test]
fn lines_of_a_pipe_wait_for_the_server_to_come_back() {
    let server = Scripted::start();
    let mut client = start(server.address, &["--name", "x", "--reconnect"]);
    let mut peer = server.accept("x");
    client.write(b"one\n");
    assert_eq!(peer.read(), "one");
    peer.close();
    let lost = client.error_line();
    assert!(
        lost.ends_with("the server closed the connection; the line sent may not have arrived"),
        "{lost}"
    );
    client.write(b"two\nthree\n");
    let mut peer = server.accept("x");
    assert_eq!([peer.read(), peer.read()], ["two", "three"]);
    peer.relay("ann", b"hello again");
    assert_eq!(client.line(), "ann > hello again");
    drop(client.stdin.take());
    peer.read_end();
    peer.close();
    let finished = client.wait();
    assert_eq!(
        finished.code,
        Some(1),
        "what became of the first line is not known"
    );
    assert!(
        finished.stderr.contains("connected to"),
        "{}",
        finished.stderr
    );
}

#[test]
fn a_server_that_is_not_there_yet_is_waited_for() {
    let (listener, address) = support::tutorial::listen();
    drop(listener);
    let mut client = start(address, &["--name", "x", "--reconnect"]);
    client.write(b"early\n");
    drop(client.stdin.take());
    let refused = client.error_line();
    assert!(refused.contains("Connection refused"), "{refused}");
    assert!(client.error_line().contains("trying again in "));
    let server = Scripted::at(address);
    let mut peer = server.accept("x");
    assert_eq!(peer.read(), "early");
    peer.read_end();
    peer.close();
    assert_eq!(client.wait().code, Some(0));
}

#[test]
fn without_reconnect_what_is_unsent_is_said_to_be() {
    let server = Scripted::start();
    let mut client = start(server.address, &["--name", "x"]);
    let peer = server.accept("x");
    // More than the buffers on the way take, so that some of it is unsent for certain.
    let line = [&vec![b'x'; 60_000][..], b"\n"].concat();
    let mut stdin = client.stdin.take().unwrap();
    let (wrote, written) = mpsc::channel();
    let writer = std::thread::spawn(move || {
        while stdin.write_all(&line).is_ok() {
            let _ = wrote.send(());
        }
    });
    while written.recv_timeout(Duration::from_secs(1)).is_ok() {}
    peer.close();
    let finished = client.wait();
    writer.join().unwrap();
    assert_eq!(finished.code, Some(1));
    let said: Vec<&str> = finished.stderr.lines().collect();
    assert!(said[0].starts_with("client: lost "), "{said:?}");
    assert!(
        said.last().unwrap().ends_with(" read but not sent"),
        "{said:?}"
    );
}

#[test]
fn a_signal_ends_the_waiting() {
    let (listener, address) = support::tutorial::listen();
    drop(listener);
    let client = start(address, &["--name", "x", "--reconnect", "--no-send"]);
    assert!(client.error_line().contains("Connection refused"));
    client.signal(rustix::process::Signal::TERM);
    assert_eq!(client.wait().code, Some(0));
}
