//! A small broker for the tests, in each of the protocols, written from their descriptions and sharing
//! no code with the load generator. A thread reads each connection; a publisher's message is relayed
//! under one lock, so there is one order. It does wrong what it is told to do wrong, and counts it.

use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::{Action, Delivery};

/// What the broker speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speech {
    Redis,
    Nats,
    Mqtt,
}

/// A running broker. It ends with the test's process.
pub(crate) struct FakeBroker {
    pub(crate) addr: SocketAddr,
    misdeeds: Arc<AtomicU64>,
    pongs: Arc<AtomicU64>,
}

/// What all connections share.
struct House {
    speech: Speech,
    action: Box<dyn FnMut(Delivery) -> Action + Send>,
    subscribers: Vec<(u64, TcpStream)>,
    subscribed: u64,
    messages: u64,
    misdeeds: Arc<AtomicU64>,
    pongs: Arc<AtomicU64>,
}

type Shared = Arc<Mutex<House>>;

impl FakeBroker {
    /// Starts a broker on a free port, in which `action` decides about each delivery.
    pub(crate) fn start(
        speech: Speech,
        action: impl FnMut(Delivery) -> Action + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (misdeeds, pongs) = (Arc::default(), Arc::default());
        let house = Arc::new(Mutex::new(House {
            speech,
            action: Box::new(action),
            subscribers: Vec::new(),
            subscribed: 0,
            messages: 0,
            misdeeds: Arc::clone(&misdeeds),
            pongs: Arc::clone(&pongs),
        }));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let house = Arc::clone(&house);
                // Whoever leaves has said all it had to.
                thread::spawn(move || drop(serve(speech, stream, &house)));
            }
        });
        Self {
            addr,
            misdeeds,
            pongs,
        }
    }

    /// Deliveries for which the action was anything but `Deliver`.
    pub(crate) fn misdeeds(&self) -> u64 {
        self.misdeeds.load(Ordering::SeqCst)
    }

    /// How often a client answered that it is alive.
    pub(crate) fn pongs(&self) -> u64 {
        self.pongs.load(Ordering::SeqCst)
    }
}

fn serve(speech: Speech, mut stream: TcpStream, house: &Shared) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    if speech == Speech::Nats {
        stream.write_all(b"INFO {\"max_payload\":1048576}\r\n")?;
    }
    loop {
        match speech {
            Speech::Redis => serve_redis(&mut reader, &mut stream, house)?,
            Speech::Nats => serve_nats(&mut reader, &mut stream, house)?,
            Speech::Mqtt => serve_mqtt(&mut reader, &mut stream, house)?,
        }
    }
}

fn serve_redis(reader: &mut impl BufRead, stream: &mut TcpStream, house: &Shared) -> Result<()> {
    let words: usize = line(reader)?[1..].parse().unwrap();
    let mut command = Vec::new();
    for _ in 0..words {
        let bytes: usize = line(reader)?[1..].parse().unwrap();
        let mut word = take(reader, bytes + 2)?;
        word.truncate(bytes);
        command.push(word);
    }
    match &command[0][..] {
        b"SUBSCRIBE" => {
            let topic = String::from_utf8(command.remove(1)).unwrap();
            let confirmed = format!(
                "*3\r\n$9\r\nsubscribe\r\n${}\r\n{topic}\r\n:1\r\n",
                topic.len()
            );
            subscribe(house, stream, confirmed.as_bytes())
        }
        b"PING" => stream.write_all(b"+PONG\r\n"),
        b"PUBLISH" => {
            let receivers = publish(house, &command[1], &command[2]);
            stream.write_all(format!(":{receivers}\r\n").as_bytes())
        }
        other => panic!("{}", String::from_utf8_lossy(other)),
    }
}

fn serve_nats(reader: &mut impl BufRead, stream: &mut TcpStream, house: &Shared) -> Result<()> {
    let said = line(reader)?;
    let words: Vec<&str> = said.split(' ').collect();
    match words[0] {
        "CONNECT" => Ok(()),
        "SUB" => subscribe(house, stream, b"PING\r\n"),
        "PING" => stream.write_all(b"PONG\r\n"),
        "PONG" => {
            house.lock().unwrap().pongs.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
        "PUB" => {
            let bytes: usize = words[2].parse().unwrap();
            let payload = take(reader, bytes + 2)?;
            publish(house, words[1].as_bytes(), &payload[..bytes]);
            Ok(())
        }
        other => panic!("{other}"),
    }
}

fn serve_mqtt(reader: &mut impl BufRead, stream: &mut TcpStream, house: &Shared) -> Result<()> {
    let kind = take(reader, 1)?[0];
    let (mut bytes, mut shift) = (0_usize, 0);
    loop {
        let byte = take(reader, 1)?[0];
        bytes |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            break;
        }
    }
    let content = take(reader, bytes)?;
    match kind {
        0x10 => stream.write_all(&[0x20, 2, 0, 0]),
        0x82 => subscribe(house, stream, &[0x90, 3, content[0], content[1], 0]),
        0xc0 => stream.write_all(&[0xd0, 0]),
        0x30 => {
            let topic_bytes = usize::from(u16::from_be_bytes([content[0], content[1]]));
            let (topic, payload) = content[2..].split_at(topic_bytes);
            publish(house, topic, payload);
            Ok(())
        }
        other => panic!("{other:#x}"),
    }
}

fn subscribe(house: &Shared, stream: &mut TcpStream, confirmed: &[u8]) -> Result<()> {
    let mut house = house.lock().unwrap();
    let number = house.subscribed;
    house.subscribed += 1;
    stream.write_all(confirmed)?;
    house.subscribers.push((number, stream.try_clone()?));
    Ok(())
}

fn publish(house: &Shared, topic: &[u8], payload: &[u8]) -> usize {
    let mut house = house.lock().unwrap();
    let house = &mut *house;
    let is_probe = payload[0] == b'p';
    let message = house.messages;
    house.messages += u64::from(!is_probe);
    let receivers = house.subscribers.len();
    house.subscribers.retain_mut(|(receiver, stream)| {
        let receiver = *receiver;
        let action = if is_probe {
            Action::Deliver
        } else {
            (house.action)(Delivery { message, receiver })
        };
        if action != Action::Deliver {
            house.misdeeds.fetch_add(1, Ordering::SeqCst);
        }
        let wire = |payload: &[u8]| delivery(house.speech, topic, payload);
        let bytes = match action {
            Action::Deliver => wire(payload),
            Action::Drop => Vec::new(),
            Action::Twice => wire(payload).repeat(2),
            Action::Corrupt(at) => {
                let mut payload = payload.to_vec();
                payload[at] ^= 1;
                wire(&payload)
            }
            Action::Evict(why) => parting(house.speech, why),
            Action::Tear => wire(payload)[..9].to_vec(),
            Action::CorruptName(_) | Action::Hold => panic!("brokers are not asked for this"),
        };
        let _ = stream.write_all(&bytes);
        let stays = !matches!(action, Action::Evict(_) | Action::Tear);
        if !stays {
            let _ = stream.shutdown(Shutdown::Write);
        }
        stays
    });
    receivers
}

fn delivery(speech: Speech, topic: &[u8], payload: &[u8]) -> Vec<u8> {
    let topic_text = str::from_utf8(topic).unwrap();
    let (head, tail) = match speech {
        Speech::Redis => (
            format!(
                "*3\r\n$7\r\nmessage\r\n${}\r\n{topic_text}\r\n${}\r\n",
                topic.len(),
                payload.len()
            )
            .into_bytes(),
            &b"\r\n"[..],
        ),
        Speech::Nats => (
            format!("MSG {topic_text} 1 {}\r\n", payload.len()).into_bytes(),
            &b"\r\n"[..],
        ),
        Speech::Mqtt => {
            let bytes = 2 + topic.len() + payload.len();
            assert!((128..128 * 128).contains(&bytes) || bytes < 128);
            let mut head = vec![0x30];
            if bytes >= 128 {
                head.push(u8::try_from(bytes % 128).unwrap() | 0x80);
                head.push(u8::try_from(bytes / 128).unwrap());
            } else {
                head.push(u8::try_from(bytes).unwrap());
            }
            head.extend(u16::try_from(topic.len()).unwrap().to_be_bytes());
            head.extend(topic);
            (head, &b""[..])
        }
    };
    [&head[..], payload, tail].concat()
}

/// What a broker says to one that it lets go of, if its protocol has words for that.
fn parting(speech: Speech, why: &str) -> Vec<u8> {
    match speech {
        Speech::Redis => format!("-ERR {why}\r\n").into_bytes(),
        Speech::Nats => format!("-ERR '{why}'\r\n").into_bytes(),
        Speech::Mqtt => Vec::new(),
    }
}

fn line(reader: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

fn take(reader: &mut impl Read, bytes: usize) -> Result<Vec<u8>> {
    let mut taken = vec![0; bytes];
    reader.read_exact(&mut taken)?;
    Ok(taken)
}
