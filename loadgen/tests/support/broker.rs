//! What the test server speaks as a broker, written from the protocols' descriptions and sharing no code
//! with the load generator.

use std::io::{BufRead, Read, Result};

use super::web::Speech;

const TOPIC: &str = "uringcast.loadgen";

/// What a client of a broker said.
pub(crate) enum Heard {
    /// It subscribes, and is to be told this.
    Subscribe(Vec<u8>),
    /// It has published this, and is to be told that.
    Publish(Vec<u8>, &'static [u8]),
    /// It is to be told this.
    Asked(&'static [u8]),
    /// It says that it is alive.
    Pong,
}

/// What is spoken by one whose first byte this is.
pub(crate) fn speech(first: u8) -> Option<Speech> {
    match first {
        b'*' => Some(Speech::Redis),
        b'C' => Some(Speech::Nats),
        0x10 => Some(Speech::Mqtt),
        _ => None,
    }
}

/// The next thing that a client says.
pub(crate) fn next(speech: Speech, reader: &mut impl BufRead) -> Result<Heard> {
    match speech {
        Speech::Redis => redis(reader),
        Speech::Nats => nats(reader),
        _ => mqtt(reader),
    }
}

fn redis(reader: &mut impl BufRead) -> Result<Heard> {
    let words: usize = line(reader)?[1..].parse().unwrap();
    let mut command = Vec::new();
    for _ in 0..words {
        let bytes: usize = line(reader)?[1..].parse().unwrap();
        let mut word = take(reader, bytes + 2)?;
        word.truncate(bytes);
        command.push(word);
    }
    let topic = command.get(1).map(|topic| str::from_utf8(topic).unwrap());
    assert!(matches!(topic, None | Some(TOPIC)), "{topic:?}");
    Ok(match &command[0][..] {
        b"SUBSCRIBE" => {
            let length = TOPIC.len();
            let confirmed = format!("*3\r\n$9\r\nsubscribe\r\n${length}\r\n{TOPIC}\r\n:1\r\n");
            Heard::Subscribe(confirmed.into_bytes())
        }
        b"PING" => Heard::Asked(b"+PONG\r\n"),
        b"PUBLISH" => Heard::Publish(command.remove(2), b":12\r\n"),
        other => panic!("{}", String::from_utf8_lossy(other)),
    })
}

fn nats(reader: &mut impl BufRead) -> Result<Heard> {
    let said = line(reader)?;
    let words: Vec<&str> = said.split(' ').collect();
    Ok(match words[0] {
        "CONNECT" => Heard::Asked(b"INFO {\"max_payload\":1048576}\r\n"),
        "SUB" => Heard::Subscribe(b"PING\r\n".to_vec()),
        "PING" => Heard::Asked(b"PONG\r\n"),
        "PONG" => Heard::Pong,
        "PUB" => {
            assert_eq!(words[1], TOPIC);
            let bytes: usize = words[2].parse().unwrap();
            let mut payload = take(reader, bytes + 2)?;
            payload.truncate(bytes);
            Heard::Publish(payload, b"")
        }
        other => panic!("{other}"),
    })
}

fn mqtt(reader: &mut impl BufRead) -> Result<Heard> {
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
    Ok(match kind {
        0x10 => Heard::Asked(&[0x20, 2, 0, 0]),
        0x82 => Heard::Subscribe(vec![0x90, 3, content[0], content[1], 0]),
        0xc0 => Heard::Asked(&[0xd0, 0]),
        0x30 => Heard::Publish(content[2 + TOPIC.len()..].to_vec(), b""),
        other => panic!("{other:#x}"),
    })
}

/// A message as it goes to a subscriber.
pub(crate) fn message(speech: Speech, payload: &[u8]) -> Vec<u8> {
    let bytes = payload.len();
    let (head, tail) = match speech {
        Speech::Redis => {
            let length = TOPIC.len();
            let head = format!("*3\r\n$7\r\nmessage\r\n${length}\r\n{TOPIC}\r\n${bytes}\r\n");
            (head.into_bytes(), &b"\r\n"[..])
        }
        Speech::Nats => (
            format!("MSG {TOPIC} 1 {bytes}\r\n").into_bytes(),
            &b"\r\n"[..],
        ),
        _ => {
            let mut head = vec![0x30];
            let bytes = 2 + TOPIC.len() + bytes;
            assert!(bytes < 128 * 128);
            if bytes >= 128 {
                head.push(u8::try_from(bytes % 128).unwrap() | 0x80);
                head.push(u8::try_from(bytes / 128).unwrap());
            } else {
                head.push(u8::try_from(bytes).unwrap());
            }
            head.extend(u16::try_from(TOPIC.len()).unwrap().to_be_bytes());
            head.extend(TOPIC.bytes());
            (head, &b""[..])
        }
    };
    [&head[..], payload, tail].concat()
}

/// What a broker says to one that it lets go of, if its protocol has words for that.
pub(crate) fn closing(speech: Speech, why: &str) -> Vec<u8> {
    match speech {
        Speech::Redis => format!("-ERR {why}\r\n").into_bytes(),
        Speech::Nats => format!("-ERR '{why}'\r\n").into_bytes(),
        _ => Vec::new(),
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
