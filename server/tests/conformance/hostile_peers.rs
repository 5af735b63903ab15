//! Kinds of hostile and broken peers, one test each: while they do what they do, healthy clients get
//! every message exactly once and in order, and the server takes no more memory than its bound (see
//! `support/memory.rs`). What it does to the peers themselves is tested in `hostile` and `slow`.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::net::{SendFlags, send};
use rustix::process::{Pid, Signal, kill_process};
use socket2::{Domain, Socket, Type};

use crate::support::{ATTACKERS, Attack, Peer, Setup, beside, frame};

/// Within this time a peer gives up writing and looks whether the attack is over.
const PATIENCE: Duration = Duration::from_millis(50);

fn silent_before_its_name(setup: Setup) {
    beside(setup, |attack| attack.send_and_stay(false, b""));
}

fn part_of_a_header(setup: Setup) {
    beside(setup, |attack| attack.send_and_stay(true, b"12   "));
}

fn a_byte_at_a_time(setup: Setup) {
    beside(setup, |attack| {
        let peer = attack.named();
        attack.begins();
        let text = frame("dribble".repeat(100));
        for byte in text.iter().cycle() {
            if !attack.goes_on() || peer.socket().write_all(&[*byte]).is_err() {
                break;
            }
        }
    });
}

fn too_large_a_length(setup: Setup) {
    beside(setup, |attack| {
        attack.send_and_stay(true, b"9999999999and so on");
    });
}

fn a_negative_length(setup: Setup) {
    beside(setup, |attack| {
        attack.send_and_stay(true, b"-1        and so on");
    });
}

fn a_header_without_digits(setup: Setup) {
    beside(setup, |attack| {
        attack.send_and_stay(true, b"abcdefghijand so on");
    });
}

fn a_name_that_is_no_text(setup: Setup) {
    beside(setup, |attack| {
        attack.send_and_stay(false, b"2         \xff\xfe");
    });
}

fn control_characters_in_a_name(setup: Setup) {
    beside(setup, |attack| {
        attack.send_and_stay(false, b"4         \x1b[2J");
    });
}

fn a_reserved_name(setup: Setup) {
    beside(setup, |attack| {
        attack.send_and_stay(false, &frame("*server*"));
    });
}

fn a_message_that_is_no_text(setup: Setup) {
    beside(setup, |attack| {
        attack.send_and_stay(true, b"2         \xc3(");
    });
}

fn never_reads(setup: Setup) {
    beside(setup, |attack| attack.send_and_stay(true, b""));
}

fn reads_a_byte_a_second(setup: Setup) {
    beside(setup, |attack| {
        let peer = Peer::connect_narrow(attack.address).named("eve");
        attack.begins();
        while attack.goes_on_after(Duration::from_secs(1)) {
            let _ = peer.socket().read(&mut [0]);
        }
    });
}

fn a_reset_inside_a_frame(setup: Setup) {
    beside(setup, |attack| {
        attack.begins();
        while attack.goes_on() {
            let peer = attack.named();
            peer.write(b"100       not all of it");
            peer.reset();
        }
    });
}

fn a_reset_while_it_is_sent_to(setup: Setup) {
    beside(setup, |attack| {
        attack.begins();
        while attack.goes_on() {
            let mut peer = Peer::connect_narrow(attack.address).named("eve");
            // By now much more is on its way than it has room for.
            peer.hears_something_within(PATIENCE);
            peer.reset();
        }
    });
}

fn half_closes_after_its_name(setup: Setup) {
    beside(setup, |attack| {
        let peers: Vec<Peer> = (0..ATTACKERS).map(|_| attack.named()).collect();
        peers.iter().for_each(Peer::close_half);
        attack.hold(peers);
    });
}

fn half_closes_inside_a_frame(setup: Setup) {
    beside(setup, |attack| {
        let peers: Vec<Peer> = (0..ATTACKERS).map(|_| attack.named()).collect();
        for peer in &peers {
            peer.write(b"100       not all of it");
            peer.close_half();
        }
        attack.hold(peers);
    });
}

fn floods_with_empty_messages(setup: Setup) {
    beside(setup, |attack| flood(attack, &frame("").repeat(1000)));
}

fn floods_with_the_largest_messages(setup: Setup) {
    beside(setup, |attack| flood(attack, &frame("x".repeat(65_536))));
}

fn comes_and_goes(setup: Setup) {
    beside(setup, |attack| {
        attack.begins();
        while attack.goes_on() {
            drop(attack.peer());
            drop(attack.named());
        }
    });
}

fn a_reader_that_is_stopped(setup: Setup) {
    beside(setup, |attack| {
        let socket: OwnedFd = attack.named().into_socket().into();
        let mut reader = Command::new("cat")
            .stdin(Stdio::from(socket))
            .stdout(Stdio::null())
            .spawn()
            .expect("every system has cat");
        kill_process(Pid::from_child(&reader), Signal::STOP).unwrap();
        attack.hold(());
        reader.kill().unwrap();
        reader.wait().unwrap();
    });
}

fn urgent_data(setup: Setup) {
    beside(setup, |attack| {
        let peer = attack.named();
        attack.begins();
        while attack.goes_on() {
            // The server reads on past the mark; the marked byte is missing in its stream.
            let _ = send(peer.socket(), b"!", SendFlags::OOB | SendFlags::DONTWAIT);
            let _ = peer.socket().write_all(&frame("urgent"));
        }
    });
}

fn a_tiny_window(setup: Setup) {
    beside(setup, |attack| {
        let socket = Socket::new(Domain::for_address(attack.address), Type::STREAM, None).unwrap();
        // The kernel makes it as small as it can.
        socket.set_recv_buffer_size(1).unwrap();
        socket.connect(&attack.address.into()).unwrap();
        let peer = Peer::over(socket.into()).named("eve");
        attack.begins();
        while attack.goes_on_after(PATIENCE) {
            let _ = peer.socket().read(&mut [0; 16]);
        }
    });
}

fn a_tls_client_hello(setup: Setup) {
    // TLS 1.0 record, handshake, client hello of TLS 1.2, and the random bytes that follow.
    let mut hello = b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03".to_vec();
    hello.resize(205, 0xa5);
    beside(setup, move |attack| attack.send_and_stay(false, &hello));
}

fn an_http_request(setup: Setup) {
    let request = b"GET / HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\n\r\n";
    beside(setup, |attack| attack.send_and_stay(false, request));
}

fn a_port_scan(setup: Setup) {
    beside(setup, |attack| {
        attack.begins();
        while attack.goes_on() {
            attack.peer().reset();
        }
    });
}

/// Sends `frames` again and again, as fast as they are taken, and reads nothing.
fn flood(attack: &Attack, frames: &[u8]) {
    let peer = attack.named();
    peer.socket().set_write_timeout(Some(PATIENCE)).unwrap();
    attack.begins();
    let mut sent = 0;
    while attack.goes_on() {
        // No room for now, or sent away since it reads nothing.
        if let Ok(bytes) = peer.socket().write(&frames[sent..]) {
            sent = (sent + bytes) % frames.len();
        }
    }
}

on_every_driver!(
    silent_before_its_name,
    part_of_a_header,
    a_byte_at_a_time,
    too_large_a_length,
    a_negative_length,
    a_header_without_digits,
    a_name_that_is_no_text,
    control_characters_in_a_name,
    a_reserved_name,
    a_message_that_is_no_text,
    never_reads,
    reads_a_byte_a_second,
    a_reset_inside_a_frame,
    a_reset_while_it_is_sent_to,
    half_closes_after_its_name,
    half_closes_inside_a_frame,
    floods_with_empty_messages,
    floods_with_the_largest_messages,
    comes_and_goes,
    a_reader_that_is_stopped,
    urgent_data,
    a_tiny_window,
    a_tls_client_hello,
    an_http_request,
    a_port_scan,
);
