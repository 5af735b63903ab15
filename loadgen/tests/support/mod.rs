//! A small broadcast server for the tests, written from the protocol's description and sharing no
//! code with the real one. It has a thread per reader, and one that relays, and does wrong what it
//! is told to do wrong. It counts its own misdeeds, so that tests can demand exact figures. On one port it
//! speaks whatever the load generator does: as the real one frames and HTTP, and as each of the brokers.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

use std::collections::HashMap;
use std::io::{BufReader, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

mod broker;
mod web;

use broker::Heard;
use web::Speech;

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
    /// The number in the receiver's name: several threads connect in any order.
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
    /// Who comes back is given so many messages more than it missed, or less.
    pub(crate) repeats: isize,
    /// After so many connections the server accepts no other.
    pub(crate) refuses_after: Option<usize>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            action: Box::new(|_| Action::Deliver),
            delay: Duration::ZERO,
            echo: false,
            repeats: 0,
            refuses_after: None,
        }
    }
}

/// A running server. It ends with the test's process.
pub(crate) struct RelayServer {
    pub(crate) addr: SocketAddr,
    /// Deliveries for which the action was anything but `Deliver`.
    misdeeds: Arc<AtomicU64>,
    /// What the server's own clock says about each message.
    passages: Arc<Mutex<Vec<Passage>>>,
    /// Where connections came from.
    peers: Arc<Mutex<Vec<IpAddr>>>,
    pongs: Arc<AtomicU64>,
}

/// When a message passed through the server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Passage {
    /// It had been read.
    pub(crate) received: Instant,
    /// It had been written to half of its receivers.
    pub(crate) half_written: Instant,
    /// It had been written to all of its receivers.
    pub(crate) written: Instant,
}

enum Event {
    Joined {
        id: u64,
        /// Brokers are told none, and count.
        name: Option<Vec<u8>>,
        speech: Speech,
        after: Option<usize>,
        stream: TcpStream,
    },
    /// Under a name of its own, if it has not joined.
    Said {
        id: u64,
        name: Option<Vec<u8>>,
        message: Vec<u8>,
        /// Its author wants to be told that it was taken.
        number: Option<u64>,
        at: Instant,
    },
    Left {
        id: u64,
    },
}

impl RelayServer {
    /// Starts a server on a free port.
    pub(crate) fn start(faults: Faults) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").unwrap(), faults)
    }

    /// Starts a server that accepts from `listener`.
    pub(crate) fn start_on(listener: TcpListener, faults: Faults) -> Self {
        let addr = listener.local_addr().unwrap();
        let (events, inbox) = channel();
        let misdeeds = Arc::new(AtomicU64::new(0));
        let passages = Arc::new(Mutex::new(Vec::new()));
        let peers = Arc::new(Mutex::new(Vec::new()));
        let pongs = Arc::new(AtomicU64::new(0));
        let mut relay = Relay {
            faults,
            members: HashMap::new(),
            history: Vec::new(),
            messages: 0,
            misdeeds: Arc::clone(&misdeeds),
            passages: Arc::clone(&passages),
        };
        let (seen, heard) = (Arc::clone(&peers), Arc::clone(&pongs));
        let accepted = relay.faults.refuses_after.unwrap_or(usize::MAX);
        thread::spawn(move || accept(&listener, accepted, &events, &seen, &heard));
        thread::spawn(move || relay.run(&inbox));
        Self {
            addr,
            misdeeds,
            passages,
            peers,
            pongs,
        }
    }

    /// How often a client of a broker answered that it is alive.
    pub(crate) fn pongs(&self) -> u64 {
        self.pongs.load(Ordering::SeqCst)
    }

    /// How many deliveries went wrong so far.
    pub(crate) fn misdeeds(&self) -> u64 {
        self.misdeeds.load(Ordering::SeqCst)
    }

    /// How each message so far passed through, in the order they came in.
    pub(crate) fn passages(&self) -> Vec<Passage> {
        self.passages.lock().unwrap().clone()
    }

    /// How many connections there were so far.
    pub(crate) fn connections(&self) -> usize {
        self.peers.lock().unwrap().len()
    }

    /// Where connections came from so far, each address once.
    pub(crate) fn peers(&self) -> Vec<IpAddr> {
        let mut peers = self.peers.lock().unwrap().clone();
        peers.sort_unstable();
        peers.dedup();
        peers
    }
}

/// Ends after so many connections.
fn accept(
    listener: &TcpListener,
    at_most: usize,
    events: &Sender<Event>,
    peers: &Mutex<Vec<IpAddr>>,
    pongs: &Arc<AtomicU64>,
) {
    for (id, stream) in (0..).zip(listener.incoming().take(at_most)) {
        let (Ok(stream), events, pongs) = (stream, events.clone(), Arc::clone(pongs)) else {
            return;
        };
        peers.lock().unwrap().push(stream.peer_addr().unwrap().ip());
        thread::spawn(move || {
            let _ = read_all(id, stream, &events, &pongs);
            let _ = events.send(Event::Left { id });
        });
    }
}

fn read_all(
    id: u64,
    mut stream: TcpStream,
    events: &Sender<Event>,
    pongs: &AtomicU64,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut first = [0];
    stream.peek(&mut first)?;
    if let Some(speech) = broker::speech(first[0]) {
        return read_broker(id, speech, stream, events, pongs);
    }
    let mut after = None;
    let (speech, name) = match first[0] {
        b'P' => return read_posts(id, stream, events),
        b'G' => {
            let (target, _) = web::read_head(&mut stream)?;
            after = web::position_in(&target);
            let name = web::name_in(&target).map(|name| name.as_bytes().to_vec());
            if target.starts_with("/events") {
                (Speech::Events, name.unwrap())
            } else {
                web::accept_websocket(&mut stream)?;
                match name {
                    Some(name) => (Speech::Objects, name),
                    None => (Speech::Relay, web::read_message(&mut stream)?),
                }
            }
        }
        _ => (Speech::Frames, read_frame(&mut stream)?),
    };
    let stream_to_write = stream.try_clone()?;
    let joined = Event::Joined {
        id,
        name: Some(name),
        speech,
        after,
        stream: stream_to_write,
    };
    let _ = events.send(joined);
    loop {
        let mut number = None;
        let message = match speech {
            Speech::Frames => read_frame(&mut stream)?,
            Speech::Objects => {
                let object: Value = serde_json::from_slice(&web::read_message(&mut stream)?)?;
                number = object["id"].as_u64();
                object["text"].as_str().unwrap().as_bytes().to_vec()
            }
            Speech::Relay => web::read_message(&mut stream)?,
            _ => {
                assert_eq!(stream.read(&mut [0])?, 0, "a listener says nothing");
                return Ok(());
            }
        };
        let said = Event::Said {
            id,
            name: None,
            message,
            number,
            at: Instant::now(),
        };
        let _ = events.send(said);
    }
}

fn read_posts(id: u64, mut stream: TcpStream, events: &Sender<Event>) -> std::io::Result<()> {
    loop {
        let (target, length) = web::read_head(&mut stream)?;
        let name = web::name_in(&target).unwrap().as_bytes().to_vec();
        let mut message = vec![0; length];
        stream.read_exact(&mut message)?;
        let said = Event::Said {
            id,
            name: Some(name),
            message,
            number: None,
            at: Instant::now(),
        };
        let _ = events.send(said);
        web::posted(&mut stream)?;
    }
}

fn read_broker(
    id: u64,
    speech: Speech,
    mut stream: TcpStream,
    events: &Sender<Event>,
    pongs: &AtomicU64,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        match broker::next(speech, &mut reader)? {
            Heard::Subscribe(confirmed) => {
                stream.write_all(&confirmed)?;
                let joined = Event::Joined {
                    id,
                    name: None,
                    speech,
                    after: None,
                    stream: stream.try_clone()?,
                };
                let _ = events.send(joined);
            }
            Heard::Publish(message, answer) => {
                let said = Event::Said {
                    id,
                    name: Some(b"nobody".to_vec()),
                    message,
                    number: None,
                    at: Instant::now(),
                };
                let _ = events.send(said);
                stream.write_all(answer)?;
            }
            Heard::Asked(answer) => stream.write_all(answer)?,
            Heard::Pong => drop(pongs.fetch_add(1, Ordering::SeqCst)),
        }
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

fn number_in(name: &[u8]) -> u64 {
    let name = str::from_utf8(name).unwrap();
    name.rsplit('-').next().unwrap().parse().unwrap()
}

struct Member {
    name: Vec<u8>,
    speech: Speech,
    stream: TcpStream,
    held: Option<Vec<u8>>,
}

struct Relay {
    faults: Faults,
    members: HashMap<u64, Member>,
    /// Names and messages, probes included.
    history: Vec<(Vec<u8>, Vec<u8>)>,
    messages: u64,
    misdeeds: Arc<AtomicU64>,
    passages: Arc<Mutex<Vec<Passage>>>,
}

impl Relay {
    fn run(&mut self, inbox: &Receiver<Event>) {
        for event in inbox {
            match event {
                Event::Joined {
                    id,
                    name,
                    speech,
                    after,
                    mut stream,
                } => {
                    let number = self.members.len();
                    let name = name.unwrap_or_else(|| format!("load-{number}").into_bytes());
                    let _ = stream.write_all(&self.welcome(speech, &name, after));
                    let member = Member {
                        name,
                        speech,
                        stream,
                        held: None,
                    };
                    self.members.insert(id, member);
                }
                Event::Left { id } => drop(self.members.remove(&id)),
                Event::Said {
                    id,
                    name,
                    message,
                    number,
                    at,
                } => {
                    self.relay(id, name, &message, at);
                    if let (Some(number), Some(author)) = (number, self.members.get_mut(&id)) {
                        let accepted = web::accepted(number, self.history.len());
                        let _ = author.stream.write_all(&accepted);
                    }
                }
            }
        }
    }

    /// What somebody is sent who joins: what it missed, if it says where it was.
    fn welcome(&self, speech: Speech, name: &[u8], after: Option<usize>) -> Vec<u8> {
        let end = self.history.len();
        let named = str::from_utf8(name).unwrap();
        let mut wire = web::joined(speech, named, after.unwrap_or(end), after.is_some());
        let from = after.map_or(end, |after| {
            after.saturating_sub_signed(self.faults.repeats)
        });
        for (at, (author, message)) in self.history.iter().enumerate().skip(from) {
            wire.extend(web::message(speech, author, message, at + 1).wire);
        }
        wire
    }

    fn relay(&mut self, author: u64, name: Option<Vec<u8>>, message: &[u8], at: Instant) {
        // Of a plain relay, in quotation marks.
        let is_probe = message[0] == b'p' || message.windows(2).any(|two| two == b"\"p");
        if !is_probe {
            thread::sleep(self.faults.delay.saturating_sub(at.elapsed()));
        }
        let member = self.members.get(&author);
        let Some(name) = name.or(member.map(|member| member.name.clone())) else {
            return;
        };
        self.history.push((name.clone(), message.to_vec()));
        let mut receivers: Vec<u64> = self.members.keys().copied().collect();
        receivers.sort_unstable();
        let half = receivers.len() / 2;
        let mut half_written = at;
        for (place, receiver) in receivers.into_iter().enumerate() {
            if place == half {
                half_written = Instant::now();
            }
            let own_probe = is_probe && self.members[&receiver].speech != Speech::Relay;
            if receiver == author && (own_probe || !self.faults.echo) {
                continue;
            }
            let action = if is_probe {
                Action::Deliver
            } else {
                let named = number_in(&self.members[&receiver].name);
                (self.faults.action)(Delivery {
                    message: self.messages,
                    receiver: named,
                })
            };
            self.act(action, receiver, &name, message);
        }
        if !is_probe {
            self.messages += 1;
            self.passages.lock().unwrap().push(Passage {
                received: at,
                half_written,
                written: Instant::now(),
            });
        }
    }

    fn act(&mut self, action: Action, receiver: u64, name: &[u8], message: &[u8]) {
        if action != Action::Deliver {
            self.misdeeds.fetch_add(1, Ordering::SeqCst);
        }
        let position = self.history.len();
        let member = self.members.get_mut(&receiver).unwrap();
        let encoded = web::message(member.speech, name, message, position);
        let (name_at, message_at, mut wire) = (encoded.name_at, encoded.text_at, encoded.wire);
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
            Action::Evict(why) => wire = web::closing(member.speech, why),
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

/// How many threads the load generator is to have in this test program: those named so run the tests
/// of another once more, on three.
pub(crate) const THREADS: u32 = match env!("CARGO_CRATE_NAME").as_bytes() {
    [.., b'_', b't', b'h', b'r', b'e', b'e'] => 3,
    _ => 1,
};

/// What the load generator is to speak in this test program, in the same way.
pub(crate) const PROTOCOL: &str = match env!("CARGO_CRATE_NAME").as_bytes() {
    [
        ..,
        b'_',
        b'w',
        b'e',
        b'b',
        b's',
        b'o',
        b'c',
        b'k',
        b'e',
        b't',
    ] => "websocket",
    _ => "uringcast",
};

/// Runs the load generator; its exit status and its report.
pub(crate) fn measure(server: &RelayServer, flags: &str) -> (i32, Value) {
    measure_on(THREADS, server, flags)
}

/// The same, on so many threads.
pub(crate) fn measure_on(threads: u32, server: &RelayServer, flags: &str) -> (i32, Value) {
    let flags = format!("--protocol {PROTOCOL} --threads {threads} {flags}");
    let output = loadgen(server.addr, &flags).output().unwrap();
    let code = output.status.code().unwrap();
    let report = serde_json::from_slice(&output.stdout);
    (code, report.unwrap_or_else(|_| panic!("{output:?}")))
}

/// Runs the load generator against a server of its own; its exit status and its report.
pub(crate) fn measure_spawned(flags: &str) -> (i32, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(["--spawn-server", "--json=-", "--quiet"]);
    let output = command.args(flags.split_whitespace()).output().unwrap();
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.code().unwrap(), report)
}

/// The only line on standard error, for a run that could not be made.
pub(crate) fn only_line(output: &Output) -> String {
    let stderr = str::from_utf8(&output.stderr).unwrap();
    let mut lines: Vec<_> = stderr.lines().collect();
    lines.retain(|line| !line.contains("deliveries/s expected"));
    assert_eq!(lines.len(), 1, "{stderr}");
    lines[0].to_owned()
}

/// The counts that are not zero, of those that a clean ledger has at zero.
pub(crate) fn faults_of(report: &Value) -> Value {
    let names = [
        "lost",
        "lost_while_connected",
        "lost_to_disconnects",
        "duplicated",
        "reordered",
        "corrupt",
        "echoed",
        "unsent",
        "foreign",
    ];
    names
        .into_iter()
        .filter(|name| report[name] != json!(0))
        .map(|name| (name.to_owned(), report[name].clone()))
        .collect()
}
