//! Herds: ten thousand come at once and go at once; hundreds come back again and again.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::baseline::{Baseline, drivers, has_descriptors, start, time_for_a_driver};
use crate::support::{DEADLINE, Program, Roster, frame, samples};

const LARGE_HERD: usize = 10_000;
const HERD: usize = 500;
/// Threads that connect.
const HANDS: usize = 4;

#[test]
fn ten_thousand_come_at_once_and_go_at_once() {
    if !has_descriptors(LARGE_HERD as u64 + 600) {
        return;
    }
    for driver in drivers() {
        let server = start(driver, &["--metrics-listen", "127.0.0.1:0"]);
        let mut roster = Roster::gather(server.address);
        roster.talk();
        let baseline = Baseline::of(&server);
        let herd = come_at_once(&server, LARGE_HERD);
        wait_for_subscribers(&server, LARGE_HERD + Roster::MEMBERS);
        herd.into_iter().for_each(reset);
        baseline.wait_for(&server, &mut roster);
        drop(roster);
        server.terminate();
        assert_eq!(server.exit_code(), 0);
    }
}

#[test]
fn herds_come_back_and_nobody_else_notices() {
    for driver in drivers() {
        let server = start(driver, &["--metrics-listen", "127.0.0.1:0"]);
        let mut roster = Roster::gather(server.address);
        roster.talk();
        let baseline = Baseline::of(&server);
        let end = Instant::now() + time_for_a_driver();
        while Instant::now() < end {
            let herd = come_at_once(&server, HERD);
            wait_for_subscribers(&server, HERD + Roster::MEMBERS);
            herd.into_iter().for_each(reset);
            roster.talk();
            wait_for_subscribers(&server, Roster::MEMBERS);
        }
        baseline.wait_for(&server, &mut roster);
        drop(roster);
        server.terminate();
        assert_eq!(server.exit_code(), 0);
    }
}

/// Guests from several addresses, each with a name.
fn come_at_once(server: &Program, guests: usize) -> Vec<TcpStream> {
    let address = server.address;
    thread::scope(|scope| {
        let hands: Vec<_> = (0..HANDS)
            .map(|hand| {
                scope.spawn(move || {
                    let numbers = (hand..guests).step_by(HANDS);
                    numbers
                        .map(|number| {
                            let mut guest = connect(number, address).expect("it is let in");
                            guest.write_all(&frame("guest")).expect("it is read");
                            guest
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        let all = hands.into_iter().flat_map(|hand| hand.join().unwrap());
        all.collect()
    })
}

/// From one of ten addresses of this machine, so that source ports do not run out.
fn connect(number: usize, address: SocketAddr) -> io::Result<TcpStream> {
    let last = u8::try_from(2 + number % 10).expect("a byte");
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(IpAddr::from([127, 0, 0, last]), 0).into())?;
    socket.connect(&address.into())?;
    Ok(socket.into())
}

fn reset(stream: TcpStream) {
    let socket = Socket::from(stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}

fn wait_for_subscribers(server: &Program, wanted: usize) {
    let metrics = server.metrics.expect("metrics are served");
    let patience = Instant::now() + DEADLINE;
    loop {
        let subscribers = samples(metrics)["uringcast_subscribers"];
        if subscribers == wanted as f64 {
            return;
        }
        assert!(Instant::now() < patience, "{subscribers}, not {wanted}");
    }
}
