//! Churn: guests come, say their names, and go, again and again and in every manner, as fast as a few
//! hands can, beside a healthy roster that talks all the while.

use std::io::ErrorKind;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::baseline::{Baseline, asked_time_for_a_driver, drivers, start, wait_for_balance};
use crate::support::{DEADLINE, End, Peer, Program, Roster};

/// How many come with each driver, unless it is asked that they come for some time.
const GUESTS: usize = 6_600;

/// Threads that connect.
const HANDS: usize = 4;

/// How long a hand waits when every port of this machine's address waits for its last connection to
/// expire.
const PORTS_PAUSE: Duration = Duration::from_millis(10);

#[test]
fn guests_come_and_go_and_the_company_talks_on() {
    for driver in drivers() {
        let server = start(driver, &["--metrics-listen", "127.0.0.1:0"]);
        let mut roster = Roster::gather(server.address);
        roster.talk();
        let baseline = Baseline::of(&server);
        let said = beside_guests(&server, &mut roster);
        baseline.wait_for(&server, &mut roster);
        wait_for_balance(&server, Roster::MEMBERS);
        println!("{driver}: {said}, {}", baseline.beside(&server));
        drop(roster);
        server.terminate();
        assert_eq!(server.exit_code(), 0);
    }
}

/// Has the roster talk until the last guest has left; says how that went.
fn beside_guests(server: &Program, roster: &mut Roster) -> String {
    let address = server.address;
    let end = asked_time_for_a_driver().map(|time| Instant::now() + time);
    let guests = AtomicUsize::new(0);
    let more = |number: usize| match end {
        None => number < GUESTS,
        Some(end) => Instant::now() < end,
    };
    let (mut talks, mut longest_talk) = (0, Duration::ZERO);
    let began = Instant::now();
    thread::scope(|scope| {
        let hand = || {
            let next = || guests.fetch_add(1, Ordering::Relaxed);
            let numbers = std::iter::repeat_with(next).take_while(|&number| more(number));
            numbers.for_each(|number| come_and_go(number, address));
        };
        let hands: Vec<_> = (0..HANDS).map(|_| scope.spawn(hand)).collect();
        while !hands.iter().all(thread::ScopedJoinHandle::is_finished) {
            let begins = Instant::now();
            roster.talk();
            talks += 1;
            longest_talk = longest_talk.max(begins.elapsed());
        }
    });
    format!(
        "{} guests in {:.1} s, {talks} talks beside them, the longest {:.2} s",
        guests.into_inner() - HANDS,
        began.elapsed().as_secs_f64(),
        longest_talk.as_secs_f64()
    )
}

/// A guest joins, and leaves in one of four manners.
fn come_and_go(number: usize, address: SocketAddr) {
    let guest = Peer::over(connect(address)).named("guest");
    match number % 4 {
        // With what it was sent unheard, if anything was.
        0 => drop(guest),
        1 => guest.reset(),
        2 => guest.socket().shutdown(Shutdown::Both).unwrap(),
        _ => leave_in_good_order(guest),
    }
}

/// Says goodbye, and hears the server out.
fn leave_in_good_order(mut guest: Peer) {
    guest.say("goodbye");
    guest.close_half();
    let (_, end) = guest.hear_to_the_end();
    assert_eq!(end, End::Orderly);
}

/// Connects as soon as there is a port to do so from.
fn connect(address: SocketAddr) -> TcpStream {
    let patience = Instant::now() + DEADLINE;
    loop {
        match TcpStream::connect_timeout(&address, DEADLINE) {
            Ok(stream) => return stream,
            Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
                assert!(Instant::now() < patience, "{error}");
                thread::sleep(PORTS_PAUSE);
            }
            Err(error) => panic!("a guest is not let in: {error}"),
        }
    }
}
