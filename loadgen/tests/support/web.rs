//! What the test server speaks beside frames: WebSocket with uringcast's objects, WebSocket as a plain
//! relay has it, and event streams. Written from the descriptions, sharing no code with either side.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;

use super::broker;

/// The only key that the load generator sends, and its answer, from RFC 6455.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// How a connection is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speech {
    Frames,
    /// WebSocket, with uringcast's objects.
    Objects,
    /// WebSocket, with whatever the clients say.
    Relay,
    Events,
    Redis,
    Nats,
    Mqtt,
}

/// A message as it goes to one receiver, and where in it name and text begin.
pub(crate) struct Encoded {
    pub(crate) wire: Vec<u8>,
    pub(crate) name_at: usize,
    pub(crate) text_at: usize,
}

/// The head of a request: its target and the length of its body.
pub(crate) fn read_head(stream: &mut TcpStream) -> Result<(String, usize)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8(head).map_err(|_| Error::from(ErrorKind::InvalidData))?;
    let target = head.split(' ').nth(1).unwrap().to_owned();
    if head.contains("Upgrade: websocket") {
        assert!(
            head.contains(&format!("Sec-WebSocket-Key: {KEY}\r\n")),
            "{head}"
        );
        assert!(head.contains("Sec-WebSocket-Version: 13\r\n"), "{head}");
    }
    assert!(head.contains("\r\nHost: "), "{head}");
    let length = head.split("Content-Length: ").nth(1);
    let length = length.map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
    Ok((target, length))
}

/// The name that a target says.
pub(crate) fn name_in(target: &str) -> Option<&str> {
    let (_, query) = target.split_once("?name=")?;
    query.split('&').next()
}

pub(crate) fn accept_websocket(stream: &mut TcpStream) -> Result<()> {
    let head = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n";
    stream.write_all(format!("{head}sec-websocket-accept: {ACCEPT}\r\n\r\n").as_bytes())
}

/// The next message of a client, whose frames are whole and masked. Pongs and closes are stepped over.
pub(crate) fn read_message(stream: &mut TcpStream) -> Result<Vec<u8>> {
    loop {
        let mut head = [0; 2];
        stream.read_exact(&mut head)?;
        assert!(head[0] & 0x80 != 0 && head[1] & 0x80 != 0, "{head:x?}");
        let further = match head[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mut length = vec![0; further];
        stream.read_exact(&mut length)?;
        let length = match further {
            0 => usize::from(head[1] & 0x7f),
            _ => length
                .iter()
                .fold(0, |sum, &byte| (sum << 8) | usize::from(byte)),
        };
        let mut mask = [0; 4];
        stream.read_exact(&mut mask)?;
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload)?;
        for (at, byte) in payload.iter_mut().enumerate() {
            *byte ^= mask[at % 4];
        }
        if head[0] & 0x0f == 1 {
            return Ok(payload);
        }
    }
}

/// A server's frame.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let length = (payload.len() as u64).to_be_bytes();
    match payload.len() {
        ..126 => out.push(length[7]),
        126..65536 => {
            out.push(126);
            out.extend(&length[6..]);
        }
        _ => {
            out.push(127);
            out.extend(length);
        }
    }
    out.extend(payload);
    out
}

/// The place behind so many messages.
fn place(position: usize) -> String {
    format!("{:016x}.{position}", 0xabc)
}

/// The position that a target says.
pub(crate) fn position_in(target: &str) -> Option<usize> {
    let (_, after) = target.split_once("&after=")?;
    let (_, position) = after.split_once('.')?;
    position.parse().ok()
}

/// What is said to somebody who has joined.
pub(crate) fn joined(speech: Speech, name: &str, position: usize, resumed: bool) -> Vec<u8> {
    let place = place(position);
    match speech {
        Speech::Objects => object(&format!(
            r#"{{"type":"joined","name":"{name}","position":"{place}","resumed":{resumed}}}"#
        )),
        Speech::Events => b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n".to_vec(),
        _ => Vec::new(),
    }
}

/// What the author is told who gave its message a number.
pub(crate) fn accepted(id: u64, position: usize) -> Vec<u8> {
    let place = place(position);
    object(&format!(
        r#"{{"type":"accepted","id":{id},"position":"{place}"}}"#
    ))
}

pub(crate) fn message(speech: Speech, name: &[u8], text: &[u8], position: usize) -> Encoded {
    let name = str::from_utf8(name).unwrap();
    let said = str::from_utf8(text).unwrap();
    let place = place(position);
    let wire = match speech {
        Speech::Frames => format!("{:<10}{name}{:<10}{said}", name.len(), said.len()).into_bytes(),
        Speech::Objects => object(&format!(
            r#"{{"type":"message","position":"{place}","name":"{name}","text":"{said}"}}"#
        )),
        // In two fragments, with a ping between them.
        Speech::Relay => {
            let (first, second) = text.split_at(text.len() / 2);
            [
                frame(0x01, first),
                frame(0x89, b"there?"),
                frame(0x80, second),
            ]
            .concat()
        }
        Speech::Events => format!(
            "id: {place}\nevent: message\ndata: {{\"name\":\"{name}\",\"text\":\"{said}\"}}\n\n"
        )
        .into_bytes(),
        Speech::Redis | Speech::Nats | Speech::Mqtt => broker::message(speech, text),
    };
    let find = |what: &[u8]| wire.windows(what.len()).position(|window| window == what);
    Encoded {
        name_at: find(name.as_bytes()).unwrap_or(0),
        text_at: find(text).unwrap_or(0),
        wire,
    }
}

/// Why the server closes.
pub(crate) fn closing(speech: Speech, why: &str) -> Vec<u8> {
    let reason = why.strip_prefix("closing: ").unwrap_or(why);
    let close =
        |code: u16, reason: &str| frame(0x88, &[&code.to_be_bytes(), reason.as_bytes()].concat());
    match speech {
        Speech::Frames => format!("{:<10}*server*{:<10}{why}", 8, why.len()).into_bytes(),
        Speech::Objects => {
            let said = object(&format!(r#"{{"type":"closing","reason":"{reason}"}}"#));
            [said, close(1008, "")].concat()
        }
        Speech::Relay => close(1008, reason),
        Speech::Events => {
            format!("event: closing\ndata: {{\"reason\":\"{reason}\"}}\n\n").into_bytes()
        }
        Speech::Redis | Speech::Nats | Speech::Mqtt => broker::closing(speech, why),
    }
}

/// The answer to a message that was posted.
pub(crate) fn posted(stream: &mut TcpStream) -> Result<()> {
    let body = "{\"position\":\"0000000000000abc.1\"}";
    let head = format!(
        "HTTP/1.1 202 Accepted\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes())
}

fn object(text: &str) -> Vec<u8> {
    frame(0x81, text.as_bytes())
}
