//! A small broadcast server for the tests, written from the protocol's description and sharing no
//! code with the real one. It has a thread per reader, and one that relays, and does wrong what it
//! is told to do wrong. It counts its own misdeeds, so that tests can demand exact figures.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// What to do with one message for one receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Deliver,
    Drop,
    Twice,
    /// Change one byte of the message.
    Corrupt(usize),
    /// Change one byte of the author's name.
    CorruptName(usize),
    /// Deliver it after the next message to this receiver.
    Hold,
    /// Say why, and close.
    Evict(&'static str),
    /// Write a part of it, and close.
    Tear,
}

/// One message on its way to one receiver. Probes are not offered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delivery {
    /// Counts messages from 0, in the order they came in.
    pub(crate) message: u64,
    /// Counts connections from 0, in the order they were accepted.
    pub(crate) receiver: u64,
}

/// How the server goes wrong.
pub(crate) struct Faults {
    /// What becomes of each delivery.
    pub(crate) action: Box<dyn FnMut(Delivery) -> Action + Send>,
    /// Every message waits for this long.
    pub(crate) delay: Duration,
    /// The author gets its own messages back.
    pub(crate) echo: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            action: Box::new(|_| Action::Deliver),
            delay: Duration::ZERO,
            echo: false,
        }
    }
}

/// A running server. It ends with the test's process.
pub(crate) struct RelayServer {
    pub(crate) addr: SocketAddr,
    /// Deliveries for which the action was anything but `Deliver`.
    misdeeds: Arc<AtomicU64>,
    /// How long messages really waited, in nanoseconds.
    delays: Arc<Mutex<Vec<u128>>>,
}

enum Event {
    Joined {
        id: u64,
        name: Vec<u8>,
        stream: TcpStream,
    },
    Said {
        id: u64,
        message: Vec<u8>,
        at: Instant,
    },
    Left {
        id: u64,
    },
}

impl RelayServer {
    /// Starts a server on a free port.
    pub(crate) fn start(faults: Faults) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (events, inbox) = channel();
        let misdeeds = Arc::new(AtomicU64::new(0));
        let delays = Arc::new(Mutex::new(Vec::new()));
        let mut relay = Relay {
            faults,
            members: HashMap::new(),
            messages: 0,
            misdeeds: Arc::clone(&misdeeds),
            delays: Arc::clone(&delays),
        };
        thread::spawn(move || accept(&listener, &events));
        thread::spawn(move || relay.run(&inbox));
        Self {
            addr,
            misdeeds,
            delays,
        }
    }

    /// How many deliveries went wrong so far.
    pub(crate) fn misdeeds(&self) -> u64 {
        self.misdeeds.load(Ordering::SeqCst)
    }

    /// The median of how long messages really waited here, in milliseconds.
    pub(crate) fn median_delay_ms(&self) -> f64 {
        let mut delays = self.delays.lock().unwrap().clone();
        delays.sort_unstable();
        delays[delays.len() / 2] as f64 / 1e6
    }
}

fn accept(listener: &TcpListener, events: &Sender<Event>) {
    for (id, stream) in (0..).zip(listener.incoming()) {
        let (Ok(stream), events) = (stream, events.clone()) else {
            return;
        };
        thread::spawn(move || {
            let _ = read_all(id, stream, &events);
            let _ = events.send(Event::Left { id });
        });
    }
}

fn read_all(id: u64, mut stream: TcpStream, events: &Sender<Event>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let name = read_frame(&mut stream)?;
    let stream_to_write = stream.try_clone()?;
    let joined = Event::Joined {
        id,
        name,
        stream: stream_to_write,
    };
    let _ = events.send(joined);
    loop {
        let message = read_frame(&mut stream)?;
        let at = Instant::now();
        let _ = events.send(Event::Said { id, message, at });
    }
}

fn read_frame(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut header = [0; 10];
    stream.read_exact(&mut header)?;
    let bytes: usize = str::from_utf8(&header).unwrap().trim().parse().unwrap();
    let mut payload = vec![0; bytes];
    stream.read_exact(&mut payload)?;
    Ok(payload)
}

fn frames(name: &[u8], message: &[u8]) -> Vec<u8> {
    let header = |payload: &[u8]| format!("{:<10}", payload.len()).into_bytes();
    [&header(name)[..], name, &header(message), message].concat()
}

struct Member {
    name: Vec<u8>,
    stream: TcpStream,
    held: Option<Vec<u8>>,
}

struct Relay {
    faults: Faults,
    members: HashMap<u64, Member>,
    messages: u64,
    misdeeds: Arc<AtomicU64>,
    delays: Arc<Mutex<Vec<u128>>>,
}

impl Relay {
    fn run(&mut self, inbox: &Receiver<Event>) {
        for event in inbox {
            match event {
                Event::Joined { id, name, stream } => {
                    let member = Member {
                        name,
                        stream,
                        held: None,
                    };
                    self.members.insert(id, member);
                }
                Event::Left { id } => drop(self.members.remove(&id)),
                Event::Said { id, message, at } => self.relay(id, &message, at),
            }
        }
    }

    fn relay(&mut self, author: u64, message: &[u8], at: Instant) {
        let is_probe = message[0] == b'p';
        if !is_probe {
            thread::sleep(self.faults.delay.saturating_sub(at.elapsed()));
            self.delays.lock().unwrap().push(at.elapsed().as_nanos());
        }
        let Some(name) = self.members.get(&author).map(|member| member.name.clone()) else {
            return;
        };
        let mut receivers: Vec<u64> = self.members.keys().copied().collect();
        receivers.sort_unstable();
        for receiver in receivers {
            if receiver == author && (is_probe || !self.faults.echo) {
                continue;
            }
            let action = if is_probe {
                Action::Deliver
            } else {
                (self.faults.action)(Delivery {
                    message: self.messages,
                    receiver,
                })
            };
            self.act(action, receiver, &name, message);
        }
        self.messages += u64::from(!is_probe);
    }

    fn act(&mut self, action: Action, receiver: u64, name: &[u8], message: &[u8]) {
        if action != Action::Deliver {
            self.misdeeds.fetch_add(1, Ordering::SeqCst);
        }
        let member = self.members.get_mut(&receiver).unwrap();
        let mut wire = frames(name, message);
        let name_at = 10;
        let message_at = 20 + name.len();
        match action {
            Action::Deliver => {}
            Action::Drop => wire.clear(),
            Action::Twice => wire.extend_from_within(..),
            Action::Corrupt(at) => wire[message_at + at] ^= 1,
            Action::CorruptName(at) => wire[name_at + at] ^= 1,
            Action::Hold => {
                member.held = Some(wire);
                return;
            }
            Action::Evict(why) => wire = frames(b"*server*", why.as_bytes()),
            Action::Tear => wire.truncate(message_at + 5),
        }
        wire.extend(member.held.take().unwrap_or_default());
        let _ = member.stream.write_all(&wire);
        if matches!(action, Action::Evict(_) | Action::Tear) {
            let _ = member.stream.shutdown(Shutdown::Write);
            self.members.remove(&receiver);
        }
    }
}

/// The load generator, about to be run against `addr` with JSON on standard output.
pub(crate) fn loadgen(addr: SocketAddr, flags: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command
        .args(["--addr", &addr.to_string(), "--json", "-", "--quiet"])
        .args(flags.split_whitespace());
    command
}

/// Runs the load generator; its exit status and its report.
pub(crate) fn measure(server: &RelayServer, flags: &str) -> (i32, Value) {
    let output = loadgen(server.addr, flags).output().unwrap();
    let code = output.status.code().unwrap();
    let report = serde_json::from_slice(&output.stdout);
    (code, report.unwrap_or_else(|_| panic!("{output:?}")))
}

/// The only line on standard error, for a run that could not be made.
pub(crate) fn only_line(output: &Output) -> String {
    let stderr = str::from_utf8(&output.stderr).unwrap();
    let mut lines: Vec<_> = stderr.lines().collect();
    lines.retain(|line| !line.contains("deliveries/s expected"));
    assert_eq!(lines.len(), 1, "{stderr}");
    lines[0].to_owned()
}
